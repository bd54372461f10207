"""The matrix of a linear classifier, read in blocks from memory or from disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_eval.probes import design as design_module
from gan_eval.probes.design import Design

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
