"""Weights on disk: safetensors only, written whole or not at all, never code."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from gan_eval.errors import InputError, one_line
from gan_eval.files import parse_json, write_bytes


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, object]) -> None:
    """Write `tensors` and the JSON-able `about` to one safetensors file, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One entry: safetensors writes several in an order that changes from process to process.
    header = {"about": json.dumps(dict(about))}
    # As bytes: `save_file` writes to a temporary file of its own, which a kill would leave behind.
    write_bytes(path, save(plain, header))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Return the tensors of a safetensors file and what was said about them.

    Raises:
        InputError: the file is missing, cut short or of another kind (a pickle, say).
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in list(file.keys())}, _about(file)


def read_about(path: Path) -> dict[str, object]:
    """Return what was said about the tensors of a safetensors file, without reading them."""
    with _opened(path) as file:
        return _about(file)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise InputError(f"weights file {path} must exist. Found none; train or import first.")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise InputError(
            f"weights file {path} must be a whole safetensors file; pickles are never read. "
            f"Got one that is not ({error}); restore it from a copy, or train again."
        ) from error


def _about(file: Any) -> dict[str, object]:
    try:
        about = parse_json((file.metadata() or {}).get("about", "{}"))
    except ValueError:
        return {}  # another program's word for something else
    return about if isinstance(about, dict) else {}


def save_network(path: Path, network: nn.Module, about: Mapping[str, object]) -> None:
    """Write the parameters and buffers of `network`."""
    save_tensors(path, network.state_dict(), about)


def load_network(path: Path, network: nn.Module) -> dict[str, object]:
    """Fill `network` from `path` and return what the file says about itself."""
    tensors, about = load_tensors(path)
    fill(network, tensors, path)
    return about


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy `tensors` into the parameters and buffers of `network`, all of them and no others.

    Raises:
        InputError: a name, a shape or the kind of number differs; the network is left as it was.
    """
    state = network.state_dict()
    wrong = sorted(state.keys() ^ tensors.keys())
    if wrong:
        raise InputError(
            f"weights file {path} must hold the tensors of this network. "
            f"{wrong[0]!r} is in only one of them; use the run's own file."
        )
    for name, tensor in tensors.items():
        if tensor.shape != state[name].shape:
            raise InputError(
                f"{name!r} in weights file {path} must have shape {tuple(state[name].shape)}. "
                f"Got {tuple(tensor.shape)}; use the file of the same preset and image size."
            )
        kinds = [(each.is_floating_point(), each.is_complex()) for each in (tensor, state[name])]
        if kinds[0] != kinds[1]:
            raise InputError(
                f"{name!r} in weights file {path} must be of {state[name].dtype}, or a like type. "
                f"Got {tensor.dtype}, which would lose its values; restore the file from a copy."
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            state[name].copy_(tensor)


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
    except Exception as error:  # a text is a pickle too, of whatever its letters mean
        raise InputError(
            f"weights file {path} must be a whole state dict, without code. "
            f"Got one that is not ({one_line(error)}); save network.state_dict()."
        ) from error
    if not isinstance(state, dict):
        raise _no_state(path, type(state).__name__)
    for name, value in state.items():
        plain = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta
        if not (isinstance(name, str) and plain):
            raise _no_state(path, f"{name!r}: {type(value).__name__}")
    return state


def _no_state(path: Path, found: str) -> InputError:
    return InputError(
        f"weights file {path} must hold tensors by name. Got others ({found}); save state_dict() "
        "alone."
    )


def weights_sha256(network: nn.Module) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # As bytes, for NumPy has no bfloat16.
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
