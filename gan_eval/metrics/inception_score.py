"""Inception score: how sure a classifier is of each image, and how many classes they fill.

Salimans et al. 2016, arXiv:1606.03498: exp of the mean over images of KL(p(y|x) || p(y)), p(y)
being the mean over the images. The score is 1 at least and the number of classes at most.

The mean of KL is the entropy of p(y) less the mean entropy of p(y|x), so that of the images before
nothing but two sums need be kept.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from gan_eval.errors import InputError
from gan_eval.metrics.matrix import Matrix, as_matrix, blocks, check_finite, device_of, to_double


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
    logits = as_matrix(logits, "logits")
    parts = (block for _, block in blocks(logits, device_of(logits)))
    return inception_score_of_blocks(parts, n=len(logits), splits=splits)


def inception_score_of_blocks(parts: Iterable[Matrix], *, n: int, splits: int) -> InceptionScore:
    """Return the score of logits that come in blocks of rows, in memory that does not grow with n.

    Args:
        parts: some rows each, in order, of few enough to be held in float64.
        n: rows of all parts together.
        splits: as `inception_score` has them.

    Raises:
        InputError: as there.
    """
    if not 1 <= splits <= n:
        raise InputError(
            f"splits must be from 1 to the number of images ({n}). Got {splits}; "
            "pass fewer, or take more images."
        )
    ends = [(split + 1) * n // splits for split in range(splits)]
    # Of each split, the sums over its images of p(y|x) and of its entropy.
    p, entropy = [torch.zeros(1, dtype=torch.float64)] * splits, [0.0] * splits
    done = 0
    for part in parts:
        logits = to_double(part, device_of(part))
        check_finite(logits, "logits", done)
        first = bisect_right(ends, done)
        cuts = [end - done for end in ends[first:] if end < done + len(logits)]
        for split, own in enumerate(logits.softmax(1).tensor_split(cuts), first):
            p[split] = p[split] + own.sum(0).cpu()
            entropy[split] += float(torch.special.entr(own).sum())
        done += len(logits)
    sizes = np.diff([0, *ends])
    scores = [
        np.exp(float(torch.special.entr(total / size).sum()) - sure / size)
        for total, sure, size in zip(p, entropy, sizes, strict=True)
    ]
    return InceptionScore(mean=float(np.mean(scores)), std=float(np.std(scores)))
