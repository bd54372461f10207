"""Grids and strips of images, at an integer zoom so that every pixel stays one colour."""

import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from shutil import which

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional
from torchvision.utils import make_grid

from gan_eval.files import write_whole

_LEAST_TILE = 64
_GAP = 2
_LINE = 16  # pixels that a line of text is high
_FONT = 13  # smaller letters swallow spaces
_WHITE = 255


def grid(images: Tensor, columns: int | None = None) -> Image.Image:
    """Return uint8 `images` (n, 1 or 3, h, w) as one picture, in rows from the top left.

    `columns` defaults to the square root of n, and is n at most. Small images are enlarged to about
    64 pixels.
    """
    return _lay_out(_enlarged(images), columns or _square(len(images)))


def contact_sheet(images: Tensor) -> Image.Image:
    """Return `grid(images)` with the number of each image, from 0, below it."""
    tiles = functional.pad(_enlarged(images), (0, 0, 0, _LINE), value=_WHITE)
    height, width = tiles.shape[2:]
    columns = _square(len(images))
    sheet = _lay_out(tiles, columns)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for number in range(len(images)):
        y, x = number // columns * (height + _GAP), number % columns * (width + _GAP)
        middle = (x + width // 2, y + height - _LINE // 2)
        draw.text(middle, str(number), _black(sheet), font, anchor="mm")
    return sheet


def strips(rows: Sequence[tuple[str, Tensor]]) -> Image.Image:
    """Return rows of uint8 images (n, 1 or 3, h, w) under one another, each below its caption."""
    font = ImageFont.load_default(_FONT)
    pictures = [grid(images, len(images)) for _, images in rows]
    captions = [math.ceil(font.getlength(caption)) for caption, _ in rows]
    width = max(*captions, *(picture.width for picture in pictures))
    step = [picture.height + _LINE + _GAP for picture in pictures]
    mode = pictures[0].mode
    page = Image.new(mode, (width, sum(step)), _WHITE if mode == "L" else (_WHITE,) * 3)
    draw, y = ImageDraw.Draw(page), 0
    for (caption, _), picture, height in zip(rows, pictures, step, strict=True):
        draw.text((0, y + _LINE // 2), caption, _black(page), font, anchor="lm")
        page.paste(picture, (0, y + _LINE))
        y += height
    return page


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write `picture` as a PNG, whole or not at all."""
    write_whole(path, lambda temporary: picture.save(temporary, format="PNG", optimize=True))


def write_grid(path: Path, images: Tensor, columns: int | None = None) -> None:
    """Write `grid(images)` as a PNG, whole or not at all."""
    write_picture(path, grid(images, columns))


def write_gif(path: Path, frames: Tensor, milliseconds: int) -> None:
    """Write uint8 `frames` (n, 1 or 3, h, w), each shown that long, as a GIF that never ends."""
    first, *others = (grid(frame[None]) for frame in frames)
    write_whole(
        path,
        lambda temporary: first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=milliseconds,
            loop=0,
        ),
    )


def write_movie(path: Path, frames: Tensor, milliseconds: int) -> bool:
    """Write uint8 `frames` (n, 1 or 3, h, w) as an MP4; return whether there is an ffmpeg that can.

    H.264 wants an even number of pixels: a last row or column is added in black.
    """
    ffmpeg = which("ffmpeg")
    if ffmpeg is None:
        return False
    pictures = [grid(frame[None]).convert("RGB") for frame in frames]
    width, height = pictures[0].size
    options = f"-y -loglevel error -f rawvideo -pix_fmt rgb24 -s {width}x{height}"
    options += f" -r {1000 / milliseconds:g} -i - -vf pad=ceil(iw/2)*2:ceil(ih/2)*2"
    command = [ffmpeg, *options.split(), "-pix_fmt", "yuv420p"]
    raw = b"".join(picture.tobytes() for picture in pictures)

    def write(temporary: Path) -> None:
        subprocess.run([*command, str(temporary)], input=raw, check=True, capture_output=True)

    try:
        write_whole(path, write)
    except subprocess.CalledProcessError:
        return False
    return True


def lighten(path: Path, most: int) -> None:
    """Reduce a PNG to 256 colours of its own if it takes more than `most` bytes.

    What is called so and is none, or too large to be one of ours, stays as it is.
    """
    if path.stat().st_size > most:
        try:
            with Image.open(path, formats=["PNG"]) as picture:
                few = picture.convert("RGB").quantize(256)
        except (OSError, SyntaxError, Image.DecompressionBombError):
            return
        write_picture(path, few)


def _square(n: int) -> int:
    return math.ceil(math.sqrt(n))


def _enlarged(images: Tensor) -> Tensor:
    factor = max(1, _LEAST_TILE // images.shape[3])
    return images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def _lay_out(tiles: Tensor, columns: int) -> Image.Image:
    """Return uint8 `tiles` (n, 1 or 3, h, w) as they are, in rows, with white between them."""
    sheet = make_grid(tiles, columns, _GAP, pad_value=_WHITE)
    if len(tiles) > 1:  # which torchvision frames too, a single one it does not
        sheet = sheet[:, _GAP:-_GAP, _GAP:-_GAP]
    array = sheet.permute(1, 2, 0).numpy()
    return Image.fromarray(array[:, :, 0] if tiles.shape[1] == 1 else array)


def _black(picture: Image.Image) -> int | tuple[int, int, int]:
    return 0 if picture.mode == "L" else (0, 0, 0)
