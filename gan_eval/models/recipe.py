"""How a published network was trained: optimisers, order of updates, schedule, as data."""

import math
from dataclasses import dataclass
from typing import Literal

from gan_eval.models.config import at_least


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam's rate and moments; `weight_decay` is L2, added to the gradient of every parameter."""

    lr: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The factor on both learning rates, by epoch.

    "constant" is 1. "linear": 1 until `start`, then falling linearly to `floor` at `end`.
    "cosine": half a cosine from 1 at `start` to `floor` at `end`. It counts the source's epochs,
    so that a run that is trained on longer follows the same curve.
    """

    shape: Literal["constant", "linear", "cosine"] = "constant"
    start: int = 0
    end: int = 0
    floor: float = 0.0

    def factor(self, epoch: float) -> float:
        """Return the factor at `epoch`, counted from 0 in fractions.

        >>> linear = Schedule(shape="linear", start=100, end=200)
        >>> [linear.factor(epoch) for epoch in (0, 100, 150, 200)]
        [1.0, 1.0, 0.5, 0.0]
        """
        if self.shape == "constant":
            return 1.0
        done = min(max((epoch - self.start) / (self.end - self.start), 0.0), 1.0)
        left = 1 - done if self.shape == "linear" else (1 + math.cos(math.pi * done)) / 2
        return self.floor + (1 - self.floor) * left


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One published training recipe.

    `updates`: "joint" trains D, then G, on every mini-batch; "alternate" updates one network on
    each mini-batch, G on even steps and D on odd ones. `generator_updates` counts G's updates
    after one of D, `latent` says whether they see D's z or fresh ones. `real_target` is D's target
    for real images (0.9: one-sided label smoothing). `pretrain_steps` of D come first, with a
    separate Adam for the real and for the fake loss.
    """

    epochs: int
    batch_size: int
    generator: Adam = Adam()
    discriminator: Adam = Adam()
    updates: Literal["joint", "alternate"] = "joint"
    generator_updates: int = 1
    latent: Literal["same", "fresh"] = "same"
    real_target: float = 1.0
    pretrain_steps: int = 0
    schedule: Schedule = Schedule()

    def __post_init__(self) -> None:
        at_least(0, self, "pretrain_steps")
        at_least(1, self, "epochs", "generator_updates")
        at_least(2, self, "batch_size")
