"""Training speed, side by side: this package's loop against a plain one as tutorials write it.

    python benchmarks/speed_train.py [--device cpu] [--compile] [--rounds 5]

Same network (`pytorch-examples`, 64x64), same batch, same machine, alternating in one run, each in
a process of its own so that neither profits from the other's settings. The plain loop is that of
`plain_dcgan.py`. Appends one JSON line to results/speed_train/speed.jsonl.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from training_rate import PRESET, wait

from gan_eval.devices import resolve_device
from gan_eval.files import append_line
from gan_eval.precision import resolve_precision
from gan_eval.records import provenance

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "speed_train" / "speed.jsonl"


def matrix_peak(device: str) -> float:
    """Return the bf16 FLOP/s of this machine's matrix product at 4,096 x 4,096 x 4,096."""
    n = 4096
    a, b = (torch.randn(n, n, device=device).bfloat16() for _ in range(2))
    many = 20 if device == "cuda" else 1  # or its start and end would count too
    times = []
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(many):
            a @ b
        wait(device)
        times.append(time.perf_counter() - start)
    return many * 2 * n**3 / min(times)


def compare(batch_size: int, steps: int, rounds: int, device: str, compile: bool) -> None:
    """Alternate both loops and append rates and ratio to the results."""
    rates: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(rounds):
        for which, found in rates.items():
            command = [sys.executable, str(HERE / "training_rate.py"), which, "--batch-size",
                       str(batch_size), "--steps", str(steps), "--device", device,
                       *(["--compile"] if compile else [])]  # fmt: skip
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            result = json.loads(output.splitlines()[-1])
            found.append(round(result["rate"], 1))
            print(f"{which}: {found[-1]:.0f} images/s", flush=True)
    peak = matrix_peak(device)
    share = statistics.median(rates["ours"]) * result["flop"] / peak
    ratios = [b / a for a, b in zip(rates["plain"], rates["ours"], strict=True)]
    row = {
        "benchmark": "speed_train", "preset": PRESET, "batch_size": batch_size, "steps": steps,
        "device": device, "compiled": compile, "precision": resolve_precision("auto", device),
        "plain_images_per_second": rates["plain"], "ours_images_per_second": rates["ours"],
        "ratio_median": round(statistics.median(ratios), 3), "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3), "ours_gflop_per_image": round(result["flop"] / 1e9, 2),
        "matrix_peak_tflops": round(peak / 1e12, 3), "share_of_matrix_peak": round(share, 3),
        **provenance(),
    }  # fmt: skip
    append_line(RESULTS, row)
    print(f"ours / plain: median {row['ratio_median']}, "
          f"from {row['ratio_min']} to {row['ratio_max']} over {rounds} rounds; "
          f"{share:.0%} of the bf16 matrix peak, {peak / 1e12:.2f} TFLOP/s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compile", action="store_true", help="compile ours")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, help="default: 30, on a GPU 500")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    device = resolve_device(given.device)
    steps = given.steps or (30 if device == "cpu" else 500)
    compare(given.batch_size, steps, given.rounds, device, given.compile)


if __name__ == "__main__":
    main()
