"""The nearest neighbour as a scikit-learn estimator."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from gan_eval.devices import resolve_device, with_float64
from gan_eval.probes.nearest_neighbor import RunningNearest


class NearestNeighbor(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The label of the nearest sample, as `sklearn.neighbors.KNeighborsClassifier(1)` gives it.

    Args:
        device: "auto", "cuda" or "cpu".

    Attributes:
        classes_: the labels.
        X_: the samples (n, d); y_: their labels (n,).

    Example:
        >>> from gan_eval.probes import NearestNeighbor
        >>> nearest = NearestNeighbor().fit([[0.0], [1.0]], ["a", "b"])
        >>> nearest.partial_fit([[5.0]], ["c"]).predict([[0.4], [4.0]])
        array(['a', 'c'], dtype='<U1')
    """

    def __init__(self, *, device: str = "cpu") -> None:
        self.device = device

    def fit(self, X: object, y: object) -> "NearestNeighbor":  # noqa: N803
        """Keep samples X (n, d) and their labels y (n,), and return self."""
        return self._hold(X, y, first=True)

    def partial_fit(
        self,
        X: object,  # noqa: N803
        y: object,
        classes: object = None,
    ) -> "NearestNeighbor":
        """Keep more samples, and return self; `classes` is scikit-learn's custom, not needed."""
        return self._hold(X, y, first=not hasattr(self, "X_"))

    def _hold(self, X: object, y: object, *, first: bool) -> "NearestNeighbor":  # noqa: N803
        x, targets = validate_data(self, X, y, dtype="numeric", reset=first)
        check_classification_targets(targets)
        self.X_: NDArray[Any] = x if first else np.concatenate([self.X_, x])
        self.y_: NDArray[Any] = targets if first else np.concatenate([self.y_, targets])
        self.classes_ = np.unique(self.y_)
        return self

    def predict(self, T: object) -> NDArray[Any]:  # noqa: N803
        """Return the label of the sample nearest to each of T (m, d)."""
        check_is_fitted(self)
        queries = validate_data(self, T, dtype="numeric", reset=False)
        nearest = RunningNearest(queries, device=with_float64(resolve_device(self.device)))
        nearest.update(self.X_)
        labels: NDArray[Any] = self.y_[nearest.indices.cpu().numpy()]
        return labels
