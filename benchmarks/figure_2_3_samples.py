"""Figures 2 and 3: samples after one, five and more epochs; how near they are to real images.

    gan-eval benchmark figure_2_3_samples

Of every network on images that are there: a grid at fixed z for each kept epoch, losses, and the
training images nearest to samples; of unconditional ones distances of samples to real images over
the epochs, in the features of the run's own last D. In a hurry: `radford2015-svhn` only.

Paper: bedrooms of LSUN after one epoch and after five, not memorised. Ours:
results/figure_2_3_samples, of longer runs where there were such. 2 cores: 2.5 hours, and .25.
"""

import shutil
import statistics
from typing import Any

import torch

from gan_eval.experiments.neighbors import neighbors
from gan_eval.experiments.reproduction import Reproduction
from gan_eval.experiments.score import score
from gan_eval.experiments.score.extractors import ExtractorSpec
from gan_eval.experiments.score.figures import ScoreProtocol
from gan_eval.files import append_line, read_lines
from gan_eval.models.runs import Run
from gan_eval.models.sampling import generate
from gan_eval.records import provenance
from gan_eval.visualize.grids import write_grid

SAMPLES, COLUMNS, SCORED, KID_SUBSET = 36, 6, 5000, 500
# Preset, images, epochs, and options of the request.
EXHIBITS: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
    ("radford2015-svhn", "cifar10", 20, {}),
    ("radford2015-mnist", "mnist", 10, {}),
    ("carpedm20-mnist", "mnist", 10, {}),
    ("carpedm20", "celeba", 6, {}),
    ("pytorch-examples", "celeba", 30, {}),
    ("sthalles", "mnist", 3, {}),
    ("sthalles", "svhn", 20, {}),
    ("cs231n-mnist", "mnist", 5, {}),
    ("bubbliiiing", "celeba", 3, {"width": 64}),
    ("radford2015-imagenet32", "imagenet", 1, {}),
    ("radford2015", "lsun-bedroom", 5, {}),
)


def steadiness(later: list[dict[str, Any]]) -> dict[str, float]:
    """Return whether a run collapsed or oscillated, from its rows after the first tenth.

    Diversity is the variance of generated over that of real batches (0: collapsed); d_wins the
    share of rows in which D was right on every image (1: G learns nothing any more).
    """
    diversity = [row["diversity"] for row in later]
    wins = [row["d_real_accuracy"] == row["d_fake_accuracy"] == 1 for row in later]
    return {
        "diversity_min": round(min(diversity), 3),
        "diversity_max": round(max(diversity), 3),
        "d_wins": round(statistics.mean(wins), 3),
    }


def show(asked: Reproduction, run: Run, kept: list[int]) -> None:
    """Write grids and losses of a run, and a line of how its training went."""
    rows, config, name = list(read_lines(run.metrics)), run.config(), run.folder.name
    for epoch in kept:
        drawn = [pixels for pixels, _ in generate(run.load_generator(epoch), SAMPLES, seed=0)]
        write_grid(asked.out / f"{name}-epoch-{epoch:04d}.png", torch.cat(drawn), COLUMNS)
    if (run.folder / "losses.png").exists():
        shutil.copyfile(run.folder / "losses.png", asked.out / f"{name}-losses.png")
    later = [row for row in rows[len(rows) // 10 :] if {"diversity", "g_loss"} <= row.keys()]
    if not later:
        return  # a training that was cut short
    rate = statistics.median(row["images_per_second"] for row in rows)
    minutes = run.steps() * config.recipe.batch_size / rate / 60
    epochs = round(run.steps() / config.steps_per_epoch, 1)
    line = {"benchmark": "figure_2_3_samples", "name": name, "epochs": epochs,
            "steps": run.steps(), "minutes": minutes, "images": config.data and config.data.count,
            **steadiness(later), "quick": asked.quick, "seed": config.seed, "device": config.device,
            "precision": config.precision, "deviations": config.deviations,
            **provenance()}  # fmt: skip
    append_line(asked.out / "runs.jsonl", line)


def main(asked: Reproduction) -> None:
    asked.out.mkdir(parents=True, exist_ok=True)
    protocol = ScoreProtocol(metrics=("fid", "kid"), kid_subset_size=KID_SUBSET)
    n = SCORED // 5 if asked.quick else SCORED
    for preset, data, epochs, options in EXHIBITS[: 1 if asked.quick else None]:
        with asked.row(f"{preset} on {data}"):
            run = asked.trained(preset, found := asked.data(data), epochs, **options)
            kept = run.kept("generator")
            show(asked, run, kept)
            where = {**asked.common, "out": asked.out / run.folder.name}
            neighbors(run, samples=1000, memorisation_only=True, **where)
            if run.config().discriminator.classes:
                continue  # a conditional D compares images only with their labels
            disc = ExtractorSpec(name=f"disc:{run.folder}")
            for epoch in kept[-1:] if asked.quick else kept:
                score([run], found, protocol=protocol, extractor=disc, n=n, epoch=epoch,
                      **asked.common)  # fmt: skip
