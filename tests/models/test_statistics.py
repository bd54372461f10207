"""Batch statistics are the authors' (plain means, biased variances) and touch nothing else."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gan_eval.errors import InputError
from gan_eval.models.dcgan import BatchNorm, Discriminator, Generator, initialise
from gan_eval.models.presets import preset
from gan_eval.models.statistics import batch_statistics, set_statistics
from gan_eval.seeding import stream

Network = Generator | Discriminator
EPS = 1e-8


@pytest.fixture
def networks(tiny: Callable) -> tuple[Generator, Discriminator]:
    """The paper's SVHN networks, a few maps wide, with gains and biases that all differ."""
    config, _ = tiny("radford2015-svhn")
    made = Generator(config.generator), Discriminator(config.discriminator)
    for name, network in zip("gd", made, strict=True):
        initialise(network, stream(0, name))
        for norm in norms(network):
            norm.bias.data.normal_(0, 0.3, generator=stream(0, name, "bias"))
    return made


def norms(network: Network) -> list[BatchNorm]:
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


def draws(network: Network, n: int = 12, seed: int = 1) -> Tensor:
    """Return z for a generator and images for a discriminator."""
    if isinstance(network, Generator):
        return network.draw(n, stream(seed, "z"))
    side, channels = network.config.image_size, network.config.channels
    return torch.rand(n, channels, side, side, generator=stream(seed, "images")) * 2 - 1


def by_hand(x: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, biased variance and `x` normalised by them, as the authors' Theano does it."""
    mean = x.mean(over, keepdim=True)
    variance = ((x - mean) ** 2).mean(over, keepdim=True)
    return mean.flatten(), variance.flatten(), (x - mean) / torch.sqrt(variance + EPS)


def test_the_first_layer_of_a_generator_in_closed_form(networks):
    generator, _ = networks
    z = draws(generator)
    weight = generator.blocks[0].weight.detach().double()
    deviation = z.double() - z.double().mean(0)
    units = len(weight)
    mean, variance = batch_statistics(generator, z)[:, :units]
    torch.testing.assert_close(mean, weight @ z.double().mean(0), rtol=1e-5, atol=1e-7)
    covariance = deviation.T @ deviation / len(z)
    expected = torch.einsum("ui,ij,uj->u", weight, covariance, weight)
    torch.testing.assert_close(variance, expected, rtol=1e-4, atol=1e-9)


def test_all_layers_of_a_discriminator_against_a_loop(networks):
    _, discriminator = networks
    x, means, variances = draws(discriminator).double(), [], []
    for block in list(discriminator.blocks)[:-1]:
        x = functional.conv2d(x, block.weight.double(), stride=2, padding=2)
        if block.norm is not None:
            mean, variance, x = by_hand(x, (0, 2, 3))
            gain, bias = (t.double()[:, None, None] for t in (block.norm.weight, block.norm.bias))
            x = x * gain + bias
            means.append(mean)
            variances.append(variance)
        x = functional.leaky_relu(x, 0.2)
    expected = torch.stack([torch.cat(means), torch.cat(variances)])
    found = batch_statistics(discriminator, draws(discriminator))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)


def test_all_layers_of_a_generator_against_a_loop(networks):
    generator, _ = networks
    stem, *rest = generator.blocks
    x = draws(generator).double() @ stem.weight.double().T
    mean, variance, x = by_hand(x, (0,))
    means, variances = [mean], [variance]
    x = functional.relu(x * stem.norm.weight.double() + stem.norm.bias.double())
    x = x.reshape(len(x), -1, 4, 4)
    for block in rest[:-1]:
        x = functional.conv_transpose2d(x, block.weight.double(), None, 2, 2, 1)
        mean, variance, x = by_hand(x, (0, 2, 3))
        gain, bias = (t.double()[:, None, None] for t in (block.norm.weight, block.norm.bias))
        x = functional.relu(x * gain + bias)
        means.append(mean)
        variances.append(variance)
    expected = torch.stack([torch.cat(means), torch.cat(variances)])
    found = batch_statistics(generator, draws(generator))
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)


def test_pytorch_keeps_another_variance_and_forgets(networks):
    _, discriminator = networks
    batches = [draws(discriminator, 3, seed) for seed in range(4)]
    ours = torch.stack([batch_statistics(discriminator, images) for images in batches])
    last = norms(discriminator)[-1]
    width, values = last.num_features, 3 * 4 * 4
    last.momentum = 1.0
    discriminator.train()
    discriminator(batches[0])
    unbiased = ours[0, 1, -width:] * values / (values - 1)
    torch.testing.assert_close(last.running_var.double(), unbiased, rtol=1e-4, atol=0)
    last.momentum = 0.1
    for images in batches[1:]:
        discriminator(images)
    mean = ours.mean(0)[0, -width:]
    assert not torch.allclose(last.running_mean.double(), mean, rtol=1e-2, atol=1e-6)


def test_evaluation_normalises_by_what_was_set(networks):
    for network in networks:
        inputs = draws(network)
        set_statistics(network, batch_statistics(network, inputs))
        evaluated = network.eval()(inputs)
        torch.testing.assert_close(evaluated, network.train()(inputs), rtol=1e-3, atol=1e-4)
        assert not torch.allclose(network(draws(network, seed=2)), evaluated, atol=1e-2)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(networks, training):
    for network in networks:
        network.train(training)
        norms(network)[0].train(not training)  # whatever the modes are, they stay
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        modes = [module.training for module in network.modules()]
        batch_statistics(network, draws(network))
        with pytest.raises(RuntimeError):
            batch_statistics(network, torch.zeros(4, 3, 5))
        assert [module.training for module in network.modules()] == modes
        assert all(norm.track_running_stats for norm in norms(network))
        assert not any(norm._forward_pre_hooks for norm in norms(network))
        after = network.state_dict()
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
        assert all(parameter.grad is None for parameter in network.parameters())


def test_in_inference_mode_and_in_bf16(networks):
    for network in networks:
        inputs = draws(network)
        exact = batch_statistics(network, inputs)
        with torch.inference_mode():
            assert torch.equal(batch_statistics(network, inputs), exact)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rounded = batch_statistics(network, inputs)
        assert rounded.dtype == torch.float64
        # Sums of many bf16 values, taken in bf16, would be off by far more than the values.
        torch.testing.assert_close(rounded[1].sum(), exact[1].sum(), rtol=0.02, atol=0)
        set_statistics(network, rounded)  # outside, where its values are read


def test_labels_are_passed_on(tiny):
    config, _ = tiny("radford2015-mnist")
    network = Generator(config.generator)
    initialise(network, stream(0, "g"))
    z = draws(network)
    zeros, ones = (torch.full((len(z),), label) for label in (0, 1))
    assert not torch.equal(batch_statistics(network, z, zeros), batch_statistics(network, z, ones))
    with pytest.raises(InputError, match="labels are needed"):
        batch_statistics(network, z)


def test_a_network_without_batch_norm_has_none():
    network = Discriminator(preset("cs231n-mnist").discriminator)
    initialise(network, stream(0, "d"))
    found = batch_statistics(network, draws(network, 2))
    assert found.shape == (2, 0)
    set_statistics(network, found)


def test_one_value_has_no_variance(networks):
    generator, discriminator = networks
    with pytest.raises(InputError, match=r"must hold at least 2 inputs.* Got 1"):
        batch_statistics(generator, draws(generator, 1))
    # One image gives each map many values: the last batch of a set may be as short.
    assert batch_statistics(discriminator, draws(discriminator, 1))[1].min() > 0


def test_statistics_of_another_network_are_refused(networks):
    generator, discriminator = networks
    before = [norm.running_mean.clone() for norm in norms(generator)]
    other = batch_statistics(discriminator, draws(discriminator))
    total = sum(norm.num_features for norm in norms(generator))
    with pytest.raises(InputError, match=rf"must have shape \(2, {total}\).*Got \(2, 12\)"):
        set_statistics(generator, other)
    after = [norm.running_mean for norm in norms(generator)]
    assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_statistics_come_back_to_the_cpu(networks):
    for network in networks:
        exact = batch_statistics(network, draws(network))
        found = batch_statistics(network.cuda(), draws(network).cuda())
        assert found.device.type == "cpu"
        torch.testing.assert_close(found, exact, rtol=1e-2, atol=1e-4)
        set_statistics(network, found)
