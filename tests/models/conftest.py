"""What tests of files from elsewhere share: a pickle that does harm, and how refusals are seen."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gan_eval.errors import InputError


class Trap:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path / "sprung")


@pytest.fixture
def refused(tmp_path: Path, trap: Trap) -> Callable[[Callable[[Path], object], str], None]:
    """Return a check that a call, given a new folder to write to, says `message` and no more."""

    def check(call: Callable[[Path], object], message: str) -> None:
        out = tmp_path / "out"
        with pytest.raises(InputError, match=message) as error:
            call(out)
        assert len(str(error.value).splitlines()) == 1
        assert not out.exists()
        assert not trap.path.exists()

    return check
