"""The L2-SVM solver side by side with scikit-learn's LinearSVC, on real discriminator features.

    python benchmarks/speed_svm.py --run RUN [--svhn-run RUN] [--parts one sweep large]

RUN is a `radford2015-imagenet32` run (28,672 features of CIFAR-10), --svhn-run a `radford2015-svhn`
one (7,168 features of svhn10k). Each part appends one JSON line to results/speed_svm/speed.jsonl:

one    5,000 x 28,672, 10 classes, one C
path   (where it is named) the same, seven values of C; each fit of LinearSVC is given up after
       --patience seconds, and the ratio is then a lower bound
sweep  table 2's: 7 C x 10 draws and 100 draws of 1,000 x 7,168; LinearSVC fits --fits of each kind,
       and its time for all is that many times more
large  50,000 x 28,672, one C and seven, which LinearSVC cannot hold on a machine of 24 GiB
"""

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from svm_sides import features, ours, patient, theirs

from gan_eval.devices import freed_memory_kept
from gan_eval.files import append_line
from gan_eval.probes.draws import FitDraws
from gan_eval.probes.protocol import C_GRID
from gan_eval.records import provenance

RESULTS = Path(__file__).parent.parent / "results" / "speed_svm" / "speed.jsonl"
ONE_C = 2e-4


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
    seven, _ = ours(x, labels, C_GRID)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"one": alone, "seven": seven, "peak_gib": peak / 2**30, "rows": len(x)}


@freed_memory_kept()  # as in the command
def main() -> None:
    parts = {"one": one, "sweep": sweep, "path": path, "large": large}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--svhn-run", type=Path)
    parser.add_argument("--parts", nargs="+", choices=parts, default=["one", "sweep", "large"])
    parser.add_argument("--patience", type=float, default=600)
    parser.add_argument("--fits", type=int, default=2)
    given = parser.parse_args()
    for name in given.parts:
        row = {"part": name, **parts[name](given), **provenance()}
        append_line(RESULTS, row)
        print(row)


if __name__ == "__main__":
    main()
