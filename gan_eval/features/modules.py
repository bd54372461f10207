"""Features from any `torch.nn.Module`: named layers, pooled as the paper pools its discriminator's.

Radford, Metz & Chintala 2015, section 5.1, for networks that are not ours: every named layer's maps
are max-pooled to a grid, flattened channel-major and concatenated.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_eval.devices import resolve_device
from gan_eval.errors import InputError, closest, one_line
from gan_eval.features.code_hash import code_sha256
from gan_eval.features.extractor import max_pooled
from gan_eval.images import fit_square, to_channels
from gan_eval.models.weights import weights_sha256
from gan_eval.precision import Precision, products, resolve_precision


class Modules:
    """uint8 images (n, channels, size, size) of any kind -> what chosen layers of a network make.

    Images of another side are resized (bilinear, antialiased, rounded to uint8), those with other
    channels become grey by luma or coloured by repetition. Maps (n, c, h, w) are max-pooled to
    `pool` x `pool`; rows (n, c) are taken as they are.

    Attributes:
        size: side of the images that the network takes.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str],
        *,
        size: int,
        channels: int = 3,
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.5,
        pool: int = 4,
        name: str = "network",
        device: str = "cpu",
        precision: Precision = "32",
    ) -> None:
        """Take over `network`: it moves to `device` and into evaluation mode.

        Args:
            network: takes float images (n, channels, size, size), in the type of its weights. These
                must stay as they are while features are made, but may learn on in between. One that
                is compiled is used as it was before.
            layers: names of submodules, as `network.named_modules()` has them.
            size: side of the images that the network takes.
            channels: 1 or 3, of the images that the network takes.
            mean: what is subtracted from values in [0, 1], for all channels or for each.
            std: what they are divided by then. The defaults give [-1, 1].
            pool: side of the grid that maps are pooled to, at least 1.
            name: what tables call it.
            device: "auto", "cuda", "mps" or "cpu".
            precision: "bf16" computes under `torch.autocast`.

        Raises:
            InputError: a layer is unknown, does not run exactly once or is not to be pooled, or
                batch norm would make rows depend on each other.
        """
        network = getattr(network, "_orig_mod", network)
        _check(network, layers)
        if pool < 1:
            raise InputError(f"pool must be at least 1. Got {pool}; pass 4, as the paper does.")
        self.name, self.size = name, size
        self._device = resolve_device(device)
        self._network = network.to(self._device).eval()
        self._dtype = next((each.dtype for each in network.parameters()), torch.float32)
        self._layers = {layer: network.get_submodule(layer) for layer in layers}
        self._channels, self._pool = channels, pool
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=self._device).view(-1, 1, 1)
            for values in (mean, std)
        )
        self._precision = resolve_precision(precision, self._device)
        self.width = self._probe()
        self._use: Mapping[str, Any] = {
            "extractor": "modules",
            "network": type(network).__qualname__,
            # Once: what a network counts while it runs is not what it computes.
            "code_sha256": code_sha256(network),
            "layers": list(self._layers),
            "pool": f"max {pool}x{pool}",
            "mean": self._mean.flatten().tolist(),
            "std": self._std.flatten().tolist(),
            "size": size,
            "channels": channels,
            **({"grey": "repeated to three channels"} if channels == 3 else {}),
            "resize": "bilinear, antialiased, uint8",
            "precision": self._precision,
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        """What rows depend on, with the weights as they are now: they may have learned on."""
        return {**self._use, "weights_sha256": weights_sha256(self._network)}

    def prepare(self) -> None:
        """Do nothing: the network has learned already."""

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        if any(module.training for module in self._network.modules()):
            raise InputError(
                f"network {self.name!r} must be in evaluation mode: batch norm and dropout would "
                "make rows depend on each other and on chance. Got training mode; call its eval()."
            )
        images = fit_square(to_channels(images, self._channels), self.size, "crop")
        x = images.to(self._device).float().div_(255).sub_(self._mean).div_(self._std)
        found: dict[str, list[Tensor]] = {layer: [] for layer in self._layers}
        with ExitStack() as hooks, products(self._device, self._precision):
            for layer, module in self._layers.items():
                hook = partial(self._record, layer, found[layer])
                hooks.enter_context(module.register_forward_hook(hook))
            self._network(x.to(self._dtype))
        for layer, rows in found.items():
            if len(rows) != 1:
                raise InputError(
                    f"layer {layer!r} must run once when the network does. It ran {len(rows)} "
                    "times; name another."
                )
        return torch.cat([rows for (rows,) in found.values()], 1)

    def _probe(self) -> int:
        black = torch.zeros(1, self._channels, self.size, self.size, dtype=torch.uint8)
        try:
            return self(black).shape[1]
        except InputError:
            raise
        except Exception as error:  # whatever a network says to what it cannot take
            raise InputError(
                f"network {self.name!r} must take images {tuple(black.shape[1:])}. It says "
                f"{one_line(error)!r}; give it its own channels and size."
            ) from error

    def _record(
        self, layer: str, rows: list[Tensor], module: nn.Module, inputs: object, out: object
    ) -> None:
        """Add to `rows` what `layer` made: a copy, as what follows may change it in place."""
        if isinstance(out, Tensor) and out.dim() == 2:
            rows.append(out.to(torch.float32, copy=True))
            return
        if not isinstance(out, Tensor) or out.dim() != 4:
            kind = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise InputError(
                f"layer {layer!r} must give maps (n, c, h, w) or rows (n, c). Got {kind}; "
                "name another."
            )
        if min(out.shape[2:]) < self._pool:
            raise InputError(
                f"layer {layer!r} must have maps of at least pool = {self._pool} a side. "
                f"Got {out.shape[2]}x{out.shape[3]}; leave it out, pool to less or take "
                "larger images."
            )
        rows.append(max_pooled(out.float(), self._pool).flatten(1))


def _check(network: nn.Module, layers: Sequence[str]) -> None:
    if isinstance(layers, str):
        raise InputError(f"layers must be a list of names. Got {layers!r}; pass [{layers!r}].")
    modules = dict(network.named_modules())
    for layer in layers:
        if layer not in modules:
            raise InputError(f"layer {layer!r} is unknown. {closest(layer, filter(None, modules))}")
    if not layers:
        raise InputError("layers must name one layer at least. Got none; name some.")
    for where, module in modules.items():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise InputError(
                f"batch norm {where!r} must keep running statistics, or rows depend on their "
                "batch. Got track_running_stats=False; set it."
            )
