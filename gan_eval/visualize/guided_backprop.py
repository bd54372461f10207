"""Guided backpropagation: the pixels that raise an activation, along paths that all speak for it.

Springenberg, Dosovitskiy, Brox & Riedmiller 2015, arXiv:1412.6806. Going back through a rectifier
y = max(x, 0), guided backpropagation lets a gradient g pass only where both x and g are positive:
g' = g [x > 0] [g > 0]. Plain backpropagation asks for x > 0 alone, a "deconvnet" for g > 0 alone.
A leaky rectifier y = max(x, slope x) has the same rule here. Its own derivative would send the
share `slope` of g through where x is negative, which is what guiding is there to stop.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_RECTIFIERS = (functional.relu, torch.relu, Tensor.relu, functional.leaky_relu)
_IN_PLACE: dict[Callable[..., Any], Callable[..., Tensor]] = {
    torch.relu_: torch.relu,
    Tensor.relu_: torch.relu,
    functional.leaky_relu_: functional.leaky_relu,
}


class GuidedBackprop(TorchFunctionMode):
    """A context in which networks are built whose rectifiers send gradients back guided.

    It stands where torch's relu and leaky relu are called, by modules or not, so that activations
    used twice or working in place need no hook; modules' do not work in place meanwhile.

    Example:
        >>> x = torch.tensor([3.0, -3.0], requires_grad=True)
        >>> with GuidedBackprop():
        ...     y = functional.leaky_relu(x, 0.2, inplace=False)
        >>> torch.autograd.grad(y.sum(), x)[0].tolist()
        [1.0, 0.0]
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func not in (*_RECTIFIERS, *_IN_PLACE):
            return func(*args, **given)
        x, *rest = args or (given.pop("input"),)
        if func in _IN_PLACE:
            rectify = _IN_PLACE[func]
            return x.copy_(_Guided.apply(x.clone(), lambda x: rectify(x, *rest, **given)))
        if func in (torch.relu, Tensor.relu):
            return _Guided.apply(x, torch.relu)
        return _Guided.apply(x, lambda x: func(x, *rest, **{**given, "inplace": False}))


class _Guided(torch.autograd.Function):
    """A rectifier with the guided rule in place of its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rectify: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x > 0)
        return rectify(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (positive,) = ctx.saved_tensors
        return grads[0].clamp_min(0) * positive, None
