"""What the commands of experiments share: their last options, and what they show."""

from collections.abc import Callable
from typing import Any

from gan_eval.cli.options import (
    Decorator,
    device_option,
    json_option,
    out_option,
    precision_option,
    seed_option,
)
from gan_eval.cli.output import document, print_json, say, say_files
from gan_eval.cli.progress import Watching


def last_options(*, seed: str | None, out: str, precision: bool = True) -> Decorator:
    """Return the options that an experiment's command ends with.

    Args:
        seed, out: the help of --seed and --out.
        precision: whether there is --precision.
    """
    networks = (device_option, precision_option) if precision else (device_option,)

    def add(command: Any) -> Any:
        for option in (json_option, out_option(out), *reversed(networks), seed_option(seed)):
            command = option(command)
        return command

    return add


def show(
    experiment: Callable[..., Any],
    subject: Any,
    table: Callable[[Any], None],
    *,
    data_root: Any,
    as_json: bool,
    **options: Any,
) -> None:
    """Carry out an experiment on `subject`, a run or data, and print what it found.

    Args:
        table: prints its record for people.
        options: what the experiment takes by these names.
    """
    with Watching() as watch:
        found = experiment(subject, root=data_root, watch=watch, **options)
    if as_json:
        print_json(document(found))
        return
    table(found.record)
    for advice in found.record.advice:
        say(advice)
    say_files(found.files)
