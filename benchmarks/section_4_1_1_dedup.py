"""Section 4.1.1: how many planted duplicates the hash finds at each radius, and what that costs.

    python benchmarks/section_4_1_1_dedup.py [--data cifar10] [--codes 1000000]

Writes under results/section_4_1_1/: the record at the radius that is chosen, its groups and figure;
table.md, with recall by kind of copy and false positives at every other radius; and a line of
speed.jsonl, the time and memory of finding all near pairs among so many codes. These are the signs
of random mixtures of 32 numbers, so that their bits depend on one another as those of images do.
Data are looked for under GAN_EVAL_DATA.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from gan_eval.experiments.dedup import dedup
from gan_eval.experiments.planted import COPIES
from gan_eval.probes.hamming import components
from gan_eval.records import append_line, hardware, peak_memory_bytes, write_bytes

RESULTS = Path(__file__).parent.parent / "results" / "section_4_1_1"
MIXED, BITS, BLOCK = 32, 128, 50_000
RADIUS = 11  # what is chosen on CIFAR-10


def row(rates: dict[str, Any], chosen: int) -> str:
    """Return a line of the table, in percent."""
    kinds = [rates["planted_recall_by_kind"][kind] for kind in COPIES]
    rest = rates["planted_recall"], rates["false_positive_rate"], rates["false_positive_estimate"]
    mark = " (chosen)" if rates["radius"] == chosen else ""
    return f"| {rates['radius']}{mark} | {' | '.join(f'{100 * x:.1f}' for x in (*kinds, *rest))} |"


def speed(n: int) -> dict[str, Any]:
    """Return what it costs to group `n` codes."""
    source = np.random.default_rng(0)
    weights = source.standard_normal((MIXED, BITS), np.float32)
    sizes = [BLOCK] * (n // BLOCK) + [n % BLOCK]
    blocks = (source.standard_normal((size, MIXED), np.float32) @ weights > 0 for size in sizes)
    codes = np.concatenate([np.packbits(block, axis=1) for block in blocks])
    before, started, cpu = peak_memory_bytes(), time.perf_counter(), time.process_time()
    labels = components(codes, RADIUS)
    return {
        "benchmark": "section_4_1_1_dedup",
        "codes": n,
        "radius": RADIUS,
        "groups": int(labels.max()) + 1,
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "memory_bytes": peak_memory_bytes() - before,
        "hardware": hardware(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--codes", type=int, default=1_000_000)
    given = parser.parse_args()
    tell = lambda what, done, total: print(what, done, total) if done == total else None  # noqa: E731
    # First, while the memory that the process has held says nothing but this.
    append_line(RESULTS / "speed.jsonl", speed(given.codes))
    record = dedup(given.data, out=RESULTS, watch=tell).record
    result, n = record.result, record.config["data"]["n"]
    shown = [
        rates
        for rates in result["by_radius"]
        if rates["radius"] % 2 == 0 or rates["radius"] == result["radius"]
    ]
    lines = [
        f"{given.data}: {result['duplicates']} duplicates in {len(result['groups'])} groups,",
        f"of {n} images. In %: copies found, images without a copy that land in a group; by",
        "chance: without real duplicates.",
        "",
        f"| radius | {' | '.join(COPIES)} | all copies | false positives | by chance |",
        "|---|" + "---|" * (len(COPIES) + 3),
        *(row(rates, result["radius"]) for rates in shown),
        *(f"| {name}:{row(rates, -1)[1:]}" for name, rates in record.controls.items()),
    ]
    write_bytes(RESULTS / "table.md", ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
