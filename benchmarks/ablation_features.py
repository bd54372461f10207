"""Which use of a discriminator's features is best? Judged on validation images alone.

    python benchmarks/ablation_features.py --run runs/… [--data cifar10] [--n 5000]

Each variant is fitted on the first n training images and judged on the last n; C is the best of the
authors' grid for that variant. The test part is not opened. Writes results/ablation_features/.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from gan_eval.data import Images, open_images
from gan_eval.features.discriminator import DiscriminatorFeatures, random_discriminator
from gan_eval.models.runs import Run
from gan_eval.probes.l2_svm import fit_l2_svm, predictions
from gan_eval.probes.protocol import C_GRID
from gan_eval.records import append_line, hardware, versions, write_bytes

RESULTS = Path(__file__).parent.parent / "results" / "ablation_features"


def variants(layers: int) -> dict[str, dict[str, Any]]:
    """Return the options of every variant; the first is the paper's."""
    every = tuple(range(1, layers + 1))
    return {
        "the paper's: all layers, 4x4, statistics of the data": {},
        **{f"layer {layer} alone": {"layers": (layer,)} for layer in every},
        "without the first layer": {"layers": every[1:]},
        "without the last layer": {"layers": every[:-1]},
        "pooled to 2x2": {"pool": 2},
        "running averages of training": {"batch_norm": "running"},
        "mean with the mirror image": {"mirror": True},
        "untrained": {"untrained": True},
    }


def features(run: Run, images: Images, rows: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    """Return the features of some training images, float32 (n, width)."""
    options = dict(options)
    config = run.config()
    untrained = options.pop("untrained", False)
    network = (
        random_discriminator(config.discriminator, 0) if untrained else run.load_discriminator()
    )
    disc = DiscriminatorFeatures(
        network, config.generator.scale, train=images, precision="bf16", **options
    )
    disc.prepare()
    parts = [disc(images.take(part)).float() for part in rows.split(256)]
    return torch.cat(parts)


def errors(x: torch.Tensor, labels: torch.Tensor, n: int) -> list[float]:
    """Return the validation error at each C of the grid."""
    models = fit_l2_svm(x[:n], labels[:n], C_GRID)
    return [float((said != labels[n:]).double().mean()) for said in predictions(models, x[n:])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--n", type=int, default=5000)
    given = parser.parse_args()
    run = Run(given.run)
    images = open_images(given.data, root=None, size=run.config().discriminator.image_size)
    assert images.labels is not None
    rows = torch.cat([torch.arange(given.n), torch.arange(len(images) - given.n, len(images))])
    lines = [
        f"Validation error in % of {run.folder.name} at {run.config().steps:,} steps on "
        f"{given.data}: fitted on {given.n:,} training images, judged on {given.n:,} others.",
        "",
        "| features | width | C | error |",
        "|---|---|---|---|",
    ]
    for name, options in variants(len(run.config().discriminator.layers)).items():
        start = time.perf_counter()
        x = features(run, images, rows, options)
        found = errors(x, images.labels[rows], given.n)
        best = min(range(len(C_GRID)), key=found.__getitem__)
        row = {"variant": name, "run": run.folder.name, "steps": run.config().steps,
               "width": x.shape[1], "C": C_GRID[best], "errors": found, "n": given.n,
               "seconds": time.perf_counter() - start,
               "hardware": hardware(), "versions": versions()}  # fmt: skip
        append_line(RESULTS / "ablation.jsonl", row)
        print(name, found[best], f"{row['seconds']:.0f} s", flush=True)
        lines.append(f"| {name} | {x.shape[1]:,} | {C_GRID[best]:g} | {100 * found[best]:.1f} |")
    write_bytes(RESULTS / "table.md", ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
