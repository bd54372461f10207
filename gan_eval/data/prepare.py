"""From what a reader found to `Images`: channels, square size, held in memory or streamed.

Order of work on each image: decode, channels (luma or repetition), square, resize, by the rules of
`gan_eval.images`.

A set is held when its pixels take at most `memory` bytes as fitted, else it is streamed.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from typing import get_args

import numpy as np
import torch
from torch.utils.data import Dataset

from gan_eval.data.images_set import Images, fingerprint_names, fingerprint_pixels
from gan_eval.data.source import BlockRows, Rows, Source, Survey
from gan_eval.devices import available_memory, check_default_device
from gan_eval.errors import InputError, NoSizeError, TooLargeError
from gan_eval.images import STRETCHED, Fit, fit_square, stretch, to_channels

_BLOCK = 512  # rows of an array converted at a time
_FILES = 32  # files decoded by a thread at a time
_MODES = {
    "1": "1-bit",
    "L": "grey",
    "LA": "grey with alpha",
    "P": "palette",
    "PA": "palette with alpha",
}


@dataclass(frozen=True)
class Target:
    """What every image becomes."""

    channels: int
    shape: tuple[int, int]  # of height and width
    fit: Fit
    stretches: bool = False  # to float32, as which images are never held

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Return uint8 `images` (..., c, h, w) as (..., channels, *shape)."""
        images = to_channels(images, self.channels)
        if self.stretches:
            return stretch(images, self.shape[0], self.fit)
        if images.shape[-2:] == self.shape:
            return images
        return fit_square(images, self.shape[0], self.fit)

    def bytes(self, count: int) -> int:
        """Return the memory that `count` images take."""
        return count * self.channels * prod(self.shape)


class Streamed(Dataset[torch.Tensor]):
    """Images that are read, decoded and fitted when asked for; float32 where they are stretched."""

    def __init__(self, rows: Rows, target: Target) -> None:
        self.rows, self.target = rows, target

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.target.apply(self.rows.image(int(index))).contiguous()


def prepare(
    source: Source,
    *,
    size: int | None = None,
    channels: int | None = None,
    fit: Fit = "crop",
    limit: int | None = None,
    memory: int | None = None,
) -> Images:
    """Return `source` as `Images`; see `gan_eval.data.open_images` for the arguments."""
    _check(size, channels, fit, limit)
    check_default_device()
    if not len(source.rows):
        raise InputError(
            f"data {source.name!r} must hold images. Its part {source.split!r} holds none; copy or "
            "write it again."
        )
    source = _first(source, limit)
    survey = source.rows.survey()
    target = _target(survey, size, channels, fit)
    labels = None if source.labels is None else torch.from_numpy(source.labels.astype(np.int64))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # of a torchrun that share the memory
    allowed = available_memory() // 2 // processes if memory is None else memory
    held = target.bytes(len(source.rows)) <= allowed and not target.stretches
    pixels = _hold(source.rows, target) if held else None
    attributes = source.attributes
    used = None if survey.sizes == (target.shape, target.shape) else target.fit
    form = f"{target.channels}x{target.shape[0]}x{target.shape[1]} by {used}"
    return Images(
        name=source.name,
        split=source.split,
        source=source.source,
        pixels=pixels,
        stream=None if held else Streamed(source.rows, target),
        labels=labels,
        class_names=source.class_names if labels is not None else (),
        attributes=None if attributes is None else torch.from_numpy(attributes.astype(np.bool_)),
        attribute_names=source.attribute_names,
        native=survey.native,
        fit=used,
        notes=_notes(source.name, len(source.rows), survey, target),
        fingerprint=fingerprint_names([form, *source.rows.identity()], labels)
        if pixels is None
        else fingerprint_pixels(pixels, labels),
        listing=fingerprint_names([form, *source.rows.names()], labels),
        stamp="" if held else fingerprint_names(map(str, source.rows.changed()), None),
    )


def _check(size: int | None, channels: int | None, fit: str, limit: int | None) -> None:
    if size is not None and size < 1:
        raise InputError(f"size must be at least 1 pixel. Got {size}; presets take 28 to 128.")
    if channels not in (None, 1, 3):
        raise InputError(f"channels must be 1 (grey) or 3 (colour). Got {channels}.")
    if fit not in get_args(Fit):
        raise InputError(f"fit must be 'crop' or 'pad'. Got {fit!r}.")
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1 image. Got {limit}.")


def _first(source: Source, limit: int | None) -> Source:
    if limit is None or limit >= len(source.rows):
        return source
    return replace(
        source,
        rows=source.rows.first(limit),
        labels=None if source.labels is None else source.labels[:limit],
        attributes=None if source.attributes is None else source.attributes[:limit],
    )


def _target(survey: Survey, size: int | None, channels: int | None, fit: Fit) -> Target:
    side = survey.side
    if size is None:
        if side is None:
            raise NoSizeError(
                "size must be given when the images are not squares of one size. "
                f"Got images of {_sizes(survey)}; give the size that they shall have."
            )
        size = side
    channels = survey.channels if channels is None else channels
    if fit == "pad" and (survey.sizes is None or max(survey.sizes[1]) > size):
        raise TooLargeError(
            f"fit 'pad' takes images of at most {size}x{size}. Got {_sizes(survey)}; use 'crop'."
        )
    if fit not in STRETCHED:
        return Target(channels, (size, size), fit)
    if survey.sizes is not None and survey.sizes[0] == survey.sizes[1]:
        return Target(channels, survey.sizes[0], fit)  # a batch of them is stretched where it goes
    return Target(channels, (size, size), fit, stretches=True)


def _hold(rows: Rows, target: Target) -> torch.Tensor:
    pixels = torch.empty((len(rows), target.channels, *target.shape), dtype=torch.uint8)

    def decode(start: int) -> None:
        for index in range(start, min(start + _FILES, len(rows))):
            pixels[index] = target.apply(rows.image(index))

    if isinstance(rows, BlockRows):
        for start in range(0, len(rows), _BLOCK):
            stop = min(start + _BLOCK, len(rows))
            pixels[start:stop] = target.apply(rows.block(start, stop))
        return pixels
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode, range(0, len(rows), _FILES)):
            pass
    return pixels


def _sizes(survey: Survey) -> str:
    if survey.sizes is None:
        return "many sizes"
    texts = [f"{width}x{height}" for height, width in survey.sizes]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def _notes(name: str, count: int, survey: Survey, target: Target) -> tuple[str, ...]:
    kind = "RGB" if target.channels == 3 else "grey"
    notes = []
    if survey.modes:
        notes += _count_modes(name, count, survey, kind)
    elif survey.channels != target.channels:
        notes.append(f"{name}: {count} images were converted to {kind}")
    if survey.sizes is None:
        notes.append(f"{name}: images are converted to {kind} where they are not, as they are read")
    if survey.sizes != (target.shape, target.shape):
        square = f"{target.shape[1]}x{target.shape[0]}"
        notes.append(
            f"{name}: images of {_sizes(survey)} were fitted to {square} by {target.fit!r}"
        )
    return tuple(notes)


def _count_modes(name: str, count: int, survey: Survey, kind: str) -> list[str]:
    """Return the line that counts converted images, or none where there are none."""
    same = "RGB" if kind == "RGB" else "L"
    counts: dict[str, int] = {}
    for mode, number in survey.modes.items():
        if mode != same:
            words = "16-bit" if mode.startswith("I") else _MODES.get(mode, mode)
            counts[words] = counts.get(words, 0) + number
    if not counts:
        return []
    parts = ", ".join(f"{number} {words}" for words, number in counts.items())
    return [f"{name}: {parts} of {count} images were converted to {kind}"]
