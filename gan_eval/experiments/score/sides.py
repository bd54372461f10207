"""What can be scored, and scored against: anything that is images, or that makes or sums them up.

* a run, or a generator: as many samples as are asked for, of one seed, never on disk;
* a data set, folder or .npz as `open_images` takes it, with ":test" behind it for another split;
* an array: a tensor (n, channels, h, w), a NumPy array, .npy or single array of an .npz, all of
  them (n, h, w) or (n, h, w, channels), a torch data set of single ones, or a loader or iterator of
  batches, of which labels are left out; uint8 of an .npy that are too many to be held are streamed;
* statistics: an .npz with "mu" and "sigma".

Arrays are uint8, or floats in [0, 1], which become uint8 by the rule of `gan_eval.images`: every
image passes through the same 8 bits, whatever it was.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from gan_eval.data import Images, open_images
from gan_eval.data.arrays import DAMAGED, read_array, read_members
from gan_eval.data.images_set import fingerprint_pixels
from gan_eval.data.prepare import prepare
from gan_eval.data.source import ArrayRows, DiskRows, Rows, Source
from gan_eval.devices import as_one, gather, processes
from gan_eval.errors import InputError, one_line
from gan_eval.experiments.features import describe, form_of
from gan_eval.experiments.parts import joined
from gan_eval.experiments.score.pixels import Array, pixels_of, to_pixels
from gan_eval.features.statistics_file import Statistics, load_statistics
from gan_eval.files import StrPath, expanded
from gan_eval.images import layout_of
from gan_eval.models.dcgan import Generator
from gan_eval.models.runs import Epoch, Run
from gan_eval.models.sampling import generate

Given = str | Path | Run | Generator | Images | Array | Dataset[Any] | Iterable[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One side of a comparison.

    Attributes:
        name: as tables print it.
        open: returns the images in the size, channels and fit that it is given, as `open_images`
            has them; its own where it is given none. None where there are only statistics.
        run: whose samples they are.
        n: the number of samples, which are drawn by `open`; None where they are there already.
        about: JSON-able, of samples: what made them.
        form: of samples, the size, channels and fit in which real images are like them.
        statistics: in place of images.
    """

    name: str
    open: Callable[..., Images] | None = None
    run: Run | None = None
    n: int | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] = field(default_factory=dict)
    statistics: Statistics | None = None

    @property
    def known(self) -> bool:
        """Whether its statistics, if it is these, say by which extractor they were made."""
        return self.statistics is None or self.statistics.extractor is not None


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How samples are drawn: `n` of each run, of stream `seed`, by a kept `epoch` or the newest.

    Each of several processes draws its share and gets them all, or all of them `alone`.
    """

    n: int = 10_000
    seed: int = 0
    epoch: Epoch | None = None
    device: str = "cpu"
    alone: bool = False

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"n must be at least 1. Got {self.n}.")


def side_of(
    given: Given | Side, *, sampling: Sampling, root: StrPath | None = None, name: str = "array"
) -> Side:
    """Return what `given` is, one of the module's kinds; a side stays as it is.

    Args:
        sampling: of a run or generator.
        root: where named data sets are.
        name: of an array, which has none.

    Raises:
        InputError: it is none of them, or its files or weights cannot be read.
    """
    if isinstance(given, Side):
        return given
    if isinstance(given, str | Path):
        return _named(str(given), sampling, root)
    if isinstance(given, Run):
        network = given.load_generator(sampling.epoch)
        return _drawn(network, given.folder.resolve().name, sampling, given)
    if isinstance(given, Generator):
        return _drawn(given, "generator", sampling, None)
    if isinstance(given, Images):
        if given.pixels is not None:  # which may have been put in place of others
            fingerprint = fingerprint_pixels(given.pixels, given.labels)
            given = replace(given, fingerprint=fingerprint)
        return Side(name=f"{given.name}:{given.split}", open=partial(_fitted, given))
    return array_side(given, name)


def array_side(given: Array | Dataset[Any] | Iterable[Any], name: str = "array") -> Side:
    """Return the images of an array, a data set of images or an iterable of batches of them.

    Args:
        given: as the module says; of a data set's items that are tuples, the first is the image.
        name: as errors and tables shall call them.

    Raises:
        InputError: they are no images, or of values outside their range.
    """
    pixels = pixels_of(given, name)
    return Side(name=name, open=partial(_prepared, pixels, name))


def _prepared(pixels: Tensor, name: str, **form: Any) -> Images:
    """Return uint8 `pixels` (n, channels, h, w) as images of a form."""
    return _from_rows(ArrayRows(name, pixels.numpy()), name, **form)


def _from_rows(rows: Rows, name: str, **form: Any) -> Images:
    return prepare(Source(name=name, split="all", source="array", rows=rows), **form)


def _fitted(images: Images, **form: Any) -> Images:
    wanted = form.get("channels") or images.channels, form.get("size") or images.size
    if wanted == (images.channels, images.size):
        return images
    made = _prepared(images.take(range(len(images))), images.name, **form)
    return replace(made, split=images.split, source=images.source)


def _drawn(network: Generator, name: str, sampling: Sampling, run: Run | None) -> Side:
    network = deepcopy(network).to(sampling.device).eval()  # for it may be in training

    def draw(**form: Any) -> Images:
        images = _prepared(joined(_batches(network, sampling), sampling.n), name, **form)
        # Known by their pixels: hooks and classes of one's own may draw others by the same weights.
        return replace(images, split="samples", source="drawn")

    own = {"size": network.config.image_size, "channels": network.config.channels}
    return Side(
        name=name,
        open=draw,
        run=run,
        n=sampling.n,
        about={
            "seed": sampling.seed,
            "trained": describe(run, sampling.epoch) if run else None,
            "best": sampling.epoch == "best",
        },
        form=form_of(run.config()) if run else own,
    )


def _batches(network: Generator, sampling: Sampling) -> Iterator[Tensor]:
    """Yield all samples in order, of which each of several processes draws its share."""
    if sampling.alone:
        yield from (pixels for pixels, _ in generate(network, sampling.n, sampling.seed))
        return
    own = generate(network, sampling.n, sampling.seed, share=processes())
    done = 0
    while done < sampling.n:
        with as_one():
            drawn = next(own, None)
        for batch in filter(None, gather(drawn)):
            done += len(batch[0])
            yield batch[0]


def _named(text: str, sampling: Sampling, root: StrPath | None) -> Side:
    path = expanded(text)
    if Run(path).exists:
        return side_of(Run(path), sampling=sampling)
    if path.is_file() and path.suffix in (".npy", ".npz"):
        read = _of_npy if path.suffix == ".npy" else _of_npz
        side = read(path)
        if side is not None:
            return side
    data, split = (text, "train") if path.exists() else split_of(text)
    path = expanded(data).resolve()
    # Of folders the last two names, for each model's samples often lie in a samples/.
    name = "/".join(path.parts[-2:]) if path.is_dir() else path.name
    return Side(name=f"{name}:{split}", open=partial(open_images, data, root=root, split=split))


def split_of(text: str) -> tuple[str, str]:
    """Return a data set's name or path, and the split that is asked for behind a colon.

    Example:
        >>> split_of("cifar10:test"), split_of("cifar10")
        (('cifar10', 'test'), ('cifar10', 'train'))
    """
    data, colon, split = text.rpartition(":")
    return (data, split) if colon and "/" not in split else (text, "train")


def _of_npy(path: Path) -> Side:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGED as error:
        raise InputError(
            f"{path} must be a whole .npy of plain numbers. It cannot be read ({one_line(error)}); "
            "save it with np.save."
        ) from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path} must be one array. Got an archive; let its name end in .npz.")
    return _of_array(values, path)


def _of_npz(path: Path) -> Side | None:
    """Return the statistics or the single array in `path`; None for a data set."""
    members = read_members(path)
    if {"mu", "sigma"} <= members.keys():
        statistics = load_statistics(path)
        return Side(name=statistics.name, statistics=statistics)
    if len(members) == 1 and not next(iter(members)).endswith("_images"):
        return _of_array(read_array(path, next(iter(members))), path)
    return None


def _of_array(values: NDArray[np.generic], path: Path) -> Side:
    if isinstance(values, np.memmap) and values.dtype == np.uint8 and values.flags.c_contiguous:
        rows = DiskRows(path, values.offset, layout_of(values.shape, str(path)), (0, 3, 1, 2))
        return Side(name=path.name, open=partial(_from_rows, rows, path.name))
    pixels = to_pixels(values, str(path))
    return Side(name=path.name, open=partial(_prepared, pixels, path.name))
