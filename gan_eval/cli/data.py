"""`gan-eval data`."""

from pathlib import Path

import click

from gan_eval.cli.output import json_option, print_json, print_table


@click.command(short_help="Say which data sets are found on this machine.")
@click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    envvar="GAN_EVAL_DATA",
    help="Where named data sets lie.  [env: GAN_EVAL_DATA]",
)
@json_option
def data(data_root: Path | None, as_json: bool) -> None:
    """Say which data sets are found under the data root, in which layout, and what the rest need.

    \b
    gan-eval data --data-root ~/data
    """
    from gan_eval.data import inventory

    rows = inventory(data_root)
    if as_json:
        print_json(rows)
        return
    print_table(
        f"Data under {data_root or 'no root: pass --data-root or set GAN_EVAL_DATA'}",
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
