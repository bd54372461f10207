"""scikit-learn's `LinearSVC`, the solver of the authors' script, as a reference for `l2_svm`."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from gan_eval.devices import available_memory
from gan_eval.errors import InputError
from gan_eval.probes.design import Design, Matrix
from gan_eval.probes.l2_svm import LinearModel, certify, signs_of

# A float64 copy, and liblinear's own of it in nodes of 16 bytes.
_BYTES = 8 + 16
# liblinear stops on a gradient, which may be far from the minimum where C is large.
_CLOSE = 0.01


def fit_liblinear(x: Matrix, labels: Tensor, C: Sequence[float]) -> list[LinearModel]:  # noqa: N803
    """Return `LinearSVC(C=C)` for every C, one after another, with scikit-learn's own tolerance.

    It is solved in the dual where there are fewer rows than columns. `converged` is liblinear's
    word for it, where the certified gap is at most a hundredth of the objective.

    Args:
        x: (n, d), copied whole to memory as float64.
        labels: int64 (n,), of two classes or more.
        C: weights of the loss, positive.

    Raises:
        InputError: there is too little memory.
    """
    check_liblinear_memory(*x.shape)
    values = np.asarray(x.cpu() if isinstance(x, Tensor) else x, dtype=np.float64)
    return [_fit(values, labels.cpu(), value) for value in C]


def _fit(values: np.ndarray, labels: Tensor, C: float) -> LinearModel:  # noqa: N803
    # Not for those who do without: what it brings along takes numbers from Python's `random`.
    from sklearn.svm import LinearSVC

    # The seed is that of the order in which coordinate descent in the dual goes through the rows.
    svm = LinearSVC(C=C, dual=values.shape[0] < values.shape[1], random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        svm.fit(values, labels.numpy())
    weights = torch.from_numpy(np.column_stack([svm.coef_, svm.intercept_]).T.copy())
    classes, signs = signs_of(labels)
    cost = torch.full_like(signs[0], C)
    objective, gap = certify(Design(values), weights, signs, cost)
    return LinearModel(
        C=C,
        classes=classes,
        weights=weights,
        objective=objective,
        gap=gap,
        n_iter=int(svm.n_iter_),
        converged=bool(svm.n_iter_ < svm.max_iter and (gap <= _CLOSE * objective).all()),
    )


def check_liblinear_memory(n: int, d: int) -> int:
    """Return the bytes that fitting n rows of d features needs.

    Raises:
        InputError: there are not as many.
    """
    needed, free = n * d * _BYTES, available_memory()
    if needed > free:
        raise InputError(
            f"liblinear needs {needed / 2**30:.1f} GiB of memory for {n:,} rows of {d:,} features: "
            f"it copies them twice. {free / 2**30:.1f} GiB are free; pass --solver newton."
        )
    return needed
