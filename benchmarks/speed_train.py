"""Training speed, side by side: this package's loop against a plain one as tutorials write it.

Same network (`pytorch-examples`, 64x64), same batch, same machine, alternating in one run, each in
a process of its own so that neither profits from the other's settings. The plain loop: eager
float32, NCHW, unfused Adam, D run on real, fake and fake again, gradients to all weights in both
steps.

    python benchmarks/speed_train.py                 # the ratio, appended to results/speed_train/
    python benchmarks/speed_train.py --layers        # each layer's two routes, in bf16
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from gan_eval.devices import (
    keep_freed_memory,
    make_fabric,
    resolve_device,
    resolve_precision,
)
from gan_eval.models import convolution
from gan_eval.models.presets import configure
from gan_eval.models.run_config import DataConfig, RunConfig
from gan_eval.records import append_line, provenance, versions
from gan_eval.training.step import Trainer

RESULTS = Path(__file__).parent.parent / "results" / "speed_train"
PRESET = "pytorch-examples"


class Plain:
    """The tutorial's loop: networks as `nn.Sequential`, one Adam each, three backward passes."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self.device, self.batch_size = device, batch_size
        self.generator = nn.Sequential(*self._up()).to(device)
        self.discriminator = nn.Sequential(*self._down()).to(device)
        self.adam_g = torch.optim.Adam(self.generator.parameters(), 2e-4, (0.5, 0.999))
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), 2e-4, (0.5, 0.999))
        self.loss = nn.BCEWithLogitsLoss()
        self.one = torch.ones(batch_size, device=device)
        self.zero = torch.zeros(batch_size, device=device)

    def step(self, pixels: Tensor) -> None:
        real = pixels.float() / 127.5 - 1
        self.discriminator.zero_grad()
        self.loss(self.discriminator(real).view(-1), self.one).backward()
        fake = self.generator(torch.randn(self.batch_size, 100, 1, 1, device=self.device))
        self.loss(self.discriminator(fake.detach()).view(-1), self.zero).backward()
        self.adam_d.step()
        self.generator.zero_grad()
        self.loss(self.discriminator(fake).view(-1), self.one).backward()
        self.adam_g.step()

    @staticmethod
    def _up() -> list[nn.Module]:
        layers: list[nn.Module] = []
        widths = (100, 512, 256, 128, 64, 3)
        for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            stride, padding = (2, 1) if i else (1, 0)
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(True)] if i < 4 else [nn.Tanh()]
        return layers

    @staticmethod
    def _down() -> list[nn.Module]:
        layers: list[nn.Module] = []
        widths = (3, 64, 128, 256, 512, 1)
        for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            stride, padding = (2, 1) if i < 4 else (1, 0)
            layers.append(nn.Conv2d(inputs, outputs, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(outputs)] if 0 < i < 4 else []
            layers += [nn.LeakyReLU(0.2, True)] if i < 4 else []
        return layers


def ours(batch_size: int, device: str, compile: bool) -> Callable[[int, Tensor], object]:
    """Return this package's step, in the precision that "auto" gives on this machine."""
    precision = resolve_precision("auto", device)
    published = configure(PRESET)
    data = DataConfig(name="noise", root=None, split="train", source="noise", count=batch_size,
                      native=(3, 64, 64), fit=None, notes=(), fingerprint="")  # fmt: skip
    config = RunConfig(
        preset=PRESET, source=published.source, generator=published.generator,
        discriminator=published.discriminator, recipe=published.recipe, data=data, seed=0, steps=1,
        steps_per_epoch=1, precision=precision, device=device, world_size=1, save_epochs=(1,),
        deviations=(), versions=versions(), compile=compile,
    )  # fmt: skip
    keep_freed_memory()
    trainer = Trainer.start(config, make_fabric(device, precision))
    return lambda step, pixels: trainer.step(step, pixels, None, watch=False)


def work(which: str, batch_size: int, steps: int, device: str, compile: bool) -> None:
    """Print, as JSON, the images per second of one loop after a warm-up, and its FLOP an image."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (batch_size, 3, 64, 64), dtype=torch.uint8, device=device)
    if which == "plain":
        plain = Plain(batch_size, torch.device(device))
        step: Callable[[int, Tensor], object] = lambda _, images: plain.step(images)  # noqa: E731
    else:
        step = ours(batch_size, device, compile)
    for i in range(3):
        step(i, pixels)
    with FlopCounterMode(display=False) as counter:
        step(3, pixels)
    _wait(device)
    start = time.perf_counter()
    for i in range(steps):
        step(i + 4, pixels)
    _wait(device)
    rate = batch_size * steps / (time.perf_counter() - start)
    print(json.dumps({"rate": rate, "flop": counter.get_total_flops() / batch_size}))


def matrix_peak(device: str) -> float:
    """Return the bf16 FLOP/s of this machine's matrix product at 4,096 x 4,096 x 4,096."""
    n = 4096
    a, b = (torch.randn(n, n, device=device).bfloat16() for _ in range(2))
    times = []
    for _ in range(6):
        start = time.perf_counter()
        a @ b
        _wait(device)
        times.append(time.perf_counter() - start)
    return 2 * n**3 / min(times)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def compare(batch_size: int, steps: int, rounds: int, device: str, compile: bool) -> None:
    """Alternate both loops and append rates and ratio to the results."""
    rates: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(rounds):
        for which, found in rates.items():
            command = [sys.executable, __file__, "--worker", which, "--batch-size",
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
    append_line(RESULTS / "speed.jsonl", row)
    print(f"ours / plain: median {row['ratio_median']}, "
          f"from {row['ratio_min']} to {row['ratio_max']} over {rounds} rounds; "
          f"{share:.0%} of the bf16 matrix peak, {peak / 1e12:.2f} TFLOP/s")  # fmt: skip


def layers(batch_size: int) -> None:
    """Print forward and backward of each strided layer by both routes, in milliseconds."""
    keep_freed_memory()
    print("maps in, out, side, kernel: oneDNN convolution | patch matrix (ms, forward + backward)")
    for channels, maps, side, kernel in (
        (64, 128, 32, 4), (128, 256, 16, 4), (256, 512, 8, 4), (512, 1024, 8, 4),
        (64, 128, 16, 5), (128, 256, 8, 5), (256, 512, 8, 5), (256, 512, 16, 5), (512, 1024, 8, 5),
    ):  # fmt: skip
        x = _maps(batch_size, channels, side)
        weight = _maps(maps, channels, kernel).mul_(0.02)
        padding = (kernel - 1) // 2
        times = [
            _milliseconds(partial(functional.conv2d, stride=2, padding=padding), x, weight),
            _milliseconds(partial(_by_patches, stride=2, padding=padding), x, weight),
        ]
        print(f"{channels} {maps} {side} {kernel}: {times[0]:.1f} | {times[1]:.1f}", flush=True)


def _maps(*shape: int) -> Tensor:
    maps = torch.randn(shape[0], shape[1], shape[2], shape[2], dtype=torch.bfloat16)
    return maps.contiguous(memory_format=torch.channels_last)


def _by_patches(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return convolution._convolved(x, weight, stride, padding)


def _milliseconds(layer: Callable[..., Tensor], *inputs: Tensor) -> float:
    times = []
    for tensor in inputs:
        tensor.requires_grad_(True)
    for _ in range(8):
        start = time.perf_counter()
        y = layer(*inputs)
        torch.autograd.grad(y, inputs, torch.ones_like(y))
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:]) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=["plain", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--compile", action="store_true", help="compile ours")
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    device = resolve_device(given.device)
    if given.layers:
        layers(given.batch_size)
    elif given.worker:
        work(given.worker, given.batch_size, given.steps, device, given.compile)
    else:
        compare(given.batch_size, given.steps, given.rounds, device, given.compile)


if __name__ == "__main__":
    main()
