"""The space of an L2-SVM with hardly more rows than columns: w = X'a, seen through X X'.

The Newton step solves (K_mm + 1/(2C)) a_m = y_m over the active rows m, by conjugate gradients. The
preconditioner inverts exactly what is left of the few largest eigenvalues of K in those rows; real
features have eigenvalues that fall like a power, and without it five times the steps are needed
(Nyström preconditioning: Frangella, Tropp & Udell 2023).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gan_eval.probes.design import Design, block_bytes, check_finite, product
from gan_eval.probes.newton import Points, System
from gan_eval.seeding import stream

_RANK = 128
# Columns whose preconditioners are made in one product.
_AT_ONCE = 16


class GramSpace:
    """Coordinates a (n, k) of w = X'a; margins are Ka.

    Vectors are float64: they are few. Where the Gram matrix is rough, sums over it cancel so badly
    that float32 leaves three digits of the margins: `RefinedSpace` goes on from there.

    Args:
        gram: K (n, n), that the systems are solved with.
        largest: of K.
        exact: K in float64, that margins and gradients are taken of; None takes `gram`.
    """

    def __init__(self, gram: Tensor, largest: "Largest", exact: Tensor | None = None) -> None:
        self.gram, self._largest = gram, largest
        self._exact = gram if exact is None else exact

    @classmethod
    def of(cls, design: Design, ridge: float) -> "GramSpace":
        """Return the space of all rows of `design`, for systems of K + `ridge` or more."""
        gram = design.gram(ridge)
        check_finite(gram.diagonal())
        return cls(gram, largest(gram))

    @property
    def rounding(self) -> float:
        """Relative precision of an objective here."""
        return torch.finfo(self._exact.dtype).eps

    def points(self, a: Tensor) -> Points:
        """Return the points with coordinates `a`."""
        return Points(a, self._times(self._exact, a))

    @staticmethod
    def _times(gram: Tensor, a: Tensor) -> Tensor:
        return product(gram, a.to(gram.dtype)).double()

    def dot(self, a: Points, b: Points) -> Tensor:
        """Return the inner products of w (k,)."""
        return (a.coordinates * b.margins).sum(0)

    def gradient(self, at: Points, dual: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates of w - X'dual and its squared norm."""
        a = at.coordinates - dual
        return a, (a * self._times(self._exact, a)).sum(0).clamp_min_(0)

    def direction(self, system: System) -> Points:
        """Return the step to the solution over the active rows."""
        return self.points(self.solve(system))

    def polish(self, at: Points, signs: Tensor, cost: Tensor) -> Points:
        """Return `at`: here nothing comes without a product with K."""
        return at

    def solve(self, system: System) -> Tensor:
        """Return the coordinates of the step to the solution over the active rows."""
        m, ridge, start = system.active, 0.5 / system.cost, system.at.coordinates
        a = m * start
        margins = system.at.margins - self._times(self.gram, start - a)
        residual = m * (system.signs - margins) - ridge * a
        goal = system.goal * ridge.square()  # the gradient is -2C X'residual
        # As exact as K is; what a step lacks the next one sees.
        m, ridge, residual, goal = (each.to(self.gram) for each in (m, ridge, residual, goal))
        solve = _Preconditioner(self._largest, m, ridge)
        z, norm = solve(residual)
        working = norm > goal
        step, p, size = torch.zeros_like(z), z, _dots(residual, z)
        for _ in range(len(self.gram)):
            change = torch.addcmul(ridge * p, m, product(self.gram, p))
            length = torch.where(working, size / _dots(p, change), 0.0)
            step.addcmul_(length, p)
            residual.addcmul_(length, change, value=-1)
            z, norm = solve(residual)
            working = working & (norm > goal)
            if not working.any():
                break
            newer = _dots(residual, z)
            p = torch.addcmul(z, torch.where(working, newer / size, 0.0), p)
            size = newer
        return a + step - start


class RefinedSpace:
    """Coordinates a (n) and w = X'a (d + 1) one below the other: systems in a, all else through X.

    The certificate then holds for the very w that is returned. `design` may compute in another
    precision than the Gram matrix was made in.
    """

    def __init__(self, gram: GramSpace, design: Design) -> None:
        self._gram, self._design = gram, design
        self.rounding = torch.finfo(design.dtype).eps

    def points(self, a: Tensor) -> Points:
        """Return the points with coordinates `a`."""
        w = self._design.pull(a)
        return Points(torch.cat([a, w]), self._design.margins(w))

    def weights(self, at: Points) -> Tensor:
        """Return w (d + 1, k)."""
        return at.coordinates[self._design.n :]

    def dot(self, a: Points, b: Points) -> Tensor:
        """Return the inner products of w (k,)."""
        return (self.weights(a) * self.weights(b)).sum(0)

    def gradient(self, at: Points, dual: Tensor) -> tuple[Tensor, Tensor]:
        """Return w - X'dual and its squared norm."""
        gradient = self.weights(at) - self._design.pull(dual)
        return gradient, gradient.square().sum(0)

    def direction(self, system: System) -> Points:
        """Return the step to the solution over the active rows."""
        at = Points(system.at.coordinates[: self._design.n], system.at.margins)
        return self.points(self._gram.solve(replace(system, at=at)))

    def polish(self, at: Points, signs: Tensor, cost: Tensor) -> Points:
        """Return `at`, as in `GramSpace`."""
        return at


@dataclass(frozen=True)
class Largest:
    """K ~ LL' + tail: L (n, r) of its largest eigenvalues, and the mean of the others."""

    factor: Tensor
    tail: float

    def of(self, rows: Tensor, rank: int) -> "Largest":
        """Return nearly the same of the Gram matrix of some `rows`."""
        return Largest(self.factor[rows, -rank:], self.tail)


class _Preconditioner:
    """(L_m L_m' + ridge)^-1 for each column's active rows m, by the Woodbury identity."""

    def __init__(self, largest: Largest, m: Tensor, ridge: Tensor) -> None:
        factor, ridge = largest.factor, ridge + largest.tail
        self._factor, self._tail, self._m, self._ridge = factor, largest.tail, m, ridge
        self._rows = factor.T.contiguous()  # its product comes once in each step
        rank = factor.shape[1]
        inner = torch.cat([_inner(factor, part) for part in torch.split(m.T, _AT_ONCE)]).double()
        inner += torch.diag_embed(ridge.double()[:, None].expand(-1, rank))
        self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(inner)).to(factor)

    def __call__(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the solution and, by the same approximation, r'Kr, the residual's size in w."""
        seen = product(self._rows, residual)
        known = (self._inverse * seen.T[:, None]).sum(2).T  # 42 x 42: BLAS takes twice as long
        norm = torch.add(_dots(seen, seen), _dots(residual, residual), alpha=self._tail)
        outside = torch.addcmul(residual, self._m, product(self._factor, known), value=-1)
        return outside / self._ridge, norm


def _inner(factor: Tensor, active: Tensor) -> Tensor:
    """Return L_m'L_m (j, r, r) for the active rows m (j, n) of several columns."""
    taken = (factor.T * active[:, None]).flatten(0, 1)
    return product(taken, factor).reshape(len(active), factor.shape[1], -1)


def _dots(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner products of columns (k,)."""
    found: Tensor = torch.linalg.vecdot(a, b, dim=0)
    return found


def largest(gram: Tensor) -> Largest:
    """Return the largest eigenvalues of K (n, n), by subspace iteration.

    As many as are worth having: with more they cost more than they save.
    """
    n = len(gram)
    rank = min(_RANK, -(-n // 8))
    start = torch.randn(n, min(n, rank + 16), generator=stream(0, "nystrom"), dtype=gram.dtype)
    basis = start.to(gram.device)
    for _ in range(2):
        basis = torch.linalg.qr(product(gram, basis)).Q
    values, vectors = torch.linalg.eigh(product(basis.T, product(gram, basis)).double())
    values, vectors = values[-rank:].clamp_min(0), vectors[:, -rank:]
    factor = (basis.double() @ vectors) * values.sqrt()
    tail = (gram.diagonal().double().sum() - values.sum()) / max(1, n - rank)
    return Largest(factor.to(gram.dtype), max(0.0, float(tail)))


def gram_bytes(n: int, d: int, columns: int, itemsize: int) -> int:
    """Return the bytes that `GramSpace` and its vectors take, at most, beside X."""
    vectors = 16 * 8 * (n + d) * columns
    preconditioner = (
        3 * 8 * columns * min(_RANK, n) ** 2 + itemsize * min(_AT_ONCE, columns) * min(_RANK, n) * n
    )
    return n * n * itemsize + vectors + preconditioner + 4 * block_bytes(d)
