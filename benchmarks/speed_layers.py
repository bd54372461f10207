"""Which route is faster for a strided convolution in bf16: oneDNN's, or a product of patches?

    python benchmarks/speed_layers.py [--batch-size 64]

Forward and backward of the presets' layers, in milliseconds. `gan_eval.models.convolution` chooses
by what this prints.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from gan_eval.devices import freed_memory_kept
from gan_eval.models.convolution import convolve_by_patches


def maps_of(*shape: int) -> Tensor:
    maps = torch.randn(shape[0], shape[1], shape[2], shape[2], dtype=torch.bfloat16)
    return maps.contiguous(memory_format=torch.channels_last)


def milliseconds(layer: Callable[..., Tensor], *inputs: Tensor) -> float:
    times = []
    for tensor in inputs:
        tensor.requires_grad_(True)
    for _ in range(8):
        start = time.perf_counter()
        y = layer(*inputs)
        torch.autograd.grad(y, inputs, torch.ones_like(y))
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:]) * 1e3


@freed_memory_kept()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=64)
    batch_size = parser.parse_args().batch_size
    print("maps in, out, side, kernel: oneDNN convolution | patch matrix (ms, forward + backward)")
    for channels, maps, side, kernel in (
        (64, 128, 32, 4), (128, 256, 16, 4), (256, 512, 8, 4), (512, 1024, 8, 4),
        (64, 128, 16, 5), (128, 256, 8, 5), (256, 512, 8, 5), (256, 512, 16, 5), (512, 1024, 8, 5),
    ):  # fmt: skip
        x = maps_of(batch_size, channels, side)
        weight = maps_of(maps, channels, kernel).mul_(0.02)
        padding = (kernel - 1) // 2
        times = [
            milliseconds(partial(functional.conv2d, stride=2, padding=padding), x, weight),
            milliseconds(partial(convolve_by_patches, stride=2, padding=padding), x, weight),
        ]
        print(f"{channels} {maps} {side} {kernel}: {times[0]:.1f} | {times[1]:.1f}", flush=True)


if __name__ == "__main__":
    main()
