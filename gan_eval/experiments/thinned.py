"""Data without some of their training images, as a new .npz."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gan_eval.data import Images, open_images
from gan_eval.data.arrays import check_whole
from gan_eval.data.export import unnamed_arrays, write_images, write_rows
from gan_eval.data.registry import npz_of
from gan_eval.errors import InputError
from gan_eval.experiments.parts import check_same_classes, if_there
from gan_eval.files import StrPath

_PARTS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class Whole:
    """Data that can be written again, found out before anything takes long.

    Attributes:
        source: the .npz that they are read from; None where they are in another layout.
        parts: of another layout, images at their own size, not held.
    """

    source: Path | None
    parts: Mapping[str, Images]

    @classmethod
    def of(cls, data: str, root: StrPath | None) -> "Whole":
        """Return `data`, as `open_images` takes them.

        Raises:
            InputError: they are a damaged .npz, or none and their images no squares of one size.
        """
        source = npz_of(data, root)
        if source:
            check_whole(source)
        return cls(source=source, parts={} if source else _opened(data, root))

    def advice(self) -> tuple[str, ...]:
        """Return a line on arrays that may be of the training images, but not by their names."""
        keys = unnamed_arrays(self.source, "train") if self.source else []
        if not keys:
            return ()
        return (
            f"{', '.join(keys)} of {self.source} went along whole: an array with a row for each "
            "training image must be called train_NAME to lose the duplicates' rows.",
        )

    def write(self, path: Path, rows: Tensor) -> None:
        """Write the data with training images `rows` alone, int64 (m,).

        All arrays of an .npz go along; of another layout "val" and "test", where there are any.
        """
        if self.source is not None:
            write_rows(self.source, path, "train", rows)
            return
        kept = {split: torch.arange(len(images)) for split, images in self.parts.items()}
        kept["train"] = rows
        write_images(path, {split: (images, kept[split]) for split, images in self.parts.items()})


def _opened(data: str, root: StrPath | None) -> dict[str, Images]:
    """Return the parts that there are."""
    opened = partial(open_images, data, root=root, memory=0)
    try:
        found = {split: if_there(opened, split) for split in _PARTS}
    except InputError as error:
        raise InputError(
            "--write takes squares of one size; leave it out, and the groups say which images to "
            f"leave out. {error}"
        ) from error
    parts = {split: images for split, images in found.items() if images is not None}
    for images in parts.values():
        if images.class_names and parts["train"].class_names:  # which are written for all
            check_same_classes(images, parts["train"])
    return parts
