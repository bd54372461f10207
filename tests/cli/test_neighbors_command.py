"""`gan-eval neighbors` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest

from gan_eval.files import read_lines


@pytest.fixture
def make(untrained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda preset: untrained(tmp_path / preset, preset).folder


@pytest.fixture
def run(make) -> Path:
    return make("radford2015-mnist")


def test_json_is_the_record_and_its_files(call, capsys, run):
    assert call("neighbors", run, "--data", "digits", "--samples", 1200, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["exhibit"] == "neighbors"
    assert [point for point, _ in document["result"]["curve"]] == [1000, 1200]
    assert document["controls"].keys() == {"real", "untrained"}
    assert all(Path(file).is_absolute() and Path(file).is_file() for file in document["files"])
    # The run's folder is where they go, unless another is named.
    assert {Path(file).parent for file in document["files"]} == {run}
    (line,) = read_lines(run / "records.jsonl")
    assert line == {name: value for name, value in document.items() if not name.endswith("files")}


def test_tables_have_a_row_for_each_side(call, capsys, run, tmp_path):
    assert call("neighbors", run, "--samples", 1000, "--out", tmp_path / "out") == 0
    streams = capsys.readouterr()
    rows = [line.split("│")[1].strip() for line in streams.out.splitlines() if line[:1] == "│"]
    assert rows == 2 * ["generator", "real", "untrained"]
    assert "digits: test error in %" in streams.out
    assert "Chosen on validation images: epoch newest." in streams.err
    assert "samples 1000/1000" in streams.err
    assert (tmp_path / "out" / "neighbors-memorisation.png").is_file()


def test_an_unconditional_run_has_memorisation_alone(call, capsys, make):
    run = make("radford2015-svhn")
    assert call("neighbors", run, "--memorisation-only", "--samples", 50, "--json") == 0
    assert json.loads(capsys.readouterr().out)["result"].keys() == {"memorisation"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "plain.npz"), "data must be labelled to be classified"),
        (("--data", "two.npz"), "data must have the 10 classes of the generator of run"),
        (("--data", "untested.npz"), "data must have a test part"),
        (("--data", "nowhere.npz"), "nowhere.npz"),
        (("--epoch", "7"), "must be one that was kept"),
        (("--samples", "0"), "--samples"),
    ],
)
def test_mistakes_end_with_one_line_and_write_nothing(refused, run, tmp_path, arguments, message):
    images, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    np.savez(tmp_path / "plain.npz", train_images=images, test_images=images)
    np.savez(tmp_path / "untested.npz", train_images=images, train_labels=labels)
    both = {f"{split}_{kind}": value for split in ("train", "test")
            for kind, value in (("images", images), ("labels", labels))}  # fmt: skip
    np.savez(tmp_path / "two.npz", **both)
    before = sorted(tmp_path.rglob("*"))
    assert message in refused("neighbors", run, *arguments)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unconditional_run_says_what_it_can_give(refused, make):
    line = refused("neighbors", make("radford2015-svhn"), "--data", "digits")
    assert "must have a conditional generator" in line
    assert "--memorisation-only" in line


def test_an_imported_run_needs_data_and_a_generator(refused, run):
    values = json.loads((run / "config.json").read_text())
    values["data"] = None
    values["imported"] = {
        "format": "newmu", "epoch": 1, "generator": {"g.npy": "0"}, "discriminator": {},
    }  # fmt: skip
    (run / "config.json").write_text(json.dumps(values))
    assert "--data must name labelled images" in refused("neighbors", run)
    values["imported"] |= {"generator": {}, "discriminator": {"d.npy": "0"}}
    (run / "config.json").write_text(json.dumps(values))
    assert "has no generator" in refused("neighbors", run, "--data", "digits")
