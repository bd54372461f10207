"""Data without some of their training images, as a new .npz."""

from collections.abc import Callable, Mapping
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
# Takes the new file and which training images stay, int64 (m,).
Write = Callable[[Path, Tensor], None]


def writer_of(data: StrPath, root: StrPath | None) -> tuple[Write, tuple[str, ...]]:
    """Return what writes `data`, as `open_images` takes them, with some training images alone.

    All arrays of an .npz go along; of another layout "val" and "test", where there are any. With it
    comes a line on arrays that may be of the training images, but not by their names.

    Raises:
        InputError: they are a damaged .npz, or none and their images no squares of one size.
    """
    source = npz_of(data, root)
    if source is None:
        return partial(_write_parts, _opened(data, root)), ()
    check_whole(source)
    keys = unnamed_arrays(source, "train")
    line = (
        f"{', '.join(keys)} of {source} went along whole: an array with a row for each training "
        "image must be called train_NAME to lose the duplicates' rows."
    )
    return lambda path, rows: write_rows(source, path, "train", rows), (line,) if keys else ()


def _write_parts(parts: Mapping[str, Images], path: Path, rows: Tensor) -> None:
    kept = {split: torch.arange(len(images)) for split, images in parts.items()} | {"train": rows}
    write_images(path, {split: (images, kept[split]) for split, images in parts.items()})


def _opened(data: StrPath, root: StrPath | None) -> dict[str, Images]:
    """Return the parts that there are, images at their own size, not held."""
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
