"""`gan-eval dedup`."""

from typing import Any

import click

import gan_eval
from gan_eval.cli.experiment import last_options, show
from gan_eval.cli.options import UserPath, data_root_option
from gan_eval.cli.output import percent, print_table

_COLUMNS = (
    "hash", "radius", "copies found %", "false positives %", "by chance %", "wrong of called %",
)  # fmt: skip


@click.command(short_help="Find duplicates among training images (section 4.1.1).")
@click.argument("data")
@data_root_option
@click.option(
    "--radius",
    type=int,
    help="Bits of 128 in which duplicates differ at most, 0 to 23.  [default: chosen]",
)
@click.option(
    "--write",
    type=UserPath(),
    help="A new .npz for the data without the duplicates.",
)
@last_options(
    seed="Of the autoencoder and of planted copies.",
    out="Where record, groups and figure go.  [default: results]",
    precision=False,
)
def dedup(data: str, **options: Any) -> None:
    """Find groups of near-duplicates among the training images of DATA, and say how surely.

    DATA is a name, a folder or an .npz, and stays as it is. Planted copies tell how many duplicates
    are found; images without one, how many are wrongly taken for duplicates.

    \b
    gan-eval dedup cifar10
    gan-eval dedup photos.npz --write photos-once.npz
    gan-eval dedup cifar10 --radius 0
    """
    show(gan_eval.dedup, data, _table, **options)


def _table(record: Any) -> None:
    rows = {"groups": record.result, **record.controls}
    print_table(
        f"{record.config['data']['name']}: {record.result['duplicates']} duplicates of others in "
        f"{len(record.result['groups'])} groups, of {record.config['data']['n']} images",
        (
            "hash",
            "radius",
            "copies found %",
            "false positives %",
            "by chance %",
            "wrong of called %",
        ),
        ((name, *_rates(rates)) for name, rates in rows.items()),
    )


def _rates(rates: dict[str, Any]) -> tuple[Any, ...]:
    names = (
        "planted_recall", "false_positive_rate", "false_positive_estimate", "false_of_called"
    )  # fmt: skip
    return rates["radius"], *(percent(rates[name]) for name in names)
