"""`gan-eval interpolate`."""

from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.experiment import last_options, show
from gan_eval.cli.options import UserPath, data_root_option, epoch_option
from gan_eval.cli.output import number, print_table

_SCORES = ("path_length", "jump_ratio", "nearest_train_distance")


@click.command(short_help="Walk through Z from sample to sample (Figure 4).")
@click.argument("run", type=UserPath())
@click.option("--frames", default=10, help="From one point to the next, 2 to 1000.")
@click.option("--label", type=int, help="Of all images of a conditional RUN.  [default: the first]")
@epoch_option
@click.option("--data", help="Training images: a name, folder or .npz.  [default: the RUN's own]")
@data_root_option
@last_options(
    seed="Its first nine samples are walked to.",
    out="Where record and pictures go.  [default: the RUN's folder]",
    precision=False,
)
def interpolate(run: Path, **options: Any) -> None:
    """Walk past nine samples and back to the first, straight through Z and along great circles.

    Scores: how fast images change (path length, in squared distances of training images), the
    largest step divided by the mean one, and how near the frames are to training images. Controls
    are the same images faded into each other, the walk of an untrained generator, and the training
    images that are nearest to the frames, one after another.

    \b
    gan-eval interpolate runs/quickstart
    gan-eval interpolate runs/faces --frames 20 --seed 3 --out walk
    """
    show(gan_eval.interpolate, gan_eval.Run(run), _table, **options)


def _table(record: Any) -> None:
    rows = {"straight": record.result, "spherical": record.result["spherical"], **record.controls}
    print_table(
        f"{record.protocol['name']}; distances to images of {record.config['data']['name']}",
        ("walk", *(name.replace("_", " ") for name in _SCORES)),
        (
            (name, *(number(row.get(score), ".3g") for score in _SCORES))
            for name, row in rows.items()
        ),
    )
