"""Fréchet distance between Gaussians, the FID of Inception's features.

Heusel et al. 2017, arXiv:1706.08500, eq. 6:

    |m_r - m_f|^2 + tr(C_r) + tr(C_f) - 2 tr((C_r C_f)^(1/2)).

No root of a matrix is taken. With C_r = F F', the product C_r C_f has the non-zero eigenvalues of
the symmetric F' C_f F, and the last trace is the sum of their roots. F is Cholesky's factor, or of
the eigenvectors where the covariance is singular: n images leave n - 1 directions at most, and
those beyond are rounding, of which a root would make 1e-8 each. Few directions are found by what
the covariance makes of as many random vectors (Halko, Martinsson & Tropp 2011, arXiv:0909.4061),
which is exact for its rank, and all others by their eigenvectors.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan_eval.metrics.matrix import Matrix, as_side, check_widths, device_of
from gan_eval.metrics.moments import Moments
from gan_eval.seeding import stream

_POINTS, _SMALLEST = 15, 5000
_AT_ONCE = 4096  # rows of a subset that are copied at once


@dataclass(frozen=True, kw_only=True)
class FrechetDistance:
    """A Fréchet distance.

    Attributes:
        distance: at least 0, in squared units of the features.
        clipped: share of the eigenvalues' absolute sum that was negative and taken as 0: rounding,
            1e-12 or less. Much more means that a given "sigma" is no covariance.
    """

    distance: float
    clipped: float


@dataclass(frozen=True, kw_only=True)
class Extrapolation:
    """The Fréchet distance of infinitely many generated images, and the line that leads there.

    Attributes:
        distance: where the line through `distances` over 1 / `sizes` meets 0; may be negative.
        sizes: numbers of generated images, increasing.
        distances: the Fréchet distance of a random subset of each size.
    """

    distance: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_distance(*, real: Moments, fake: Moments) -> FrechetDistance:
    """Return the Fréchet distance of two sets' moments; the sides may be swapped.

    Raises:
        InputError: a side is of fewer than 2 images, or they are not equally wide.

    Example:
        >>> real, fake = Moments(), Moments()
        >>> real.update(np.array([[0.0], [2.0]]))  # variance 2
        >>> fake.update(np.array([[3.0], [7.0]]))  # variance 8
        >>> round(frechet_distance(real=real, fake=fake).distance, 9)  # 4^2 + (8^.5 - 2^.5)^2
        18.0
    """
    check_widths(real=real.width, fake=fake.width)
    less, more = sorted((real, fake), key=_rank)
    place = device_of(real.mean, fake.mean)
    one, other = less.covariance.to(place), more.covariance.to(place)
    factor, clipped = _factor(one, _rank(less))
    values = torch.linalg.eigvalsh(factor.T @ other @ factor)
    cross = float(values.clamp_min(0).sqrt().sum())
    shift = float((less.mean.to(place) - more.mean.to(place)).square().sum())
    traces = float(one.trace() + other.trace())
    return FrechetDistance(
        distance=max(0.0, shift + traces - 2 * cross),
        clipped=max(clipped, _negative_share(values)),
    )


def _rank(moments: Moments) -> int:
    """Return the largest rank that the covariance can have."""
    return moments.width if moments.n is None else min(moments.width, moments.n - 1)


def _factor(covariance: Tensor, rank: int) -> tuple[Tensor, float]:
    """Return F (d, r) with F F' the covariance, and which share of it was negative."""
    if rank == len(covariance):
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if not failed:
            return factor, 0.0
    if 2 * rank < len(covariance):
        seed = torch.randn(len(covariance), rank, generator=stream(0, "fid"), dtype=torch.float64)
        basis = torch.linalg.qr(covariance @ seed.to(covariance.device)).Q
        values, vectors = torch.linalg.eigh(basis.T @ covariance @ basis)
        vectors = basis @ vectors
    else:
        values, vectors = torch.linalg.eigh(covariance)
    roots = values[-rank:].clamp_min(0).sqrt()
    return vectors[:, -rank:] * roots, _negative_share(values)


def _negative_share(values: Tensor) -> float:
    """Return how much of the absolute sum of `values` is negative; 0 where they are all 0."""
    total = float(values.abs().sum())
    return float(-values.clamp_max(0).sum()) / total if total else 0.0


def frechet_distance_at_infinity(*, real: Moments, fake: Matrix, seed: int) -> Extrapolation:
    """Return the Fréchet distance free of its bias by the number of generated images.

    Chong & Forsyth 2020, arXiv:1911.07023: the bias is linear in 1 / n. As there, a line is fitted
    to 15 distances, of fresh random subsets (without replacement) of evenly spaced sizes from 5,000
    to all images. Of fewer than 10,000 images, the smallest size is half of them instead. The
    bias by the number of real images stays.

    Args:
        real: of the reference set.
        fake: features (n, d) of generated images.
        seed: of the subsets.

    Raises:
        InputError: `fake` has fewer than 4 rows, or is not finite; otherwise as above.
    """
    fake = as_side(fake, "fake", at_least=4)
    check_widths(real=real.width, fake=fake.shape[1])
    generator, n = stream(seed, "fid-infinity"), len(fake)
    sizes = np.linspace(min(_SMALLEST, n // 2), n, _POINTS).astype(int)
    distances = []
    for size in sizes:
        rows = torch.randperm(n, generator=generator)[:size].sort().values
        moments = Moments()
        for some in torch.split(rows, _AT_ONCE):
            moments.update(fake[some.numpy()])
        distances.append(frechet_distance(real=real, fake=moments).distance)
    intercept, _ = np.polynomial.polynomial.polyfit(1 / sizes, distances, 1)
    return Extrapolation(
        distance=float(intercept), sizes=tuple(sizes.tolist()), distances=tuple(distances)
    )
