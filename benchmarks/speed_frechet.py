"""The Fréchet distance alone, side by side with pytorch-fid's by a matrix square root.

    python benchmarks/speed_frechet.py

Of 2,048 features whose eigenvalues fall like a power, of 10,000 rows a side. Appends one JSON line
to results/speed_fid/speed.jsonl.
"""

import argparse
import time
from pathlib import Path

import torch
from fid_folders import PARTS
from pytorch_fid.fid_score import calculate_frechet_distance

from gan_eval.files import append_line
from gan_eval.metrics import Moments, frechet_distance
from gan_eval.records import provenance
from gan_eval.seeding import stream

RESULTS = Path(__file__).parent.parent / "results" / "speed_fid" / "speed.jsonl"


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    fall = torch.arange(1, 2049, dtype=torch.float64) ** -0.5
    sides = {name: Moments() for name in PARTS}
    for shift, (name, moments) in enumerate(sides.items()):
        drawn = torch.randn(10_000, 2048, generator=stream(0, name), dtype=torch.float64)
        moments.update((drawn + 0.1 * shift) * fall)
    arrays = [moments.to_arrays() for moments in sides.values()]
    start = time.perf_counter()
    found = frechet_distance(**sides).distance
    mine = time.perf_counter() - start
    start = time.perf_counter()
    peer = calculate_frechet_distance(*(each[name] for each in arrays for name in ("mu", "sigma")))
    seconds = time.perf_counter() - start
    line = {"name": "distance of 2,048 features", "ours_seconds": round(mine, 2),
            "pytorch_fid_seconds": round(seconds, 2), "ratio": round(seconds / mine, 2),
            "relative_difference": float(f"{abs(found / peer - 1):.2g}")}  # fmt: skip
    print(line)
    append_line(RESULTS, {**line, **provenance()})


if __name__ == "__main__":
    main()
