"""Table 3: MNIST by the nearest generated digit.

    python benchmarks/table_3_mnist.py --runs runs [--epochs 20] [--samples 10000000]

Needs mnist under GAN_EVAL_DATA. Trains `radford2015-mnist` where --runs has no such run, then
classifies the test digits by the nearest of so many samples; what is broken off is continued. The
paper's error, with 50,000 samples and with 10 million: 2.98 % and 1.48 %. Writes records.jsonl, a
picture of what is nearest to the samples and table.md under results/table_3_mnist/.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from gan_eval.experiments.neighbors import neighbors
from gan_eval.models.runs import Run
from gan_eval.records import Record, write_bytes

RESULTS = Path(__file__).parent.parent / "results" / "table_3_mnist"
PAPER = {
    "DCGAN": {50_000: 0.0298, 10_000_000: 0.0148},
    "real digits": {50_000: 0.031},
    "AlignMNIST": {10_000_000: 0.014},
    "InfiMNIST": {10_000_000: 0.026},
}


def trained(runs: Path, epochs: int) -> Run:
    """Return the run, training it as far as it is not."""
    run = Run(runs / "radford2015-mnist-on-mnist")
    command = ["train", "--preset", "radford2015-mnist", "--data", "mnist", "--resume"]
    command = [*command, "--epochs", str(epochs), "--out", str(run.folder)]
    subprocess.run([sys.executable, "-m", "gan_eval", *command], check=True)
    return run


def table(record: Record) -> str:
    sides: dict[str, Any] = {"samples": record.result, **record.controls}
    curves = {name: dict(side["curve"]) for name, side in sides.items()}
    curves |= {f"paper: {name}" + " †": curve for name, curve in PAPER.items()}
    points = sorted({int(point) for curve in curves.values() for point in curve})
    rows = [
        f"| {name} | " + " | ".join(f"{100 * c[p]:.2f}" if p in c else "" for p in points) + " |"
        for name, c in curves.items()
    ]
    lines = [
        "Test error in % by the nearest of so many images; † quoted from memory of the paper.",
        "",
        "| nearest of | " + " | ".join(f"{point:,}" for point in points) + " |",
        "|---" * (len(points) + 1) + "|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    def tell(what: str, done: int, total: int) -> None:
        if done == total or done % 100_000 == 0:
            print(what, done, total, flush=True)

    run = trained(given.runs, given.epochs)
    found = neighbors(run, samples=given.samples, seed=given.seed, out=RESULTS, watch=tell)
    write_bytes(RESULTS / "table.md", table(found.record).encode())
    print(table(found.record))


if __name__ == "__main__":
    main()
