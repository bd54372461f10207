"""`gan-eval filters`."""

from pathlib import Path
from typing import Any

import click

from gan_eval.cli.options import (
    data_root_option,
    device_option,
    json_option,
    out_option,
    precision_option,
    seed_option,
)
from gan_eval.cli.output import document, print_json, print_table, say_files
from gan_eval.cli.progress import Watching


@click.command(short_help="See what a discriminator's filters answer to (Figure 5).")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--layer", metavar="N", help="A convolution of D, from 1.  [default: the last]")
@click.option("--n", default=6, show_default=True, help="How many of its maps to draw.")
@click.option("--data", help="Images to look at: a name, folder or .npz.  [default: the RUN's own]")
@data_root_option
@seed_option("Of the untrained discriminator.")
@device_option
@precision_option
@out_option("Where record and figure go.  [default: the RUN's folder]")
@json_option
def filters(run: Path, data_root: Path | None, as_json: bool, **options: Any) -> None:
    """Draw the images that filters answer most strongly, and what in them they answer.

    Left an untrained discriminator's filters, right the RUN's. Labels of the images, where there
    are any, say how selective the filters are.

    \b
    gan-eval filters runs/quickstart
    gan-eval filters runs/svhn --layer 2 --n 8 --data cifar10
    """
    from gan_eval.experiments.filters import filters as run_filters
    from gan_eval.models.runs import Run

    with Watching() as watch:
        found = run_filters(Run(run), root=data_root, watch=watch, **options)
    if as_json:
        print_json(document(found))
        return
    record = found.record
    print_table(
        f"{record.name} on {record.config['data']['name']}",
        ("discriminator", "selectivity", "concentration"),
        (
            (name, _share(scores["selectivity"]), _share(scores["concentration"]))
            for name, scores in (("trained", record.result), *record.controls.items())
        ),
    )
    say_files(found.files)


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
