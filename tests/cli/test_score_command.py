"""`gan-eval score` as a user meets it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nursery import COMMAND
from PIL import Image

from gan_eval.experiments.score.extractors import EXTRACTORS
from gan_eval.files import read_lines

KEYS = {
    "fid", "kid_mean", "kid_std", "isc_mean", "isc_std", "precision", "recall", "density",
    "coverage", "n_real", "n_fake", "extractor", "weights_sha256", "resize", "reference",
}  # fmt: skip
FEW = ("--against", "digits:test", "--kid-subset-size", "20", "--n", "30")
PIXELS = (*FEW, "--extractor", "pixels")


@pytest.fixture(scope="module")
def run(untrained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("runs") / "tiny").folder


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GAN_EVAL_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)


def test_json_is_one_row_for_one_model(call, capsys, run):
    assert call("score", run, *PIXELS, "--json") == 0
    streams = capsys.readouterr()
    row = json.loads(streams.out)
    assert row.keys() >= KEYS | {"model", "seed", "versions", "network_precision", "official"}
    assert row["fid"] > 0
    assert row["isc_mean"] is None
    assert (row["model"], row["n_fake"], row["n_real"]) == ("tiny", 30, 360)
    assert (row["extractor"], row["reference"]) == ("pixels", "digits:test")
    assert row["files"] == [str(run / "records.jsonl")]
    *_, record = read_lines(run / "records.jsonl")
    assert row["fingerprint"] == record["fingerprints"]["fake"]
    assert "Warning: 30 images of tiny are fewer than 10,000" in streams.err


def test_json_is_a_list_for_several_and_tables_are_apart(call, capsys, run, tmp_path):
    command = ("score", run, "digits", *PIXELS, "--out", "out")
    assert call(*command, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in rows] == ["tiny", "digits:train"]
    assert len(list(read_lines(tmp_path / "out" / "records.jsonl"))) == 2
    assert call(*command) == 0
    streams = capsys.readouterr()
    assert "pixels: 30 against 360 of digits:test" in streams.out
    assert "pixels: 1,437 against 360 of digits:test" in streams.out
    assert "real: digits: images of 8x8 were fitted to 32x32 by 'crop'" in streams.err


def test_statistics_are_saved_and_scored_against(call, capsys, tmp_path):
    words = ("--extractor", "pixels", "--metrics", "fid", "--fid-infinity", "--json")
    assert call("score", "--against", "digits", "--save-statistics", "d.npz", *words) == 0
    assert json.loads(capsys.readouterr().out) == {"files": [str(tmp_path / "d.npz")]}
    assert call("score", "digits:test", "--against", "d.npz", *words) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["reference"], row["n_real"]) == ("digits:train", 1437)
    assert row["fid_infinity"] < row["fid"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.npz", "results", "store"]


def test_help_names_every_extractor(call, capsys):
    assert call("score", "--help") == 0
    text = "".join(capsys.readouterr().out.split())
    assert all(name.removesuffix("NAME") in text for name in EXTRACTORS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits",), "--against must name what models are compared with"),
        (("digits", *PIXELS, "--metrics", "fid,kdi"), "metric 'kdi' is not known. Did you mean"),
        (("digits", *FEW, "--extractor", "pixel"), "Did you mean 'pixels'"),
        (("digits", *FEW, "--extractor", "disc"), "name one, as disc:runs/mine"),
        (("digits", *FEW, "--extractor", "disc:nowhere"), "run nowhere must be a folder"),
        (("digits", *FEW, "--extractor", "torchvision:resnet"), "Did you mean"),
        (("digits", *FEW, "--inception-weights", "none.pth"), "put https://github.com/mseitzer"),
        (("digits", *FEW, "--inception-weights", "photos/a.png"), "photos/a.png must be a whole"),
        (("digit", *PIXELS), "Did you mean 'digits'"),
        (("digits:val", *PIXELS), "split must be one that 'digits' has"),
        (("empty", *PIXELS), "folder empty must hold images"),
        (("stray", *PIXELS), "Got notes.txt; move it elsewhere"),
        (("photos", *PIXELS), "/photos:train has 1; add some"),
        (("nan.npy", *PIXELS), "nan.npy must be finite. Got NaN or infinity in image 0"),
        (("range.npy", *PIXELS), "range.npy must be uint8, or floats from 0 to 1. Got 0 to 255"),
        (("order.npy", *PIXELS), "Got (30, 3, 8, 8); transpose it so that channels come last"),
        (("ten.npy", "--against", "digits", "--extractor", "pixels"), "kid-subset-size"),
        (("digits", "--against", "wide.npz", "--extractor", "pixels"),
         "statistics wide.npz must be of 64 features"),
        (("digits", *PIXELS, "--save-statistics", "x.npy"), "must end in .npz. Got x.npy"),
        (("digits", *PIXELS, "--save-statistics", "mine.npz"), "Got mine.npz, which holds other"),
        (("digits", *PIXELS, "--n", "0"), "n must be at least 1. Got 0"),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_line_and_write_nothing(refused, tmp_path, arguments, message):
    for name in ("empty", "stray", "photos"):
        (tmp_path / name).mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "photos" / "a.png")
    (tmp_path / "stray" / "notes.txt").write_text("mine")
    np.save(tmp_path / "nan.npy", np.full((30, 8, 8), np.nan))
    np.save(tmp_path / "range.npy", 255.0 * (np.arange(30 * 64).reshape(30, 8, 8) % 2))
    np.save(tmp_path / "order.npy", np.zeros((30, 3, 8, 8), np.uint8))
    np.save(tmp_path / "ten.npy", np.zeros((10, 8, 8), np.uint8))
    np.savez(tmp_path / "mine.npz", train_images=np.zeros((10, 8, 8), np.uint8))
    np.savez(tmp_path / "wide.npz", mu=np.zeros(65), sigma=np.eye(65))
    before = sorted(tmp_path.rglob("*"))
    assert message in refused("score", *arguments)
    assert sorted(tmp_path.rglob("*")) == before


# Blocks so small that both processes have neighbours to look for; one process keeps its own size.
_SMALL = """
import os
from gan_eval.cli import main
from gan_eval.metrics import matrix
from gan_eval.models.dcgan import Generator

matrix._ROWS = 16
forward = Generator.forward

def counted(self, z, *labels):
    with open("drawn-" + os.environ["RANK"], "a") as file:
        file.write(f"{len(z)}\\n")
    return forward(self, z, *labels)

Generator.forward = counted
main()
"""


def test_two_processes_agree_with_one_and_print_once(nursery, run, tmp_path):
    words = ("score", str(run), "digits", *FEW, "--extractor", f"disc:{run}", "--json")
    words += ("--n", "600", "--device", "cpu")  # three batches
    rows = []
    for ranks, name, program in ((1, "alone", COMMAND), (2, "together", _SMALL)):
        where = ("--out", name, "--store", f"{name}-store")
        ended = nursery.succeed(*words, *where, program=program, ranks=ranks)
        rows.append(json.loads(ended.out))
    for one, two in zip(*rows, strict=True):
        for key in KEYS | {"reference_fingerprint"}:
            wanted = pytest.approx(one[key], rel=1e-5) if isinstance(one[key], float) else one[key]
            assert two[key] == wanted
    # Of images that are alike, so that there are neighbours to agree about.
    assert min(rows[0][1][name] for name in ("precision", "recall", "density", "coverage")) > 0.5
    assert len(list(read_lines(tmp_path / "together" / "records.jsonl"))) == 2
    drawn = [(tmp_path / f"drawn-{rank}").read_text().split() for rank in (0, 1)]
    assert drawn == [["256", "88"], ["256"]]  # each its share
