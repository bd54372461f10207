"""Pictures of images: what becomes of one that is too large for a repository."""

import torch
from PIL import Image

from gan_eval.visualize.grids import lighten, write_grid


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
