"""L2-SVMs of many draws of the same rows, as a protocol of few labels takes them.

On a CPU each core takes a draw: their products are too small to be shared by cores.

Where the draws together are about as large as what they are drawn from, the Gram matrix of all
rows is made once, in float64, and each draw takes its part of it. It is so exact that no draw needs
a pass over X: margins, objectives and certificates come from it, and at the end one pass turns
the coordinates of all draws into weights.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from gan_eval.devices import available_memory
from gan_eval.probes.design import Design, Matrix, check_finite, gather
from gan_eval.probes.gram import GramSpace, largest
from gan_eval.probes.l2_svm import LinearModel, check_costs, fit_l2_svm, signs_of
from gan_eval.probes.newton import Minimum, Points, minimise

# The Gram matrix of all rows may cost this many times what those of the draws do: they then need no
# passes over X, which are half of a fit's time.
_WORTH = 2
_Out = TypeVar("_Out")
# Eigenvalues of the preconditioner are this part of a draw's rows: fewer than where a product costs
# more.
_SHARE = 24
# Columns of weights that are made in one pass over X.
_COLUMNS = 1000


class FitDraws:
    """L2-SVMs of draws of rows; between calls of the same rows it keeps their Gram matrix.

    Args:
        tol, max_iter, device: as `fit_l2_svm` takes them.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> rows = [torch.tensor([0, 3]), torch.tensor([1, 2])]
        >>> models = FitDraws()(x, torch.tensor([0, 0, 1, 1]), rows, [1.0])
        >>> [model.predict(x).tolist() for (model,) in models]
        [[0, 0, 1, 1], [0, 0, 1, 1]]
    """

    def __init__(
        self, *, tol: float = 1e-6, max_iter: int = 1000, device: str | torch.device = "cpu"
    ) -> None:
        self._tol, self._max_iter, self._device = tol, max_iter, device
        self._kept: tuple[Matrix, Tensor, _Pool] | None = None

    def __call__(
        self,
        x: Matrix,
        labels: Tensor,
        draws: Sequence[Tensor],
        C: Sequence[float],  # noqa: N803
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[list[LinearModel]]:
        """Return the L2-SVMs of every C for each of several draws.

        Args:
            x, labels, C: as `fit_l2_svm` takes them.
            draws: rows of each draw, int64.
            progress: is told how many draws are done.

        Returns:
            For each draw, a model for each C.

        Raises:
            InputError: as `fit_l2_svm`.
        """
        check_costs(C)
        if _worth_sharing(x, draws):
            pool, costs = self._pool(x, labels), sorted(set(C))
            solved = _each(lambda rows: pool.solve(rows, costs), draws, self._device, progress)
            return [[by_cost[value] for value in C] for by_cost in pool.models(solved)]

        def fit(rows: Tensor) -> list[LinearModel]:
            part = gather(x, rows).to(self._device)
            tol, max_iter, device = self._tol, self._max_iter, self._device
            return fit_l2_svm(part, labels[rows], C, tol=tol, max_iter=max_iter, device=device)

        return _each(fit, draws, self._device, progress)

    def _pool(self, x: Matrix, labels: Tensor) -> "_Pool":
        if self._kept is None or self._kept[0] is not x or self._kept[1] is not labels:
            self._kept = None  # room for the next
            design = Design(x, self._device, torch.float64)
            self._kept = (x, labels, _Pool(design, labels, self._tol, self._max_iter))
        return self._kept[2]


def _each(
    do: Callable[[Tensor], _Out],
    draws: Sequence[Tensor],
    device: str | torch.device,
    progress: Callable[[int], None],
) -> list[_Out]:
    """Return what `do` makes of each draw, several at once on a CPU."""
    cores = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
    found = []
    with _one_core_each(cores) as pool:
        for one in pool.map(do, draws):
            found.append(one)
            progress(len(found))
    return found


@contextmanager
def _one_core_each(cores: int) -> Iterator[ThreadPoolExecutor]:
    """Give as many threads as there are `cores`, none of which starts others."""
    if cores == 1:
        with ThreadPoolExecutor(1) as pool:
            yield pool
        return
    with (
        threadpool_limits(1),
        ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        yield pool
    torch.set_num_threads(cores)  # part of what the threads have set is of the whole process


def _worth_sharing(x: Matrix, draws: Sequence[Tensor]) -> bool:
    n, d = x.shape
    apart = sum(len(rows) ** 2 for rows in draws)
    fits = 16 * n * n <= available_memory()
    return n <= d + 1 and n * n <= _WORTH * apart and fits


@dataclass(frozen=True)
class _Solved:
    """The solutions of one draw: its rows and classes, and the minimum at each C."""

    rows: Tensor
    classes: Tensor
    minima: dict[float, Minimum]


class _Pool:
    """The Gram matrix of all rows that are drawn from."""

    def __init__(self, design: Design, labels: Tensor, tol: float, max_iter: int) -> None:
        self._design, self._labels = design, labels.to(design.device)
        self._tol, self._max_iter = tol, max_iter
        self._gram = design.gram()
        check_finite(self._gram.diagonal())
        self._largest = largest(self._gram.float())

    def solve(self, rows: Tensor, costs: Sequence[float]) -> _Solved:
        """Return the solutions over some rows, each starting from the one before."""
        # In order: taking their part of the matrix is three times as fast.
        rows = rows.to(self._design.device).sort().values
        classes, signs = signs_of(self._labels[rows])
        exact = self._gram.index_select(0, rows).index_select(1, rows)
        near = self._largest.of(rows, -(-len(rows) // _SHARE))
        space = GramSpace(exact.float(), near, exact)
        at, minima = Points(torch.zeros_like(signs), torch.zeros_like(signs)), {}
        for value in costs:
            start = Points(at.coordinates.clone(), at.margins.clone())
            cost = torch.full_like(signs[0], value)
            minima[value] = minimise(
                space, start, signs, cost, tol=self._tol, max_iter=self._max_iter
            )
            at = minima[value].points
        return _Solved(rows, classes, minima)

    def models(self, solved: Sequence[_Solved]) -> list[dict[float, LinearModel]]:
        """Return the models of all draws, by C."""
        flat = [(one, value) for one in solved for value in one.minima]
        made = list(self._weights([(one.rows, one.minima[value]) for one, value in flat]))
        found: dict[int, dict[float, LinearModel]] = {id(one): {} for one in solved}
        for (one, value), weights in zip(flat, made, strict=True):
            minimum = one.minima[value]
            found[id(one)][value] = LinearModel(
                C=float(value),
                classes=one.classes,
                weights=weights,
                objective=minimum.value,
                gap=minimum.gap,
                n_iter=int(minimum.steps.max()),
                converged=bool(minimum.reached.all()),
            )
        return [found[id(one)] for one in solved]

    def _weights(self, found: Sequence[tuple[Tensor, Minimum]]) -> Iterator[Tensor]:
        """Yield w = X'a (d + 1, k) of each, many of them in one pass over X."""
        each = found[0][1].points.coordinates.shape[1]
        group = max(1, _COLUMNS // each)
        for start in range(0, len(found), group):
            part = found[start : start + group]
            widths = [minimum.points.coordinates.shape[1] for _, minimum in part]
            a = torch.zeros(self._design.n, sum(widths), dtype=torch.float64)
            a = a.to(self._design.device)
            for (rows, minimum), columns in zip(part, torch.split(a, widths, 1), strict=True):
                columns[rows] = minimum.points.coordinates
            yield from torch.split(self._design.pull(a), widths, 1)
