"""Linear probes: the classifiers that say what features know."""

from gan_eval.probes.estimator import L2SVM
from gan_eval.probes.l2_svm import LinearModel, fit_l2_svm

__all__ = ["L2SVM", "LinearModel", "fit_l2_svm"]
