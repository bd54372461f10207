"""The space of an L2-SVM with many more rows than columns: w itself.

The Newton step solves (I + 2C X_m'X_m) s = -gradient over the active rows m, by conjugate
gradients, without ever forming the matrix. The leading directions V of X'X carry nearly all of its
size, and X in them, XV (n, r), is small enough to be held in full precision. That is used three
times: to precondition the systems, to take V out of X before it is rounded to bfloat16, and to
minimise the objective within V after each step, which takes no pass over X.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_eval.devices import available_memory, give_back_memory
from gan_eval.precision import float32_products
from gan_eval.probes.design import Design, block_bytes, check_finite, product
from gan_eval.probes.newton import Points, System, line_search
from gan_eval.seeding import stream

_RANK = 1024
# Rows that the directions are found on, eight for each.
_SAMPLE = 8192
# r directions of d columns are cheap up to r^2 = 40 d: to invert them takes a step as long as ten
# passes over X. They will do while 2C times the eigenvalues outside them is at most 64: at small C
# on small problems the preconditioner of all of them took ten times as long as everything else.
_CHEAP, _OUTSIDE = 40, 64.0
# A step is good enough when this share of the energy of its error is left: exact ones are in vain
# while the set of active rows changes.
_ENERGY = 0.04
# Steps of conjugate gradients, and how many of the last ones a new one is made conjugate to.
_STEPS, _KEPT = 250, 64
# Minimisations within V after each step.
_POLISHES = 2

_Normal = Callable[[Tensor, Tensor], Tensor]


class PrimalSpace:
    """Coordinates w (d + 1, k) themselves; margins take a pass over X.

    `design` computes margins and gradients and may be exchanged for a more precise one; the
    systems stay with the one that it began with.

    Args:
        design: X.
        cost: C (k,), for which as many directions are taken as are worth it.
    """

    def __init__(self, design: Design, cost: Tensor) -> None:
        self.design = design
        self._leading = _leading(design, math.isqrt(_CHEAP * design.d))
        if not self.suits(cost):
            del self._leading  # before the others take their memory
            self._leading = _leading(design, _RANK)
        self._inverse: Tensor  # of the last direction's systems
        self._normal: _Normal = design.normal
        if design.rounds and _Deflated.nbytes(design) <= available_memory(design.device) // 2:
            give_back_memory()  # what finding the directions took: 2 % of the peak
            self._normal = _Deflated(design, self._leading)

    def suits(self, cost: Tensor) -> bool:
        """Return whether more directions would not be worth it at C (k,)."""
        return self._leading.all or 2 * float(cost.max()) * self._leading.least <= _OUTSIDE

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
        """Return the Newton step, as exact as is worth it."""
        twice = 2 * system.cost
        precondition = _Preconditioner(self._leading, system.active, twice)
        self._inverse = precondition.inverse
        residual = -system.gradient
        step, steps = torch.zeros_like(residual), _Conjugate()
        z = precondition(residual)
        first = (residual * z).sum(0)
        for _ in range(min(_STEPS, self.design.d + 1)):
            p = steps.conjugate(z)
            change = p + twice * self._normal(p, system.active)
            curvature = (p * change).sum(0)
            length = _ratio((p * residual).sum(0), curvature)
            step, residual = step + length * p, residual - length * change
            z = precondition(residual)
            done = (residual * z).sum(0) <= _ENERGY * first
            done |= residual.square().sum(0) <= system.goal
            if done.all():
                break
            steps.keep(p, change, curvature)
        return Points(step, self.design.margins(step))

    def polish(self, at: Points, signs: Tensor, cost: Tensor) -> Points:
        """Return points with a smaller objective: Newton's method over w + Vc, after a `direction`.

        Those directions bend most, and what is left of the gradient there is what the duality gap
        would overrate. The curvature is that of the direction's system: good enough, for the length
        of each move is searched.
        """
        basis, seen, twice = self._leading.basis, self._leading.seen, 2 * cost
        for _ in range(_POLISHES):
            slack = (1 - signs * at.margins).clamp_min_(0)
            dual = (twice * signs * slack).to(seen)
            gradient = product(basis.T, at.coordinates.to(basis)) - product(seen.T, dual)
            inside = -torch.einsum("kij,jk->ik", self._inverse, gradient.double()).to(basis)
            move = Points(product(basis, inside).double(), product(seen, inside).double())
            at = at.plus(line_search(at, move, signs, cost, self), move)
        return at


class _Conjugate:
    """The last steps of conjugate gradients, which new ones are made conjugate to.

    In exact arithmetic the one before would do. Products of bfloat16 are not exact, and then the
    steps soon repeat each other: 1.6 times as many were needed at large C.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []

    def keep(self, p: Tensor, change: Tensor, curvature: Tensor) -> None:
        """Hold a step p, its product with the matrix and their inner product."""
        self._steps = [*self._steps, (p, change, curvature)][-_KEPT:]

    def conjugate(self, z: Tensor) -> Tensor:
        """Return z less its parts along the steps."""
        for p, change, curvature in self._steps:
            z = z - _ratio((change * z).sum(0), curvature) * p
        return z


@dataclass(frozen=True)
class _Leading:
    """V (d + 1, r), nearly the leading right singular vectors of X, and what X is there.

    Attributes:
        basis: V, in the precision of the design.
        seen: XV (n, r), likewise.
        least: the least of their eigenvalues of X'X, nearly.
        tail: the mean of the other eigenvalues.
        all: whether no more are to be had.
    """

    basis: Tensor
    seen: Tensor
    least: float
    tail: float
    all: bool


class _Deflated:
    """Products with X_m'X_m, from X(1 - VV') in bfloat16 and XV in full precision.

    Rounding all of X would drown the small eigenvalues: the last digit of a coordinate, times the
    largest singular value, is more than they are.
    """

    def __init__(self, design: Design, leading: _Leading) -> None:
        self._basis, self._seen = leading.basis, leading.seen
        self._rest = torch.empty(design.n, design.d, dtype=torch.bfloat16, device=design.device)
        self._parts = []
        for rows, block in design.blocks():
            with float32_products("medium"):  # rounded as the result will be
                inside = self._seen[rows] @ self._basis[:-1].T
            self._rest[rows] = inside.neg_().add_(block)
            self._parts.append(rows)
        self._intercept = 1 - self._seen @ self._basis[-1]

    @staticmethod
    def nbytes(design: Design) -> int:
        """Return the bytes that it holds."""
        return 2 * design.n * design.d

    def __call__(self, p: Tensor, active: Tensor) -> Tensor:
        """Return [X, 1]'D[X, 1]p, (d + 1, k), with D the `active` rows of each column."""
        # Vectors lie as rows here: products as thin as these take about half as long.
        p, active = p.T.to(self._basis).contiguous(), active.T.contiguous()
        inside = product(p, self._basis)
        outside = p - product(inside, self._basis.T)
        rough = outside[:, :-1].to(torch.bfloat16).contiguous()
        out, back = torch.zeros_like(p), torch.zeros_like(inside)
        for rows in self._parts:
            block, seen, intercept = self._rest[rows], self._seen[rows], self._intercept[rows]
            margins = rough @ block.T + product(inside, seen.T) + outside[:, -1:] * intercept
            margins *= active[:, rows]
            back += product(margins, seen)
            out[:, :-1] += margins.to(torch.bfloat16) @ block
            out[:, -1] += margins @ intercept
        out += product(back - product(out, self._basis), self._basis.T)
        return out.T.double()


class _Preconditioner:
    """(I + 2C X_m'X_m)^-1, exact within the span of V and a mean eigenvalue outside it."""

    def __init__(self, leading: _Leading, active: Tensor, twice: Tensor) -> None:
        self._basis = leading.basis
        self._rest = 1 + twice * active.mean(0) * leading.tail
        self.inverse = _inverse(leading, active > 0, twice)

    def __call__(self, residual: Tensor) -> Tensor:
        inside = product(self._basis.T, residual.to(self._basis)).double()
        solved = torch.einsum("kij,jk->ik", self.inverse, inside) - inside / self._rest
        return residual / self._rest + product(self._basis, solved.to(self._basis)).double()


def _inverse(leading: _Leading, active: Tensor, twice: Tensor) -> Tensor:
    """Return (I + 2C V'X_m'X_mV)^-1 for each column's active rows m, (k, r, r)."""
    rank = leading.seen.shape[1]
    inner = torch.eye(rank, dtype=torch.float64, device=twice.device).repeat(len(twice), 1, 1)
    for column, weight, sums in zip(active.T, twice, inner, strict=True):
        # In parts: XV of all active rows would be copied, and rounded, for each column.
        for seen, chosen in zip(
            torch.split(leading.seen, _SAMPLE), torch.split(column, _SAMPLE), strict=True
        ):
            rows = seen[chosen]
            # Rounding the factor alike on both sides, it stays positive.
            with float32_products("medium"):
                sums += weight * (rows.T @ rows)
    factor, failed = torch.linalg.cholesky_ex(inner)
    factor[failed > 0] = torch.eye(rank, dtype=factor.dtype, device=factor.device)  # 0 would raise
    inverse = torch.cholesky_inverse(factor)
    if failed.any():
        # Values or a C so large that rounding drowns the identity, below which no eigenvalue is.
        values, vectors = torch.linalg.eigh(inner[failed > 0])
        kept = vectors / values.clamp_min(1.0)[:, None]
        inverse[failed > 0] = kept @ vectors.mT
    return inverse


def _leading(design: Design, rank: int) -> _Leading:
    energy = design.energy()
    check_finite(energy)
    sample = Design(design.x[:: -(-design.n // _SAMPLE)], design.device, design.dtype)
    most = min(_RANK, design.d + 1, sample.n)
    width = max(1, min(rank, most))
    start = torch.randn(design.d + 1, width, generator=stream(0, "nystrom"), dtype=torch.float64)
    basis = start.to(design.device, design.dtype)
    for _ in range(2):
        with float32_products("medium"):
            basis = torch.linalg.qr(sample.normal(basis)).Q.to(design.dtype)
    seen = design.margins(basis).to(design.dtype)
    values = torch.linalg.vector_norm(seen, dim=0, dtype=torch.float64).square()
    rest = max(0.0, energy - float(values.sum())) / max(1, design.d + 1 - width)
    return _Leading(basis, seen, least=float(values.min()), tail=rest, all=width == most)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Return a / b, and 0 where b is not positive."""
    return torch.where(b > 0, a / b, 0.0)


def primal_bytes(n: int, d: int, columns: int, itemsize: int) -> int:
    """Return the bytes that `PrimalSpace` and its vectors take, at most, beside X.

    Without the rounded copy of X, which is only made where there is room for it.
    """
    rank = min(_RANK, d + 1)
    vectors = 16 * 8 * (n + d) * columns + 2 * 8 * min(_KEPT, d) * d * columns
    # XV is computed in float64, and kept in the precision of the design.
    preconditioner = 3 * 8 * columns * rank**2 + (3 * n // 2 + 4 * d) * rank * 8
    return vectors + preconditioner + 4 * block_bytes(d)
