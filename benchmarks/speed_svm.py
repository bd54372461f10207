"""The L2-SVM solver side by side with scikit-learn's LinearSVC, on real discriminator features.

    python benchmarks/speed_svm.py --run RUN [--svhn-run RUN] [--parts one sweep path large]

RUN is a `radford2015-imagenet32` run (28,672 features of CIFAR-10), --svhn-run a `radford2015-svhn`
one (7,168 features of svhn10k). Each part appends one JSON line to results/speed_svm/speed.jsonl:

one    5,000 x 28,672, 10 classes, one C
path   the same, seven values of C; each fit of LinearSVC is given up after --patience seconds, and
       the ratio is then a lower bound
sweep  table 2's: 7 C x 10 draws and 100 draws of 1,000 x 7,168; LinearSVC fits --fits of each kind,
       and its time for all is that many times more
large  50,000 x 28,672, one C and seven, which LinearSVC cannot hold on a machine of 24 GiB
"""

import argparse
import multiprocessing
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.svm import LinearSVC

from gan_eval.data import open_images
from gan_eval.devices import keep_freed_memory
from gan_eval.features.discriminator import DiscriminatorFeatures
from gan_eval.features.store import default_store, extract
from gan_eval.models.runs import Run
from gan_eval.probes.draws import FitDraws
from gan_eval.probes.l2_svm import LinearModel, fit_l2_svm
from gan_eval.probes.protocol import C_GRID
from gan_eval.records import append_line, provenance

RESULTS = Path(__file__).parent.parent / "results" / "speed_svm" / "speed.jsonl"
ONE_C = 2e-4


def features(folder: Path, data: str) -> tuple[Any, torch.Tensor]:
    """Return the discriminator's features of the training images, and their labels."""
    run = Run(folder)
    images = open_images(data, root=None, size=run.config().discriminator.image_size)
    scale = run.config().generator.scale
    disc = DiscriminatorFeatures(run.load_discriminator(), scale, train=images, precision="bf16")
    assert images.labels is not None
    return extract(disc, images, store=default_store()), images.labels


def ours(x: Any, labels: torch.Tensor, costs: tuple[float, ...]) -> tuple[float, list[LinearModel]]:
    """Return our seconds and models."""
    start = time.perf_counter()
    models = fit_l2_svm(x, labels, costs)
    assert all(model.converged for model in models)
    return time.perf_counter() - start, models


def theirs(x: np.ndarray, y: np.ndarray, cost: float, out: Any = None) -> tuple[float, list[float]]:
    """Return LinearSVC's seconds and the objectives that it reached."""
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    model = LinearSVC(C=cost).fit(x, y)
    seconds = time.perf_counter() - start
    objectives = []
    for label, w, b in zip(model.classes_, model.coef_, model.intercept_, strict=True):
        slack = np.maximum(0, 1 - np.where(y == label, 1, -1) * (x @ w + b))
        objectives.append(float(0.5 * (w @ w + b * b) + cost * (slack @ slack)))
    if out is not None:
        out.put((seconds, objectives))
    return seconds, objectives


def patient(x: np.ndarray, y: np.ndarray, cost: float, patience: float) -> float:
    """Return LinearSVC's seconds, or `patience` where it took longer."""
    fork = multiprocessing.get_context("fork")
    out = fork.Queue()
    process = fork.Process(target=theirs, args=(x, y, cost, out))
    process.start()
    process.join(patience)
    if process.is_alive():
        process.kill()
        return patience
    if process.exitcode:
        raise SystemExit(f"LinearSVC broke off at C = {cost:g} with exit code {process.exitcode}")
    return float(out.get()[0])


def one(given: argparse.Namespace) -> dict[str, Any]:
    x, labels = features(given.run, "cifar10")
    x, labels = np.array(x[:5000], dtype=np.float32), labels[:5000]
    seconds, (model,) = ours(x, labels, (ONE_C,))
    again, _ = ours(x, labels, (ONE_C,))
    reference, objectives = theirs(x, labels.numpy(), ONE_C)
    above = np.array(objectives) / model.objective.numpy() - 1
    return {"ours": [seconds, again], "LinearSVC": reference, "ratio": reference / again,
            "LinearSVC_above_ours": [above.min(), above.max()], "C": ONE_C}  # fmt: skip


def path(given: argparse.Namespace) -> dict[str, Any]:
    x, labels = features(given.run, "cifar10")
    x, labels = np.array(x[:5000], dtype=np.float32), labels[:5000]
    seconds, _ = ours(x, labels, C_GRID)
    fits = [patient(x, labels.numpy(), cost, given.patience) for cost in C_GRID]
    return {"ours": seconds, "LinearSVC": fits, "given_up_at": given.patience,
            "ratio_at_least": sum(fits) / seconds, "C": C_GRID}  # fmt: skip


def sweep(given: argparse.Namespace) -> dict[str, Any]:
    x, labels = features(given.svhn_run, "svhn10k")
    random = torch.Generator().manual_seed(0)
    rows = [torch.randperm(len(labels), generator=random)[:1000] for _ in range(110)]
    start = time.perf_counter()
    fit = FitDraws()
    models = [fit(x, labels, rows[:10], C_GRID), fit(x, labels, rows[10:], (5e-4,))]
    mine = time.perf_counter() - start
    assert all(model.converged for draws in models for draw in draws for model in draw)
    draws = [(np.array(x[row.numpy()], dtype=np.float32), labels[row].numpy()) for row in rows]
    paths = [theirs(*draw, cost)[0] for draw in draws[: given.fits] for cost in C_GRID]
    ones = [theirs(*draw, 5e-4)[0] for draw in draws[10 : 10 + given.fits]]
    all_fits = sum(paths) * 10 / given.fits + sum(ones) * 100 / given.fits
    return {"ours": mine, "LinearSVC": all_fits, "ratio": all_fits / mine,
            "LinearSVC_measured": [len(paths), len(ones)]}  # fmt: skip


def large(given: argparse.Namespace) -> dict[str, Any]:
    x, labels = features(given.run, "cifar10")
    alone, _ = ours(x, labels, (ONE_C,))
    seven = None if given.one_c else ours(x, labels, C_GRID)[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"one": alone, "seven": seven, "peak_gib": peak / 2**30, "rows": len(x)}


def main() -> None:
    keep_freed_memory()  # as the command does
    parts = {"one": one, "sweep": sweep, "path": path, "large": large}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--svhn-run", type=Path)
    parser.add_argument("--parts", nargs="+", choices=parts, default=["one", "sweep", "large"])
    parser.add_argument("--patience", type=float, default=600)
    parser.add_argument("--one-c", action="store_true", help="of the part large: no path")
    parser.add_argument("--fits", type=int, default=2)
    given = parser.parse_args()
    for name in given.parts:
        row = {"part": name, **parts[name](given), **provenance()}
        append_line(RESULTS, row)
        print(row)


if __name__ == "__main__":
    main()
