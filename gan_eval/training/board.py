"""TensorBoard, which is optional: the rows of a run's metrics as its curves."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gan_eval.errors import InputError


def check_board() -> None:
    """Check that TensorBoard is there.

    Raises:
        InputError: it is not installed.
    """
    if find_spec("tensorboard") is None:
        raise InputError(
            "tensorboard must be installed for --tensorboard. Found none; pip install tensorboard."
        )


def open_board(folder: Path, start: int) -> Any:
    """Return a run's writer, from step `start` on."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder / "tensorboard", purge_step=start + 1)
