"""What a reader hands over: where the images are and what is known of them, nothing decoded yet."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch

from gan_eval.errors import InputError, one_line

Array = np.ndarray[Any, np.dtype[Any]]
_HASHED = 1000  # rows of an array that is not held, that its fingerprint looks at


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the images of a set are before they are fitted.

    Attributes:
        channels: 3 where any image is in colour, else 1.
        sizes: the smallest and the largest (height, width); None when nobody looked.
        modes: images per Pillow mode; empty for arrays and where nobody looked.
        mixed: whether sizes or channels differ from image to image (or may).
    """

    channels: int
    sizes: tuple[tuple[int, int], tuple[int, int]] | None
    modes: Mapping[str, int] = field(default_factory=dict)
    mixed: bool = False

    @property
    def native(self) -> tuple[int, int, int] | None:
        """(channels, height, width) on disk, None when mixed."""
        return None if self.mixed or self.sizes is None else (self.channels, *self.sizes[0])

    @property
    def side(self) -> int | None:
        """The side of every image where all are squares of one size, else None."""
        if self.sizes is None or self.sizes[0] != self.sizes[1]:
            return None
        height, width = self.sizes[0]
        return height if height == width else None


class Rows(Protocol):
    """A sequence of images that can be read one at a time, in any order, from any process."""

    def __len__(self) -> int: ...

    def first(self, count: int) -> Self:
        """Return the first `count` rows."""
        ...

    def survey(self) -> Survey:
        """Return what the images are, or what they are known to be."""
        ...

    def image(self, index: int) -> torch.Tensor:
        """Return one image as uint8 (1 or 3, height, width), as it is on disk."""
        ...

    def names(self) -> Iterator[str]:
        """Yield what its images are called."""
        ...

    def identity(self) -> Iterator[str]:
        """Yield what tells this set from another at a glance: names, sizes, some contents."""
        ...

    def changed(self) -> Iterator[int]:
        """Yield when each of the files was last changed, in ns; nothing of what is in memory."""
        ...


def spread(n: int, wanted: int) -> range:
    """Return at most `wanted` of n rows, from the first on and evenly spread."""
    return range(0, n, max(1, -(-n // wanted)))


class BlockRows:
    """Rows that lie side by side in one uint8 array, and are read many at a time."""

    name: str
    shape: tuple[int, int, int, int]  # (n, channels, height, width)

    def __len__(self) -> int:
        return self.shape[0]

    def block(self, start: int, stop: int) -> torch.Tensor:
        """Return rows [start, stop) as uint8 (m, channels, height, width)."""
        raise NotImplementedError

    def image(self, index: int) -> torch.Tensor:
        """Return one image as uint8 (channels, height, width)."""
        return self.block(index, index + 1)[0]

    def survey(self) -> Survey:
        """Return what the images are; an array's shape says it all."""
        _, channels, height, width = self.shape
        return Survey(channels=channels, sizes=((height, width), (height, width)))

    def changed(self) -> Iterator[int]:
        """Yield nothing; what lies in a file says when that was changed."""
        yield from ()

    def names(self) -> Iterator[str]:
        """Yield the array's name and shape."""
        yield f"{self.name} {self.shape}"

    def identity(self) -> Iterator[str]:
        """Yield the array's name and shape, and a hash of some rows."""
        yield from self.names()
        digest = hashlib.sha256()
        for row in spread(len(self), _HASHED):
            digest.update(self.image(row).contiguous().numpy().data)
        yield digest.hexdigest()


class ArrayRows(BlockRows):
    """An array in memory, seen as (n, channels, height, width)."""

    def __init__(self, name: str, array: Array) -> None:
        self.name = name
        self.array = array if array.flags.writeable else array.copy()
        self.shape = (array.shape[0], array.shape[1], array.shape[2], array.shape[3])

    def first(self, count: int) -> "ArrayRows":
        """Return the first `count` rows."""
        return ArrayRows(self.name, self.array[:count])

    def block(self, start: int, stop: int) -> torch.Tensor:
        """Return rows [start, stop) as a view."""
        return torch.from_numpy(self.array[start:stop])

    def identity(self) -> Iterator[str]:
        """Yield name and shape, and a hash of some rows and of all of them, which are at hand."""
        yield from super().identity()
        yield hashlib.sha256(np.ascontiguousarray(self.array).data).hexdigest()


class DiskRows(BlockRows):
    """An uncompressed array inside a file, mapped anew at each read: nothing stays in memory.

    Args:
        path: the file.
        offset: bytes before the first value.
        layout: the array's four dimensions as stored.
        axes: where n, channels, height and width are among them.
    """

    def __init__(
        self, path: Path, offset: int, layout: tuple[int, ...], axes: tuple[int, int, int, int]
    ) -> None:
        self.path, self.offset, self.layout, self.axes = path, offset, layout, axes
        self.name = path.name
        self.shape = (layout[axes[0]], layout[axes[1]], layout[axes[2]], layout[axes[3]])

    def first(self, count: int) -> "DiskRows":
        """Return the first `count` rows."""
        return DiskRows(self.path, self.offset, (count, *self.layout[1:]), self.axes)

    def block(self, start: int, stop: int) -> torch.Tensor:
        """Return a copy of rows [start, stop)."""
        try:
            stored = np.memmap(self.path, np.uint8, "r", self.offset, self.layout)
        except (OSError, ValueError) as error:  # it was whole when it was opened
            raise InputError(
                f"{self.path} must stay whole while it is read. Got {one_line(error)}; restore it."
            ) from error
        return torch.from_numpy(np.array(stored[start:stop].transpose(self.axes), order="C"))

    def identity(self) -> Iterator[str]:
        """Yield the file's name and size, the array's shape, and a hash of some rows."""
        yield f"{self.name} {self.path.stat().st_size} {self.offset} {self.shape}"
        yield from super().identity()

    def changed(self) -> Iterator[int]:
        """Yield when the file was changed."""
        yield self.path.stat().st_mtime_ns


@dataclass(frozen=True, kw_only=True)
class Source:
    """A set as a reader found it: the fields of `Images`, before fitting and decoding."""

    rows: Rows
    name: str = ""
    split: str = ""
    source: str = ""
    labels: Array | None = None  # integers (n,)
    class_names: tuple[str, ...] = ()
    attributes: Array | None = None  # bool (n, k)
    attribute_names: tuple[str, ...] = ()
