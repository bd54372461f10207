"""Figures 2 and 3: samples of every network on real images, after each kept epoch.

Trains what is not there yet (or goes on where it was broken off), then writes into
results/figure_2_3/ a grid per run and kept epoch, the loss curves, and one JSON line per run with
its command, hardware, time and last figures.

    python benchmarks/figure_2_3_samples.py --runs runs [--only NAME …]

Data named here are looked for under GAN_EVAL_DATA.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gan_eval.models.runs import Run, RunConfig
from gan_eval.models.sampling import generate
from gan_eval.records import append_line, hardware, read_lines
from gan_eval.visualize.grids import write_grid

RESULTS = Path(__file__).parent.parent / "results" / "figure_2_3"
SAMPLES, COLUMNS = 36, 6


class Exhibit(NamedTuple):
    """One network on one set of images."""

    preset: str
    data: str
    epochs: int
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.preset}-on-{self.data}"

    def command(self, runs: Path) -> list[str]:
        return ["train", "--preset", self.preset, "--data", self.data, "--epochs",
                str(self.epochs), *self.options, "--out", str(runs / self.name)]  # fmt: skip


EXHIBITS = (
    Exhibit("radford2015-svhn", "cifar10", 20),
    Exhibit("radford2015-mnist", "mnist", 10),
    Exhibit("carpedm20-mnist", "mnist", 10),
    Exhibit("carpedm20", "celeba64", 6),
    Exhibit("sthalles", "mnist", 3),
    Exhibit("sthalles", "svhn10k", 20),
    Exhibit("cs231n-mnist", "mnist", 5),
    Exhibit("bubbliiiing", "celeba64", 3, ("--width", "64")),
    Exhibit("radford2015-imagenet32", "tiny-imagenet32", 1),
)


def report(exhibit: Exhibit, runs: Path) -> dict[str, Any]:
    """Write the pictures of a finished run and return its line."""
    run = Run(runs / exhibit.name)
    config = run.config()
    rows = list(read_lines(run.metrics))
    kept = sorted(int(path.name.split("-")[1]) for path in (run.folder / "checkpoints").iterdir())
    for epoch in kept:
        drawn = [pixels for pixels, _ in generate(run.load_generator(epoch), SAMPLES, seed=0)]
        picture = RESULTS / f"{exhibit.name}-epoch-{epoch:04d}.png"
        write_grid(picture, torch.cat(drawn), COLUMNS)
    shutil.copyfile(run.folder / "losses.png", RESULTS / f"{exhibit.name}-losses.png")
    return {
        "benchmark": "figure_2_3_samples",
        "name": exhibit.name,
        "command": "gan-eval " + " ".join(exhibit.command(Path("runs"))),
        "epochs": kept[-1],
        "images": config.data.count,
        "minutes": round(_seconds(rows, config) / 60, 1),
        "last": rows[-1],
        "steadiness": steadiness(rows),
        "precision": config.precision,
        "device": config.device,
        "hardware": hardware(),
        "deviations": config.deviations,
        "data": config.data.fingerprint,
        "versions": config.versions,
        "seed": config.seed,
    }


def _seconds(rows: list[dict[str, Any]], config: RunConfig) -> float:
    """Return the time in training steps at the median rate, as pauses are not the network's."""
    rate = statistics.median(row["images_per_second"] for row in rows)
    return config.steps * config.recipe.batch_size / rate


def steadiness(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return whether a run collapsed or oscillated, from its rows after the first tenth.

    diversity_min, diversity_max: variance of generated over that of real batches (0: collapsed).
    g_loss_swing: largest over smallest mean of G's loss in a ninth of them (large: oscillates).
    d_wins: share of rows in which D was right on every image (1: G learns nothing any more).
    """
    later = [row for row in rows[len(rows) // 10 :] if {"diversity", "g_loss"} <= row.keys()]
    diversity = [row["diversity"] for row in later]
    parts = [later[i * len(later) // 9 : (i + 1) * len(later) // 9] for i in range(9)]
    means = [statistics.mean(row["g_loss"] for row in part) for part in parts if part]
    wins = [row["d_real_accuracy"] == row["d_fake_accuracy"] == 1 for row in later]
    return {
        "diversity_min": round(min(diversity), 3),
        "diversity_max": round(max(diversity), 3),
        "g_loss_swing": round(max(means) / min(means), 2),
        "d_wins": round(statistics.mean(wins), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--only", nargs="+", choices=[exhibit.name for exhibit in EXHIBITS])
    given = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for exhibit in EXHIBITS:
        if given.only and exhibit.name not in given.only:
            continue
        command = [sys.executable, "-m", "gan_eval", *exhibit.command(given.runs), "--resume"]
        subprocess.run(command, check=True)
        append_line(RESULTS / "runs.jsonl", report(exhibit, given.runs))


if __name__ == "__main__":
    main()
