"""The command line, called in this process."""

import sys
from collections.abc import Callable

import pytest

from gan_eval.cli import main


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return the caller of `gan-eval`: it takes the words behind that and gives the exit code."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["gan-eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return call


@pytest.fixture
def refused(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return the caller of what must end with exit code 2: it gives the one line that is said."""

    def refused(*arguments: object) -> str:
        assert call(*arguments) == 2
        streams = capsys.readouterr()
        assert streams.out == ""
        (line,) = streams.err.strip().splitlines()
        assert line.startswith("Error: ")
        return line

    return refused
