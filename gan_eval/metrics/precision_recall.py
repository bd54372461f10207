"""Precision, recall, density and coverage: fidelity and diversity by balls around images.

Kynkäänniemi et al. 2019, arXiv:1904.06991 (precision and recall, there with k = 3), and Naeem et
al. 2020, arXiv:2002.09797 (density and coverage, k = 5), as in the authors' package `prdc`. The
ball of an image reaches to, but does not include, its k-th nearest other image of its own side.

* precision: share of fake images inside the ball of any real one;
* recall: share of real images inside the ball of any fake one;
* density: real balls that a fake image is in, on average, divided by k; may exceed 1;
* coverage: share of real images whose ball holds any fake one.

Squared distances are |x|^2 + |y|^2 - 2 x'y of centred rows in float64, in blocks: memory does not
grow with n^2. What is nearer to a ball's surface than their rounding counts as on it, so outside.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.metrics.matrix import Matrix, blocks, check_sides, device_of

# Relative to the squared norms; float64 products of 30,000 terms err by 1e-14.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall:
    """The four shares that the module defines."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(*, real: Matrix, fake: Matrix, k: int = 5) -> PrecisionRecall:
    """Return precision, recall, density and coverage of features `real` (n, d) and `fake` (m, d).

    Args:
        k: which neighbour a ball reaches to.

    Raises:
        InputError: a side has k rows or fewer, is not finite, or not as wide as the other.

    Example:
        >>> line = torch.arange(10.0)[:, None]  # balls of radius 1, at the ends 2
        >>> precision_recall(real=line, fake=line[:5] + 0.5, k=2)
        PrecisionRecall(precision=1.0, recall=0.7, density=1.1, coverage=0.6)
    """
    if k < 1:
        raise InputError(f"k must be at least 1. Got {k}.")
    check_sides(real=real, fake=fake, at_least=k + 1)
    device = device_of(real)
    centre = next(blocks(real, device))[1].mean(0)
    real_radii, fake_radii = _radii(real, centre, k), _radii(fake, centre, k)
    balls = torch.zeros(len(fake), dtype=torch.int64, device=device)
    covered, recalled = torch.zeros(2, len(real), dtype=torch.bool, device=device)
    for rows, left in blocks(real, device):
        for columns, right in blocks(fake, device):
            squares = _squares(left - centre, right - centre, 1 + _ROUNDING)
            inside = squares < real_radii[rows, None]
            balls[columns] += inside.sum(0)
            covered[rows] |= inside.any(1)
            recalled[rows] |= (squares < fake_radii[columns]).any(1)
    return PrecisionRecall(
        precision=_share(balls > 0),
        recall=_share(recalled),
        density=float(balls.double().mean()) / k,
        coverage=_share(covered),
    )


def _radii(x: Matrix, centre: Tensor, k: int) -> Tensor:
    """Return the squared distance of each row to its k-th nearest other row (n,)."""
    # The nearest of all is the row itself.
    nearest = torch.full((len(x), k + 1), torch.inf, dtype=torch.float64, device=centre.device)
    for rows, left in blocks(x, centre.device):
        for columns, right in blocks(x[: rows.stop], centre.device):
            squares = _squares(left - centre, right - centre)
            nearest[rows] = _nearest(nearest[rows], squares)
            if columns != rows:
                nearest[columns] = _nearest(nearest[columns], squares.T)
    return nearest[:, -1].clamp_min(0)


def _nearest(known: Tensor, squares: Tensor) -> Tensor:
    """Return the smallest of both in each row, as many as are known, increasing."""
    count = known.shape[1]
    found = squares.topk(min(count, squares.shape[1]), largest=False).values
    return torch.cat([known, found], 1).topk(count, largest=False).values


def _squares(x: Tensor, y: Tensor, norms: float = 1.0) -> Tensor:
    """Return the squared distances of rows of `x` and `y`, with squared norms times `norms`."""
    outer = norms * (x.square().sum(1)[:, None] + y.square().sum(1))
    return outer.addmm_(x, y.T, alpha=-2)


def _share(of: Tensor) -> float:
    return float(of.double().mean())
