"""Which route a convolution takes, chosen by measurement, in this one place.

On a CPU with bf16 instructions oneDNN's convolutions run near the processor's matrix peak except
in the deepest layers, where many maps meet few positions: there its gradient to the weights runs
at well under half of the peak and each call reorders the weights first. As a product of the patch
matrix (im2col) with the weights the same layer runs at the peak, and copying the patches costs
little because the maps are small. Measured by `benchmarks/speed_layers.py`.

Both directions use one pair of adjoint maps: `_patches` P and `_overlap_add` P^T.
  convolution  y = P(x) W^T     dx = P^T(dy W)     dW = dy^T P(x)
  transposed   y = P^T(x W)     dx = P(dy) W^T     dW = x^T P(dy)
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

# The patch matrix wins where the small side has at least so many maps and the large side at most
# this many rows.
_LEAST_MAPS, _LARGEST_SIDE = 256, 8


class _Geometry(NamedTuple):
    """Shape of the large side (n, channels, side, side) and how patches are cut from it."""

    n: int
    channels: int
    side: int
    small: int  # side of the grid of patches
    kernel: int
    stride: int
    padding: int


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """Return the convolution of `x` (n, c, h, h) with `weight` (maps, c, k, k)."""
    if _prefers_patches(x, weight, x.shape[-1]):
        dtype = torch.get_autocast_dtype("cpu")
        y = convolve_by_patches(x.to(dtype), weight.to(dtype), stride, padding)
        return y if bias is None else y + bias.to(dtype).view(1, -1, 1, 1)
    if weight.shape[-1] == 1 and stride > 1:
        # The same numbers; oneDNN's own gradient of it crashes on few channels-last maps.
        x, stride = x[:, :, ::stride, ::stride], 1
    return functional.conv2d(x, weight, bias, stride, padding)


def convolve_transposed(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, side: int
) -> Tensor:
    """Return the transposed convolution of `x` (n, maps, h, h) to (n, c, `side`, `side`)."""
    if _prefers_patches(x, weight, side):
        dtype = torch.get_autocast_dtype("cpu")
        y = convolve_transposed_by_patches(x.to(dtype), weight.to(dtype), stride, padding, side)
        return y if bias is None else y + bias.to(dtype).view(1, -1, 1, 1)
    extra = side - ((x.shape[-1] - 1) * stride - 2 * padding + weight.shape[-1])
    return functional.conv_transpose2d(x, weight, bias, stride, padding, extra)


def _prefers_patches(x: Tensor, weight: Tensor, large_side: int) -> bool:
    return (
        x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and weight.shape[0] >= _LEAST_MAPS
        and large_side <= _LARGEST_SIDE
        and weight.shape[-1] > 1
    )


def _matrix(maps: Tensor) -> Tensor:
    """View channels-last maps (n, c, h, w) as the matrix (n*h*w, c)."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _maps(matrix: Tensor, n: int, side: int) -> Tensor:
    """View the matrix (n*side*side, c) as channels-last maps (n, c, side, side)."""
    return matrix.view(n, side, side, -1).permute(0, 3, 1, 2)


def _kernel_matrix(weight: Tensor) -> Tensor:
    """View (maps, c, k, k) weights as (maps, k*k*c), free where they are channels-last."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


def _patches(maps: Tensor, g: _Geometry) -> Tensor:
    """Return the patch matrix (n*small*small, k*k*c) of zero-padded maps."""
    p = g.padding
    padded = functional.pad(maps.permute(0, 2, 3, 1), (0, 0, p, p, p, p)).contiguous()
    n, row, column, channel = padded.stride()
    shape = (g.n, g.small, g.small, g.kernel, g.kernel, g.channels)
    strides = (n, g.stride * row, g.stride * column, row, column, channel)
    return padded.as_strided(shape, strides).reshape(g.n * g.small**2, -1)


def _overlap_add(patches: Tensor, g: _Geometry) -> Tensor:
    """Return the maps to which every patch adds its values: the adjoint of `_patches`."""
    parts = patches.view(g.n, g.small, g.small, g.kernel, g.kernel, g.channels)
    reach = g.stride * (g.small - 1) + 1
    wide = max(g.side + 2 * g.padding, reach + g.kernel - 1)
    total = patches.new_zeros(g.n, wide, wide, g.channels)
    for i in range(g.kernel):
        for j in range(g.kernel):
            rows, columns = slice(i, i + reach, g.stride), slice(j, j + reach, g.stride)
            total[:, rows, columns] += parts[:, :, :, i, j]
    inside = slice(g.padding, g.padding + g.side)
    return total[:, inside, inside].permute(0, 3, 1, 2)


def convolve_by_patches(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return the convolution of `x` with `weight` as one product with the patch matrix."""
    side, kernel = x.shape[-1], weight.shape[-1]
    small = (side + 2 * padding - kernel) // stride + 1
    g = _Geometry(len(x), x.shape[1], side, small, kernel, stride, padding)
    return _maps(_Patches.apply(x, g) @ _kernel_matrix(weight).t(), g.n, small)


def convolve_transposed_by_patches(
    x: Tensor, weight: Tensor, stride: int, padding: int, side: int
) -> Tensor:
    """Return the transposed convolution of `x` with `weight` as one product, then sums."""
    g = _Geometry(len(x), weight.shape[1], side, x.shape[-1], weight.shape[-1], stride, padding)
    y: Tensor = _OverlapAdd.apply(_matrix(x) @ _kernel_matrix(weight), g)
    return y


class _Patches(torch.autograd.Function):
    """`_patches`, with its adjoint as gradient."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, g: _Geometry) -> Tensor:
        ctx.geometry = g
        return _patches(maps, g)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _overlap_add(grads[0], ctx.geometry), None


class _OverlapAdd(torch.autograd.Function):
    """`_overlap_add`, with its adjoint as gradient."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, g: _Geometry) -> Tensor:
        ctx.geometry = g
        return _overlap_add(patches, g)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _patches(grads[0], ctx.geometry), None
