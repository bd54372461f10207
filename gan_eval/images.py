"""What an image is here: uint8 (n, channels, height, width), and the rules that change one.

Scaling. uint8 v becomes v / 127.5 - 1 for a tanh generator ("tanh", range [-1, 1]) and v / 255
for a sigmoid one ("sigmoid", range [0, 1]). Back to uint8: scale to [0, 255], clamp,
round half to even.

Fitting to a square of side s, by one of these rules:
* "crop": cut the central square of the shorter side, then resize it (bilinear, antialiased when
  shrinking) to s; the same picture as resizing the shorter side to s and cutting the centre.
* "pad": put the image, unscaled, in the middle of an s x s square of zeros.
* "stretch" and "stretch-bicubic", of scores: resize to s x s, whatever the sides were: bilinear and
  not antialiased as pytorch-fid does, or bicubic and antialiased as clean-fid does. Nothing is
  rounded, as neither of them does: float32 from 0 to 255, and a little beyond by "bicubic".
"""

from typing import Literal

import torch
from torch.nn import functional
from torchvision.transforms.v2 import functional as transforms

from gan_eval.errors import InputError, TooLargeError

Scale = Literal["tanh", "sigmoid"]
Fit = Literal["crop", "pad", "stretch", "stretch-bicubic"]
STRETCHED = ("stretch", "stretch-bicubic")

LAYOUT = "(n, h, w) or (n, h, w, 1 or 3)"  # of images in arrays

# Rec. 601 luma, the weights of Pillow's convert("L").
LUMA = (0.299, 0.587, 0.114)


def to_float(images: torch.Tensor, scale: Scale) -> torch.Tensor:
    """Return uint8 `images` as float32 in the generator's output range."""
    values = images.to(torch.float32, copy=True)
    return values.div_(127.5).sub_(1) if scale == "tanh" else values.div_(255)


def to_uint8(images: torch.Tensor, scale: Scale) -> torch.Tensor:
    """Return float `images` in the generator's output range as uint8: scaled, clamped, rounded."""
    values = images.float()
    values = values.add(1).mul_(127.5) if scale == "tanh" else values.mul(255)
    return values.clamp_(0, 255).round_().to(torch.uint8)


def fit_square(images: torch.Tensor, size: int, rule: Fit) -> torch.Tensor:
    """Return uint8 `images` (..., height, width) as (..., size, size) by the module's rule."""
    height, width = images.shape[-2:]
    if rule == "pad" and max(height, width) > size:
        raise TooLargeError(
            f"fit 'pad' takes images of at most {size}x{size}. Got {width}x{height}; use 'crop'."
        )
    side = size if rule == "pad" else min(height, width)
    # What is smaller than the square is put into the middle of zeros.
    square: torch.Tensor = transforms.center_crop(images, [side, side])
    return square if side == size else transforms.resize(square, [size, size], antialias=True)


def stretch(images: torch.Tensor, size: int, rule: Fit) -> torch.Tensor:
    """Return uint8 `images` (..., c, h, w) as float32 (..., c, size, size) by the module's rule."""
    smooth = rule == "stretch-bicubic"
    values = images.reshape(-1, *images.shape[-3:]).float()
    mode = "bicubic" if smooth else "bilinear"
    values = functional.interpolate(values, (size, size), mode=mode, antialias=smooth)
    return values.view(*images.shape[:-2], size, size)


def to_channels(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Return uint8 `images` (..., c, h, w) with 1 or 3 channels: luma (Rec. 601) or repetition."""
    if images.shape[-3] == channels:
        return images
    if channels == 3:
        return images.expand(*images.shape[:-3], 3, *images.shape[-2:])
    weights = torch.tensor(LUMA, device=images.device).view(3, 1, 1)
    return (images.float() * weights).sum(-3, keepdim=True).round_().to(torch.uint8)


def layout_of(
    shape: tuple[int, ...], name: str, *, channels_first: bool = False, several: bool = False
) -> tuple[int, ...]:
    """Return the shape of images with their axis of channels, by the `shape` of them alone.

    Args:
        name: of the images, for messages.
        channels_first: whether that axis comes before height and width, and is always there.
        several: whether the first axis is known to be that of images.

    Raises:
        InputError: they are no images, or one that is none of several.
    """
    layout = (*shape, 1) if len(shape) == 3 and not channels_first else shape
    single = not (channels_first or several) and len(shape) == 3 and shape[2] in (1, 3)
    if single or len(layout) != 4 or layout[1 if channels_first else 3] not in (1, 3) or 0 in shape:
        wanted = "(n, 1 or 3, h, w)" if channels_first else LAYOUT
        raise InputError(
            f"{name} must have shape {wanted} and no empty axis. "
            f"Got {shape}{_remedy(shape, channels_first)}."
        )
    return layout


def _remedy(shape: tuple[int, ...], first: bool) -> str:
    """Return what a shape looks like that is none of images, and what to do about it.

    Args:
        first: whether channels should come before height and width.
    """
    part = "x[:, {}]" if first else "x[..., {}]"
    channels, other = (1, 3) if first else (3, 1)
    if 0 in shape or len(shape) not in (3, 4):
        return "; look at what made it"
    if len(shape) == 3 and shape[0 if first else 2] in (1, 3):
        grey = part.format("None")
        return f", one image by its looks; pass x[None] for that, or {grey} for grey images"
    if len(shape) == 3:
        return f"; pass {part.format('None')} for grey images"
    if shape[other] in (1, 3):
        verb, where = ("permute", "second") if first else ("transpose", "last")
        return f"; {verb} it so that channels come {where}"
    if shape[channels] == 4:
        return f", with an alpha channel by its looks; drop it, as in {part.format(':3')}"
    return "; make it grey or coloured"
