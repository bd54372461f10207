"""Scores of generated images: pure functions of features, which know no network and no data set."""

from gan_eval.metrics.frechet import (
    Extrapolation,
    FrechetDistance,
    frechet_distance,
    frechet_distance_at_infinity,
)
from gan_eval.metrics.inception_score import InceptionScore, inception_score
from gan_eval.metrics.kernel import KernelDistance, kernel_distance
from gan_eval.metrics.moments import Moments
from gan_eval.metrics.precision_recall import PrecisionRecall, precision_recall

__all__ = [
    "Extrapolation",
    "FrechetDistance",
    "InceptionScore",
    "KernelDistance",
    "Moments",
    "PrecisionRecall",
    "frechet_distance",
    "frechet_distance_at_infinity",
    "inception_score",
    "kernel_distance",
    "precision_recall",
]
