"""`Images`, the one form in which every data set reaches the rest of the package."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.utils.data import Dataset


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """A set of labelled or unlabelled square uint8 images, held in memory or streamed from disk.

    Images that a network will stretch, and that are all of one size, are as they were: no squares.

    Attributes:
        name: "digits", "cifar10", or the stem of the folder or file.
        split: "train", "val", "test" ... as used.
        source: the layout it was found in, without its path: "cifar-10-batches-py (official)",
            "cifar10.npz", "folder", "embedded".
        pixels: uint8 (n, channels, size, size) on the CPU when held, None when streamed.
        stream: when not held, a map-style data set of (uint8 (channels, size, size), label), with
            label -1 where there is none.
        labels: int64 (n,), None when unlabelled.
        class_names: one name per class; empty when unlabelled.
        attributes: bool (n, k), such as CelebA's 40.
        attribute_names: k names.
        native: (channels, height, width) on disk, None when they differ or nobody looked.
        fit: the rule that made the images square at `size`; None when nothing was changed.
        notes: one line for each conversion that was made.
        fingerprint: "pixels-sha256:" over pixels and labels when held, "names-sha256:" over form,
            names, sizes and labels when streamed; the two kinds cannot be compared.
        listing: "names-sha256:" over form, names and labels: the same whether held or streamed, and
            after a file was mended. Of the set as it was opened: parts of it have the same.
        stamp: of streamed images, a hash of when their files were changed, as their fingerprint is
            of some of them only; "" when held.
    """

    name: str
    split: str
    source: str
    pixels: torch.Tensor | None
    stream: Dataset[torch.Tensor] | None
    labels: torch.Tensor | None
    class_names: tuple[str, ...]
    attributes: torch.Tensor | None
    attribute_names: tuple[str, ...]
    native: tuple[int, int, int] | None
    fit: str | None
    notes: tuple[str, ...]
    fingerprint: str
    listing: str = ""
    stamp: str = ""

    def __len__(self) -> int:
        if self.pixels is not None:
            return len(self.pixels)
        return len(self.stream)  # type: ignore[arg-type]

    @property
    def contents(self) -> str:
        """What changes with any pixel, also where somebody changed those that are held."""
        if self.pixels is not None:
            return fingerprint_pixels(self.pixels, self.labels)
        return f"{self.fingerprint} {self.stamp}".rstrip()

    @property
    def size(self) -> int:
        """Height, and width where they are squares, of every image, in pixels."""
        return self._shape[1]

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (red, green, blue)."""
        return self._shape[0]

    @property
    def num_classes(self) -> int:
        """Number of classes, 0 when unlabelled."""
        return len(self.class_names) if self.labels is not None else 0

    @property
    def empty_classes(self) -> tuple[int, ...]:
        """Labels of the classes that no image is of."""
        if self.labels is None:
            return ()
        counts = self.labels.bincount(minlength=self.num_classes)
        return tuple((counts == 0).nonzero().flatten().tolist())

    @property
    def lie_by_class(self) -> bool:
        """Whether labelled images lie one class after another, as folders of classes do.

        Neighbours then differ in their class less than half as often as in random order.
        """
        if self.labels is None or len(self) < 2:
            return False
        share = self.labels.bincount() / len(self)
        expected = 1 - float(share.square().sum())
        return float((self.labels.diff() != 0).double().mean()) < expected / 2

    @cached_property
    def _shape(self) -> tuple[int, int, int]:
        one = self.take([0])
        return one.shape[1], one.shape[2], one.shape[3]

    def describe(self) -> dict[str, Any]:
        """Return what the images are and what was done to them, JSON-able, as records have it."""
        return {
            "name": self.name,
            "split": self.split,
            "source": self.source,
            "size": self.size,
            **({} if self._shape[2] == self.size else {"width": self._shape[2]}),
            "channels": self.channels,
            "fit": self.fit,
            "n": len(self),
            "notes": list(self.notes),
        }

    def take(self, rows: Iterable[int]) -> torch.Tensor:
        """Return the images at `rows`, held or streamed, as uint8 (m, channels, size, size).

        Those that were stretched are float32 from 0 to 255, unrounded.
        """
        if self.pixels is not None:
            return self.pixels[torch.as_tensor(list(rows), dtype=torch.int64)]
        stream = self.stream
        assert stream is not None
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return torch.stack(list(pool.map(lambda row: stream[row], rows)))


def fingerprint_pixels(pixels: torch.Tensor, labels: torch.Tensor | None) -> str:
    """Return "pixels-sha256:..." over shape and bytes of `pixels`, and over the labels."""
    digest = hashlib.sha256(f"{tuple(pixels.shape)}".encode())
    digest.update(pixels.contiguous().numpy().data)
    if labels is not None:
        digest.update(labels.contiguous().numpy().data)
    return f"pixels-sha256:{digest.hexdigest()}"


def fingerprint_names(identity: Iterable[str], labels: torch.Tensor | None) -> str:
    """Return "names-sha256:..." over the lines of `identity` and the labels."""
    digest = hashlib.sha256()
    for line in identity:
        # Names of files need not be text.
        digest.update(f"{line}\n".encode(errors="surrogateescape"))
    if labels is not None:
        digest.update(labels.contiguous().numpy().data)
    return f"names-sha256:{digest.hexdigest()}"
