"""Table 2: SVHN with 1,000 labels, from a discriminator's features.

    python benchmarks/table_2_svhn.py --runs runs [--epochs 200] [--data svhn10k]

Needs <data>.npz (or SVHN's official files: --data svhn) and, for its first row, the authors'
weights in newmu-svhn/, both under GAN_EVAL_DATA. Trains `radford2015-svhn` on the training part
where --runs has no such run. The paper: 22.48 % error on the official test part; svhn10k's parts
are crops of that very part, split by photograph: not comparable with the paper's numbers.

Features are compared under the authors' protocol: C chosen on validation over 10 draws of 100
labels per class, then 100 fresh draws. Writes records.jsonl, confusion matrices and table.md under
results/table_2_svhn/.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from gan_eval.data.registry import data_root
from gan_eval.experiments.classify import Classified, classify
from gan_eval.experiments.features import features_of
from gan_eval.models.importers import import_newmu
from gan_eval.models.runs import Run
from gan_eval.probes.protocol import PROTOCOLS
from gan_eval.records import write_bytes

RESULTS = Path(__file__).parent.parent / "results" / "table_2_svhn"
PAPER = {"disc (this paper)": 22.48, "supervised CNN, same architecture": 28.87}


def authors(runs: Path) -> Run | None:
    """Return the run of the authors' weights, importing them the first time; None without them."""
    root, run = data_root(None), Run(runs / "authors-svhn")
    if run.exists:
        return run
    weights = root / "newmu-svhn" if root else None
    return import_newmu(weights, run.folder) if weights and weights.is_dir() else None


def own(runs: Path, data: str, epochs: int) -> Run:
    """Return the run that was trained on the training part of `data`, and on nothing else."""
    run = Run(runs / f"radford2015-svhn-on-{data}")
    command = ["train", "--preset", "radford2015-svhn", "--data", data, "--epochs", str(epochs)]
    command = [*command, "--resume", "--out", str(run.folder)]
    subprocess.run([sys.executable, "-m", "gan_eval", *command], check=True)
    return run


def row(name: str, found: Classified) -> str:
    result = found.record.result
    return (
        f"| {name} | {result['feature_width']:,} | {result['C']:g} | "
        f"{100 * result['validation_error']:.1f} | {100 * result['error_mean']:.1f} | "
        f"{100 * result['error_std']:.2f} | {196 * result['error_std']:.1f} | {result['draws']} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", default="svhn10k")
    parser.add_argument("--epochs", type=int, default=200)
    given = parser.parse_args()
    mine, theirs = own(given.runs, given.data, given.epochs), authors(given.runs)
    names = [f"disc, trained on {given.data} alone", "random-disc", "pixels", "kmeans (1600 maps)"]
    specs = list(features_of(("disc", "random-disc", "pixels", "kmeans"), [mine]))
    if theirs:
        names.insert(0, "disc, the authors' weights")
        specs = [*features_of(("disc",), [theirs]), *specs]
    tell = lambda what, done, total: print(what, done, total) if done == total else None  # noqa: E731
    found = classify(specs, given.data, PROTOCOLS["authors-svhn"], out=RESULTS, watch=tell)
    lines = [
        f"Error in % on {given.data}'s test part, 100 labels per class, by the authors' protocol.",
        "All draws share one test part: ± is over draws of labels, and no confidence interval of",
        "generalisation.",
        "",
        "| features | width | C | validation | test | std | 1.96 std | draws |",
        "|---|---|---|---|---|---|---|---|",
        *(row(name, each) for name, each in zip(names, found, strict=True)),
        *(
            f"| paper, official SVHN: {name} | | | | {error} | | | |"
            for name, error in PAPER.items()
        ),
    ]
    write_bytes(RESULTS / "table.md", ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
