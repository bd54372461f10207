"""Features as the metrics take them: a matrix (n, d), in memory, on a device or memory-mapped.

Metrics compute in float64, in blocks of rows, so that the matrix itself is never copied whole.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_eval.errors import InputError

Matrix = NDArray[np.generic] | Tensor
# Gets what one share of the work found, and returns what each did, in order, on the CPU.
Gather = Callable[[Tensor], list[Tensor]]

# Of rows in a block: enough for the products, and its square of distances is 128 MiB at most.
_ROWS, _BYTES = 4096, 2**26


def device_of(*sides: Matrix) -> torch.device:
    """Return where to compute with `sides`: on a GPU if one is there, but Apple's: no float64."""
    found = [x.device for x in sides if isinstance(x, Tensor) and x.device.type == "cuda"]
    return found[0] if found else torch.device("cpu")


def to_double(part: Matrix, device: torch.device) -> Tensor:
    """Return `part` of a matrix in float64 on `device`."""
    if isinstance(part, Tensor):
        return part.detach().to(device).double()
    return torch.from_numpy(np.array(part, dtype=np.float64)).to(device)


def blocks(x: Matrix, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Yield `x` (n, d) in blocks of rows, float64 on `device`, and which rows they are."""
    step = max(1, min(_ROWS, _BYTES // (8 * max(1, x.shape[1]))))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        yield rows, to_double(x[rows], device)


def check_finite(block: Tensor, name: str, first: int = 0) -> None:
    """Refuse a block, which begins with row `first` of `name`, that holds NaN or infinity."""
    wrong = (~block.isfinite()).any(1).nonzero()
    if len(wrong):
        raise InputError(
            f"{name} must be finite. Got NaN or infinity in row {first + int(wrong[0])}; look at "
            "the images and the network that it came from."
        )


def as_matrix(x: Matrix | Any, name: str) -> Matrix:
    """Return features as what they are made of in memory: of frames and lists an array.

    Raises:
        InputError: they are no matrix with columns.
    """
    if not isinstance(x, Tensor | np.ndarray):
        x = np.asarray(x)
    if x.ndim != 2 or not x.shape[1]:
        raise InputError(
            f"{name} must be a matrix (images, features). Got shape {tuple(x.shape)}; "
            "flatten each image's features."
        )
    return x


def as_side(x: Matrix, name: str, *, at_least: int) -> Matrix:
    """Return a side as a matrix; refuse one that is none, too short or not finite."""
    x = as_matrix(x, name)
    if len(x) < at_least:
        raise InputError(
            f"{name} must have at least {at_least} rows. Got {len(x)}; take more images."
        )
    for rows, block in blocks(x, device_of(x)):
        check_finite(block, name, rows.start)
    return x


def as_sides(*, real: Matrix, fake: Matrix, at_least: int) -> tuple[Matrix, Matrix]:
    """Return sides as matrices; refuse any too short, not finite or not equally wide."""
    real = as_side(real, "real", at_least=at_least)
    fake = as_side(fake, "fake", at_least=at_least)
    check_widths(real=real.shape[1], fake=fake.shape[1])
    return real, fake


def check_widths(*, real: int, fake: int) -> None:
    """Refuse sides from different extractors."""
    if real != fake:
        raise InputError(
            f"real and fake must have the same features. Got {real:,} and {fake:,}; take both from "
            "one extractor."
        )
