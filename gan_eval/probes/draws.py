"""L2-SVMs of many draws of the same rows, as a protocol of few labels takes them.

On a CPU each core takes a draw, where there is memory for as many: their products are too small to
be shared by cores.

Where the draws together are about as large as what they are drawn from, the Gram matrix of all
rows is made once, in float64, and each draw takes its part of it. It is so exact that no draw needs
a pass over X: margins, objectives and certificates come from it, and only at the end coordinates
are turned into weights. Newton's first steps take it in float32, a fifth of a product's time.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from gan_eval.devices import available_memory
from gan_eval.precision import float32_products
from gan_eval.probes.design import Design, Matrix, check_finite, gather
from gan_eval.probes.gram import GramSpace, largest
from gan_eval.probes.l2_svm import (
    MAX_ITER,
    ROUGH_TOL,
    TOL,
    LinearModel,
    check_costs,
    check_memory,
    fit_l2_svm,
    signs_of,
)
from gan_eval.probes.newton import minimise

# The Gram matrix of all rows may cost this many times what those of the draws do: they then need no
# passes over X, which are half of a fit's time.
_WORTH = 2
_Out = TypeVar("_Out")
# Eigenvalues of the preconditioner are this part of a draw's rows: fewer than where a product costs
# more.
_SHARE = 24
# Columns of weights that are made in one pass over the rows of several draws; with so many of its
# own a draw takes its rows alone.
_COLUMNS, _WIDE = 1000, 64
# The rows of a draw, in order, and its model for each C.
_Solved = tuple[Tensor, list[LinearModel]]


class FitDraws:
    """L2-SVMs of draws of rows; between calls of the same rows it keeps their Gram matrix.

    Args:
        device: as `fit_l2_svm` takes it.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> rows = [torch.tensor([0, 3]), torch.tensor([1, 2])]
        >>> models = FitDraws()(x, torch.tensor([0, 0, 1, 1]), rows, [1.0])
        >>> [model.predict(x).tolist() for (model,) in models]
        [[0, 0, 1, 1], [0, 0, 1, 1]]
    """

    def __init__(self, *, device: str | torch.device = "cpu") -> None:
        # By its number: "cuda" is another GPU to the threads that fit.
        self._device = torch.empty(0, device=device).device
        self._kept: tuple[Matrix, Tensor, _Pool] | None = None

    @float32_products("highest")
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
        if _worth_sharing(x, draws, self._device):
            pool, costs = self._pool(x, labels), sorted(set(C))
            cores = _cores(self._device)
            solved = _each(lambda rows: pool.solve(rows, costs), draws, cores, progress)
            return [[found[costs.index(value)] for value in C] for found in pool.models(solved)]

        def fit(rows: Tensor) -> list[LinearModel]:
            part = gather(x, rows).to(self._device)
            return fit_l2_svm(part, labels[rows], C, device=self._device)

        longest, classes = max(map(len, draws), default=1), len(torch.unique(labels))
        cores, _ = draws_at_once(longest, x.shape[1], classes, self._device)
        return _each(fit, draws, cores, progress)

    def _pool(self, x: Matrix, labels: Tensor) -> "_Pool":
        if self._kept is None or self._kept[0] is not x or self._kept[1] is not labels:
            self._kept = None  # room for the next
            design = Design(x, self._device, torch.float64)
            self._kept = (x, labels, _Pool(design, labels))
        return self._kept[2]


def draws_at_once(
    n: int, d: int, classes: int, device: str | torch.device = "cpu"
) -> tuple[int, int]:
    """Return how many draws of n rows are fitted at once, and the bytes that they take, at most.

    As many as there are cores, or as their memory allows.

    Raises:
        InputError: there is not enough memory for one.
    """
    one = check_memory(n, d, classes, 4, device) + 4 * n * d  # with a copy of the rows
    many = max(1, min(_cores(device), available_memory(device) // one))
    return many, many * one


def _cores(device: str | torch.device) -> int:
    return torch.get_num_threads() if torch.device(device).type == "cpu" else 1


def _each(
    do: Callable[[Tensor], _Out],
    draws: Sequence[Tensor],
    cores: int,
    progress: Callable[[int], None],
) -> list[_Out]:
    """Return what `do` makes of each draw, by so many threads, which share all cores."""
    found: list[_Out] = []
    before = torch.get_num_threads()
    share = max(1, before // cores)
    try:
        with (
            threadpool_limits(share),
            ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(share,)) as pool,
        ):
            for one in pool.map(do, draws):
                found.append(one)
                progress(len(found))
    finally:
        torch.set_num_threads(before)  # part of what the threads have set is of the whole process
    return found


def _worth_sharing(x: Matrix, draws: Sequence[Tensor], device: str | torch.device) -> bool:
    n, d = x.shape
    apart = sum(len(rows) ** 2 for rows in draws)
    fits = 16 * n * n <= available_memory(device)
    return n <= d + 1 and n * n <= _WORTH * apart and fits


class _Pool:
    """The Gram matrix of all rows that are drawn from."""

    def __init__(self, design: Design, labels: Tensor) -> None:
        self._design, self._labels = design, labels.to(design.device)
        self._gram = design.gram()
        check_finite(self._gram.diagonal())
        self._largest = largest(self._gram.float())

    def solve(self, rows: Tensor, costs: Sequence[float]) -> _Solved:
        """Return the solutions over some rows, each starting from the one before.

        Their weights are not w yet, but the a of w = X'a.
        """
        # In order their part of the matrix is taken three times as fast, and by one index in 2.4 ms
        # where rows and then columns take 3.4.
        rows = rows.to(self._design.device).sort().values
        classes, signs = signs_of(self._labels[rows])
        at = (rows[:, None] * len(self._gram) + rows).flatten()
        exact = self._gram.flatten().index_select(0, at).view(len(rows), -1)
        near = self._largest.of(rows, -(-len(rows) // _SHARE))
        rough = GramSpace(exact.float(), near)
        fine = GramSpace(rough.gram, near, exact)
        a, models = torch.zeros_like(signs), []
        for value in costs:
            cost = torch.full_like(signs[0], value)
            steps = torch.zeros_like(cost, dtype=torch.int64)
            for space, tol in ((rough, ROUGH_TOL), (fine, TOL)):
                start = space.points(a.clone())
                found = minimise(space, start, signs, cost, tol=tol, max_iter=MAX_ITER)
                a, steps = found.points.coordinates, steps + found.steps
            models.append(
                LinearModel(
                    C=float(value),
                    classes=classes,
                    weights=a,
                    objective=found.value,
                    gap=found.gap,
                    n_iter=int(steps.max()),
                    converged=bool(found.reached.all()),
                )
            )
        return rows, models

    def models(self, solved: Sequence[_Solved]) -> Iterator[list[LinearModel]]:
        """Yield the models of each draw; those of few columns share a pass over X."""
        columns = sum(model.weights.shape[1] for model in solved[0][1])
        group = 1 if columns >= _WIDE else -(-_COLUMNS // columns)
        for start in range(0, len(solved), group):
            part = solved[start : start + group]
            weights = iter(self._weights(part))
            for _, models in part:
                yield [replace(model, weights=next(weights)) for model in models]

    def _weights(self, solved: Sequence[_Solved]) -> Sequence[Tensor]:
        """Return w = X'a of each model of each draw, (d + 1, k)."""
        drawn = torch.unique(torch.cat([rows for rows, _ in solved]))
        every = [(rows, model.weights) for rows, models in solved for model in models]
        device, widths = self._design.device, [a.shape[1] for _, a in every]
        wide = torch.zeros(len(drawn), sum(widths), dtype=torch.float64, device=device)
        for (rows, a), columns in zip(every, torch.split(wide, widths, 1), strict=True):
            columns[torch.searchsorted(drawn, rows)] = a
        design = Design(gather(self._design.x, drawn.cpu()), device, torch.float64)
        return torch.split(design.pull(wide), widths, 1)
