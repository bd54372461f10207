"""The vocabulary in which presets are written.

Layers read from z to image (generator) and from image to logit (discriminator). See
`gan_eval.models.config` for the vocabulary and `docs/design.md` for the common deviations.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from gan_eval.models.config import (
    Activation,
    DiscriminatorConfig,
    GeneratorConfig,
    Layer,
)
from gan_eval.models.recipe import Recipe

_Init = Literal["normal", "truncated"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published pair of networks with its recipe.

    `size_step` is 0 where only the default image size can be built; else sizes must be multiples of
    it. `width` is the base width, where the source leaves it open (None: fixed).
    `pad_from`: images of just this side are zero-padded to the preset's size instead of resized.
    """

    name: str
    source: str
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    recipe: Recipe
    size_step: int = 0
    channels: tuple[int, ...] = (1, 3)
    fixed_because: str = ""
    width: int | None = None
    pad_from: int | None = None
    deviations: tuple[str, ...] = ()

    @property
    def conditional(self) -> bool:
        """Whether the networks see labels."""
        return self.generator.classes > 0


PADDING = "stride-2 convolutions pad symmetrically where TensorFlow's SAME pads one side more"
BN_MEAN = (
    "batch statistics while training; running averages are kept beside them for evaluation, "
    "where the source keeps none"
)
LAST: dict[str, Any] = {"norm": "none", "activation": "none"}


def up(*widths: int, last: Activation = "tanh", **shared: Any) -> tuple[Layer, ...]:
    """Transposed layers to `widths`; the last, the image, without batch norm."""
    layers = [Layer(kind="transposed", width=width, **shared) for width in widths]
    layers[-1] = replace(layers[-1], norm="none", activation=last)
    return tuple(layers)


def down(*widths: int, **shared: Any) -> tuple[Layer, ...]:
    """Convolutions to `widths`, leaky ReLU; the first without batch norm."""
    shared = {"activation": "leaky_relu", **shared}
    layers = [Layer(kind="conv", width=width, **shared) for width in widths]
    layers[0] = replace(layers[0], norm="none")
    return tuple(layers)


def strided(layers: tuple[Layer, ...], strides: tuple[int, ...]) -> tuple[Layer, ...]:
    """The same layers with `strides`."""
    pairs = zip(layers, strides, strict=True)
    return tuple(replace(layer, stride=stride) for layer, stride in pairs)


def dense(width: int, norm: Literal["maps", "units"] = "maps", **shared: Any) -> Layer:
    return Layer(kind="dense", width=width, norm=norm, **shared)


def networks(
    generator: tuple[Layer, ...],
    discriminator: tuple[Layer, ...],
    *,
    prior: Literal["uniform", "normal"],
    channels: int = 3,
    latent_dim: int = 100,
    conv_init: tuple[_Init, _Init] = ("normal", "normal"),
    **both: Any,
) -> dict[str, Any]:
    """Both networks of a preset by their fields' names; `conv_init` is of G and of D.

    Most are of colour images and of 100 numbers, as the paper's first.
    """
    of_g, of_d = ({**both, "channels": channels, "conv_init": init} for init in conv_init)
    return {
        "generator": GeneratorConfig(layers=generator, latent_dim=latent_dim, prior=prior, **of_g),
        "discriminator": DiscriminatorConfig(layers=discriminator, **of_d),
    }


LOGIT = Layer(kind="dense", width=1, norm="none", activation="none")
