"""Which use of a discriminator's features is best? Judged on validation images alone.

    python benchmarks/ablation_features.py --run runs/… [--n 5000]

Each variant is fitted on CIFAR-10's first n training images and judged on the last n, at the best C
of the authors' grid; what is in results/table_1_cifar10/ablation.jsonl is not measured again.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gan_eval.data import Images, open_images
from gan_eval.features.discriminator import DiscriminatorFeatures, random_discriminator
from gan_eval.features.views import Mirrored, Shifted
from gan_eval.files import append_line, read_lines
from gan_eval.models.runs import Run
from gan_eval.models.weights import weights_sha256
from gan_eval.probes.l2_svm import fit_l2_svm, predictions
from gan_eval.probes.protocol import C_GRID
from gan_eval.records import provenance

RESULTS = Path(__file__).parent.parent / "results" / "table_1_cifar10" / "ablation.jsonl"


def variants(layers: int) -> dict[str, tuple[dict[str, Any], tuple[int, ...]]]:
    """Return the options and layers, from 0, of every variant; the first is the paper's."""
    every, nine = tuple(range(layers)), {"views": partial(Shifted, shifts=(3,))}
    return {
        "the paper's: all layers, 4x4, statistics of the data": ({}, every),
        **{f"layer {layer + 1} alone": ({}, (layer,)) for layer in every},
        "without the first layer": ({}, every[1:]),
        "without the last layer": ({}, every[:-1]),
        "mean with the mirror image": ({"views": Mirrored}, every),
        "larger of both sides": ({"views": partial(Shifted, shifts=())}, every),
        "shifts 3": (nine, every),
        "shifts 3, standardised": ({**nine, "standardised": True}, every),
        "shifts 2 4": ({"views": partial(Shifted, shifts=(2, 4))}, every),
        "standardised": ({"standardised": True}, every),
        "pooled to 2x2": ({"pool": 2}, every),
        "running averages of training": ({"batch_norm": "running"}, every),
        "untrained": ({"untrained": True}, every),
    }


def features(run: Run, train: Images, rows: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    """Return features of all layers of uint8 `rows`, first those of `train`: float32 (n, width)."""
    given, network, scale = dict(options), run.load_discriminator(), run.config().generator.scale
    views, scaled = given.pop("views", lambda disc: disc), given.pop("standardised", False)
    if given.pop("untrained", False):
        network = random_discriminator(network.config, 0)
    disc = DiscriminatorFeatures(network, scale, train=train, precision="bf16", **given)
    disc.prepare()
    x = torch.cat([*map(views(disc), rows.split(256))])
    std, mean = torch.std_mean(x[: len(train)], 0)
    return (x - mean) / std.clamp_min(1e-3) if scaled else x


def of_layers(x: torch.Tensor, layers: tuple[int, ...], maps: list[int]) -> torch.Tensor:
    """Return the features of `layers`, of all layers', which have so many `maps`."""
    parts = x.split([x.shape[1] // sum(maps) * each for each in maps], dim=1)
    return torch.cat([parts[layer] for layer in layers], dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Run, required=True)
    parser.add_argument("--n", type=int, default=5000)
    asked = parser.parse_args()
    run, n, network = asked.run, asked.n, asked.run.config().discriminator
    shape = {"size": network.image_size, "channels": network.channels}
    train, images = open_images("cifar10", limit=n, **shape), open_images("cifar10", **shape)
    chosen = [*range(n), *range(len(images) - n, len(images))]
    rows, labels = images.take(chosen), images.labels[chosen]
    about = {"run": run.folder.name, "steps": run.steps(), "n": n, "data": images.name,
             "weights": weights_sha256(run.load_discriminator())}  # fmt: skip
    known = [(row["name"], *map(row.get, about)) for row in read_lines(RESULTS)]
    maps = [network.layers[place].width for place in network.feature_layers]
    held: dict[str, torch.Tensor] = {}
    for name, (options, layers) in variants(len(maps)).items():
        if (name, *about.values()) in known:
            continue
        start, key = time.perf_counter(), str(options)
        held = held if key in held else {key: features(run, train, rows, options)}
        x = of_layers(held[key], layers, maps)
        said = predictions(fit_l2_svm(x[:n], labels[:n], C_GRID), x[n:])
        errors = [(each != labels[n:]).double().mean().item() for each in said]
        error, cost = min(zip(errors, C_GRID, strict=True))
        append_line(RESULTS, {"benchmark": "ablation_features", "name": name, **about,
                              "feature_width": x.shape[1], "C": cost, "validation_error": error,
                              "seconds": time.perf_counter() - start, **provenance()})  # fmt: skip
        print(f"{name}: {error:.2%}", flush=True)


if __name__ == "__main__":
    main()
