"""`gan-eval neighbors`."""

from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.experiment import last_options, show
from gan_eval.cli.options import UserPath, data_root_option, kept_epoch
from gan_eval.cli.output import print_table, say


@click.command(short_help="Classify by the nearest generated sample (Table 3).")
@click.argument("run", type=UserPath())
@click.option("--data", help="Labelled: a name, folder or .npz.  [default: the RUN's own]")
@data_root_option
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=50_000,
    help="Generated images; none is kept.",
)
@click.option(
    "--memorisation-only",
    is_flag=True,
    help="Only look for copies of training images; for unconditional RUNs and unlabelled data too.",
)
@click.option(
    "--epoch",
    callback=kept_epoch,
    metavar="N|best",
    help="A kept epoch, or the best that was measured while training.  [default: the one with the"
    " lowest error on validation images; the newest with --memorisation-only]",
)
@last_options(seed=None, out="Where record and picture go.  [default: the RUN's folder]")
def neighbors(run: Path, **options: Any) -> None:
    """Give test images the label of the nearest generated sample, and look for copied images.

    Controls are the real training images and an untrained generator. What is broken off goes on
    from its last 100,000 samples when it is called again.

    \b
    gan-eval neighbors runs/mnist --data mnist --samples 50000
    gan-eval neighbors runs/faces --memorisation-only
    """
    show(gan_eval.neighbors, gan_eval.Run(run), _tables, **options)


def _tables(record: Any) -> None:
    sides = {"generator": record.result, **record.controls}
    if "error" in record.result:
        _print_errors(sides, record.config["data"]["name"])
    print_table(
        "Root mean square distance to the nearest training image, pixels in [0, 1]",
        ("images", "number", "mean", "median", "least", "nearer than real ones, %"),
        ((name, *_copied(side["memorisation"])) for name, side in sides.items()),
    )
    if record.config["validation_errors"]:
        epoch = record.config["trained"]["epoch"]
        say(f"Chosen on validation images: epoch {epoch or 'newest'}.")


def _print_errors(sides: dict[str, Any], data: str) -> None:
    curves = {name: dict(side["curve"]) for name, side in sides.items()}
    points = sorted({point for curve in curves.values() for point in curve})
    print_table(
        f"{data}: test error in %",
        ("nearest of", *(f"{point:,}" for point in points)),
        (
            (name, *(None if p not in curve else f"{100 * curve[p]:.2f}" for p in points))
            for name, curve in curves.items()
        ),
    )


def _copied(found: dict[str, float]) -> tuple[str, ...]:
    numbers = (f"{found[name]:.4f}" for name in ("mean", "median", "least"))
    return (f"{found['n']}", *numbers, f"{100 * found['nearer_than_real']:.1f}")
