"""Images per second of one training loop alone, in this process: what `speed_train` alternates.

    python benchmarks/training_rate.py ours|plain [--batch-size 64] [--steps 30] [--compile]

`ours` is this package's, in the precision that "auto" gives; `plain` that of `plain_dcgan.py`, in
float32, where torch lets a GPU convolve in TF32. Both train `pytorch-examples` on noise that is on
the device already. Prints JSON.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import ExitStack

import torch
from plain_dcgan import Plain
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gan_eval.devices import freed_memory_kept, make_fabric, resolve_device
from gan_eval.models.presets import configure
from gan_eval.models.run_config import DataConfig, RunConfig
from gan_eval.precision import own_settings, resolve_precision, tried_convolutions
from gan_eval.records import versions
from gan_eval.training.step import Trainer

PRESET = "pytorch-examples"


def wait(device: str) -> None:
    """Return when everything that was started on `device` is done."""
    if device == "cuda":
        torch.cuda.synchronize()


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
    for i in range(4):
        step(i, pixels)
    wait(device)
    start = time.perf_counter()
    for i in range(steps):
        step(i + 4, pixels)
    wait(device)
    rate = batch_size * steps / (time.perf_counter() - start)
    with FlopCounterMode(display=False) as counter:  # last: it may end the use of compiled code
        step(steps + 4, pixels)
    print(json.dumps({"rate": rate, "flop": counter.get_total_flops() / batch_size}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=["ours", "plain"])
    parser.add_argument("--compile", action="store_true", help="compile ours")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    device = resolve_device(given.device)
    with ExitStack() as settings:
        settings.enter_context(tried_convolutions(True))  # which pytorch/examples asks for too
        if given.which == "ours":  # as `carry_out` trains
            settings.enter_context(own_settings())
            settings.enter_context(freed_memory_kept())
        work(given.which, given.batch_size, given.steps, device, given.compile)


if __name__ == "__main__":
    main()
