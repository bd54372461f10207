"""Arithmetic in Z: a - b + c of averaged exemplars, its neighbours, and steps along a vector.

Radford, Metz & Chintala 2015, section 6.3.2, Figures 7 and 8. Of every concept the z of three
exemplars are averaged, because single ones were unstable; eight neighbours of the result show how
stable it is, "uniform noise sampled with scale ±0.25".
"""

from collections.abc import Sequence

import torch
from torch import Tensor

NOISE = 0.25


def combine(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return mean(a) - mean(b) + mean(c), (..., d), of exemplars (..., n, d).

    Of images it is the control: the same sum of their pixels.

    Example:
        >>> a, b, c = torch.tensor([[3.0], [5.0]]), torch.tensor([[1.0]]), torch.tensor([[10.0]])
        >>> combine(a, b, c).tolist()
        [13.0]
    """
    return a.mean(-2) - b.mean(-2) + c.mean(-2)


def neighbours(z: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return `n` points around `z` (d,), (n, d): each value moved by at most 0.25, uniformly."""
    noise = torch.rand(n, len(z), generator=generator).mul_(2).sub_(1)
    return z + NOISE * noise


def random_directions(lengths: Tensor, d: int, generator: torch.Generator) -> Tensor:
    """Return a vector of each of `lengths` (n,), (n, d), in directions that are uniform."""
    drawn = torch.randn(len(lengths), d, generator=generator)
    return drawn * (lengths / drawn.square().sum(1).sqrt())[:, None]


def along(z: Tensor, vector: Tensor, steps: Sequence[float]) -> Tensor:
    """Return z + step * vector, (n, k, d), of points `z` (n, d) at each of `steps` (k,).

    One `vector` (d,) for all, or one for each point (n, d).
    """
    points: Tensor = z[:, None] + torch.tensor(steps).to(z)[:, None] * vector[..., None, :]
    return points
