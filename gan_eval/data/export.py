"""Images written as an .npz that `--data` reads again: the counterpart of `arrays`."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gan_eval.records import write_whole


def write_arrays(path: Path, images: Tensor, labels: Tensor | None) -> None:
    """Write uint8 `images` (n, channels, h, w) and int64 `labels` (n,) as the train split."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    arrays: dict[str, Any] = {"train_images": pixels[..., 0] if pixels.shape[-1] == 1 else pixels}
    if labels is not None:
        arrays["train_labels"] = labels.numpy()
    write_whole(path, lambda temporary: np.savez_compressed(temporary, **arrays))
