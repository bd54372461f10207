"""Boxes around an object in generated images: read from a file, or found by hiding parts of images.

The file is JSON: `[{"z": 12, "box": [x0, y0, x1, y1]}, ...]`. z is the number of a sample, as
`gan-eval sample` draws them, and the box is in pixels from the top left, without column x1 and row
y1. A sample may have several boxes.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_eval.errors import InputError, one_line
from gan_eval.experiments.drawing import MOST_SAMPLES
from gan_eval.files import StrPath, expanded, parse_json, write_json

_FORM = '[{"z": 12, "box": [x0, y0, x1, y1]}, ...]'
# Sides of the square that hides a part, and of its steps, as parts of an image's side.
_HIDDEN, _STEP = 4, 8


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box in sample number `z`: (x0, y0, x1, y1) in pixels, without column x1 and row y1."""

    z: int
    box: tuple[float, float, float, float]


def read_boxes(path: StrPath, size: int) -> list[Box]:
    """Return the boxes of a JSON file, for images of `size` pixels a side.

    Raises:
        InputError: the file is missing or malformed, holds none, or one outside of the images.
    """
    path = expanded(path)
    try:
        entries = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"boxes file {path} must be readable JSON: {_FORM}. Got {one_line(error)}; correct it."
        ) from error
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f"boxes file {path} must hold a list of one box at least: {_FORM}. "
            f"Got {'an empty list' if entries == [] else type(entries).__name__}; add some."
        )
    return [_box(entry, number, path, size) for number, entry in enumerate(entries)]


def write_boxes(path: Path, boxes: Sequence[Box]) -> None:
    """Write `boxes` as JSON that `read_boxes` reads."""
    write_json(path, [asdict(each) for each in boxes])


def inside(boxes: Sequence[Box], samples: Sequence[int], side: int, size: int) -> Tensor:
    """Return which positions of maps have their centre in a box, bool (samples, side, side).

    Args:
        boxes: in images of `size` pixels a side.
        samples: the numbers of the samples that the maps are of.
        side: of the maps, of which a position stands for `size / side` pixels a side.

    Example:
        >>> inside([Box(z=3, box=(0, 0, 8, 4))], [3], side=4, size=16).int().tolist()
        [[[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]
    """
    centres = (torch.arange(side) + 0.5) * size / side
    found = torch.zeros(len(samples), side, side, dtype=torch.bool)
    for each in boxes:
        x0, y0, x1, y1 = each.box
        columns, rows = (centres >= x0) & (centres < x1), (centres >= y0) & (centres < y1)
        found[samples.index(each.z)] |= rows[:, None] & columns
    return found


def find_boxes(
    images: Tensor,
    samples: Sequence[int],
    scores: Callable[[Tensor], Tensor],
    tell: Callable[[int, int], None],
) -> list[Box]:
    """Return for each image the square whose hiding lowers its score most.

    A square of a quarter of the side, in steps of an eighth, takes on the image's mean colour
    (occlusion: Zeiler & Fergus 2014, arXiv:1311.2901, section 4.2).

    Args:
        images: uint8 (n, channels, s, s).
        samples: their numbers.
        scores: of uint8 images (n, channels, s, s), (n,).
        tell: called with how many images are done, and their number.
    """
    size = images.shape[-1]
    side, step = max(1, size // _HIDDEN), max(1, size // _STEP)
    corners = torch.cartesian_prod(*2 * [torch.arange(0, size - side + 1, step)]).tolist()
    found = []
    for number, (z, image) in enumerate(zip(samples, images, strict=True), 1):
        hidden = image.repeat(len(corners), 1, 1, 1)
        mean = image.float().mean((1, 2), keepdim=True).round().to(torch.uint8)
        for each, (y, x) in zip(hidden, corners, strict=True):
            each[:, y : y + side, x : x + side] = mean
        y, x = corners[int(scores(hidden).argmin())]
        found.append(Box(z=z, box=(x, y, x + side, y + side)))
        tell(number, len(images))
    return found


def _box(entry: Any, number: int, path: Path, size: int) -> Box:
    where = f"boxes file {path}, entry {number}:"
    if not isinstance(entry, dict) or entry.keys() != {"z", "box"}:
        raise InputError(f"{where} must have z and box: {_FORM}. Got {json.dumps(entry)[:80]}.")
    z, box = entry["z"], entry["box"]
    if type(z) is not int or not 0 <= z < MOST_SAMPLES:
        raise InputError(
            f"{where} z must be the number of a sample, from 0 to {MOST_SAMPLES - 1}. "
            f"Got {json.dumps(z)[:80]}; `gan-eval sample --contact-sheet` shows the numbers."
        )
    if not isinstance(box, list) or len(box) != 4 or not {*map(type, box)} <= {int, float}:
        raise InputError(f"{where} box must be four numbers. Got {json.dumps(box)[:80]}.")
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= size and 0 <= y0 < y1 <= size):
        raise InputError(
            f"{where} box must lie in the image, 0 <= x0 < x1 <= {size} and 0 <= y0 < y1 <= "
            f"{size}. Got {json.dumps(box)[:80]}; give pixels from the top left."
        )
    return Box(z=z, box=(x0, y0, x1, y1))
