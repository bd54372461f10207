"""Grids of images as PNG, at an integer zoom so that every pixel stays one colour."""

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from gan_eval.records import write_whole

_LEAST_TILE = 64
_GAP = 2


def grid(images: Tensor, columns: int | None = None) -> Image.Image:
    """Return uint8 `images` (n, 1 or 3, h, w) as one picture, in rows from the top left.

    `columns` defaults to the square root of n. Small images are enlarged to about 64 pixels.
    """
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    factor = max(1, _LEAST_TILE // width)
    tiles = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    height, width = height * factor, width * factor
    step_y, step_x = height + _GAP, width + _GAP
    sheet = torch.full((channels, rows * step_y - _GAP, columns * step_x - _GAP), 255)
    sheet = sheet.to(torch.uint8)
    for index, tile in enumerate(tiles):
        y, x = index // columns * step_y, index % columns * step_x
        sheet[:, y : y + height, x : x + width] = tile
    array = sheet.permute(1, 2, 0).numpy()
    return Image.fromarray(array[:, :, 0] if channels == 1 else array)


def write_grid(path: Path, images: Tensor, columns: int | None = None) -> None:
    """Write `grid(images)` as a PNG, whole or not at all."""
    picture = grid(images, columns)
    write_whole(path, lambda temporary: picture.save(temporary, format="PNG", optimize=True))
