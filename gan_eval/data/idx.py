"""MNIST and Fashion-MNIST from their idx files, `<MNIST or FashionMNIST>/raw`, gzipped or not.

An idx file is big-endian: two zero bytes, the type (8: uint8), the number of axes, the length of
each axis (4 bytes), then the values. Read here and not by torchvision, which takes a
`processed/training.pt` where one lies beside, and does not read the .gz that are published.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from gan_eval.data.source import Array, ArrayRows, DiskRows, Rows, Source
from gan_eval.errors import InputError, one_line

FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
_PREFIX = {"train": "train", "test": "t10k"}
_CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}


def idx_splits(name: str, root: Path) -> dict[str, int]:
    """Return the images per split of `name` under `root`, by the headers of its files."""
    found = {split: _file(name, root, split, "images-idx3") for split in _PREFIX}
    return {split: _shape(path, 3)[0] for split, path in found.items() if path is not None}


def read_idx(name: str, root: Path, split: str) -> Source:
    """Return the part named `split` of `name`."""
    images, labels = (_file(name, root, split, kind) for kind in ("images-idx3", "labels-idx1"))
    folder = root / FOLDERS[name] / "raw"
    if images is None or labels is None:
        kind = "images-idx3" if images is None else "labels-idx1"
        raise InputError(
            f"{folder / f'{_PREFIX[split]}-{kind}-ubyte'} (or .gz) must be there. "
            "It is missing; copy or download it again."
        )
    rows = _rows(images)
    values = _values(labels, 1)
    if len(values) != len(rows) or values.max(initial=0) > 9:
        raise InputError(
            f"{labels} must hold {len(rows)} labels from 0 to 9. Got {len(values)} up to "
            f"{values.max(initial=0)}; copy or download it again."
        )
    return Source(
        rows=rows,
        labels=values.astype(np.int64),
        class_names=_CLASSES[name],
    )


def _file(name: str, root: Path, split: str, kind: str) -> Path | None:
    plain = root / FOLDERS[name] / "raw" / f"{_PREFIX[split]}-{kind}-ubyte"
    packed = plain.with_name(f"{plain.name}.gz")
    return next((path for path in (plain, packed) if path.is_file()), None)


def _rows(path: Path) -> Rows:
    count, height, width = _shape(path, 3)
    if path.suffix == ".gz":
        return ArrayRows(path.name, _values(path, 3)[:, None])
    if path.stat().st_size != 16 + count * height * width:
        raise _broken(path, f"{path.stat().st_size} bytes for {count} images")
    return DiskRows(path, 16, (count, height, width, 1), (0, 3, 1, 2))


def _values(path: Path, axes: int) -> Array:
    shape = _shape(path, axes)
    data = _read(path, 4 + 4 * axes + math.prod(shape) + 1)  # one more shows what is too long
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    if values.size != math.prod(shape):
        raise _broken(path, f"{values.size} values or more for shape {shape}")
    return values.reshape(shape)


def _shape(path: Path, axes: int) -> tuple[int, ...]:
    head = _read(path, 4 + 4 * axes)
    if len(head) < 4 + 4 * axes or head[:4] != bytes([0, 0, 8, axes]):
        raise _broken(path, f"the first bytes {head[:4].hex(' ')}")
    return tuple(int(length) for length in np.frombuffer(head, ">u4", offset=4))


def _read(path: Path, most: int) -> bytes:
    """Return the first bytes, unpacked: of a damaged file all may be more than any memory."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(most)
    except (OSError, EOFError, zlib.error, OverflowError, MemoryError) as error:
        raise _broken(path, one_line(error)) from error


def _broken(path: Path, got: str) -> InputError:
    return InputError(
        f"{path} must be a whole idx file of bytes. Got {got}; copy or download it again."
    )
