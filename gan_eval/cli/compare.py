"""`gan-eval compare`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.options import UserPath, json_option, out_option
from gan_eval.cli.output import print_json, print_table, say


@click.command(short_help="Put two runs side by side: settings and curves.")
@click.argument("run_a", type=UserPath())
@click.argument("run_b", type=UserPath())
@out_option("Where the figure goes.  [default: the folder of RUN_A]")
@json_option
def compare(run_a: Path, run_b: Path, out: Path | None, as_json: bool) -> None:
    """Say in which settings RUN_A and RUN_B differ, and draw both runs' curves in one figure.

    \b
    gan-eval compare runs/first runs/second
    """
    found = gan_eval.compare(gan_eval.Run(run_a), gan_eval.Run(run_b), out)
    files = [str(found.figure.resolve())] if found.figure else []
    if as_json:
        document = asdict(found)
        del document["figure"]
        print_json({**document, "files": files})
        return
    print_table(
        "Settings that differ",
        ("setting", *found.names),
        ((name, *map(_cell, values)) for name, values in found.config.items()),
    )
    print_table(
        "Newest metrics",
        ("metric", *found.names),
        ((name, *map(_cell, values)) for name, values in found.metrics.items()),
    )
    say(f"Written: {files[0]}" if files else "Neither run has metrics: there are no curves.")


def _cell(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return None if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
