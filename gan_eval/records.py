"""Files that are whole or absent, and the JSON lines in which every number is kept.

A number is a `Record`, one line of a folder's records.jsonl, which is only ever appended to:

schema              this form, 1
exhibit, name       what was done ("classify") and to what ("disc")
protocol            what determines the number beside the rest, with a name and a version
config              what it was made from: run, features, data, solver
result              the numbers; rates and errors are fractions, times seconds
controls            the same number of what it is to be compared with, by name
paper               what was published of the exhibit that was run, by what it is; else None
quick               whether the numbers were wanted in a hurry: short trainings, small samples
deviations          what differs from the source, in words
advice              what to try next, in words
fingerprints        hashes of data and weights
seed, device        of all randomness; where it was computed
precision           of networks, "32" or "bf16"
seconds             all of it, extraction of features and fitting
peak_memory_bytes   of the process, until then
versions, hardware  what the number and its speed depend on
commit              of the checkout that the package runs from, None elsewhere; "+" if changed
time                when it was written, ISO 8601 in UTC

Scripts that time or compare write lines of their own beside them: "benchmark", the script, what it
found, and the last four of these fields.
"""

import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from gan_eval.errors import InputError

SCHEMA = 1
CUT_SHORT = "weights after"  # so begins the deviation of a run whose training was not over
LENGTH = "trained for"  # and that of one whose recipe says another length
_quick = ContextVar("quick", default=False)
_paper: ContextVar[Mapping[str, float] | None] = ContextVar("paper", default=None)
_UNFINISHED = ".unfinished."
_PACKAGES = ("gan-eval", "torch", "torchvision", "lightning-fabric", "numpy", "scikit-learn")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk and rename it over `path`.

    A kill at any moment leaves the old file or the new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f"{_UNFINISHED}{path.stem}.", suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(folder: Path, option: str = "--out") -> Path:
    """Return `folder`, which is there or can be made, and can be written to. Nothing is written.

    Raises:
        InputError: it cannot, which should not come to light after the work.
    """
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


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files that a killed `write_whole` left under `folder`."""
    for path in folder.rglob(f"{_UNFINISHED}*"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`, whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_bytes(data))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Append `row` to a JSON-lines file in one write, so that a kill cuts the last line at most.

    A last line that was cut is removed first; one that only lacks its end is ended.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps(row, allow_nan=False) + "\n").encode()
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
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
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
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def versions() -> dict[str, str]:
    """Return the versions that a number depends on: Python's and those of the numeric packages."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def hardware() -> dict[str, str | int]:
    """Return what a speed depends on: processor, its bf16 instructions, threads, CUDA device."""
    able = torch.cpu.get_capabilities()
    return {
        "processor": str(able.get("cpu_name") or platform.processor() or platform.machine()),
        "bf16": "AMX" if able.get("amx_bf16") else "AVX-512" if able.get("avx512_bf16") else "none",
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def commit() -> str | None:
    """Return the git commit of the checkout that this package runs from, "+" if it was changed.

    None where it runs from elsewhere, or where there is no git.
    """
    folder = Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return None
    git = ("git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+")
    try:
        done = subprocess.run((*git, "--exclude=*"), capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


@contextmanager
def reproducing(paper: Mapping[str, float], *, quick: bool) -> Iterator[None]:
    """Give every record that is made meanwhile the paper's numbers, and mark it if quick."""
    before = _quick.set(quick), _paper.set(paper)
    try:
        yield
    finally:
        _quick.reset(before[0])
        _paper.reset(before[1])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance() -> dict[str, Any]:
    """Return what a line that is no record, such as one of a speed, says of where it is from."""
    return {"hardware": hardware(), "versions": versions(), "commit": commit(), "time": _now()}


@dataclass(frozen=True, kw_only=True)
class Record:
    """A number with everything that it depends on; see the module for what each field holds.

    What the machine knows is filled in when the record is made.
    """

    exhibit: str
    name: str
    protocol: Mapping[str, Any]
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    fingerprints: Mapping[str, Any]
    seed: int
    device: str
    precision: str
    seconds: float
    controls: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[str, Any] | None = field(default_factory=_paper.get)
    quick: bool = field(default_factory=_quick.get)
    deviations: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    peak_memory_bytes: int = field(default_factory=peak_memory_bytes)
    versions: Mapping[str, str] = field(default_factory=versions)
    hardware: Mapping[str, str | int] = field(default_factory=hardware)
    commit: str | None = field(default_factory=commit)
    time: str = field(default_factory=_now)
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of an experiment: its record, and the files that were written."""

    record: Record
    files: tuple[Path, ...]


def as_json(value: Any) -> Any:
    """Return `value` as it comes back from JSON: lists for tuples."""
    return json.loads(json.dumps(value))


def append_record(folder: Path, record: Record) -> Path:
    """Append `record` to the folder's records.jsonl, and return that file."""
    path = folder / "records.jsonl"
    append_line(path, record.to_json())
    return path
