"""Random parts of a data set, as data sets of their own."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from gan_eval.data import Images
from gan_eval.data.images_set import fingerprint_names, fingerprint_pixels
from gan_eval.seeding import stream

# Images of a half at most: more change what is learned from them little, and cost minutes.
_HALF = 10_000


def halves(data: Images, seed: int = 0) -> tuple[Images, Images]:
    """Return two disjoint random halves of `data`, of at most 10,000 images each.

    Example:
        >>> from gan_eval.data import open_images
        >>> [len(half) for half in halves(open_images("digits", root=None))]
        [718, 718]
    """
    many = min(_HALF, len(data) // 2)
    first, second = torch.split(_order(data, seed)[: 2 * many], many)
    return _rows(data, first, "first half"), _rows(data, second, "second half")


def sample(data: Images, n: int, seed: int = 0) -> Images:
    """Return `n` random images of `data`, or all of them where there are fewer."""
    return _rows(data, _order(data, seed)[:n], "sample")


def held_sample(data: Images, n: int) -> Images:
    """Return `sample`'s images in memory, with the same fingerprint however `data` lie."""
    part = sample(data, n)
    pixels = part.take(range(len(part)))
    fingerprint = fingerprint_pixels(pixels, part.labels)
    return replace(part, pixels=pixels, stream=None, fingerprint=fingerprint, stamp="")


def describe_sample(known: Images) -> dict[str, Any]:
    """Return what tells these images from others, JSON-able."""
    return {
        "name": known.name,
        "split": known.split,
        "n": len(known),
        "fingerprint": known.fingerprint,
    }


def _order(data: Images, seed: int) -> Tensor:
    return torch.randperm(len(data), generator=stream(seed, "subset"))


def _rows(data: Images, rows: Tensor, which: str) -> Images:
    labels = None if data.labels is None else data.labels[rows]
    attributes = None if data.attributes is None else data.attributes[rows]
    part = replace(data, split=f"{data.split}, {which}", labels=labels, attributes=attributes)
    if data.pixels is not None:
        pixels = data.pixels[rows]
        return replace(part, pixels=pixels, fingerprint=fingerprint_pixels(pixels, labels))
    assert data.stream is not None
    chosen = rows.tolist()
    fingerprint = fingerprint_names([data.fingerprint, str(chosen)], labels)
    return replace(part, stream=Subset(data.stream, chosen), fingerprint=fingerprint)
