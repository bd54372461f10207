"""Raw pixels as features, the control that every representation has to beat."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gan_eval.images import to_float


class Pixels:
    """uint8 images (n, channels, size, size) -> v / 127.5 - 1, (n, channels * size * size).

    [-1, 1] is what the discriminator sees, so that the two differ by what it learned and by nothing
    else. An L2-SVM is not blind to scale: in [0, 1] images would differ half as much, so that the
    same C would regularise four times as hard, and all would share a bright offset.
    """

    name = "pixels"

    def __init__(self, channels: int, size: int) -> None:
        self.width = channels * size * size
        self.identity: Mapping[str, Any] = {
            "extractor": "pixels",
            "scale": "tanh",
            "channels": channels,
            "size": size,
        }

    def prepare(self) -> None:
        """Do nothing: there is nothing to learn."""

    def __call__(self, images: Tensor) -> Tensor:
        return to_float(images, "tanh").reshape(len(images), self.width)
