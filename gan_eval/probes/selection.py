"""C chosen on the validation part, classifiers with it tested on the test part, and no other way.

The test part is a `SealedTest`, which opens to nothing but the `Choice` that `select` returns.
Arrays only: what features are, and how a classifier is found, is handed in.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Literal

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.probes.design import Matrix, gather
from gan_eval.probes.l2_svm import LinearModel, predictions
from gan_eval.probes.protocol import Protocol
from gan_eval.seeding import stream

# Columns of scores that are held at once: 100 draws of 10 classes.
_COLUMNS = 1000

# Takes features, labels, the rows of each draw (None: one draw of all) and values of C; returns for
# each draw a model for each C.
Solver = Callable[
    [Matrix, Tensor, Sequence[Tensor] | None, Sequence[float]], list[list[LinearModel]]
]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Features (n, d), in memory, on a device or a memory map, and their labels, int64 (n,)."""

    features: Matrix
    labels: Tensor

    def split(self, at: int) -> "tuple[Labelled, Labelled]":
        """Return the rows before `at` and those from there on, without copying them."""
        return (
            Labelled(self.features[:at], self.labels[:at]),
            Labelled(self.features[at:], self.labels[at:]),
        )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The C that selection has fixed, and why.

    Attributes:
        C: the value with the lowest mean error; of equals the smallest.
        errors: validation error of each draw at each C of the grid, fractions.
        edge: "lowest" or "highest" where C is that value of a grid of several, and its neighbour is
            worse; else None.
        converged: whether every fit was, for every C.
        seconds: spent fitting.
    """

    C: float
    c_grid: tuple[float, ...]
    errors: tuple[tuple[float, ...], ...]
    edge: Literal["lowest", "highest"] | None
    converged: bool
    seconds: float

    @property
    def means(self) -> tuple[float, ...]:
        """Mean validation error at each C."""
        return tuple(fmean(errors) for errors in zip(*self.errors, strict=True))

    @property
    def stds(self) -> tuple[float, ...]:
        """Standard deviation over draws of the validation error at each C."""
        return tuple(pstdev(errors) for errors in zip(*self.errors, strict=True))

    @property
    def error(self) -> float:
        """Mean validation error at the chosen C."""
        return self.means[self.c_grid.index(self.C)]


class SealedTest:
    """The test part, unreadable until C is fixed: it opens to a `Choice` alone."""

    def __init__(self, opener: Callable[[], Labelled]) -> None:
        """Keep `opener`, which extracts or reads the test part when it is called."""
        self._opener = opener

    def open(self, choice: Choice) -> Labelled:
        """Return the test part, now that there is a choice.

        Raises:
            TypeError: there is none.
        """
        if not isinstance(choice, Choice):
            raise TypeError(f"test data open to the Choice of select() alone. Got {choice!r}.")
        return self._opener()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a protocol found; errors are fractions.

    Attributes:
        choice: how C was chosen.
        errors: test error of each draw.
        train_error: mean error on the images that were fitted.
        converged: whether every fit with the chosen C was.
        confusion: int64 (k, k), test images by true class and answer, summed over draws.
        seconds: spent fitting, for the choice and after it.
    """

    choice: Choice
    errors: tuple[float, ...]
    train_error: float
    converged: bool
    confusion: Tensor
    seconds: float

    @property
    def error_mean(self) -> float:
        """Mean test error over draws."""
        return fmean(self.errors)

    @property
    def error_std(self) -> float:
        """Standard deviation of the test error over draws (divisor n, as the authors'); 0 of one.

        1.96 of these is what the authors print behind ±; `protocol` says what it is not.
        """
        return pstdev(self.errors)


def draw(labels: Tensor, per_class: int, generator: torch.Generator) -> Tensor:
    """Return `per_class` rows of each class, drawn without replacement, in increasing order.

    Raises:
        InputError: a class has fewer.

    Example:
        >>> draw(torch.tensor([0, 1, 0, 1]), 2, torch.Generator()).tolist()
        [0, 1, 2, 3]
    """
    check_labels(labels, per_class)
    drawn = []
    for value in torch.unique(labels):
        rows = (labels == value).nonzero().flatten()
        drawn.append(rows[torch.randperm(len(rows), generator=generator)[:per_class]])
    return torch.cat(drawn).sort()[0]


def check_labels(labels: Tensor, per_class: int | None) -> None:
    """Check that a classifier can be learned from `labels`, or from `per_class` of each.

    Raises:
        InputError: there is one class only, or too few images of one.
    """
    classes, counts = torch.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise InputError(
            f"labels must be of at least 2 classes. Got {len(classes)}; pass other --data."
        )
    fewest = int(counts.min())
    if per_class is not None and per_class > fewest:
        raise InputError(
            f"`labels_per_class` must be at most the smallest class ({fewest} images of class "
            f"{int(classes[counts.argmin()])}). Got {per_class}; pass `--labels-per-class "
            f"{fewest}`."
        )


def select(training: Labelled, validation: Labelled, protocol: Protocol, solve: Solver) -> Choice:
    """Return the C whose classifiers, learned from `training`, err least on `validation`.

    Args:
        solve: finds the models of all draws.

    Raises:
        InputError: there are too few labels.
    """
    grid = protocol.c_grid
    rows = _drawn(training.labels, protocol, "selection", protocol.selection_draws)
    models, seconds = _fitted(training, rows, grid, solve)
    said = _predictions(models, validation.features)
    wrong = torch.tensor([int((each != validation.labels).sum()) for each in said])
    wrong = wrong.view(-1, len(grid))  # (draws, values of C)
    # Sums of whole numbers, so that equals are equal; argmin does not promise the first of them.
    total = wrong.sum(0).tolist()
    best = total.index(min(total))
    edges: dict[int, Literal["lowest", "highest"]] = {len(grid) - 1: "highest"}
    if total[0] != total[min(1, len(grid) - 1)]:  # of equals the least is taken: no edge
        edges[0] = "lowest"
    return Choice(
        C=grid[best],
        c_grid=grid,
        errors=tuple(tuple(row) for row in (wrong.double() / len(validation.labels)).tolist()),
        edge=edges.get(best) if len(grid) > 1 else None,
        converged=all(model.converged for model in models),
        seconds=seconds,
    )


def evaluate(
    training: Labelled, test: SealedTest, choice: Choice, protocol: Protocol, solve: Solver
) -> Result:
    """Return how classifiers with the chosen C, learned from `training`, do on `test`.

    Raises:
        InputError: there are too few labels.
    """
    sealed = test.open(choice)
    rows = _drawn(training.labels, protocol, "test", protocol.test_draws)
    models, seconds = _fitted(training, rows, (choice.C,), solve)
    size = int(max(training.labels.max(), sealed.labels.max())) + 1
    confusion, errors = torch.zeros(size, size, dtype=torch.int64), []
    for said in _predictions(models, sealed.features):
        errors.append(float((said != sealed.labels).double().mean()))
        pairs = sealed.labels * size + said
        confusion += pairs.bincount(minlength=size * size).view(size, size)
    return Result(
        choice=choice,
        errors=tuple(errors),
        train_error=fmean(_train_errors(training, rows, models)),
        converged=all(model.converged for model in models),
        confusion=confusion,
        seconds=choice.seconds + seconds,
    )


def _fitted(
    training: Labelled, rows: Sequence[Tensor] | None, grid: tuple[float, ...], solve: Solver
) -> tuple[list[LinearModel], float]:
    """Return the models of all draws, draw by draw and C by C, and the seconds they took."""
    started = time.perf_counter()
    found = solve(training.features, training.labels, rows, grid)
    return [model for models in found for model in models], time.perf_counter() - started


def _train_errors(
    training: Labelled, rows: Sequence[Tensor] | None, models: Sequence[LinearModel]
) -> Iterator[float]:
    """Yield the error of each draw's model on what it was learned from."""
    features, labels = training.features, training.labels
    for number, model in enumerate(models):
        drawn = None if rows is None else rows[number]
        (said,) = _predictions([model], features if drawn is None else gather(features, drawn))
        yield float((said != (labels if drawn is None else labels[drawn])).double().mean())


def _drawn(labels: Tensor, protocol: Protocol, purpose: str, draws: int) -> list[Tensor] | None:
    """Return the rows of each draw; None where the protocol takes all labels."""
    check_labels(labels, protocol.labels_per_class)
    if protocol.labels_per_class is None:
        return None
    streams = (stream(protocol.seed, "probe", purpose, number) for number in range(draws))
    return [draw(labels, protocol.labels_per_class, generator) for generator in streams]


def _predictions(models: Sequence[LinearModel], x: Matrix) -> Iterator[Tensor]:
    """Yield each model's labels on x, on the CPU, reading x once for as many as fit in memory."""
    group = -(-_COLUMNS // models[0].weights.shape[1])
    for start in range(0, len(models), group):
        yield from (said.cpu() for said in predictions(models[start : start + group], x))
