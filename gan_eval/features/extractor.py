"""What turns images into features: the one form in which every extractor reaches the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor
from torch.nn import functional

from gan_eval.errors import InputError


class Extractor(Protocol):
    """uint8 images (n, channels, size, size) -> features (n, width), row by row.

    A row depends on its own image only, unless `identity` says otherwise.

    Attributes:
        name: "disc", "pixels", "kmeans" …, as tables print it.
        width: length of a row.
        identity: JSON-able; everything beside the images that determines a row: hashes of the
            weights, layers, pooling, fingerprint of the images that statistics were learned on.
            Features are kept under its hash, so what changes a number must change it. One whose
            rows depend on their batch says `"depends_on_batch": True`.
    """

    name: str
    width: int

    @property
    def identity(self) -> Mapping[str, Any]: ...

    def prepare(self) -> None:
        """Learn what rows depend on (batch-norm statistics, a dictionary).

        Called once before the first row, and only where a row is missing: it may take minutes.
        """

    def __call__(self, images: Tensor) -> Tensor:
        """Return float features (n, width), on any device, of uint8 `images` on the CPU."""
        ...


def own_extractor(given: object) -> Extractor:
    """Return an extractor of one's own, where it is one.

    Raises:
        InputError: it is something else, as a network.
    """
    if not all(hasattr(given, name) for name in ("name", "width", "identity", "prepare")):
        raise InputError(
            f"features must be named or an extractor. Got {type(given).__name__}; make one "
            "of a network by gan_eval.Modules(network, layers, size=…)."
        )
    return cast(Extractor, given)


def max_pooled(maps: Tensor, pool: int) -> Tensor:
    """Return `maps` (n, c, h, w) as the largest values of a grid, (n, c, pool, pool)."""
    height, width = maps.shape[2:]
    if height == width and height % pool == 0:
        return functional.max_pool2d(maps, height // pool)  # the same numbers, sooner
    # On Apple's MPS windows that differ in size are others (PyTorch's issue 190064).
    there = maps.cpu() if maps.device.type == "mps" else maps
    return functional.adaptive_max_pool2d(there, pool).to(maps.device)


@dataclass(kw_only=True)
class NamedExtractor:
    """An extractor that is known by its identity alone, of features that are there already."""

    name: str
    width: int
    identity: Mapping[str, Any]

    def prepare(self) -> None:
        """Do nothing: it has nothing to learn with."""

    def __call__(self, images: Tensor) -> Tensor:
        """Refuse `images`, for which there is no network."""
        raise NotImplementedError
