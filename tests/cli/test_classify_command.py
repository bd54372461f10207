"""`gan-eval classify` as a user meets it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gan_eval.experiments.features import FEATURES
from gan_eval.files import read_lines

FEW = ("--data", "digits", "--labels-per-class", "5", "--draws", "3", "--c-grid", "1e-3,1e-2")
RESULT = {"feature_width", "C", "error_mean", "error_std", "draws", "converged"}


@pytest.fixture(scope="module")
def run(untrained, tmp_path_factory) -> Path:
    return untrained(tmp_path_factory.mktemp("runs") / "tiny").folder


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GAN_EVAL_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)


def test_json_is_one_object_for_one_feature(call, capsys, run):
    assert call("classify", run, *FEW, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["name"] == "disc"
    assert document["result"].keys() >= RESULT
    assert 0 < document["result"]["error_mean"] < 0.9
    assert document["protocol"]["name"].startswith("authors-svhn, 5 labels per class, 3 draws")
    # The run's folder is where they go, unless another is named.
    files = [*document["files"], *document["other_files"]]
    assert [Path(name).parent for name in files] == [run, run]
    assert all(Path(name).is_file() for name in files)


def test_json_is_a_list_for_several(call, capsys, run, tmp_path):
    names = ("--features", "disc,random-disc", "--features", "kmeans", "--maps", "20")
    assert call("classify", run, *names, *FEW, "--out", tmp_path / "out", "--json") == 0
    documents = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in documents] == ["disc", "random-disc", "kmeans"]
    assert [each["result"]["feature_width"] for each in documents] == [288, 288, 80]
    assert documents[0]["controls"].keys() == {"random-disc", "kmeans"}
    assert len(list(read_lines(tmp_path / "out" / "records.jsonl"))) == 3


def test_table_has_a_row_for_each_and_results_is_the_default(call, capsys, tmp_path):
    names = ("--features", "pixels,random-disc", "--preset", "radford2015-svhn", "--layers", "3")
    assert call("classify", *names, *FEW) == 0
    streams = capsys.readouterr()
    rows = [line.split("│") for line in streams.out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row[1:3]] for row in rows] == [
        ["pixels", "64"], ["random-disc", "4096"],
    ]  # fmt: skip
    assert re.search(r"random-disc: fits in up to [\d.]+ GiB of memory 13/13", streams.err)
    assert "images of 8x8 were fitted to 32x32" in streams.err
    assert (tmp_path / "results" / "records.jsonl").is_file()


def test_shifted_features_are_called_so_and_are_others(call, capsys, refused, tmp_path):
    command = ("classify", "--data", "digits", "--features", "pixels", *FEW[2:])
    assert call(*command, "--shifts", "2,1") == 0
    assert "pixels, shifts 1 2" in capsys.readouterr().out
    (record,) = read_lines(tmp_path / "results" / "records.jsonl")
    features = record["config"]["features"]
    assert (features["shifts"], features["mirror"]) == ([1, 2], "max")
    assert "leave one of them out" in refused(*command, "--shifts", "1", "--mirror")
    for wrong in ("8", "0", "-1"):
        assert "shifts must be from 1 to 7 pixels" in refused(*command, "--shifts", wrong)


def test_mirrored_features_are_called_so_and_are_others(call, capsys, tmp_path):
    for more in ((), ("--mirror",)):
        assert call("classify", "--features", "pixels", *more, *FEW) == 0
        streams = capsys.readouterr()
        assert ("pixels, mirror" in streams.out) == bool(more)
    plain, mirrored = read_lines(tmp_path / "results" / "records.jsonl")
    errors = [record["result"]["error_mean"] for record in (plain, mirrored)]
    assert errors[0] != errors[1]
    assert mirrored["config"]["features"] == {**plain["config"]["features"], "mirror": True}


def test_pixels_need_no_run_and_the_seed_counts(call, capsys):
    found = []
    for seed in (0, 0, 1):
        assert call("classify", *FEW, "--seed", seed, "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["result"]["errors"])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--data must name labelled images"),
        (("--data", "digits", "--features", "pixel"), "Did you mean 'pixels'"),
        (("--data", "digits", "--features", "disc"), "Got no run; name one before --features"),
        (("--data", "digits", "--features", "random-disc"), "name one, or --preset"),
        (("--data", "digits", "--features", "random-disc", "--preset", "radford2015-mnist"),
         "conditional"),
        (("--data", "digits", "--labels-per-class", "100000"),
         "`labels_per_class` must be at most the smallest class ("),
        (("--data", "digits", "--draws", "3"), "pass --labels-per-class too"),
        (("--data", "digits", "--protocol", "paper"), "protocol 'paper' is not known. Did you"),
        (("--data", "digits", "--c-grid", "a,b"), "must be numbers with commas, as 1e-4,1e-3"),
        (("--data", "digits", "--c-grid", "0,1"), "c_grid must be positive"),
        (("--data", "plain.npz",), "data must be labelled to be classified"),
        (("--data", "one.npz",), "at least 2 classes. Got 1"),
        (("--data", "untested.npz",), "data must have a test part"),
        (("nowhere", "--data", "digits"), "run nowhere must be a folder with config.json"),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_line_and_write_nothing(refused, tmp_path, arguments, message):
    images, labels = np.zeros((20, 8, 8), np.uint8), np.zeros(20, np.int64)
    np.savez(tmp_path / "plain.npz", train_images=images, test_images=images)
    np.savez(tmp_path / "untested.npz", train_images=images, train_labels=np.arange(20) % 2)
    both = {f"{split}_{kind}": value for split in ("train", "test")
            for kind, value in (("images", images), ("labels", labels))}  # fmt: skip
    np.savez(tmp_path / "one.npz", **both)
    before = sorted(tmp_path.iterdir())
    assert message in refused("classify", *arguments)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--layers", "9"), "layers must be some of the convolutions 1 to 3. Got 9"),
        (("--pool", "8"), "pool must be from 1 to the side of the maps of layer 3, 4. Got 8"),
        (("--epoch", "3"), "must be one that was kept"),
    ],
)
def test_what_a_run_refuses(refused, run, tmp_path, more, message):
    assert message in refused("classify", run, "--data", "digits", *more)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_discriminator_is_refused(refused, run, tmp_path):
    values = json.loads((run / "config.json").read_text())
    values["data"] = None
    values["imported"] = {
        "format": "newmu", "epoch": 1, "generator": {"g.npy": "0"}, "discriminator": {},
    }  # fmt: skip
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text(json.dumps(values))
    line = refused("classify", tmp_path / "half", "--data", "digits")
    assert "has no discriminator" in line


def test_help_names_every_feature(call, capsys):
    assert call("classify", "--help") == 0
    text = "".join(capsys.readouterr().out.split())
    assert all(name in text for name in FEATURES)


def test_two_processes_print_and_write_once(nursery, run, tmp_path):
    words = ("classify", run, *FEW, "--precision", "32", "--device", "cpu", "--json")
    found = []
    for ranks, name in ((1, "alone"), (2, "together")):
        where = ("--out", name, "--store", f"{name}-store")
        found.append(json.loads(nursery.succeed(*words, *where, ranks=ranks).out))
    one, two = found
    assert one["result"]["errors"] == two["result"]["errors"]
    assert len(list(read_lines(tmp_path / "together" / "records.jsonl"))) == 1
    files = [sorted((tmp_path / f"{name}-store").glob("*.npy")) for name in ("alone", "together")]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))


def test_a_file_in_place_of_the_folder_is_refused_before_anything_is_done(refused, tmp_path):
    (tmp_path / "taken").write_text("")
    options = ("classify", "--data", "digits", "--features", "pixels")
    assert "'--out'" in refused(*options, "--out", tmp_path / "taken")
    assert "finite and increasing" in refused(*options, "--c-grid", "inf")
