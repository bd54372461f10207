"""What `speed_fid` times: two folders of PNGs, and Inception weights that cost the official time.

The weights are random, such that signals reach the end: He-initialised, with the batch-norm
statistics of some images.
"""

from pathlib import Path
from unittest.mock import patch

import torch
from PIL import Image
from pytorch_fid import inception
from torch import Tensor, nn

from gan_eval.data import open_images
from gan_eval.features.inception import SIDE, URL
from gan_eval.models.runs import Run
from gan_eval.models.sampling import generate
from gan_eval.seeding import stream

PARTS = ("real", "fake")


def random_weights(images: Tensor) -> dict[str, Tensor]:
    """Return He-initialised weights with the batch-norm statistics of uint8 `images`."""
    with (
        patch.object(inception, "load_state_dict_from_url"),
        patch.object(nn.Module, "load_state_dict"),
    ):
        network: nn.Module = inception.fid_inception_v3().train()
    generator = stream(0, "inception")
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean
    with torch.no_grad():
        network(nn.functional.interpolate(images / 127.5 - 1, (SIDE, SIDE), mode="bilinear"))
    return network.state_dict()


def write_folders(home: Path, n: int, run: Path | None) -> None:
    """Write the weights, where torch hub looks for pytorch-fid's, and both folders."""
    pixels = open_images("cifar10", root=None, split="train", limit=2 * n).pixels
    assert pixels is not None
    if run is not None:
        samples = [images for images, _ in generate(Run(run).load_generator(), n, seed=0)]
        pixels = torch.cat([pixels[:n], *samples])
    (home / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(random_weights(pixels[:32]), weights(home))
    for number, part in enumerate(PARTS):
        (home / part).mkdir()
        for row in range(n):
            image = Image.fromarray(pixels[number * n + row].permute(1, 2, 0).numpy())
            image.save(home / part / f"{row:05d}.png")


def weights(home: Path) -> Path:
    """Return where torch hub looks for pytorch-fid's weights when `home` is TORCH_HOME."""
    return home / "hub" / "checkpoints" / URL.rpartition("/")[2]
