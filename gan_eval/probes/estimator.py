"""The L2-SVM as a scikit-learn estimator."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from gan_eval.devices import resolve_device, with_float64
from gan_eval.probes.design import Design
from gan_eval.probes.l2_svm import fit_l2_svm

# Types that X is left in; others become float64.
_KEPT = [np.float64, np.float32, np.float16]


class L2SVM(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Linear SVM with squared hinge loss, as `sklearn.svm.LinearSVC(C=C)`, by Newton's method.

    Args:
        C: weight of the loss, positive.
        tol: duality gap at which w counts as the minimum, relative to the objective and, ten times
            as large, to |w|^2 / 2.
        max_iter: Newton steps at most.
        device: "auto", "cuda" or "cpu".

    Attributes:
        classes_: the labels.
        coef_: (k, d), or (1, d) for two classes.
        intercept_: (k,) or (1,).
        n_iter_: Newton steps of the slowest class.
        converged_: whether the gap is within `tol` for every class.
        objective_: objective reached, (k,); gap_: certified bound on its distance to the minimum.

    Example:
        >>> from gan_eval.probes import L2SVM
        >>> L2SVM(C=1.0).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]).predict([[2.5]])
        array([1])
    """

    def __init__(
        self,
        C: float = 1.0,  # noqa: N803
        *,
        tol: float = 1e-6,
        max_iter: int = 1000,
        device: str = "cpu",
    ) -> None:
        self.C, self.tol, self.max_iter, self.device = C, tol, max_iter, device

    def fit(self, X: object, y: object) -> "L2SVM":  # noqa: N803
        """Fit to X (n, d) and labels y (n,), and return self.

        Warns:
            ConvergenceWarning: a class did not reach `tol` within `max_iter` steps.
        """
        x, targets = validate_data(self, X, y, dtype=_KEPT)
        check_classification_targets(targets)
        self.classes_, codes = np.unique(targets, return_inverse=True)
        labels = torch.from_numpy(codes.astype(np.int64))
        (model,) = fit_l2_svm(
            x,
            labels,
            [self.C],
            tol=self.tol,
            max_iter=self.max_iter,
            device=with_float64(resolve_device(self.device)),
        )
        weights = model.weights.T.cpu().numpy().astype(np.promote_types(x.dtype, np.float32))
        self.coef_, self.intercept_ = weights[:, :-1], weights[:, -1]
        self.objective_, self.gap_ = model.objective.cpu().numpy(), model.gap.cpu().numpy()
        self.n_iter_, self.converged_ = model.n_iter, model.converged
        if not model.converged:
            warnings.warn(
                f"L2SVM did not reach tol={self.tol} in {model.n_iter} Newton steps: the relative "
                f"gap is {(model.gap / model.objective).max():.1e}. Scale the features, take a "
                "smaller C, or raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def decision_function(self, X: object) -> NDArray[Any]:  # noqa: N803
        """Return x.w + b: (n, k), or (n,) for two classes."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=_KEPT, reset=False)
        weights = np.vstack([self.coef_.T, self.intercept_])
        scores: NDArray[Any] = Design(x).margins(torch.from_numpy(weights)).numpy()
        return scores.ravel() if scores.shape[1] == 1 else scores

    def predict(self, X: object) -> NDArray[Any]:  # noqa: N803
        """Return the labels (n,)."""
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)
        labels: NDArray[Any] = self.classes_[chosen]
        return labels
