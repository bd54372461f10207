"""Which use of a discriminator's features is best? Judged on validation images alone.

    python benchmarks/ablation_features.py --run runs/… [--data cifar10] [--n 5000]

Each variant is fitted on the first n training images, of which batch norm's statistics are too, and
judged on the last n, at the best C of the authors' grid. The test part is not opened. Each appends
a line to results/table_1_cifar10/ablation.jsonl, which the report shows; what is there of the same
weights is not measured again.

On one thread, beside other work: under five minutes with --n 2500, for the 28,672 features of
`radford2015-imagenet32`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from gan_eval.data import Images, open_images
from gan_eval.features.discriminator import DiscriminatorFeatures, random_discriminator
from gan_eval.features.mirrored import Mirrored
from gan_eval.models.runs import Run
from gan_eval.models.weights import weights_sha256
from gan_eval.probes.l2_svm import fit_l2_svm, predictions
from gan_eval.probes.protocol import C_GRID
from gan_eval.records import append_line, provenance, read_lines

RESULTS = Path(__file__).parent.parent / "results" / "table_1_cifar10" / "ablation.jsonl"


def variants(layers: int) -> dict[str, tuple[dict[str, Any], tuple[int, ...]]]:
    """Return the options and layers, from 0, of every variant; the first is the paper's."""
    every, mirror = tuple(range(layers)), {"mirror": True}
    return {
        "the paper's: all layers, 4x4, statistics of the data": ({}, every),
        **{f"layer {layer + 1} alone": ({}, (layer,)) for layer in every},
        "without the first layer": ({}, every[1:]),
        "without the last layer": ({}, every[:-1]),
        "mean with the mirror image": (mirror, every),
        "mean with the mirror image, without the first layer": (mirror, every[1:]),
        "pooled to 2x2": ({"pool": 2}, every),
        "running averages of training": ({"batch_norm": "running"}, every),
        "untrained": ({"untrained": True}, every),
    }


def features(run: Run, train: Images, rows: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    """Return features of all layers of uint8 images, float32 (n, width); statistics of `train`."""
    given, config = dict(options), run.config()
    untrained, mirror = given.pop("untrained", False), given.pop("mirror", False)
    network = (
        random_discriminator(config.discriminator, 0) if untrained else run.load_discriminator()
    )
    scale = config.generator.scale
    disc = DiscriminatorFeatures(network, scale, train=train, precision="bf16", **given)
    extractor = Mirrored(disc) if mirror else disc
    extractor.prepare()
    return torch.cat([extractor(part) for part in rows.split(256)])


def columns(run: Run, layers: tuple[int, ...], width: int) -> torch.Tensor:
    """Return which of `width` features are of `layers`."""
    config = run.config().discriminator
    maps = [config.layers[i].width for i in config.feature_layers]
    parts = torch.arange(width).split([width // sum(maps) * each for each in maps])
    return torch.cat([parts[layer] for layer in layers])


def best_of_grid(x: torch.Tensor, labels: torch.Tensor, n: int) -> tuple[float, float]:
    """Return the lowest validation error, and its C."""
    models = fit_l2_svm(x[:n], labels[:n], C_GRID)
    wrong = (said != labels[n:] for said in predictions(models, x[n:]))
    return min(zip([float(each.double().mean()) for each in wrong], C_GRID, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--n", type=int, default=5000)
    asked = parser.parse_args()
    run, n = Run(asked.run), asked.n
    network, steps = run.config().discriminator, run.steps()
    shape = {"root": None, "size": network.image_size, "channels": network.channels}
    train = open_images(asked.data, limit=n, **shape)
    images = open_images(asked.data, **shape)
    chosen = torch.cat([torch.arange(n), torch.arange(len(images) - n, len(images))])
    rows, labels = images.take(chosen), images.labels[chosen]
    about = {"run": run.folder.name, "steps": steps, "n": n, "data": images.name,
             "weights": weights_sha256(run.load_discriminator())}  # fmt: skip
    known = [(row["name"], *map(row.get, about)) for row in read_lines(RESULTS)]
    held: dict[str, torch.Tensor] = {}
    for name, (options, layers) in variants(len(network.feature_layers)).items():
        if (name, *about.values()) in known:
            continue
        start = time.perf_counter()
        if str(options) not in held:
            held = {str(options): features(run, train, rows, options)}
        x = held[str(options)]
        x = x[:, columns(run, layers, x.shape[1])]
        error, cost = best_of_grid(x, labels, n)
        row = {"benchmark": "ablation_features", "name": name, **about,
               "feature_width": x.shape[1], "C": cost,
               "validation_error": error, "seconds": round(time.perf_counter() - start, 1),
               **provenance()}  # fmt: skip
        append_line(RESULTS, row)
        print(f"{name}: {error:.2%}, {row['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
