"""Kernel distance (KID): an unbiased estimate of the squared maximum mean discrepancy.

Bińkowski et al. 2018, arXiv:1801.01401, with k(x, y) = (x'y / d + 1)^3 for features of width d:

    MMD^2 = mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j)
            - 2 mean over all i, j of k(x_i, y_j).

It is averaged over random subsets; unlike the Fréchet distance it has no bias by their size, and
may be below 0. In float64: the three means are alike, and their difference is small.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.metrics.matrix import Gather, Matrix, as_sides, blocks, device_of, to_double
from gan_eval.seeding import stream

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class KernelDistance:
    """A kernel distance: mean and standard deviation (divisor: their number) over subsets."""

    mean: float
    std: float


def kernel_distance(
    *,
    real: Matrix,
    fake: Matrix,
    seed: int,
    subsets: int = 100,
    subset_size: int = 1000,
    share: tuple[int, int] = (0, 1),
    gather: Gather = lambda part: [part],
) -> KernelDistance:
    """Return the kernel distance of two sets of features, over random subsets of both.

    Args:
        real, fake: features (n, d); both sides may have different n.
        seed: of the subsets, see `draw_subsets`.
        subsets: how many.
        subset_size: rows of each side in each.
        share: (i, of how many): which of the subsets are done here.
        gather: exchanges what was found with the other shares, which call it as often.

    Raises:
        InputError: a side is smaller than a subset, not finite, or not as wide as the other.
    """
    if subsets < 1 or subset_size < 2:
        raise InputError(
            "subsets must be at least 1, and subset_size at least 2. Got "
            f"{subsets} and {subset_size}."
        )
    real, fake = as_sides(real=real, fake=fake, at_least=2)
    side, n = min(("real", len(real)), ("fake", len(fake)), key=lambda pair: pair[1])
    if subset_size > n:
        raise InputError(
            f"subset_size must be at most the smaller side ({n} images of {side}). "
            f"Got {subset_size}; pass {n}, or take more images."
        )
    device = device_of(real, fake)
    drawn = draw_subsets(len(real), len(fake), subsets=subsets, size=subset_size, seed=seed)
    found = [
        squared_mmd(real=to_double(real[of_real], device), fake=to_double(fake[of_fake], device))
        for of_real, of_fake in islice(drawn, share[0], None, share[1])
    ]
    values = torch.cat(gather(torch.tensor(found, dtype=torch.float64)))
    return KernelDistance(mean=float(values.mean()), std=float(values.std(correction=0)))


def draw_subsets(
    n_real: int, n_fake: int, *, subsets: int, size: int, seed: int
) -> Iterator[tuple[Rows, Rows]]:
    """Yield rows of real and of fake images for each subset, drawn without replacement within it.

    Each subset has streams of its own: asking for more of them leaves the first ones alone.
    """
    for number in range(subsets):
        real, fake = (
            torch.randperm(n, generator=stream(seed, "kid", side, number))[:size].numpy()
            for side, n in (("real", n_real), ("fake", n_fake))
        )
        yield real, fake


def squared_mmd(*, real: Tensor, fake: Tensor) -> float:
    """Return the unbiased estimate of the squared MMD of float64 features (n, d) and (m, d)."""
    cross = _kernel_sum(real, fake) / (len(real) * len(fake))
    return _mean_off_diagonal(real) + _mean_off_diagonal(fake) - 2 * cross


def _mean_off_diagonal(x: Tensor) -> float:
    """Return the mean of k(x_i, x_j) over i != j."""
    diagonal = x.square().sum(1).div_(x.shape[1]).add_(1).pow_(3).sum()
    return (_kernel_sum(x, x) - float(diagonal)) / (len(x) * (len(x) - 1))


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    """Return the sum of k(x_i, y_j) over all i and j."""
    products = ((block / x.shape[1]) @ y.T for _, block in blocks(x, x.device))
    return math.fsum(float(product.add_(1).pow_(3).sum()) for product in products)
