"""Probes: the classifiers that say what features, or generated images, know."""

from gan_eval.probes.estimator import L2SVM
from gan_eval.probes.l2_svm import LinearModel, fit_l2_svm
from gan_eval.probes.nearest_estimator import NearestNeighbor
from gan_eval.probes.nearest_neighbor import RunningNearest

__all__ = ["L2SVM", "LinearModel", "NearestNeighbor", "RunningNearest", "fit_l2_svm"]
