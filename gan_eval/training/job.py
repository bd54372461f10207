"""A training job: a run's folder, its config and its images, checked before anything is written."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gan_eval.data import Images
from gan_eval.data.feed import check_batch
from gan_eval.data.registry import path_of
from gan_eval.devices import (
    as_one,
    freed_memory_kept,
    make_fabric,
    resolve_device,
    take_own_gpu,
)
from gan_eval.errors import InputError
from gan_eval.files import StrPath, check_folder, nearest_there, remove_unfinished
from gan_eval.models.dcgan import Discriminator, Generator, parameter_count
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Run, new_run
from gan_eval.precision import own_settings, tried_convolutions
from gan_eval.records import as_json, versions
from gan_eval.training.checkpoint import saved_step
from gan_eval.training.config import (
    Request,
    check_compiler,
    extend,
    mended,
    moved,
    reopen,
    resolve,
)
from gan_eval.training.loop import Habits, train

# Weights and two moments of Adam in float32, and once more while the old state is being replaced.
_STATE_BYTES = 4 * 3 * 2


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that can be trained: everything that could be wrong has been looked at."""

    run: Run
    config: RunConfig
    images: Images | None  # None where all steps have been done
    earlier: RunConfig | None = None  # the config that was found in the folder

    @property
    def finished(self) -> bool:
        """Whether all steps have been done."""
        return _is_done(self.run, self.config)


def new_job(folder: StrPath, request: Request) -> Job:
    """Return the job of a new run in `folder`, which must be free.

    Raises:
        InputError: the folder is taken, or the request cannot be met; nothing was written.
    """
    take_own_gpu(request.device)
    folder, path = check_folder(folder), path_of(request.data, request.root)
    run = new_run(folder)
    if path is not None and path.is_dir() and folder.resolve().is_relative_to(path):
        raise InputError(
            f"--out must not lie in the folder of the images, {path}: its files are none. Got "
            f"{folder}; pass another."
        )
    config, images = resolve(request, int(os.environ.get("WORLD_SIZE", 1)))
    _check_space(folder, config)
    return Job(run=run, config=config, images=images)


def resumed_job(
    folder: StrPath,
    *,
    data: StrPath | None = None,
    root: StrPath | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    device: str | None = None,
    compile: bool | None = None,
    same: dict[str, Any] | None = None,
) -> Job:
    """Return the job that continues the run in `folder`, or trains it on to a later end.

    `data` and `root` say where its images are now, `device` and `compile` how to go on; None is as
    before. `same` holds other options that were given
    again; they must be those that the run was started with.

    Raises:
        InputError: there is no run, an option differs, or the images are not the same.
    """
    run = Run(folder)
    config = run.config()
    take_own_gpu(device or config.device)
    for name, value in (same or {}).items():
        started_with = config.asked.get(name, value)
        value = list(value) if isinstance(value, tuple) else value
        if value != started_with:
            before = "not given" if started_with is None else started_with
            raise InputError(
                f"--{name.replace('_', '-')} must be what the run was started with to resume it: "
                f"{before}. Got {value}; leave it out, or pass another --out."
            )
    if epochs is not None and steps is not None:
        raise InputError(
            f"--epochs and --steps must not both be given. Got {epochs} and {steps}; pass one."
        )
    longer = extend(config, epochs, steps)
    if data is None and root is None and _is_done(run, longer):
        return Job(run=run, config=longer, images=None, earlier=config)
    if config.imported is None and run.generator.exists() and not run.state.exists():
        raise InputError(
            f"{run.state} must be there to resume {folder}: its weights alone are no place to go "
            "on from. Got none; restore it, or train anew in another --out."
        )
    here = replace(longer, device=resolve_device(device or config.device))
    if compile is not None:
        here = replace(here, compile=compile)
    if here.compile:
        check_compiler(here.device)
    images = reopen(here, root, data)
    if here.data is not None:
        here = replace(here, data=moved(here.data, data, root))
    here = _as_resumed_here(here, config, images)
    check_batch(len(images), here.recipe.batch_size, here.world_size)
    return Job(run=run, config=here, images=images, earlier=config)


def _is_done(run: Run, config: RunConfig) -> bool:
    return run.state.exists() and saved_step(run.state) == config.steps


def _as_resumed_here(config: RunConfig, earlier: RunConfig, images: Images) -> RunConfig:
    """Return `config` with what is new here as deviations.

    Those are the device after another, compilation, processes, threads, versions, and files that
    were mended.
    """
    processes, found = int(os.environ.get("WORLD_SIZE", 1)), versions()
    threads = torch.get_num_threads()
    changes = []
    if config.device != earlier.device:
        changes.append(f"resumed on {config.device} after {earlier.device}")
    if config.compile != earlier.compile:
        changes.append(f"resumed {'with' if config.compile else 'without'} torch.compile")
    if processes != config.world_size:
        changes.append(f"resumed on {processes} processes after {config.world_size}")
    if config.device == earlier.device == "cpu" and config.threads not in (None, threads):
        changes.append(f"resumed with {threads} threads after {config.threads}")
    if found["torch"] != config.versions.get("torch"):
        before = config.versions.get("torch", "another")
        changes.append(f"resumed with torch {found['torch']} after {before}")
    if config.data and mended(images, config.data):
        changes.append("files of the images were changed while it was being trained")
    deviations = tuple(dict.fromkeys((*config.deviations, *changes)))
    return replace(
        config,
        world_size=processes,
        threads=threads,
        versions=found,
        deviations=deviations,
    )


def carry_out(job: Job, habits: Habits | None = None) -> int | None:
    """Train `job` to its end; under `torchrun`, together with the other processes.

    Returns:
        None when it is finished, or the number of the signal that stopped it in good order.

    Raises:
        InputError: another process is training the run, or the folder has come to hold another.
    """
    config, images = job.config, job.images
    if images is None:
        return None
    fabric = make_fabric(config.device, config.precision)
    fabric.barrier()  # every process has found the folder as it was
    with ExitStack() as held:
        with as_one():
            if fabric.is_global_zero:
                held.enter_context(_only_trainer(job.run.folder))
                _check_unchanged(job)
                remove_unfinished(job.run.folder)
                if not job.run.exists:  # one that is resumed is changed once its state was read
                    job.run.write_config(config)
        with own_settings(), freed_memory_kept(), tried_convolutions(True):
            return train(job.run, config, images, fabric, habits or Habits())


def _check_unchanged(job: Job) -> None:
    now = job.run.config() if job.run.exists else None
    known = [as_json(each and each.to_json()) for each in (job.earlier, job.config)]
    if as_json(now and now.to_json()) not in known:
        raise InputError(
            f"--out must be as it was when this job was made. {job.run.folder} has come to hold "
            "another run; pass another folder, or resume that run."
        )


@contextmanager
def _only_trainer(folder: Path) -> Iterator[None]:
    """Hold the run's lock, which the system lets go of when the process ends in any way."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"--out must not be in use. Another process is training {folder}; wait for it, or "
                "pass another folder."
            ) from error
        yield


def is_chief() -> bool:
    """Whether this process is the one that prints and writes: the only one, or torchrun's first."""
    return int(os.environ.get("RANK", 0)) == 0


def _check_space(folder: Path, config: RunConfig) -> None:
    with torch.device("meta"):
        networks = Generator(config.generator), Discriminator(config.discriminator)
    count = sum(parameter_count(network) for network in networks)
    # The newest weights, the best and a copy while they are replaced; those of the kept epochs.
    needed = count * (_STATE_BYTES + 4 * (3 + len(config.save_epochs)))
    there = nearest_there(folder)
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"--out needs {needed / 2**20:.0f} MiB for weights and state. {there} has "
            f"{free / 2**20:.0f} MiB left; free some, or pass fewer --save-epochs."
        )
