"""The space of an L2-SVM with hardly more rows than columns: w = X'a, seen through X X'.

The Newton step solves (K_mm + 1/(2C)) a_m = y_m over the active rows m, by conjugate gradients. The
preconditioner inverts exactly what is left of the few largest eigenvalues of K in those rows; real
features have eigenvalues that fall like a power, and without it five times the steps are needed
(Nyström preconditioning: Frangella, Tropp & Udell 2023).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from gan_eval.probes.design import Design, block_bytes, check_finite, product
from gan_eval.probes.newton import Points, System
from gan_eval.seeding import stream

_RANK = 128


@dataclass(frozen=True)
class Gram:
    """A Gram matrix.

    Attributes:
        rough: K (n, n), that the systems are solved with.
        exact: K, that margins and gradients are taken of.
        largest: of K.
    """

    rough: Tensor
    exact: Tensor
    largest: "Largest"


class GramSpace:
    """Coordinates a (n, k) of w = X'a; margins are Ka.

    Vectors are float64: they are few. Where the Gram matrix is rough, sums over it cancel so badly
    that float32 leaves three digits of the margins: `RefinedSpace` goes on from there.

    Args:
        grams: of as many rows each; points say which they are of. Side by side their problems
            share all small operations.
    """

    def __init__(self, *grams: Gram) -> None:
        self._grams = grams

    @classmethod
    def of_rows(cls, design: Design, ridge: float) -> "GramSpace":
        """Return the space of all rows of `design`, for systems of K + `ridge` or more."""
        gram = design.gram(ridge)
        check_finite(gram.diagonal())
        return cls(Gram(gram, gram, largest(gram)))

    @property
    def rounding(self) -> float:
        """Relative precision of an objective here."""
        return torch.finfo(self._grams[0].exact.dtype).eps

    def points(self, a: Tensor, of: Tensor | None = None) -> Points:
        """Return the points with coordinates `a`."""
        return Points(a, self._exactly(a, of), of)

    def dot(self, a: Points, b: Points) -> Tensor:
        """Return the inner products of w (k,)."""
        return (a.coordinates * b.margins).sum(0)

    def gradient(self, at: Points, dual: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates of w - X'dual and its squared norm."""
        a = at.coordinates - dual
        return a, (a * self._exactly(a, at.of)).sum(0).clamp_min_(0)

    def direction(self, system: System) -> Points:
        """Return the step to the solution over the active rows."""
        return self.points(self.solve(system), system.at.of)

    def polish(self, at: Points, signs: Tensor, cost: Tensor) -> Points:
        """Return `at`: here nothing comes without a product with K."""
        return at

    def solve(self, system: System) -> Tensor:
        """Return the coordinates of the step to the solution over the active rows."""
        m, ridge, start = system.active, 0.5 / system.cost, system.at.coordinates
        parts, kind = self._parts(system.at.of), self._grams[0].rough.dtype
        a = m * start
        margins = system.at.margins - _roughly(parts, (start - a).to(kind))
        residual = m * (system.signs - margins) - ridge * a
        goal = system.goal * ridge.square()  # the gradient is -2C X'residual
        # As exact as K is; what a step lacks the next one sees.
        m, ridge, residual, goal = (each.to(kind) for each in (m, ridge, residual, goal))
        solve = _Preconditioner(parts, m, ridge)
        z, norm = solve(residual)
        working = norm > goal
        step, p, size = torch.zeros_like(z), z, _dots(residual, z)
        for _ in range(len(m)):
            change = torch.addcmul(ridge * p, m, _roughly(parts, p))
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

    def _parts(self, of: Tensor | None) -> "_Parts":
        """Return the matrices that points are of, and which columns are of each."""
        if of is None:
            return [(self._grams[0], slice(None))]
        ends = accumulate(of.bincount(minlength=len(self._grams)).tolist(), initial=0)
        own = zip(self._grams, pairwise(ends), strict=True)
        return [(gram, slice(first, last)) for gram, (first, last) in own if first < last]

    def _exactly(self, a: Tensor, of: Tensor | None) -> Tensor:
        parts, kind = self._parts(of), self._grams[0].exact.dtype
        return _joined(product(gram.exact, a[:, own].to(kind)) for gram, own in parts).double()


_Parts = Sequence[tuple[Gram, slice]]


def _roughly(parts: _Parts, a: Tensor) -> Tensor:
    return _joined(product(gram.rough, a[:, own]) for gram, own in parts)


def _joined(columns: Iterable[Tensor]) -> Tensor:
    first, *others = columns
    return torch.cat([first, *others], 1) if others else first


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

    def __init__(self, parts: _Parts, m: Tensor, ridge: Tensor) -> None:
        self._parts = [(gram.largest.factor, own) for gram, own in parts]
        tails = [ridge.new_full(ridge[own].shape, gram.largest.tail) for gram, own in parts]
        self._tail = torch.cat(tails)
        self._m, self._ridge = m, ridge + self._tail
        inner = torch.stack(
            [
                product(factor.T, factor * column[:, None])
                for factor, own in self._parts
                for column in m.T[own]
            ]
        ).double()
        inner.diagonal(dim1=1, dim2=2).add_(self._ridge.double()[:, None])
        self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(inner)).to(m)

    def __call__(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the solution and, by the same approximation, r'Kr, the residual's size in w."""
        seen = _joined(product(factor.T, residual[:, own]) for factor, own in self._parts)
        known = torch.einsum("kij,jk->ik", self._inverse, seen)
        norm = torch.addcmul(_dots(seen, seen), self._tail, _dots(residual, residual))
        inside = _joined(product(factor, known[:, own]) for factor, own in self._parts)
        return torch.addcmul(residual, self._m, inside, value=-1) / self._ridge, norm


def _dots(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner products of columns (k,)."""
    found: Tensor = torch.linalg.vecdot(a, b, dim=0)
    return found


def rank_for(n: int) -> int:
    """Return how many eigenvalues are worth having: with more they cost more than they save."""
    return min(_RANK, -(-n // 8))


def largest(gram: Tensor) -> Largest:
    """Return the `rank_for` largest eigenvalues of K (n, n), by subspace iteration."""
    n, rank = len(gram), rank_for(len(gram))
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
    preconditioner = 3 * 8 * columns * min(_RANK, n) ** 2
    return n * n * itemsize + vectors + preconditioner + 4 * block_bytes(d)
