"""An .npz file in the MedMNIST key convention, plus attributes and class names.

Keys: `<split>_images` uint8 (n, h, w) or (n, h, w, 1 or 3); `<split>_labels` integers (n,) or
(n, 1), or 0 and 1 (n, k), which are taken as attributes; `<split>_attributes` 0 and 1 (n, k);
`attribute_names` (k,) and `class_names` text. Splits are train, val, test and any other. Nothing
pickled is read: object arrays are refused.

Images of an uncompressed file (`np.savez`) are mapped from disk, not loaded, and their CRC is not
checked; a compressed file (`np.savez_compressed`) has to be unpacked into memory whole.
"""

import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from gan_eval.data.source import Array, ArrayRows, DiskRows, Rows, Source
from gan_eval.devices import available_memory
from gan_eval.errors import InputError, one_line
from gan_eval.images import layout_of

_CLASSES = 2**16  # each label up to the largest is a class, and has a name
# What zipfile, what it unpacks with and NumPy raise of damaged archives and headers of arrays.
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError, EOFError, OSError),
    *(ValueError, TypeError, OverflowError, RuntimeError, SyntaxError),
)
_LOCAL_HEADER = 30  # bytes of a zip member's fixed header; name and extra field follow


@dataclass(frozen=True)
class Member:
    """One array of an .npz, from its header alone."""

    key: str
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]
    offset: int | None  # bytes before the values in the file; None when compressed


def read_members(path: Path) -> dict[str, Member]:
    """Return the header of each array in `path`.

    Raises:
        InputError: not a whole .npz, or an array of Python objects in it.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            found = [_member(archive, info, file) for info in archive.infolist()]
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(
            f"{path} must be a whole .npz file. It cannot be read ({one_line(error)}); write it "
            "again."
        ) from error
    return {member.key: member for member in found}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: IO[bytes]) -> Member:
    key = info.filename.removesuffix(".npy")
    with archive.open(info) as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        header = stream.tell()
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"{key} has shape {shape}")
    if dtype.hasobject:
        raise InputError(
            f"'{key}' in {archive.filename} must be numbers or text. Got Python objects, which "
            "only pickle can read; save it with a plain dtype."
        )
    if info.file_size != header + math.prod(shape) * dtype.itemsize:
        held = info.file_size - header
        raise InputError(
            f"'{key}' in {archive.filename} must be a whole array. It has {held} bytes for "
            f"{f'{shape} of {dtype}'[:200]}; write it again."
        )
    if info.compress_type != zipfile.ZIP_STORED:
        return Member(key, shape, fortran, dtype, None)
    file.seek(info.header_offset)
    local = file.read(_LOCAL_HEADER)
    extra = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    return Member(key, shape, fortran, dtype, info.header_offset + _LOCAL_HEADER + extra + header)


def npz_counts(members: Mapping[str, Member]) -> dict[str, int]:
    """Return the number of images of each split."""
    return {
        key.removesuffix("_images"): member.shape[0] if member.shape else 0
        for key, member in members.items()
        if key.endswith("_images")
    }


def read_npz(path: Path, split: str) -> Source:
    """Return the part named `split` of the .npz at `path`; the split must be there.

    Raises:
        InputError: an array with the wrong dtype, shape or values.
    """
    members = read_members(path)
    rows = _rows(path, members[f"{split}_images"])
    labels = _labels(path, members, split, len(rows))
    class_names = _texts(path, members, "class_names")
    if labels is not None:
        class_names = _named(path, members, class_names)
    several = f"{split}_labels" if _several(members, split) else f"{split}_attributes"
    attributes = _attributes(path, members, several, len(rows))
    names = _texts(path, members, "attribute_names")
    if attributes is not None:
        names = names or tuple(f"attribute {number}" for number in range(attributes.shape[1]))
        if len(names) != attributes.shape[1]:
            raise InputError(
                f"'attribute_names' in {path} must name each of the {attributes.shape[1]} columns "
                f"of '{several}'. Got {len(names)} names; save as many as columns."
            )
    return Source(
        rows=rows,
        labels=labels,
        class_names=class_names,
        attributes=attributes,
        attribute_names=names if attributes is not None else (),
    )


def _rows(path: Path, member: Member) -> Rows:
    shape = member.shape
    if member.dtype != np.uint8:
        raise InputError(
            f"'{member.key}' in {path} must be uint8 with values 0 to 255. "
            f"Got {member.dtype}; scale and convert it, then save it again."
        )
    layout = layout_of(shape, f"'{member.key}' in {path}", several=True)
    if member.offset is not None and not member.fortran:
        return DiskRows(path, member.offset, layout, (0, 3, 1, 2))
    needed = math.prod(shape)
    if needed > available_memory():
        raise InputError(
            f"'{member.key}' in {path} must fit into memory, for it is compressed. It takes "
            f"{needed / 1e9:.1f} GB; save it with np.savez, and it is read from disk."
        )
    array = read_array(path, member.key).reshape(layout)
    return ArrayRows(path.name, array.transpose(0, 3, 1, 2))


def read_array(path: Path, key: str) -> Array:
    """Return one array of the .npz at `path`.

    Raises:
        InputError: it is not whole.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: Array = archive[key]
    except DAMAGED as error:
        raise InputError(
            f"'{key}' in {path} must be a whole array. It cannot be read ({one_line(error)}); "
            "write it again."
        ) from error
    return array


def check_whole(path: Path) -> None:
    """Read all of the .npz at `path` once.

    Raises:
        InputError: an array of it is damaged, one that nobody looks at among them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except DAMAGED as error:
        damaged = one_line(error)
    if damaged:
        raise InputError(
            f"{path} must be whole to be written again. It is not ({damaged}); make it again."
        )


def _labels(path: Path, members: dict[str, Member], split: str, count: int) -> Array | None:
    key = f"{split}_labels"
    if key not in members or _several(members, split):
        return None
    member = members[key]
    if member.dtype.kind not in "iu":
        raise InputError(
            f"'{key}' in {path} must be whole numbers from 0. Got {member.dtype}; "
            "convert it to an integer dtype."
        )
    if member.shape not in ((count,), (count, 1)):
        raise InputError(
            f"'{key}' in {path} must have shape ({count},) or ({count}, 1). Got {member.shape}; "
            "save one label an image."
        )
    labels = read_array(path, key).reshape(-1)
    if labels.size and labels.min() < 0:
        raise InputError(
            f"'{key}' in {path} must be whole numbers from 0. Got {labels.min()}; "
            "leave the key out where images have no label."
        )
    if labels.size and labels.max() >= _CLASSES:
        raise InputError(
            f"'{key}' in {path} must be numbers of classes, below {_CLASSES:,}. Got "
            f"{labels.max()}; number the classes from 0."
        )
    return labels


def _several(members: dict[str, Member], split: str) -> bool:
    """Whether the labels are several an image, as in MedMNIST's chest set."""
    member = members.get(f"{split}_labels")
    return member is not None and len(member.shape) == 2 and member.shape[1] > 1


def _named(path: Path, members: dict[str, Member], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the class names, numbers where there are none; as many as any split's labels need."""
    needed = 0
    for key, count in npz_counts(members).items():
        labels = _labels(path, members, key, count)
        needed = max(needed, int(labels.max()) + 1 if labels is not None and labels.size else 0)
    if names and len(names) < needed:
        raise InputError(
            f"'class_names' in {path} must name every label up to {needed - 1}. "
            f"Got {len(names)} names; save {needed}."
        )
    return names or tuple(str(number) for number in range(needed))


def _attributes(path: Path, members: dict[str, Member], key: str, count: int) -> Array | None:
    if key not in members:
        return None
    member = members[key]
    if member.dtype.kind not in "biu":
        raise InputError(
            f"'{key}' in {path} must be 0 or 1, or True and False. Got {member.dtype}; "
            "convert it to an integer dtype."
        )
    if len(member.shape) != 2 or member.shape[0] != count:
        raise InputError(
            f"'{key}' in {path} must have shape ({count}, k). Got {member.shape}; "
            "save one row an image."
        )
    values = read_array(path, key)
    if not np.isin(values, (0, 1)).all():
        raise InputError(
            f"'{key}' in {path} must be 0 or 1. Got {values.min()} to {values.max()}; "
            "save (values > 0)."
        )
    return values.astype(np.bool_)


def _texts(path: Path, members: dict[str, Member], key: str) -> tuple[str, ...]:
    if key not in members:
        return ()
    member = members[key]
    if member.dtype.kind != "U" or len(member.shape) != 1 or member.shape[0] > _CLASSES:
        raise InputError(
            f"'{key}' in {path} must be a list of texts, {_CLASSES:,} at most. Got {member.dtype} "
            f"{member.shape}; save np.array([...]) of strings."
        )
    return tuple(str(text) for text in read_array(path, key))
