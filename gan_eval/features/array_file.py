"""A large .npy file that is filled chunk by chunk, and is whole whatever happens meanwhile.

    <key>.npy              the rows, (n, width), as NumPy reads them
    <key>.json             what they are, written last: with it the array is finished
    <key>.unfinished.npy   the same file while rows are missing
    <key>.done             8 bytes, the rows in a chunk; then a byte for each chunk, 1 once its rows
                           are on disk
    .<key>.lock            held by the program that fills it

A kill costs the chunk that was being written, and a full disk shows before the first row.
"""

import errno
import fcntl
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gan_eval.errors import InputError
from gan_eval.files import write_bytes, write_json

_COUNT_BYTES = 8


class ArrayFile:
    """An array (n, width) in the folder `store`, of which `chunk` rows are written at once.

    Several processes may write, each its own chunks; one of them, which is `alone`, begins and
    finishes.
    """

    def __init__(
        self, *, store: Path, key: str, shape: tuple[int, int], dtype: str, chunk: int
    ) -> None:
        self.chunk, self.dtype = chunk, dtype
        self.path, self._record = store / f"{key}.npy", store / f"{key}.json"
        self._unfinished, self._marks = store / f"{key}.unfinished.npy", store / f"{key}.done"
        self._lock = store / f".{key}.lock"
        header, descr = io.BytesIO(), np.dtype(dtype).newbyteorder("<").str
        about = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, about)
        self._header = header.getvalue()  # what NumPy writes before the rows
        self._row = shape[1] * np.dtype(dtype).itemsize
        self._size = len(self._header) + shape[0] * self._row
        # The rows in a chunk, and a 0 for each.
        self._no_marks = chunk.to_bytes(_COUNT_BYTES, "little") + bytes(-(-shape[0] // chunk))

    def finished(self) -> bool:
        """Whether all rows and their record are there."""
        return self._record.is_file() and self._whole(self.path)

    def begin(self) -> bool:
        """Make or find the unfinished file; return whether rows are missing."""
        if self._whole(self.path):
            return False  # a kill came between the last row and the record
        if not (self._whole(self._unfinished) and self._marked()):
            self._create()
        return 0 in self.done()

    def done(self) -> bytes:
        """Return a 1 for each chunk whose rows are on disk, 0 for the others."""
        return self._marks.read_bytes()[_COUNT_BYTES:]

    def write(self, chunk: int, rows: Iterable[bytes]) -> None:
        """Write the rows of `chunk`, wait until they are on disk, and only then say so."""
        with self._unfinished.open("r+b") as file:
            file.seek(len(self._header) + chunk * self.chunk * self._row)
            file.writelines(rows)
            file.flush()
            os.fsync(file.fileno())
        # One byte, which a kill cannot split.
        with self._marks.open("r+b") as file:
            file.seek(_COUNT_BYTES + chunk)
            file.write(b"\1")
            file.flush()
            os.fsync(file.fileno())

    def finish(self, about: dict[str, Any]) -> None:
        """Give the rows their name, sweep up, and write the record."""
        if self._unfinished.exists():
            self._unfinished.replace(self.path)
        self._marks.unlink(missing_ok=True)
        write_json(self._record, about)

    def _discard(self) -> None:
        """Remove what was begun."""
        for path in (self._marks, self._unfinished):
            path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other program fills this file, and keep others waiting.

        The system ends the wait when this process ends in any way. Rows that are refused
        leave nothing of their size behind.
        """
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            except InputError:
                self._discard()
                raise

    def _whole(self, path: Path) -> bool:
        return path.is_file() and path.stat().st_size == self._size

    def _marked(self) -> bool:
        """Whether there are marks, and for these chunks."""
        if not self._marks.is_file():
            return False
        found, fresh = self._marks.read_bytes(), self._no_marks
        return len(found) == len(fresh) and found[:_COUNT_BYTES] == fresh[:_COUNT_BYTES]

    def _create(self) -> None:
        self._discard()  # the marks first: they must never be those of an older file
        try:
            with self._unfinished.open("wb") as file:
                _allocate(file.fileno(), self._size)
                file.write(self._header)
        except OSError as error:
            self._discard()
            size = f"{self._size / 2**30:.2f} GiB"
            reason = f"{os.strerror(error.errno or errno.EIO)} for {size} of rows"
            raise OSError(error.errno, reason, str(self.path)) from error
        write_bytes(self._marks, self._no_marks)


def _allocate(file: int, size: int) -> None:
    """Give `file` its size, and where the system can, the room on disk: all of it or an error."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
