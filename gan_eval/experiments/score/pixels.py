"""Images that were brought as arrays, made uint8: by shape, type and range, or refused by them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from gan_eval.errors import InputError
from gan_eval.experiments.parts import joined
from gan_eval.images import LAYOUT, layout_of, to_uint8

Array = NDArray[np.generic] | Tensor
_BLOCK = 1000  # images that are converted at once
_FLOATS = ("float16", "float32", "float64")
_KINDS = ("uint8", *_FLOATS, "torch.uint8", "torch.bfloat16", *(f"torch.{x}" for x in _FLOATS))


def pixels_of(given: Array | Dataset[Any] | Iterable[Any], name: str) -> Tensor:
    """Return the images of an array, a data set or an iterable as uint8 (n, channels, h, w).

    Raises:
        InputError: they are no images, of several shapes, or of values outside their range.
    """
    if isinstance(given, Tensor | np.ndarray):
        return to_pixels(given, name)
    by_number = isinstance(given, Dataset) and not isinstance(given, IterableDataset)
    if isinstance(given, Dataset) and by_number and hasattr(given, "__len__"):
        return _joined(
            (to_pixels(_images_of(given[row], name)[None], name) for row in range(len(given))), name
        )
    if isinstance(given, Iterable):
        return _joined(_batches(given, name), name)
    raise InputError(
        f"images must be a run, a generator, data, an array or statistics. Got "
        f"{type(given).__name__}; see `gan_eval.experiments.score.sides`."
    )


def to_pixels(values: Array, name: str) -> Tensor:
    """Return images of a tensor or NumPy array as uint8 (n, channels, h, w).

    Raises:
        InputError: the shape, type or range is not one of the module's.
    """
    layout = layout_of(tuple(values.shape), name, channels_first=isinstance(values, Tensor))
    if str(values.dtype) not in _KINDS:
        raise InputError(
            f"{name} must be uint8, or floats from 0 to 1. Got {values.dtype}; scale and convert "
            "it."
        )

    def block(start: int) -> Tensor:
        part = values[start : start + _BLOCK]
        if isinstance(part, Tensor):
            return _rounded(part.detach().cpu(), name, start)
        images = torch.from_numpy(np.array(part)).reshape(-1, *layout[1:]).permute(0, 3, 1, 2)
        return _rounded(images, name, start)

    # In blocks, as whole arrays of floats would be held several times.
    return joined(map(block, range(0, len(values), _BLOCK)), len(values))


def _rounded(images: Tensor, name: str, first: int) -> Tensor:
    if images.dtype == torch.uint8:
        return images
    wrong = (~images.isfinite()).flatten(1).any(1).nonzero()
    if len(wrong):
        raise InputError(
            f"{name} must be finite. Got NaN or infinity in image {first + int(wrong[0])}; look at "
            "what made it."
        )
    low, high = images.aminmax()
    if low < 0 or high > 1:
        raise InputError(
            f"{name} must be uint8, or floats from 0 to 1. Got {float(low):.4g} to "
            f"{float(high):.4g}; scale it."
        )
    return to_uint8(images, "sigmoid")


def _batches(given: Iterable[Any], name: str) -> Iterator[Tensor]:
    """Yield the images of each batch, or each single image.

    Raises:
        InputError: as `to_pixels`; or all of them look like single NumPy images, channels first,
            which would pass for batches of 3 grey images.
    """
    shapes = set()
    for each in given:
        images = _images_of(each, name)
        shapes.add(tuple(images.shape) if isinstance(images, np.ndarray) else ())
        yield _batch(each, name)
    first = all(len(s) == 3 and s[0] in (1, 3) and s[2] not in (1, 3) for s in shapes)
    coloured = [shape for shape in shapes if shape[:1] == (3,)]
    if first and coloured:  # one grey image is the same either way
        raise InputError(
            f"{name} must be of single images (h, w, 1 or 3), or of batches {LAYOUT}. Got "
            f"{coloured[0]}, channels first by its looks; transpose it so that channels come last, "
            "or give grey images an axis of channels."
        )


def _batch(batch: Any, name: str) -> Tensor:
    if isinstance(batch, list) and len(batch) > 1 and all(map(_is_image, batch)):
        return _joined((_batch(each, name) for each in batch), name)
    images = _images_of(batch, name)
    return to_pixels(images[None] if _is_image(images) else images, name)


def _is_image(given: Any) -> bool:
    """Whether this is one image, and no batch of grey ones that leave their channel out."""
    if isinstance(given, np.ndarray):
        return given.ndim == 3 and given.shape[2] in (1, 3)
    return isinstance(given, Tensor) and given.ndim == 3


def _images_of(item: Any, name: str) -> Array:
    """Return what comes first in an item or a batch, where labels come second."""
    if isinstance(item, Mapping):
        raise InputError(
            f"images of {name} must be tensors or arrays. Got a mapping of "
            f"{', '.join(map(str, item))}; give the images alone, as "
            "(batch['image'] for batch in loader)."
        )
    images: Array = item[0] if isinstance(item, tuple | list) and item else item
    if not isinstance(images, Tensor | np.ndarray):
        raise InputError(
            f"images of {name} must be tensors or arrays. Got {type(images).__name__}; give the "
            "data set a transform, such as torchvision's PILToTensor(), or models as a list."
        )
    return images


def _joined(parts: Iterable[Tensor], name: str) -> Tensor:
    found = list(parts)
    shapes = {tuple(part.shape[1:]) for part in found}
    if len(shapes) != 1:
        sizes = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes)) or "none"
        raise InputError(
            f"images of {name} must be of one shape, and at least one. Got {sizes}; resize them, "
            "or look at what makes them."
        )
    return torch.cat(found)
