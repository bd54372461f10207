"""Walks through Z: from point to point straight or along great circles, and how long they are.

Radford, Metz & Chintala 2015, section 6.1, Figure 4: a series of random points of Z, joined by
straight lines. Spherical lines are White's (2016, "Sampling Generative Networks"): between two
points of a high-dimensional prior a straight line passes nearer to 0 than almost any draw lies.

Path length: Karras, Laine & Aila 2019, "A Style-Based Generator Architecture", section 4.1, with
the prior in place of their spherical walk, and any features in place of their network's:

    E[ |f(G(z(t))) - f(G(z(t + epsilon)))|^2 / epsilon^2 ],    z(t) = (1 - t) z_1 + t z_2
"""

from collections.abc import Callable

import torch
from torch import Tensor

# (a, b, t) -> the points at the shares t of the ways from a to b.
Way = Callable[[Tensor, Tensor, Tensor], Tensor]

# Radians below which, or as near to half a turn, no great circle can be told.
_NO_CIRCLE = 1e-4


def straight(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return (1 - t) a + t b, (..., d), of points (..., d) and shares (...) of the way.

    Example:
        >>> straight(torch.zeros(2), torch.tensor([4.0, 8.0]), torch.tensor(0.25)).tolist()
        [1.0, 2.0]
    """
    t = t[..., None]
    return (1 - t) * a + t * b


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return (sin((1 - t) w) a + sin(t w) b) / sin w, with w the angle between a and b.

    Points (..., d) and shares (...), as `straight`, whose line it is where a and b lie on one line
    through 0.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)
    angle = cosine.acos()
    sine, shares = angle.sin(), torch.stack([1 - t, t])
    line = sine < _NO_CIRCLE
    first, last = torch.where(line, shares, (shares * angle).sin() / sine.where(~line, 1))
    points: Tensor = first[..., None] * a + last[..., None] * b
    return points


def closed_tour(points: Tensor, frames: int, way: Way) -> Tensor:
    """Return the points (n, frames, d) of a walk from each of `points` (n, d) to the next.

    Row i starts on point i and stops one step before the next; the last leads back to the first.
    """
    shares = torch.arange(frames, dtype=points.dtype, device=points.device) / frames
    ends = points.roll(-1, 0)
    return way(points[:, None], ends[:, None], shares.expand(len(points), frames))


def steps_of(frames: Tensor) -> Tensor:
    """Return the distances (n,) from each of the `frames` (n, d) of a closed tour to its next."""
    return (frames - frames.roll(-1, 0)).square().sum(1).sqrt()


def jump_ratio(steps: Tensor) -> float:
    """Return the largest step of a way by its mean step: 1 for even ways, more with a jump.

    Of the way on which that is most, so that a jump shows wherever it is, and that some ways are
    longer than others does not. It is the number of frames where one leap is the whole way, and 0
    where nothing moves at all. By the median any leap would be without bounds on a way that mostly
    stands still.

    Args:
        steps: (ways, frames).

    Example:
        >>> jump_ratio(torch.tensor([[1.0, 1.0, 1.0], [5.0, 5.0, 5.0]]))
        1.0
    """
    largest, mean = steps.amax(1), steps.mean(1)
    return float((largest / mean.clamp_min(torch.finfo(steps.dtype).tiny)).max())


def path_lengths(before: Tensor, after: Tensor, epsilon: float) -> Tensor:
    """Return |f(t + epsilon) - f(t)|^2 / epsilon^2 of each pair, (n,), of features (n, d)."""
    return ((after - before) / epsilon).square().sum(1)
