"""Stopping after a whole step: all processes when a signal asks, and where an image is broken."""

import contextlib
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import distributed

from gan_eval.devices import gather
from gan_eval.errors import InputError

_Batch = TypeVar("_Batch")


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Note SIGINT and SIGTERM in the list it gives; a second one does what it did before.

    That is to end the program at once, or to break off the cell of a notebook. Of several processes
    it ends each at once, as one that waits for another would not hear Python's own handler. Threads
    beside the main one hear no signals.
    """
    noted: list[int] = []
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        alone = not (distributed.is_available() and distributed.is_initialized())
        signal.signal(number, before[signal.Signals(number)] if alone else signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def highest(fabric: Fabric, *numbers: int) -> list[int]:
    """Return the highest that any of the processes says, of each of `numbers`."""
    if fabric.world_size == 1:
        return list(numbers)
    said = torch.tensor(numbers)
    distributed.all_reduce(said, distributed.ReduceOp.MAX)
    return said.tolist()


def saving(
    batches: Generator[_Batch, None, None], fabric: Fabric, save: Callable[[], None]
) -> Generator[_Batch, None, None]:
    """Yield `batches`; where one of the processes cannot read its own, the first one `save`s.

    Raises:
        InputError: an image cannot be read, by this process or another.
    """
    with contextlib.closing(batches):  # and its workers with it, whenever this one is
        while True:
            refused = ""
            try:
                batch = next(batches)
            except InputError as error:
                refused = str(error)
            if any(highest(fabric, len(refused))):
                unsaved = _failure_of(save) if fabric.is_global_zero else ""
                # A process that raised before the others have heard would keep them waiting.
                heard = gather((refused, unsaved))
                broken = next(text for text, _ in heard if text)
                saved = "What was trained is saved, and --resume goes on."
                raise InputError(f"{broken} {next((text for _, text in heard if text), saved)}")
            yield batch


def _failure_of(save: Callable[[], None]) -> str:
    """Save, and return why that was not possible; "" where it was."""
    try:
        save()
    except (InputError, OSError) as error:
        return str(error)
    return ""
