"""Table 1: CIFAR-10 from the features of discriminators that were trained without its labels.

    python benchmarks/table_1_cifar10.py --runs runs [--rows pixels kmeans …]

Needs CIFAR-10 and two runs under --runs, made here where they are missing:
`radford2015-imagenet32` on Tiny-ImageNet (the stand-in for the paper's ImageNet-1k: a tenth of its
images) and `radford2015-svhn` on CIFAR-10. The paper: 82.8 % right with all labels, 73.8 ± 0.4 %
with 400 per class.

Each row has the paper's protocol, with all labels and with 400 per class: C is chosen on the last
10,000 training images. "mirror" adds what `ablation_features.py` found best on validation images.
A row that is in records.jsonl already, of the same weights, is not measured again. Writes
records.jsonl, confusion matrices and table.md under results/table_1_cifar10/.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from gan_eval.experiments.classify import classify
from gan_eval.experiments.features import FeatureSpec
from gan_eval.models.runs import Run
from gan_eval.probes.protocol import PROTOCOLS
from gan_eval.records import read_lines, write_bytes

RESULTS = Path(__file__).parent.parent / "results" / "table_1_cifar10"
OURS = ("radford2015-imagenet32-on-tiny-imagenet32", "radford2015-svhn-on-cifar10")
PAPER = {  # right in %, with all labels and with 400 per class; † quoted from memory of the paper
    "DCGAN (ours) + L2-SVM": ("82.8", "73.8 ± 0.4†"),
    "1-layer k-means": ("80.6†", "63.7 ± 0.7†"),
    "3-layer k-means, learned RF": ("82.0†", "70.7 ± 0.7†"),
    "view-invariant k-means": ("81.9†", "72.6 ± 0.7†"),
    "exemplar CNN": ("84.3†", "77.4 ± 0.2†"),
}


def trained(runs: Path, name: str, epochs: int) -> Run:
    """Return the run called `name`, training it first where there is none."""
    run, (preset, data) = Run(runs / name), name.split("-on-")
    if not run.exists:
        command = ["train", "--preset", preset, "--data", data, "--epochs", str(epochs)]
        command = [*command, "--out", str(run.folder)]
        subprocess.run([sys.executable, "-m", "gan_eval", *command], check=True)
    return run


def rows(runs: Path) -> dict[str, FeatureSpec]:
    """Return what is compared, by the name of its row."""
    tiny, cifar = trained(runs, OURS[0], 30), trained(runs, OURS[1], 20)
    return {
        "pixels": FeatureSpec(name="pixels"),
        "kmeans": FeatureSpec(name="kmeans"),
        "disc-cifar10": FeatureSpec(name="disc", run=cifar),
        "disc-tiny-imagenet": FeatureSpec(name="disc", run=tiny),
        "random-disc": FeatureSpec(name="random-disc", run=tiny),
        "disc-tiny-imagenet, mirror": FeatureSpec(name="disc", run=tiny, mirror=True),
    }


def known(row: str, spec: FeatureSpec, protocol: str) -> dict[str, Any] | None:
    """Return the newest record of a row, if it is of these very weights."""
    trained = json.loads(json.dumps(spec.describe()))
    lines = [
        line
        for line in read_lines(RESULTS / "records.jsonl")
        if (line["name"], line["protocol"]["name"]) == (spec.name, protocol)
        and line["config"]["trained"] == trained
        and line["config"]["features"].get("mirror", False) == spec.mirror
    ]
    return lines[-1] if lines else None


def measured(row: str, spec: FeatureSpec, protocol: str) -> dict[str, Any]:
    """Return the record of a row, measuring it where it is missing."""
    found = known(row, spec, protocol)
    if found is None:
        tell = lambda what, done, total: print(row, what, done, total, flush=True)  # noqa: E731
        (one,) = classify([spec], "cifar10", PROTOCOLS[protocol], out=RESULTS, watch=tell)
        found = one.record.to_json()
    return found


def cells(row: str, spec: FeatureSpec) -> list[str]:
    """Return a row of the table; what has not been measured is left open."""
    every, few = (known(row, spec, name) for name in ("paper-cifar10", "paper-cifar10-400"))
    width = (every or few or {"result": {"feature_width": 0}})["result"]["feature_width"]
    right = "–" if every is None else f"{100 - 100 * every['result']['error_mean']:.1f}"
    spread = 100 * few["result"]["error_std"] if few else 0
    right_few = (
        "–" if few is None else f"{100 - 100 * few['result']['error_mean']:.1f} ± {spread:.1f}"
    )
    costs = ", ".join(f"{each['result']['C']:g}" if each else "–" for each in (every, few))
    minutes = ", ".join(f"{each['seconds'] / 60:.1f}" if each else "–" for each in (every, few))
    epochs = f"{spec.run.config().steps} steps" if spec.name == "disc" and spec.run else ""
    return [row, epochs, f"{width:,}", right, right_few, costs, minutes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--rows", nargs="+", help="of the table; all by default")
    given = parser.parse_args()
    specs = rows(given.runs)
    for protocol in ("paper-cifar10-400", "paper-cifar10"):
        for row in given.rows or specs:
            measured(row, specs[row], protocol)
    table = [
        [
            "features",
            "D trained for",
            "width",
            "right, all labels",
            "400 per class",
            "C",
            "minutes",
        ],
        ["---"] * 7,
        *(cells(row, spec) for row, spec in specs.items()),
        *([f"paper: {name}", "", "", *numbers, "", ""] for name, numbers in PAPER.items()),
    ]
    text = "".join("| " + " | ".join(line) + " |\n" for line in table)
    head = "Right in % on CIFAR-10's test part; ± one standard deviation over draws of labels.\n\n"
    write_bytes(RESULTS / "table.md", (head + text).encode())


if __name__ == "__main__":
    main()
