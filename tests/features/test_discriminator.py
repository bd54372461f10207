"""The paper's features are the maps of D, pooled, by the statistics that were asked for."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from gan_eval.data import Images, open_images
from gan_eval.errors import InputError
from gan_eval.features.discriminator import DiscriminatorFeatures, random_discriminator
from gan_eval.features.pixels import Pixels
from gan_eval.features.views import Mirrored, Shifted
from gan_eval.models.config import DiscriminatorConfig, Layer, Norm
from gan_eval.models.dcgan import BatchNorm, Discriminator
from gan_eval.models.presets import preset
from gan_eval.models.weights import weights_sha256
from gan_eval.seeding import stream
from gan_eval.training.step import Trainer

EPS = 1e-8


@pytest.fixture
def network(tiny: Callable) -> Discriminator:
    """The paper's SVHN discriminator, a few maps wide, with statistics that all differ."""
    config, _ = tiny("radford2015-svhn")
    made = random_discriminator(replace(config.discriminator, channels=3), 0)
    for number, norm in enumerate(n for n in made.modules() if isinstance(n, BatchNorm)):
        norm.bias.data.normal_(0, 0.3, generator=stream(number, "bias"))
        norm.running_mean.normal_(0, 0.1, generator=stream(number, "mean"))
        norm.running_var.uniform_(0.02, 0.1, generator=stream(number, "var"))
    return made


@pytest.fixture(scope="module")
def train() -> Images:
    return open_images("digits", root=None, size=32, channels=3, limit=300)


def first(images: Images, n: int) -> Images:
    """Return a set of the first `n` images."""
    assert images.pixels is not None
    return replace(images, pixels=images.pixels[:n], labels=None, fingerprint=f"the first {n}")


def features(network: Discriminator, **options: Any) -> DiscriminatorFeatures:
    made = DiscriminatorFeatures(network, "tanh", **{"batch_norm": "running", **options})
    made.prepare()
    return made


def noise(n: int, channels: int = 3, size: int = 32) -> Tensor:
    shape = (n, channels, size, size)
    return torch.randint(256, shape, generator=stream(0, "noise"), dtype=torch.uint8)


def plain(network: Discriminator, given: list[tuple[Tensor, Tensor]]) -> nn.Sequential:
    """Build the convolutions of `network` out of PyTorch's own modules, `given` its statistics."""
    modules: list[nn.Module] = []
    statistics = iter(given)
    for block in list(network.blocks)[:-1]:
        weight = block.weight.detach()
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 5, stride=2, padding=2, bias=False)
        conv.weight.data = weight.contiguous()
        modules.append(conv)
        if block.norm is not None:
            norm = nn.BatchNorm2d(weight.shape[0], eps=EPS)
            norm.load_state_dict(block.norm.state_dict())
            norm.running_mean, norm.running_var = next(statistics)
            modules.append(norm)
        modules.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*modules).eval()


@torch.no_grad()
def by_hand(network: nn.Sequential, images: Tensor) -> Tensor:
    x, rows = images.float() / 127.5 - 1, []
    for module in network:
        x = module(x)
        if isinstance(module, nn.LeakyReLU):
            side = x.shape[-1] // 4
            rows.append(x.unfold(2, side, side).unfold(3, side, side).amax((4, 5)).flatten(1))
    return torch.cat(rows, 1)


def running(network: Discriminator) -> list[tuple[Tensor, Tensor]]:
    norms = (block.norm for block in network.blocks)
    return [(norm.running_mean, norm.running_var) for norm in norms if norm is not None]


@torch.no_grad()
def estimated(network: Discriminator, batches: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return the plain means of the batches' means and biased variances, layer by layer."""
    found: list[list[Tensor]] = []
    for images in batches:
        x, of_batch = images.float() / 127.5 - 1, []
        for block in list(network.blocks)[:-1]:
            x = functional.conv2d(x, block.weight, stride=2, padding=2)
            if block.norm is not None:
                mean = x.mean((0, 2, 3), keepdim=True)
                variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
                of_batch.append(torch.stack([mean.flatten(), variance.flatten()]))
                gain, bias = (t.view(1, -1, 1, 1) for t in (block.norm.weight, block.norm.bias))
                x = (x - mean) / (variance + EPS).sqrt() * gain + bias
            x = torch.where(x > 0, x, 0.2 * x)
        found.append(of_batch)
    layers = zip(*found, strict=True)
    return [tuple(sum(each) / len(batches)) for each in layers]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "width"),
    [("radford2015-imagenet32", 28_672), ("radford2015-svhn", 7_168), ("radford2015", 30_720)],
)
def test_width_is_the_papers(name: str, width: int):
    config = preset(name).discriminator
    extractor = features(random_discriminator(config, 0))
    rows = extractor(noise(2, size=config.image_size))
    assert rows.shape == (2, width) == (2, extractor.width)
    assert rows.dtype == torch.float32


def one_layer(size: int, *widths: int, kernel: int = 1, stride: int = 1) -> Discriminator:
    """Return a network of convolutions without batch norm, and a logit, for grey images."""
    layers = [
        Layer(
            kind="conv",
            width=width,
            kernel=kernel,
            stride=stride,
            norm="none",
            activation="leaky_relu",
        )
        for width in widths
    ]
    logit = Layer(kind="dense", width=1, norm="none", activation="none")
    config = DiscriminatorConfig(
        image_size=size, channels=1, layers=(*layers, logit), norm=Norm(), bias=False
    )
    return random_discriminator(config, 0)


def test_row_in_closed_form():
    """Two maps, x and -x: where a quadrant holds both 0 and 255 each of them has a 1."""
    network = one_layer(4, 2)
    network.blocks[0].weight.data.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
    white, black = 255, 0
    image = [
        [white, white, black, black],
        [white, white, black, black],
        [black, white, white, white],
        [white, white, white, white],
    ]
    row = features(network, pool=2)(torch.tensor([[image]], dtype=torch.uint8))
    assert torch.allclose(row, torch.tensor([[1, -0.2, 1, 1, -0.2, 1, 1, -0.2]]))
    zero_to_one = DiscriminatorFeatures(network, "sigmoid", pool=2, batch_norm="running")
    row = zero_to_one(torch.tensor([[image]], dtype=torch.uint8))
    assert torch.allclose(row, torch.tensor([[1, 0, 1, 1, -0.2, 0, 0, -0.2]]))


def test_plain_modules_with_the_same_weights_give_the_same_rows(network: Discriminator):
    images = noise(6)
    expected = by_hand(plain(network, running(network)), images)
    assert torch.allclose(features(network)(images), expected, atol=1e-5)


def test_maps_whose_side_is_no_multiple_are_pooled_adaptively():
    network = one_layer(28, 3, 3, kernel=5, stride=2)  # sides 14 and 7
    images = noise(4, channels=1, size=28)
    x, rows = images.float() / 127.5 - 1, []
    for block in list(network.blocks)[:-1]:
        x = functional.leaky_relu(functional.conv2d(x, block.weight, stride=2, padding=2), 0.2)
        rows.append(functional.adaptive_max_pool2d(x, 4).flatten(1))
    assert torch.allclose(features(network)(images), torch.cat(rows, 1), atol=1e-6)


def test_layers_and_pool_choose_parts_of_the_whole(network: Discriminator):
    images = noise(3)
    whole = features(network)(images).split(
        [layer.width * 16 for layer in network.config.layers[:-1]], 1
    )
    assert len(whole) == 3
    chosen = features(network, layers=[3, 1])
    assert torch.equal(chosen(images), torch.cat([whole[0], whole[2]], 1))
    assert chosen.identity["layers"] == [1, 3]
    halves = whole[1].view(3, -1, 2, 2, 2, 2).amax((3, 5)).flatten(1)
    assert torch.equal(features(network, layers=[2], pool=2)(images), halves)


def test_mirrored_rows_are_the_mean_of_both_sides(network: Discriminator):
    images, extractor = noise(3), features(network)
    both = (extractor(images) + extractor(images.flip(3))) / 2
    mirrored = Mirrored(extractor)
    assert torch.allclose(mirrored(images), both)
    assert torch.allclose(mirrored(images), mirrored(images.flip(3)))
    assert not torch.allclose(both, extractor(images))


def test_shifted_rows_are_the_mean_over_views_of_the_larger_side(network: Discriminator):
    images, extractor = noise(3), features(network)
    shifted = Shifted(extractor, [2])
    padded = torch.nn.functional.pad(images.float(), (2, 2, 2, 2), mode="reflect").byte()
    side, views = images.shape[3], []
    for down in (0, 2, 4):
        for right in (0, 2, 4):
            view = padded[:, :, down : down + side, right : right + side]
            views.append(torch.maximum(extractor(view), extractor(view.flip(3))))
    assert torch.allclose(shifted(images), torch.stack(views).mean(0))
    assert torch.allclose(shifted(images), shifted(images.flip(3)))
    assert len(views) == 9
    # Of no shift: the larger side of the image alone.
    assert torch.allclose(Shifted(extractor, [])(images), views[4])


@pytest.mark.parametrize(("n", "batches"), [(300, [128, 128, 44]), (257, [128, 128])])
def test_dataset_statistics_are_the_authors(
    n: int, batches: list[int], network: Discriminator, train: Images
):
    images = noise(5)
    parts = list(train.take(range(sum(batches))).split(batches))
    expected = by_hand(plain(network, estimated(network, parts)), images)
    extractor = features(network, batch_norm="dataset", train=first(train, n))
    assert torch.allclose(extractor(images), expected, atol=2e-4)
    assert not torch.allclose(extractor(images), features(network)(images), atol=0.1)


def test_shifted_views_are_made_where_the_network_is():
    seen = []

    class Noted(Pixels):
        def __call__(self, images: Tensor) -> Tensor:
            seen.append(images.device.type)
            return super().__call__(images)

    images = noise(3)
    assert Shifted(Noted(*images.shape[1:3]), [1], "meta")(images).device.type == "meta"
    assert seen == ["meta"] * 18


def test_statistics_of_images_that_lie_by_class_are_those_of_mixed_batches(network: Discriminator):
    # Of two classes, dark and bright, each batch of one has less variance than the set.
    digits = open_images("digits", root=None, size=network.config.image_size, channels=3)
    shades = torch.tensor([10, 240], dtype=torch.uint8).repeat_interleave(128)
    pixels = (shades[:, None, None, None] + noise(256) % 8).to(torch.uint8)
    labels = torch.arange(2).repeat_interleave(128)

    def rows(order: Tensor) -> tuple[Tensor, Mapping[str, Any]]:
        train = replace(digits, pixels=pixels[order], labels=labels[order])
        extractor = features(network, batch_norm="dataset", train=train)
        return extractor(noise(3)), extractor.identity

    mixed, same = rows(torch.randperm(256, generator=torch.Generator().manual_seed(1)))
    assert "statistics_order" not in same
    shards = torch.arange(256).view(2, 2, 64).transpose(0, 1).flatten()
    for order in (torch.arange(256), torch.arange(256).flip(0), shards):
        by_class, told = rows(order)
        assert torch.allclose(by_class, mixed, atol=0.05 * float(mixed.abs().max()))
        assert told["statistics_order"] == "mixed"


@pytest.mark.parametrize("batch_norm", ["dataset", "running"])
def test_a_row_does_not_depend_on_its_batch(batch_norm: str, network: Discriminator, train: Images):
    extractor = features(network, batch_norm=batch_norm, train=train)
    images = noise(7)
    alone = torch.cat([extractor(image[None]) for image in images])
    assert torch.allclose(extractor(images), alone, atol=1e-5)
    assert "depends_on_batch" not in extractor.identity


def test_by_batch_statistics_a_row_depends_on_its_batch_and_says_so(network: Discriminator):
    extractor, images = features(network, batch_norm="batch"), noise(7)
    expected = by_hand(plain(network, estimated(network, [images])), images)
    assert torch.allclose(extractor(images), expected, atol=1e-4)
    assert not torch.allclose(extractor(images)[:3], extractor(images[:3]), atol=0.01)
    assert extractor.identity["depends_on_batch"] is True


def test_statistics_are_learned_once_and_not_from_the_callers_network(
    network: Discriminator, train: Images
):
    before = weights_sha256(network)
    extractor = features(network, batch_norm="dataset", train=train)
    rows = extractor(noise(3))
    extractor.prepare()
    network.blocks[1].weight.data.zero_()
    assert torch.equal(extractor(noise(3)), rows)
    assert extractor.identity["weights_sha256"] == before
    assert not network.training


def test_the_callers_network_stays_as_it_is(network: Discriminator, train: Images):
    before = weights_sha256(network)
    for batch_norm in ("dataset", "running", "batch"):
        features(network, batch_norm=batch_norm, train=train)(noise(3))
    assert weights_sha256(network) == before
    assert all(not norm.training for norm in network.modules())


def test_bf16_is_near_and_another_identity(network: Discriminator):
    images, exact = noise(4), features(network)
    near = features(network, precision="bf16")
    assert near(images).dtype == torch.float32
    assert torch.allclose(near(images), exact(images), atol=0.1)
    assert not torch.equal(near(images), exact(images))
    assert near.identity != exact.identity


def test_whatever_changes_a_row_changes_the_identity(network: Discriminator, train: Images):
    options: list[dict[str, Any]] = [
        {},
        {"layers": [1]},
        {"pool": 2},
        {"precision": "bf16"},
        {"batch_norm": "batch"},
        {"batch_norm": "dataset", "train": train},
        {"batch_norm": "dataset", "train": first(train, 200)},
    ]
    found = [features(network, **each).identity for each in options]
    found.append(DiscriminatorFeatures(network, "sigmoid", batch_norm="running").identity)
    other = random_discriminator(network.config, 0)
    found.append(features(other).identity)
    found.append(Mirrored(features(network)).identity)
    assert all(one != two for i, one in enumerate(found) for two in found[:i])
    assert features(network, train=train, name="other").identity == found[0]


def test_random_discriminator_is_the_start_of_an_untrained_run(tiny: Callable, fabric: Fabric):
    config, _ = tiny("radford2015-svhn", seed=7)
    started = Trainer.start(config, fabric).discriminator
    assert weights_sha256(random_discriminator(config.discriminator, 7)) == weights_sha256(started)
    other = random_discriminator(config.discriminator, 8)
    assert weights_sha256(other) != weights_sha256(started)


def test_what_cannot_be_had_is_refused(network: Discriminator, train: Images, tiny: Callable):
    with pytest.raises(InputError, match=r"layers must be some of the convolutions 1 to 3\. Got 4"):
        features(network, layers=[1, 4])
    with pytest.raises(InputError, match=r"convolutions 1 to 3\. Got none"):
        features(network, layers=[])
    with pytest.raises(InputError, match=r"side of the maps of layer 3, 4\. Got 5; leave"):
        features(network, pool=5)
    with pytest.raises(InputError, match=r"pool must be from 1 .* layer 1, 16\. Got 0"):
        features(network, pool=0)
    with pytest.raises(InputError, match=r"train must be given .* choose 'running'"):
        features(network, batch_norm="dataset")
    with pytest.raises(InputError, match=r"train must hold at least 2 images.*Got 1"):
        features(network, batch_norm="dataset", train=first(train, 1))
    small = open_images("digits", root=None, limit=9)
    wrong = r"images must be 3x32x32.*Got 1x8x8; open them with size=32, channels=3"
    with pytest.raises(InputError, match=wrong):
        features(network, batch_norm="dataset", train=small)
    with pytest.raises(InputError, match=wrong):
        features(network)(small.take([0, 1]))
    unprepared = DiscriminatorFeatures(network, "tanh", train=train)
    with pytest.raises(InputError, match=r"prepare\(\) must be called"):
        unprepared(noise(2))
    config, _ = tiny("radford2015-mnist")
    with pytest.raises(InputError, match=r"conditional networks give no features.*10 classes"):
        features(random_discriminator(config.discriminator, 0))


@pytest.mark.gpu
def test_cuda_gives_the_rows_of_the_cpu(network: Discriminator, train: Images):
    options = {"batch_norm": "dataset", "train": train}
    rows = features(network, device="cuda", **options)(noise(9)).cpu()
    # TF32 products keep 11 bits.
    assert torch.allclose(rows, features(network, **options)(noise(9)), atol=0.05)
