"""Files that are whole at any moment: written beside their place, or a line at a time."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from gan_eval.errors import InputError

_UNFINISHED = ".unfinished."
StrPath = str | os.PathLike[str]  # as callers from Python may give one
LARGEST = 1e100  # of numbers that are read, so that sums and squares of them are numbers too


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk and rename it over `path`.

    A kill at any moment leaves the old file or the new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{_UNFINISHED}{uuid4().hex}{path.suffix}"
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # Of what nobody has asked for, or of no file at all where the disk is full.
        unknown = error.filename is None or _UNFINISHED in str(error.filename)
        if unknown and error.errno is not None:  # of the system, and not of what writes
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with suppress(OSError):  # it has gone where all went well, or was never there
            temporary.unlink()


def check_folder(folder: StrPath, option: str = "--out") -> Path:
    """Return `folder`, which is there or can be made, and can be written to. Nothing is written.

    Raises:
        InputError: it cannot, which should not come to light after the work.
    """
    folder = expanded(folder)
    there = nearest_there(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "cannot be written to" if there.is_dir() else "is a file"
        raise InputError(
            f"{option} must lead to a folder that can be written to. Got {folder}: {there} {what}; "
            "name another."
        )
    return folder


def nearest_there(folder: Path) -> Path:
    """Return `folder`, or the nearest above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def expanded(path: StrPath) -> Path:
    """Return `path` with the user's folder for ~; the ~name of nobody stays as it is."""
    return Path(os.path.expanduser(path))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files that a killed `write_whole` left under `folder`."""
    for path in folder.rglob(f"{_UNFINISHED}*"):
        path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`, whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_bytes(data))


def plain_number(value: Any) -> Any:
    """Return a number of NumPy's as Python's: what `json.dumps` asks for where it knows no better.

    Raises:
        TypeError: the value is none.
    """
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2, allow_nan=False, default=plain_number) + "\n"
    write_bytes(path, text.encode())


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: it is none, or nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def is_figure(value: Any) -> bool:
    """Return whether this is a number to compute with, and to draw: not NaN, nor near infinity."""
    return type(value) in (int, float) and abs(value) < LARGEST


def legible(name: str) -> str:
    """Return a name as text, as names of files need not be: "?" for each byte that is none."""
    return name.encode(errors="replace").decode()


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Append `row` to a JSON-lines file in one write, so that a kill cuts the last line at most.

    A last line that was cut is removed first; one that only lacks its end is ended. Names in it
    become legible.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(row, allow_nan=False, ensure_ascii=False, default=plain_number)
    line = legible(text + "\n").encode()
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                before, newline, last = file.read().rpartition(b"\n")
                if _object(last) is not None:
                    line = b"\n" + line
                else:
                    file.truncate(len(before + newline))
        file.write(line)


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write `rows` as a JSON-lines file, whole or not at all."""
    text = "".join(json.dumps(row, allow_nan=False, default=plain_number) + "\n" for row in rows)
    write_bytes(path, text.encode())


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON-lines file; a last line cut short by a kill is left out.

    Raises:
        InputError: another line is no JSON object.
    """
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        row = _object(line)
        if row is not None:
            yield row
        elif line.endswith(b"\n"):
            raise InputError(
                f"{path} must hold a JSON object in every line. Line {number} is none; remove it."
            )


def _object(line: bytes) -> dict[str, Any] | None:
    """Return what a whole line holds; what a kill cut lacks its last brace."""
    try:
        row = parse_json(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
