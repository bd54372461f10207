"""FID, KID, Inception score, precision and recall of every trained run, between two ends.

    gan-eval benchmark fid_table

Each run's samples, the first training images and noise are compared with the test part of what the
run was trained on (its training part where there is none), in the run's own form: by Inception
where its official weights are, and by the features of one discriminator that none of the runs was
trained with, `radford2015-svhn`'s with the authors' weights. In a hurry: 1,000 samples.

Paper: none. Ours: results/fid_table. On 2 cores: about a minute a run by D's features, ten minutes
by Inception.
"""

from pathlib import Path
from typing import Any

import torch

from gan_eval.data import Images, open_images
from gan_eval.errors import InputError
from gan_eval.experiments.features import form_of
from gan_eval.experiments.reproduction import MissingError, Reproduction
from gan_eval.experiments.score import score
from gan_eval.experiments.score_extractors import ExtractorSpec
from gan_eval.experiments.score_figures import ScoreProtocol
from gan_eval.experiments.score_sides import array_side
from gan_eval.features.inception import OFFICIAL_SHA256, URL, official_weights
from gan_eval.models.runs import Run
from gan_eval.seeding import stream

SAMPLES, QUICK = 10_000, 1000


def reference(run: Run, root: Path | None) -> Images:
    """Return the test part of what a run was trained on, in the run's form."""
    data, form = run.config().data, form_of(run.config())
    assert data is not None
    try:
        return open_images(data.name, root=root, split="test", **form)
    except InputError as error:
        if not str(error).startswith("split must be one that"):
            raise
        return open_images(data.name, root=root, split=data.split, **form)


def ends(run: Run, n: int, root: Path | None) -> list[Any]:
    """Return training images and noise of the run's form."""
    data, form = run.config().data, form_of(run.config())
    assert data is not None
    shape = (n, form["channels"], form["size"], form["size"])
    noise = torch.randint(256, shape, generator=stream(0, "noise"), dtype=torch.uint8)
    real = open_images(data.name, root=root, split=data.split, limit=n, **form)
    return [real, array_side(noise, "noise")]


def extractors(asked: Reproduction) -> list[ExtractorSpec]:
    """Return what images are compared by, the best known first."""
    found = []
    with asked.row("by Inception's official weights"):
        if not official_weights():
            raise MissingError(
                f"{URL} (SHA-256 {OFFICIAL_SHA256}) must be in torch hub's folder of checkpoints."
            )
        found.append(ExtractorSpec(name="inception"))
    judge = Run(asked.runs / "authors-svhn")
    with asked.row("by D with the authors' weights"):
        if not judge.exists:
            raise MissingError("runs/authors-svhn must be there; `gan-eval import newmu` makes it.")
        found.append(ExtractorSpec(name=f"disc:{judge.folder}"))
    return found


def main(asked: Reproduction) -> None:
    n = QUICK if asked.quick else SAMPLES
    protocol = ScoreProtocol(kid_subset_size=n // 10)
    runs = [Run(path.parent) for path in sorted(asked.runs.glob("*/config.json"))]
    trained = [run for run in runs if run.config().data and run.generator.exists()]
    if not trained:
        raise MissingError(
            "Trained runs must be under --runs. Found none; `gan-eval train` makes them."
        )
    for spec in extractors(asked):
        for run in trained[: 2 if asked.quick else None]:
            models = [run, *ends(run, n, asked.root)]
            score(models, reference(run, asked.root), protocol=protocol, extractor=spec, n=n,
                  **asked.common)  # fmt: skip
