"""Images rounded to at most 256 values, whose products are exact; see `nearest_neighbor`."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# What float32 rounds of a value on the grid, in steps, and of the length that it moved.
_SLACK = 1e-4
_LEAST_STEP = 1e-30  # one by which float32 can be divided


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounded:
    """Images (n, d) on the grid.

    Attributes:
        values: int8 (n, d), the q.
        squares: int32 (n,), their sums of squares.
        moved: float64 (n,), the rho, or None where nothing was rounded.
    """

    values: Tensor
    squares: Tensor
    moved: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The values `offset` + `step` q for integers q from -`reach` to `reach` - 1."""

    offset: float
    step: float
    reach: int

    @classmethod
    def around(cls, queries: Tensor) -> "Grid":
        """Return the finest grid that holds all of `queries` (m, d), values of float32's range."""
        # So that |q|^2 - 2 q.q' fits 32 bits.
        reach = min(128, math.isqrt(2**31 // (3 * queries.shape[1])))
        if queries.dtype == torch.uint8:
            return cls(offset=128, step=math.ceil(128 / reach), reach=reach)
        low, high = (float(edge) for edge in torch.aminmax(queries))
        step = (high - low) / (2 * reach - 1)
        if (queries == queries.round()).all():
            step = math.ceil(step)
        step = max(float(step) or 1.0, _LEAST_STEP)  # there may be one value only
        # A number of float32, in which images may be given.
        offset = float(torch.tensor(low + reach * step, dtype=torch.float32))
        return cls(offset=offset, step=step, reach=reach)

    def round(self, images: Tensor) -> Rounded:
        """Return `images` (n, d) on the grid, moved to its edges where they are beyond."""
        if images.dtype == torch.uint8 and (self.offset, self.step) == (128, 1):
            values, moved = (images ^ 128).view(torch.int8), None
        else:
            wide = images.float() if images.dtype == torch.uint8 else images
            steps = wide.sub(self.offset).mul_(1 / self.step).float()
            steps.clamp_(-self.reach, self.reach - 1)
            whole = steps.round()
            values = whole.to(torch.int8)
            moved = torch.linalg.vector_norm(steps.sub_(whole), dim=1).double()
            moved = self.step * (moved + _SLACK * (moved + math.sqrt(images.shape[1])))
        halves = values.short()
        squares = halves.mul_(halves).sum(1, dtype=torch.int32)
        return Rounded(values=values, squares=squares, moved=moved)
