"""How the L2-SVM's time and memory grow with rows, features and classes, on real features.

    python benchmarks/growth_svm.py --run runs/radford2015-imagenet32-on-tiny-imagenet32

Each point is a process of its own that fits CIFAR-10 features at one C: seconds, the memory that
`check_memory` foretold and the most that was held beyond the features. More than ten classes are
CIFAR-10's, each split at random. Writes results/speed_svm/growth.{jsonl,png}.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from speed_svm import ONE_C, RESULTS
from svm_sides import features

from gan_eval.devices import freed_memory_kept, give_back_memory
from gan_eval.files import append_line, read_lines
from gan_eval.probes.l2_svm import check_memory, fit_l2_svm
from gan_eval.records import provenance

ROWS, WIDTHS, CLASSES = (500, 1000, 2000, 4000, 8000), (1792, 7168, 28672), (2, 5, 10, 20, 50)
OUT = RESULTS.parent / "growth.jsonl"
# Points that vary one thing at a time: rows, features, classes.
POINTS = {
    "rows": [(n, 28672, 10) for n in ROWS] + [(n, 1792, 10) for n in (*ROWS, 16000, 32000)],
    "features": [(4000, d, 10) for d in (512, *WIDTHS)],
    "classes": [(4000, 7168, k) for k in CLASSES],
}


def labels_of(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return as many classes as asked for: CIFAR-10's joined or split at random."""
    parts, random = classes // 10, torch.Generator().manual_seed(0)
    if classes <= 10:
        return labels % classes
    return labels * parts + torch.randint(parts, labels.shape, generator=random)


def held_at_most() -> int:
    """Return the most bytes that the process has held since its peak was set back (Linux)."""
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


@freed_memory_kept()
def point(run: Path, n: int, d: int, classes: int) -> None:
    """Measure one point and append it."""
    x, labels = features(run, "cifar10")
    held = torch.from_numpy(x[:n, -d:].copy()).float()
    give_back_memory()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is held
    before = held_at_most()
    start = time.perf_counter()
    (model,) = fit_l2_svm(held, labels_of(labels[:n], classes), [ONE_C])
    seconds = time.perf_counter() - start
    row = {"benchmark": "growth_svm", "n": n, "d": d, "classes": classes, "seconds": seconds,
           "converged": model.converged, "foretold_bytes": check_memory(n, d, classes, 4),
           "held_bytes": held_at_most() - before, **provenance()}  # fmt: skip
    append_line(OUT, row)
    print(n, d, classes, f"{seconds:.2f} s", row["foretold_bytes"], row["held_bytes"], flush=True)


def plot() -> None:
    """Draw seconds over rows, features and classes, both axes logarithmic."""
    newest = {(row["n"], row["d"], row["classes"]): row for row in read_lines(OUT)}
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for axis, (name, points), place in zip(axes, POINTS.items(), range(3), strict=True):
        for fixed in dict.fromkeys(p[:place] + p[place + 1 :] for p in points):
            mine = [p for p in points if p[:place] + p[place + 1 :] == fixed]
            others = [word for i, word in enumerate(("rows", "features", "classes")) if i != place]
            label = ", ".join(f"{v:,} {word}" for v, word in zip(fixed, others, strict=True))
            seconds = [newest[p]["seconds"] for p in mine]
            axis.loglog([p[place] for p in mine], seconds, "o-", label=label)
        values = {p[place]: f"{p[place]:,}" for p in points}
        axis.set_xticks([*values], [*values.values()], rotation=45)
        axis.set_xticks([], minor=True)
        axis.set(xlabel=name, ylabel="seconds", ylim=(0.02, 20))
        axis.legend()
    figure.savefig(OUT.with_suffix(".png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--point", type=int, nargs=3, metavar=("N", "D", "CLASSES"))
    given = parser.parse_args()
    if given.point:
        return point(given.run, *given.point)
    command = [sys.executable, __file__, "--run", str(given.run), "--point"]
    for each in dict.fromkeys(p for points in POINTS.values() for p in points):
        subprocess.run([*command, *map(str, each)], check=True)
    plot()


if __name__ == "__main__":
    main()
