"""The weights that the DCGAN authors' code leaves: Newmu/dcgan_code, Radford et al. 2015.

`<epoch>_{gen,discrim}_params.jl_NN.npy`: one array a file, layer by layer, weights and then gain
and bias where there is batch norm. Dense matrices are (in, out), transposed kernels are
(in, out, h, w), and the units of a dense stem are channels first. Theano convolves where PyTorch
correlates, so every kernel is flipped in height and width: without that nothing fails, and samples
smear. The `.jl` beside the arrays is a pickle that says nothing more; it is never opened.

The files hold no batch-norm statistics. The authors take those of the batch when they sample, and
re-estimate D's on the images that are classified. Here G's are estimated from draws of z, and D's,
as no images are there, from G's samples; an experiment on images re-estimates D's.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.files import StrPath, expanded
from gan_eval.models.dcgan import Block, Discriminator, Generator
from gan_eval.models.importers.imported import SEED, Network, Part, build, hashes, write_imported
from gan_eval.models.presets import Preset, preset
from gan_eval.models.run_config import ImportConfig
from gan_eval.models.runs import Run, new_run
from gan_eval.models.statistics import batch_statistics, set_statistics
from gan_eval.seeding import stream

_PRESETS = ("radford2015-svhn", "radford2015-imagenet32", "radford2015")
_NAME = re.compile(r"(\d+)_(gen|discrim)_params\.jl_(\d+)\.npy")
_PARTS: dict[str, Part] = {"gen": "generator", "discrim": "discriminator"}

# The authors' batches, and about ten thousand draws.
_BATCH, _BATCHES = 128, 80

_Array = np.ndarray[Any, np.dtype[Any]]
_Numbered = Mapping[int, _Array]  # by the number in the file's name, from 1


def import_newmu(folder: StrPath, out: StrPath, *, batches: int = _BATCHES) -> Run:
    """Return the run made in `out` of the arrays in `folder`; their shapes say which preset it is.

    Of several epochs the newest is taken, one with both networks before one with a single network;
    of a single network a run is made all the same.

    Args:
        folder: holds `<epoch>_{gen,discrim}_params.jl_NN.npy`.
        out: a new or empty folder.
        batches: how many batches of 128 draws of z give the batch-norm statistics.

    Raises:
        InputError: `out` is taken, an array is missing or damaged, or the shapes are those of no
            preset; nothing was written.
    """
    if batches < 1:
        raise InputError(f"batches must be at least 1. Got {batches}.")
    run = new_run(out)
    epoch, files = _newest(expanded(folder))
    arrays = {part: {n: _open(path) for n, path in files[part].items()} for part in files}
    published = _recognise(arrays)
    networks = {part: build(published, part) for part in files}
    for part, network in networks.items():
        _fill(network, arrays[part], files[part])
    deviations = _estimate_statistics(networks, batches)
    imported = ImportConfig(
        format="newmu",
        epoch=epoch,
        generator=hashes(files.get("generator", {}).values()),
        discriminator=hashes(files.get("discriminator", {}).values()),
    )
    return write_imported(run, published, imported, networks, deviations)


def _newest(folder: Path) -> tuple[int, dict[Part, dict[int, Path]]]:
    """Return the epoch to import and the files of the networks that it has."""
    epochs: dict[int, dict[Part, dict[int, Path]]] = {}
    for path in sorted(folder.glob("*.npy")):
        if (match := _NAME.fullmatch(path.name)) and path.is_file():
            parts = epochs.setdefault(int(match[1]), {})
            parts.setdefault(_PARTS[match[2]], {})[int(match[3])] = path
    if not epochs:
        raise InputError(
            f"folder {folder} must hold files such as 200_gen_params.jl_01.npy. Found none; "
            "check the path."
        )
    newest = max(epochs, key=lambda epoch: (len(epochs[epoch]), epoch))
    return newest, epochs[newest]


def _open(path: Path) -> _Array:
    """Return the array in `path`, mapped: its shape is looked at before its values are read."""
    try:
        # As `np.load(allow_pickle=False)`, but for .npy files only.
        array: _Array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # damaged headers fail in many ways
        raise InputError(
            f"{path} must be a whole .npy file. Got one that is not ({type(error).__name__}); "
            "restore it from a copy."
        ) from error
    if array.dtype.kind != "f":
        raise InputError(
            f"{path} must hold floating-point numbers. Got {array.dtype}; restore it from a copy."
        )
    return array


def _recognise(arrays: Mapping[Part, _Numbered]) -> Preset:
    """Return the preset whose networks have arrays of these shapes."""
    faults = {name: list(_faults(name, arrays)) for name in _PRESETS}
    closest = min(_PRESETS, key=lambda name: len(faults[name]))
    if faults[closest]:
        raise InputError(
            f"{faults[closest][0]}; pass a folder with all arrays of {', '.join(_PRESETS[:-1])} or "
            f"{_PRESETS[-1]}."
        )
    return preset(closest)


def _faults(name: str, arrays: Mapping[Part, _Numbered]) -> Iterator[str]:
    """Yield, for each array that preset `name` would have otherwise, what it should be."""
    for part, found in arrays.items():
        with torch.device("meta"):
            wanted = [_shape_there(tensor) for tensor in _tensors(build(preset(name), part))]
        rules = dict(enumerate(wanted, 1))
        for number in sorted(rules.keys() | found.keys()):
            rule = rules.get(number)
            shape = found[number].shape if number in found else None
            if shape != rule:
                must = "not be there" if rule is None else f"have shape {rule}"
                got = "none" if shape is None else shape
                yield f"array {number:02d} of the {part} must {must}, as in {name}. Got {got}"


def _tensors(network: Network) -> Iterator[Tensor]:
    """Yield what the authors' arrays fill, in their order."""
    for block in network.blocks:
        assert isinstance(block, Block)
        yield block.weight
        if block.norm is not None:
            yield block.norm.weight
            yield block.norm.bias


def _shape_there(tensor: Tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    return shape[::-1] if len(shape) == 2 else shape


def _as_here(array: _Array) -> _Array:
    """Return kernels flipped, matrices transposed, vectors as they are."""
    return np.flip(array, (2, 3)) if array.ndim == 4 else array.T


@torch.no_grad()
def _fill(network: Network, arrays: _Numbered, files: Mapping[int, Path]) -> None:
    for number, tensor in enumerate(_tensors(network), 1):
        values = np.array(_as_here(arrays[number]), dtype=np.float32, order="C")
        if not np.isfinite(values).all():
            raise InputError(
                f"{files[number]} must hold finite numbers. Got others; restore it from a copy."
            )
        tensor.copy_(torch.from_numpy(values))


@torch.no_grad()
def _estimate_statistics(networks: Mapping[Part, Network], batches: int) -> tuple[str, ...]:
    """Set the batch-norm statistics of `networks` and return what of that the source does not."""
    generator, discriminator = networks.get("generator"), networks.get("discriminator")
    if not isinstance(generator, Generator):
        return (
            "D's batch-norm statistics are mean 0 and variance 1: the files hold none, and there "
            "is no G whose samples could give them",
        )

    def draws(name: Part) -> Iterator[Tensor]:
        source = stream(SEED, "import", name)
        return (generator.draw(_BATCH, source) for _ in range(batches))

    set_statistics(generator, _mean(batch_statistics(generator, z) for z in draws("generator")))
    deviations: tuple[str, ...] = (
        f"G's batch-norm statistics are the means of {batches} batches of {_BATCH} draws of z, "
        "where the source samples with those of the batch",
    )
    if isinstance(discriminator, Discriminator):
        samples = (generator.eval()(z) for z in draws("discriminator"))
        means = _mean(batch_statistics(discriminator, images) for images in samples)
        set_statistics(discriminator, means)
        deviations += (
            f"D's batch-norm statistics are the means of {batches} batches of {_BATCH} of G's "
            "samples: the files hold none, and no training images",
        )
    return deviations


def _mean(statistics: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(statistics)).mean(0)
