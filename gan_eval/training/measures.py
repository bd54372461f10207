"""What is found out about the networks while they are trained, and when."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gan_eval.models.dcgan import Discriminator, Generator
from gan_eval.models.run_config import RunConfig
from gan_eval.precision import tried_convolutions
from gan_eval.training.step import Trainer


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is found out about the networks every `every` epochs and after the last step.

    `take` gets generator and discriminator in evaluation mode and leaves them as they are. Every
    process calls it; the figures of the first one go into the step's row of metrics.

    Attributes:
        about: what the figures depend on, JSON-able.
    """

    every: int
    take: Callable[[Generator, Discriminator], dict[str, float]]
    about: dict[str, Any] = field(default_factory=dict)


def steps_to_measure(measure: Measure, step: int, config: RunConfig) -> int:
    """Return how many steps, this one included, are left until `measure` is due."""
    period = measure.every * config.steps_per_epoch
    done = step - config.recipe.pretrain_steps
    return min(period - (done % period if done > 0 else done), config.steps - step)


def due(step: int, config: RunConfig, measures: Iterable[Measure]) -> list[Measure]:
    """Return what is measured after the step at index `step`."""
    return [each for each in measures if steps_to_measure(each, step, config) == 1]


def take(measures: Sequence[Measure], trainer: Trainer) -> dict[str, float]:
    """Return the figures of `measures`, of networks that are put into evaluation mode meanwhile."""
    networks = (trainer.generator, trainer.discriminator)
    found: dict[str, float] = {}
    for network in networks if measures else ():
        network.eval()
    with tried_convolutions(False):
        for measure in measures:
            found |= measure.take(*networks)
    for network in networks if measures else ():
        network.train()
    return found
