"""Progress of long work: a bar with rate and time left on a terminal, plain lines when piped."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gan_eval.cli.output import say

# Between two lines about one piece of work.
_LINE_SECONDS = 15.0


class Watching:
    """Shows whatever it is told of: `watch("disc: fits", 3, 17)`."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description} {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._what, self._task = "", TaskID(0)
        self._since = self._said = 0.0
        self._first = 0

    def __enter__(self) -> "Watching":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `what` are done."""
        now = time.perf_counter()
        if what != self._what:
            self._begin(what, done, total, now)
        seconds = now - self._since
        each = (done - self._first) / seconds if seconds > 0 else 0.0
        rate = f"{each:.{0 if each >= 10 else 1}f}/s" if each else ""
        if not self._bar.disable:
            self._bar.update(self._task, completed=done, rate=rate)
        elif done == total or now - self._said > _LINE_SECONDS:
            self._said = now
            say(f"{what} {done}/{total}  {rate}".rstrip())

    def _begin(self, what: str, done: int, total: int, now: float) -> None:
        if self._what and not self._bar.disable:
            self._bar.remove_task(self._task)
        self._what, self._since, self._said, self._first = what, now, now, done
        self._task = self._bar.add_task(what, total=total, rate="")
