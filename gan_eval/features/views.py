"""Any features, of several views of an image: made blind to left and right, and to small shifts.

The paper takes an image as it is. D's convolutions have strides and its maps are pooled to a coarse
grid, so that a shift by a pixel changes features that a class does not depend on. The mean over
shifts takes that out, as does the larger feature of a view and its mirror image. What that is worth
on validation images: `benchmarks/ablation_features.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gan_eval.features.extractor import Extractor


class Mirrored:
    """uint8 images (n, channels, size, size) -> (n, width): the mean over both sides.

    A row is the mean of what `extractor` makes of an image and of its mirror image.
    """

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self.name, self.width = extractor.name, extractor.width
        self.identity: Mapping[str, Any] = {**extractor.identity, "mirror": True}

    def prepare(self) -> None:
        """Let `extractor` learn."""
        self._extractor.prepare()

    def __call__(self, images: Tensor) -> Tensor:
        return (self._extractor(images) + self._extractor(images.flip(3))) / 2


class Shifted:
    """uint8 images (n, channels, size, size) -> (n, width): the mean over shifts.

    Each image is shifted by none and by plus or minus each of `shifts` pixels, down and right: one
    number gives 9 views, two give 25. What leaves the frame is replaced by what the frame reflects.
    Of a view and its mirror image each feature is the larger one of both. Views are made on
    `device`, of which `extractor` must take images.
    """

    def __init__(self, extractor: Extractor, shifts: Sequence[int], device: str = "cpu") -> None:
        self._extractor, self._steps = extractor, [0, *shifts, *(-each for each in shifts)]
        self._device = device
        self.name, self.width = extractor.name, extractor.width
        self.identity: Mapping[str, Any] = {
            **extractor.identity, "mirror": "max", "shifts": list(shifts)
        }  # fmt: skip

    def prepare(self) -> None:
        """Let `extractor` learn."""
        self._extractor.prepare()

    def __call__(self, images: Tensor) -> Tensor:
        images = images.to(self._device)
        places = [_reflected(images.shape[-1], step).to(images.device) for step in self._steps]
        views = (images[:, :, down][:, :, :, right] for down in places for right in places)
        found = (torch.maximum(self._extractor(x), self._extractor(x.flip(3))) for x in views)
        total = next(found)
        for each in found:
            total.add_(each)
        return total.div_(len(places) ** 2)


def _reflected(size: int, step: int) -> Tensor:
    """Return which pixel of a line comes to stand where, int64 (size,)."""
    last = size - 1
    return last - (last - (torch.arange(size) - step).abs()).abs()
