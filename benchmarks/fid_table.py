"""Scores of every trained run, between the two ends of the scale: real images and noise.

    python benchmarks/fid_table.py --runs runs [--n 10000] [--extractor inception]

Each run's samples, the first n images of its training data and n images of noise are compared with
the test part of that data (its training part where it has none), in the run's own form. Without
Inception's official weights, name a copy (--inception-weights) or another extractor. Writes
records.jsonl and table.md under results/fid/.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from gan_eval.data import Images, open_images
from gan_eval.errors import InputError
from gan_eval.experiments.features import FeatureSpec
from gan_eval.experiments.score import score
from gan_eval.experiments.score_account import tables_of, title_of
from gan_eval.experiments.score_extractors import ExtractorSpec
from gan_eval.experiments.score_figures import ScoreProtocol
from gan_eval.experiments.score_sides import array_side
from gan_eval.models.runs import Run
from gan_eval.records import Record, write_bytes
from gan_eval.seeding import stream

RESULTS = Path(__file__).parent.parent / "results" / "fid"
COLUMNS = ("fid", "kid_mean", "kid_std", "isc_mean", "precision", "recall", "density", "coverage")


def reference(run: Run) -> Images:
    """Return the test part of what a run was trained on, in the run's form."""
    data, form = run.config().data, FeatureSpec(name="disc", run=run).form()
    assert data is not None
    try:
        return open_images(data.name, root=None, split="test", **form)
    except InputError as error:
        if not str(error).startswith("split must be one that"):
            raise
        return open_images(data.name, root=None, split=data.split, **form)


def ends(run: Run, n: int) -> list[Any]:
    """Return training images and noise of the run's form."""
    data, form = run.config().data, FeatureSpec(name="disc", run=run).form()
    assert data is not None
    shape = (n, form["channels"], form["size"], form["size"])
    noise = torch.randint(256, shape, generator=stream(0, "noise"), dtype=torch.uint8)
    real = open_images(data.name, root=None, split=data.split, limit=n, **form)
    return [real, array_side(noise, "noise")]


def line(record: Record) -> str:
    cells = (record.result[name] for name in COLUMNS)
    texts = ("–" if value is None else f"{value:.4g}" for value in cells)
    weights = (record.result["weights_sha256"] or "–")[:12]
    return f"| {record.name} | {' | '.join(texts)} | {record.result['extractor']} | {weights} |"


def table(records: list[Record]) -> list[str]:
    """Return a table of rows that may be compared, the best first."""
    named = f"| model | {' | '.join(COLUMNS)} | extractor | weights |"
    rule = "|---" * (len(COLUMNS) + 3) + "|"
    return [f"## {title_of(records[0].result)}", "", named, rule, *map(line, records), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--extractor", default="inception")
    parser.add_argument("--inception-weights", type=Path)
    parser.add_argument("--kid-subset-size", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    protocol = ScoreProtocol(kid_subset_size=given.kid_subset_size)
    tell = lambda what, done, total: print(what, done, total) if done == total else None  # noqa: E731
    records: list[Record] = []
    for folder in sorted(given.runs.iterdir()):
        run = Run(folder)
        data = run.config().data if run.exists else None
        if data is None:
            continue  # imported: no data of its own to be compared with
        models = [run, *ends(run, given.n)]
        name = f"disc:{folder}" if given.extractor == "disc" else given.extractor
        spec = ExtractorSpec(name=name, weights=given.inception_weights)
        found = score(models, reference(run), protocol=protocol, extractor=spec, n=given.n,
                      out=given.out, watch=tell)  # fmt: skip
        records += [each.record for each in found]
    # Runs of one form and data share their two ends.
    once = {(each.name, each.protocol["name"]): each for each in records}
    lines = [text for some in tables_of(list(once.values())) for text in table(some)]
    write_bytes(given.out / "table.md", "\n".join(lines).encode())


if __name__ == "__main__":
    main()
