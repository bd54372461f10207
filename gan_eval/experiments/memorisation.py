"""Are generated images copies? How near they are to training images, and how near real ones are.

The distance is the root mean square over pixels in [0, 1], to the nearest of all training images.
The control are real images that take no part: random training images, and their nearest among the
others. New images of the same kind would be as near as these, and copies much nearer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gan_eval.data import Images
from gan_eval.devices import with_float64
from gan_eval.errors import InputError
from gan_eval.experiments.parts import blocks
from gan_eval.probes.nearest_neighbor import RunningNearest
from gan_eval.seeding import stream
from gan_eval.visualize.grids import write_grid

_BLOCK = 1000  # training images at once
_QUERIES = 1000  # real images of the control, at most, and a tenth of all
_COLUMNS = 10

Tell = Callable[[int, int], None]


def nearest_images(
    queries: Tensor,
    images: Images,
    tell: Tell,
    *,
    rows: Sequence[int] | None = None,
    device: str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Return the distance to the nearest of `images`, and its row, for each of `queries`.

    Args:
        queries: (n, channels, s, s), values from 0 to 255, whole or not.
        images: of the same size.
        tell: called with how many of `images` were compared, and their number.
        rows: of `images`, those that are compared; None for all.
        device: where to compare.

    Returns:
        The root mean square over pixels in [0, 1], float64 (n,), and int64 (n,), on the CPU.
    """
    taken = range(len(images)) if rows is None else rows
    nearest = RunningNearest(queries.flatten(1), device=with_float64(device))
    for block in blocks(images, _BLOCK, taken):
        nearest.update(block.flatten(1))
        tell(nearest.seen, len(taken))
    distances = nearest.distances.cpu() / (255 * queries[0].numel() ** 0.5)
    return distances, torch.as_tensor(taken)[nearest.indices.cpu()]


@dataclass(frozen=True, kw_only=True, eq=False)
class Copies:
    """Images, and what is nearest to each among training images.

    Attributes:
        images: uint8 (n, channels, s, s).
        distances: float64 (n,), in the module's measure.
        rows: int64 (n,), of the nearest training images.
    """

    images: Tensor
    distances: Tensor
    rows: Tensor

    @classmethod
    def of(cls, images: Tensor, train: Images, tell: Tell, device: str) -> "Copies":
        """Look `images` up among all of `train`."""
        distances, rows = nearest_images(images, train, tell, device=device)
        return cls(images=images, distances=distances, rows=rows)

    def draw(self, path: Path, train: Images) -> None:
        """Draw images above what is nearest of `train`: the first ten, and the ten nearest ones."""
        first = torch.arange(min(_COLUMNS, len(self.images)))
        nearest = self.distances.argsort(stable=True)[: len(first)]
        rows = [
            pictures
            for chosen in (first, nearest)
            for pictures in (self.images[chosen], train.take(self.rows[chosen].tolist()))
        ]
        write_grid(path, torch.cat(rows), len(first))


def statistics(distances: Tensor, real: Tensor) -> dict[str, float]:
    """Return what a record holds of the `distances` of some images.

    Args:
        distances: (n,), in the module's measure.
        real: (m,), those of the control.

    Returns:
        Their number `n`, `mean`, `median` and `least`, and `nearer_than_real`, the share that is
        nearer than the median of `real`: one half of new images of the same kind, all of copies
        and of images that are pale or blurred.
    """
    return {
        "n": len(distances),
        "mean": float(distances.mean()),
        "median": float(distances.quantile(0.5)),
        "least": float(distances.min()),
        "nearer_than_real": float((distances < real.quantile(0.5)).double().mean()),
    }


def real_distances(train: Images, seed: int, tell: Tell, device: str) -> Tensor:
    """Return how far random ones of `train` are from the nearest of the others, float64 (m,).

    Raises:
        InputError: there are no others.
    """
    if len(train) < 2:
        raise InputError(
            f"data must have at least 2 training images to compare. {train.name!r} has "
            f"{len(train)}; take more."
        )
    order = torch.randperm(len(train), generator=stream(seed, "memorisation")).tolist()
    m = min(_QUERIES, max(1, len(train) // 10))
    return nearest_images(train.take(order[:m]), train, tell, rows=order[m:], device=device)[0]
