"""Two runs side by side: just what differs."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gan_eval.errors import InputError
from gan_eval.files import append_line
from gan_eval.models.runs import Run
from gan_eval.report.compare import compare


@pytest.fixture
def runs(tiny, tmp_path: Path) -> tuple[Run, Run]:
    config, _ = tiny("sthalles")
    assert config.data is not None
    elsewhere = replace(config.data, root="/other", name="/other/digits.npz")  # the same images
    recipe = replace(config.recipe, batch_size=4)
    changed = replace(config, seed=7, recipe=recipe, data=elsewhere)
    found = []
    for name, each in (("first", config), ("second", changed)):
        found.append(Run(tmp_path / name))
        found[-1].write_config(each)
        for step in (1, 2):
            append_line(found[-1].metrics, {"step": step, "epoch": step / 2, "d_loss": 1.0 + step})
    append_line(found[1].metrics, {"step": 3, "epoch": 1.5, "probe_error": 0.4})
    return found[0], found[1]


def test_settings_that_differ_and_no_others(runs, tmp_path):
    found = compare(*runs, tmp_path / "out")
    assert found.config == {"recipe.batch_size": (8, 4), "seed": (0, 7)}
    assert found.metrics == {
        "epoch": (1.0, 1.5), "d_loss": (3.0, 3.0), "probe_error": (None, 0.4),
    }  # fmt: skip
    assert found.figure == tmp_path / "out" / "compare-first-second.png"
    with Image.open(found.figure) as figure:
        assert figure.width > figure.height  # two panels in a row


def test_the_figure_goes_to_the_first_run_unless_told(runs):
    assert compare(*runs).figure == runs[0].folder / "compare-first-second.png"


def test_runs_without_metrics_have_no_figure(runs):
    for run in runs:
        run.metrics.unlink()
    found = compare(*runs)
    assert (found.metrics, found.figure) == ({}, None)
    append_line(runs[0].metrics, {"step": 1, "epoch": 0.5})
    assert compare(*runs).figure is None


def test_a_run_is_not_compared_with_itself(runs):
    with pytest.raises(InputError, match=r"RUN_B must be another run than RUN_A. Got .* twice"):
        compare(runs[0], Run(runs[0].folder / "." / ".." / "first"))
