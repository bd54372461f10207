"""Images written as an .npz that `--data` reads again: the counterpart of `arrays`."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from gan_eval.data.images_set import Images
from gan_eval.records import write_whole

_BLOCK = 512  # images written at a time


def write_arrays(path: Path, images: Tensor, labels: Tensor | None) -> None:
    """Write uint8 `images` (n, channels, h, w) and int64 `labels` (n,) as the train split."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    arrays: dict[str, Any] = {"train_images": pixels[..., 0] if pixels.shape[-1] == 1 else pixels}
    if labels is not None:
        arrays["train_labels"] = labels.numpy()
    write_whole(path, lambda temporary: np.savez_compressed(temporary, **arrays))


def write_images(path: Path, parts: Mapping[str, tuple[Images, Tensor]]) -> None:
    """Write the named parts, each the images at int64 rows (m,), with labels and attributes.

    Uncompressed and block by block: in reading as in writing, images need not fit into memory.
    """

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for split, (images, rows) in parts.items():
                with _member(archive, f"{split}_images") as file:
                    _write_pixels(file, images, rows)
                for key, values in _annotations(split, images, rows).items():
                    with _member(archive, key) as file:
                        npy.write_array(file, values, allow_pickle=False)

    write_whole(path, write)


def _member(archive: zipfile.ZipFile, key: str) -> IO[bytes]:
    return archive.open(f"{key}.npy", "w", force_zip64=True)


def _write_pixels(file: IO[bytes], images: Images, rows: Tensor) -> None:
    channels = () if images.channels == 1 else (images.channels,)
    shape = (len(rows), images.size, images.size, *channels)
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    for block in torch.split(rows, _BLOCK):
        file.write(images.take(block.tolist()).permute(0, 2, 3, 1).numpy().tobytes())


def _annotations(split: str, images: Images, rows: Tensor) -> dict[str, np.ndarray[Any, Any]]:
    """Return what is known of the images; names are written with the train part."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    if images.labels is not None:
        found[f"{split}_labels"] = images.labels[rows].numpy()
    if images.attributes is not None:
        found[f"{split}_attributes"] = images.attributes[rows].byte().numpy()
    if split == "train":
        names = {"class_names": images.class_names, "attribute_names": images.attribute_names}
        found |= {key: np.array(value) for key, value in names.items() if value}
    return found
