"""The one generator and the one discriminator: every published DCGAN is a list of layers for them.

Radford, Metz & Chintala 2015, arXiv:1511.06434, section 3.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_eval.devices import check_default_device
from gan_eval.errors import InputError
from gan_eval.models.config import (
    Activation,
    DiscriminatorConfig,
    GeneratorConfig,
    Layer,
    Norm,
)
from gan_eval.models.convolution import convolve, convolve_transposed

INIT_STD = 0.02
_SLOPE = 0.2
# Maps of C classes alone are C images of C maps each: of more classes nearly what a batch costs,
# and memory that grows with their square.
_FEW_CLASSES = 64

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    # In place: what feeds them (a convolution or batch norm) needs its output no more, and a second
    # copy of the maps would double the memory that every layer moves.
    "relu": lambda x: functional.relu(x, inplace=True),
    "leaky_relu": lambda x: functional.leaky_relu(x, _SLOPE, inplace=True),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "none": lambda x: x,
}


def _plain_on_mps(x: Tensor) -> Tensor:
    """Return maps in the plain layout where they lie on Apple's MPS.

    Gradients of channels-last ones are wrong there without a word, or end the process: of batch
    norm before torch 2.14 (PyTorch's issue 175189), and of pooling (175190).
    """
    return x.contiguous() if x.device.type == "mps" else x


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over (n, units) or (n, maps, h, w), with the affine terms that learn.

    A gain or bias that does not learn stays in the state as ones or zeros, so that every preset
    has the same files.
    """

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__(width, eps=norm.eps, momentum=norm.momentum, dtype=torch.float32)
        self.weight.requires_grad = norm.affine == "gain_and_bias"
        self.bias.requires_grad = norm.affine != "none"

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` normalised, and let training move the running averages."""
        normalised: Tensor = super().forward(_plain_on_mps(input))
        return normalised

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 4):
            raise ValueError(f"expected (n, units) or (n, maps, h, w). Got {tuple(input.shape)}.")


class Block(nn.Module):
    """One `Layer`, built: (n, in) or (n, in, h, h), and labels (n, classes), to its activation."""

    def __init__(
        self, layer: Layer, fan_in: int, side: int, units: int, norm: Norm, bias: bool
    ) -> None:
        """Take `fan_in` input maps or units, labels included; `units` are a dense layer's."""
        super().__init__()
        self.layer, self.side = layer, side
        if layer.kind == "dense":
            weight = torch.empty(units, fan_in, dtype=torch.float32)
        elif layer.kind == "conv":
            weight = _kernels(layer.width, fan_in, layer.kernel)
        else:
            weight = _kernels(fan_in, layer.width, layer.kernel)
        self.weight = nn.Parameter(weight)
        values = units if layer.kind == "dense" else layer.width
        self.bias = nn.Parameter(torch.zeros(values, dtype=torch.float32))
        if not bias:
            self.register_parameter("bias", None)
        normed = {"maps": layer.width, "units": units}.get(layer.norm)
        self.norm = BatchNorm(normed, norm) if normed else None

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        layer = self.layer
        if layer.kind == "dense":
            x = x.flatten(1)
        elif x.dim() == 2:  # z, or maps of 1 x 1 from a dense stem
            x = x[:, :, None, None]
        if layer.resize > 1:
            x = functional.interpolate(x, scale_factor=layer.resize, mode="bilinear")
        x = self._of_class(x, label) if layer.label else self._linear(x, self.weight, self.bias)
        x = self._normalise(x)
        x = _ACTIVATIONS[layer.activation](x)
        return functional.avg_pool2d(_plain_on_mps(x), layer.pool) if layer.pool > 1 else x

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        layer = self.layer
        if layer.kind == "dense":
            return functional.linear(x, weight, bias)
        if layer.kind == "conv":
            return convolve(x, weight, bias, layer.stride, layer.padding)
        return convolve_transposed(x, weight, bias, layer.stride, layer.padding, self.side)

    def _of_class(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Return what the layer makes of `x` and, behind it, a constant map or unit of each class.

        Maps by linearity: the share of a class is the same for all its images, and is made once,
        where there are few enough to make all.
        """
        assert label is not None
        if x.dim() == 2 or label.shape[1] > _FEW_CLASSES:
            return self._linear(_with_label(x, label), self.weight, self.bias)
        parts = [x.shape[1], label.shape[1]]
        own, classes = torch.split(self.weight, parts, 0 if self.layer.kind == "transposed" else 1)
        maps = self._linear(x, own, self.bias)
        each = torch.eye(parts[1], dtype=x.dtype, device=x.device)[:, :, None, None]
        each = each.expand(-1, -1, *x.shape[2:]).contiguous(memory_format=torch.channels_last)
        shares = self._linear(each, classes, None).permute(0, 2, 3, 1)
        added = label.to(shares.dtype) @ shares.flatten(1)
        return maps + added.view(-1, *shares.shape[1:]).permute(0, 3, 1, 2)

    def _normalise(self, x: Tensor) -> Tensor:
        if self.layer.norm == "units" and self.norm is not None:
            x = self.norm(x)
        if self.layer.kind == "dense" and self.side > 1:
            x = x.view(len(x), self.layer.width, self.side, self.side)
            x = x.contiguous(memory_format=torch.channels_last)
        if self.layer.norm == "maps" and self.norm is not None:
            x = self.norm(x)
        return x


class Generator(nn.Module):
    """z (n, latent_dim), uniform in [-1, 1] or standard normal -> images (n, channels, s, s).

    Values lie in [-1, 1] (tanh) or [0, 1] (sigmoid), as `config.scale` says. A conditional network
    also takes labels, int64 (n,). Weights are whatever lies in memory until `initialise` draws
    them, or they are loaded.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList()
        fan_in = config.latent_dim
        for layer, side in zip(config.layers, config.sizes(), strict=True):
            fan_in += config.classes if layer.label else 0
            units = layer.width * side**2
            self.blocks.append(Block(layer, fan_in, side, units, config.norm, config.bias))
            fan_in = layer.width

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x, label = z, _one_hot(labels, self.config.classes, z)
        for block in self.blocks:
            x = block(x, label)
        return x

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n points of the prior, (n, latent_dim), drawn on the CPU from `generator`.

        Raises:
            InputError: torch's default device is another.
        """
        check_default_device()
        shape = (n, self.config.latent_dim)
        if self.config.prior == "normal":
            return torch.randn(shape, generator=generator, dtype=torch.float32)
        return torch.rand(shape, generator=generator, dtype=torch.float32).mul_(2).sub_(1)


class Discriminator(nn.Module):
    """Images (n, channels, s, s) in the generator's range -> logits (n,) of being real.

    Weights are whatever lies in memory until `initialise` draws them, or they are loaded.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList()
        fan_in, before = config.channels, config.image_size
        for layer, side in zip(config.layers, config.sizes(), strict=True):
            if layer.kind == "dense" and before > 1:
                fan_in *= before**2
            fan_in += config.classes if layer.label else 0
            self.blocks.append(Block(layer, fan_in, side, layer.width, config.norm, config.bias))
            fan_in, before = layer.width, side

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        x, label = images, _one_hot(labels, self.config.classes, images)
        for block in self.blocks:
            x = block(x, label)
        return x.flatten()

    def activations(self, images: Tensor, labels: Tensor | None = None) -> Iterator[Tensor]:
        """Yield each layer's output (after batch norm, activation and pooling), first to last."""
        x, label = images, _one_hot(labels, self.config.classes, images)
        for block in self.blocks:
            x = block(x, label)
            yield x


def initialise(network: Generator | Discriminator, generator: torch.Generator) -> None:
    """Draw all weights from `generator` as the network's config says: N(0, .02), biases 0."""
    config = network.config
    for block in network.blocks:
        assert isinstance(block, Block)
        init = config.dense_init if block.layer.kind == "dense" else config.conv_init
        _draw(block.weight, init, generator)
        if block.norm is not None and config.norm.gain_std:
            nn.init.normal_(
                block.norm.weight, config.norm.gain_mean, config.norm.gain_std, generator=generator
            )


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable values."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _kernels(first: int, second: int, side: int) -> Tensor:
    """Return empty (first, second, side, side) weights laid out channels-last.

    Also where `second` is 1 and every layout is the same in memory: the strides are what the
    convolution goes by, and without them it would leave channels-last for one layer.
    """
    kernels = torch.empty(first, side, side, second, dtype=torch.float32)
    return kernels.permute(0, 3, 1, 2)


def _draw(weight: Tensor, init: str, generator: torch.Generator) -> None:
    if init == "normal":
        nn.init.normal_(weight, 0.0, INIT_STD, generator=generator)
    else:
        # TensorFlow's truncated normal: cut at two standard deviations.
        bound = 2 * INIT_STD
        nn.init.trunc_normal_(weight, 0.0, INIT_STD, -bound, bound, generator=generator)


def _one_hot(labels: Tensor | None, classes: int, like: Tensor) -> Tensor | None:
    if not classes:
        return None
    if labels is None:
        raise InputError("labels are needed: the network is conditional. Got none; pass labels.")
    return functional.one_hot(labels, classes).to(like.device, torch.float32)


def _with_label(x: Tensor, label: Tensor) -> Tensor:
    if x.dim() == 4:
        label = label[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat([x, label.to(x.dtype)], 1)
