"""The matrix of a linear classifier, read in blocks from memory or from disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_eval.probes import design as design_module
from gan_eval.probes.design import Design, on_device

STATUS = Path("/proc/self/status")


def mapped_bytes() -> int:
    """Return how much of this process's memory is files."""
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("RssFile:")]
    return int(line.split()[1]) * 1024


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A matrix of 16 MB in float16, which is read 1 MiB of float32 at a time."""
    monkeypatch.setattr(design_module, "_BLOCK_BYTES", 2**20)
    rows = np.random.default_rng(0).normal(size=(4000, 2048)).astype(np.float16)
    np.save(tmp_path / "x.npy", rows)
    return tmp_path / "x.npy"


@pytest.mark.skipif(not STATUS.exists(), reason="needs /proc")
def test_a_memory_map_is_let_go_as_it_is_read(path: Path):
    x = np.load(path, mmap_mode="r")[3:3990]
    weights = torch.ones(2049, 2, dtype=torch.float64)
    Design(x[:10]).margins(weights)  # libraries are files too
    before = mapped_bytes()
    found = Design(x).margins(weights)
    assert mapped_bytes() - before < 4e6
    assert torch.equal(found, Design(np.array(x)).margins(weights))


def test_what_was_changed_in_a_private_map_stays(path: Path):
    x = np.load(path, mmap_mode="c")
    x[:100] = 1
    weights = torch.ones(2049, 2, dtype=torch.float64)
    found = Design(x).margins(weights)
    assert torch.equal(found[:100], torch.full((100, 2), 2049.0, dtype=torch.float64))
    assert (x[:100] == 1).all()


def test_what_is_read_often_lies_on_another_device_where_it_fits(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    x = np.load(path, mmap_mode="r")
    assert on_device(x, "cpu") is x
    held = on_device(x, "meta")
    assert (held.device.type, held.shape, held.dtype) == ("meta", x.shape, torch.float16)
    assert on_device(held, "meta") is held
    monkeypatch.setattr(design_module, "available_memory", lambda device: x.nbytes)
    assert on_device(x, "meta") is not x
    assert on_device(x, "meta", beside=1) is x


def test_a_device_is_known_by_the_name_that_tensors_say():
    assert Design(torch.ones(2, 2), "cpu").device == torch.ones(1).device
    assert Design(torch.ones(2, 2), "meta").device == torch.ones(1, device="meta").device
