"""Batch normalisation of several mini-batches that lie one after another in one batch.

D judges real and generated images with separate batch statistics (Radford et al. 2015's code, and
all that follow it). Their convolutions can still run as one batch of twice the size, which keeps the
processor's matrix units busier and converts and reorders each weight once instead of twice.
"""

from typing import Any

import torch
from torch import Tensor

_ALL = [True, True, True]


class GroupedNorm(torch.autograd.Function):
    """`torch.nn.functional.batch_norm` in training mode on each of `groups` equal parts of x.

    The running statistics are updated by each part in turn. Results are written straight into one
    tensor, so that joining the parts costs no copy.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        groups: int,
        momentum: float,
        eps: float,
    ) -> Tensor:
        y = torch.empty_like(x)
        saved = torch.empty(2, groups, len(weight), device=x.device)
        for i, (part, out) in enumerate(zip(x.chunk(groups), y.chunk(groups), strict=True)):
            torch.ops.aten.native_batch_norm.out(
                part,
                weight,
                bias,
                running_mean,
                running_var,
                True,
                momentum,
                eps,
                out=out,
                save_mean=saved[0, i],
                save_invstd=saved[1, i],
            )
        ctx.save_for_backward(x, weight, saved)
        ctx.groups, ctx.eps = groups, eps
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, saved = ctx.saved_tensors
        dx = torch.empty_like(x)
        affine = torch.empty(2, ctx.groups, len(weight), device=x.device)
        dy = grads[0].contiguous(memory_format=_format(x))
        parts = (tensor.chunk(ctx.groups) for tensor in (dy, x, dx))
        for i, (dy_part, x_part, dx_part) in enumerate(zip(*parts, strict=True)):
            torch.ops.aten.native_batch_norm_backward.out(
                dy_part,
                x_part,
                weight,
                None,
                None,
                saved[0, i],
                saved[1, i],
                True,
                ctx.eps,
                _ALL,
                out0=dx_part,
                out1=affine[0, i],
                out2=affine[1, i],
            )
        dweight, dbias = affine.sum(1)
        return dx, dweight, dbias, None, None, None, None, None


def _format(x: Tensor) -> torch.memory_format:
    maps = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if maps else torch.contiguous_format
