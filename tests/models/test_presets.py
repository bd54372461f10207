"""Every preset, pinned: shapes, parameters and initial weights, worked out from its source."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_eval.errors import InputError
from gan_eval.models import dcgan
from gan_eval.models.dcgan import (
    Block,
    Discriminator,
    Generator,
    initialise,
    parameter_count,
)
from gan_eval.models.presets import PRESETS, configure, preset
from gan_eval.seeding import stream

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What one network must be: the shape after each layer (one image), and its values to learn.

    `parameters` is written as the sum over layers, so that a reader can check it by the source.
    """

    layers: tuple[Shape, ...]
    parameters: int


def _transposed(inputs: int, maps: int, kernel: int) -> int:
    return inputs * maps * kernel**2


_conv = _transposed  # as many weights, the other way round


GENERATORS = {
    "radford2015": Pin(
        layers=((1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)),
        # Weights; then a gain and a bias for each of 16384 units and of the maps.
        parameters=100 * 16384
        + 25 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
        + 2 * (16384 + 512 + 256 + 128),
    ),
    "radford2015-imagenet32": Pin(
        layers=(
            (512, 4, 4),
            (512, 8, 8),
            (256, 8, 8),
            (256, 16, 16),
            (128, 16, 16),
            (128, 32, 32),
            (3, 32, 32),
        ),
        parameters=256 * 8192
        + 9 * (512 * 512 + 512 * 256 + 256 * 256 + 256 * 128 + 128 * 128 + 128 * 3)
        + 2 * (8192 + 512 + 256 + 256 + 128 + 128),
    ),
    "radford2015-svhn": Pin(
        layers=((256, 4, 4), (128, 8, 8), (64, 16, 16), (3, 32, 32)),
        parameters=100 * 4096 + 25 * (256 * 128 + 128 * 64 + 64 * 3) + 2 * (4096 + 128 + 64),
    ),
    "radford2015-mnist": Pin(
        layers=((1024,), (128, 7, 7), (64, 14, 14), (1, 28, 28)),
        parameters=110 * 1024 + 1034 * 6272 + 25 * (138 * 64 + 74 * 1),
    ),
    "carpedm20-mnist": Pin(
        layers=((1024,), (128, 7, 7), (128, 14, 14), (1, 28, 28)),
        # Each layer: weights, a bias, a gain and a bias of batch norm; the last has no batch norm.
        parameters=(110 + 3) * 1024 + (1034 + 3) * 6272 + (138 * 25 + 3) * 128 + (138 * 25 + 1) * 1,
    ),
    "carpedm20": Pin(
        layers=((512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)),
        parameters=(100 + 1) * 8192
        + 2 * 512
        + (512 * 25 + 3) * 256
        + (256 * 25 + 3) * 128
        + (128 * 25 + 3) * 64
        + (64 * 25 + 1) * 3,
    ),
    "bubbliiiing": Pin(
        layers=((1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)),
        parameters=(100 + 1) * 16384
        + 2 * 1024
        + (1024 * 16 + 3) * 512
        + (512 * 16 + 3) * 256
        + (256 * 16 + 3) * 128
        + (128 * 16 + 1) * 3,
    ),
    "pytorch-examples": Pin(
        layers=((512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)),
        parameters=3_576_704,  # as its own summary prints
    ),
    "sthalles": Pin(
        layers=((512, 4, 4), (256, 8, 8), (128, 16, 16), (3, 32, 32)),
        parameters=(100 + 1) * 8192
        + 2 * 512
        + (512 * 25 + 3) * 256
        + (256 * 25 + 3) * 128
        + (128 * 25 + 1) * 3,
    ),
    "cs231n-mnist": Pin(
        layers=((1, 56, 56), (50, 28, 28), (25, 28, 28), (1, 28, 28)),
        # Batch norm has a bias and no gain: 1, 50 and 25 of them.
        parameters=(100 + 1) * 3136 + 1 + (9 + 2) * 50 + (9 * 50 + 2) * 25 + (25 + 1),
    ),
}

DISCRIMINATORS = {
    "radford2015": Pin(
        layers=((128, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4), (1,)),
        parameters=25 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
        + 2 * (256 + 512 + 1024)
        + 16384,
    ),
    "radford2015-imagenet32": Pin(
        layers=(
            (128, 32, 32),
            (128, 16, 16),
            (256, 16, 16),
            (256, 8, 8),
            (512, 8, 8),
            (512, 4, 4),
            (1,),
        ),
        parameters=9 * (3 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512)
        + 2 * (128 + 256 + 256 + 512 + 512)
        + 8192,
    ),
    "radford2015-svhn": Pin(
        layers=((64, 16, 16), (128, 8, 8), (256, 4, 4), (1,)),
        parameters=25 * (3 * 64 + 64 * 128 + 128 * 256) + 2 * (128 + 256) + 4096,
    ),
    "radford2015-mnist": Pin(
        layers=((64, 14, 14), (128, 7, 7), (1024,), (1,)),
        parameters=25 * (11 * 64 + 74 * 128) + (6272 + 10) * 1024 + 1034,
    ),
    "carpedm20-mnist": Pin(
        layers=((11, 14, 14), (74, 7, 7), (1024,), (1,)),
        parameters=(11 * 25 + 1) * 11 + (21 * 25 + 3) * 74 + (3636 + 3) * 1024 + 1034 + 1,
    ),
    "carpedm20": Pin(
        layers=((64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (1,)),
        parameters=(3 * 25 + 1) * 64
        + (64 * 25 + 3) * 128
        + (128 * 25 + 3) * 256
        + (256 * 25 + 3) * 512
        + (8192 + 1),
    ),
    "bubbliiiing": Pin(
        layers=((128, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4), (1,)),
        parameters=(3 * 16 + 1) * 128
        + (128 * 16 + 3) * 256
        + (256 * 16 + 3) * 512
        + (512 * 16 + 3) * 1024
        + (16384 + 1),
    ),
    "pytorch-examples": Pin(
        layers=((64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (1, 1, 1)),
        parameters=2_765_568,  # as its own summary prints
    ),
    "sthalles": Pin(
        layers=((64, 16, 16), (128, 8, 8), (256, 4, 4), (1,)),
        parameters=(3 * 25 + 1) * 64 + (64 * 25 + 3) * 128 + (128 * 25 + 3) * 256 + (4096 + 1),
    ),
    "cs231n-mnist": Pin(
        layers=((32, 14, 14), (64, 7, 7), (1024,), (1,)),
        parameters=(25 + 1) * 32 + (32 * 25 + 1) * 64 + (3136 + 1) * 1024 + (1024 + 1),
    ),
}

FEATURE_WIDTHS = {
    "radford2015": 30_720,
    "radford2015-imagenet32": 28_672,
    "radford2015-svhn": 7_168,
    "radford2015-mnist": None,
    "carpedm20-mnist": None,
    "carpedm20": (64 + 128 + 256 + 512) * 16,
    "bubbliiiing": (128 + 256 + 512 + 1024) * 16,
    "pytorch-examples": (64 + 128 + 256 + 512) * 16,
    "sthalles": (64 + 128 + 256) * 16,
    "cs231n-mnist": (32 + 64) * 16,
}

# prior, length of z, output, biases, classes
SHORT = {
    "radford2015": ("uniform", 100, "tanh", False, 0),
    "radford2015-imagenet32": ("uniform", 256, "tanh", False, 0),
    "radford2015-svhn": ("normal", 100, "tanh", False, 0),
    "radford2015-mnist": ("uniform", 100, "sigmoid", False, 10),
    "carpedm20-mnist": ("uniform", 100, "sigmoid", True, 10),
    "carpedm20": ("uniform", 100, "tanh", True, 0),
    "bubbliiiing": ("normal", 100, "tanh", True, 0),
    "pytorch-examples": ("normal", 100, "tanh", False, 0),
    "sthalles": ("uniform", 100, "tanh", True, 0),
    "cs231n-mnist": ("normal", 100, "sigmoid", True, 0),
}

# epsilon, weight of the newest batch, affine, gain's mean and standard deviation
NORMS = {
    "radford2015": (1e-8, 0.1, "gain_and_bias", 1.0, 0.02),
    "radford2015-imagenet32": (1e-8, 0.1, "gain_and_bias", 1.0, 0.02),
    "radford2015-svhn": (1e-8, 0.1, "gain_and_bias", 1.0, 0.02),
    "radford2015-mnist": (1e-8, 0.1, "none", 1.0, 0.0),
    "carpedm20-mnist": (1e-5, 0.1, "gain_and_bias", 1.0, 0.0),
    "carpedm20": (1e-5, 0.1, "gain_and_bias", 1.0, 0.0),
    "bubbliiiing": (1e-5, 0.1, "gain_and_bias", 0.1, 0.02),
    "pytorch-examples": (1e-5, 0.1, "gain_and_bias", 1.0, 0.02),
    "sthalles": (1e-5, 0.1, "gain_and_bias", 1.0, 0.0),
    "cs231n-mnist": (1e-5, 0.1, "bias", 1.0, 0.0),
}

# epochs, batch, rate of G and of D, beta1, L2, updates, G's updates, z, real target, pre-training
_TF = (25, 64, 2e-4, 2e-4, 0.5, 0.0, "joint", 2, "same", 1.0, 0)
RECIPES = {
    "radford2015": (25, 128, 2e-4, 2e-4, 0.5, 1e-5, "alternate", 1, "same", 1.0, 0),
    "radford2015-imagenet32": (25, 128, 2e-4, 2e-4, 0.5, 1e-5, "alternate", 1, "same", 1.0, 0),
    "radford2015-svhn": (200, 64, 5e-4, 5e-4, 0.5, 1e-5, "alternate", 1, "same", 1.0, 0),
    "radford2015-mnist": (200, 128, 2e-4, 2e-4, 0.5, 2.5e-5, "alternate", 1, "same", 1.0, 0),
    "carpedm20-mnist": _TF,
    "carpedm20": _TF,
    "bubbliiiing": (500, 64, 2e-3, 2e-3, 0.5, 0.0, "joint", 1, "fresh", 1.0, 0),
    "pytorch-examples": (25, 64, 2e-4, 2e-4, 0.5, 0.0, "joint", 1, "same", 1.0, 0),
    "sthalles": (10, 128, 2e-4, 2e-4, 0.5, 0.0, "joint", 2, "same", 0.9, 0),
    "cs231n-mnist": (84, 50, 1e-4, 3e-4, 0.9, 0.0, "joint", 1, "fresh", 1.0, 300),
}

SCHEDULES = {
    "radford2015-mnist": ("linear", 100, 200, 0.0),
    "bubbliiiing": ("cosine", 0, 500, 0.01),
}

EVERY = sorted(PRESETS)


def test_no_preset_is_left_unpinned():
    for pins in (GENERATORS, DISCRIMINATORS, FEATURE_WIDTHS, SHORT, NORMS, RECIPES):
        assert sorted(pins) == EVERY


def _generator(name: str) -> Generator:
    return Generator(preset(name).generator)


def _discriminator(name: str) -> Discriminator:
    return Discriminator(preset(name).discriminator)


def _labels(name: str) -> Tensor | None:
    return torch.tensor([3, 7]) if preset(name).conditional else None


def _images(name: str, n: int = 2) -> Tensor:
    config = preset(name).discriminator
    return torch.rand(n, config.channels, config.image_size, config.image_size)


def _shapes_of_blocks(network: Generator | Discriminator, x: Tensor, labels: Tensor | None):
    seen: list[Shape] = []
    hooks = [
        block.register_forward_hook(lambda block, inputs, y: seen.append(tuple(y.shape[1:])))
        for block in network.blocks
    ]
    with torch.no_grad():
        network(x, labels)
    for hook in hooks:
        hook.remove()
    return tuple(seen)


@pytest.mark.parametrize("name", EVERY)
def test_generator_shapes_and_parameters(name: str):
    network, pin = _generator(name), GENERATORS[name]
    z = network.draw(2, stream(0, "z"))
    assert _shapes_of_blocks(network, z, _labels(name)) == pin.layers
    assert parameter_count(network) == pin.parameters
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == pin.parameters


@pytest.mark.parametrize("name", EVERY)
def test_discriminator_shapes_and_parameters(name: str):
    network, pin = _discriminator(name), DISCRIMINATORS[name]
    images = _images(name)
    assert _shapes_of_blocks(network, images, _labels(name)) == pin.layers
    with torch.no_grad():
        given = list(network.activations(images, _labels(name)))
    assert tuple(tuple(y.shape[1:]) for y in given) == pin.layers
    assert parameter_count(network) == pin.parameters


@pytest.mark.parametrize("name", EVERY)
def test_last_activation_is_the_logit(name: str):
    network, images = _discriminator(name).eval(), _images(name)
    initialise(network, stream(0, "init"))
    with torch.no_grad():
        *_, last = network.activations(images, _labels(name))
        assert torch.equal(network(images, _labels(name)), last.flatten())
    assert last.numel() == 2


@pytest.mark.parametrize("name", EVERY)
def test_feature_widths(name: str):
    config = preset(name).discriminator
    assert config.feature_width() == FEATURE_WIDTHS[name]
    # The same number, by pooling what the network gives.
    if FEATURE_WIDTHS[name] is not None:
        with torch.no_grad():
            given = list(Discriminator(config).activations(_images(name)))
        pooled = [functional.adaptive_max_pool2d(given[i], 4) for i in config.feature_layers]
        assert sum(maps[0].numel() for maps in pooled) == FEATURE_WIDTHS[name]


@pytest.mark.parametrize("name", EVERY)
def test_prior_output_and_biases(name: str):
    published = preset(name)
    prior, z, scale, bias, classes = SHORT[name]
    generator, discriminator = published.generator, published.discriminator
    assert (generator.prior, generator.latent_dim, generator.scale) == (prior, z, scale)
    assert generator.classes == discriminator.classes == classes
    for network in (_generator(name), _discriminator(name)):
        assert {block.bias is not None for block in network.blocks} == {bias}


@pytest.mark.parametrize("name", EVERY)
def test_prior_is_drawn_as_named(name: str):
    z = _generator(name).draw(400, stream(0, "z")).double()
    uniform = SHORT[name][0] == "uniform"
    assert z.shape == (400, SHORT[name][1])
    assert (z.abs().max() <= 1) == uniform
    # Variance 1/3 or 1; 40,000 draws know it to about 1 %.
    assert float(z.var()) == pytest.approx(1 / 3 if uniform else 1, rel=0.04)
    assert float(z.mean()) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("name", EVERY)
def test_output_lies_in_the_range_that_the_images_get(name: str):
    network = _generator(name)
    initialise(network, stream(0, "init"))
    with torch.no_grad():
        network.blocks[-1].weight.mul_(1e4)  # saturates
        images = network(network.draw(2, stream(0, "z")), _labels(name))
    low = 0 if SHORT[name][2] == "sigmoid" else -1
    assert (float(images.min()), float(images.max())) == (low, 1)


@pytest.mark.parametrize("name", EVERY)
def test_norms(name: str):
    eps, momentum, affine, mean, std = NORMS[name]
    for network in (_generator(name), _discriminator(name)):
        config = network.config.norm
        assert (config.gain_mean, config.gain_std) == (mean, std)
        for norm in (block.norm for block in network.blocks if block.norm is not None):
            assert (norm.eps, norm.momentum) == (eps, momentum)
            assert norm.weight.requires_grad == (affine == "gain_and_bias")
            assert norm.bias.requires_grad == (affine != "none")


@pytest.mark.parametrize("name", EVERY)
def test_which_layers_are_normalised(name: str):
    generator = [block.norm is not None for block in _generator(name).blocks]
    discriminator = [block.norm is not None for block in _discriminator(name).blocks]
    assert generator == [True] * (len(generator) - 1) + [False]
    if name == "cs231n-mnist":
        assert not any(discriminator)
    else:
        assert discriminator == [False] + [True] * (len(discriminator) - 2) + [False]


@pytest.mark.parametrize("name", EVERY)
def test_dense_stem_is_normalised_over_units_or_maps_as_published(name: str):
    stem = next((b for b in _generator(name).blocks[::-1] if b.layer.kind == "dense"), None)
    by_units = {"radford2015", "radford2015-imagenet32", "radford2015-svhn"}
    by_units |= {"radford2015-mnist", "carpedm20-mnist"}
    if stem is None:
        assert name == "pytorch-examples"
    else:
        units, maps = stem.weight.shape[0], stem.layer.width
        assert stem.norm.num_features == (units if name in by_units else maps)
        assert units > maps


@pytest.mark.parametrize("name", EVERY)
def test_recipe(name: str):
    recipe = preset(name).recipe
    g, d = recipe.generator, recipe.discriminator
    got = (
        recipe.epochs,
        recipe.batch_size,
        g.lr,
        d.lr,
        g.beta1,
        g.weight_decay,
        recipe.updates,
        recipe.generator_updates,
        recipe.latent,
        recipe.real_target,
        recipe.pretrain_steps,
    )
    assert got == RECIPES[name]
    assert (d.beta1, d.weight_decay) == (g.beta1, g.weight_decay)
    assert g.beta2 == d.beta2 == 0.999
    schedule = recipe.schedule
    shape = (schedule.shape, schedule.start, schedule.end, schedule.floor)
    assert shape == SCHEDULES.get(name, ("constant", 0, 0, 0.0))


def _blocks(network: Generator | Discriminator) -> list[Block]:
    return [block for block in network.blocks if isinstance(block, Block)]


@pytest.mark.parametrize("name", EVERY)
def test_initial_weights(name: str):
    cut = {
        ("cs231n-mnist", "conv"),
        ("cs231n-mnist", "dense"),
        ("carpedm20", "conv"),
        ("carpedm20-mnist", "conv"),
    }
    *_, gain_mean, gain_std = NORMS[name]
    for network in (_generator(name), _discriminator(name)):
        initialise(network, stream(0, "init"))
        for block in _blocks(network):
            weight = block.weight.detach().double()
            truncated = (name, block.layer.kind) in cut
            # Normal of deviation .02; cut at two of them it keeps 0.880 of it.
            expected = 0.02 * (0.8796 if truncated else 1)
            assert float(weight.mean()) == pytest.approx(0, abs=5 * 0.02 / weight.numel() ** 0.5)
            assert float(weight.std()) == pytest.approx(
                expected, rel=5 / (2 * weight.numel()) ** 0.5
            )
            if truncated:
                assert weight.abs().max() <= 0.04
            elif weight.numel() > 1000:
                assert weight.abs().max() > 0.04
            assert block.bias is None or not block.bias.any()
            if block.norm is not None:
                gain, n = block.norm.weight.detach(), block.norm.num_features
                assert float(gain.mean()) == pytest.approx(
                    gain_mean, abs=5 * gain_std / n**0.5 + 1e-7
                )
                if gain_std and n > 50:
                    assert float(gain.std()) == pytest.approx(gain_std, rel=5 / (2 * n) ** 0.5)
                assert not block.norm.bias.any()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 32, 48, 64, 128])
def test_carpedm20_halves_any_size_with_ceil(size: int, channels: int):
    configured = configure("carpedm20", image_size=size, channels=channels)
    sides = [size]
    for _ in range(4):
        sides.append(-(-sides[-1] // 2))
    g, d = Generator(configured.generator), Discriminator(configured.discriminator)
    assert configured.generator.sizes() == tuple(reversed(sides))
    assert configured.discriminator.sizes() == (*sides[1:], 1)
    with torch.no_grad():
        images = g(g.draw(2, stream(0, "z")))
        assert images.shape == (2, channels, size, size)
        assert d(images).shape == (2,)
    assert d.blocks[-1].weight.shape == (1, 512 * sides[-1] ** 2)
    small = sides[-1] < 4
    assert configured.discriminator.feature_width() == (None if small else 960 * 16)


@pytest.mark.parametrize("size", [16, 32, 48, 64, 96])
def test_bubbliiiing_takes_multiples_of_16_and_a_width(size: int):
    configured = configure("bubbliiiing", image_size=size, width=8)
    g, d = Generator(configured.generator), Discriminator(configured.discriminator)
    with torch.no_grad():
        images = g(g.draw(2, stream(0, "z")))
        assert images.shape == (2, 3, size, size)
        assert d(images).shape == (2,)
    assert [block.layer.width for block in _blocks(d)] == [8, 16, 32, 64, 1]
    assert [block.layer.width for block in _blocks(g)] == [64, 32, 16, 8, 3]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bubbliiiing", {"image_size": 28}, r"image_size of bubbliiiing .*multiple of 16.*Got 28"),
        ("carpedm20", {"image_size": 8}, r"image_size of carpedm20 .*at least 16.*Got 8"),
        ("radford2015", {"image_size": 32}, r"image_size of radford2015 is 64: .*Got 32"),
        ("pytorch-examples", {"image_size": 128}, r"image_size of pytorch-examples is 64.*128"),
        ("sthalles", {"image_size": 28}, r"image_size of sthalles is 32: .*Got 28"),
        ("cs231n-mnist", {"image_size": 32}, r"image_size of cs231n-mnist is 28: .*Got 32"),
        ("carpedm20-mnist", {"channels": 3}, r"channels of carpedm20-mnist must be 1\. Got 3"),
        ("sthalles", {"channels": 4}, r"channels of sthalles must be 1 or 3\. Got 4"),
        ("sthalles", {"latent_dim": 0}, r"latent_dim must be at least 1\. Got 0"),
        ("sthalles", {"width": 32}, r"width is fixed in sthalles\. Got 32"),
        ("sthalles", {"classes": 10}, r"classes of sthalles .*Got 10"),
        ("bubbliiiing", {"width": 0}, r"width must be at least 1\. Got 0"),
        ("carpedm20-mnist", {"classes": 1}, r"classes of carpedm20-mnist .*at least 2\. Got 1"),
    ],
)
def test_what_cannot_be_built_says_why(name: str, options: dict[str, int], message: str):
    with pytest.raises(InputError, match=message):
        configure(name, **options)


@pytest.mark.parametrize(
    ("typed", "meant"), [("radford-2015", "radford2015"), ("STHALES", "sthalles")]
)
def test_unknown_preset_suggests_the_closest(typed: str, meant: str):
    with pytest.raises(InputError, match=f"preset '{typed}' is not known. Did you mean '{meant}'"):
        preset(typed)


def test_what_differs_from_the_source_is_listed():
    published, changed = preset("carpedm20"), configure("carpedm20", image_size=28, channels=1)
    assert changed.deviations == (
        *published.deviations,
        "image_size 28 instead of 64",
        "channels 1 instead of 3",
    )
    assert configure("carpedm20", image_size=64, channels=3) == published


@pytest.mark.parametrize("name", ["radford2015-mnist", "carpedm20-mnist"])
def test_labels_change_what_both_networks_compute(name: str):
    g, d = _generator(name).eval(), _discriminator(name).eval()
    for network in (g, d):
        initialise(network, stream(0, "init"))
    z, images = g.draw(2, stream(0, "z")), _images(name)
    same, other = torch.tensor([3, 7]), torch.tensor([3, 8])
    with torch.no_grad():
        one, two = g(z, same), g(z, other)
        p, q = d(images, same), d(images, other)
    # Only the second image's label changed.
    torch.testing.assert_close(one[0], two[0])
    torch.testing.assert_close(p[0], q[0])
    assert not torch.allclose(one[1], two[1])
    assert not torch.allclose(p[1], q[1])
    # Every layer of both reads the label: weights of its last ten inputs matter.
    for network in (g, d):
        for block in _blocks(network):
            inputs = block.weight.transpose(0, 1) if block.layer.kind != "transposed" else None
            inputs = block.weight if inputs is None else inputs
            assert block.layer.label
            assert inputs[-10:].abs().sum() > 0
            with torch.no_grad():
                kept = inputs[-10:].clone()
                inputs[-10:] = 0
                if network is g:
                    assert not torch.equal(g(z, same), one)
                else:
                    assert not torch.equal(d(images, same), p)
                inputs[-10:] = kept
    with pytest.raises(InputError, match="labels are needed"):
        g(z)


@pytest.mark.parametrize("few", [64, 5])
@pytest.mark.parametrize("name", ["radford2015-mnist", "carpedm20-mnist"])
def test_maps_of_labels_count_as_if_they_lay_behind_the_others(
    name: str, few: int, monkeypatch: pytest.MonkeyPatch
):
    """By plain convolutions of both together: the same maps, and the same gradients."""
    monkeypatch.setattr(dcgan, "_FEW_CLASSES", few)
    label = functional.one_hot(torch.tensor([3, 7, 3]), 10).double()
    kinds = set()
    for network in (_generator(name), _discriminator(name)):
        initialise(network, stream(0, "init"))
        for block, side in zip(_blocks(network), network.config.sizes(), strict=True):
            layer, weight = block.layer, block.double().weight
            if layer.kind == "dense":
                continue
            kinds.add(layer.kind)
            before = side // layer.stride if layer.kind == "transposed" else side * layer.stride
            own = weight.shape[0 if layer.kind == "transposed" else 1] - 10
            x = torch.randn(3, own, before, before, dtype=torch.float64, requires_grad=True)
            if block.bias is not None:
                nn.init.normal_(block.bias)
            both = torch.cat([x, label[:, :, None, None].expand(-1, -1, before, before)], 1)
            if layer.kind == "conv":
                plain = functional.conv2d(both, weight, block.bias, layer.stride, layer.padding)
            else:
                extra = side - ((before - 1) * layer.stride - 2 * layer.padding + layer.kernel)
                plain = functional.conv_transpose2d(
                    both, weight, block.bias, layer.stride, layer.padding, extra
                )
            ours = block._of_class(x, label)
            torch.testing.assert_close(ours, plain)
            learned = [x, weight, *([] if block.bias is None else [block.bias])]
            for one, other in zip(
                *(torch.autograd.grad(y.square().sum(), learned) for y in (ours, plain)),
                strict=True,
            ):
                torch.testing.assert_close(one, other)
    assert kinds == {"conv", "transposed"}


def _copy(plain: nn.Module, network: Generator | Discriminator) -> None:
    """Copy the weights of `network` into `plain`, parameter by parameter in order."""
    ours = [p for p in network.parameters() if p is not None]
    theirs = list(plain.parameters())
    assert len(ours) == len(theirs)
    with torch.no_grad():
        for mine, other in zip(ours, theirs, strict=True):
            other.copy_(mine)


def _same(network: nn.Module, plain: nn.Module, x: Tensor) -> None:
    """Assert equal outputs and input gradients, in training mode and then in evaluation mode."""
    for mode in (True, False):
        network.train(mode)
        plain.train(mode)
        mine, other = (x.clone().requires_grad_() for _ in range(2))
        y = network(mine)
        expected = plain(other).reshape(y.shape)
        torch.testing.assert_close(y, expected)
        y.square().sum().backward()
        expected.square().sum().backward()
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-5)


def _drawn(network: Generator | Discriminator) -> Generator | Discriminator:
    initialise(network, stream(0, "init"))
    return network


def test_pytorch_examples_is_its_tutorials_network():
    def up(inputs: int, maps: int, *geometry: int) -> list[nn.Module]:
        transposed = nn.ConvTranspose2d(inputs, maps, *geometry, bias=False)
        return [transposed, nn.BatchNorm2d(maps), nn.ReLU()]

    def down(inputs: int, maps: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, maps, 4, 2, 1, bias=False)
        return [convolution, nn.BatchNorm2d(maps), nn.LeakyReLU(0.2)]

    plain = nn.Sequential(
        nn.Unflatten(1, (100, 1, 1)),
        *up(100, 512, 4, 1, 0),
        *up(512, 256, 4, 2, 1),
        *up(256, 128, 4, 2, 1),
        *up(128, 64, 4, 2, 1),
        nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    network = _drawn(_generator("pytorch-examples"))
    _copy(plain, network)
    _same(network, plain, torch.randn(4, 100, generator=stream(0, "z")))

    plain = nn.Sequential(
        nn.Conv2d(3, 64, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        *down(64, 128),
        *down(128, 256),
        *down(256, 512),
        nn.Conv2d(512, 1, 4, 1, 0, bias=False),
    )
    network = _drawn(_discriminator("pytorch-examples"))
    _copy(plain, network)
    _same(network, plain, torch.rand(4, 3, 64, 64, generator=stream(0, "x")) * 2 - 1)


def test_radford2015_svhn_normalises_the_dense_stem_before_the_reshape():
    def up(inputs: int, maps: int) -> nn.Module:
        return nn.ConvTranspose2d(inputs, maps, 5, 2, 2, 1, bias=False)

    plain = nn.Sequential(
        nn.Linear(100, 4096, bias=False),
        nn.BatchNorm1d(4096, eps=1e-8),
        nn.ReLU(),
        nn.Unflatten(1, (256, 4, 4)),
        up(256, 128),
        nn.BatchNorm2d(128, eps=1e-8),
        nn.ReLU(),
        up(128, 64),
        nn.BatchNorm2d(64, eps=1e-8),
        nn.ReLU(),
        up(64, 3),
        nn.Tanh(),
    )
    network = _drawn(_generator("radford2015-svhn"))
    _copy(plain, network)
    _same(network, plain, torch.randn(8, 100, generator=stream(0, "z")))

    plain = nn.Sequential(
        nn.Conv2d(3, 64, 5, 2, 2, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 5, 2, 2, bias=False),
        nn.BatchNorm2d(128, eps=1e-8),
        nn.LeakyReLU(0.2),
        nn.Conv2d(128, 256, 5, 2, 2, bias=False),
        nn.BatchNorm2d(256, eps=1e-8),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(4096, 1, bias=False),
    )
    network = _drawn(_discriminator("radford2015-svhn"))
    _copy(plain, network)
    _same(network, plain, torch.rand(4, 3, 32, 32, generator=stream(0, "x")) * 2 - 1)


def test_cs231n_enlarges_and_shrinks_again():
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.norms = nn.Linear(100, 3136), nn.ModuleList()
            self.convolutions = nn.ModuleList(
                [nn.Conv2d(1, 50, 3, 2, 1), nn.Conv2d(50, 25, 3, 2, 1), nn.Conv2d(25, 1, 1, 2)]
            )

        def forward(self, z: Tensor) -> Tensor:
            def norm(x: Tensor) -> Tensor:
                return functional.relu(functional.batch_norm(x, None, None, training=True))

            def enlarge(x: Tensor) -> Tensor:
                return functional.interpolate(x, (56, 56), mode="bilinear", align_corners=False)

            x = norm(self.dense(z).view(-1, 1, 56, 56))
            x = norm(self.convolutions[0](x))
            x = norm(self.convolutions[1](enlarge(x)))
            return torch.sigmoid(self.convolutions[2](enlarge(x)))

    network, plain = _drawn(_generator("cs231n-mnist")), Plain()
    with torch.no_grad():
        linear = [plain.dense, *plain.convolutions]
        for block, layer in zip(network.blocks, linear, strict=True):
            layer.weight.copy_(block.weight)
            layer.bias.copy_(block.bias)
    z = torch.randn(4, 100, generator=stream(0, "z"))
    torch.testing.assert_close(network(z), plain(z))


def test_networks_of_one_seed_are_equal_and_of_two_are_not():
    one, two, other = (_drawn(_discriminator("radford2015-svhn")) for _ in range(3))
    initialise(other, stream(1, "init"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.blocks[0].weight, other.blocks[0].weight)
