"""Images written as an .npz that `--data` reads again: the counterpart of `arrays`."""

import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from gan_eval.data.arrays import Member, npz_counts, read_array, read_members
from gan_eval.data.images_set import Images
from gan_eval.files import write_whole

_BLOCK = 512  # images written at a time
_NAMES = ("class_names", "attribute_names")


def write_arrays(path: Path, images: Tensor, labels: Tensor | None) -> None:
    """Write uint8 `images` (n, channels, h, w) and int64 `labels` (n,) as the train split."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    arrays: dict[str, Any] = {"train_images": pixels[..., 0] if pixels.shape[-1] == 1 else pixels}
    if labels is not None:
        arrays["train_labels"] = labels.numpy()
    write_whole(path, lambda temporary: np.savez_compressed(temporary, **arrays))


def write_images(path: Path, parts: Mapping[str, tuple[Images, Tensor]]) -> None:
    """Write the named parts, each the images at int64 rows (m,), with labels and attributes.

    Uncompressed and block by block: in reading as in writing, images need not fit into memory.
    """

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for split, (images, rows) in parts.items():
                with _member(archive, f"{split}_images") as file:
                    _write_pixels(file, images, rows)
                for key, values in _annotations(split, images, rows).items():
                    with _member(archive, key) as file:
                        npy.write_array(file, values, allow_pickle=False)

    write_whole(path, write)


def write_rows(source: Path, path: Path, split: str, rows: Tensor) -> None:
    """Write the .npz `source` again with images `rows`, int64 (m,), of one split alone.

    So are all arrays `<split>_*` with a row for each of its images; others stay as they are. Images
    of an uncompressed file are copied block by block.
    """
    members = read_members(source)
    thinned = _with_rows(members, split, of=split)

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(source) as whole, zipfile.ZipFile(temporary, "w") as archive:
            for name in whole.namelist():
                key = name.removesuffix(".npy")
                with _member(archive, key) as file, whole.open(name) as same:
                    if key in thinned:
                        _write_part(file, source, members[key], rows)
                    else:
                        shutil.copyfileobj(same, file)

    write_whole(path, write)


def unnamed_arrays(source: Path, split: str) -> list[str]:
    """Return the keys of arrays as long as a split of the .npz `source`, but of no split by name.

    They may have a row for each of its images: nobody knows.
    """
    as_long = _with_rows(read_members(source), split, of="")
    return [key for key in as_long if key not in _NAMES]


def _with_rows(members: Mapping[str, Member], split: str, of: str) -> list[str]:
    """Return the keys `of` a split, or "" of none, with as many rows as `split` has images."""
    splits = npz_counts(members)
    return [
        key
        for key, member in members.items()
        if member.shape[:1] == (splits[split],) and _split_of(key, splits) == of
    ]


def _split_of(key: str, splits: Iterable[str]) -> str:
    """Return the split that an array is of by its key, "" for none.

    "train_extra_images" are of "train_extra" where there is one, not of "train".
    """
    return max((split for split in splits if key.startswith(f"{split}_")), key=len, default="")


def _write_part(file: IO[bytes], source: Path, member: Member, rows: Tensor) -> None:
    """Write an array at `rows`."""
    if member.offset is None or not member.key.endswith("_images"):
        part = read_array(source, member.key)[rows.numpy()]
        npy.write_array(file, part, allow_pickle=False)
        return
    order: Literal["F", "C"] = "F" if member.fortran else "C"
    values = np.memmap(source, member.dtype, "r", member.offset, member.shape, order)
    _write_header(file, (len(rows), *member.shape[1:]))
    for block in torch.split(rows, _BLOCK):
        file.write(values[block.numpy()].tobytes())


def _member(archive: zipfile.ZipFile, key: str) -> IO[bytes]:
    return archive.open(f"{key}.npy", "w", force_zip64=True)


def _write_pixels(file: IO[bytes], images: Images, rows: Tensor) -> None:
    channels = () if images.channels == 1 else (images.channels,)
    _write_header(file, (len(rows), images.size, images.size, *channels))
    for block in torch.split(rows, _BLOCK):
        file.write(images.take(block.tolist()).permute(0, 2, 3, 1).numpy().tobytes())


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Write what stands before the bytes of uint8 images."""
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _annotations(split: str, images: Images, rows: Tensor) -> dict[str, np.ndarray[Any, Any]]:
    """Return what is known of the images; names are written with the train part."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    if images.labels is not None:
        found[f"{split}_labels"] = images.labels[rows].numpy()
    if images.attributes is not None:
        found[f"{split}_attributes"] = images.attributes[rows].byte().numpy()
    if split == "train":
        names = zip(_NAMES, (images.class_names, images.attribute_names), strict=True)
        found |= {key: np.array(value) for key, value in names if value}
    return found
