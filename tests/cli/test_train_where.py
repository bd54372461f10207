"""Where a run and its images are, and where it is trained on."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_eval.models.runs import Run

NEW = ("train", "--preset", "sthalles", "--batch-size", 4, "--precision", "32")


def archive(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, train_images=np.full((8, 8, 8), value, np.uint8))


def test_a_runs_own_root_comes_before_the_variable(call, refused, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("mine", "others", "moved")):
        archive(tmp_path / name / "grey.npz", 0 if number == 1 else 7)
    monkeypatch.setenv("GAN_EVAL_DATA", "mine")
    assert call(*NEW, "--data", "grey", "--out", "run", "--steps", 1) == 0
    monkeypatch.setenv("GAN_EVAL_DATA", "others")
    assert call("train", "--out", "run", "--resume", "--steps", 2) == 0
    # What is said now comes first of all, and the variable where the old root is gone.
    capsys.readouterr()
    other = ("--data-root", "others", "--steps", 3)
    assert "must be the 8 images" in refused("train", "--out", "run", "--resume", *other)
    (tmp_path / "mine/grey.npz").unlink()
    (tmp_path / "mine").rmdir()
    monkeypatch.setenv("GAN_EVAL_DATA", "moved")
    assert call("train", "--out", "run", "--resume", "--steps", 3) == 0


def test_a_run_must_not_lie_among_its_images(refused, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for number in range(4):
        Image.new("L", (8, 8), number).save(tmp_path / f"photos/{number}.png")
    monkeypatch.chdir(tmp_path / "photos")
    for out in (("--out", "run"), ()):
        said = refused(*NEW, "--data", ".", *out)
        assert f"--out must not lie in the folder of the images, {tmp_path}/photos" in said
    assert len(list((tmp_path / "photos").iterdir())) == 4


def test_a_run_of_a_gpu_is_trained_on_without_it(call, refused, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "grey.npz", 7)
    assert call(*NEW, "--data", "grey.npz", "--out", "run", "--steps", 1) == 0
    config = Path("run/config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "device": "cuda"}))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    capsys.readouterr()
    again = ("train", "--out", "run", "--resume", "--steps", 2)
    assert "device must be one that is here: cpu" in refused(*again)
    assert "--epochs and --steps must not both be given" in refused(*again, "--epochs", 9)
    assert call(*again, "--device", "cpu") == 0


def test_a_broken_file_of_a_streamed_run_can_be_mended(
    call, refused, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    noise = np.random.default_rng(0)
    files = [tmp_path / f"photos/{number}.png" for number in range(8)]
    for file in files:
        Image.fromarray(noise.integers(0, 256, (40, 40), np.uint8)).save(file)
    resume = ("train", "--out", "run", "--resume", "--steps")
    with monkeypatch.context() as patch:
        patch.setattr("gan_eval.data.prepare.available_memory", lambda: 0)
        assert call(*NEW, "--data", "photos", "--image-size", 32, "--out", "run", "--steps", 2) == 0
        files[3].write_bytes(files[3].read_bytes()[:400])
        assert call(*resume, 4) == 2
        assert "3.png must be a whole image file" in capsys.readouterr().err
        files[3].write_bytes(files[5].read_bytes())
        for steps in (4, 6):
            assert call(*resume, steps) == 0
            said = Run(Path("run")).config().deviations
            assert said.count("files of the images were changed while it was being trained") == 1
    assert call(*resume, 8) == 0  # held now
    with monkeypatch.context() as patch:
        patch.setattr("gan_eval.data.prepare.available_memory", lambda: 0)
        files[3].rename(tmp_path / "photos/other.png")
        capsys.readouterr()
        assert "must be the 8 images the run was started with" in refused(*resume, 10)


def test_a_run_goes_on_where_its_images_are_now(call, refused, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "old/grey.npz", 7)
    assert call(*NEW, "--data", "old/grey.npz", "--out", "run", "--steps", 1) == 0
    (tmp_path / "old").rename(tmp_path / "new")
    resume = ("train", "--out", "run", "--resume")
    assert call(*resume) == 0  # finished: nobody needs them
    capsys.readouterr()
    assert "old/grey.npz" in refused(*resume, "--steps", 2)
    assert call(*resume, "--steps", 2, "--data", "new/grey.npz") == 0
    assert call(*resume, "--steps", 3) == 0  # it is kept where they are


def test_weights_without_a_state_are_not_trained_over(call, refused, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "grey.npz", 7)
    assert call(*NEW, "--data", "grey.npz", "--out", "run", "--steps", 1) == 0
    run = Run(Path("run"))
    before = run.generator.read_bytes()
    run.state.unlink()
    capsys.readouterr()
    for more in ((), ("--steps", 4)):
        said = refused("train", "--out", "run", "--resume", *more)
        assert "state.safetensors must be there to resume run" in said
    assert run.generator.read_bytes() == before


def test_another_device_is_a_deviation(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "grey.npz", 7)
    assert call(*NEW, "--data", "grey.npz", "--out", "run", "--steps", 1) == 0
    config = Path("run/config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "device": "cuda"}))
    assert call("train", "--out", "run", "--resume", "--steps", 2, "--device", "cpu") == 0
    assert "resumed on cpu after cuda" in Run(Path("run")).config().deviations


def test_another_number_of_threads_is_a_deviation_on_a_cpu(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "grey.npz", 7)
    assert call(*NEW, "--data", "grey.npz", "--out", "run", "--steps", 1) == 0
    run, here = Run(Path("run")), torch.get_num_threads()
    assert run.config().threads == here
    for device, before in (("cuda", here + 1), ("cpu", here + 1), ("cpu", here)):
        changed = {**run.config().to_json(), "device": device, "threads": before}
        Path("run/config.json").write_text(json.dumps(changed))
        step = run.steps() + 1
        assert call("train", "--out", "run", "--resume", "--steps", step, "--device", "cpu") == 0
        told = f"resumed with {here} threads after {before}" in run.config().deviations
        # Which stays told when the run goes on.
        assert told == (device == "cpu" and before != here)


def test_home_is_found_behind_an_equals_sign_too(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    archive(tmp_path / "home/grey.npz", 7)
    assert call(*NEW, "--data=~/grey.npz", "--out=~/run", "--steps", 1) == 0
    assert Run(tmp_path / "home/run").exists
    assert not Path("~").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("report", "~nobody-here"), "results must be a folder. Got ~nobody-here"),
        ((*NEW, "--data", "~nobody-here", "--out", "run"), "~nobody-here"),
        (("score", "~nobody-here", "--against", "digits", "--extractor", "pixels"), "~nobody-here"),
    ],
)
def test_the_folder_of_nobody_is_not_there(refused, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(*words)
    assert not list(tmp_path.iterdir())


def test_an_epoch_that_was_cut_is_kept_again_when_it_is_whole(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "grey.npz", 7)  # two steps an epoch
    assert call(*NEW, "--data", "grey.npz", "--out", "run", "--steps", 5) == 0
    run = Run(Path("run"))
    assert run.steps(3) == 5
    assert call("train", "--out", "run", "--resume", "--epochs", 4) == 0
    assert run.steps(3) == 6


def test_sigterm_to_all_processes_of_a_streamed_run_saves(nursery, tmp_path, monkeypatch):
    """As `timeout` and queues send it: to the workers too, which must not break the step off."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    noise = np.random.default_rng(0)
    for number in range(16):
        pixels = noise.integers(0, 256, (400, 400), np.uint8)
        Image.fromarray(pixels).save(f"photos/{number}.png")
    program = (
        "import gan_eval.data.prepare as p; p.available_memory = lambda: 0\n"
        "from gan_eval.cli import main; main()"
    )
    more = ("--data", "photos", "--image-size", 32, "--out", "run", "--steps", 100000)
    (process,) = nursery.start(*NEW, *more, "--save-seconds", 0.2, program=program)
    until = time.monotonic() + 60
    while not Run(Path("run")).state.exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process, signal.SIGTERM)
    ended = nursery.wait()
    assert ended.code == 128 + signal.SIGTERM, ended.err
    assert "--resume" in ended.err
    assert "Traceback" not in ended.err
