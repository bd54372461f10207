"""The Fréchet inception distance side by side with pytorch-fid's own command, the whole of both.

    python benchmarks/speed_fid.py [--n 2000] [--run RUN] [--precision 32 bf16] [--no-peer]

Two folders of n PNGs each, as `fid_folders.py` writes them: CIFAR-10's training images, and others
of them, whose distance is all luck of the draw, or samples of RUN. Each command starts from nothing
kept, in a process of its own, and is timed whole, imports included. Its memory is that of its
largest process. Needs cifar10 under GAN_EVAL_DATA. Appends one JSON line to
results/speed_fid/speed.jsonl.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fid_folders import PARTS, weights, write_folders

from gan_eval.files import append_line
from gan_eval.records import provenance

RESULTS = Path(__file__).parent.parent / "results" / "speed_fid" / "speed.jsonl"


def timed(command: list[str], home: Path) -> tuple[float, int, str]:
    """Return seconds, most bytes held by one process, and output of a command."""
    start = time.perf_counter()
    with (home / "output").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=output, cwd=home,
            env=os.environ | {"TORCH_HOME": str(home)},
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed")
        return seconds, usage.ru_maxrss * 1024, output.read()


def theirs(home: Path) -> dict[str, Any]:
    command = ["pytorch_fid", *(str(home / part) for part in PARTS), "--device", "cpu"]
    seconds, peak, output = timed(command, home)
    return {"seconds": round(seconds, 1), "peak_bytes": peak, "fid": float(output.split()[-1])}


def ours(home: Path, precision: str) -> dict[str, Any]:
    real, fake = (str(home / part) for part in PARTS)
    command = ["gan_eval", "score", fake, "--against", real, "--metrics", "fid", "--json",
               "--device", "cpu", "--inception-weights", str(weights(home)), "--precision",
               precision, "--store", str(home / "store"), "--out", str(home / "out")]  # fmt: skip
    seconds, peak, output = timed(command, home)
    found = json.loads(output)["fid"]
    return {"precision": precision, "seconds": round(seconds, 1), "peak_bytes": peak, "fid": found}


def beside(row: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    difference = abs(row["fid"] - peer["fid"])
    return {
        "ratio": round(peer["seconds"] / row["seconds"], 2),
        "difference": round(difference, 6),
        "relative_difference": round(difference / peer["fid"], 6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--run", type=Path, help="whose samples the second folder holds")
    parser.add_argument("--precision", nargs="+", choices=["32", "bf16"], default=["32", "bf16"])
    parser.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        write_folders(home, given.n, given.run)
        peer = theirs(home) if given.peer else None
        rows = []
        for precision in given.precision:
            row = ours(home, precision)
            rows.append({**row, **(beside(row, peer) if peer else {})})
            print(rows[-1], flush=True)
        append_line(RESULTS, {"n": given.n, "samples_of": given.run and given.run.name,
                              "pytorch_fid": peer, "ours": rows,
                              **provenance()})  # fmt: skip


if __name__ == "__main__":
    main()
