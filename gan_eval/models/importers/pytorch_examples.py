"""The weights that the DCGAN of pytorch/examples saves: dcgan/main.py, netG_epoch_N.pth and netD.

State dicts of an `nn.Sequential` called `main`: "main.0.weight" …, numbered over convolutions,
batch norms and activations alike. Running statistics are among them.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.files import StrPath, expanded
from gan_eval.models.config import Layer
from gan_eval.models.dcgan import Block
from gan_eval.models.importers.imported import Network, Part, build, hashes, write_imported
from gan_eval.models.presets import Preset, configure, preset
from gan_eval.models.run_config import ImportConfig
from gan_eval.models.runs import Run, new_run
from gan_eval.models.weights import read_state

_PRESET = "pytorch-examples"
_WIDTH = 64  # ngf and ndf in the preset
_NAME = re.compile(r"net[GD]_epoch_(\d+)\.pth")
# A count that PyTorch keeps since 0.4.1, and that nothing here reads.
_COUNT = "num_batches_tracked"

_State = Mapping[str, Tensor]


def import_pytorch_examples(generator: StrPath, discriminator: StrPath, out: StrPath) -> Run:
    """Return the run made in `out` of the state dicts of a generator and a discriminator.

    nz, nc, ngf and ndf are read from the shapes. Keys may begin with "module.", as `DataParallel`
    writes them.

    Args:
        generator: a `netG_epoch_N.pth`.
        discriminator: a `netD_epoch_N.pth`.
        out: a new or empty folder.

    Raises:
        InputError: `out` is taken, or a file is not such a state dict (nothing in it is ever
            executed); nothing was written.
    """
    run = new_run(out)
    generator, discriminator = expanded(generator), expanded(discriminator)
    paths: dict[Part, Path] = {"generator": generator, "discriminator": discriminator}
    states = {part: _read(path, part) for part, path in paths.items()}
    published = _as_wide(states["generator"], states["discriminator"], generator)
    networks = {part: build(published, part) for part in paths}
    for part, network in networks.items():
        _fill(network, states[part], paths[part])
    imported = ImportConfig(
        format="pytorch-examples",
        epoch=_epoch(generator, discriminator),
        generator=hashes([generator]),
        discriminator=hashes([discriminator]),
    )
    return write_imported(run, published, imported, networks, published.deviations)


def _read(path: Path, part: Part) -> _State:
    """Return the state dict in `path`, its keys and dimensions checked, its sizes not yet."""
    read, wanted = read_state(path), _named(build(preset(_PRESET), part))
    state = {
        name.removeprefix("module."): tensor
        for name, tensor in read.items()
        if not name.endswith(_COUNT)
    }
    rest = {name for name in state.keys() ^ wanted.keys() if not name.endswith(_COUNT)}
    if rest:
        name = min(rest)
        raise InputError(
            f"{path} must hold the tensors of a {part} of {_PRESET}. "
            f"{name!r} is {'missing' if name in wanted else 'not one of them'}; "
            f"pass a net{part[0].upper()}_epoch_N.pth."
        )
    for name, tensor in state.items():
        if tensor.dim() != wanted[name].dim() or not tensor.numel():
            raise _wrong_shape(name, tensor, wanted[name], path)
    return state


def _wrong_shape(name: str, tensor: Tensor, wanted: Tensor, path: Path) -> InputError:
    return InputError(
        f"{name!r} in {path} must have shape {tuple(wanted.shape)}. Got {tuple(tensor.shape)}; "
        f"pass files of the networks of {_PRESET}."
    )


def _as_wide(g_state: _State, d_state: _State, path: Path) -> Preset:
    """Return the preset with the sizes that the first and last kernels have."""
    latent_dim = g_state["main.0.weight"].shape[0]
    ngf, channels = g_state["main.12.weight"].shape[:2]
    ndf = d_state["main.0.weight"].shape[0]
    if channels not in (1, 3):
        raise InputError(f"images of {path} must have 1 or 3 channels. Got {channels}.")
    sized = configure(_PRESET, channels=channels, latent_dim=latent_dim)
    return replace(
        sized,
        generator=replace(sized.generator, layers=_scaled(sized.generator.layers, ngf)),
        discriminator=replace(sized.discriminator, layers=_scaled(sized.discriminator.layers, ndf)),
        deviations=(
            *sized.deviations,
            *(
                f"{name} {width} instead of {_WIDTH}"
                for name, width in (("ngf", ngf), ("ndf", ndf))
                if width != _WIDTH
            ),
        ),
    )


def _scaled(layers: tuple[Layer, ...], width: int) -> tuple[Layer, ...]:
    inner = (replace(layer, width=layer.width * width // _WIDTH) for layer in layers[:-1])
    return (*inner, layers[-1])


def _named(network: Network) -> dict[str, Tensor]:
    """Return the tensors of `network` by the keys that they have in the source."""
    named, index = {}, 0
    for block in network.blocks:
        assert isinstance(block, Block)
        named[f"main.{index}.weight"] = block.weight.detach()
        index += 1
        if block.norm is not None:
            state = block.norm.state_dict()
            named |= {f"main.{index}.{name}": tensor for name, tensor in state.items()}
            index += 1
        index += 1  # the activation
    return named


def _fill(network: Network, state: _State, path: Path) -> None:
    places = _named(network)
    for name, tensor in state.items():
        if tensor.shape != places[name].shape:
            raise _wrong_shape(name, tensor, places[name], path)
        if tensor.is_complex() or not torch.isfinite(tensor).all():
            raise InputError(
                f"{name!r} in {path} must hold finite numbers. Got others; restore it from a copy."
            )
        places[name].copy_(tensor)


def _epoch(*paths: Path) -> int | None:
    """Return the epoch in the files' names, where they agree."""
    found = [_NAME.fullmatch(path.name) for path in paths]
    epochs = {int(match[1]) if match else None for match in found}
    return epochs.pop() if len(epochs) == 1 else None
