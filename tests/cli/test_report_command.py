"""`gan-eval report` and `gan-eval compare` as a user meets them."""

import json
import os
from pathlib import Path

import pytest

from gan_eval.files import append_line
from gan_eval.models.runs import Run

FEW = ("--data", "digits", "--labels-per-class", "5", "--draws", "2", "--c-grid", "1e-3")


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    from click.testing import CliRunner

    from gan_eval.cli import cli

    out = tmp_path_factory.mktemp("results")
    os.environ["GAN_EVAL_STORE"] = str(out.parent / "store")
    CliRunner().invoke(cli, ["classify", *FEW, "--out", str(out)], catch_exceptions=False)
    del os.environ["GAN_EVAL_STORE"]
    return out


def test_what_a_command_wrote_is_on_the_page(call, capsys, measured):
    assert call("report", measured, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert all(Path(name).is_file() for name in document["files"])
    assert document["files"][-1] == str(measured / "report.html")
    assert list(document["exhibits"])[:3] == ["Table 1", "Table 2", "Table 3"]
    assert document["exhibits"]["Table 2"][0]["verdict"] == "not run"
    page = (measured / "report.html").read_text()
    assert "5 labels per class, 2 draws, C of 0.001, version 1, on digits" in page
    assert "classify-digits-pixels" in page  # the confusion matrix


def test_the_table_says_what_is_compared(call, capsys, measured):
    assert call("report", measured) == 0
    streams = capsys.readouterr()
    assert "22.48 %" in streams.out
    assert "77.93" not in streams.out  # quoted for context, on the page only
    assert "report.html" in streams.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "records.jsonl, line 1 must be a JSON object"),
        ('{"schema": 99}', "must be a record of schema 1 at most. Got 99"),
        ('{"schema": 1}', "must be a whole record of schema 1"),
        (f'{{"x": {"7" * 400}}}', "records.jsonl, line 1 must be a JSON object. Got one that is"),
        (None, "results must hold JSON lines. Found none"),
    ],
)
def test_mistakes_end_with_one_line_and_write_nothing(refused, tmp_path, line, message):
    if line:
        (tmp_path / "records.jsonl").write_text(line + "\n{}\n")
    before = sorted(tmp_path.rglob("*"))
    assert message in refused("report", tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_named(refused, tmp_path):
    append_line(tmp_path / "speed" / "speed.jsonl", {"name": "x", "seconds": 1})
    (tmp_path / "tables").write_text("a file where the folder should be")
    assert "tables must be usable" in refused("report", tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_compare_prints_what_differs(call, capsys, tiny, tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for seed, folder in enumerate(folders):
        Run(folder).write_config(tiny("sthalles", seed=seed)[0])
        append_line(Run(folder).metrics, {"step": 1, "epoch": 0.5, "g_loss": 1.0 + seed})
    assert call("compare", *folders, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["config"] == {"seed": [0, 1]}
    assert document["metrics"] == {"epoch": [0.5, 0.5], "g_loss": [1.0, 2.0]}
    assert [Path(name).name for name in document["files"]] == ["compare-one-two.png"]
    assert call("compare", *folders) == 0
    assert "g_loss" in capsys.readouterr().out


def test_compare_needs_two_runs(refused, tmp_path):
    line = refused("compare", tmp_path, tmp_path / "none")
    assert "must be a folder with config.json" in line
