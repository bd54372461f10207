"""The matrix [X, 1] of a linear classifier, in memory, on a device or streamed from disk in blocks.

Products take X in blocks of rows and accumulate: X itself is never copied whole, so that a
memory-mapped half-precision matrix of any size costs no more than a block of it in float32.
"""

import mmap
import warnings
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_eval.devices import available_memory
from gan_eval.errors import InputError
from gan_eval.precision import computes_bf16, float32_products

Matrix = NDArray[np.generic] | Tensor
_warned = Lock()

# Columns of a product of bfloat16, and how much a ridge must be, as a part of the mean |x|^2, to
# hide how that is rounded.
_COLUMNS, _HIDDEN = 1024, 1 / 16
# From so many rows and columns on a product is no longer thin.
_WIDE = 64
# The product that torch.compile emits for a linear layer.
_ONEDNN = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")
# A block of float32 rows: large enough for the products, small beside everything else.
_BLOCK_BYTES = 2**27


def gather(x: Matrix, rows: Tensor) -> Tensor:
    """Return a copy of some rows of X, in float32 unless they are float64."""
    part = torch.as_tensor(x[rows.numpy()])
    return part if part.dtype == torch.float64 else part.float()


def check_finite(energy: Tensor | float) -> None:
    """Check sums of squares of X, which show what is not finite.

    Raises:
        InputError: one is not finite.
    """
    if not torch.as_tensor(energy).isfinite().all():
        raise InputError(
            "X must be finite, and its squares too. They are not; look for NaN, infinity and very "
            "large values in it."
        )


def as_tensor(values: Matrix | Sequence[Any]) -> Tensor:
    """Return an array as a tensor, in the same memory where torch can read it as it is.

    Raises:
        InputError: it is not of numbers.
    """
    if isinstance(values, Tensor):
        return values.detach()
    array = np.asarray(values)
    if array.dtype.kind not in "biufc":
        raise InputError(
            f"arrays and labels must be of numbers. Got {array.dtype}; number them, or take one of "
            "the estimators, as L2SVM, for labels of any kind."
        )
    if any(stride < 0 for stride in array.strides) or not array.dtype.isnative:
        array = np.array(array, array.dtype.newbyteorder("="), order="C")
    with _warned, warnings.catch_warnings():  # which threads must not mix up
        warnings.simplefilter("ignore")  # a memory map may be read-only: nobody writes here
        return torch.from_numpy(array)


def as_rows(x: Matrix | Sequence[Any]) -> Matrix:
    """Return X (n, d) as a tensor or an array: of frames and lists an array.

    Raises:
        InputError: it is no matrix.
    """
    rows = x if isinstance(x, Tensor | np.ndarray) else np.asarray(x)
    if rows.ndim != 2:
        raise InputError(f"X must be a matrix (n, d). Got shape {tuple(rows.shape)}; flatten rows.")
    return rows


def _full_name(device: str | torch.device) -> torch.device:
    """Return a device as tensors name it: "cuda" is a GPU of a number."""
    return torch.empty(0, device=device).device


def on_device(x: Matrix, device: str | torch.device, beside: int = 0) -> Matrix:
    """Return X on a GPU, as it is stored, where it fits there with so many bytes `beside`; else X.

    What reads X many times then waits for the disk, and the way from there, once.
    """
    place, stored = _full_name(device), as_tensor(x[:1])
    wanted = x.shape[0] * x.shape[1] * stored.dtype.itemsize
    if place.type == "cpu" or stored.device == place or wanted + beside > available_memory(place):
        return x
    held = torch.empty(x.shape, dtype=stored.dtype, device=place)
    step = max(1, _BLOCK_BYTES * len(x) // max(1, wanted))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        held[rows] = as_tensor(x[rows])
        _let_go(x, rows)
    return held


def block_bytes(d: int) -> int:
    """Return the bytes of the largest block of rows."""
    return max(_BLOCK_BYTES, 8 * d)


class Design:
    """[X, 1] for X (n, d), computing in `dtype`: by default float64 for float64 X, else float32.

    X is a NumPy array (a memory map stays on disk) or a tensor of float64, float32, float16 or
    bfloat16. Points of weight space are (d + 1, k), the intercept last; products with vectors
    return float64.
    """

    def __init__(
        self, x: Matrix, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
    ) -> None:
        self.x, self.device = as_rows(x), _full_name(device)
        x = self.x
        self.n: int = x.shape[0]
        self.d: int = x.shape[1]
        double = x.dtype in (torch.float64, np.float64)
        self.dtype = dtype or (torch.float64 if double else torch.float32)
        self._rows = max(1, _BLOCK_BYTES // (4 * max(1, self.d)))

    def block(self, rows: slice, columns: slice = slice(None)) -> Tensor:
        """Return a part of X on the device and in the type of the computation."""
        return self._stored(rows, columns).to(self.device, self.dtype)

    def _stored(self, rows: slice, columns: slice = slice(None)) -> Tensor:
        return as_tensor(self.x[rows, columns])

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield X in blocks of rows, and which rows they are; the next replaces the one before."""
        first = self._stored(slice(0, 1))
        parts = (
            slice(start, min(start + self._rows, self.n)) for start in range(0, self.n, self._rows)
        )
        if (first.dtype, first.device) == (self.dtype, self.device):
            for rows in parts:
                yield rows, self._stored(rows)
                _let_go(self.x, rows)
            return
        # One place for all of them: memory that is new each time costs more than the products.
        held = torch.empty(min(self._rows, self.n), self.d, dtype=self.dtype, device=self.device)
        for rows in parts:
            block = held[: rows.stop - rows.start].copy_(self._stored(rows))
            _let_go(self.x, rows)
            yield rows, block

    def margins(self, weights: Tensor) -> Tensor:
        """Return [X, 1] weights: (n, k) of (d + 1, k)."""
        inner, intercept = weights[:-1].to(self.dtype), weights[-1].double()
        out = torch.empty(self.n, weights.shape[1], dtype=torch.float64, device=self.device)
        for rows, block in self.blocks():
            out[rows] = product(block, inner).double()
        return out.add_(intercept)

    def pull(self, values: Tensor) -> Tensor:
        """Return [X, 1]' values: (d + 1, k) of (n, k)."""
        out = torch.zeros(values.shape[1], self.d + 1, dtype=torch.float64, device=self.device)
        values = values.T.to(self.dtype)
        for rows, block in self.blocks():
            out[:, :-1] += product(values[:, rows], block)
        out[:, -1] = values.double().sum(1)
        return out.T

    @property
    def rounds(self) -> bool:
        """Whether to round products: float32 that the processor multiplies as bfloat16."""
        return self.dtype == torch.float32 and computes_bf16(self.device.type)

    def normal(self, weights: Tensor, active: Tensor | None = None) -> Tensor:
        """Return [X, 1]' D [X, 1] weights: (d + 1, k), with D the `active` rows of each column."""
        inner, intercept = weights[:-1].to(self.dtype), weights[-1].to(self.dtype)
        out = torch.zeros_like(weights, dtype=torch.float64)
        for rows, block in self.blocks():
            margins = product(block, inner).add_(intercept)
            if active is not None:
                margins *= active[rows]
            out[:-1] += product(block.T, margins)
            out[-1] += margins.double().sum(0)
        return out

    def energy(self) -> float:
        """Return the sum of the squares of [X, 1]: the trace of its Gram matrix."""
        squares = [float(block.square().sum()) for _, block in self.blocks()]
        return self.n + sum(squares)

    def gram(self, ridge: float = 0.0) -> Tensor:
        """Return [X, 1][X, 1]' (n, n).

        Args:
            ridge: what will be added to its diagonal. Where that hides their rounding, products are
                of bfloat16: half the time.
        """
        if self.device.type == "cpu" and self.dtype == torch.float64:
            return self._gram_by_columns().add_(1)
        if self.device.type == "cpu" and self.rounds:
            mean = self.pull(torch.full((self.n, 1), 1 / self.n))[:-1].to(self.dtype)
            if ridge >= _HIDDEN * (self.energy() / self.n - 1 - float(mean.square().sum())):
                return self._rounded_gram(mean)
        out = torch.empty(self.n, self.n, dtype=self.dtype, device=self.device)
        for i, below in groupby(self._lower_half(), itemgetter(0)):
            left = self.block(i)
            for _, j in below:
                with float32_products("medium"):
                    out[i, j] = product(left, (left if i == j else self.block(j)).T)
        return self._mirrored(out).add_(1)

    def _rounded_gram(self, mean: Tensor) -> Tensor:
        """Return [X, 1][X, 1]' of rows that are rounded to bfloat16, less their `mean` (d, 1).

        As such products are rounded too, they are taken of few columns and summed in float32.
        """
        out = torch.zeros(self.n, self.n, dtype=self.dtype)
        for start in range(0, self.d, _COLUMNS):
            columns = slice(start, start + _COLUMNS)
            part = self.block(slice(None), columns)
            part = (part - mean[columns, 0]).to(torch.bfloat16)
            for i, j in self._lower_half():
                out[i, j] += part[i] @ part[j].T
        towards = self.margins(torch.cat([mean, torch.zeros(1, 1)])).to(self.dtype)
        towards -= 0.5 * (mean.square().sum() - 1)
        return self._mirrored(out).add_(towards).add_(towards.T)

    def _lower_half(self) -> Iterator[tuple[slice, slice]]:
        """Yield the rows and columns of square blocks; a tenth of their work is done in vain."""
        step = max(1, min(self._rows, -(-self.n // 8)))
        for i in range(0, self.n, step):
            for j in range(0, i + 1, step):
                yield slice(i, min(i + step, self.n)), slice(j, min(j + step, self.n))

    def _mirrored(self, out: Tensor) -> Tensor:
        """Return `out` (n, n) with its `_lower_half` copied into the upper one."""
        for i, j in self._lower_half():
            if i != j:
                out[j, i] = out[i, j].T
        return out

    def _gram_by_columns(self) -> Tensor:
        """Return XX' (n, n): NumPy knows that a product with one's own transpose is symmetric."""
        step = max(1, _BLOCK_BYTES // (self.dtype.itemsize * self.n))
        starts = range(0, self.d, step)
        blocks = (self.block(slice(None), slice(at, at + step)).numpy() for at in starts)
        first = next(blocks)
        out = first @ first.T
        for block in blocks:
            out += block @ block.T
        return torch.from_numpy(out)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return ab where a or b is thin: a quarter of MKL's time, see design.md."""
    if a.device.type != "cpu":
        return a @ b
    backends: Any = torch.backends
    rough = backends.mkldnn.matmul.fp32_precision not in ("none", "ieee")
    if a.dtype != torch.float32 or rough or not _ONEDNN:
        wide = a.dtype == torch.float64 and min(a.shape[0], b.shape[1]) >= _WIDE
        if torch.get_num_threads() == 1 or wide:
            # NumPy's threads and torch's fight for the cores: worth it where the work is long.
            return torch.from_numpy(b.T.numpy() @ a.T.numpy()).T
        return (b.T.contiguous() @ a.T).T
    if a.numel() > b.numel() and not a.is_contiguous():
        return product(b.T, a.T).T
    dense = b.is_contiguous() or b.T.is_contiguous()
    columns = b.T if dense else b.T.contiguous()
    # Of what is neither dense rows nor dense columns it would take minutes.
    linear = torch.ops.mkldnn._linear_pointwise
    return linear(a.contiguous(), columns, None, "none", [], "")  # type: ignore[no-any-return]


def _let_go(x: Matrix, rows: slice) -> None:
    """Unmap the pages of some rows of a memory map that is read only.

    They stay in the system's cache while there is room, and are no longer memory of this process.
    """
    if not (isinstance(x, np.memmap) and x.mode == "r" and x.flags.c_contiguous):
        return
    pages: mmap.mmap = x._mmap  # type: ignore[attr-defined]
    if not hasattr(pages, "madvise"):
        return
    first = np.frombuffer(pages, np.uint8).ctypes.data
    start, stop = (x.ctypes.data - first + row * x.strides[0] for row in (rows.start, rows.stop))
    start = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    if stop > start:
        pages.madvise(mmap.MADV_DONTNEED, start, stop - start)
