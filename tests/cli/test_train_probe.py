"""`gan-eval train --probe-every` and `--score-every` as a user meets them."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_eval.cli.going_on import command_again
from gan_eval.cli.train import train
from gan_eval.data import open_images
from gan_eval.experiments.score import training as score_training
from gan_eval.experiments.score.training import watch_samples
from gan_eval.files import read_lines
from gan_eval.models.runs import Run

SHORT = (
    "train", "--preset", "bubbliiiing", "--width", 2, "--data", "digits",
    "--limit", 64, "--batch-size", 16, "--precision", "32", "--device", "cpu",
)  # fmt: skip
FIGURES = {"probe_error", "probe_C", "probe_seconds"}
SCORES = {"fid", "kid", "score_seconds"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAN_EVAL_DATA", raising=False)


@pytest.fixture
def few(monkeypatch) -> None:
    """Let scores be of few samples."""
    monkeypatch.setattr(score_training, "watch_samples", partial(watch_samples, n=40))


def probed(run: Path, figures: set[str] = FIGURES) -> list[int]:
    """Return the steps that were probed."""
    return [row["step"] for row in read_lines(Run(run).metrics) if row.keys() >= figures]


def panels(run: Path) -> int:
    """Return the rows of the curves: two panels each, 360 pixels high."""
    with Image.open(run / "losses.png") as picture:
        return picture.height // 360


def test_a_run_may_be_resumed_with_a_probe_and_without(call, tmp_path):
    run = tmp_path / "run"
    assert call(*SHORT, "--epochs", 1, "--out", run) == 0
    assert (probed(run), panels(run)) == ([], 2)
    more = ("train", "--out", run, "--resume", "--epochs")
    assert call(*more, 4, "--probe-every", 2) == 0
    assert (probed(run), panels(run)) == ([8, 16], 3)
    assert call(*more, 5) == 0
    assert probed(run) == [8, 16]
    assert not any("probe" in name for name in Run(run).config().asked)


def test_a_run_is_probed_with_the_same_images_when_it_is_resumed(call, refused, capsys, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "other.npz", train_images=images, train_labels=np.arange(30) % 3)
    run = Run(tmp_path / "run")
    assert call(*SHORT, "--epochs", 1, "--out", run.folder, "--probe-every", 1) == 0
    assert run.config().probed["name"] == "digits"
    more = ("train", "--out", run.folder, "--resume", "--epochs", 2, "--probe-every", 1)
    capsys.readouterr()
    said = refused(*more, "--probe-data", "other.npz")
    assert "so far 64 images of digits" in said
    assert "Got 30 images of other" in said
    assert call(*more) == 0
    assert probed(run.folder) == [4, 8]


def test_the_command_that_goes_on_does_as_before(monkeypatch):
    def again(*words: str) -> str:
        with train.make_context("train", [*words, "--out", "runs/b", "--epochs", "9"]) as context:
            return command_again(Path("runs/b"), context.params)

    asked = ("--probe-every", "2", "--score-every", "5", "--score-extractor", "disc:my runs/a")
    habits = ("--data-root", "/d", "--log-every", "7", "--tensorboard")
    assert again(*asked, *habits) == (
        "gan-eval train --out runs/b --resume --probe-every 2 --score-every 5"
        " --score-extractor 'disc:my runs/a' --data-root /d --log-every 7 --tensorboard"
    )
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert again() == (
        "torchrun --nnodes 2 --nproc-per-node 2 -m gan_eval train --out runs/b --resume"
    )


def test_other_images_are_fitted_to_the_network(call, tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (30, 40, 48, 3), dtype=np.uint8)
    np.savez(tmp_path / "other.npz", train_images=colours, train_labels=np.arange(30) % 3)
    unlabelled = open_images("digits", root=None, limit=40).pixels.numpy()[:, 0]
    np.savez(tmp_path / "plain.npz", train_images=unlabelled)
    command = (*SHORT, "--data", "plain.npz", "--limit", 40, "--epochs", 1, "--out", "run")
    assert call(*command, "--probe-every", 1, "--probe-data", "other.npz") == 0
    assert probed(tmp_path / "run") == [2]


@pytest.mark.usefixtures("few")
def test_the_epoch_of_the_lowest_distance_is_the_best_for_every_command(call, capsys, tmp_path):
    run = Run(tmp_path / "run")
    command = (*SHORT, "--epochs", 3, "--save-epochs", "1,2,3", "--out", run.folder, "--json")
    assert call(*command, "--score-every", 1, "--probe-every", 2) == 0
    streams = capsys.readouterr()
    document = json.loads(streams.out)
    assert probed(run.folder, SCORES) == [4, 8, 12]
    assert probed(run.folder) == [8, 12]
    assert panels(run.folder) == 4
    fids = {row["step"]: row["fid"] for row in read_lines(run.metrics)}
    step = min(fids, key=lambda step: fids[step])
    best = document["best"]
    assert (best["step"], best["epoch"], best["fid"]) == (step, step // 4, fids[step])
    assert best["rule"] == "lowest fid of the epochs that were measured"
    scored = run.config().scored
    assert (scored["extractor"]["name"], scored["n"]) == ("random-disc", 40)
    assert (scored["reference"]["name"], scored["reference"]["n"]) == ("digits", 40)
    names = [tmp_path / name for name in ("best.npz", "number.npz")]
    for epoch, name in zip(("best", step // 4), names, strict=True):
        assert call("sample", run.folder, "--n", 2, "--epoch", epoch, "--out", name) == 0
    with np.load(names[0]) as one, np.load(names[1]) as other:
        assert np.array_equal(one["train_images"], other["train_images"])
    few = ("--extractor", "pixels", "--metrics", "fid", "--n", 10, "--out", tmp_path / "out")
    capsys.readouterr()
    assert call("score", run.folder, "--against", "digits:test", *few, "--epoch", "best") == 0
    (record,) = read_lines(tmp_path / "out" / "records.jsonl")
    assert record["config"]["fake"]["trained"]["epoch"] == step // 4


@pytest.mark.usefixtures("few")
def test_a_run_is_scored_in_one_way(call, refused, capsys, tmp_path):
    assert call(*SHORT, "--epochs", 1, "--out", "run", "--score-every", 1) == 0
    assert call(*SHORT, "--epochs", 1, "--out", "other") == 0
    capsys.readouterr()
    more = ("train", "--out", "run", "--resume", "--epochs", 2, "--score-every", 1)
    message = refused(*more, "--score-extractor", "pixels")
    assert "so far random-disc (" in message
    assert "Got pixels (no weights) and 40 images of digits; pass the same" in message
    itself = refused(*more, "--score-extractor", f"disc:{tmp_path}/run")
    assert "Got 'disc', the run's own" in itself
    assert call(*more) == 0
    assert probed(tmp_path / "run", SCORES) == [4, 8]
    capsys.readouterr()
    for epoch, message in (
        ("best", "epoch best must have been measured while training. No epoch of run other was"),
        ("newest", "must be the number of a kept epoch, or best. Got 'newest'."),
    ):
        assert message in refused("sample", "other", "--epoch", epoch, "--out", "x.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--score-extractor", "pixels"), "--score-extractor is for --score-every. Got pixels al"),
        (("--score-every", 0), "Invalid value for '--score-every'"),
        (("--score-every", 1, "--score-extractor", "disc"), "'disc', the run's own"),
        (("--score-every", 1, "--score-extractor", "disc:nowhere"), "run nowhere must be a fold"),
        (("--score-every", 1, "--score-extractor", "pixel"), "Did you mean 'pixels'"),
        (("--score-weights", "w.pth"), "--score-weights is for --score-every. Got w.pth alone"),
        (("--score-every", 1, "--score-weights", "w.pth"), "Got w.pth for random-disc; leave"),
        (("--probe-data", "digits"), "--probe-data is for --probe-every. Got digits alone"),
        (("--probe-every", 0), "Invalid value for '--probe-every'"),
        (("--probe-every", 1, "--data", "plain.npz"), "Those of 'plain' are of 0; pass --probe-"),
        (("--probe-every", 1, "--probe-data", "plain.npz"), "at least 2 classes. Those of 'plain'"),
        (("--probe-every", 1, "--probe-data", "one.npz"), "Those of 'one' are of 1"),
        (("--probe-every", 1, "--probe-data", "digit"), "Did you mean 'digits'"),
        (("--probe-every", 1, "--probe-data", "untrained.npz"), "split must be one that"),
        (("--probe-every", 1, "--dry-run", "--probe-data", "one.npz"), "Those of 'one' are of 1"),
    ],
)
def test_mistakes_end_with_one_line_and_write_nothing(refused, tmp_path, arguments, message):
    images, labels = np.zeros((64, 8, 8), np.uint8), np.zeros(64, np.int64)
    np.savez(tmp_path / "plain.npz", train_images=images)
    np.savez(tmp_path / "one.npz", train_images=images, train_labels=labels)
    np.savez(tmp_path / "untrained.npz", test_images=images, test_labels=labels)
    before = sorted(tmp_path.iterdir())
    assert message in refused(*SHORT, "--out", "run", *arguments)
    assert sorted(tmp_path.iterdir()) == before


_FEW = """
import functools
from gan_eval.experiments.score import training as score_training
from gan_eval.cli import main

score_training.watch_samples = functools.partial(score_training.watch_samples, n=40)
main()
"""


def test_two_processes_measure_once_and_do_not_wait_for_ever(nursery, tmp_path):
    words = (*SHORT, "--epochs", 2, "--out", "run", "--probe-every", 1, "--score-every", 1)
    nursery.succeed(*words, program=_FEW, ranks=2)
    assert [row["step"] for row in read_lines(tmp_path / "run" / "metrics.jsonl")] == [4, 8]
    assert probed(tmp_path / "run") == probed(tmp_path / "run", SCORES) == [4, 8]
    assert Run(tmp_path / "run").config().world_size == 2
