"""`gan-eval interpolate`, `arithmetic` and `sample --contact-sheet` as a user meets them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_eval.experiments import interpolate
from gan_eval.files import read_lines

SUM = ("--a", "3,17,40", "--b", "5,9,12,30", "--c", "1,2,8,11,20")
RATE = {"success_rate", "low", "high", "trials", "seen", "overlaid"}


@pytest.fixture(scope="module")
def runs(untrained: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained runs: one as the paper's, and one with labels, whose D gives no features."""
    folder = tmp_path_factory.mktemp("runs")
    presets = {"plain": "radford2015-svhn", "labelled": "radford2015-mnist"}
    return {name: untrained(folder / name, preset).folder for name, preset in presets.items()}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_EVAL_STORE", str(tmp_path.parent / "store"))
    monkeypatch.delenv("GAN_EVAL_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interpolate, "_PAIRS", 50)
    monkeypatch.setattr("gan_eval.visualize.grids.which", lambda name: None)  # no ffmpeg


@pytest.mark.parametrize("name", ["plain", "labelled"])
def test_interpolate_json_is_the_record_and_its_files(call, capsys, runs, tmp_path, name):
    assert call("interpolate", runs[name], "--frames", 3, "--out", tmp_path / "x", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["exhibit"] == "interpolate"
    assert document["controls"].keys() == {"crossfade", "untrained", "memorised"}
    for scores in (document["result"], *document["controls"].values()):
        assert {"jump_ratio", "nearest_train_distance"} <= scores.keys()
    assert [name for name, each in document["controls"].items() if "path_length" not in each] == [
        "memorised"
    ]
    features = {"plain": "disc", "labelled": "pixels"}
    assert document["config"]["features"]["extractor"] == features[name]
    assert document["config"]["label"] == (0 if name == "labelled" else None)
    assert {Path(file).name for file in document["files"]} == {
        "interpolate-straight.png", "interpolate-straight.gif",
        "interpolate-spherical.png", "interpolate-spherical.gif", "interpolate-nearest.png",
    }  # fmt: skip
    assert all(Path(file).is_absolute() and Path(file).is_file() for file in document["files"])


def test_interpolate_prints_a_table_and_takes_other_data(call, capsys, runs, tmp_path):
    arguments = ("--frames", 2, "--data", "digits", "--out", tmp_path / "x")
    assert call("interpolate", runs["plain"], *arguments) == 0
    streams = capsys.readouterr()
    rows = [line.split("│")[1].strip() for line in streams.out.splitlines() if "│" in line]
    assert rows == ["straight", "spherical", "crossfade", "untrained", "memorised"]
    (record,) = read_lines(tmp_path / "x" / "records.jsonl")
    data = record["config"]["data"]
    assert (data["name"], data["split"], data["n"]) == ("digits", "train", 1437)
    assert data["notes"] == ["digits: images of 8x8 were fitted to 32x32 by 'crop'"]


def test_without_labels_sums_are_drawn_and_nothing_is_counted(call, capsys, runs, tmp_path):
    np.savez(tmp_path / "plain.npz", train_images=np.zeros((30, 8, 8), np.uint8))
    arguments = (*SUM, "--turn", "1,2,3,4:5,6,7,8", "--data", "plain.npz", "--out", "x")
    assert call("arithmetic", runs["plain"], *arguments, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["result"] == {**dict.fromkeys(RATE - {"trials"}), "trials": 0, "turn": None}
    assert {Path(file).name for file in document["files"]} == {
        "arithmetic.png", "arithmetic-turn.png",
    }  # fmt: skip
    assert {Path(file).name for file in document["other_files"]} == {
        "records.jsonl", "arithmetic-choices.json",
    }  # fmt: skip


@pytest.mark.parametrize(("target", "said"), [("class 3,class 1", True), ("class 3", False)])
def test_a_goal_that_no_image_shows_is_told(call, capsys, runs, target, said):
    words = (*SUM, "--target", target, "--data", "digits", "--trials", 1, "--json")
    assert call("arithmetic", runs["plain"], *words, "--out", "x") == 0
    advice = json.loads(capsys.readouterr().out)["advice"]
    assert any("no image of digits is class 3,class 1" in line for line in advice) == said


def test_choices_by_attribute_are_judged_and_used_again(call, capsys, runs):
    # An untrained generator draws no digit: what all of its samples lack has to do.
    asked = ("--a", "-class 3", "--b", "-class 3", "--c", "-class 3", "--turn", "3,4,5,6:-class 3")
    common = ("--data", "digits", "--trials", 120, "--json")
    assert call("arithmetic", runs["plain"], *asked, "--n", 200, *common, "--out", "x") == 0
    first = json.loads(capsys.readouterr().out)
    assert first["result"].keys() == RATE | {"turn"}
    assert {name: each.keys() for name, each in first["controls"].items()} == {
        "single_exemplar": RATE, "pixel_arithmetic": RATE, "random_direction": RATE | {"turn"},
    }  # fmt: skip
    assert first["config"]["target"] == first["config"]["turn_target"] == "-class 3"
    assert first["result"]["trials"] == 120
    assert 0 <= first["result"]["low"] <= first["result"]["success_rate"]
    assert first["config"]["judged_by"][0]["accuracy"] > 0.85
    choices = "x/arithmetic-choices.json"
    assert call("arithmetic", runs["plain"], "--choices", choices, *common, "--out", "y") == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["result"], again["controls"]) == (first["result"], first["controls"])
    assert again["config"]["picked_by"] == []
    assert Path("y/arithmetic-choices.json").read_text() == Path(choices).read_text()
    assert Path("y/arithmetic.png").read_bytes() == Path("x/arithmetic.png").read_bytes()


def test_arithmetic_holds_a_label_and_prints_rates(call, capsys, runs):
    target = ("--target", "class 3", "--data", "digits", "--trials", 5)
    assert call("arithmetic", runs["labelled"], *SUM, *target, "--label", 3, "--out", "x") == 0
    streams = capsys.readouterr()
    rows = [line.split("│")[1].strip() for line in streams.out.splitlines() if "│" in line]
    assert rows == ["of three exemplars", "single_exemplar", "pixel_arithmetic", "random_direction"]
    assert "of real images (balanced)" in streams.err
    (record,) = read_lines(Path("x/records.jsonl"))
    assert record["config"]["label"] == record["config"]["choices"]["label"] == 3


def test_a_contact_sheet_is_the_grid_with_a_line_below_each_image(call, runs):
    for name, flag in (("sheet.png", ["--contact-sheet"]), ("grid.png", [])):
        assert call("sample", runs["plain"], "--n", 5, *flag, "--out", name) == 0
    with Image.open("sheet.png") as sheet, Image.open("grid.png") as grid:
        assert sheet.size == (grid.width, grid.height + 2 * 16)
        for number in range(5):
            x, y = number % 3 * 66, number // 3
            tile = (x, y * 66, x + 64, y * 66 + 64)
            numbered = (x, y * 82, x + 64, y * 82 + 64)
            assert grid.crop(tile).tobytes() == sheet.crop(numbered).tobytes()
            below = np.asarray(sheet.crop((x, y * 82 + 64, x + 64, y * 82 + 80)))
            assert below.min() < 100 < below.mean()  # dark digits on white


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--a, --b and --c must be given together, or --turn FROM:TO, or --choices FILE"),
        (("--a", "1,2,3", "--c", "1,2,3"), "Got a, c; pass numbers of samples or attributes"),
        (("--turn", "1,2,3,4"), "--turn must be FROM:TO"),
        (("--turn", "1,2,3,4:4,5,6,7", "--target", "class 3"), "--target is of --a, --b and --c."),
        (("--turn", "1,2,3,4:"), "the end of --turn must be named. Got nothing"),
        (("--turn", " :1,2,3,4"), "the start of --turn must be named. Got nothing"),
        (("--a", "", "--b", "9,8,7", "--c", "4,5,6"), "a must be named. Got nothing"),
        (("--a", "1,2,3,", "--b", "9,8,7", "--c", "4,5,6"), "a must be named on both sides"),
        (("--a", "class 3,-", "--b", "9,8,7", "--c", "4,5,6"), "comma. Got 'class 3,-'; leave out"),
        ((*SUM, "--target", "class 3,"), "attributes must be named on both sides of each comma."),
        ((*SUM, "--target", ""), "attributes must be named. Got nothing"),
        (("--turn", "1,2,3:4,5,6,7"), "from must have at least 4 samples"),
        (("--a", "1,2,2000", "--b", "1,2,3", "--c", "4,5,6"), "from 0 to 1999. Got 2000"),
        ((*SUM, "--choices", "x.json"), "--choices holds exemplars and target. Got a, b, c too"),
        (("--choices", "x.json"), "must be a file that `gan-eval arithmetic` wrote"),
        ((*SUM, "--target", "class 12"), "attribute 'class 12' is not one of 'digits'. Did you"),
        (("--a", "class 3", "--b", "9,8,7", "--c", "4,5,6", "--data", "plain.npz"),
         "'plain' has no attributes and no labels; pass labelled data of the same kind"),
        ((*SUM, "--label", 3), "label is for conditional networks"),
        ((*SUM, "--epoch", 3), "must be one that was kept: "),
        ((*SUM, "--n", 10**9), "n must be from 1 to 100000"),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_line_and_write_nothing(refused, runs, tmp_path, arguments, message):
    np.savez("plain.npz", train_images=np.zeros((30, 8, 8), np.uint8))
    before = sorted(runs["plain"].iterdir())
    assert message in refused("arithmetic", runs["plain"], *arguments)
    assert sorted(runs["plain"].iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["plain.npz"]


def test_a_file_of_choices_is_checked_as_options_are(call, capsys, refused, runs):
    assert call("arithmetic", runs["plain"], *SUM, "--n", 50, "--out", "x") == 0
    path = Path("x/arithmetic-choices.json")
    again = ("arithmetic", runs["plain"], "--choices", path, "--out", "y")
    capsys.readouterr()
    values = json.loads(path.read_text())
    assert values["n"] == 50  # below which they stay, whatever a later call searches
    for changed, message in (
        ({"samples": {**values["samples"], "a": [1, 2]}}, "a must have at least 3 samples"),
        ({"samples": {"a": [1, 2, 3]}}, "Got a; pass numbers of samples or attributes for each"),
        ({"n": 20}, "from 0 to 19. Got 40"),
        ({"samples": 3}, "must be a file that `gan-eval arithmetic` wrote"),
        ({"samples": {**values["samples"], "a": [1, 2, 3.5]}}, "must be a file that `gan-eval"),
        ({"target": 5}, "must be a file that `gan-eval arithmetic` wrote"),
    ):
        path.write_text(json.dumps({**values, **changed}))
        assert message in refused(*again)
    assert not Path("y").exists()
    del values["n"]  # as files of earlier versions, which were made with 2,000
    path.write_text(json.dumps(values))
    assert call(*again) == 0


def test_a_run_without_a_generator_is_refused(refused, runs, tmp_path):
    values = json.loads((runs["plain"] / "config.json").read_text())
    values["data"] = None
    values["imported"] = {
        "format": "newmu", "epoch": 1, "generator": {}, "discriminator": {"d.npy": "0"},
    }  # fmt: skip
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text(json.dumps(values))
    for command in (("interpolate",), ("arithmetic", *SUM)):
        assert "has no generator" in refused(command[0], tmp_path / "half", *command[1:])


def test_what_else_is_refused(refused, runs):
    sheet = ("sample", runs["plain"], "--contact-sheet", "--out", "x.npz")
    assert "--contact-sheet is a picture: --out must end in .png" in refused(*sheet)
    for frames in (1, 10**6):
        said = refused("interpolate", runs["plain"], "--frames", frames)
        assert f"frames must be from 2 to 1000 from point to point. Got {frames}" in said
    many = ("--n", 10**12, "--out", "x.npz")
    assert "--n images must fit into memory" in refused("sample", runs["plain"], *many)
    assert "label must be from 0 to 9" in refused("interpolate", runs["labelled"], "--label", 10)
    assert "Did you mean" in refused("interpolate", runs["plain"], "--data", "digit")


def test_walks_that_do_not_fit_into_memory_are_refused_with_what_does(
    call, refused, runs, tmp_path, monkeypatch
):
    monkeypatch.setattr(interpolate, "available_memory", lambda: 4 * 10**6)
    walk = ("interpolate", runs["labelled"], "--out", tmp_path / "x", "--frames")
    said = refused(*walk, 200)
    assert "frames must be so few that all walks fit into memory. Got 200, which take 0." in said
    assert not (tmp_path / "x").exists()
    most = int(said.split("--frames ")[1].rstrip("."))
    assert 2 < most < 200
    assert f"Got {most + 1}" in refused(*walk, most + 1)
    assert call(*walk, most) == 0


def test_a_contact_sheet_of_a_conditional_run_shows_the_label_that_sums_are_of(call, runs):
    for name, flags in (
        ("sheet.png", []),
        ("zero.png", ["--label", 0]),
        ("one.png", ["--label", 1]),
    ):
        words = ("--n", 4, "--contact-sheet", "--out", name, *flags)
        assert call("sample", runs["labelled"], *words) == 0
    sheet, zero, one = (Path(f"{name}.png").read_bytes() for name in ("sheet", "zero", "one"))
    assert sheet == zero != one


def test_images_that_are_all_the_same_give_distances_no_unit(refused, runs, tmp_path):
    np.savez(tmp_path / "same.npz", train_images=np.full((20, 8, 8), 7, np.uint8))
    said = refused("interpolate", runs["plain"], "--data", tmp_path / "same.npz")
    assert "data must have images that differ" in said


def test_one_training_image_cannot_be_compared_with_others(refused, runs, tmp_path):
    np.savez(tmp_path / "one.npz", train_images=np.full((1, 8, 8), 7, np.uint8))
    asked = ("--memorisation-only", "--data", tmp_path / "one.npz", "--samples", 20)
    assert "at least 2 training images" in refused("neighbors", runs["plain"], *asked)
