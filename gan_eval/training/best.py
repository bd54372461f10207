"""Which epoch was the best so far, by what was measured while training; its networks are kept.

It is read from metrics.jsonl alone, so that a run that was killed and resumed keeps the same one.
Not by test images: what is measured while training is of a training part.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_eval.files import write_json
from gan_eval.models.runs import Run
from gan_eval.models.weights import save_network
from gan_eval.training.step import Trainer

# The first of them that a run has measured; lower is better. Not the kernel distance, whose cubes
# make it jump from epoch to epoch.
CHOOSING = ("fid", "probe_error")


def best_row(rows: Sequence[dict[str, Any]]) -> tuple[str, dict[str, Any]] | None:
    """Return the figure that chooses and the first row where it is lowest; None without figures.

    Example:
        >>> best_row([{"step": 5, "fid": 3.0}, {"step": 10, "fid": 2.0}, {"step": 15, "fid": 2.0}])
        ('fid', {'step': 10, 'fid': 2.0})
    """
    for name in CHOOSING:
        measured = [row for row in rows if name in row]
        if measured:
            return name, min(measured, key=lambda row: row[name])
    return None


def keep_best(run: Run, trainer: Trainer, rows: Sequence[dict[str, Any]], epoch: int) -> None:
    """Keep the networks, which `epoch` and the last of `rows` belong to, if they are the best."""
    found = best_row(rows)
    if found is None or found[1] is not rows[-1]:
        return
    (name, row), folder = found, run.checkpoint("best")
    save_networks(folder, trainer, row["step"], epoch)
    rule = f"lowest {name} of the epochs that were measured"
    write_json(folder / "best.json", {"rule": rule, **row, "epoch": epoch})


def save_networks(folder: Path, trainer: Trainer, step: int, epoch: int) -> None:
    """Write both networks as they are after `step` steps, in `epoch`."""
    about = {"preset": trainer.config.preset, "step": step, "epoch": epoch}
    for name, network in trainer.networks.items():
        save_network(folder / f"{name}.safetensors", network, about)
