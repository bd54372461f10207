"""The GAN losses of Goodfellow et al. 2014 (arXiv:1406.2661), on logits.

D minimises -log s(D(x)) - log(1 - s(D(G(z)))); G minimises -log s(D(G(z))), the form that does
not saturate.
"""

import torch
from torch import Tensor
from torch.nn import functional


def real_loss(logits: Tensor, target: float) -> Tensor:
    """Return D's mean loss on real images; `target` below 1 is one-sided label smoothing."""
    return _cross_entropy(logits, target)


def fake_loss(logits: Tensor) -> Tensor:
    """Return D's mean loss on generated images."""
    return _cross_entropy(logits, 0.0)


def generator_loss(logits: Tensor) -> Tensor:
    """Return G's mean non-saturating loss."""
    return _cross_entropy(logits, 1.0)


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    logits = logits.float()
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
