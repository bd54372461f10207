"""Every published DCGAN that can be built: network, recipe, source and deviations, as data."""

from dataclasses import replace
from typing import Any

from gan_eval.errors import InputError, closest
from gan_eval.models.presets import radford2015, reimplementations
from gan_eval.models.presets.vocabulary import Preset

__all__ = ["PRESETS", "Preset", "configure", "preset"]

PRESETS: dict[str, Preset] = {
    published.name: published
    for published in (
        radford2015.RADFORD2015,
        radford2015.RADFORD2015_IMAGENET32,
        radford2015.RADFORD2015_SVHN,
        radford2015.RADFORD2015_MNIST,
        reimplementations.CARPEDM20_MNIST,
        reimplementations.CARPEDM20,
        reimplementations.bubbliiiing(),
        reimplementations.PYTORCH_EXAMPLES,
        reimplementations.STHALLES,
        reimplementations.CS231N_MNIST,
    )
}


def preset(name: str) -> Preset:
    """Return the preset called `name`, as published.

    Raises:
        InputError: no preset has that name; the message names the closest.
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r} is not known. {closest(name, PRESETS)}")
    return PRESETS[name]


def configure(
    name: str,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    latent_dim: int | None = None,
    classes: int | None = None,
    width: int | None = None,
) -> Preset:
    """Return preset `name` for other images or labels; None keeps what is published.

    What then differs from the source is added to the preset's `deviations`.

    Raises:
        InputError: the source's network cannot be built so; the message says why.
    """
    chosen = preset(name)
    if width is not None:
        chosen = _with_width(chosen, width)
    given = {
        "image_size": image_size,
        "channels": channels,
        "latent_dim": latent_dim,
        "classes": classes,
    }
    of_g = chosen.generator
    new: dict[str, Any] = {
        name: getattr(of_g, name) if value is None else value for name, value in given.items()
    }
    of_both = {name: value for name, value in new.items() if name != "latent_dim"}
    _check(chosen, **of_both)
    *layers, image = of_g.layers
    layers.append(replace(image, width=new["channels"]))
    return replace(
        chosen,
        generator=replace(of_g, **new, layers=tuple(layers)),
        discriminator=replace(chosen.discriminator, **of_both),
        deviations=(
            *chosen.deviations,
            *(
                f"{name} {value} instead of {getattr(of_g, name)}"
                for name, value in new.items()
                if value != getattr(of_g, name)
            ),
        ),
    )


def _with_width(chosen: Preset, width: int) -> Preset:
    if chosen.width is None:
        raise InputError(f"width is fixed in {chosen.name}. Got {width}; leave --width out.")
    if width < 1:
        raise InputError(f"width must be at least 1. Got {width}.")
    if width == chosen.width:
        return chosen
    changed = reimplementations.bubbliiiing(width)
    difference = f"width {width} instead of {chosen.width}"
    return replace(changed, deviations=(*changed.deviations, difference))


def _check(chosen: Preset, image_size: int, channels: int, classes: int) -> None:
    published = chosen.generator.image_size
    if chosen.size_step == 0 and image_size != published:
        raise InputError(
            f"image_size of {chosen.name} is {published}: {chosen.fixed_because}. "
            f"Got {image_size}; leave --image-size out, or use carpedm20, which takes any size."
        )
    if chosen.size_step and (image_size < 16 or image_size % chosen.size_step):
        multiple = f" and a multiple of {chosen.size_step}" if chosen.size_step > 1 else ""
        raise InputError(
            f"image_size of {chosen.name} must be at least 16{multiple}: it is halved four times. "
            f"Got {image_size}."
        )
    if channels not in chosen.channels:
        allowed = " or ".join(str(c) for c in chosen.channels)
        raise InputError(
            f"channels of {chosen.name} must be {allowed}. Got {channels}; "
            f"pass --channels {chosen.channels[0]}."
        )
    if classes and not chosen.conditional:
        raise InputError(
            f"classes of {chosen.name} must be 0: it sees no labels. Got {classes}; use "
            "carpedm20-mnist or radford2015-mnist."
        )
    if chosen.conditional and classes < 2:
        raise InputError(f"classes of {chosen.name} must be at least 2. Got {classes}.")
