"""`gan-eval data`."""

from pathlib import Path

import click

from gan_eval.cli.options import data_root_option, json_option
from gan_eval.cli.output import print_json, print_table


@click.command(short_help="Say which data sets are found on this machine.")
@data_root_option
@json_option
def data(data_root: Path | None, as_json: bool) -> None:
    """Say which data sets are found under the data root, in which layout, and what the rest need.

    \b
    gan-eval data --data-root ~/data
    """
    from gan_eval.data import inventory, registry

    rows, root = inventory(data_root), registry.data_root(data_root)
    if as_json:
        print_json(rows)
        return
    print_table(
        f"Data under {root or 'no root: pass --data-root or set GAN_EVAL_DATA'}",
        ("name", "found", "images, or what to put under the root"),
        (
            (
                row["name"],
                row["source"],
                ", ".join(f"{split} {count}" for split, count in row["splits"].items())
                if row["found"]
                else row["needs"],
            )
            for row in rows
        ),
    )
