"""The command by which a training that was stopped goes on."""

import os
import shlex
from pathlib import Path
from typing import Any

from gan_eval.cli.options import was_given

# What no run remembers, and is to be said again: what is measured on the way, and habits.
_SAID_AGAIN = (
    "probe_every", "probe_data", "score_every", "score_extractor", "score_weights", "data_root",
    "save_seconds", "log_every", "workers", "tensorboard",
)  # fmt: skip


def command_again(folder: Path, options: dict[str, Any]) -> str:
    """Return the command that goes on as this one did."""
    words = [*_starts_with(), "train", "--out", str(folder), "--resume"]
    for name in filter(was_given, _SAID_AGAIN):
        words.append(f"--{name.replace('_', '-')}")
        if options[name] is not True:
            words.append(str(options[name]))
    return shlex.join(words)


def _starts_with() -> list[str]:
    """Return what starts this program: torchrun, where it is one of several processes."""
    world, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if world == 1:
        return ["gan-eval"]
    nodes = ["--nnodes", str(world // local)] if world > local else []
    return ["torchrun", *nodes, "--nproc-per-node", str(local), "-m", "gan_eval"]
