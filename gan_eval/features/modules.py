"""Features from any `torch.nn.Module`: named layers, pooled as the paper pools its discriminator's.

Radford, Metz & Chintala 2015, section 5.1, for networks that are not ours: every named layer's maps
are max-pooled to a grid, flattened channel-major and concatenated.
"""

import pickle
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from gan_eval.devices import Precision, products, resolve_device
from gan_eval.errors import InputError, closest
from gan_eval.images import fit_square, to_channels
from gan_eval.models.weights import load_tensors, weights_sha256
from gan_eval.seeding import derive

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Modules:
    """uint8 images (n, channels, size, size) of any kind -> what chosen layers of a network make.

    Images of another side are resized (bilinear, antialiased, rounded to uint8), those with other
    channels become grey by luma or coloured by repetition. Maps (n, c, h, w) are max-pooled to
    `pool` x `pool`; rows (n, c) are taken as they are.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str],
        *,
        size: int,
        channels: int = 3,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
        pool: int = 4,
        name: str = "network",
        device: str = "cpu",
        precision: Precision = "32",
    ) -> None:
        """Take over `network`: it moves to `device` and into evaluation mode.

        Args:
            network: takes float images (n, channels, size, size). Its weights must stay as they
                are for as long as this extractor is used.
            layers: names of submodules, as `network.named_modules()` has them.
            size: side of the images that the network takes.
            channels: 1 or 3, of the images that the network takes.
            mean: what is subtracted from values in [0, 1], for all channels or for each.
            std: what they are divided by then. The defaults give [-1, 1].
            pool: side of the grid that maps are pooled to.
            name: what tables call it.
            device: "auto", "cuda", "mps" or "cpu".
            precision: "bf16" computes under `torch.autocast`.

        Raises:
            InputError: a layer is unknown, does not run exactly once or is not to be pooled, or
                batch norm would make rows depend on each other.
        """
        _check(network, layers)
        self.name = name
        self._device = resolve_device(device)
        self._network = network.to(self._device).eval()
        self._layers = {layer: network.get_submodule(layer) for layer in layers}
        self._size, self._channels, self._pool = size, channels, pool
        self._mean, self._std = (
            torch.tensor(values, device=self._device).view(-1, 1, 1) for values in (mean, std)
        )
        self._precision = precision
        self.width = self._probe()
        self.identity: Mapping[str, Any] = {
            "extractor": "modules",
            "network": type(network).__qualname__,
            "weights_sha256": weights_sha256(network),
            "layers": list(self._layers),
            "pool": f"max {pool}x{pool}",
            "mean": list(mean),
            "std": list(std),
            "size": size,
            "channels": channels,
            **({"grey": "repeated to three channels"} if channels == 3 else {}),
            "resize": "bilinear, antialiased, uint8",
            "precision": precision,
        }

    def prepare(self) -> None:
        """Do nothing: the network has learned already."""

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        if any(module.training for module in self._network.modules()):
            raise InputError(
                f"network {self.name!r} must be in evaluation mode: batch norm and dropout would "
                "make rows depend on each other and on chance. Got training mode; call its eval()."
            )
        images = fit_square(to_channels(images, self._channels), self._size, "crop")
        x = images.to(self._device).float().div_(255).sub_(self._mean).div_(self._std)
        found: dict[str, list[Tensor]] = {layer: [] for layer in self._layers}
        with ExitStack() as hooks, products(self._device, self._precision):
            for layer, module in self._layers.items():
                hook = partial(self._record, layer, found[layer])
                hooks.enter_context(module.register_forward_hook(hook))
            self._network(x)
        for layer, rows in found.items():
            if len(rows) != 1:
                raise InputError(
                    f"layer {layer!r} must run once when the network does. It ran {len(rows)} "
                    "times; name another."
                )
        return torch.cat([rows for (rows,) in found.values()], 1)

    def _probe(self) -> int:
        black = torch.zeros(1, self._channels, self._size, self._size, dtype=torch.uint8)
        try:
            return self(black).shape[1]
        except RuntimeError as error:
            raise InputError(
                f"network {self.name!r} must take images {tuple(black.shape[1:])}. It says "
                f"{_line(error)!r}; give it its own channels and size."
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
        rows.append(functional.adaptive_max_pool2d(out.float(), self._pool).flatten(1))


def torchvision_features(
    name: str,
    weights: Path | None = None,
    *,
    layers: Sequence[str] = (),
    size: int = 224,
    pool: int = 4,
    seed: int = 0,
    device: str = "cpu",
    precision: Precision = "32",
) -> Modules:
    """Return a classifier of torchvision as an extractor; nothing is downloaded.

    Args:
        name: as `torchvision.models.list_models` has it, such as "resnet18".
        weights: its state dict, .pth or .safetensors. None leaves the network untrained, as a
            control, and the extractor's name says so.
        layers: by default what the layer that makes the classes is fed, the network's own summary;
            the file may then be of a network with another number of classes.
        seed: of untrained weights.
        size, pool, device, precision: as `Modules` has them.

    Raises:
        InputError: the name is unknown, the file is not of this network, or `Modules` says no.
    """
    network = _untrained(name, seed)
    head = "" if layers else _without_head(network)
    if weights is not None:
        _fill(network, weights, head)
    return Modules(
        network,
        layers or [head],
        size=size,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pool=pool,
        name=f"torchvision:{name}" + ("" if weights else " (untrained)"),
        device=device,
        precision=precision,
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict, .safetensors or .pth, without running code from it.

    Raises:
        InputError: the file is missing, cut short, or holds anything but tensors by name.
    """
    if path.suffix == ".safetensors":
        return load_tensors(path)[0]
    if not path.is_file():
        raise InputError(f"weights file {path} must exist. Found none; give the path of one.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"weights file {path} must be a whole state dict, without code. "
            f"Got one that is not ({_line(error)}); save network.state_dict()."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(
            f"weights file {path} must hold tensors by name. Got others; save state_dict() alone."
        )
    return state


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _check(network: nn.Module, layers: Sequence[str]) -> None:
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


def _untrained(name: str, seed: int) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(f"torchvision network {name!r} is unknown. {closest(name, known)}")
    # torchvision draws from the global generator: give it ours, and put the user's back after.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.default_generator.manual_seed(derive(seed, "features", name))
        warnings.filterwarnings("ignore", "The default weight initialization of", FutureWarning)
        network: nn.Module = models.get_model(name, weights=None)
    return network


def _fill(network: nn.Module, path: Path, head: str) -> None:
    # PyTorch's own way in, which forgives what old files lack: batch norm's counters.
    state = {
        name: tensor
        for name, tensor in read_state(path).items()
        if not head or not name.startswith(f"{head}.")
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"weights file {path} must be of the network that is named. {_line(error)}; "
            "name the right one."
        ) from error


def _without_head(network: nn.Module) -> str:
    """Put the identity in place of what makes the classes, to see its input; return its name.

    That is the last linear layer or, where there is none (SqueezeNet), the last convolution.
    """
    linear, convolutions = (
        [where for where, module in network.named_modules() if isinstance(module, kind)]
        for kind in (nn.Linear, nn.Conv2d)
    )
    head: str = (linear or convolutions)[-1]
    network.set_submodule(head, nn.Identity())
    return head
