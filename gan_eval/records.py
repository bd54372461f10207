"""The JSON lines in which every number is kept.

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
commit              of the checkout that it runs from, "+" if more than results changed, or None
time                when it was written, ISO 8601 in UTC

Scripts that time or compare write lines of their own beside them: "benchmark", the script, what it
found, and the last four of these fields.
"""

import json
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from gan_eval.files import append_line, plain_number

SCHEMA = 1
CUT_SHORT = "weights after"  # so begins the deviation of a run whose training was not over
LENGTH = "trained for"  # and that of one whose recipe says another length
_quick = ContextVar("quick", default=False)
_paper: ContextVar[Mapping[str, float] | None] = ContextVar("paper", default=None)
_PACKAGES = ("gan-eval", "torch", "torchvision", "lightning-fabric", "numpy", "scikit-learn")


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

    Where results are written to does not count: each of several records would mark the next.
    None where it runs from elsewhere, or where there is no git.
    """
    folder = Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return None
    head = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "-uno", "--", ":/", ":(exclude)results")
    return head and head + "+" * bool(changed)


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says of a folder; None where it says no, or is not there."""
    command = ("git", "-C", str(folder), *words)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()


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
    return json.loads(json.dumps(value, default=plain_number))


def append_record(folder: Path, record: Record) -> Path:
    """Append `record` to the folder's records.jsonl, and return that file."""
    path = folder / "records.jsonl"
    append_line(path, record.to_json())
    return path
