"""Pictures of images: what becomes of one that is too large for a repository."""

import subprocess
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import torch
from PIL import Image

from gan_eval.visualize.grids import lighten, write_grid, write_movie


def test_a_large_picture_is_kept_in_few_colours(tmp_path):
    images = torch.randint(256, (16, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    path = tmp_path / "grid.png"
    write_grid(path, images.to(torch.uint8))
    before = path.read_bytes()
    lighten(path, len(before))
    assert path.read_bytes() == before
    lighten(path, len(before) - 1)
    assert path.stat().st_size < 0.5 * len(before)
    with Image.open(path) as few:
        assert len(few.convert("RGB").getcolors(257)) <= 256


def test_what_is_called_a_picture_and_is_none_stays_as_it_is(tmp_path):
    path = tmp_path / "mine.png"
    write_grid(path, torch.zeros(4, 1, 8, 8, dtype=torch.uint8))
    for held in (b"notes" * 100, path.read_bytes()[:60]):
        path.write_bytes(held)
        lighten(path, 10)
        assert path.read_bytes() == held


@pytest.mark.skipif(which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_movie_has_every_frame_and_an_even_number_of_pixels(tmp_path: Path):
    frames = torch.arange(0, 250, 50, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 65, 71)
    path = tmp_path / "a.mp4"
    assert write_movie(path, frames, 100)
    command = ["ffmpeg", "-loglevel", "error", "-i", str(path), "-f", "rawvideo"]
    raw = subprocess.run([*command, "-pix_fmt", "gray", "-"], capture_output=True, check=True)
    found = np.frombuffer(raw.stdout, np.uint8).reshape(5, 66, 72)
    assert np.abs(found[:, 10:50, 10:50] - frames[:, 0, 10:50, 10:50].int().numpy()).max() <= 3
    assert found[4, 65].max() < 30


def test_without_an_ffmpeg_that_can_there_is_no_movie(tmp_path: Path, monkeypatch):
    frames = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    for found in (None, which("false")):
        monkeypatch.setattr("gan_eval.visualize.grids.which", lambda name, found=found: found)
        assert not write_movie(tmp_path / "a.mp4", frames, 100)
        assert list(tmp_path.iterdir()) == []
