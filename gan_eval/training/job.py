"""A training job: a run's folder, its config and its images, checked before anything is written."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gan_eval.data import Images
from gan_eval.errors import InputError
from gan_eval.models.dcgan import Discriminator, Generator, parameter_count
from gan_eval.models.runs import Run, RunConfig
from gan_eval.records import remove_unfinished
from gan_eval.training.checkpoint import saved_step
from gan_eval.training.config import Request, extend, reopen, resolve
from gan_eval.training.devices import keep_freed_memory, make_fabric, resolve_device
from gan_eval.training.loop import Habits, train

# Weights and two moments of Adam in float32, and once more while the old state is being replaced.
_STATE_BYTES = 4 * 3 * 2


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that can be trained: everything that could be wrong has been looked at."""

    run: Run
    config: RunConfig
    images: Images

    @property
    def finished(self) -> bool:
        """Whether all steps have been done."""
        return self.run.state.exists() and saved_step(self.run.state) >= self.config.steps


def new_job(folder: Path, request: Request) -> Job:
    """Return the job of a new run in `folder`, which must be free.

    Raises:
        InputError: the folder is taken, or the request cannot be met; nothing was written.
    """
    run = Run(folder)
    if run.exists:
        raise InputError(
            f"--out must not hold a run already. {folder} does; pass --resume to continue it, or "
            "another folder."
        )
    # Hidden files do not count: a run killed while its config was written leaves one.
    if folder.exists() and (not folder.is_dir() or any(folder.glob("[!.]*"))):
        raise InputError(
            f"--out must be a new or empty folder, or a run. {folder} is neither; "
            "pass another folder."
        )
    config, images = resolve(request, int(os.environ.get("WORLD_SIZE", 1)))
    _check_space(folder, config)
    return Job(run=run, config=config, images=images)


def resumed_job(
    folder: Path,
    *,
    root: Path | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    device: str | None = None,
    same: dict[str, Any] | None = None,
) -> Job:
    """Return the job that continues the run in `folder`, or trains it on to a later end.

    `same` holds options given again, by their names in `options_of`, which must be the run's own.

    Raises:
        InputError: there is no run, an option differs, or the images are not the same.
    """
    run = Run(folder)
    config = run.config()
    own = options_of(config)
    for name, value in (same or {}).items():
        if value not in (own[name], "auto"):
            raise InputError(
                f"--{name.replace('_', '-')} must be the run's own to resume it: {own[name]}. "
                f"Got {value}; leave it out, or pass another --out."
            )
    config = _on_these_processes(extend(config, epochs, steps))
    if device is not None:
        config = replace(config, device=resolve_device(device))
    return Job(run=run, config=config, images=reopen(config, root))


def _on_these_processes(config: RunConfig) -> RunConfig:
    """Return `config` for as many processes as there are now; another number is a deviation."""
    now = int(os.environ.get("WORLD_SIZE", 1))
    if now == config.world_size:
        return config
    change = f"resumed on {now} processes after {config.world_size}"
    return replace(config, world_size=now, deviations=(*config.deviations, change))


def options_of(config: RunConfig) -> dict[str, Any]:
    """Return the options that a run was started with, as far as they cannot be changed later."""
    return {
        "preset": config.preset,
        "data": config.data.name,
        "split": config.data.split,
        "image_size": config.generator.image_size,
        "channels": config.generator.channels,
        "limit": config.data.count,
        "latent_dim": config.generator.latent_dim,
        "batch_size": config.recipe.batch_size,
        "seed": config.seed,
        "precision": config.precision,
    }


def carry_out(job: Job, habits: Habits | None = None) -> int | None:
    """Train `job` to its end; under `torchrun`, together with the other processes.

    Returns:
        None when it is finished, or the number of the signal that stopped it in good order.
    """
    config = job.config
    fabric = make_fabric(config.device, config.precision)
    keep_freed_memory()
    if fabric.is_global_zero:
        job.run.write_config(config)
        remove_unfinished(job.run.folder)
    fabric.barrier()
    return train(job.run, config, job.images, fabric, habits or Habits())


def is_chief() -> bool:
    """Whether this process is the one that prints and writes: the only one, or torchrun's first."""
    return int(os.environ.get("RANK", 0)) == 0


def _check_space(folder: Path, config: RunConfig) -> None:
    count = sum(
        parameter_count(network)
        for network in (Generator(config.generator), Discriminator(config.discriminator))
    )
    needed = count * (_STATE_BYTES + 4 * (2 + len(config.save_epochs)))
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"--out needs {needed / 2**20:.0f} MiB for weights and state. {there} has "
            f"{free / 2**20:.0f} MiB left; free some, or pass fewer --save-epochs."
        )
