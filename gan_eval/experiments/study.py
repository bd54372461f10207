"""What every experiment begins and ends with: where it computes and writes, and its record."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_eval.devices import freed_memory_kept, resolve_device
from gan_eval.errors import InputError
from gan_eval.files import StrPath, check_folder
from gan_eval.models.runs import Run
from gan_eval.precision import Precision, own_settings, resolve_precision
from gan_eval.records import Record

# Called with what is being done, how far that is and how far it has to go.
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Study:
    """An experiment under way.

    Attributes:
        folder: where record and pictures go.
        seed: of all randomness.
        device, precision: resolved ones; the second is that of networks' products.
        watch: is told of the progress.
    """

    folder: Path
    seed: int
    device: str
    precision: Precision
    watch: Watch
    started: float = field(default_factory=time.perf_counter)

    def record(self, **found: Any) -> Record:
        """Return the record of what was `found`, with all that the study itself knows."""
        trained = found["config"].get("trained") or {}
        return Record(
            **found,
            deviations=tuple(trained.get("deviations", ())),
            seed=self.seed,
            device=self.device,
            precision=self.precision,
            seconds=round(time.perf_counter() - self.started, 3),
        )


@contextmanager
def at_work() -> Iterator[None]:
    """Set torch and glibc as experiments need them, and put back what the caller has set."""
    with own_settings(), freed_memory_kept():
        yield


def check_run(run: object) -> None:
    """Refuse the path of a run in place of it."""
    if not isinstance(run, Run):
        raise InputError(f"run must be a gan_eval.Run. Got {run!r}; pass gan_eval.Run({run!r}).")


def begin(
    out: StrPath | None,
    run: Run | None = None,
    *,
    seed: int,
    device: str,
    watch: Watch,
    precision: str = "32",
) -> Study:
    """Return a study whose folder can be written to; nothing is written yet.

    Args:
        out: None takes the folder of `run`, or "results" without one.
        run: what is studied.
        device: "auto", "cuda", "mps" or "cpu".
        precision: "auto", "32" or "bf16".

    Raises:
        InputError: there is no such run or device, or nothing can be written to the folder.
    """
    if run is not None:
        check_run(run)
        run.config()
    device = resolve_device(device)
    return Study(
        folder=check_folder(out or (run.folder if run else Path("results"))),
        seed=seed,
        device=device,
        precision=resolve_precision(precision, device),
        watch=watch,
    )
