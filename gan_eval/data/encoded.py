"""Encoded images (PNG, JPEG ...) decoded by stated rules to 8-bit grey or RGB.

* EXIF orientation is applied first; of an animation only the first frame is read.
* Grey ("L") stays grey; 1-bit ("1") becomes grey with 0 and 255.
* 16-bit grey ("I;16", and "I" with values 0 to 65,535) becomes (value + 128) // 257, which is
  value / 257 rounded; values outside are refused. (Pillow itself reads 16-bit RGB as 8-bit: the
  high byte.)
* Transparency (RGBA, LA, palette or grey with a transparent entry) is composited onto white.
  (Pillow itself misses the entry in 16-bit RGB, and in grey of 2 or 4 bits unless it is black.)
* A palette ("P") becomes RGB, even where its colours are all grey.
* CMYK, YCbCr and HSV become RGB by Pillow's own conversion, without colour profiles.
* Float ("F") and Lab images are refused: they have no agreed range or conversion.

An image that is colour by these rules makes the whole set RGB unless `channels` says otherwise.
"""

import hashlib
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps, features
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from gan_eval.data.arrays import DAMAGED
from gan_eval.data.source import Array, Survey, spread
from gan_eval.errors import InputError, one_line

_WIDE = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_GREY = ("1", "1A", "L", "LA", *_WIDE, *(f"{mode}A" for mode in _WIDE))
_REFUSED = ("F", "LAB")
# What files with the names of `gan_eval.data.folder` are, and AVIF, which the web calls .jpg too.
# Pillow knows many more: it reads some that are cut short, and hands others to programs.
_FORMATS = (
    *("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM"),
    *(("AVIF",) if "avif" in features.modules and features.check("avif") else ()),
)
_HASHED = 100  # files of a folder that is not held, that its fingerprint looks at
_ORIENTATION = 0x0112  # EXIF tag; values 5 to 8 turn the image by a quarter
# Pillow's decoders raise all that other readers of files do, and more.
_UNREADABLE = (*DAMAGED, LookupError, struct.error)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


Result = TypeVar("Result")


class EncodedRows:
    """Rows that are one encoded image each; a subclass says where the bytes are.

    Args:
        folder: what the images are in.
        keys: what each of them is called there.
        declared: what the set is known to be, so that no header has to be read; None where only
            reading says.
    """

    def __init__(self, folder: Path, keys: Sequence[Any], declared: Survey | None = None) -> None:
        self.folder, self.keys, self.declared = folder, keys, declared

    def __len__(self) -> int:
        return len(self.keys)

    def first(self, count: int) -> Self:
        """Return the first `count` rows."""
        return type(self)(self.folder, self.keys[:count], self.declared)

    def encoded(self, index: int) -> Path | BytesIO:
        """Return the file, or its bytes."""
        raise NotImplementedError

    def where(self, index: int) -> str:
        """Return how an error names this image."""
        raise NotImplementedError

    def image(self, index: int) -> torch.Tensor:
        """Return one image as uint8 (1 or 3, height, width)."""
        return torch.from_numpy(self._read(index, decode))

    def survey(self) -> Survey:
        """Return what the images are, by reading every header unless it is declared."""
        if self.declared is not None:
            return self.declared
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            headers = list(pool.map(lambda index: self._read(index, header), range(len(self))))
        modes = Counter(mode for mode, _ in headers)
        sizes = {size for _, size in headers}
        colour = [mode not in _GREY for mode in modes]
        return Survey(
            channels=3 if any(colour) else 1,
            sizes=(min(sizes, key=_area), max(sizes, key=_area)),
            modes=dict(sorted(modes.items())),
            mixed=len(sizes) > 1 or any(colour) != all(colour),
        )

    def _read(self, index: int, use: Callable[[Image.Image], Result]) -> Result:
        try:
            with Image.open(self.encoded(index), formats=_FORMATS) as opened:
                # Of a file that has a name Pillow maps plain rows, those of a TIFF that is to be
                # turned as if they were as long as its height.
                opened.filename = ""
                return use(opened)
        except InputError as error:
            raise InputError(f"image {self.where(index)} {error}") from None
        except _BOMBS:
            raise InputError(
                f"image {self.where(index)} must have at most {Image.MAX_IMAGE_PIXELS} pixels. "
                "It has more; shrink it or take it out."
            ) from None
        except _UNREADABLE as error:
            raise InputError(
                f"image {self.where(index)} must be a whole image file. It cannot be read "
                f"({one_line(error)}); replace it or take it out."
            ) from error


def header(opened: Image.Image) -> tuple[str, tuple[int, int]]:
    """Return the mode (with "A" where transparent) and (height, width) without decoding."""
    if opened.mode in _REFUSED:
        raise InputError(
            f"must be of 8 or 16 bits, grey, palette, RGB or CMYK. Got Pillow mode "
            f"{opened.mode!r}; save it as an 8-bit PNG."
        )
    width, height = opened.size
    if isinstance(opened, TiffImageFile):  # newer Pillows have turned its size, and no other's
        width, height = opened.tag_v2[IMAGEWIDTH], opened.tag_v2[IMAGELENGTH]
    if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    # PNG looks for EXIF by decoding the whole image; ask only where it is at hand.
    looks = opened.format != "PNG" or "exif" in opened.info
    if looks and opened.getexif().get(_ORIENTATION, 1) >= 5:
        width, height = height, width
    clear = "transparency" in opened.info and opened.mode in ("1", "L", "P", "RGB", *_WIDE)
    return opened.mode + ("A" if clear else ""), (height, width)


def decode(opened: Image.Image) -> Array:
    """Return the image by the module's rules as uint8 (1 or 3, height, width)."""
    mode, _ = header(opened)
    image = ImageOps.exif_transpose(opened)
    if mode.startswith("I"):
        return _sixteen_bit(np.asarray(image), opened.info.get("transparency"))[None]
    if mode.lower().endswith("a"):
        image = _on_white(image, grey=mode in _GREY)
    else:
        image = image.convert("L" if mode in _GREY else "RGB")
    pixels = np.array(image)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _on_white(image: Image.Image, grey: bool) -> Image.Image:
    *bands, alpha = image.convert("RGBA").split()
    colour = bands[0] if grey else Image.merge("RGB", bands)
    white = Image.new(colour.mode, colour.size, "white")
    return Image.composite(colour, white, alpha)


def _sixteen_bit(values: Array, clear: int | None) -> Array:
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise InputError(
            f"must have 16-bit values, 0 to 65535. Got {wide.min()} to {wide.max()}; "
            "save it as a 16-bit PNG."
        )
    grey = ((wide + 128) // 257).astype(np.uint8)
    if clear is not None:
        grey[wide == clear] = 255
    return grey


def _area(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] * size[1], size[0]


class FileRows(EncodedRows):
    """One file per image; keys are their names relative to the folder, with forward slashes."""

    def encoded(self, index: int) -> Path:
        """Return the file."""
        return Path(self.folder, self.keys[index])

    def where(self, index: int) -> str:
        """Return the file's path."""
        return str(self.encoded(index))

    def names(self) -> Iterator[str]:
        """Yield each file's relative name."""
        yield from self.keys

    def identity(self) -> Iterator[str]:
        """Yield each file's relative name and size in bytes, and a hash of some files."""
        for file in self.keys:
            yield f"{file} {(self.folder / file).stat().st_size}"
        digest = hashlib.sha256()
        for row in spread(len(self), _HASHED):
            digest.update(self.encoded(row).read_bytes())
        yield digest.hexdigest()

    def changed(self) -> Iterator[int]:
        """Yield when each file was changed."""
        for file in self.keys:
            yield (self.folder / file).stat().st_mtime_ns
