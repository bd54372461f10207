"""LSUN's lmdb folders, `<category>_<split>_lmdb`, read with the lmdb package alone.

torchvision's reader keeps the keys in a pickle; here a cursor lists them, in the order of the file.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from gan_eval.data.encoded import EncodedRows
from gan_eval.data.source import Source, Survey
from gan_eval.errors import InputError

CATEGORIES = (
    *("bedroom", "bridge", "church_outdoor", "classroom", "conference_room"),
    *("dining_room", "kitchen", "living_room", "restaurant", "tower"),
)
_SPLITS = ("train", "val")
_COLOUR = Survey(channels=3, sizes=None, mixed=True)


def lsun_folders(category: str, root: Path) -> dict[str, Path]:
    """Return the lmdb folder of each split that is there."""
    found = {split: root / f"{category}_{split}_lmdb" for split in _SPLITS}
    return {split: path for split, path in found.items() if (path / "data.mdb").is_file()}


def lsun_splits(category: str, root: Path) -> dict[str, int | None]:
    """Return the images per split by the lmdb's own count; None without the lmdb package."""
    folders = lsun_folders(category, root)
    try:
        return {split: int(_open(path).stat()["entries"]) for split, path in folders.items()}
    except InputError:
        return dict.fromkeys(folders)


def read_lsun(category: str, root: Path, split: str) -> Source:
    """Return one category of LSUN; it has no labels."""
    folder = lsun_folders(category, root)[split]
    with _open(folder).begin() as transaction, _whole(folder):
        keys = [bytes(key) for key in transaction.cursor().iternext(keys=True, values=False)]
    if not keys:
        raise InputError(f"{folder} must hold images. It holds none; unpack the archive again.")
    return Source(rows=LmdbRows(folder, keys, _COLOUR))


class LmdbRows(EncodedRows):
    """One encoded image per key of an lmdb folder."""

    def encoded(self, index: int) -> BytesIO:
        """Return the encoded bytes."""
        with _open(self.folder).begin() as transaction, _whole(self.folder):
            return BytesIO(transaction.get(self.keys[index]))

    def where(self, index: int) -> str:
        """Return the folder and the key."""
        return f"{self.folder} key {self.keys[index].decode(errors='replace')!r}"

    def names(self) -> Iterator[str]:
        """Yield every key."""
        for key in self.keys:
            yield key.hex()

    def identity(self) -> Iterator[str]:
        """Yield the folder's name, the size of its data and every key."""
        yield f"{self.folder.name} {(self.folder / 'data.mdb').stat().st_size}"
        yield from self.names()

    def changed(self) -> Iterator[int]:
        """Yield when the data was changed."""
        yield (self.folder / "data.mdb").stat().st_mtime_ns


_opened: dict[Path, tuple[int, Any]] = {}  # by folder: the process that opened it, and the lmdb


def _open(folder: Path) -> Any:
    """Open `folder` once in each process: lmdb allows no second time, nor use across a fork."""
    path = folder.resolve()
    process, environment = _opened.get(path, (0, None))
    if process != os.getpid():
        if environment is not None:
            environment.close()
        environment = _environment(path)
        _opened[path] = os.getpid(), environment
    return environment


def _environment(folder: Path) -> Any:
    try:
        import lmdb
    except ImportError:
        raise InputError(
            "reading LSUN needs the lmdb package. It is not installed; run 'pip install lmdb'."
        ) from None
    with _whole(folder):
        found = lmdb.open(
            str(folder), readonly=True, lock=False, readahead=False, max_spare_txns=64
        )
        size = (found.info()["last_pgno"] + 1) * found.stat()["psize"]
        if size > (folder / "data.mdb").stat().st_size:  # reading on would end the process
            found.close()
            raise lmdb.CorruptedError("data.mdb was cut short")
        return found


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Say of what lmdb cannot read that the folder is damaged."""
    import lmdb

    try:
        yield
    except lmdb.Error as error:
        raise InputError(
            f"{folder} must be a whole lmdb folder. It cannot be read ({error}); "
            "unpack the archive again."
        ) from error
