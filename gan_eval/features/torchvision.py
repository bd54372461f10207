"""Classifiers of torchvision as extractors, from local files of their weights."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from gan_eval.errors import InputError, closest, one_line
from gan_eval.features.modules import Modules
from gan_eval.files import StrPath, expanded
from gan_eval.models.weights import read_state
from gan_eval.precision import Precision
from gan_eval.seeding import derive

SIDE = 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def torchvision_features(
    name: str,
    weights: StrPath | None = None,
    *,
    layers: Sequence[str] = (),
    size: int = SIDE,
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
    # Weights of GoogLeNet and Inception were learned with another scaling of images.
    ours = hasattr(network, "transform_input")
    head = "" if layers else _without_head(network)
    if weights is not None:
        _fill(network, expanded(weights), head)
    return Modules(
        network,
        layers or [head],
        size=size,
        mean=0.5 if ours else IMAGENET_MEAN,
        std=0.5 if ours else IMAGENET_STD,
        pool=pool,
        name=f"torchvision:{name}" + ("" if weights else " (untrained)"),
        device=device,
        precision=precision,
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
            f"weights file {path} must be of the network that is named. {one_line(error)}; "
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
