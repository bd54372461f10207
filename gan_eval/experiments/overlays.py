"""Images laid over each other, and a classifier that tells them from single ones.

Of arithmetic with pixels Radford, Metz & Chintala 2015 say that it "only results in noisy overlap".
A classifier of attributes does not mind that: what it finds in each of three images it finds in
their sum. So another one says whether an image is such an overlap. It learns from real images and
from sums of their pixels, made as the control's sums of samples' pixels are, so that these are what
it must find: what it says of sums in Z is the news.
"""

from dataclasses import replace

import torch

from gan_eval.data import Images
from gan_eval.data.images_set import fingerprint_pixels
from gan_eval.experiments.exemplars import AVERAGED
from gan_eval.latent.arithmetic import combine
from gan_eval.seeding import stream

OVERLAY = "overlay"
_MOST = 2000
# Classifiers fit, choose and measure by fifths of what they are given: no two share an ingredient.
_FIFTHS = 5


def with_overlays(images: Images, seed: int) -> Images:
    """Return at most 2,000 single images, and as many overlays of others, by attribute "overlay".

    An overlay is mean(a) - mean(b) + mean(c) of the pixels of nine images at most.

    Args:
        images: in random order.
    """
    many = min(_MOST, len(images) // 2) // _FIFTHS * _FIFTHS
    single, others = images.take(range(many)), images.take(range(many, 2 * many))
    source = stream(seed, "overlays")
    overlays = [
        combine(*(part[rows].flatten(2).float() for rows in _ingredients(len(part), source)))
        for part in torch.tensor_split(others, _FIFTHS)
    ]
    laid = torch.cat(overlays).round_().clamp_(0, 255).to(torch.uint8).view_as(others)
    pixels = torch.cat([single, laid])
    return replace(
        images,
        split=f"{images.split}, with overlays",
        pixels=pixels,
        stream=None,
        labels=None,
        class_names=(),
        attributes=torch.arange(len(pixels))[:, None] >= many,
        attribute_names=(OVERLAY,),
        fingerprint=fingerprint_pixels(pixels, None),
        stamp="",
    )


def _ingredients(n: int, source: torch.Generator) -> list[torch.Tensor]:
    """Return the places of what `n` sums are of, three terms of int64 (n, 3), of `n` images."""
    return [torch.randint(n, (n, AVERAGED[term]), generator=source) for term in ("a", "b", "c")]
