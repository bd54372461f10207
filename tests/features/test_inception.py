"""Inception features from a file of random weights, against pytorch-fid's own forward pass."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_fid import inception as reference
from torch import Tensor, nn
from torchvision.models import inception as inception_blocks

from gan_eval.errors import InputError
from gan_eval.features import inception
from gan_eval.features.inception import OFFICIAL_SHA256, URL, Inception
from gan_eval.features.inception_network import Mixed, faster
from gan_eval.seeding import stream


def made(state: dict[str, Tensor] | None) -> nn.Module:
    """Return pytorch-fid's classifier, with `state` or as it is built."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(reference, "load_state_dict_from_url", lambda *_, **__: state)
        if state is None:
            patch.setattr(nn.Module, "load_state_dict", lambda *_: None)
        network: nn.Module = reference.fid_inception_v3()
    return network.eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a file of the right architecture, He-initialised so that signals reach the end."""
    network = made(None)
    generator = stream(0, "inception")
    for tensor in network.state_dict().values():
        if tensor.dim() == 4:
            nn.init.kaiming_normal_(tensor, generator=generator)
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def extractor(weights: Path) -> Inception:
    return Inception(weights)


def noise(n: int, channels: int = 3, size: int = 32) -> Tensor:
    shape = (n, channels, size, size)
    return torch.randint(256, shape, generator=stream(1, "noise"), dtype=torch.uint8)


def own(weights: Path, images: Tensor, dims: int) -> Tensor:
    """Return what pytorch-fid's class makes of uint8 `images`, averaged over positions."""
    state = torch.load(weights, weights_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "load_state_dict_from_url", lambda *_, **__: state)
        network = reference.InceptionV3([reference.InceptionV3.BLOCK_INDEX_BY_DIM[dims]]).eval()
    with torch.no_grad():
        out: Tensor = network(images / 255)[0]
    return out.mean((2, 3))


def test_rows_are_those_of_pytorch_fid(extractor: Inception, weights: Path):
    images = noise(2)
    rows = extractor(images)
    assert rows.shape == (2, extractor.width) == (2, 2048)
    assert rows.std() > 0.01
    assert torch.allclose(rows, own(weights, images, 2048), rtol=1e-4, atol=1e-5)
    alone = torch.cat([extractor(image[None]) for image in images])
    assert torch.allclose(rows, alone, rtol=1e-4, atol=1e-5)


def test_lower_layers_are_averaged_over_positions(weights: Path):
    lower = Inception(weights, dims=192)
    assert lower.width == 192
    assert torch.allclose(lower(noise(2)), own(weights, noise(2), 192), rtol=1e-4, atol=1e-5)


def random_norms(module: nn.Module) -> nn.Module:
    """Return `module` in evaluation mode and float64, no batch norm of which does nothing."""
    generator = stream(2, "norms")
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            for tensor in (each.weight, each.bias, each.running_mean, each.running_var):
                assert tensor is not None
                with torch.no_grad():
                    tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
            nn.init.uniform_(each.bias, -0.5, 0.5, generator=generator)
        elif isinstance(each, nn.Conv2d):
            nn.init.kaiming_normal_(each.weight, generator=generator)
    return module.eval().double()


@pytest.mark.parametrize(
    "block",
    [
        partial(reference.FIDInceptionA, pool_features=6),
        inception_blocks.InceptionB,
        partial(reference.FIDInceptionC, channels_7x7=6),
        inception_blocks.InceptionD,
        reference.FIDInceptionE_1,
        reference.FIDInceptionE_2,
    ],
    ids=["5b-d", "6a", "6b-e", "7a", "7b", "7c"],
)
@torch.no_grad()
def test_a_mixed_block_is_pytorch_fids(block: Callable[[int], nn.Module]):
    theirs = random_norms(block(8))
    read = torch.rand(2, 8, 9, 9, generator=stream(3, "maps")).double()
    expected = theirs(read)
    given = read.to(memory_format=torch.channels_last)
    assert 0.1 < (expected > 0).double().mean() < 0.95
    assert torch.allclose(Mixed(theirs)(given), expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(given, read)


@torch.no_grad()
def test_the_stem_is_pytorch_fids():
    convolutions = (inception_blocks.BasicConv2d(*maps, kernel_size=3) for maps in ((3, 4), (4, 5)))
    stem = random_norms(nn.Sequential(*convolutions, nn.MaxPool2d(3, 2)))
    images = torch.rand(2, 3, 15, 15, generator=stream(3, "maps")).double()
    assert torch.allclose(faster([stem])(images), stem(images), rtol=1e-9, atol=1e-9)


def test_many_images_are_taken_in_parts(weights: Path, monkeypatch: pytest.MonkeyPatch):
    lower, images = Inception(weights, dims=64), noise(5)
    expected = lower(images)
    monkeypatch.setattr(inception, "_AT_ONCE", 2)
    assert torch.allclose(lower(images), expected, rtol=1e-5, atol=1e-6)


def test_full_precision_is_not_a_gpus_tf32(extractor: Inception, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[bool, bool]] = []

    def look(maps: Tensor) -> Tensor:
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled))
        return maps

    monkeypatch.setattr(extractor, "_network", look)
    extractor(noise(1))
    assert seen == [(False, True)]
    assert torch.backends.cudnn.allow_tf32


def test_logits_are_the_classifier_without_its_bias(extractor: Inception, weights: Path):
    images = noise(1)
    network = made(torch.load(weights, weights_only=True))
    with torch.no_grad():
        expected = network(extractor._resized(images.float())) - network.fc.bias
    logits = extractor.logits(extractor(images))
    assert logits.shape == (1, 1008)
    assert torch.allclose(logits, expected, rtol=1e-3, atol=1e-4)


def test_clean_resizing_is_pillows_bicubic_on_floats(weights: Path):
    clean = Inception(weights, dims=64, resize="clean")
    for size in (32, 400):
        image = noise(1, channels=1, size=size)[0, 0].float()
        pillow = np.asarray(
            Image.fromarray(image.numpy()).resize((299, 299), Image.Resampling.BICUBIC)
        )
        assert pillow.min() < 0
        assert pillow.max() > 255
        fed = clean._resized(image[None, None])[0, 0]
        assert np.allclose(fed * 128 + 128, pillow.clip(0, 255), atol=0.02)


def test_pytorch_fid_resizing_is_bilinear_in_minus_one_to_one_without_antialiasing(
    extractor: Inception,
):
    board = torch.tensor([0.0, 255.0]).repeat(299).repeat(598, 1)[None, None]
    fed = extractor._resized(board)
    assert fed.shape == (1, 1, 299, 299)
    assert torch.allclose(fed, torch.zeros(1), atol=1e-5)
    assert extractor._resized(torch.full((1, 1, 8, 8), 255.0)).unique().tolist() == [1.0]


def test_grey_images_are_repeated(weights: Path):
    lower = Inception(weights, dims=64)
    grey = noise(2, channels=1)
    assert torch.equal(lower(grey), lower(grey.expand(-1, 3, -1, -1)))


def test_the_identity_tells_weights_layer_and_resizing_apart(extractor: Inception, weights: Path):
    assert extractor.identity["official"] is False
    assert extractor.identity["weights_sha256"] != OFFICIAL_SHA256
    assert extractor.identity == Inception(weights).identity
    clean = Inception(weights, resize="clean")
    lower = Inception(weights, dims=64)
    kinds = [extractor.identity, clean.identity, lower.identity]
    assert len({str(sorted(kind.items())) for kind in kinds}) == 3


def test_building_draws_nothing_from_the_global_generator(weights: Path):
    before = torch.random.get_rng_state()
    Inception(weights, dims=64)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_weights_the_message_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError) as raised:
        Inception()
    place = tmp_path / "checkpoints" / "pt_inception-2015-12-05-6726825d.pth"
    for part in (str(place), URL, OFFICIAL_SHA256, "nothing is downloaded"):
        assert part in str(raised.value)


def test_the_file_in_the_hubs_folder_is_found(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    place = tmp_path / "checkpoints" / "pt_inception-2015-12-05-6726825d.pth"
    place.parent.mkdir()
    place.symlink_to(weights)
    assert Inception(dims=64).identity == Inception(weights, dims=64).identity


def test_weights_of_another_network_are_refused(tmp_path: Path):
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.ones(2, 2)}, path)
    with pytest.raises(InputError, match=r"must be of pytorch-fid's network. Error.* take https"):
        Inception(path)
