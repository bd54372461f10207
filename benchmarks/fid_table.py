"""FID, KID, Inception score, precision and recall of every trained run, between two ends.

    gan-eval benchmark fid_table

The samples of all runs on the same images, random training images and noise are compared with the
test or validation part of these images (where there is none, with other training images), in the
runs' own form: by Inception where its official weights are, and by the features of a discriminator
that none of the runs was trained with, `radford2015-svhn`'s with the authors' weights. In a hurry:
1,000 samples of the runs of one kind.

Paper: none. Ours: results/fid_table. On 2 cores: ten seconds a row by D's features, ten minutes by
Inception.
"""

from functools import partial
from itertools import groupby, product
from pathlib import Path
from typing import Any

import torch

from gan_eval.data import open_images
from gan_eval.experiments.features import form_of
from gan_eval.experiments.parts import halves, if_there, sample
from gan_eval.experiments.reproduction import MissingError, Reproduction
from gan_eval.experiments.score import score
from gan_eval.experiments.score.extractors import ExtractorSpec
from gan_eval.experiments.score.figures import ScoreProtocol
from gan_eval.experiments.score.sides import array_side
from gan_eval.features.inception import OFFICIAL_SHA256, URL, official_weights
from gan_eval.models.runs import Run
from gan_eval.seeding import stream

SAMPLES, QUICK = 10_000, 1000


def both_ends(run: Run, n: int, root: Path | None) -> tuple[Any, list[Any], int]:
    """Return a reference in a run's form, what is at the ends, and the smaller number of images."""
    data, form = run.config().data, form_of(run.config())
    assert data is not None
    shape = (n, form["channels"], form["size"], form["size"])
    noise = torch.randint(256, shape, generator=stream(0, "noise"), dtype=torch.uint8)
    ends: list[Any] = [array_side(noise, "noise")]
    opened = partial(open_images, data.name, root=root, **form)
    whole = opened(split=data.split)
    for part in ("test", "val"):
        unseen = if_there(opened, part)
        if unseen is not None:
            near = sample(whole, n)
            return unseen, [near, *ends], min(len(near), len(unseen))
    near, unseen = halves(whole)
    return unseen, [near, *ends], len(near)


def alike(runs: list[Run]) -> list[list[Run]]:
    """Return runs on the same images in the same form together: they share a reference."""

    def kind(run: Run) -> str:
        data = run.config().data
        return f"{data and (data.name, data.split)} {sorted(form_of(run.config()).items())}"

    return [list(some) for _, some in groupby(sorted(runs, key=kind), kind)]


def extractors(asked: Reproduction) -> list[ExtractorSpec]:
    """Return what images are compared by, the best known first."""
    found = []
    with asked.row("by Inception's official weights"):
        if not official_weights():
            raise MissingError(
                f"{URL} (SHA-256 {OFFICIAL_SHA256}) must be in torch hub's folder of checkpoints."
            )
        found.append(ExtractorSpec(name="inception"))
    with asked.row("by D with the authors' weights"):
        found.append(ExtractorSpec(name=f"disc:{asked.authors().folder}"))
    return found


def main(asked: Reproduction) -> None:
    n = QUICK if asked.quick else SAMPLES
    runs = [Run(path.parent) for path in sorted(asked.runs.glob("*/config.json"))]
    trained = [run for run in runs if run.config().data and run.generator.exists()]
    if not trained:
        raise MissingError(
            "Trained runs must be under --runs. Found none; `gan-eval train` makes them."
        )
    together = alike(trained)[: 1 if asked.quick else None]
    for spec, runs in product(extractors(asked), together):
        with asked.row(", ".join(run.folder.name for run in runs)):
            reference, ends, size = both_ends(runs[0], n, asked.root)
            protocol = ScoreProtocol(kid_subset_size=size // 10)
            score([*runs, *ends], reference, protocol=protocol, extractor=spec, n=n,
                  **asked.common)  # fmt: skip
