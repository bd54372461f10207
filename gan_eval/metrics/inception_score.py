"""Inception score: how sure a classifier is of each image, and how many classes they fill.

Salimans et al. 2016, arXiv:1606.03498: exp of the mean over images of KL(p(y|x) || p(y)), p(y)
being the mean over the images. The score is 1 at least and the number of classes at most.
"""

from dataclasses import dataclass

import numpy as np

from gan_eval.errors import InputError
from gan_eval.metrics.matrix import Matrix, check_finite, check_shape, device_of, to_double


@dataclass(frozen=True, kw_only=True)
class InceptionScore:
    """An Inception score: mean and standard deviation (divisor: their number) over splits."""

    mean: float
    std: float


def inception_score(logits: Matrix, *, splits: int = 10) -> InceptionScore:
    """Return the Inception score of classifier `logits` (n, classes), before the softmax.

    As in Salimans' code, split i is the rows from i n // splits to (i + 1) n // splits: the order
    of the images matters where it is not random. torch-fidelity shuffles them first.

    Raises:
        InputError: there are fewer images than splits, or logits are not finite.

    Example:
        >>> inception_score(1000 * np.eye(4), splits=1)
        InceptionScore(mean=4.0, std=0.0)
    """
    check_shape(logits, "logits")
    n = len(logits)
    if not 1 <= splits <= n:
        raise InputError(
            f"splits must be from 1 to the number of images ({n}). Got {splits}; "
            "pass fewer, or take more images."
        )
    values = to_double(logits, device_of(logits))
    check_finite(values, "logits")
    log_p = values.log_softmax(1)
    scores = []
    for i in range(splits):
        part = log_p[i * n // splits : (i + 1) * n // splits]
        log_mean = part.logsumexp(0) - np.log(len(part))
        scores.append(float((part.exp() * (part - log_mean)).sum(1).mean().exp()))
    return InceptionScore(mean=float(np.mean(scores)), std=float(np.std(scores)))
