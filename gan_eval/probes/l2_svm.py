"""The L2-regularised L2-loss linear SVM, one against the rest: what `LinearSVC(C=C)` minimises.

    1/2 |w|^2 + C sum_i max(0, 1 - y_i (x_i.w + b))^2 + 1/2 b^2      for each class, y = 1 or -1

the objective of LIBLINEAR's `-s 1` (Fan et al. 2008) as scikit-learn's `LinearSVC` sets it, with a
penalised intercept. All classes are columns of one problem, solved at once by Newton's method
(`newton`): with hardly more rows than columns in the Gram matrix (`gram`), else in the primal
(`primal`); what that needs serves along a path of C. Every solution has a certified duality gap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_eval.devices import available_memory
from gan_eval.errors import InputError
from gan_eval.precision import float32_products
from gan_eval.probes.design import Design, Matrix, as_tensor, on_device
from gan_eval.probes.gram import GramSpace, RefinedSpace, gram_bytes
from gan_eval.probes.newton import Minimum, Points, Space, line_search, minimise, wanted_gap
from gan_eval.probes.primal import PrimalSpace, primal_bytes

# What the relative gap must come down to, and after how many Newton steps that is given up.
TOL, MAX_ITER = 1e-6, 1000
# The relative gap at which the Gram matrix is left for products through X itself.
ROUGH_TOL = 1e-3
# Rows of a Gram matrix that is larger than X: 1 GiB.
_SQUARE = 16384
# Newton steps in one precision, if another follows: what needs more is solved sooner there.
_SHARE = 100


@dataclass(frozen=True, kw_only=True)
class LinearModel:
    """A linear classifier, and how good its solution is.

    Attributes:
        C: weight of the loss.
        classes: the labels, int64 (k,), sorted.
        weights: float64 (d + 1, k), the intercepts last; one column when there are two classes.
        objective: value reached in each column, (k,).
        gap: certified bound on how far that is above the minimum.
        n_iter: Newton steps (or epochs of liblinear) of the slowest column.
        converged: whether every gap is within the tolerance.
    """

    C: float
    classes: Tensor
    weights: Tensor
    objective: Tensor
    gap: Tensor
    n_iter: int
    converged: bool

    @float32_products("highest")
    def decision_function(self, x: Matrix) -> Tensor:
        """Return x.w + b, float64 (n, k), or (n, 1) for two classes."""
        return Design(x, self.weights.device).margins(self.weights)

    def predict(self, x: Matrix) -> Tensor:
        """Return the labels, int64 (n,)."""
        return _decide(self.decision_function(x), self.classes)


@float32_products("highest")
def fit_l2_svm(
    x: Matrix,
    labels: Tensor | NDArray[Any],
    C: Iterable[float] | float,  # noqa: N803
    *,
    tol: float = TOL,
    max_iter: int = MAX_ITER,
    device: str | torch.device = "cpu",
) -> list[LinearModel]:
    """Return the L2-SVMs of every C, found along a path.

    Args:
        x: (n, d), in memory, on a device or a memory map: float64, float32, float16 or bfloat16.
            All but float64 compute in float32, and what that cannot certify again in float64.
        labels: int64 (n,), of two classes or more.
        C: weights of the loss, positive; one or several.
        tol: gap at which a solution counts as the minimum, relative to the objective and, ten times
            as large, to |w|^2 / 2.
        max_iter: Newton steps at most.
        device: where to compute.

    Raises:
        InputError: one class only, labels of another number, a C or limit that is not positive,
            values that are not finite, or too little memory.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> (model,) = fit_l2_svm(x, torch.tensor([0, 0, 1, 1]), [1.0])
        >>> model.predict(x).tolist(), model.converged
        ([0, 0, 1, 1], True)
    """
    C = list(C) if isinstance(C, Iterable) else [C]  # noqa: N806
    check_costs(C)
    _check_limits(tol, max_iter)
    design = Design(x, device)
    if (labels := as_tensor(labels)).shape != (design.n,):
        raise InputError(
            f"labels must be as many as X's rows, {design.n}. Got {tuple(labels.shape)}."
        )
    classes, signs = signs_of(labels.to(design.device))
    size = (design.n, design.d, signs.shape[1], design.dtype.itemsize)
    design.x = on_device(design.x, design.device, beside=check_memory(*size, design.device))
    gram = GramSpace.of(design, 0.5 / max(C)) if _in_gram(design.n, design.d) else None
    path = _Path(design, signs, tol, max_iter, gram)
    # From the smallest up, where each solution is a good start for the next.
    solved = {value: path.solve(float(value)) for value in sorted(set(C))}
    return [LinearModel(C=float(value), classes=classes, **solved[value]) for value in C]


@float32_products("highest")
def predictions(models: Sequence[LinearModel], x: Matrix) -> list[Tensor]:
    """Return each model's labels of x (n, d), int64 (n,), reading x once for all of them."""
    weights = torch.cat([model.weights for model in models], 1)
    scores = Design(x, weights.device).margins(weights)
    parts = torch.split(scores, [model.weights.shape[1] for model in models], 1)
    return [_decide(part, model.classes) for part, model in zip(parts, models, strict=True)]


def certify(design: Design, weights: Tensor, signs: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """Return the objective at `weights` and the duality gap there, both (k,), through X itself."""
    slack = (1 - signs * design.margins(weights)).clamp_min_(0)
    objective = 0.5 * weights.square().sum(0) + cost * slack.square().sum(0)
    gradient = weights - design.pull(2 * cost * signs * slack)
    return objective, 0.5 * gradient.square().sum(0)


def check_memory(
    n: int, d: int, columns: int, itemsize: int, device: torch.device | str = "cpu"
) -> int:
    """Return the bytes that fitting needs beside X, at most.

    Raises:
        InputError: there are not as many.
    """
    count = gram_bytes if _in_gram(n, d) else primal_bytes
    needed = count(n, d, columns, itemsize)
    free = available_memory(device)
    if needed > free:
        raise InputError(
            f"the L2-SVM of {n:,} rows, {d:,} features and {columns} classes needs "
            f"{needed / 2**30:.1f} GiB of memory. {free / 2**30:.1f} GiB are free; pass fewer "
            "labels, or free some memory."
        )
    return needed


def _in_gram(n: int, d: int) -> bool:
    # With more rows still, a large C takes ever more steps there.
    return n <= d + 1 or (n <= 1.5 * (d + 1) and n <= _SQUARE)


class _Path:
    """The solutions of one problem for growing C, each starting from the one before."""

    def __init__(
        self, design: Design, signs: Tensor, tol: float, max_iter: int, gram: GramSpace | None
    ) -> None:
        self._design, self._signs, self._tol, self._max_iter = design, signs, tol, max_iter
        self._gram = gram
        self._double: GramSpace | None = None  # in float64, where that was needed
        self._primal: PrimalSpace | None = None
        rows = design.n if self._gram else design.d + 1
        zeros = torch.zeros(rows, signs.shape[1], dtype=torch.float64, device=design.device)
        self._at = self._before = Points(zeros, torch.zeros_like(signs))

    def solve(self, value: float) -> dict[str, Any]:
        """Return the fields of the `LinearModel` at C = `value`."""
        cost = torch.full_like(self._signs[0], value)
        solve = self._in_gram if self._gram else self._in_primal
        weights, steps, objective, gap = solve(cost)
        short = ~self._reached(weights, objective, gap)
        if short.any() and self._design.dtype == torch.float32:
            # Large C, or values far from zero: systems in float32 are not good enough either.
            double = Design(self._design.x, self._design.device, torch.float64)
            left, signs = self._max_iter - int(steps.max()), self._signs[:, short]
            if self._double is None:
                check_memory(double.n, double.d, signs.shape[1], 8, double.device)
                self._double = GramSpace.of(double, 0.0) if self._gram else None
            again = _Path(double, signs, self._tol, left, self._double).solve(value)
            weights[:, short], objective[short] = again["weights"], again["objective"]
            gap[short], steps[short] = again["gap"], steps[short] + again["n_iter"]
        return {
            "weights": weights,
            "objective": objective,
            "gap": gap,
            "n_iter": int(steps.max()),
            "converged": bool(self._reached(weights, objective, gap).all()),
        }

    def _in_primal(self, cost: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return weights (d + 1, k), Newton steps, objectives and gaps (k,)."""
        if self._primal is None or not self._primal.suits(cost):
            self._primal = None  # gives back what the next one takes
            self._primal = PrimalSpace(self._design, cost)
        steps = torch.zeros_like(cost, dtype=torch.int64)
        # Half of the tolerance, here and below, for what rounding costs the certificate.
        weights = self._begin(self._primal, cost).coordinates
        for design in self._designs():
            self._primal.design = design
            start = Points(weights, design.margins(weights))
            found = self._minimise(self._primal, start, cost, 0.5 * self._tol, steps)
            weights, steps = found.points.coordinates, steps + found.steps
            objective, gap = certify(design, weights, self._signs, cost)
            if self._reached(weights, objective, gap).all():
                break
        self._before, self._at = self._at, found.points
        return weights, steps, objective, gap

    def _in_gram(self, cost: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return weights (d + 1, k), Newton steps, objectives and gaps (k,)."""
        assert self._gram is not None
        start = self._begin(self._gram, cost)
        steps = torch.zeros_like(cost, dtype=torch.int64)
        found = self._minimise(self._gram, start, cost, max(self._tol, ROUGH_TOL), steps)
        a, steps = found.points.coordinates, found.steps
        for design in self._designs():
            refined = RefinedSpace(self._gram, design)
            found = self._minimise(refined, refined.points(a), cost, 0.5 * self._tol, steps)
            a, steps = found.points.coordinates[: design.n], steps + found.steps
            weights = refined.weights(found.points)
            objective, gap = certify(design, weights, self._signs, cost)
            if self._reached(weights, objective, gap).all():
                break
        self._before, self._at = self._at, self._gram.points(a)
        return weights, steps, objective, gap

    def _reached(self, weights: Tensor, objective: Tensor, gap: Tensor) -> Tensor:
        return gap <= wanted_gap(self._tol, objective, weights.square().sum(0))

    def _begin(self, space: Space, cost: Tensor) -> Points:
        """Return a start: on the line through the last two solutions, for the path is smooth."""
        move = self._at.plus(-1.0, self._before)
        length = line_search(self._at, move, self._signs, cost, space)
        return self._at.plus(length, move)

    def _designs(self) -> list[Design]:
        """Return X in its own precision, then in float64 for what that cannot certify."""
        double = Design(self._design.x, self._design.device, torch.float64)
        return [double] if self._design.dtype == torch.float64 else [self._design, double]

    def _minimise(
        self, space: Space, start: Points, cost: Tensor, tol: float, before: Tensor
    ) -> Minimum:
        """Minimise with the steps that are left after those `before`, or one precision's share."""
        left = self._max_iter - int(before.max())
        if self._design.dtype == torch.float32:  # what it cannot solve begins anew in float64
            left = min(_SHARE, left)
        return minimise(space, start, self._signs, cost, tol=tol, max_iter=left)


def check_costs(C: Sequence[float]) -> None:  # noqa: N803
    """Check that every weight of the loss is positive and finite.

    Raises:
        InputError: one is not.
    """
    for value in C:
        if not _is_positive(value):
            raise InputError(f"C must be positive and finite. Got {value!r}; pass 1e-3, say.")


def _check_limits(tol: float, max_iter: int) -> None:
    if not _is_positive(tol):
        raise InputError(f"tol must be positive and finite. Got {tol!r}; pass 1e-6, say.")
    if not isinstance(max_iter, Integral) or max_iter < 1:
        raise InputError(f"max_iter must be a whole number from 1. Got {max_iter!r}; pass 1000.")


def _is_positive(value: object) -> bool:
    return isinstance(value, Real) and 0 < float(value) < float("inf")


def signs_of(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the classes, sorted, and y (n, k): one column of two classes, for the second.

    Raises:
        InputError: there is one class only.
    """
    classes = torch.unique(labels)
    if len(classes) < 2:
        raise InputError(
            f"labels must be of at least 2 classes. Got {len(classes)} class; pass other data."
        )
    positive = classes[1:] if len(classes) == 2 else classes
    return classes, (labels[:, None] == positive).double() * 2 - 1


def _decide(scores: Tensor, classes: Tensor) -> Tensor:
    chosen = (scores[:, 0] > 0).long() if len(classes) == 2 else scores.argmax(1)
    return classes[chosen]
