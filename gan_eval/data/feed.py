"""The stream of training mini-batches, a pure function of (seed, step), so that resume is exact.

Epoch e visits the images in the order `randperm(n)` drawn from the stream (seed, "data", e), and
drops the last partial batch; step t is batch t mod steps_per_epoch of epoch t // steps_per_epoch.
Of each batch, process `rank` of `world_size` takes the rank-th of `world_size` equal parts.
"""

import signal
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gan_eval import seeding
from gan_eval.data.images_set import Images
from gan_eval.errors import InputError


class Feed:
    """Mini-batches of `images` without end, from any step on.

    Args:
        images: the set; held pixels are moved to `device` once and batched there.
        batch_size: images per step, over all processes.
        seed: from which the order is derived.
        device: where batches are wanted.
        rank: this process's number.
        world_size: number of processes; divides `batch_size`.
        workers: processes that read a streamed set; a held one has none.

    Raises:
        InputError: `batch_size` above the number of images, or not divisible by `world_size`.
    """

    def __init__(
        self,
        images: Images,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 2,
    ) -> None:
        check_batch(len(images), batch_size, world_size)
        self.steps_per_epoch = len(images) // batch_size
        self._images, self._device, self._workers = images, device, workers
        self._order = _Order(len(images), batch_size, seed, rank, world_size)
        self._pixels = None if images.pixels is None else images.pixels.to(device)
        self._labels = None if images.labels is None else images.labels.to(device)

    def batches(self, start: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield the batches of steps `start`, `start` + 1, ... without end.

        Yields:
            uint8 (batch_size // world_size, channels, size, size) and int64 labels
            (batch_size // world_size,), both on the device; None for labels where there are none.
        """
        return self._hold(start) if self._images.stream is None else self._stream(start)

    def _hold(self, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        assert self._pixels is not None
        labels = self._labels
        for rows in self._order.rows_from(start, self._device):
            chosen = None if labels is None else labels.index_select(0, rows)
            yield self._pixels.index_select(0, rows), chosen

    def _stream(self, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        assert self._images.stream is not None
        cuda = self._device.type == "cuda"
        loader = DataLoader(
            _Batches(self._images.stream),
            batch_size=None,  # an item of `_Batches` is a whole batch
            sampler=_Steps(self._order, start),
            num_workers=self._workers,
            pin_memory=cuda,
            generator=seeding.stream(self._order.seed, "workers"),
        )
        for pixels, labels in _started(loader):
            if isinstance(pixels, str):
                raise InputError(pixels)
            there = pixels.to(self._device, non_blocking=cuda)
            yield there, None if self._labels is None else labels.to(self._device)


def _started(loader: DataLoader[Any]) -> Iterator[Any]:
    """Return the iterator of `loader`, whose workers get no SIGTERM or SIGINT: the trainer does.

    Queues, `timeout` and Ctrl-C send them to all, and a worker that ends breaks the step off; the
    trainer saves first. Blocked and not ignored, as workers inherit that from their first moment.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Batches(Dataset[tuple[Tensor | str, Tensor]]):
    """A streamed set read by the batch.

    The message of an InputError comes back in place of the images: raised in a worker process, it
    would reach the user as a traceback.
    """

    def __init__(self, stream: Dataset[tuple[Tensor, int]]) -> None:
        self.stream = stream

    def __getitem__(self, rows: list[int]) -> tuple[Tensor | str, Tensor]:
        try:
            pixels, labels = zip(*(self.stream[row] for row in rows), strict=True)
        except InputError as error:
            return str(error), torch.empty(0)
        return torch.stack(pixels), torch.tensor(labels)


class _Order:
    """Which rows of the set each step of this process takes."""

    def __init__(self, count: int, batch_size: int, seed: int, rank: int, world_size: int) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.share = batch_size // world_size
        self.shift = rank * self.share

    def rows_from(self, start: int, device: torch.device) -> Iterator[Tensor]:
        """Yield int64 (share,) on `device`: the rows of steps `start`, `start` + 1, ..."""
        steps = self.count // self.batch_size
        epoch, step = divmod(start, steps)
        while True:
            order = torch.randperm(self.count, generator=seeding.stream(self.seed, "data", epoch))
            order = order.to(device)
            for begin in range(step * self.batch_size, steps * self.batch_size, self.batch_size):
                yield order[begin + self.shift :][: self.share]
            epoch, step = epoch + 1, 0


class _Steps(Sampler[list[int]]):
    """`_Order` as the sampler of a loader: lists of rows, a batch each."""

    def __init__(self, order: _Order, start: int) -> None:
        self.order, self.start = order, start

    def __iter__(self) -> Iterator[list[int]]:
        for rows in self.order.rows_from(self.start, torch.device("cpu")):
            yield rows.tolist()


def check_batch(count: int, batch_size: int, world_size: int) -> None:
    """Check that mini-batches of `batch_size` can be cut from `count` images for the processes.

    Raises:
        InputError: the batch is larger than the data, cannot be shared out evenly, or leaves a
            process less than two images.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1. Got {batch_size}; pass 64 or 128.")
    if batch_size > count:
        raise InputError(
            f"batch_size must be at most the number of images ({count}): the batch is larger than "
            f"the data. Got {batch_size}; pass {count} or less."
        )
    if batch_size % world_size:
        raise InputError(
            f"batch_size must be divisible by the number of processes ({world_size}). "
            f"Got {batch_size}; pass --batch-size {-(-batch_size // world_size) * world_size}."
        )
    if batch_size < 2 * world_size:
        raise InputError(
            f"batch_size must leave each of {world_size} processes at least 2 images, for batch "
            f"normalisation. Got {batch_size}; pass --batch-size {2 * world_size} or more."
        )
