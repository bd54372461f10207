"""An `--out` that nothing can be written to is refused before any work is done."""

from pathlib import Path
from typing import Any

import pytest

from gan_eval.models.runs import Run


@pytest.fixture
def run(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run without weights, which would be missed by what comes next."""
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("mine")
    config, _ = tiny("radford2015-svhn")
    Run(tmp_path / "run").write_config(config)
    return tmp_path / "run"


@pytest.mark.parametrize(
    "command",
    [
        ("interpolate", "RUN"),
        ("arithmetic", "RUN", "--a", "1", "--b", "2", "--c", "3"),
        ("filters", "RUN"),
        ("dropout", "RUN", "--object", "class 3"),
        ("neighbors", "RUN"),
        ("dedup", "digits"),
        ("classify", "RUN", "--data", "digits"),
    ],
    ids=lambda command: command[0],
)
def test_it_is_refused_before_anything_else(refused: Any, run: Path, command: tuple[str, ...]):
    words = [run if word == "RUN" else word for word in command]
    assert "--out must lead to a folder that can be written to" in refused(
        *words, "--out", "taken/inner"
    )
    assert Path("taken").read_text() == "mine"


def test_so_are_files_that_are_asked_for(refused: Any, run: Path):
    said = refused("dedup", "digits", "--write", "taken/new.npz")
    assert said.startswith("Error: --write must lead to a folder")
    for option in ("--out", "--runs"):
        said = refused("benchmark", "figure_4_walk", option, "taken/inner")
        assert said.startswith(f"Error: {option} must lead to a folder")
    models = ("score", "--extractor", "pixels", "--against", "digits")
    said = refused(*models, "--save-statistics", "taken/new.npz")
    assert said.startswith("Error: --save-statistics must lead to a folder")
