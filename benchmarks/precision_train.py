"""Does training in bf16 cost quality? Samples after equal steps in both precisions, several seeds.

Trains `radford2015-svhn` on the embedded digits, then compares the moments of 2,000 samples with
those of the 1,797 real images: the Fréchet distance between Gaussians (Heusel et al. 2017,
arXiv:1706.08500) on the images at the digits' own 8x8 pixels, 64 values in [0, 1]. The distance
between two halves of the real images stands beside: what chance does to sets of 900, which is about
twice what it does to sets of these sizes.

    python benchmarks/precision_train.py [--seeds 3] [--steps 700]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gan_eval import Request, carry_out, generate, new_job, open_images
from gan_eval.files import append_line
from gan_eval.metrics import Moments, frechet_distance
from gan_eval.records import provenance

RESULTS = Path(__file__).parent.parent / "results" / "speed_train"
SAMPLES = 2000


def features(images: Tensor) -> np.ndarray:
    """Return uint8 images (n, 1, 32, 32) as (n, 64) means over 4x4 pixels, in [0, 1]."""
    return functional.avg_pool2d(images.float() / 255, 4).flatten(1).double().numpy()


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Return the distance between the Gaussians of two sets of features."""
    real, fake = Moments(), Moments()
    real.update(a)
    fake.update(b)
    return frechet_distance(real=real, fake=fake).distance


def distance(precision: str, seed: int, steps: int, real: np.ndarray) -> float:
    """Train, sample and return the distance to the real images."""
    with tempfile.TemporaryDirectory() as folder:
        request = Request(preset="radford2015-svhn", data="digits", split="all", steps=steps,
                          seed=seed, precision=precision)  # fmt: skip
        job = new_job(Path(folder) / "run", request)
        carry_out(job)
        drawn = [images for images, _ in generate(job.run.load_generator(), SAMPLES, seed=0)]
    return frechet(features(torch.cat(drawn)), real)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=700)
    given = parser.parse_args()
    images = open_images("digits", root=None, split="all", size=32)
    real = features(images.take(range(len(images))))
    shuffled = np.random.default_rng(0).permutation(real)
    floor = frechet(shuffled[::2], shuffled[1::2])
    found: dict[str, list[float]] = {"32": [], "bf16": []}
    for seed in range(given.seeds):
        for precision, distances in found.items():
            distances.append(round(distance(precision, seed, given.steps, real), 4))
            print(f"seed {seed}, {precision}: {distances[-1]}", flush=True)
    row = {"benchmark": "precision_train", "preset": "radford2015-svhn", "data": "digits",
           "steps": given.steps, "frechet_8x8": found, "real_halves": round(floor, 4),
           "samples": SAMPLES, **provenance()}  # fmt: skip
    append_line(RESULTS / "precision.jsonl", row)
    print(row)


if __name__ == "__main__":
    main()
