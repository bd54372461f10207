"""Samples of generators, trained ones and the controls that never were."""

from collections.abc import Callable

import torch

from gan_eval.models.dcgan import BatchNorm, Generator
from gan_eval.models.sampling import untrained
from gan_eval.models.statistics import batch_statistics
from gan_eval.seeding import stream


def test_an_untrained_generator_of_one_label_is_normalised_by_samples_of_that_label(tiny: Callable):
    config, _ = tiny("radford2015-mnist")
    network = untrained(Generator(config.generator), 0, label=3)
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    running = torch.cat([torch.stack([each.running_mean, each.running_var]) for each in norms], 1)
    z = network.draw(1000, stream(0, "others"))

    def off(label: int) -> float:
        """Return how far statistics of samples of a label are from the network's own."""
        found = batch_statistics(network, z, torch.full((len(z),), label))
        return float((found - running).abs().mean())

    assert min(range(10), key=off) == 3
