"""Pictures inside a page: nothing is loaded when it is read."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gan_eval.errors import InputError, one_line

_QUALITY = 82
_WEBP = 16_383  # pixels a side that a WebP has at most
QUICK = "quick"  # the folder of an exhibit's quick run, whose pictures replace no others
# What `gan-eval train` writes of one run: samples of kept epochs, and losses.
_OF_RUN = re.compile(r"-?(epoch-\d+|losses)$")
# What a picture that this package draws shows, by its name; the first that fits.
_SHOWS = {
    r"classify-.*": "Confusion matrix: rows are true classes, columns what was said.",
    r"(?:.*-)?epoch-0*(\d+)": r"Samples at the same z after epoch \1.",
    r"(?:.*-)?losses": "Losses of both networks while training.",
    r"interpolate-straight": "Straight walks between random points of Z, a row each, closed.",
    r"interpolate-spherical": "The same walks along the sphere.",
    r"interpolate-nearest": "Rows of the straight walk, each above the nearest training images.",
    r"filters-.*": "What excites a feature of D most, above the guided gradient, two rows each: "
    "untrained on the left, trained on the right.",
    r"dropout-.*": "Samples in which the object is seen, above the same z without the maps that "
    "speak for it, and without as many random ones.",
    r"arithmetic": "Exemplars with their means, the sum with its neighbours, and controls.",
    r"arithmetic-turn": "Exemplars of both ends, and samples along the turn.",
    r"neighbors-memorisation": "Samples above the nearest training images: the first of them, then "
    "those that are nearest.",
    r"dedup-.*": "Groups of duplicates below their numbers in the data.",
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture with its caption, what it `shows` in a sentence, size in pixels and data URI."""

    caption: str
    shows: str
    size: tuple[int, int]
    source: str


def inline(path: Path, exhibit: str) -> Picture:
    """Return the PNG at `path` as itself or as WebP, whichever is smaller if both can be.

    Its caption is its name, with those of the folders that it lies in within the exhibit's.

    Raises:
        InputError: it is no picture.
    """
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            image = opened.convert("L" if opened.mode in ("L", "1") else "RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} must be a PNG. Got a file that is none ({one_line(error)}); write it anew or "
            "take it out."
        ) from error
    sources = [_uri("png", path.read_bytes())]
    if max(image.size) <= _WEBP:
        buffer = io.BytesIO()
        image.save(buffer, format="WEBP", quality=_QUALITY)
        sources.append(_uri("webp", buffer.getvalue()))
    source = min(sources, key=len)
    above = [parent.name for parent in path.parents]
    inner = above[: above.index(exhibit)] if exhibit in above else []
    words = ["quick run" if name == QUICK else name for name in reversed(inner)]
    caption = f"{', '.join(words)}: {path.stem}" if words else path.stem
    return Picture(caption=caption, shows=_shown(path.stem), size=image.size, source=source)


def _shown(name: str) -> str:
    """Return what the picture of this name shows; "" where nobody knows."""
    fitting = ((re.fullmatch(pattern, name), text) for pattern, text in _SHOWS.items())
    return next((match.expand(text) for match, text in fitting if match), "")


def inline_curves(png: bytes, caption: str) -> Picture:
    """Return a drawn PNG as a picture."""
    with Image.open(io.BytesIO(png)) as opened:
        return Picture(caption=caption, shows="", size=opened.size, source=_uri("png", png))


def by_run(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Return pictures by the run that they are of; those that are of none, or alone, under "".

    Example:
        >>> found = by_run([Path("a-epoch-0001.png"), Path("walk.png"), Path("a-losses.png")])
        >>> {run: len(paths) for run, paths in found.items()}
        {'': 1, 'a': 2}
    """
    found: dict[str, list[Path]] = {"": []}
    for path in paths:
        run, cut = _OF_RUN.subn("", path.stem)
        found.setdefault(run if cut else "", []).append(path)
    return {run: some for run, some in found.items() if some}


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
