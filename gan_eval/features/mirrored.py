"""Any features, made blind to left and right."""

from collections.abc import Mapping
from typing import Any

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
