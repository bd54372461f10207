"""Images from a trained generator: the i-th sample of a seed is the same however many are drawn."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gan_eval.devices import Precision, products
from gan_eval.errors import InputError
from gan_eval.images import to_uint8
from gan_eval.models.dcgan import Generator, initialise
from gan_eval.models.statistics import batch_statistics, set_statistics
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


@torch.inference_mode()
def generate(
    network: Generator,
    n: int,
    seed: int,
    label: int | None = None,
    precision: Precision = "32",
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield n uint8 images (up to 256, channels, s, s) and their labels, made in evaluation mode.

    A conditional network draws labels 0, 1, 2 … in turn, or always `label`. `precision` "bf16"
    computes under `torch.autocast`.

    Raises:
        InputError: n is not positive, `label` is not one of the network's, or samples are not
            finite.
    """
    _check(network, n, label)
    classes, device = network.config.classes, next(network.parameters()).device
    first = 0
    for z in latents(network, n, seed):
        labels = None
        if classes:
            labels = (torch.arange(len(z)) + first) % classes
            labels = labels if label is None else torch.full_like(labels, label)
        with products(device.type, precision):
            images = network(z.to(device), None if labels is None else labels.to(device))
        _check_finite(images, first)
        first += len(z)
        yield to_uint8(images, network.config.scale).cpu(), labels


def untrained(network: Generator, seed: int, label: int | None = None) -> Generator:
    """Return a generator like `network` with the weights a run of `seed` starts from: a control.

    Batch norm has the statistics of a batch, for training, which averages them, was not there: of
    all labels in turn, or of `label` alone.
    """
    made, classes = Generator(network.config), network.config.classes
    initialise(made, stream(seed, "init", "generator"))
    z = made.draw(_STATISTICS, stream(seed, "untrained"))
    labels = None
    if classes:
        labels = torch.arange(len(z)) % classes if label is None else torch.full((len(z),), label)
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


def _check_finite(images: Tensor, first: int) -> None:
    """Refuse samples, of which `first` were made before, that NaN would turn black."""
    wrong = (~images.isfinite()).flatten(1).any(1).nonzero()
    if len(wrong):
        raise InputError(
            f"samples must be finite. Got NaN or infinity in sample {first + int(wrong[0])}; "
            "restore the generator's weights, or pass a kept --epoch."
        )
