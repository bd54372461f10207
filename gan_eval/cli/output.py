"""What commands print: tables for people, one JSON document for programs, progress for both."""

import json
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on standard output."
)


def say(text: str) -> None:
    """Print a line for people, on standard error, where it never disturbs a result."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document of standard output."""
    click.echo(json.dumps(value, indent=2))


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table as wide as it needs on standard output."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("–" if value is None else str(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


class TrainingProgress:
    """A bar with rate and time left on a terminal, a plain line per row of metrics when piped."""

    def __init__(self, total: int, batch_size: int, shown: bool = True) -> None:
        self._bar = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
            transient=True,
        )
        self._total, self._batch_size = total, batch_size
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def step(self, done: int) -> None:
        """Move the bar to `done` steps."""
        self._bar.update(self._task, completed=done)

    def row(self, row: dict[str, Any]) -> None:
        """Show a row of metrics."""
        losses = "  ".join(
            f"{name} {row[name]:.3f}" for name in ("d_loss", "g_loss") if name in row
        )
        text = f"epoch {row['epoch']:.2f}  {losses}  {row['images_per_second']:.0f} images/s"
        if self._bar.disable:
            images = (self._total - row["step"]) * self._batch_size
            left = _left(images / max(row["images_per_second"], 1e-9))
            say(f"step {row['step']}/{self._total}  {text}  {left}")
        else:
            self._bar.update(self._task, description=text)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._bar.console.print(f"Warning: {text}", markup=False, soft_wrap=True)


def _left(seconds: float) -> str:
    return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"
