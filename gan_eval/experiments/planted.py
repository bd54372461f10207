"""Copies planted in a data set, and what they say of a hash that is to find duplicates."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

# Farther apart, a search by tables looks at more places than there are images.
LARGEST_RADIUS = 23
MOST_FALSE = 0.01
UNSEEN = 3  # events of which none is seen once in twenty times: exp(-3) = .05
_EDGE = 1  # pixels cut off each side
_SMALL = 0.75  # of the side, before it is enlarged again
_QUALITY = 75  # of JPEG
_BRIGHTER = 1.1
_NOISE = 1.0  # grey level


def _crop(images: Tensor) -> Tensor:
    return _resized(images[..., _EDGE:-_EDGE, _EDGE:-_EDGE], images.shape[-1])


def _resize(images: Tensor) -> Tensor:
    side = images.shape[-1]
    return _resized(_resized(images, round(_SMALL * side)), side)


def _resized(images: Tensor, side: int) -> Tensor:
    resized: Tensor = transforms.resize(images, [side, side], antialias=True)
    return resized


def _jpeg(images: Tensor) -> Tensor:
    return torch.stack([_through_jpeg(image) for image in images])


def _through_jpeg(image: Tensor) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, format="JPEG", quality=_QUALITY)
    with Image.open(file) as again:
        return torch.from_numpy(np.array(again)).permute(2, 0, 1)


def _brighten(images: Tensor) -> Tensor:
    return (images * _BRIGHTER).round_().clamp_(0, 255).to(torch.uint8)


# uint8 images (n, 3, s, s) to copies of the same shape: one pixel off each side and enlarged again;
# 3/4 of the side and enlarged again; JPEG of quality 75; brighter by a tenth.
COPIES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "crop": _crop,
    "resize": _resize,
    "jpeg": _jpeg,
    "brightness": _brighten,
}


def likeness(images: Tensor, others: Tensor) -> Tensor:
    """Return the largest correlation of each pair's pixels, one of them cropped or none, (n,).

    Without their finest detail, and allowed a slight crop, duplicates correlate far more than
    distinct images of the same colours do.

    Args:
        images: uint8 (n, 3, s, s).
        others: of the same shape.
    """
    one, other = _resize(images), _resize(others)
    pairs = ((one, other), (_crop(one), other), (one, _crop(other)))
    return torch.stack([_correlation(*pair) for pair in pairs]).amax(0)


def _correlation(images: Tensor, others: Tensor) -> Tensor:
    a, b = (each.flatten(1).float() for each in (images, others))
    a, b = a - a.mean(1, True), b - b.mean(1, True)
    # As if both had a little noise in common, so that blank images are alike.
    noise = a.shape[1] * _NOISE**2
    one, other = (each.square().sum(1) + noise for each in (a, b))
    return ((a * b).sum(1) + noise) / (one * other).sqrt()


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """How far hashes are apart, in bits: of copies from originals, and of images from each other.

    Attributes:
        planted: for each kind of copy, the distances (m,) of copies from their originals.
        others: the distances (k,) of images without a copy from the nearest other image.
        distinct: bool (k,), whether those two are less alike than copies and their originals are.
        unlike: bool (k,), whether they are no more alike than images whose hashes are far apart;
            None where there are too few of these to say.
    """

    planted: Mapping[str, NDArray[np.int64]]
    others: NDArray[np.int64]
    distinct: NDArray[np.bool_]
    unlike: NDArray[np.bool_] | None = None

    def halves(self) -> tuple["Trial", "Trial"]:
        """Return every other image's distances, and the rest: one to choose by, one to report."""
        one, other = (
            Trial(
                planted={kind: apart[start::2] for kind, apart in self.planted.items()},
                others=self.others[start::2],
                distinct=self.distinct[start::2],
                unlike=None if self.unlike is None else self.unlike[start::2],
            )
            for start in (0, 1)
        )
        return one, other

    def estimate(self, radius: int) -> float:
        """Return the rate of false positives at `radius` without the surest real duplicates."""
        return float(np.mean(self.distinct & (self.others <= radius)))

    def choose(self) -> int:
        """Return the least radius that no larger one beats at finding copies, of those allowed.

        Allowed are those at which the estimate, and two standard errors, is below `MOST_FALSE`;
        none seen among n count as 3 / n, their 95 % bound, so that of few images 0, the paper's
        radius, remains.
        """
        n = len(self.others)
        rates = [self.estimate(radius) for radius in range(LARGEST_RADIUS + 1)]
        bounds = [max(p + 2 * (p * (1 - p) / n) ** 0.5, UNSEEN / n) for p in rates]
        allowed = [radius for radius, bound in enumerate(bounds) if bound <= MOST_FALSE] or [0]
        found = [self.at(radius)["planted_recall"] for radius in allowed]
        return allowed[found.index(max(found))]

    def at(self, radius: int) -> dict[str, Any]:
        """Return recall and false positives of the radius."""
        kinds = {kind: float(np.mean(apart <= radius)) for kind, apart in self.planted.items()}
        called = self.others <= radius
        false = self.unlike[called] if self.unlike is not None and called.any() else None
        copies = np.concatenate(list(self.planted.values()))
        return {
            "radius": radius,
            "planted_recall": float(np.mean(copies <= radius)),
            "planted_recall_by_kind": kinds,
            "false_positive_rate": float(np.mean(called)),
            "false_positive_estimate": self.estimate(radius),
            "false_of_called": None if false is None else float(np.mean(false)),
        }
