"""`gan-eval filters`."""

from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.experiment import last_options, show
from gan_eval.cli.options import UserPath, data_root_option, epoch_option
from gan_eval.cli.output import number, print_table


@click.command(short_help="See what a discriminator's filters answer to (Figure 5).")
@click.argument("run", type=UserPath())
@click.option("--layer", metavar="N", help="A convolution of D, from 1.  [default: the last]")
@click.option("--n", default=6, help="How many of its maps to draw.")
@epoch_option
@click.option("--data", help="Images to look at: a name, folder or .npz.  [default: the RUN's own]")
@data_root_option
@last_options(
    seed="Of the untrained discriminator.",
    out="Where record and figure go.  [default: the RUN's folder]",
)
def filters(run: Path, **options: Any) -> None:
    """Draw the images that filters answer most strongly, and what in them they answer.

    Left an untrained discriminator's filters, right the RUN's. Labels of the images, where there
    are any, say how selective the filters are.

    \b
    gan-eval filters runs/quickstart
    gan-eval filters runs/svhn --layer 2 --n 8 --data cifar10
    """
    show(gan_eval.filters, gan_eval.Run(run), _table, **options)


def _table(record: Any) -> None:
    print_table(
        f"{record.name} on {record.config['data']['name']}",
        ("discriminator", "selectivity", "concentration"),
        (
            (name, *(number(scores[score], ".3f") for score in ("selectivity", "concentration")))
            for name, scores in (("trained", record.result), *record.controls.items())
        ),
    )
