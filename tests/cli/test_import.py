"""`gan-eval import` as a user meets it: what it says, what it makes, what it refuses."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_eval.models import importers
from gan_eval.models.runs import Run

GENERATOR = [(100, 4096), (4096,), (4096,), (256, 128, 5, 5), (128,), (128,), (128, 64, 5, 5)]
GENERATOR += [(64,), (64,), (64, 3, 5, 5)]
DISCRIMINATOR = [(64, 3, 5, 5), (128, 64, 5, 5), (128,), (128,), (256, 128, 5, 5), (256,), (256,)]
DISCRIMINATOR += [(4096, 1)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Arrays of the SVHN shapes: both networks of epoch 200."""
    folder, draw = tmp_path / "files", np.random.default_rng(0)
    folder.mkdir()
    for name, shapes in (("gen", GENERATOR), ("discrim", DISCRIMINATOR)):
        for number, shape in enumerate(shapes, 1):
            array = draw.normal(0, 0.05, shape).astype(np.float32)
            np.save(folder / f"200_{name}_params.jl_{number:02d}.npy", array)
    return folder


@pytest.fixture(autouse=True)
def few_batches(monkeypatch) -> None:
    quick = functools.partial(importers.import_newmu, batches=1)
    monkeypatch.setattr(importers, "import_newmu", quick)


def test_newmu_says_what_it_is_and_what_to_type_next(call, monkeypatch, capsys, tmp_path, files):
    out = tmp_path / "run"
    assert call("import", "newmu", files, "--out", out) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"radford2015-svhn, epoch 200: generator and discriminator, into {out}"
    assert all(line.startswith("  deviation: ") for line in lines[1:4])
    monkeypatch.chdir(tmp_path)
    assert call(*lines[-1].split()[1:]) == 0
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.mode == "RGB"


def test_json_is_one_document_with_absolute_paths(call, monkeypatch, capsys, tmp_path, files):
    monkeypatch.chdir(tmp_path)
    assert call("import", "newmu", files, "--out", "run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["config"] == json.loads((tmp_path / "run" / "config.json").read_text())
    assert document["config"]["imported"]["epoch"] == 200
    assert [Path(name).name for name in document["files"]] == [
        "generator.safetensors", "discriminator.safetensors"
    ]  # fmt: skip
    assert all(Path(name).is_absolute() and Path(name).exists() for name in document["files"])


def test_a_run_of_one_network(call, refused, capsys, tmp_path, files):
    for path in files.glob("*_gen_*"):
        path.unlink()
    out = tmp_path / "run"
    assert call("import", "newmu", files, "--out", out) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"radford2015-svhn, epoch 200: discriminator, into {out}"
    assert lines[-1].split()[:3] == ["gan-eval", "classify", "--features"]
    line = refused("sample", out, "--out", tmp_path / "x.png")
    assert "has no generator" in line


def test_an_imported_run_is_not_trained_on(call, refused, capsys, tmp_path, files):
    out = tmp_path / "run"
    assert call("import", "newmu", files, "--out", out) == 0
    capsys.readouterr()
    before = (out / "config.json").read_bytes()
    for more in ((), ("--epochs", 300), ("--steps", 100), ("--data", "digits")):
        line = refused("train", "--out", out, "--resume", *more)
        assert "This one was imported" in line
        assert "--preset radford2015-svhn" in line
    new = ("train", "--preset", "sthalles", "--data", "digits", "--out", out)
    assert "must not hold a run already" in refused(*new)
    assert (out / "config.json").read_bytes() == before


def test_pytorch_examples(call, refused, capsys, tmp_path):
    import torch

    from gan_eval.models.importers.imported import build
    from gan_eval.models.importers.pytorch_examples import _named
    from gan_eval.models.presets import preset

    paths = {"generator": tmp_path / "netG_epoch_3.pth", "discriminator": tmp_path / "d.pth"}
    for part, path in paths.items():
        network = build(preset("pytorch-examples"), part)
        for block in network.blocks:
            torch.nn.init.normal_(block.weight, 0, 0.02)
        torch.save({name: t.clone() for name, t in _named(network).items()}, path)
    options = [text for part, path in paths.items() for text in (f"--{part}", path)]
    command = ("import", "pytorch-examples", *options, "--out", tmp_path / "run")
    assert call(*command) == 0
    line = capsys.readouterr().err.splitlines()[0]
    assert line == f"pytorch-examples: generator and discriminator, into {tmp_path / 'run'}"
    assert Run(tmp_path / "run").load_generator().config.image_size == 64
    assert "must not hold a run already" in refused(*command)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["newmo", "x"], "No such command 'newmo'"),
        (["newmu", "nowhere", "--out", "x"], "folder nowhere must hold files such as 200_gen_"),
        (["newmu", "nowhere"], "Missing option '--out'"),
        (["pytorch-examples", "--generator", "g.pth", "--discriminator", "d.pth", "--out", "x"],
         "weights file g.pth must exist"),
        (["pytorch-examples", "--generator", "g.pth", "--out", "x"], "'--discriminator'"),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_line_and_write_nothing(
    refused, monkeypatch, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert message in refused("import", *arguments)
    assert list(tmp_path.iterdir()) == []
