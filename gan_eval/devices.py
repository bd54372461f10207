"""Where networks run, in how many processes and in how much memory."""

import atexit
import ctypes
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed

from gan_eval.errors import InputError
from gan_eval.precision import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# The others wait for as long as the first process fits classifiers, which may take hours.
_PATIENCE = timedelta(days=7)
_Value = TypeVar("_Value")

_GROUP = Path("/sys/fs/cgroup")
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
# What glibc starts with, and the thresholds that it comes to by itself once large blocks are freed.
_GLIBCS = {_TRIM_THRESHOLD: 2**26, _TOP_PAD: 2**17, _MMAP_THRESHOLD: 2**25, _MMAP_MAX: 2**16}
_keeping = 0  # how many have glibc keep what is freed


def make_fabric(device: str = "auto", precision: Precision = "32") -> "Fabric":
    """Return a launched Fabric on `device`, data-parallel where `torchrun` started the process.

    Raises:
        InputError: the device is not on this machine, or has not room for so many processes.
    """
    # Half a second, which looking at data does not need.
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    chosen = resolve_device(device)
    world, local = _check_processes(chosen)
    # What is no tensor of a GPU is exchanged beside it: NCCL would let the GPU's queue run empty.
    backend = "cpu:gloo,cuda:nccl" if chosen == "cuda" else "gloo"
    # Fabric announces the precision on standard error; `gan-eval train` says it in its own line.
    log = logging.getLogger("lightning_fabric")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        fabric = Fabric(
            accelerator=chosen,
            devices=[torch.cuda.current_device()] if chosen == "cuda" and world == 1 else local,
            num_nodes=world // local,
            strategy=DDPStrategy(process_group_backend=backend, timeout=_PATIENCE)
            if world > 1
            else "auto",
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )
        fabric.launch()
    finally:
        log.setLevel(level)
    if world > 1:
        # Fabric sees to NCCL only; Gloo's threads abort the process if it exits before they do.
        atexit.register(_part)
    return fabric


def _check_processes(device: str) -> tuple[int, int]:
    """Return how many processes there are, and on this machine; no more than `device` can have."""
    world, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if world > 1 and device == "mps":
        raise InputError(
            "--device must be cpu or cuda for several processes. Got mps; pass --device cpu."
        )
    if device == "cuda" and local > torch.cuda.device_count():
        raise InputError(
            f"processes on a machine must be at most its GPUs, {torch.cuda.device_count()}. Got "
            f"{local}; pass a smaller --nproc-per-node, or --device cpu."
        )
    return world, local


def _part() -> None:
    if getattr(sys, "last_value", None) is not None:
        # An error ends this process alone: the others, who wait elsewhere, would be waited for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    if distributed.is_initialized():
        distributed.destroy_process_group()


def processes() -> tuple[int, int]:
    """Return this process's rank and how many share the work: 0 and 1 outside `torchrun`.

    Several processes know of each other once `make_fabric` was called.
    """
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def gather(value: _Value) -> list[_Value]:
    """Return what every process handed in, by rank, on each of them; it waits for them all."""
    _, world = processes()
    if world == 1:
        return [value]
    found: list[Any] = [None] * world
    distributed.all_gather_object(found, value)
    return found


@contextmanager
def as_one() -> Iterator[None]:
    """Raise on every process what one of them could not do, or the others would wait for it.

    All must enter and leave it together.
    """
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        failed = error
    for told in filter(None, gather(failed and _told(failed))):
        raise failed or told


def _told(error: Exception) -> Exception:
    """Return an error as other processes raise it: of a kind that can be sent."""
    if isinstance(error, InputError):
        return InputError(str(error))
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, error.strerror, error.filename)
    return RuntimeError(f"process {processes()[0]}: {type(error).__name__}: {error}")


def check_default_device() -> None:
    """Refuse another default device of torch's, where what is meant for the CPU would lie.

    Raises:
        InputError: there is one.
    """
    if (default := torch.get_default_device()).type != "cpu":
        raise InputError(
            f"torch's default device must be the CPU. Got {default}; call "
            "torch.set_default_device('cpu'), and pass device='cuda' or 'mps' where it is wanted."
        )


def resolve_device(device: str) -> str:
    """Return "cuda", "mps" or "cpu" for `device`, where "auto" is the first of them there is."""
    check_default_device()
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, found in there.items() if found)
    if not there.get(device, False):
        found = ", ".join(name for name, is_there in there.items() if is_there)
        raise InputError(
            f"device must be one that is here: {found}. Got {device!r}; pass --device auto."
        )
    return device


def with_float64(device: str) -> str:
    """Return `device`, or "cpu" for Apple's, which have no float64."""
    return "cpu" if device == "mps" else device


def memory_for_images(device: str) -> int | None:
    """Return how many bytes of images a GPU can hold, or None, which leaves it to main memory.

    That is half of what is free, on it and in this process's share of main memory, where a copy
    stays.
    """
    if device != "cuda" or not torch.cuda.is_available():
        return None
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return min(available_memory(device), available_memory() // processes) // 2


def take_own_gpu(device: str) -> None:
    """Let "cuda" be this process's GPU under `torchrun`, before Fabric sees to that."""
    rank = os.environ.get("LOCAL_RANK")
    if rank is not None and resolve_device(device) == "cuda":
        _check_processes("cuda")
        torch.cuda.set_device(int(rank))


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let glibc keep freed memory instead of giving it back to the system after every layer.

    Otherwise each large activation is mapped, zeroed page by page and unmapped at every step, which
    costs a sixth of the training time on a CPU. The last one to end gives back what is free.
    Elsewhere than glibc this does nothing.
    """
    global _keeping
    _keeping += 1
    _mallopt({_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**28})
    try:
        yield
    finally:
        _keeping -= 1
        if not _keeping:
            _mallopt(_GLIBCS)
            give_back_memory()


def _mallopt(options: dict[int, int]) -> None:
    if platform.libc_ver()[0] == "glibc":
        for option, value in options.items():
            ctypes.CDLL(None).mallopt(option, value)


def give_back_memory() -> None:
    """Return freed memory to the system, once: before something as large as what was freed."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def available_memory(device: str | torch.device = "cpu") -> int:
    """Return the bytes of memory that are free or can be freed; all of it where nobody says."""
    if torch.device(device).type == "cuda":
        # PyTorch keeps what was freed.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    free = _free()
    try:
        limit = (_GROUP / "memory.max").read_text().strip()
        used = int((_GROUP / "memory.current").read_text())
        kinds = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return free
    # What was read from files counts as used, and makes way.
    used -= int(kinds.get("inactive_file", 0)) + int(kinds.get("active_file", 0))
    return min(free, max(0, int(limit) - used)) if limit.isdigit() else free


def _free() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
