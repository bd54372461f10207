"""Logistic regression of two classes: scikit-learn's, with its own defaults."""

import torch
from torch import Tensor

# lbfgs needs some hundred; the default of 100 breaks off.
_MAX_ITER = 10_000


def logistic_weights(x: Tensor, positive: Tensor) -> Tensor:
    """Return the weights (d,) that minimise |w|^2 / 2 + sum of log(1 + exp(-y (w x + b))).

    y is 1 where `positive`, else -1; the intercept b is free. Columns are taken as they are, not
    standardised.

    Args:
        x: (n, d), on the CPU.
        positive: bool (n,), of both kinds.
    """
    from sklearn.linear_model import LogisticRegression

    # To the minimum: the sign of a weight near zero decides about its map.
    model = LogisticRegression(C=1.0, tol=1e-9, max_iter=_MAX_ITER, solver="newton-cholesky")
    model.fit(x.double().numpy(), positive.numpy())
    return torch.from_numpy(model.coef_[0])
