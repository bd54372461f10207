"""How a convolution of a discriminator answers images, and what in them it answers."""

import copy
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import islice

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.images import Scale, to_float
from gan_eval.models.config import DiscriminatorConfig
from gan_eval.models.dcgan import Discriminator
from gan_eval.models.statistics import batch_statistics, set_statistics
from gan_eval.precision import Precision, products
from gan_eval.visualize.guided_backprop import GuidedBackprop


class Responses:
    """uint8 images (n, channels, s, s) -> the strongest answer of each map of a layer, (n, maps).

    Answers are those after batch norm and activation; the strongest is over a map's positions.
    """

    def __init__(
        self,
        network: Discriminator,
        scale: Scale,
        layer: int,
        *,
        device: str = "cpu",
        precision: Precision = "32",
    ) -> None:
        """Copy `network`, which stays as it is.

        Args:
            network: conditional ones take labels in every call.
            scale: range of the images that it was trained on, its generator's `config.scale`.
            layer: a convolution, 1 being the one that sees the image; the logit's has no number.
            device: "cuda", "mps" or "cpu".
            precision: "bf16" computes under `torch.autocast`.
        """
        self.config, self.layer = network.config, layer
        self._place = network.config.feature_layers[layer - 1]
        self._scale, self._device, self._precision = scale, device, precision
        self._network = copy.deepcopy(network).to(device).eval().requires_grad_(False)

    def normalise_by(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Let batch norm normalise by the mean of the statistics of batches of images and labels.

        Each must hold two images at least. `gan_eval.models.statistics` says what is averaged.
        """
        found = []
        for images, labels in batches:
            with products(self._device, self._precision):
                found.append(batch_statistics(self._network, self._floats(images), labels))
        set_statistics(self._network, torch.stack(found).mean(0))

    @torch.inference_mode()
    def __call__(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self._maps(self._floats(images), labels).amax((2, 3)).cpu()

    @torch.enable_grad()
    def gradients(
        self, images: Tensor, labels: Tensor | None, maps: Tensor, *, guided: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return what in each image raises the strongest answer of one map to it.

        Args:
            images: uint8 (n, channels, s, s).
            labels: int64 (n,), of a conditional network.
            maps: int64 (n,), the map that each image is looked at for.
            guided: by guided backpropagation, or by the plain gradient.

        Returns:
            The gradients to the images in the network's range, float32 (n, channels, s, s), and
            the number of pixels in the receptive field of the position that answered, (n,).
        """
        x = self._floats(images).requires_grad_()
        with GuidedBackprop() if guided else nullcontext():
            answers = self._maps(x, labels)
        side = answers.shape[-1]
        places = torch.arange(len(maps)), maps
        chosen = answers[tuple(each.to(answers.device) for each in places)].flatten(1)
        values, positions = chosen.max(1)
        with products(self._device):  # which autocast has no part in
            (gradients,) = torch.autograd.grad(values.sum(), x)
        extents = torch.tensor([_extent(self.config, self._place, p) for p in range(side)])
        positions = positions.cpu()
        return gradients.cpu(), extents[positions // side] * extents[positions % side]

    def _maps(self, x: Tensor, labels: Tensor | None) -> Tensor:
        with products(self._device, self._precision):
            every = self._network.activations(x, labels)
            return next(islice(every, self._place, None)).float()

    def _floats(self, images: Tensor) -> Tensor:
        values = to_float(images.to(self._device), self._scale)
        return values.contiguous(memory_format=torch.channels_last)


def check_layer(config: DiscriminatorConfig, layer: int | str | None) -> int:
    """Return the number of a convolution of D, from 1; of None, the last.

    Raises:
        InputError: there is none of that number.
    """
    maps = [(config.layers[place].width, config.sizes()[place]) for place in config.feature_layers]
    return layer_number(layer, len(maps), maps, "D's convolutions")


def layer_number(
    layer: int | str | None, usual: int, maps: Sequence[tuple[int, int]], whose: str
) -> int:
    """Return the number of a layer, from 1, or the `usual` one of None.

    Args:
        layer: as a user gave it, a name even.
        maps: number and side of each layer's maps.
        whose: what messages call the layers.

    Raises:
        InputError: there is none of that number.
    """
    number = usual if layer is None else int(layer) if str(layer).isdecimal() else 0
    if not 1 <= number <= len(maps):
        known = ", ".join(f"{i} ({n} maps of {side}x{side})" for i, (n, side) in enumerate(maps, 1))
        raise InputError(f"layer must be one of {whose}: {known}. Got {layer}.")
    return number


def _extent(config: DiscriminatorConfig, place: int, position: int) -> int:
    """Return over how many pixels of a row of the image a position of a layer's maps reaches."""
    sides = (config.image_size, *config.sizes())
    low = high = position
    for number in range(place, -1, -1):
        layer = config.layers[number]
        low, high = low * layer.pool, high * layer.pool + layer.pool - 1
        low = max(0, low * layer.stride - layer.padding)
        high = min(sides[number] - 1, high * layer.stride - layer.padding + layer.kernel - 1)
    return high - low + 1
