"""The nearest sample of every query, exactly, in a stream of samples that is never held.

Classification by the one nearest sample is how Radford, Metz & Chintala 2015 measure a conditional
generator (section 8.1, Table 3). Distances are Euclidean; of equally near samples the one that came
first counts, as in scikit-learn's brute force.

Queries and samples are rounded to a grid of at most 256 values, o + s q with 8-bit integers q, for
products of those are exact and fast. Values beyond the grid are moved to its edge first: that is a
projection, which makes no distance larger. With rho the length by which rounding then moved an
image, the triangle inequality gives

    |x - t| >= s |q_x - q_t| - rho_x - rho_t

and only a sample that may by this bound be nearer than the nearest so far is decided, in float64.
uint8 images lie on the grid as they are: rho is 0, and |q_x - q_t| is the answer.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.probes.design import Matrix, as_tensor
from gan_eval.probes.grid import Grid, Rounded

# Of a block of samples at most: its scores (128 MiB), and its values.
_SCORES, _VALUES = 2**25, 2**22
# Queries looked at together: few enough to stay in the processor's cache.
_ROWS = 256
# Samples of which the nearest is looked up together; a block is a multiple of it.
_GROUP = 256
# A float32 sum of so many products of 8-bit integers is exact: 2^10 times 2^14.
_EXACT_COLUMNS = 1024
# Relative errors of float64 sums of squares stay below this.
_ROUNDING = 1e-12
_INT32 = torch.iinfo(torch.int32)


class RunningNearest:
    """The nearest of all samples that have passed by, for each of some queries.

    Memory is that of the queries and of one block of samples, however many pass.

    Args:
        T: queries (m, d), numbers, a tensor or an array; uint8 is fastest.
        device: where to compare, "cpu" or "cuda".

    Attributes:
        seen: number of samples so far.
        squared: float64 (m,), squared distance to the nearest; infinite before the first sample.
        indices: int64 (m,), its number in the stream from 0; -1 before.
        labels: int64 (m,), its label; -1 before, and of samples without labels.

    Raises:
        InputError: T is no matrix of real numbers, is empty, or has values that are not finite or
            beyond float32's range.

    Example:
        >>> import torch
        >>> nearest = RunningNearest(torch.tensor([[0.0], [5.0]]))
        >>> nearest.update(torch.tensor([[9.0], [1.0]]), torch.tensor([7, 8]))
        >>> nearest.update(torch.tensor([[4.0]]), torch.tensor([9]))
        >>> nearest.labels.tolist(), nearest.indices.tolist(), nearest.distances.tolist()
        ([8, 9], [1, 2], [1.0, 1.0])
    """

    def __init__(self, T: Matrix, *, device: str = "cpu") -> None:  # noqa: N803
        T = _matrix(T, "T")  # noqa: N806
        if not len(T):
            raise InputError("T must hold at least 1 query. Got none; pass some.")
        self._given = _plain(T.to(device))
        self._grid = Grid.around(self._given)
        self._queries = self._grid.round(self._given)
        self._factor = self._queries.values
        m, d = T.shape
        if d == 1 or not _multiplies_int8(device):  # of one column torch 2.11 multiplies wrongly
            self._factor = self._factor.float()
        self._rows = max(1, min(_SCORES // m, _VALUES // d) // _GROUP) * _GROUP
        self._room = torch.empty(m * self._rows, dtype=torch.int32, device=device)
        self.seen = 0
        self.squared = torch.full((m,), torch.inf, dtype=torch.float64, device=device)
        self.indices = torch.full((m,), -1, device=device)
        self.labels = torch.full((m,), -1, device=device)

    @property
    def distances(self) -> Tensor:
        """Euclidean distances to the nearest, float64 (m,)."""
        return self.squared.sqrt()

    def update(self, X: Matrix, y: Matrix | Sequence[int] | None = None) -> None:  # noqa: N803
        """Let samples X (n, d) pass by, with labels y, whole numbers (n,).

        Raises:
            InputError: X does not have the queries' columns, has values as T must not have them, or
                y is not as long or no whole numbers.
        """
        X = _matrix(X, "X")  # noqa: N806
        y = None if y is None else _numbers(y, "y")
        d = self._given.shape[1]
        if X.shape[1] != d:
            raise InputError(
                f"X must have the {d} columns of the queries. Got {X.shape[1]}; "
                "take images of one size."
            )
        if y is not None and y.shape != (len(X),):
            raise InputError(
                f"y must hold a label for each of {len(X)} samples. Got shape {tuple(y.shape)}."
            )
        labels = torch.full((len(X),), -1) if y is None else y.long()
        if y is not None and (labels != y).any():
            first = y[labels != y][0].item()
            raise InputError(f"y must be whole numbers. Got {first}; number the labels from 0.")
        if not len(X):
            return
        for samples, known in zip(
            torch.split(X, self._rows), torch.split(labels, self._rows), strict=True
        ):
            device = self._given.device
            self._compare(_plain(samples.to(device)), known.to(device))
            self.seen += len(samples)

    def _compare(self, samples: Tensor, labels: Tensor) -> None:
        # The last sample again and again, which can be no nearer than it was.
        samples = torch.cat([samples, samples[-1:].expand(-len(samples) % _GROUP, -1)])
        rounded = self._grid.round(samples)
        # Larger is nearer: |q_t|^2 minus this is |q_x - q_t|^2.
        products = _products(self._factor, rounded.values, self._room)
        torch.add(-rounded.squares, products, alpha=2, out=products)
        scores = products.view(len(products), -1, _GROUP)
        moved, tops = self._moved(rounded), scores.amax(2)
        top = tops.amax(1)
        live = (top > self._least(moved)).nonzero().flatten()
        group = tops[live].argmax(1)
        place = scores[live, group].argmax(1)  # the first of equals
        columns = group * _GROUP + place
        if moved is None:
            squared = self._queries.squares[live].double() - top[live]
            self._keep(live, squared, columns, labels)
            return
        self._keep(live, self._squared(live, samples, columns), columns, labels)
        scores[live, group, place] = _INT32.min
        tops[live, group] = scores[live, group].amax(1)
        self._decide(scores, tops, self._least(moved), samples, labels)

    def _decide(
        self, scores: Tensor, tops: Tensor, least: Tensor, samples: Tensor, labels: Tensor
    ) -> None:
        """Keep what is nearest of the samples whose score exceeds `least`."""
        rows, group = (tops > least[:, None]).nonzero().unbind(1)
        pair, place = (scores[rows, group] > least[rows, None]).nonzero().unbind(1)
        rows, columns = rows[pair], group[pair] * _GROUP + place
        squared = self._squared(rows, samples, columns)
        nearest = torch.full_like(self.squared, torch.inf)
        nearest.scatter_reduce_(0, rows, squared, "amin")
        equal = squared == nearest[rows]
        first = torch.full_like(self.indices, len(samples))
        first.scatter_reduce_(0, rows[equal], columns[equal], "amin")
        found = nearest.isfinite().nonzero().flatten()
        self._keep(found, nearest[found], first[found], labels)

    def _moved(self, rounded: Rounded) -> Tensor | None:
        """Return how far rounding has moved a query and any sample, at most; None for nowhere."""
        if self._queries.moved is None and rounded.moved is None:
            return None
        zero = self.squared.new_zeros(1)
        sides = [zero if side is None else side for side in (self._queries.moved, rounded.moved)]
        return sides[0] + sides[1].max()

    def _least(self, moved: Tensor | None) -> Tensor:
        """Return the score, int32 (m,), that a sample must exceed where it may be kept."""
        limit = self.squared
        if moved is not None:
            root = self.distances
            moved = moved + _ROUNDING * root
            limit = limit + 2 * moved * root + moved.square()
        least = (self._queries.squares - limit / self._grid.step / self._grid.step).floor_()
        return least.clamp_(_INT32.min, _INT32.max).int()

    def _squared(self, rows: Tensor, samples: Tensor, columns: Tensor) -> Tensor:
        """Return the squared distances of queries `rows` to samples `columns`, in float64."""
        squared = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
        # Each part has its place already: kept in a list, they come to lie between what is freed
        # and asked for again, which then has no room there, and memory grows without end.
        parts = (torch.split(each, _ROWS) for each in (rows, columns, squared))
        for a, b, out in zip(*parts, strict=True):
            torch.sum((self._given[a].double() - samples[b].double()).square_(), 1, out=out)
        return squared

    def _keep(self, rows: Tensor, squared: Tensor, columns: Tensor, labels: Tensor) -> None:
        """Keep, for the queries `rows`, samples `columns` of the block where they are nearer."""
        indices, best = columns + self.seen, self.squared[rows]
        earlier = (squared == best) & (indices < self.indices[rows])
        nearer = (squared < best) | earlier
        rows, columns = rows[nearer], columns[nearer]
        self.squared[rows] = squared[nearer]
        self.indices[rows] = indices[nearer]
        self.labels[rows] = labels[columns]


def _plain(images: Tensor) -> Tensor:
    """Return `images` as they are if they are uint8 or float32, else as float64."""
    return images if images.dtype in (torch.uint8, torch.float32) else images.double()


def _numbers(values: Matrix | Sequence[Any], name: str) -> Tensor:
    """Return `values` as a tensor of real numbers."""
    try:
        numbers = as_tensor(values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers. Got others ({error}); convert them.") from error
    if numbers.is_complex():
        raise InputError(f"{name} must be real numbers. Got {numbers.dtype}; take their parts.")
    return numbers


def _matrix(values: Matrix, name: str) -> Tensor:
    """Return `values` as a matrix of finite real numbers, perhaps without a row."""
    images = _numbers(values, name)
    if images.ndim != 2 or not images.shape[1]:
        raise InputError(
            f"{name} must be a matrix (images, values) with something in it. "
            f"Got shape {tuple(images.shape)}; flatten each image."
        )
    if not images.is_floating_point() or not len(images):
        return images
    low, high = (float(edge) for edge in torch.aminmax(images))
    if not math.isfinite(low) or not math.isfinite(high):
        raise InputError(
            f"{name} must be finite. Got NaN or infinity; look at where the images came from."
        )
    # So that no squared distance is infinite, which is none so far.
    if max(-low, high) > torch.finfo(torch.float32).max:
        raise InputError(
            f"{name} must be within the range of float32. Got {low} to {high}; scale it."
        )
    return images


def _multiplies_int8(device: str) -> bool:
    """Return whether `device` adds up products of 8-bit integers in hardware, in 32 bits."""
    able = torch.cpu.get_capabilities() if torch.device(device).type == "cpu" else {}
    return bool(able.get("avx512_vnni") or able.get("amx_int8"))


def _products(queries: Tensor, samples: Tensor, room: Tensor) -> Tensor:
    """Return the products, int32 (m, n), of int8 `samples` (n, d) with queries (m, d), in `room`.

    Those are int8 too, or float32 where no hardware multiplies 8-bit integers; either is exact.
    """
    m, n = len(queries), len(samples)
    out = room[: m * n].view(m, n)
    if queries.dtype == torch.int8:
        return torch._int_mm(queries, samples.T, out=out)
    out.zero_()
    for x, t in zip(
        torch.split(queries, _EXACT_COLUMNS, 1),
        torch.split(samples.float(), _EXACT_COLUMNS, 1),
        strict=True,
    ):
        out += (x @ t.T).int()
    return out
