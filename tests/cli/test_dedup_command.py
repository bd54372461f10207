"""`gan-eval dedup` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_eval.files import read_lines
from gan_eval.training import autoencoder

KEYS = {"groups", "duplicates", "radius", "planted_recall", "false_positive_rate"}


@pytest.fixture(autouse=True)
def some(tmp_path, monkeypatch) -> None:
    """Grey images in some.npz, of which the first comes again, and few.npz, too few."""
    monkeypatch.setattr(autoencoder, "_STEPS", 20)
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    images[39] = images[0]
    np.savez(tmp_path / "some.npz", train_images=images)
    np.savez(tmp_path / "few.npz", train_images=images[:7])
    monkeypatch.chdir(tmp_path)


def test_json_is_the_record_and_its_files(call, capsys, tmp_path):
    assert call("dedup", "some.npz", "--write", "kept.npz", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (picture,) = document.pop("files")
    files = [Path(name) for name in document.pop("other_files")]
    assert document["result"].keys() >= KEYS
    assert [0, 39] in document["result"]["groups"]
    assert document["controls"].keys() == {"equal hashes", "untrained"}
    # Without a run, results is where they go.
    folder = tmp_path / "results"
    assert list(read_lines(folder / "records.jsonl")) == [document]
    listed = json.loads((folder / "dedup-some-groups.json").read_text())
    assert (listed["data"], listed["split"]) == ("some", "train")
    assert listed["groups"] == document["result"]["groups"]
    assert files == [
        folder / "records.jsonl", folder / "dedup-some-groups.json", tmp_path / "kept.npz",
    ]  # fmt: skip
    assert Path(picture) == folder / "dedup-some.png"
    with Image.open(picture) as figure:
        assert figure.width > 2 * 64
    with np.load("kept.npz") as kept:
        assert kept["train_images"].shape == (40 - document["result"]["duplicates"], 8, 8)


def test_the_table_has_a_row_for_each_control(call, capsys):
    assert call("dedup", "some.npz", "--radius", 2) == 0
    streams = capsys.readouterr()
    rows = [line.split("│") for line in streams.out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row[1:3]] for row in rows[:2]] == [
        ["groups", "2"], ["equal hashes", "0"],
    ]  # fmt: skip
    assert rows[2][1].strip() == "untrained"
    assert "autoencoder: steps 20/20" in streams.err
    assert "dedup-some.png" in streams.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("some.npz", "--radius", "24"), "radius must be from 0 to 23 of the 128 bits. Got 24"),
        (("some.npz", "--radius", "-1"), "radius must be from 0 to 23"),
        (("some.npz", "--write", "kept.png"), "must name a new .npz file. Got kept.png"),
        (("some.npz", "--write", "some.npz"), "Got some.npz, which exists; name another"),
        (("few.npz",), "data must hold at least 8 images. Got 7"),
        (("digit",), "Did you mean 'digits'"),
    ],
)
def test_mistakes_end_with_one_line_and_write_nothing(refused, tmp_path, arguments, message):
    before = sorted(tmp_path.iterdir())
    assert message in refused("dedup", *arguments)
    assert sorted(tmp_path.iterdir()) == before
