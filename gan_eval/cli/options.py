"""Options that several commands have."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Any], Any]


class UserPath(click.Path):
    """A path, in which ~ is the user's folder after `--out=` too, where shells leave it."""

    def __init__(self, **rules: Any) -> None:
        super().__init__(path_type=Path, **rules)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(os.path.expanduser(value), param, ctx)


def was_given(name: str) -> bool:
    """Return whether the option was on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def kept_epoch(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    """Return the number that `text` is, or "best" as it is."""
    if text is None or text == "best":
        return text
    if not text.isdecimal():
        raise click.BadParameter(f"must be the number of a kept epoch, or best. Got {text!r}.")
    return int(text)


def numbers(kind: Callable[[str], Any], what: str, example: str) -> Callable[..., Any]:
    """Return what makes a sorted tuple of `what`, each of a `kind`, of text such as `example`."""

    def parse(context: click.Context, option: click.Parameter, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return tuple(sorted({kind(part) for part in text.split(",")}))
        except ValueError:
            raise click.BadParameter(
                f"must be {what} with commas, as {example}. Got {text!r}."
            ) from None

    return parse


def choice_option(name: str, choices: Sequence[str], help: str) -> Decorator:
    """Return an option that is one of `choices`, by default the first."""
    return click.option(name, type=click.Choice(choices), default=choices[0], help=help)


epoch_option = click.option(
    "--epoch",
    callback=kept_epoch,
    metavar="N|best",
    help="A kept epoch of the RUN, or the best that was measured while training.  [default: the"
    " newest weights]",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on standard output."
)
device_option = choice_option("--device", ["auto", "cpu", "cuda", "mps"], help="Where to compute.")
precision_option = choice_option(
    "--precision",
    ["auto", "32", "bf16"],
    help="Of networks. auto: bf16 where the processor computes in it.",
)
data_root_option = click.option(
    "--data-root",
    type=UserPath(),
    # Not click's own `envvar`: a run's own root comes before the variable.
    help="Where named data sets lie.  [env: GAN_EVAL_DATA, after a RUN's own root]",
)
store_option = click.option(
    "--store",
    type=UserPath(),
    help="Where features are kept.  [default: GAN_EVAL_STORE, or ~/.cache/gan_eval/features]",
)


def seed_option(of: str | None = None) -> Decorator:
    """Return --seed, whose help says what it is `of`."""
    return click.option("--seed", type=click.IntRange(min=0), default=0, help=of)


def out_option(what: str, **rules: Any) -> Decorator:
    """Return --out, a folder, whose help says `what` goes there; `rules` are click's."""
    return click.option("--out", type=UserPath(file_okay=False), help=what, **rules)
