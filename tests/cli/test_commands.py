"""The command line as a user meets it: what there is, what it prints, what it says when wrong."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_eval.cli import cli
from gan_eval.cli.quickstart import _job
from gan_eval.cli.train import announce
from gan_eval.data import open_images
from gan_eval.devices import resolve_device
from gan_eval.files import read_lines
from gan_eval.models.runs import Run
from gan_eval.training.config import Request
from gan_eval.training.job import new_job

COMMANDS = {
    "benchmark": {"names", "every", "quick", "data_root", "budget", "runs", "out", "as_json"},
    "arithmetic": {
        "run", "a", "b", "c", "target", "turn", "choices", "n", "trials", "label", "epoch", "data",
        "data_root", "seed", "device", "precision", "out", "as_json",
    },
    "classify": {
        "runs", "features", "data", "data_root", "protocol", "labels_per_class", "draws", "c_grid",
        "layers", "pool", "batch_norm", "mirror", "shifts", "maps", "preset", "weights", "epoch",
        "solver", "store", "dtype", "seed", "device", "precision", "out", "as_json",
    },
    "compare": {"run_a", "run_b", "out", "as_json"},
    "data": {"data_root", "as_json"},
    "dedup": {"data", "data_root", "radius", "write", "seed", "device", "out", "as_json"},
    "dropout": {
        "run", "boxes", "attribute", "layer", "label", "epoch", "data", "data_root", "seed",
        "device", "precision", "out", "as_json",
    },
    "filters": {
        "run", "layer", "n", "epoch", "data", "data_root", "seed", "device", "precision", "out",
        "as_json",
    },
    "import": set(),
    "import newmu": {"folder", "out", "as_json"},
    "import pytorch-examples": {"generator", "discriminator", "out", "as_json"},
    "interpolate": {
        "run", "frames", "label", "epoch", "data", "data_root", "seed", "device", "out", "as_json",
    },
    "neighbors": {
        "run", "data", "data_root", "samples", "memorisation_only", "epoch", "seed", "device",
        "precision", "out", "as_json",
    },
    "presets": {"as_json"},
    "quickstart": {"out", "as_json"},
    "report": {"results", "as_json"},
    "sample": {
        "run", "n", "out", "contact_sheet", "label", "epoch", "seed", "device", "as_json",
    },
    "score": {
        "models", "against", "metrics", "extractor", "weights", "resize", "precision", "n", "epoch",
        "kid_subset_size", "fid_infinity", "save_statistics", "data_root", "store", "seed",
        "device", "out", "as_json",
    },
    "train": {
        "preset", "data", "data_root", "out", "epochs", "steps", "batch_size", "image_size",
        "channels", "fit", "split", "limit", "latent_dim", "width", "save_epochs", "save_seconds",
        "log_every", "seed", "device", "precision", "compile", "workers", "probe_every",
        "probe_data", "score_every", "score_extractor", "score_weights", "tensorboard", "resume",
        "dry_run", "as_json",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(nursery, tmp_path_factory) -> Path:
    """A run of a few steps: grey digits, labelled, so that every command has something to read."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    command = ["train", "--preset", "carpedm20-mnist", "--data", "digits", "--limit", "64"]
    command += ["--batch-size", "16", "--epochs", "2", "--log-every", "2", "--out", str(out)]
    nursery.succeed(*command, "--tensorboard")
    return out


def test_commands_and_options_are_these():
    context = cli.make_context("gan-eval", ["presets"])
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    found |= {f"import {name}": command for name, command in found["import"].commands.items()}
    assert {n: {p.name for p in c.params} - {"help"} for n, c in found.items()} == COMMANDS


def test_help_does_not_import_torch():
    code = (
        "import sys; from gan_eval.cli import cli; cli(['--help'], standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_every_help_has_an_example_that_starts_with_the_command(call, capsys):
    for name in COMMANDS:
        assert call(*name.split(), "--help") == 0
        assert f"  gan-eval {name}" in capsys.readouterr().out


def test_presets_json_lists_what_scripts_need(call, capsys):
    assert call("presets", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert len(rows) == 10
    assert rows["radford2015-imagenet32"] == {
        "name": "radford2015-imagenet32", "image_size": 32, "channels": 3, "latent_dim": 256,
        "prior": "uniform", "conditional": False, "generator_parameters": 6690688,
        "discriminator_parameters": 4586112, "feature_width": 28672,
        "source": rows["radford2015-imagenet32"]["source"],
    }  # fmt: skip
    assert rows["radford2015-mnist"]["feature_width"] is None


def test_data_json_says_where_each_set_is(call, capsys, tmp_path):
    np.savez(tmp_path / "mine.npz", train_images=np.zeros((3, 8, 8), np.uint8))
    assert call("data", "--data-root", tmp_path, "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["mine"]["found"]
    assert rows["mine"]["splits"] == {"train": 3}
    assert not rows["cifar10"]["found"]
    assert "data_batch" in rows["cifar10"]["needs"]


def test_data_says_what_is_found_and_where_the_rest_goes(call, capsys, tmp_path):
    assert call("data", "--data-root", tmp_path) == 0
    streams = capsys.readouterr()
    assert "digits" in streams.out
    assert "cifar-10-batches-py" in streams.out


def test_a_run_holds_what_its_readers_need(trained):
    run = Run(trained)
    config = run.config()
    assert config.steps == 8
    assert config.data.fit == "crop"
    assert config.generator.classes == 10
    assert "batch_size 16 instead of 64" in config.deviations
    assert (trained / "losses.png").stat().st_size > 0
    assert any((trained / "tensorboard").iterdir())
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    assert {
        "step", "epoch", "d_loss", "g_loss", "d_real_accuracy", "d_fake_accuracy", "d_grad_norm",
        "g_grad_norm", "diversity", "images_per_second",
    } == rows[-1].keys()  # fmt: skip
    for epoch in (1, 2):
        with Image.open(run.grid(epoch)) as grid:
            assert grid.mode == "L"
        assert (run.checkpoint(epoch) / "generator.safetensors").exists()


def test_train_json_is_one_document_with_absolute_paths(call, capsys, trained):
    assert call("train", "--out", trained, "--resume", "--json") == 0
    streams = capsys.readouterr()
    document = json.loads(streams.out)
    assert "is finished" in streams.err
    assert document["config"] == json.loads((trained / "config.json").read_text())
    assert all(Path(name).is_absolute() and Path(name).exists() for name in document["files"])


def test_dry_run_prints_the_config_and_writes_nothing(call, capsys, tmp_path):
    out = tmp_path / "run"
    arguments = ("train", "--preset", "sthalles", "--data", "digits", "--out", out, "--dry-run")
    assert call(*arguments) == 0
    config = json.loads(capsys.readouterr().out)
    assert config["generator"]["channels"] == 1
    assert config["data"]["native"] == [1, 8, 8]
    assert not out.exists()


def test_a_run_is_named_after_preset_and_data_unless_told(call, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    short = ("--limit", 8, "--batch-size", 4, "--steps", 1)
    assert call("train", "--preset", "sthalles", "--data", "digits", *short) == 0
    config = Run(tmp_path / "runs" / "sthalles-on-digits").config()
    assert "trained for 1 steps instead of 10 epochs" in config.deviations
    assert "batch_size 4 instead of 128" in config.deviations


def test_the_same_command_with_resume_goes_on(call, monkeypatch, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", train_images=pixels)
    monkeypatch.chdir(tmp_path)
    command = ("train", "--preset", "bubbliiiing", "--width", 2, "--data", "mine.npz",
               "--limit", 100, "--batch-size", 4, "--save-epochs", "1,2", "--out", "run",
               "--resume")  # fmt: skip
    assert call(*command, "--epochs", 1) == 0
    assert call(*command, "--epochs", 3) == 0
    config = Run(Path("run")).config()
    assert config.save_epochs == (1, 2, 3)
    assert [text for text in config.deviations if "epochs" in text] == [
        "trained for 3 epochs instead of 500 epochs"
    ]
    assert "width 2 instead of 128" in config.deviations
    monkeypatch.chdir("/")  # the images' path does not depend on where one stands
    assert call("train", "--out", tmp_path / "run", "--resume", "--epochs", 4) == 0


def test_a_run_is_trained_by_one_process_at_a_time(call, capsys, trained):
    import fcntl

    with (trained / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        line = "train", "--out", trained, "--resume", "--epochs", 9
        assert call(*line) == 2
    assert "Another process is training" in capsys.readouterr().err


def test_what_cannot_be_used_is_named(refused, trained, tmp_path):
    (tmp_path / "taken").write_text("a file")
    line = refused("sample", trained, "--out", tmp_path / "taken" / "x.png")
    assert "--out must lead to a folder" in line
    (tmp_path / "x.png").mkdir()
    line = refused("sample", trained, "--out", tmp_path / "x.png")
    assert f"{tmp_path / 'x.png'} must be usable" in line  # and no temporary file


def test_sample_draws_the_same_first_images_whatever_their_number(call, trained, tmp_path):
    for n in (3, 300):
        call("sample", trained, "--n", n, "--out", tmp_path / f"{n}.npz")
    few, many = (np.load(tmp_path / f"{n}.npz")["train_images"] for n in (3, 300))
    assert few.shape == (3, 28, 28)
    assert many.shape == (300, 28, 28)
    assert np.abs(few.astype(int) - many[:3]).max() <= 1  # rounding may differ with the batch


def test_samples_are_data_again(call, trained, tmp_path):
    out = tmp_path / "samples.npz"
    call("sample", trained, "--n", 20, "--label", 7, "--out", out)
    images = open_images(str(out), root=None)
    assert (len(images), images.channels, images.size) == (20, 1, 28)
    assert set(images.labels.tolist()) == {7}


def test_sample_grid_is_a_png_at_integer_zoom(call, capsys, trained, tmp_path):
    out = tmp_path / "grid.png"
    assert call("sample", trained, "--n", 4, "--out", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"] == [str(out)]
    with Image.open(out) as grid:
        assert grid.size == (2 * 56 + 2, 2 * 56 + 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "command 'trian' is not known. Did you mean 'train'?"),
        (["train", "--preset", "sthales", "--data", "digits", "--out", "x"], "Did you mean 'sthal"),
        (["train", "--preset", "sthalles", "--data", "digit", "--out", "x"], "Did you mean 'digit"),
        (["train", "--preset", "sthalles", "--out", "x"], "--data must be given for a new run"),
        (["train", "--resume"], "--out must name the run to resume"),
        (["train", "--out", "x", "--resume"], "--preset must be given for a new run"),
        (["train", "--data", "digits", "--preset", "pytorch-examples", "--image-size", "32",
          "--out", "x"], "image_size of pytorch-examples is 64"),
        (["train", "--data", "digits", "--preset", "bubbliiiing", "--image-size", "28",
          "--out", "x"], "a multiple of 16"),
        (["train", "--data", "digits", "--preset", "sthalles", "--latent-dim", "0", "--out", "x"],
         "latent_dim must be at least 1. Got 0"),
        (["train", "--data", "digits", "--preset", "sthalles", "--batch-size", "2000",
          "--out", "x"], "batch_size must be at most the number of images (1437)"),
        (["train", "--data", "digits", "--preset", "sthalles", "--channels", "2", "--out", "x"],
         "channels must be 1"),
        (["train", "--data", "digits", "--preset", "sthalles", "--epochs", "0", "--out", "x"],
         "epochs must be at least 1. Got 0"),
        (["train", "--data", "digits", "--preset", "sthalles", "--epochs", "1", "--steps", "1",
          "--out", "x"], "pass one of them"),
        (["train", "--data", "digits", "--preset", "sthalles", "--width", "64", "--out", "x"],
         "width is fixed in sthalles"),
        (["train", "--data", "cifar10", "--preset", "sthalles", "--out", "x"], "cifar10"),
        (["train", "--data", "missing/folder", "--preset", "sthalles", "--out", "x"], "missing"),
        (["train", "--data", "digits", "--preset", "sthalles", "--device", "tpu", "--out", "x"],
         "'tpu' is not one of"),
        (["sample", "nowhere", "--out", "x.png"], "run nowhere must be a folder with config.json"),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_line_and_write_nothing(
    refused, monkeypatch, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAN_EVAL_DATA", raising=False)
    assert message in refused(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_refuses(refused, trained, tmp_path):
    def resume(*more: object) -> str:
        return refused("train", "--out", trained, "--resume", *more)

    new = ("train", "--preset", "sthalles", "--data", "digits", "--out")
    assert "must not hold a run already" in refused(*new, trained)
    (tmp_path / "note.txt").write_text("mine")
    assert "is neither" in refused(*new, tmp_path)
    fixed = "must be what the run was started with to resume it"
    assert f"--preset {fixed}: carpedm20-mnist. Got sthalles" in resume("--preset", "sthalles")
    assert f"--batch-size {fixed}: 16. Got 32" in resume("--batch-size", 32)
    assert f"--limit {fixed}: 64. Got 32" in resume("--limit", 32)
    assert f"--save-epochs {fixed}: not given. Got [1, 2]" in resume("--save-epochs", "1,2")
    np.savez(
        tmp_path / "other.npz",
        train_images=np.zeros((64, 28, 28), np.uint8),
        train_labels=np.arange(64) % 10,
    )
    other = resume("--data", tmp_path / "other.npz")
    assert "must be the 64 images the run was started with" in other
    assert "not shortened" in resume("--epochs", 1)

    def sample(*more: object) -> str:
        return refused("sample", trained, *more)

    assert "n must be at least 1" in sample("--n", 0, "--out", "x.png")
    assert "must end in .png or .npz" in sample("--out", "x.jpg")
    assert "label must be from 0 to 9. Got 10" in sample("--label", 10, "--out", "x.png")
    assert "must be one that was kept: 1, 2. Got 77" in sample("--epoch", 77, "--out", "x.png")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 3}, "epochs 3 instead of 50"),
        ({"save_epochs": (50,)}, "save_epochs [50] instead of [1, 5, 10, 20, 50]"),
        ({"limit": 64}, "limit 64 instead of None"),
        ({"batch_size": 64}, "batch_size 64 instead of None"),
        ({"seed": 1}, "seed 1 instead of 0"),
    ],
)
def test_quickstart_goes_on_with_its_own_run_only(refused, tmp_path, changed, message):
    out = tmp_path / "run"
    job = _job(out)
    job.run.write_config(job.config)
    assert _job(out).config.steps == job.config.steps
    absent = "cpu" if torch.cuda.is_available() else "cuda"
    job.run.write_config(replace(job.config, device=absent))
    assert _job(out).config.device == resolve_device("auto")
    job.run.write_config(replace(job.config, asked={**job.config.asked, **changed}))
    line = refused("quickstart", "--out", out)
    assert f"Got {out}, a run that was started with {message}; pass another --out" in line


def test_labels_are_needed_by_a_conditional_preset(refused, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "plain.npz", train_images=pixels)
    arguments = ("train", "--preset", "radford2015-mnist", "--data", tmp_path / "plain.npz")
    line = refused(*arguments, "--out", tmp_path / "run")
    assert "labels are needed: radford2015-mnist is conditional" in line


@pytest.mark.parametrize(("epochs", "said"), [(200, False), (201, True)])
def test_training_on_at_rate_zero_is_said_to_change_nothing(epochs, said, capsys, tmp_path):
    request = Request(preset="radford2015-mnist", data="digits", limit=128, epochs=epochs)
    announce(new_job(tmp_path / "run", request))
    line = "the recipe's learning rate is 0 from epoch 200 on: no later step changes a weight"
    assert (line in capsys.readouterr().err) is said


@pytest.mark.parametrize(("began", "said"), [("32", True), ("bf16", False)])
def test_a_precision_that_is_not_this_machines_is_said_to_stay(
    began, said, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr("gan_eval.precision.resolve_precision", lambda *_: "bf16")
    job = new_job(tmp_path / "run", Request(preset="sthalles", data="digits", limit=128))
    announce(replace(job, config=replace(job.config, precision=began)))
    line = "precision stays 32, as it began; a new run would take bf16 here"
    assert (line in capsys.readouterr().err) is said


def test_labels_that_no_training_image_has_are_never_drawn(
    call, refused, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 28, 28), dtype=np.uint8)
    np.savez("late.npz", train_images=pixels, train_labels=5 + np.arange(32) % 4)
    network = ("--preset", "radford2015-mnist", "--image-size", 28, "--batch-size", 8)
    train = ("train", *network, "--data", "late.npz", "--steps", 1, "--out", "run")
    assert call(*train) == 0
    deviation = "no images of 5 of 9 classes, never drawn: 0, 1, 2, 3, 4"
    assert f"deviation: {deviation}" in capsys.readouterr().err
    assert deviation in Run("run").config().deviations
    assert call("sample", "run", "--n", 10, "--out", "drawn.npz") == 0
    assert np.load("drawn.npz")["train_labels"].tolist() == [5, 6, 7, 8, 5, 6, 7, 8, 5, 6]
    capsys.readouterr()
    assert call("sample", "run", "--n", 2, "--contact-sheet", "--out", "sheet.png") == 0
    assert "Of label 5" in capsys.readouterr().err
    said = refused("sample", "run", "--label", 4, "--out", "x.png")
    assert "label must be one that the generator was trained with, as 5 is. Got 4" in said
    assert call("arithmetic", "run", "--a", "1,2,3", "--b", "4,5,6", "--c", "7,8,9") == 0
    (record,) = read_lines(Path("run/records.jsonl"))
    assert record["config"]["label"] == 5
    assert deviation in record["deviations"]


def test_a_full_disk_is_said_before_anything_is_written(refused, monkeypatch, tmp_path):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1000))
    arguments = ("train", "--preset", "sthalles", "--data", "digits", "--out", tmp_path / "run")
    assert "MiB for weights and state" in refused(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_disk_that_fills_up_keeps_what_was_saved(refused, monkeypatch, trained, number):
    from gan_eval.models import sampling

    def full(*arguments: object) -> None:
        raise OSError(number, os.strerror(number), "grid.png")

    monkeypatch.setattr(sampling, "to_uint8", full)
    line = refused("sample", trained, "--out", "grid.png")
    assert f"disk space must be left to write grid.png. Got {os.strerror(number)!r}" in line
