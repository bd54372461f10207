"""A folder of images: flat, or a folder per class, or either of these under split folders.

* Sub-folders named train, val and test (or training, valid, validation and testing, in any case):
  they are the splits, and nothing else may lie beside them. A single one among others is a class.
* Sub-folders and no image beside them: one class each, in sorted order; deeper folders belong to
  the class above them. No sub-folders: unlabelled. Other splits are numbered as train is, and may
  lack some of its classes. Names are composed (Unicode's NFC), as what is typed is.
* Images are those with a name in `EXTENSIONS`, sorted by path. Hidden files, Thumbs.db and
  desktop.ini are ignored; any other file is refused by name.

How images are decoded is said in `gan_eval.data.encoded`.
"""

import os
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from gan_eval.data.encoded import FileRows
from gan_eval.data.source import Source, Survey
from gan_eval.errors import InputError

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
_IGNORED = ("thumbs.db", "desktop.ini")
_SPLITS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val"},
}


def folder_splits(folder: Path) -> dict[str, Path]:
    """Return the folder of each split.

    Raises:
        InputError: something else is beside them, or two are of one split.
    """
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and not _hidden(path.name)]
    splits = [_SPLITS[path.name.lower()] for path in below if path.name.lower() in _SPLITS]
    if len(splits) < min(2, max(1, len(below))):
        return {"train": folder}
    # Anything else would train on the test images, as of a class of that name.
    if len(splits) < len(below) or len(set(splits)) < len(splits):
        raise InputError(
            f"folder {folder} must hold one folder each of train, val and test, or one for each "
            f"class. Got {', '.join(path.name for path in below)}; rename or move some."
        )
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name.lower().endswith(EXTENSIONS) and not _hidden(path.name):
            raise _both(folder, path.name, below[0].name)
    return dict(zip(splits, below, strict=True))


def read_folder(
    folder: Path, declared: Survey | None = None, classes: tuple[str, ...] = ()
) -> Source:
    """Return the images of one split's `folder`.

    Args:
        declared: what the images are known to be.
        classes: those of the training part, which number the folder's where it has no others.

    Raises:
        InputError: no image, a file that is none, images beside class folders, an empty class.
    """
    files = sorted(_walk(folder, "", frozenset()))
    below = _class_folders(folder)
    if not files:
        raise InputError(
            f"folder {folder} must hold images ({' '.join(EXTENSIONS)}). "
            "It holds none; name a folder that does."
        )
    loose = [file for file in files if "/" not in file]
    if not below:
        return Source(rows=FileRows(folder, files, declared))
    if loose:
        raise _both(folder, loose[0], below[0])
    owners = [_composed(file.split("/", 1)[0]) for file in files]
    names = classes if set(below) <= set(classes) else below
    for empty in sorted(set(below) - set(owners) - set(classes)):
        raise InputError(
            f"class folder {folder / empty} must hold images. It holds none; fill or delete it."
        )
    numbers = {owner: number for number, owner in enumerate(names)}
    return Source(
        rows=FileRows(folder, files, declared),
        labels=np.array([numbers[owner] for owner in owners], dtype=np.int64),
        class_names=names,
    )


def read_split(folders: Mapping[str, Path], split: str, declared: Survey | None = None) -> Source:
    """Return the images of one of the splits in `folders`, its classes numbered as train's are."""
    train = folders.get("train") if split != "train" else None
    return read_folder(folders[split], declared, _class_folders(train) if train else ())


def _class_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes that a split's `folder` has folders for, sorted."""
    below = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    return tuple(sorted({_composed(name) for name in below if not _hidden(name)}))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _both(folder: Path, image: str, below: str) -> InputError:
    return InputError(
        f"folder {folder} must hold images or folders of images, not both. "
        f"Got {image} beside {below}/; move it into one, or take the folders out."
    )


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _IGNORED


def _walk(folder: Path, prefix: str, above: frozenset[str]) -> Iterator[str]:
    """Yield the relative names of the images under `folder`; links are followed, loops are not."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if _hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", above | {real})
        elif entry.name.lower().endswith(EXTENSIONS) and entry.is_file():
            yield f"{prefix}{entry.name}"
        else:
            what = "" if entry.is_file() else ", which is no file"  # but a pipe, or a link to none
            raise InputError(
                f"folder {folder} must hold only images ({' '.join(EXTENSIONS)}). "
                f"Got {entry.name}{what}; move it elsewhere."
            )
