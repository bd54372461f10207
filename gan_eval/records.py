"""Files that are whole or absent, and the JSON lines in which every number is kept."""

import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

_UNFINISHED = ".unfinished."
_PACKAGES = ("gan-eval", "torch", "torchvision", "lightning-fabric", "numpy", "scikit-learn")


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
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

    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    write_whole(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Append `row` to a JSON-lines file in one write, so that a kill cuts the last line at most.

    A last line that was cut is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.write((json.dumps(row, allow_nan=False) + "\n").encode())


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write `rows` as a JSON-lines file, whole or not at all."""
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    write_bytes(path, text.encode())


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON-lines file; a last line cut short by a kill is left out."""
    if not path.exists():
        return
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


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
