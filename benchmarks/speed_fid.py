"""The Fréchet inception distance side by side with pytorch-fid's own command, the whole of both.

    python benchmarks/speed_fid.py [--n 2000] [--run RUN] [--precision 32 bf16] [--no-peer]
    python benchmarks/speed_fid.py --distance

Two folders of n PNGs each: CIFAR-10's training images, and others of them, whose distance is all
luck of the draw, or samples of RUN (32 x 32). Random weights, through which signals reach the end,
cost the time of the official ones. Each command starts from nothing
kept, in a process of its own, and is timed whole, imports included. Its memory is that of its
largest process. Needs cifar10 under GAN_EVAL_DATA. --distance times the distance alone, of 2,048
features whose eigenvalues fall like a power. Appends one JSON line to
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
from unittest.mock import patch

import torch
from PIL import Image
from pytorch_fid import inception
from pytorch_fid.fid_score import calculate_frechet_distance
from torch import Tensor, nn

from gan_eval.data import open_images
from gan_eval.features.inception import SIDE, URL
from gan_eval.metrics import Moments, frechet_distance
from gan_eval.models.runs import Run
from gan_eval.models.sampling import generate
from gan_eval.records import append_line, provenance
from gan_eval.seeding import stream

RESULTS = Path(__file__).parent.parent / "results" / "speed_fid" / "speed.jsonl"
PARTS = ("real", "fake")


def random_weights(images: Tensor) -> dict[str, Tensor]:
    """Return He-initialised weights with the batch-norm statistics of uint8 `images`."""
    with (
        patch.object(inception, "load_state_dict_from_url"),
        patch.object(nn.Module, "load_state_dict"),
    ):
        network: nn.Module = inception.fid_inception_v3().train()
    generator = stream(0, "inception")
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean
    with torch.no_grad():
        network(nn.functional.interpolate(images / 127.5 - 1, (SIDE, SIDE), mode="bilinear"))
    return network.state_dict()


def prepare(home: Path, n: int, run: Path | None) -> None:
    """Write the weights, where torch hub looks for pytorch-fid's, and both folders."""
    pixels = open_images("cifar10", root=None, split="train", limit=2 * n).pixels
    assert pixels is not None
    if run is not None:
        samples = [images for images, _ in generate(Run(run).load_generator(), n, seed=0)]
        pixels = torch.cat([pixels[:n], *samples])
    (home / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(random_weights(pixels[:32]), weights(home))
    for number, part in enumerate(PARTS):
        (home / part).mkdir()
        for row in range(n):
            image = Image.fromarray(pixels[number * n + row].permute(1, 2, 0).numpy())
            image.save(home / part / f"{row:05d}.png")


def weights(home: Path) -> Path:
    return home / "hub" / "checkpoints" / URL.rpartition("/")[2]


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


def distance() -> dict[str, Any]:
    """Return the seconds of our distance and of pytorch-fid's, by a matrix square root."""
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
    return {"name": "distance of 2,048 features", "ours_seconds": round(mine, 2),
            "pytorch_fid_seconds": round(seconds, 2), "ratio": round(seconds / mine, 2),
            "relative_difference": float(f"{abs(found / peer - 1):.2g}")}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--run", type=Path, help="whose samples the second folder holds")
    parser.add_argument("--precision", nargs="+", choices=["32", "bf16"], default=["32", "bf16"])
    parser.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--distance", action="store_true")
    given = parser.parse_args()
    if given.distance:
        line = distance()
        print(line)
        append_line(RESULTS, {**line, **provenance()})
        return
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        prepare(home, given.n, given.run)
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
