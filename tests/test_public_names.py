"""What `import gan_eval` gives, and what it costs."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gan_eval


def test_every_public_name_is_there_and_sorted():
    assert gan_eval.__all__ == sorted(gan_eval.__all__, key=lambda n: (not n.isupper(), n))
    named = [name for name in gan_eval.__all__ if name != "PRESETS"]
    assert all(getattr(gan_eval, name).__name__ == name for name in named)


def test_importing_costs_nothing():
    code = "import sys, gan_eval; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_path_may_be_text():
    for name in set(gan_eval.__all__) - {"InputError", "PRESETS"}:
        signature = inspect.signature(getattr(gan_eval, name), eval_str=True)
        for parameter in signature.parameters.values():
            assert parameter.annotation not in (Path, Path | None), (name, parameter)


def test_a_path_that_is_text_is_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    np.savez("mine.npz", train_images=pixels)
    request = gan_eval.Request(
        preset="bubbliiiing", width=2, image_size=16, data="mine", root="~", batch_size=4, steps=1,
        precision="32", device="cpu",
    )  # fmt: skip
    job = gan_eval.new_job("~/run", request)
    gan_eval.carry_out(job)
    assert gan_eval.Run("~/run") == gan_eval.Run(tmp_path / "run") == job.run
    assert gan_eval.resumed_job("run").finished
    assert len(gan_eval.open_images("~/mine.npz")) == len(gan_eval.open_images("mine", root="~"))
    with pytest.raises(gan_eval.InputError, match="which exists"):
        gan_eval.dedup("mine", root="~", write="~/mine.npz")
    found = gan_eval.filters(job.run, n=1, out="~/out", device="cpu")
    assert {path.parent for path in found.files} == {tmp_path / "out"}
    Path("boxes.json").write_text(json.dumps([{"z": 0, "box": [0, 0, 9, 9]}]))
    gan_eval.dropout(job.run, boxes="~/boxes.json", out="out", device="cpu")


def test_a_dcgan_is_trained_from_python(tmp_path):
    request = gan_eval.Request(
        preset="radford2015-svhn", data="digits", limit=8, batch_size=4, steps=2, precision="32"
    )
    job = gan_eval.new_job(tmp_path / "run", request)
    assert gan_eval.carry_out(job) is None
    images, labels = next(gan_eval.generate(job.run.load_generator(), 5, seed=0))
    assert images.shape == (5, 1, 32, 32)
    assert labels is None
