"""`gan-eval dropout`."""

from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.experiment import last_options, show
from gan_eval.cli.options import UserPath, data_root_option, epoch_option
from gan_eval.cli.output import number, percent, print_table, say

_COLUMNS = (
    "maps dropped", "number", "seen before, %", "after", "still", "gained", "feature distance",
)  # fmt: skip


@click.command(short_help="Let a generator forget to draw an object (Figure 6).")
@click.argument("run", type=UserPath())
@click.option(
    "--boxes",
    type=UserPath(),
    help='JSON with boxes around the object, in pixels: [{"z": 12, "box": [x0, y0, x1, y1]}, ...]. '
    "z is a number of `gan-eval sample --contact-sheet`.",
)
@click.option(
    "--object",
    "attribute",
    help="An attribute or class of the data: it finds boxes where none are given, and scores.",
)
@click.option(
    "--layer", metavar="N", help="Of the generator's maps.  [default: the second-highest]"
)
@click.option("--label", type=int, help="Of conditional runs.  [default: the first]")
@epoch_option
@click.option("--data", help="Labelled images: a name, folder or .npz.  [default: the RUN's own]")
@data_root_option
@last_options(
    seed="Of samples, negatives and random maps.",
    out="Where record, figure and found boxes go.  [default: the RUN's folder]",
)
def dropout(run: Path, **options: Any) -> None:
    """Drop the generator's maps that tell where an object is, and draw the same z again.

    Scores: in how many samples a classifier of real images sees the object before and after, how
    many of those that showed it still do, and what it cost. Controls drop as many others.

    \b
    gan-eval dropout runs/faces --object Eyeglasses --data celeba
    gan-eval dropout runs/bedrooms --boxes windows.json
    """
    show(gan_eval.dropout, gan_eval.Run(run), _table, **options)


def _table(record: Any) -> None:
    rows = {"of positive weight": record.result, **record.controls}
    print_table(
        f"{record.name}: {record.config['maps']} maps, {record.config['boxes']} boxes",
        _COLUMNS,
        ((name.replace("_", " "), *_cells(result)) for name, result in rows.items()),
    )
    for judge in record.config["judged_by"]:
        hits, false = (percent(judge[name]) for name in ("hits", "false_alarms"))
        say(
            f"{record.result['shown']} samples show it before. {judge['attribute']} is seen in "
            f"{hits} % of real images with it and in {false} % of those without."
        )


def _cells(result: dict[str, Any]) -> tuple[str | None, ...]:
    return (
        f"{result['maps_dropped']:g}",
        *(percent(result[name]) for name in ("before", "after", "still", "gained")),
        number(result["feature_distance"], ".3g"),
    )
