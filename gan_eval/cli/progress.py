"""Progress of long work: a bar with rate and time left on a terminal, plain lines when piped."""

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gan_eval.cli.output import say

# Between two lines about one piece of work.
_LINE_SECONDS = 15.0


class _Bar(Progress):
    """A bar with time left on a terminal, nothing when piped."""

    def __init__(self, shown: bool = True) -> None:
        super().__init__(
            TextColumn("{task.description} {task.completed}/{task.total}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[about]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
            transient=True,
        )


class Watching(_Bar):
    """Shows whatever it is told of: `watch("disc: fits", 3, 17)`."""

    def __init__(self) -> None:
        super().__init__()
        self._what, self._task = "", TaskID(0)
        self._since = self._said = 0.0
        self._first = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `what` are done."""
        now = time.perf_counter()
        if what != self._what:
            self._begin(what, done, total, now)
        seconds = now - self._since
        each = (done - self._first) / seconds if seconds > 0 else 0.0
        rate = f"{each:.{0 if each >= 10 else 1}f}/s" if each else ""
        if not self.disable:
            self.update(self._task, completed=done, about=rate)
        elif done == total or now - self._said > _LINE_SECONDS:
            self._said = now
            say(f"{what} {done}/{total}  {rate}".rstrip())

    def _begin(self, what: str, done: int, total: int, now: float) -> None:
        if self._what:
            self.remove_task(self._task)
        self._what, self._since, self._said, self._first = what, now, now, done
        self._task = self.add_task(what, total=total, about="")


class TrainingProgress(_Bar):
    """A bar with rate and time left on a terminal, a plain line per row of metrics when piped."""

    def __init__(self, total: int, batch_size: int, shown: bool = True) -> None:
        super().__init__(shown)
        self._total, self._batch_size = total, batch_size
        self._task = self.add_task("step", total=total, about="")

    def step(self, done: int) -> None:
        """Move the bar to `done` steps."""
        self.update(self._task, completed=done)

    def row(self, row: dict[str, Any]) -> None:
        """Show a row of metrics."""
        losses = "  ".join(
            f"{name} {row[name]:.3f}" for name in ("d_loss", "g_loss") if name in row
        )
        text = f"epoch {row['epoch']:.2f}  {losses}  {row['images_per_second']:.0f} images/s"
        if self.disable:
            images = (self._total - row["step"]) * self._batch_size
            left = _left(images / max(row["images_per_second"], 1e-9))
            say(f"step {row['step']}/{self._total}  {text}  {left}")
        else:
            self.update(self._task, about=text)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.console.print(f"Warning: {text}", markup=False, soft_wrap=True)


def _left(seconds: float) -> str:
    return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"
