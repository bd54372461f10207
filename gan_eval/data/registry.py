"""The data sets that have a name, where each is looked for, and the one way to open any of them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

from gan_eval.data import digits
from gan_eval.data.arrays import npz_counts, read_members, read_npz
from gan_eval.data.encoded import FileRows
from gan_eval.data.folder import folder_splits, read_split
from gan_eval.data.images_set import Images
from gan_eval.data.official import OFFICIAL
from gan_eval.data.prepare import prepare
from gan_eval.data.source import Source
from gan_eval.errors import InputError, NoSplitError, closest
from gan_eval.files import StrPath, expanded
from gan_eval.images import Fit

ROOT_VARIABLE = "GAN_EVAL_DATA"


DATA_NAMES = ("digits", *OFFICIAL)


def open_images(
    data: StrPath,
    *,
    root: StrPath | None = None,
    split: str = "train",
    size: int | None = None,
    channels: int | None = None,
    fit: Fit = "crop",
    limit: int | None = None,
    memory: int | None = None,
) -> Images:
    """Return a data set by name, or a folder of images, or an .npz, as square uint8 images.

    Args:
        data: a name of `DATA_NAMES`, looked for in its official layout first, then as an .npz; the
            stem or name of another .npz under the root; or the path of a folder or an .npz.
        root: the folder that named sets are under; None reads the variable GAN_EVAL_DATA.
        split: "train", "test", and what else the set has: "val", "extra", "unlabeled", "all".
        size: wanted height and width in pixels; None leaves images as they are.
        channels: 1 or 3; None follows the data: 3 where any image is in colour.
        fit: how images become square, "crop" or "pad", by the rules of `gan_eval.images`.
        limit: keep only the first `limit` images.
        memory: bytes that pixels may take, else they are streamed; None: half of what is free.

    Raises:
        InputError: there is no such name, root or split, or images cannot be read or fitted.

    Example:
        >>> images = open_images("digits", size=32)
        >>> len(images), images.channels, images.size, images.num_classes
        (1437, 1, 32, 10)
    """
    source = _find(data, root_for(data, root), split)
    return prepare(source, size=size, channels=channels, fit=fit, limit=limit, memory=memory)


def path_of(data: StrPath, root: StrPath | None) -> Path | None:
    """Return the path of a folder or file that is called `data`, None where it is found by name."""
    named = _locate(data, root_for(data, root)) if _is_name(data) else None
    path = expanded(data).resolve()
    return path if named is None and data not in DATA_NAMES and path.exists() else None


def root_for(data: StrPath, root: StrPath | None) -> Path | None:
    """Return the root that `data` is under; embedded data and paths need none."""
    there = expanded(root) if root else None
    return data_root(there) if _is_name(data) and data != "digits" else there


def data_root(root: StrPath | None) -> Path | None:
    """Return `root`, or else what the variable GAN_EVAL_DATA names; it must be a folder."""
    chosen = expanded(named) if (named := root or os.environ.get(ROOT_VARIABLE)) else None
    if chosen is not None and not chosen.is_dir():
        raise InputError(
            f"the data root must be a folder. Got {chosen}, which is none; create it or name "
            f"another with --data-root or {ROOT_VARIABLE}."
        )
    return chosen


def inventory(root: StrPath | None) -> list[dict[str, Any]]:
    """Return what named sets are on this machine, without decoding any.

    For each of `DATA_NAMES`, then each other .npz under the root: name, found (bool), source, where
    (path or None), splits (images each, where cheap to know), needs (what is wrong, None if found).
    """
    chosen = data_root(root)
    return [_look(name, chosen) for name in _names(chosen)]


def _names(root: Path | None) -> list[str]:
    """Return `DATA_NAMES` and those of the other .npz files under the root."""
    found = root.glob("?*.npz") if root else ()
    return [*DATA_NAMES, *sorted({path.stem for path in found if path.is_file()} - {*DATA_NAMES})]


def _look(name: str, root: Path | None) -> dict[str, Any]:
    row = {"name": name, "found": False, "source": None, "where": None, "splits": {}, "needs": None}
    try:
        found = _locate(name, root)
    except InputError as error:
        return {**row, "needs": str(error)}
    if found is None:
        return {**row, "needs": _files(name)}
    known = {split: count for split, count in found.splits.items() if count is not None}
    about = {"source": found.source, "where": found.where and str(found.where), "splits": known}
    return {**row, "found": True, **about}


@dataclass(frozen=True)
class _Found:
    name: str
    source: str
    where: Path | None
    splits: Mapping[str, int | None]
    read: Callable[[str], Source]


def _locate(name: str, root: Path | None) -> _Found | None:
    """Return where a named set is: embedded, in its official layout, or as `<name>.npz`."""
    if name == "digits":
        return _Found("digits", "embedded", None, digits.COUNTS, digits.read_digits)
    if root is None:
        return None
    entry = OFFICIAL.get(name)
    splits = entry.splits(root) if entry else {}
    if entry and splits:
        return _Found(name, entry.source, root / entry.folder, splits, partial(entry.read, root))
    path = root / f"{name}.npz"
    return _npz(path) if path.is_file() else None


def _npz(path: Path) -> _Found:
    members = read_members(path)
    counts = npz_counts(members)
    if not counts:
        raise InputError(
            f"{path} must have a key 'train_images' (also val_, test_). "
            f"Got {', '.join(sorted(members)) or 'no arrays'}; rename the images' key."
        )
    return _Found(path.stem, path.name, path, counts, partial(read_npz, path))


def _folder(path: Path) -> _Found:
    found, name = folder_splits(path), path.resolve().name
    return _Found(name, "folder", path, dict.fromkeys(found), partial(read_split, found))


def file_names(data: StrPath, root: StrPath | None) -> list[str] | None:
    """Return what the files of the training images are called; None where each has no file."""
    rows = _find(data, root_for(data, root), "train").rows
    return list(rows.names()) if isinstance(rows, FileRows) else None


def npz_of(data: StrPath, root: StrPath | None) -> Path | None:
    """Return the .npz that `data` are read from; None where they are in another layout."""
    found = _search(data, root_for(data, root))
    return found.where if found.where and found.source.endswith(".npz") else None


def _search(data: StrPath, root: Path | None) -> _Found:
    """Return where `data` are, by name or by path."""
    if not isinstance(data, str | os.PathLike):
        raise InputError(
            f'data must be named or lie at a path. Got {type(data).__name__}; pass "digits", say.'
        )
    found = _locate(data, root) if _is_name(data) else None
    path = expanded(data)
    if found is None and data not in (*DATA_NAMES, ""):
        if path.is_dir():
            found = _folder(path)
        elif path.is_file() and path.suffix == ".npz":
            found = _npz(path)
        elif _is_name(data) and data.endswith(".npz"):
            found = _locate(data.removesuffix(".npz"), root)
    if found is None:
        raise _unknown(data, root, path)
    return found


def _find(data: StrPath, root: Path | None, split: str) -> Source:
    found = _search(data, root)
    split = "val" if split in ("valid", "validation") else split
    if split not in found.splits:
        raise NoSplitError(
            f"split must be one that {data!r} has: {', '.join(found.splits)}. Got {split!r}."
        )
    try:
        read, source = found.read(split), found.source.replace("<split>", split)
        return replace(read, name=found.name, split=split, source=source)
    except OSError as error:
        raise InputError(
            f"data {data!r} must be readable. Got {error}; check its files and permissions."
        ) from error


def _is_name(data: StrPath) -> TypeGuard[str]:
    return isinstance(data, str) and not {"/", "\\"} & {*data} and data not in ("", ".", "..")


def _unknown(data: StrPath, root: Path | None, path: Path) -> InputError:
    if data in DATA_NAMES:
        return InputError(_needs(data, root))
    rule = "data must be a name, or the path of a folder of images or an .npz file"
    if data and path.exists():
        saved = "save its array as train_images in an .npz"
        remedy = saved if path.suffix == ".npy" else "name the folder that it is in"
        return InputError(f"{rule}. Got the file {data!r}; {remedy}.")
    if not _is_name(data) or data.endswith(".npz"):
        return InputError(f"{rule}. Got {data!r}, which does not exist; check the path.")
    hint = closest(data, _names(root))
    hint += "" if root else f" For others name their root with --data-root or {ROOT_VARIABLE}."
    return InputError(f"data must be a known name or a path. Got {data!r}. {hint}")


def _needs(name: str, root: Path | None) -> str:
    there = f"under the data root {root}" if root else "under a data root, of which none is given"
    put = f"put {_files(name)} there"
    put += "" if root else f"; name the root with --data-root or {ROOT_VARIABLE}"
    return f"data {name!r} needs its files {there}. None is there; {put}."


def _files(name: str) -> str:
    return f"{OFFICIAL[name].files}, or {name}.npz"
