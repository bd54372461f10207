"""CIFAR-10, SVHN, STL-10, CelebA and ImageNet as their authors published them.

CIFAR-10's batches are pickles: torchvision reads each only after its published MD5 matches. SVHN's
.mat are checked the same way. STL-10 and CelebA are read here, for torchvision wants archives that
one deletes after unpacking, and hashes gigabytes at each start; ImageNet's folders, because
torchvision adds a pickled file of its own.
"""

from pathlib import Path
from typing import Any

import numpy as np

from gan_eval.data.encoded import FileRows
from gan_eval.data.folder import read_split
from gan_eval.data.source import Array, ArrayRows, DiskRows, Source, Survey
from gan_eval.errors import InputError

CIFAR10_FOLDER = "cifar-10-batches-py"
SVHN_COUNTS = {"train": 73257, "test": 26032, "extra": 531131}
STL10_IMAGE = 3 * 96 * 96  # bytes
CELEBA_SPLITS = {"0": "train", "1": "val", "2": "test"}
_CELEBA = Survey(channels=3, sizes=((218, 178), (218, 178)))
_COLOUR = Survey(channels=3, sizes=None, mixed=True)


def cifar10_splits(root: Path) -> dict[str, int]:
    """Return the images per split where the batches are there."""
    there = (root / CIFAR10_FOLDER).is_dir()
    return {"train": 50000, "test": 10000} if there else {}


def read_cifar10(root: Path, split: str) -> Source:
    """Return CIFAR-10 from `cifar-10-batches-py`, each file checked before it is unpickled."""
    from torchvision.datasets import CIFAR10

    try:
        found = CIFAR10(root, train=split == "train", download=False)
    except RuntimeError:
        raise _wrong_checksum(root / CIFAR10_FOLDER, CIFAR10) from None
    return Source(
        rows=ArrayRows(CIFAR10_FOLDER, found.data.transpose(0, 3, 1, 2)),
        labels=np.array(found.targets),
        class_names=tuple(found.classes),
    )


def _wrong_checksum(folder: Path, published: Any) -> InputError:
    from torchvision.datasets.utils import check_integrity

    meta = (published.meta["filename"], published.meta["md5"])
    for name, md5 in [*published.train_list, *published.test_list, meta]:
        if not (folder / name).is_file():
            return _missing(folder / name)
        if not check_integrity(str(folder / name), md5):
            return InputError(
                f"{folder / name} must have the published MD5 {md5}, for it is a pickle, which can "
                "run code when read. It has another and was not read; unpack the archive again."
            )
    return InputError(f"{folder} cannot be read; unpack the archive again.")


def svhn_splits(root: Path) -> dict[str, int]:
    """Return the published number of images of each split that is there."""
    return {
        split: count
        for split, count in SVHN_COUNTS.items()
        if (root / f"{split}_32x32.mat").is_file()
    }


def read_svhn(root: Path, split: str) -> Source:
    """Return SVHN's cropped digits from `<split>_32x32.mat`; the published label 10 is digit 0."""
    from torchvision.datasets import SVHN

    try:
        found = SVHN(root, split=split, download=False)
    except RuntimeError:
        md5 = SVHN.split_list[split][2]
        raise InputError(
            f"{root / f'{split}_32x32.mat'} must have the published MD5 {md5}. "
            "It has another; copy or download it again."
        ) from None
    return Source(
        rows=ArrayRows(f"{split}_32x32.mat", found.data),
        labels=found.labels,
        class_names=tuple("0123456789"),
    )


def stl10_splits(root: Path) -> dict[str, int]:
    """Return the images per split, by the sizes of the files."""
    files = {split: root / "stl10_binary" / f"{split}_X.bin" for split in _STL10_SPLITS}
    return {
        split: path.stat().st_size // STL10_IMAGE for split, path in files.items() if path.is_file()
    }


_STL10_SPLITS = ("train", "test", "unlabeled")


def read_stl10(root: Path, split: str) -> Source:
    """Return STL-10 from `stl10_binary`: images stored column by column, labels from 1."""
    folder = root / "stl10_binary"
    path = folder / f"{split}_X.bin"
    count, rest = divmod(path.stat().st_size, STL10_IMAGE)
    if rest or not count:
        raise InputError(
            f"{path} must be whole images of {STL10_IMAGE} bytes. Got {path.stat().st_size} bytes; "
            "unpack the archive again."
        )
    return Source(
        rows=DiskRows(path, 0, (count, 3, 96, 96), (0, 1, 3, 2)),
        labels=None if split == "unlabeled" else _stl10_labels(folder / f"{split}_y.bin", count),
        class_names=_stl10_names(folder / "class_names.txt"),
    )


def _stl10_names(path: Path) -> tuple[str, ...]:
    """Return the ten names in `path`, numbers where it does not hold as many."""
    names = _text(path).split() if path.is_file() else []
    return tuple(names) if len(names) == 10 else tuple("0123456789")


def _stl10_labels(path: Path, count: int) -> Array:
    if not path.is_file():
        raise _missing(path)
    labels = np.fromfile(path, np.uint8).astype(np.int64) - 1
    if len(labels) != count or labels.min(initial=0) < 0 or labels.max(initial=0) > 9:
        raise InputError(
            f"{path} must hold {count} labels from 1 to 10. Got {len(labels)}, up to "
            f"{labels.max(initial=-1) + 1}; unpack the archive again."
        )
    return labels


def celeba_splits(root: Path) -> dict[str, int]:
    """Return the images per split, by the partition file."""
    path = root / "celeba" / "list_eval_partition.txt"
    if not path.is_file():
        return {}
    parts = _text(path).split()[1::2]
    counts = {split: parts.count(number) for number, split in CELEBA_SPLITS.items()}
    return {split: count for split, count in counts.items() if count}


def read_celeba(root: Path, split: str) -> Source:
    """Return aligned CelebA with its 40 attributes; there are no classes."""
    folder = root / "celeba"
    partition = _text(folder / "list_eval_partition.txt").splitlines()
    if any(len(line.split()) not in (0, 2) for line in partition):
        raise InputError(
            f"{folder / 'list_eval_partition.txt'} must have an image and its part on each line. "
            "It has others; copy or download it again."
        )
    parts = dict(line.split() for line in partition if line.strip())
    files = [name for name, part in parts.items() if CELEBA_SPLITS.get(part) == split]
    names, values = _celeba_attributes(folder / "list_attr_celeba.txt")
    images = folder / "img_align_celeba"
    if not images.is_dir():
        raise _missing(images, "unpack img_align_celeba.zip")
    for name in files:
        if "/" in name or "\\" in name or name not in values:
            raise InputError(
                f"{folder / 'list_eval_partition.txt'} must name images that "
                f"list_attr_celeba.txt has. Got {name!r}; copy or download both again."
            )
    # People resize them: then all headers are read.
    published = bool(files) and FileRows(images, files[:1]).survey().native == _CELEBA.native
    return Source(
        rows=FileRows(images, files, _CELEBA if published else None),
        attributes=np.array([values[name] for name in files]) > 0,
        attribute_names=names,
    )


def _celeba_attributes(path: Path) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    """Return the attributes' names, and for each file its values, 1 or -1."""
    if not path.is_file():
        raise _missing(path)
    _, header, *lines = [*_text(path).splitlines(), "", ""]
    names = tuple(header.split())
    values = {}
    for number, line in enumerate(lines, start=3):
        file, *numbers = line.split() or [""]
        if file and (len(numbers) != len(names) or not set(numbers) <= {"1", "-1"}):
            raise InputError(
                f"{path} must have {len(names)} values of 1 or -1 on each line. "
                f"Got line {number}, {line[:40]!r}; copy or download it again."
            )
        values[file] = [int(value) for value in numbers]
    return names, values


def imagenet_splits(root: Path) -> dict[str, Path]:
    """Return the folder of each split, `<root>/<split>` or `<root>/imagenet/<split>`."""
    found: dict[str, Path] = {}
    for folder in (root / "imagenet", root):
        for split in ("train", "val"):
            if any(folder.glob(f"{split}/n[0-9]*/")):
                found.setdefault(split, folder / split)
    return found


def read_imagenet(root: Path, split: str) -> Source:
    """Return ImageNet from a folder per class (WordNet number)."""
    return read_split(imagenet_splits(root), split, _COLOUR)


def _text(path: Path) -> str:
    """Return a list's text, whatever else than UTF-8 may be in it."""
    return path.read_text("utf-8", errors="replace")


def _missing(path: Path, remedy: str = "unpack the archive again") -> InputError:
    return InputError(f"{path} must be there. It is missing; {remedy}.")
