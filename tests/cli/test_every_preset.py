"""Each experiment of the latent space and the filters on each preset, with labels or without."""

import json
from pathlib import Path
from typing import Any

import pytest

from gan_eval.experiments import interpolate
from gan_eval.models.presets import PRESETS
from gan_eval.models.runs import Run
from gan_eval.training.job import Job, carry_out

CALLS: dict[str, tuple[str, ...]] = {
    "interpolate": ("--frames", "2"),
    "arithmetic": ("--a", "1,2,3", "--b", "4,5,6", "--c", "7,8,9", "--trials", "100"),
    "filters": (),
    "dropout": ("--boxes", "boxes.json"),
    "neighbors": ("--memorisation-only", "--samples", "20"),
}


@pytest.fixture(scope="module")
def runs(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every preset, made narrow, after a step or two."""
    folder = tmp_path_factory.mktemp("runs")
    for name in PRESETS:
        config, images = tiny(name, steps=2)
        carry_out(Job(run=Run(folder / name), config=config, images=images))
    return folder


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("command", CALLS)
def test_it_runs(call, capsys, monkeypatch, runs, tmp_path, command, name, device):
    monkeypatch.setenv("GAN_EVAL_STORE", str(runs.parent / "store"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interpolate, "_PAIRS", 20)
    boxes = [{"z": z, "box": [0, 0, 9, 9]} for z in range(4)]
    Path("boxes.json").write_text(json.dumps(boxes))
    run = Run(runs / name)
    words = (*CALLS[command], "--device", device, "--out", "x", "--json")
    assert call(command, run.folder, *words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["exhibit"] == command
    assert all(Path(file).stat().st_size for file in document["files"])
