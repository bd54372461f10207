"""The stream of training mini-batches, a pure function of (seed, step), so that resume is exact.

Epoch e visits the images in the order `randperm(n)` drawn from the stream (seed, "data", e), and
drops the last partial batch; step t is batch t mod steps_per_epoch of epoch t // steps_per_epoch.
Of each batch, process `rank` of `world_size` takes the rank-th of `world_size` equal parts.
"""

import signal
from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gan_eval import seeding
from gan_eval.data.images_set import Images
from gan_eval.errors import InputError

# uint8 images and their labels, if they have any.
Batches = Generator[tuple[Tensor, Tensor | None], None, None]


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
        self._images, self._device, self._workers, self._seed = images, device, workers, seed
        self._batch_size, self._rank, self._world_size = batch_size, rank, world_size
        self._pixels = None if images.pixels is None else images.pixels.to(device)
        self._labels = None if images.labels is None else images.labels.to(device)

    def batches(self, start: int = 0) -> Batches:
        """Yield the batches of steps `start`, `start` + 1, ... without end.

        Yields:
            uint8 (batch_size // world_size, channels, size, size) and int64 labels
            (batch_size // world_size,), both on the device; None for labels where there are none.
        """
        return self._hold(start) if self._images.stream is None else self._stream(start)

    def _hold(self, start: int) -> Batches:
        assert self._pixels is not None
        for rows in self._rows(start, self._device):
            yield self._pixels.index_select(0, rows), self._labels_of(rows)

    def _rows(self, start: int, device: torch.device | str = "cpu") -> Iterator[Tensor]:
        """Yield int64 (share,) on `device`: the rows that steps `start`, `start` + 1 ... take."""
        count, size = len(self._images), self._batch_size
        steps, share = count // size, size // self._world_size
        epoch, step = divmod(start, steps)
        while True:
            source = seeding.stream(self._seed, "data", epoch)
            order = torch.randperm(count, generator=source).to(device)
            for begin in range(step * size, steps * size, size):
                yield order[begin + self._rank * share :][:share]
            epoch, step = epoch + 1, 0

    def _labels_of(self, rows: Tensor) -> Tensor | None:
        return None if self._labels is None else self._labels.index_select(0, rows)

    def _stream(self, start: int) -> Batches:
        assert self._images.stream is not None
        cuda = self._device.type == "cuda"
        loader = DataLoader(
            _Batches(self._images.stream),
            batch_size=None,  # an item of `_Batches` is a whole batch
            sampler=(rows.tolist() for rows in self._rows(start)),
            num_workers=self._workers,
            pin_memory=cuda,
            generator=seeding.stream(self._seed, "workers"),
        )
        for rows, pixels in zip(self._rows(start, self._device), _started(loader), strict=False):
            if isinstance(pixels, str):
                raise InputError(pixels)
            yield pixels.to(self._device, non_blocking=cuda), self._labels_of(rows)


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


class _Batches(Dataset[Tensor | str]):
    """A streamed set read by the batch.

    The message of an InputError comes back in place of the images: raised in a worker process, it
    would reach the user as a traceback.
    """

    def __init__(self, stream: Dataset[Tensor]) -> None:
        self.stream = stream

    def __getitem__(self, rows: list[int]) -> Tensor | str:
        try:
            return torch.stack([self.stream[row] for row in rows])
        except InputError as error:
            return str(error)


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
