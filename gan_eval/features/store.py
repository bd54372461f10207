"""Features on disk: computed once, found again by what determines them.

A key is the start of a SHA-256 over the extractor's identity, the images' contents and number, and
the type of the values. What these leave out (batch size, device, number of processes) changes
rounding at most; where an identity says "depends_on_batch", the batch size is part of it.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_eval.data import Images
from gan_eval.devices import as_one, gather, processes
from gan_eval.errors import InputError
from gan_eval.features.array_file import ArrayFile
from gan_eval.features.extractor import Extractor
from gan_eval.files import StrPath, expanded, plain_number
from gan_eval.precision import own_settings
from gan_eval.records import versions

FORMAT = 1
STORE_VARIABLE = "GAN_EVAL_STORE"
# Rows in a chunk, at most: what a kill can cost, and how often the disk is waited for.
_CHUNK = 1000

DType = Literal["float16", "float32"]


def default_store() -> Path:
    """Return the folder that GAN_EVAL_STORE names, or ~/.cache/gan_eval/features."""
    named = os.environ.get(STORE_VARIABLE)
    return expanded(named) if named else Path.home() / ".cache" / "gan_eval" / "features"


@own_settings()
def extract(
    extractor: Extractor,
    images: Images,
    *,
    store: StrPath,
    dtype: DType = "float16",
    batch_size: int = 100,
    progress: Callable[[int], None] | None = None,
) -> NDArray[Any]:
    """Return the features of `images`, (n, width), as a read-only map of a file in `store`.

    What is there already is not computed again; what was broken off is continued. Of several
    processes (`gan_eval.devices.make_fabric`, called first by each) everyone computes its
    share of the rows and returns them all; `store` must be one folder for them, on several machines
    a shared file system. A second program that wants the same features waits for them.

    Args:
        extractor: is prepared only if a row is missing.
        images: held or streamed.
        store: the folder; made where there is none.
        dtype: float16 keeps 11 bits of values up to 65,504.
        batch_size: images that the extractor is given at once.
        progress: called after each batch with the number of rows that are done, on the first of
            several processes with an estimate from its own.

    Raises:
        InputError: a feature is not finite, or too large for `dtype`, or processes were asked for
            different features.
        OSError: the disk has no room for all rows; nothing is left there.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1. Got {batch_size}; pass 100, say.")
    about = _agreed(_about(extractor, images, dtype, batch_size))
    text = json.dumps(
        about, sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain_number
    )
    file = ArrayFile(
        store=expanded(store),
        key=hashlib.sha256(text.encode()).hexdigest()[:32],
        shape=(len(images), extractor.width),
        dtype=dtype,
        # Whole batches, so that no row depends on where work was broken off or who did it.
        chunk=max(1, _CHUNK // batch_size) * batch_size,
    )
    rank, _ = processes()
    # The first process looks and decides for all: what others see may lag behind.
    with ExitStack() as held:
        if not gather(file.finished())[0]:
            missing = False
            with as_one():
                if rank == 0:
                    held.enter_context(file.alone())
                    missing = file.begin()
            if gather(missing)[0]:
                # What one process refuses is refused by all, so that the first sweeps up.
                with as_one():
                    extractor.prepare()
                with as_one():
                    _fill(file, extractor, images, batch_size, progress)
            with as_one():
                if rank == 0:
                    file.finish({**about, "versions": versions()})
    rows: NDArray[Any] = np.load(file.path, mmap_mode="r")
    return rows


def _about(extractor: Extractor, images: Images, dtype: DType, batch_size: int) -> dict[str, Any]:
    """Return what determines the rows."""
    identity = dict(extractor.identity)
    return {
        "identity": identity,
        "images": images.contents,
        "n": len(images),
        "dtype": dtype,
        "format": FORMAT,
        **({"batch_size": batch_size} if identity.get("depends_on_batch") else {}),
    }


def _agreed(about: dict[str, Any]) -> dict[str, Any]:
    """Return what the first of several processes says the rows are.

    Another one may have less memory free, and have streamed the same images.
    """
    every = gather(about)
    for rank, other in enumerate(every):
        if _beside_images(other) != _beside_images(every[0]):
            raise InputError(
                f"processes must extract the same features. Those of process {rank} differ from "
                "the first one's; give all the same weights, --device and --precision."
            )
    return every[0]


def _beside_images(about: dict[str, Any]) -> dict[str, Any]:
    """Return `about` without what names images: of the rows, or those that were learned from."""
    of_images = dict.fromkeys(("statistics_of", "train"))
    return {**about, "images": None, "identity": {**about["identity"], **of_images}}


def _fill(
    file: ArrayFile,
    extractor: Extractor,
    images: Images,
    batch_size: int,
    progress: Callable[[int], None] | None,
) -> None:
    """Compute this process's missing chunks: every `world`-th is its own, missing or not."""
    (rank, world), n = processes(), len(images)
    marks = file.done()
    done = min(n, sum(marks) * file.chunk)

    def rows(chunk: int) -> Iterator[bytes]:
        nonlocal done
        end = min(n, (chunk + 1) * file.chunk)
        for start in range(chunk * file.chunk, end, batch_size):
            taken = range(start, min(end, start + batch_size))
            yield _packed(extractor, images.take(taken), start, file.dtype)
            done = min(n, done + len(taken) * world)
            if progress and rank == 0:
                progress(done)

    for chunk in range(rank, len(marks), world):
        if not marks[chunk]:
            file.write(chunk, rows(chunk))


def _rows(extractor: Extractor, images: Tensor) -> Tensor:
    """Return the rows of `images`; an extractor may be anybody's."""
    with torch.no_grad():
        rows = torch.as_tensor(extractor(images)).detach()
    if rows.shape != (len(images), extractor.width) or not rows.is_floating_point():
        raise InputError(
            f"features of {extractor.name!r} must be floats (n, width), here "
            f"{(len(images), extractor.width)}. Got {rows.dtype} {tuple(rows.shape)}; mend its "
            "__call__ or its width."
        )
    return rows


def _packed(extractor: Extractor, images: Tensor, first: int, dtype: str) -> bytes:
    """Return the rows of `images`, of which `first` is the number of the first, as the file's."""
    rows = _rows(extractor, images)
    low, high = torch.aminmax(rows, dim=1)  # NaN where there is one
    largest = torch.maximum(-low, high)
    wrong = (~largest.isfinite()).nonzero()
    if len(wrong):
        raise InputError(
            f"features of {extractor.name!r} must be finite. Those of row {first + int(wrong[0])} "
            "are not; look at the network's weights."
        )
    limit = torch.finfo(getattr(torch, dtype)).max
    if (largest > limit).any():
        raise InputError(
            f"features of {extractor.name!r} must be at most {limit:,.0f} to be kept as {dtype}. "
            f"Got {float(largest.max()):,.0f}; pass --dtype float32."
        )
    packed = rows.to(getattr(torch, dtype))
    if ((largest > 0) & ~packed.any(1)).any():
        raise InputError(
            f"features of {extractor.name!r} must not all be too small to be kept as {dtype}: "
            f"{float(largest.max()):.0e} at most; pass --dtype float32."
        )
    values = packed.cpu().numpy()
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
