"""The space of an L2-SVM with more rows than columns, or with too many rows for a Gram matrix.

The Newton step solves (I + 2C X_m'X_m) s = -gradient over the active rows m, by conjugate
gradients, without ever forming the matrix. The preconditioner is that matrix itself within the span
of the few largest eigenvectors of X'X, which serve all classes and all C, and a multiple of the
identity outside it.
"""

import torch
from torch import Tensor

from gan_eval.probes.design import Design, block_bytes, rough_products
from gan_eval.probes.newton import Points, System
from gan_eval.seeding import stream

_RANK = 512
# Rows that the directions are found on: enough for the largest few hundred to be those of all.
_SAMPLE = 8192


class PrimalSpace:
    """Coordinates w (d + 1, k) themselves; margins take a pass over X.

    `design` computes margins and gradients and may be exchanged for a more precise one; the
    systems stay with the one that it began with.
    """

    def __init__(self, design: Design) -> None:
        self.design = self._rough = design
        design.keep_rough()
        self._basis, self._seen, self._tail = _largest(design)

    @property
    def rounding(self) -> float:
        """Relative precision of an objective here."""
        return torch.finfo(self.design.dtype).eps

    def dot(self, a: Points, b: Points) -> Tensor:
        """Return the inner products of w (k,)."""
        return (a.coordinates * b.coordinates).sum(0)

    def gradient(self, at: Points, dual: Tensor) -> tuple[Tensor, Tensor]:
        """Return w - X'dual and its squared norm."""
        gradient = at.coordinates - self.design.pull(dual)
        return gradient, gradient.square().sum(0)

    def direction(self, system: System) -> Points:
        """Return the Newton step, to within the residual that the system allows."""
        twice = 2 * system.cost
        precondition = self._preconditioner(system)
        residual = -system.gradient
        step = torch.zeros_like(residual)
        z = precondition(residual)
        p, size = z, (residual * z).sum(0)
        working = size > 0
        for _ in range(self.design.d + 1):
            product = p + twice * self._rough.rough_normal(p, system.active)
            length = torch.where(working, size / (p * product).sum(0), 0.0)
            step = step + length * p
            residual = residual - length * product
            z = precondition(residual)
            newer = (residual * z).sum(0)
            working = working & (residual.square().sum(0) > system.goal)
            if not working.any():
                break
            p = z + torch.where(working, newer / size, 0.0) * p
            size = newer
        return Points(step, self.design.margins(step))

    def _preconditioner(self, system: System) -> "_Preconditioner":
        return _Preconditioner(self._basis, self._seen, self._tail, system)


class _Preconditioner:
    """(I + 2C X_m'X_m)^-1, exact within the span of a basis V and a mean eigenvalue outside it."""

    def __init__(self, basis: Tensor, seen: Tensor, tail: float, system: System) -> None:
        twice = 2 * system.cost
        self._basis = basis
        self._rest = 1 + twice * system.active.mean(0) * tail
        masks = system.active.to(seen)
        with rough_products():  # rounding the factor alike on both sides, it stays positive
            inner = torch.stack([seen.T @ (seen * mask[:, None]) for mask in masks.T]).double()
        inner = twice[:, None, None] * inner + torch.eye(seen.shape[1]).to(inner)
        self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(inner))

    def __call__(self, residual: Tensor) -> Tensor:
        inside = (self._basis.T @ residual.to(self._basis)).double()
        solved = torch.einsum("kij,jk->ik", self._inverse, inside) - inside / self._rest
        return residual / self._rest + (self._basis @ solved.to(self._basis)).double()


def _largest(design: Design) -> tuple[Tensor, Tensor, float]:
    """Return V (d + 1, r), nearly the leading right singular vectors of X, and XV (n, r).

    The third value is the mean of the other eigenvalues of X'X.
    """
    sample = Design(design.x[:: -(-design.n // _SAMPLE)], design.device, design.dtype)
    width = min(_RANK, design.d + 1, sample.n)
    start = torch.randn(design.d + 1, width, generator=stream(0, "nystrom"), dtype=torch.float64)
    basis = start.to(design.device)
    for _ in range(2):
        basis = torch.linalg.qr(sample.rough_normal(basis)).Q
    basis = basis.to(design.dtype)
    seen = design.margins(basis).to(design.dtype)
    rest = design.energy() - float(seen.double().square().sum())
    return basis, seen, max(0.0, rest) / max(1, design.d + 1 - width)


def primal_bytes(n: int, d: int, columns: int, itemsize: int) -> int:
    """Return the bytes that `PrimalSpace` and its vectors take, at most, beside X.

    Without the rounded copy of X, which is only made where there is room for it.
    """
    rank = min(_RANK, d + 1)
    vectors = 16 * 8 * (n + d) * columns
    preconditioner = 3 * 8 * columns * rank**2 + (n + 4 * d) * rank * 8
    return vectors + preconditioner + 4 * block_bytes(d)
