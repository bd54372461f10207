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

Pairs of blocks are independent: shares of them are done apart, and their neighbours and counts are
merged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.metrics.matrix import Gather, Matrix, as_sides, blocks, device_of

# Relative to the squared norms; float64 products of 30,000 terms err by 1e-14.
_ROUNDING = 1e-12

Pair = tuple[slice, slice, Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall:
    """Precision, recall, density and coverage, as the module defines them."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(
    *,
    real: Matrix,
    fake: Matrix,
    k: int = 5,
    share: tuple[int, int] = (0, 1),
    gather: Gather = lambda part: [part],
) -> PrecisionRecall:
    """Return precision, recall, density and coverage of features `real` (n, d) and `fake` (m, d).

    Args:
        real, fake: all rows, whatever the share.
        k: which neighbour a ball reaches to.
        share: (i, of how many): which part of the work is done here.
        gather: exchanges what was found with the other shares, which call it as often.

    Raises:
        InputError: a side has k rows or fewer, is not finite, or not as wide as the other.

    Example:
        >>> line = torch.arange(10.0)[:, None]  # balls of radius 1, at the ends 2
        >>> precision_recall(real=line, fake=line[:5] + 0.5, k=2)
        PrecisionRecall(precision=1.0, recall=0.7, density=1.1, coverage=0.6)
    """
    if k < 1:
        raise InputError(f"k must be at least 1. Got {k}.")
    real, fake = as_sides(real=real, fake=fake, at_least=k + 1)
    centre = next(blocks(real, device_of(real, fake)))[1].mean(0)
    nearest = [gather(_neighbours(side, centre, k, share).cpu()) for side in (real, fake)]
    radii = [reduce(_nearest, parts)[:, -1].clamp_min(0) for parts in nearest]
    counts = sum(gather(_counts(real, fake, centre, radii, share).cpu()), torch.tensor(0))
    balls, covered, recalled = torch.split(counts, [len(fake), len(real), len(real)])
    return PrecisionRecall(
        precision=_share(balls > 0),
        recall=_share(recalled > 0),
        density=float(balls.double().mean()) / k,
        coverage=_share(covered > 0),
    )


def _neighbours(x: Matrix, centre: Tensor, k: int, share: tuple[int, int]) -> Tensor:
    """Return the squared distances of each row to the nearest k + 1 that `share` sees (n, k + 1).

    Increasing, infinite where it sees fewer. The nearest of all is the row itself.
    """
    nearest = torch.full((len(x), k + 1), torch.inf, dtype=torch.float64, device=centre.device)
    for rows, columns, left, right in _pairs(x, x, centre, share, half=True):
        squares = _squares(left, right)
        nearest[rows] = _nearest(nearest[rows], squares)
        if columns != rows:
            nearest[columns] = _nearest(nearest[columns], squares.T)
    return nearest


def _nearest(known: Tensor, squares: Tensor) -> Tensor:
    """Return the smallest of both in each row, as many as are known, increasing."""
    count = known.shape[1]
    found = squares.topk(min(count, squares.shape[1]), largest=False).values
    return torch.cat([known, found], 1).topk(count, largest=False).values


def _counts(
    real: Matrix, fake: Matrix, centre: Tensor, radii: list[Tensor], share: tuple[int, int]
) -> Tensor:
    """Return, over the pairs of `share`, what is inside whose ball, int64 (m + n + n,).

    For each fake image the real balls that it is in; for each real one the fake images in its ball,
    then the fake balls that it is in.
    """
    of_real, of_fake = (each.to(centre.device) for each in radii)
    balls = torch.zeros(len(fake), dtype=torch.int64, device=centre.device)
    covered, recalled = torch.zeros(2, len(real), dtype=torch.int64, device=centre.device)
    for rows, columns, left, right in _pairs(real, fake, centre, share):
        squares = _squares(left, right, 1 + _ROUNDING)
        inside = squares < of_real[rows, None]
        balls[columns] += inside.sum(0)
        covered[rows] += inside.sum(1)
        recalled[rows] += (squares < of_fake[columns]).sum(1)
    return torch.cat([balls, covered, recalled])


def _pairs(
    x: Matrix, y: Matrix, centre: Tensor, share: tuple[int, int], *, half: bool = False
) -> Iterator[Pair]:
    """Yield the pairs of centred blocks that fall to `share`, of two alike one where `half`."""
    number, shares = share
    turn = 0
    for rows, left in blocks(x, centre.device):
        below = y[: rows.stop] if half else y
        for columns, right in blocks(below, centre.device):
            if turn % shares == number:
                yield rows, columns, left - centre, right - centre
            turn += 1


def _squares(x: Tensor, y: Tensor, norms: float = 1.0) -> Tensor:
    """Return the squared distances of rows of `x` and `y`, with squared norms times `norms`."""
    outer = norms * (x.square().sum(1)[:, None] + y.square().sum(1))
    return outer.addmm_(x, y.T, alpha=-2)


def _share(of: Tensor) -> float:
    return float(of.double().mean())
