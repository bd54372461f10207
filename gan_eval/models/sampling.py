"""Images from a trained generator: the i-th sample of a seed is the same however many are drawn."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import islice

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.images import to_uint8
from gan_eval.models.config import GeneratorConfig
from gan_eval.models.dcgan import Generator, initialise
from gan_eval.models.statistics import batch_statistics, set_statistics
from gan_eval.precision import Precision, products
from gan_eval.seeding import stream

# z is drawn in blocks of this fixed size, because PyTorch's first numbers depend on how many are
# asked for at once.
_BLOCK = 256
_STATISTICS = 100  # z of which an untrained generator takes its batch-norm statistics


def latents(network: Generator, n: int, seed: int) -> Iterator[Tensor]:
    """Yield the first n points of the seed's stream, (up to 256, latent_dim) at a time."""
    source = stream(seed, "sample")
    for start in range(0, n, _BLOCK):
        yield network.draw(_BLOCK, source)[: n - start]


@torch.no_grad()  # and not in inference mode, whose tensors nobody may change or learn from
def generate(
    network: Generator,
    n: int,
    seed: int,
    label: int | None = None,
    precision: Precision = "32",
    first: int = 0,
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield n uint8 images (up to 256, channels, s, s) and their labels, made in evaluation mode.

    A conditional network draws the labels that it was trained with in turn, beginning where sample
    number `first` would be, or always `label`. `precision` "bf16" computes under `torch.autocast`.
    Of a `share` (i, k) every k-th batch is made, from batch i on.

    Raises:
        InputError: n is not positive, `label` is not one that the network was trained with, or
            samples are not finite.
    """
    _check(network, n, label)
    if any(module.training for module in network.modules()):
        network = deepcopy(network).eval()  # its own statistics stay as they are
    device = next(network.parameters()).device
    for number, z in islice(enumerate(latents(network, n, seed)), share[0], None, share[1]):
        done = number * _BLOCK
        labels = labels_of(network.config, len(z), first + done, label)
        with products(device.type, precision):
            images = network(z.to(device), None if labels is None else labels.to(device))
        _check_finite(images, done)
        yield to_uint8(images, network.config.scale).cpu(), labels


def labels_of(
    config: GeneratorConfig, n: int, first: int = 0, label: int | None = None
) -> Tensor | None:
    """Return the labels (n,) of samples from number `first` on; None of an unconditional network.

    All that it was trained with in turn, or `label` alone.
    """
    if not config.classes:
        return None
    known = torch.tensor(config.labels if label is None else [label])
    return known[(torch.arange(n) + first) % len(known)]


def untrained(network: Generator, seed: int, label: int | None = None) -> Generator:
    """Return a generator like `network` with the weights a run of `seed` starts from: a control.

    Batch norm has the statistics of a batch, for training, which averages them, was not there: of
    all labels in turn, or of `label` alone.
    """
    made = Generator(network.config)
    initialise(made, stream(seed, "init", "generator"))
    z = made.draw(_STATISTICS, stream(seed, "untrained"))
    labels = labels_of(network.config, len(z), label=label)
    set_statistics(made, batch_statistics(made, z, labels))
    return made.to(next(network.parameters()).device).eval()


def _check(network: Generator, n: int, label: int | None) -> None:
    classes = network.config.classes
    if n < 1:
        raise InputError(f"n must be at least 1. Got {n}.")
    if label is not None and not classes:
        raise InputError(
            f"label is for conditional networks; this one has no labels. Got {label}; leave it out."
        )
    if label is not None and not 0 <= label < classes:
        raise InputError(f"label must be from 0 to {classes - 1}. Got {label}.")
    if label in network.config.unseen:
        raise InputError(
            f"label must be one that the generator was trained with, as {network.config.labels[0]} "
            f"is. Got {label}, which none of its images had; name another, or leave it out."
        )


def _check_finite(images: Tensor, first: int) -> None:
    """Refuse samples, of which `first` were made before, that NaN would turn black."""
    wrong = (~images.isfinite()).flatten(1).any(1).nonzero()
    if len(wrong):
        raise InputError(
            f"samples must be finite. Got NaN or infinity in sample {first + int(wrong[0])}; "
            "restore the generator's weights, or pass a kept --epoch."
        )
