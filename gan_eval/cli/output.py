"""What commands print: tables for people, one JSON document for programs."""

import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gan_eval.files import legible


def say(text: str) -> None:
    """Print a line for people, on standard error, where it never disturbs a result.

    That nobody reads it any more, as behind `2>&1 | head`, ends no work.
    """
    with suppress(BrokenPipeError):
        click.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document of standard output."""
    click.echo(json.dumps(value, indent=2))


def document(found: Any) -> dict[str, Any]:
    """Return what an experiment found for `--json`: its record, and where it was written.

    `files` are the pictures and `other_files` the rest, as absolute paths.
    """
    pictures = [path for path in found.files if path.suffix in (".png", ".gif", ".mp4")]
    others = [path for path in found.files if path not in pictures]
    return {
        **found.record.to_json(),
        "files": [str(path.resolve()) for path in pictures],
        "other_files": [str(path.resolve()) for path in others],
    }


def say_files(files: Iterable[Path]) -> None:
    """Say which files were written."""
    say(f"Written: {', '.join(str(path.resolve()) for path in files)}")


def percent(share: float | None) -> str | None:
    """Return a fraction in percent, with one decimal; None stays."""
    return None if share is None else f"{100 * share:.1f}"


def number(value: float | None, form: str) -> str | None:
    """Return a number as `form` has it; None stays."""
    return None if value is None else f"{value:{form}}"


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table as wide as it needs on standard output, names in it as they are.

    As plain strings, rich would read `[x]` as a style and `disc:a:` as a picture of an A.
    """
    table = Table(title=Text(legible(title)), title_justify="left")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text("–" if value is None else legible(str(value))) for value in row))
    Console(width=None if sys.stdout.isatty() else 140).print(table)
