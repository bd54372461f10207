"""Networks as data: one list of layers per network, from which sizes and widths follow.

A generator is a list that ends in the image; a discriminator is a list that ends in one logit.
Sizes are not written down: they follow from the image size and the strides. Going from the small
side to the image each stage doubles; going away from it each stage halves with ceil, so that any
image size that the source takes can be built (28 -> 14 -> 7 -> 4 -> 2).
"""

import math
from dataclasses import dataclass
from typing import Literal

from gan_eval.errors import InputError

Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "none"]
_MOST = 2**20  # of maps, units, pixels a side and labels


def at_least(least: int, config: object, *names: str, most: float = math.inf) -> None:
    """Refuse a config of which a number is smaller than `least`, or larger than `most`."""
    for name in names:
        value = getattr(config, name)
        if not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most:,}"
            raise InputError(f"{name} must be {bound}. Got {value}.")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer: (label,) (resize,) linear map, (batch norm,) activation (, pooling).

    `width` counts output maps, or units of a flat dense layer. The last dense layer before a
    generator's convolutions gives `width` maps at the size the first convolution needs.
    `norm` is over "maps" (one statistic a channel) or over "units" (one each value, before the
    reshape to maps). `label` concatenates the one-hot label to the input; `resize` enlarges the
    input by that factor (bilinear); `pool` averages the output over squares of that side.
    """

    kind: Literal["dense", "conv", "transposed"]
    width: int
    kernel: int = 5
    stride: int = 2
    norm: Literal["maps", "units", "none"] = "maps"
    activation: Activation = "relu"
    label: bool = False
    resize: int = 1
    pool: int = 1

    def __post_init__(self) -> None:
        at_least(1, self, "width", "kernel", "stride", "resize", "pool", most=_MOST)

    @property
    def padding(self) -> int:
        """Symmetric: with stride 2 it halves or doubles; none for an even kernel at stride 1."""
        return 0 if self.stride == 1 and self.kernel % 2 == 0 else (self.kernel - 1) // 2


@dataclass(frozen=True, kw_only=True)
class Norm:
    """Batch normalisation: epsilon, weight of the newest batch, and which affine terms learn."""

    eps: float = 1e-5
    momentum: float = 0.1
    affine: Literal["gain_and_bias", "bias", "none"] = "gain_and_bias"
    gain_mean: float = 1.0
    gain_std: float = 0.0


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What both networks have. `classes` is 0 for an unconditional one."""

    image_size: int
    channels: int
    layers: tuple[Layer, ...]
    norm: Norm
    bias: bool
    classes: int = 0
    conv_init: Literal["normal", "truncated"] = "normal"
    dense_init: Literal["normal", "truncated"] = "normal"

    def __post_init__(self) -> None:
        at_least(1, self, "image_size", "channels", most=_MOST)
        at_least(0, self, "classes", most=_MOST)
        if not self.layers or (not self.classes and any(layer.label for layer in self.layers)):
            raise InputError("layers must be some, with a label only of classes. Got others.")


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(NetworkConfig):
    """z (and label) -> image.

    `unseen` are labels that no image had which it was trained on: it never learned to draw them.
    """

    latent_dim: int
    prior: Literal["uniform", "normal"]
    unseen: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "latent_dim", most=_MOST)

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels that it learned to draw; none of an unconditional one."""
        unseen = set(self.unseen)
        return tuple(label for label in range(self.classes) if label not in unseen)

    @property
    def first_label(self) -> int | None:
        """The least of these: that of images which are all to have one, where nobody named it."""
        return next(iter(self.labels), None)

    @property
    def scale(self) -> Literal["tanh", "sigmoid"]:
        """The output's range, which the training images must share."""
        return "sigmoid" if self.layers[-1].activation == "sigmoid" else "tanh"

    def sizes(self) -> tuple[int, ...]:
        """Return the side of each layer's output (1 for flat layers), last to first from the image.

        A transposed layer's input is its output divided by the stride, rounded up; a convolution's
        input is its output times the stride, itself `resize` times the layer before.
        """
        outputs, side, flat = [], self.image_size, False
        for layer in reversed(self.layers):
            outputs.append(1 if flat else side)
            if layer.kind == "dense":
                flat = True
            elif layer.kind == "transposed":
                side = _transposed_input(layer, side)
            else:
                side = side * layer.stride // layer.resize
        return tuple(reversed(outputs))


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig(NetworkConfig):
    """Image (and label) -> logit that the image is real."""

    def sizes(self) -> tuple[int, ...]:
        """Return the side of each layer's output after pooling (1 for flat layers)."""
        outputs, side = [], self.image_size
        for layer in self.layers:
            if layer.kind == "dense":
                side = 1
            else:
                side = (side + 2 * layer.padding - layer.kernel) // layer.stride + 1
                side //= layer.pool
            outputs.append(side)
        return tuple(outputs)

    @property
    def feature_layers(self) -> tuple[int, ...]:
        """Indices of the layers whose activations are features: convolutions but the logit."""
        last = len(self.layers) - 1
        return tuple(i for i, la in enumerate(self.layers) if la.kind == "conv" and i != last)

    def feature_width(self, pool: int = 4) -> int | None:
        """Return the length of the features max-pooled to `pool` x `pool`.

        None where the network is conditional or a layer's maps are smaller than that.
        """
        sizes = self.sizes()
        if self.classes or any(sizes[i] < pool for i in self.feature_layers):
            return None
        return sum(self.layers[i].width for i in self.feature_layers) * pool * pool


def _transposed_input(layer: Layer, side: int) -> int:
    """Return the input side of a transposed layer: the inverse of halving with ceil.

    A layer without padding (pytorch-examples' stem, 1 -> 4) inverts the plain formula instead.
    """
    if layer.padding == 0:
        return (side - layer.kernel) // layer.stride + 1
    return -(-side // layer.stride)
