"""A run's generator as a function of z alone: weights, label and device are settled."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gan_eval.experiments.features import describe
from gan_eval.images import to_uint8
from gan_eval.models.dcgan import Generator
from gan_eval.models.runs import Epoch, Run
from gan_eval.models.sampling import generate, latents, untrained
from gan_eval.precision import products

# Numbers of samples are below: more are not drawn to find the last of them.
MOST_SAMPLES = 100_000
_BATCH = 100  # images drawn at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """z (n, latent_dim) -> images, in float32 and evaluation mode.

    Attributes:
        network: on its device.
        label: of a conditional network, the one that all images have; else None.
    """

    network: Generator
    label: int | None

    def untrained(self, seed: int) -> "Drawing":
        """Return the same with the weights that a run of `seed` starts from: a control."""
        return replace(self, network=untrained(self.network, seed, self.label))

    def points(self, n: int, seed: int) -> Tensor:
        """Return the first `n` z of the seed's samples, (n, latent_dim), as `gan-eval sample`'s."""
        return torch.cat(list(latents(self.network, n, seed)))

    @torch.inference_mode()
    def floats(self, z: Tensor) -> Tensor:
        """Return images (n, channels, s, s) on the CPU, in the network's range, of z (n, d)."""
        device, found = next(self.network.parameters()).device, []
        for block in torch.split(z, _BATCH):
            labels = None if self.label is None else torch.full((len(block),), self.label)
            # Rounding would drown the differences that path lengths are made of.
            with products(device.type):
                found.append(self.network(block.to(device), labels).float().cpu())
        return torch.cat(found)

    def images(self, z: Tensor) -> Tensor:
        """Return uint8 images (n, channels, s, s) on the CPU, of z (n, d)."""
        return to_uint8(self.floats(z), self.network.config.scale)

    def describe(self, run: Run, epoch: Epoch | None) -> dict[str, Any]:
        """Return what was drawn from, JSON-able: the run, the prior and the label."""
        prior = self.network.config.prior
        return {"trained": describe(run, epoch), "prior": prior, "label": self.label}


def open_drawing(run: Run, *, epoch: Epoch | None, label: int | None, device: str) -> Drawing:
    """Return the drawing of a run's generator; of a conditional one, by default of its first label.

    Raises:
        InputError: the run has no generator, or not this epoch or label.
    """
    network = run.load_generator(epoch).to(device)
    label = network.config.first_label if label is None else label
    next(generate(network, 1, 0, label))  # which says what is wrong with a label
    return Drawing(network=network, label=label)
