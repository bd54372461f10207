"""The algorithm: what each recipe updates, on which step, from which z, by which rule."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.nn import functional

from gan_eval.data import Feed, Images
from gan_eval.errors import InputError
from gan_eval.models.dcgan import Generator
from gan_eval.models.presets import PRESETS
from gan_eval.models.recipe import Adam, Schedule
from gan_eval.models.run_config import RunConfig
from gan_eval.seeding import stream
from gan_eval.training.config import Request, resolve
from gan_eval.training.job import carry_out, new_job, resumed_job
from gan_eval.training.losses import fake_loss, generator_loss, real_loss
from gan_eval.training.step import Trainer

Tiny = Callable[..., tuple[RunConfig, Images]]
Batch = tuple[Tensor, Tensor | None]


def _weights(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def _differ(one: list[Tensor], other: list[Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _started(made: tuple[RunConfig, Images], fabric: Fabric) -> tuple[Trainer, Iterator[Batch]]:
    config, images = made
    feed = Feed(images, batch_size=config.recipe.batch_size, seed=config.seed, device=fabric.device)
    return Trainer.start(config, fabric), feed.batches(0)


def _changes(trainer: Trainer, batches: Iterator[Batch], steps: int) -> list[str]:
    """Return which networks each step changed: "G", "D" or "GD"."""
    seen = []
    for step, (pixels, labels) in enumerate(islice(batches, steps)):
        g, d = _weights(trainer.generator), _weights(trainer.discriminator)
        trainer.step(step, pixels, labels, False)
        changed = {
            "G": _differ(g, _weights(trainer.generator)),
            "D": _differ(d, _weights(trainer.discriminator)),
        }
        seen.append("".join(name for name, was in changed.items() if was))
    return seen


@pytest.mark.parametrize(
    ("preset", "recipe", "expected"),
    [
        ("radford2015-svhn", {}, ["G", "D", "G", "D"]),
        ("radford2015-mnist", {}, ["G", "D", "G", "D"]),
        ("pytorch-examples", {}, ["GD", "GD"]),
        ("carpedm20-mnist", {}, ["GD", "GD"]),
        ("bubbliiiing", {}, ["GD", "GD"]),
        ("cs231n-mnist", {"pretrain_steps": 2}, ["D", "D", "GD", "GD"]),
        # After pre-training, the first alternating step is G's, whatever its number.
        ("radford2015-svhn", {"pretrain_steps": 1}, ["D", "G", "D", "G"]),
    ],
)
def test_which_network_each_step_changes(
    preset: str, recipe: dict, expected: list[str], tiny: Tiny, fabric: Fabric
):
    trainer, batches = _started(tiny(preset, **recipe), fabric)
    assert _changes(trainer, batches, len(expected)) == expected


BATCH = 8


class _Spy:
    """What G was given and D was shown, call by call."""

    def __init__(self, trainer: Trainer) -> None:
        self.z: list[Tensor] = []
        self.judged: list[Tensor] = []  # a mini-batch each, however many D was shown in one call
        trainer.generator.register_forward_pre_hook(
            lambda network, inputs: self.z.append(inputs[0].clone())
        )
        trainer.discriminator.register_forward_pre_hook(
            lambda network, inputs: self.judged.extend(inputs[0].detach().clone().split(BATCH))
        )


def _spied(made: tuple[RunConfig, Images], fabric: Fabric, step: int = 0) -> _Spy:
    trainer, batches = _started(made, fabric)
    spy = _Spy(trainer)
    pixels, labels = next(batches)
    trainer.step(step, pixels, labels, False)
    return spy


def test_two_generator_updates_see_the_same_z(tiny: Tiny, fabric: Fabric):
    spy = _spied(tiny("sthalles"), fabric)
    # Once for D and G's first update together, once for its second.
    assert len(spy.z) == 2
    assert torch.equal(spy.z[0], spy.z[1])
    # D sees real, fake, the same fake again, and what the updated G makes of the same z.
    real, fake, first, second = spy.judged
    assert torch.equal(fake, first)
    assert not torch.equal(first, second)
    assert not torch.equal(real, fake)


def test_fresh_latents_differ_from_those_of_the_discriminator(tiny: Tiny, fabric: Fabric):
    spy = _spied(tiny("bubbliiiing", generator_updates=2), fabric)
    assert len(spy.z) == 3
    assert len({tuple(z.flatten().tolist()) for z in spy.z}) == 3


def test_each_step_and_seed_has_its_own_latents(tiny: Tiny, fabric: Fabric):
    first = _spied(tiny("sthalles"), fabric).z[0]
    assert torch.equal(first, _spied(tiny("sthalles"), fabric).z[0])
    assert not torch.equal(first, _spied(tiny("sthalles"), fabric, step=1).z[0])
    assert not torch.equal(first, _spied(tiny("sthalles", seed=1), fabric).z[0])


def test_steps_of_an_alternating_recipe_use_the_batch_for_one_network(tiny: Tiny, fabric: Fabric):
    trainer, batches = _started(tiny("radford2015-svhn"), fabric)
    spy = _Spy(trainer)
    (first, _), (second, _) = islice(batches, 2)
    trainer.step(0, first, None, False)
    assert len(spy.judged) == 1  # G's step shows D no real image
    trainer.step(1, second, None, False)
    shown = second.float() / 127.5 - 1
    torch.testing.assert_close(spy.judged[1], shown)


def test_losses_at_no_opinion_are_log_2():
    logits = torch.zeros(8)
    for loss in (real_loss(logits, 1.0), fake_loss(logits), generator_loss(logits)):
        assert float(loss) == pytest.approx(math.log(2))
    assert float(real_loss(logits, 0.9)) == pytest.approx(math.log(2))


@pytest.mark.parametrize("x", [-30.0, -2.0, 0.5, 3.0, 30.0])
def test_losses_are_their_closed_forms(x: float):
    logits = torch.tensor([x], dtype=torch.float64)
    log_real, log_fake = -math.log1p(math.exp(-x)), -math.log1p(math.exp(x))
    for target in (1.0, 0.9):
        expected = -(target * log_real + (1 - target) * log_fake)
        assert float(real_loss(logits, target)) == pytest.approx(expected, rel=1e-5)
    assert float(fake_loss(logits)) == pytest.approx(-log_fake, rel=1e-5)
    assert float(generator_loss(logits)) == pytest.approx(-log_real, rel=1e-5)


def test_smoothed_loss_is_least_where_d_says_90_percent():
    x = torch.tensor(math.log(0.9 / 0.1), requires_grad=True)
    (slope,) = torch.autograd.grad(real_loss(x[None], 0.9), x)
    assert float(slope) == pytest.approx(0, abs=1e-6)


def test_smoothing_concerns_real_images_only(tiny: Tiny, fabric: Fabric):
    def losses(target: float) -> dict[str, Tensor]:
        trainer, batches = _started(tiny("sthalles", real_target=target), fabric)
        shown: list[Tensor] = []
        trainer.discriminator.register_forward_hook(
            lambda network, inputs, logits: shown.extend(logits.detach().split(BATCH))
        )
        loss = trainer.step(0, *next(batches), False)["d_loss"]
        return {"d": loss, "real": shown[0], "fake": shown[1]}

    plain, smooth = losses(1.0), losses(0.9)
    # -t log s(x) - (1 - t) log s(-x) = softplus(-x) + (1 - t) x
    torch.testing.assert_close(smooth["d"] - plain["d"], 0.1 * plain["real"].mean())
    expected = (
        functional.softplus(-plain["real"]).mean() + functional.softplus(plain["fake"]).mean()
    )
    torch.testing.assert_close(plain["d"], expected)


def _adam_by_hand(weight: Tensor, gradient: Tensor, adam: Adam) -> Tensor:
    """Return `weight` after Adam's first step (Kingma & Ba 2015), L2 added to the gradient."""
    gradient = gradient + adam.weight_decay * weight
    m, v = (1 - adam.beta1) * gradient, (1 - adam.beta2) * gradient**2
    return weight - adam.lr * (m / (1 - adam.beta1)) / ((v / (1 - adam.beta2)).sqrt() + 1e-8)


@pytest.mark.parametrize("decay", [0.0, 10.0])
def test_weight_decay_is_added_to_the_gradient(decay: float, tiny: Tiny, fabric: Fabric):
    adam = Adam(lr=1e-3, weight_decay=decay)
    made = tiny("radford2015-svhn", generator=adam, discriminator=adam)
    trainer, batches = _started(made, fabric)
    before = _weights(trainer.generator)
    trainer.step(0, *next(batches), False)  # G's
    parameters = list(trainer.generator.parameters())
    for old, parameter in zip(before, parameters, strict=True):
        assert parameter.grad is not None
        expected = _adam_by_hand(old.double(), parameter.grad.double(), adam)
        torch.testing.assert_close(parameter.double(), expected, rtol=0, atol=1e-7)


def test_networks_have_their_own_rates_and_moments(tiny: Tiny, fabric: Fabric):
    trainer, batches = _started(tiny("cs231n-mnist", pretrain_steps=0), fabric)
    trainer.step(0, *next(batches), False)
    for name, rate in (("adam_g", 1e-4), ("adam_d", 3e-4)):
        (group,) = trainer.optimizers[name].param_groups
        assert (group["lr"], group["betas"]) == (rate, (0.9, 0.999))


def test_pretraining_uses_its_own_adams_and_leaves_the_generator(tiny: Tiny, fabric: Fabric):
    trainer, batches = _started(tiny("cs231n-mnist", pretrain_steps=3), fabric)
    assert _changes(trainer, batches, 3) == ["D"] * 3

    def taken(name: str) -> set[int]:
        return {int(state["step"]) for state in trainer.optimizers[name].state.values()}

    assert taken("adam_d_real") == taken("adam_d_fake") == {3}
    assert taken("adam_d") == taken("adam_g") == set()
    trainer.step(3, *next(batches), False)
    assert taken("adam_d_real") == taken("adam_d_fake") == {3}
    assert taken("adam_d") == taken("adam_g") == {1}


def test_recipes_without_pretraining_have_two_optimisers(tiny: Tiny, fabric: Fabric):
    trainer, _ = _started(tiny("sthalles"), fabric)
    assert sorted(trainer.optimizers) == ["adam_d", "adam_g"]


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1.0), (250, 0.01 + 0.99 / 2), (500, 0.01), (700, 0.01)],
)
def test_cosine_falls_to_one_percent_at_500_epochs(epoch: float, factor: float):
    schedule = PRESETS["bubbliiiing"].recipe.schedule
    assert schedule.factor(epoch) == pytest.approx(factor)
    sixth = 0.01 + 0.99 * (1 + math.cos(math.pi / 6)) / 2
    assert schedule.factor(500 / 6) == pytest.approx(sixth)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1), (99.9, 1), (100, 1), (125, 0.75), (199, 0.01), (200, 0), (300, 0)]
)
def test_linear_falls_to_nothing_in_the_second_hundred_epochs(epoch: float, factor: float):
    schedule = PRESETS["radford2015-mnist"].recipe.schedule
    assert schedule.factor(epoch) == pytest.approx(factor)


def test_constant_rate_stays():
    assert {Schedule().factor(epoch) for epoch in (0, 10, 1e6)} == {1.0}


def test_rates_follow_the_schedule_step_by_step(tiny: Tiny, fabric: Fabric):
    schedule = Schedule(shape="linear", start=0, end=2)
    config, images = tiny("sthalles", schedule=schedule)
    trainer, batches = _started((config, images), fabric)
    assert config.steps_per_epoch == 5
    rates = []
    for step, batch in enumerate(islice(batches, 4)):
        trainer.step(step, *batch, False)
        rates.append([o.param_groups[0]["lr"] for o in trainer.optimizers.values()])
    for step, pair in enumerate(rates):
        assert pair == pytest.approx([2e-4 * (1 - step / 10)] * 2)


def test_step_at_rate_zero_changes_no_weight(tiny: Tiny, fabric: Fabric):
    schedule = Schedule(shape="linear", start=0, end=1)
    trainer, batches = _started(tiny("sthalles", schedule=schedule), fabric)
    g, d = _weights(trainer.generator), _weights(trainer.discriminator)
    trainer.step(5, *next(batches), False)
    assert not _differ(g, _weights(trainer.generator))
    assert not _differ(d, _weights(trainer.discriminator))


@pytest.mark.parametrize("preset", ["radford2015-mnist", "cs231n-mnist", "sthalles"])
def test_generator_step_leaves_no_gradient_on_the_discriminator(
    preset: str, tiny: Tiny, fabric: Fabric
):
    trainer, batches = _started(tiny(preset, updates="alternate", pretrain_steps=0), fabric)
    learned = [p.requires_grad for p in trainer.discriminator.parameters()]
    trainer.step(0, *next(batches), False)
    assert all(p.grad is None for p in trainer.discriminator.parameters())
    assert any(p.grad is not None for p in trainer.generator.parameters())
    assert [p.requires_grad for p in trainer.discriminator.parameters()] == learned


@pytest.mark.parametrize(
    ("preset", "frozen"),
    [
        ("radford2015-mnist", {"weight", "bias"}),
        ("cs231n-mnist", {"weight"}),
        ("sthalles", set()),
    ],
)
def test_affine_terms_that_a_preset_lacks_never_learn(
    preset: str, frozen: set[str], tiny: Tiny, fabric: Fabric
):
    trainer, batches = _started(tiny(preset, pretrain_steps=1), fabric)
    for step, batch in enumerate(islice(batches, 4)):
        trainer.step(step, *batch, False)
    norms = [
        block.norm
        for network in (trainer.generator, trainer.discriminator)
        for block in network.blocks
        if block.norm is not None
    ]
    for norm in norms:
        for name, start in (("weight", 1.0), ("bias", 0.0)):
            value = getattr(norm, name)
            assert value.requires_grad == (name not in frozen)
            assert bool((value == start).all()) == (name in frozen)


def test_discriminators_step_leaves_the_generators_gradient_alone(tiny: Tiny, fabric: Fabric):
    trainer, batches = _started(tiny("radford2015-svhn"), fabric)
    first, second = islice(batches, 2)
    trainer.step(0, *first, False)
    before = [p.grad.clone() for p in trainer.generator.parameters()]
    trainer.step(1, *second, False)
    after = [p.grad for p in trainer.generator.parameters()]
    assert not _differ(before, after)


def test_watched_figures_are_what_they_say(tiny: Tiny, fabric: Fabric):
    trainer, batches = _started(tiny("pytorch-examples"), fabric)
    shown: list[Tensor] = []
    made: list[Tensor] = []
    trainer.discriminator.register_forward_hook(
        lambda m, i, logits: shown.extend(logits.detach().split(BATCH))
    )
    trainer.generator.register_forward_hook(lambda m, i, images: made.append(images.detach()))
    pixels, labels = next(batches)
    watched = trainer.step(0, pixels, labels, True)
    real, fake, verdict = shown
    assert float(watched["d_real_accuracy"]) == pytest.approx(float((real > 0).float().mean()))
    assert float(watched["d_fake_accuracy"]) == pytest.approx(float((fake < 0).float().mean()))
    torch.testing.assert_close(watched["g_loss"], functional.softplus(-verdict).mean())

    def norm(network: nn.Module) -> Tensor:
        return torch.cat([p.grad.flatten() for p in network.parameters()]).norm()

    torch.testing.assert_close(watched["g_grad_norm"], norm(trainer.generator))
    torch.testing.assert_close(watched["d_grad_norm"], norm(trainer.discriminator))

    def spread(images: Tensor) -> Tensor:  # mean squared distance over all ordered pairs
        flat = images.double().flatten(1)
        n = len(flat)
        return torch.cdist(flat, flat).square().sum() / (n * (n - 1))

    expected = spread(made[0]) / spread(pixels.float() / 127.5 - 1)
    assert float(watched["diversity"]) == pytest.approx(float(expected), rel=1e-4)


def test_watching_changes_nothing(tiny: Tiny, fabric: Fabric):
    ends = []
    for watch in (True, False):
        trainer, batches = _started(tiny("sthalles"), fabric)
        for step, batch in enumerate(islice(batches, 3)):
            trainer.step(step, *batch, watch)
        ends.append(_weights(trainer.generator) + _weights(trainer.discriminator))
    assert not _differ(*ends)


def test_global_random_state_is_neither_read_nor_moved(tiny: Tiny, fabric: Fabric):
    ends = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        trainer, batches = _started(tiny("sthalles"), fabric)
        trainer.step(0, *next(batches), True)
        assert torch.equal(before, torch.get_rng_state())
        ends.append(_weights(trainer.generator))
    assert not _differ(*ends)


def _plain_pytorch_examples(width: int) -> tuple[nn.Sequential, nn.Sequential]:
    """The tutorial's networks, at `width` maps in every layer."""
    up: list[nn.Module] = [nn.ConvTranspose2d(100, width, 4, 1, 0, bias=False)]
    down: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for _ in range(3):
        up += [nn.BatchNorm2d(width), nn.ReLU()]
        up += [nn.ConvTranspose2d(width, width, 4, 2, 1, bias=False)]
        down += [nn.Conv2d(width, width, 4, 2, 1, bias=False)]
        down += [nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
    up += [nn.BatchNorm2d(width), nn.ReLU()]
    up += [nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
    down += [nn.Conv2d(width, 1, 4, 1, 0, bias=False), nn.Sigmoid()]
    return nn.Sequential(*up), nn.Sequential(*down)


def test_loop_of_the_pytorch_tutorial_reaches_the_same_weights(tiny: Tiny, fabric: Fabric):
    """An independent route: the tutorial's loop, with BCELoss on a sigmoid and plain Adam."""
    config, images = tiny("pytorch-examples")
    config = replace(config, generator=_coloured(config.generator))
    config = replace(config, discriminator=replace(config.discriminator, channels=3))
    width = config.generator.layers[0].width
    trainer = Trainer.start(config, fabric)
    plain_g, plain_d = _plain_pytorch_examples(width)
    with torch.no_grad():
        for network, plain in ((trainer.generator, plain_g), (trainer.discriminator, plain_d)):
            for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
                theirs.copy_(ours)
    start = _weights(trainer.generator) + _weights(trainer.discriminator)
    adam_g, adam_d = (
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), foreach=False)
        for network in (plain_g, plain_d)
    )
    criterion, ones, zeros = nn.BCELoss(), torch.ones(8), torch.zeros(8)
    for step in range(3):
        pixels = images.take(range(8 * step, 8 * step + 8)).expand(-1, 3, -1, -1)
        trainer.step(step, pixels, None, False)

        real = pixels / 255 * 2 - 1
        noise = torch.randn(8, 100, generator=stream(config.seed, "latent", step, 0))
        plain_d.zero_grad()
        criterion(plain_d(real).flatten(), ones).backward()
        fake = plain_g(noise[:, :, None, None])
        criterion(plain_d(fake.detach()).flatten(), zeros).backward()
        adam_d.step()
        plain_g.zero_grad()
        criterion(plain_d(fake).flatten(), ones).backward()
        adam_g.step()

    ours = _weights(trainer.generator) + _weights(trainer.discriminator)
    theirs = _weights(plain_g) + _weights(plain_d)
    moved = max(float((a - b).abs().max()) for a, b in zip(ours, start, strict=True))
    assert moved > 3e-4  # three steps of about 2e-4
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-6)


def _coloured(config):
    return replace(
        config, channels=3, layers=(*config.layers[:-1], replace(config.layers[-1], width=3))
    )


def test_initial_weights_are_those_of_the_named_streams(tiny: Tiny, fabric: Fabric):
    trainer, _ = _started(tiny("sthalles", seed=3), fabric)
    other, _ = _started(tiny("sthalles", seed=4), fabric)
    same, _ = _started(tiny("sthalles", seed=3), fabric)
    assert not _differ(_weights(trainer.generator), _weights(same.generator))
    assert _differ(_weights(trainer.generator), _weights(other.generator))
    assert isinstance(trainer.generator, Generator)


def test_bf16_gradients_point_where_those_of_float32_do(fabric: Fabric):
    """The preset at full width, so that its deep layers take the patch-matrix route."""
    request = Request(
        preset="radford2015-svhn", data="digits", limit=32, batch_size=16, device="cpu"
    )
    gradients: dict[str, list[Tensor]] = {}
    for precision in ("32-true", "bf16-mixed"):
        made = resolve(request)
        trainer, batches = _started(made, Fabric(accelerator="cpu", devices=1, precision=precision))
        for step, batch in enumerate(islice(batches, 2)):
            trainer.step(step, *batch, False)
            network = (trainer.generator, trainer.discriminator)[step]
            flat = torch.cat([p.grad.flatten() for p in network.parameters()])
            assert flat.dtype == torch.float32
            gradients.setdefault(precision, []).append(flat)
    for exact, coarse in zip(gradients["32-true"], gradients["bf16-mixed"], strict=True):
        assert float(functional.cosine_similarity(exact, coarse, dim=0)) > 0.97
        assert float(coarse.norm() / exact.norm()) == pytest.approx(1, abs=0.1)
        assert not torch.equal(exact, coarse)


def test_a_compiler_that_is_missing_comes_to_light_before_anything_is_written(
    tmp_path, monkeypatch
):
    def broken(function):
        def call(*given):
            raise TorchDynamoException("no g++")

        return call

    request = Request(preset="sthalles", data="digits", limit=32, batch_size=8, steps=1)
    job = new_job(tmp_path / "run", request)
    assert carry_out(job) is None
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(InputError, match=r"--compile needs a C\+\+ compiler .* It cannot: no g"):
        new_job(tmp_path / "new", replace(request, compile=True))
    assert not (tmp_path / "new").exists()
    # A run that was compiled elsewhere goes on without.
    job.run.write_config(replace(job.config, compile=True))
    with pytest.raises(InputError, match=r"or pass --no-compile"):
        resumed_job(job.run.folder, steps=2)
    again = resumed_job(job.run.folder, steps=2, compile=False)
    assert "resumed without torch.compile" in again.config.deviations
    assert carry_out(again) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # PyTorch's compiler warns of its own reading
def test_compiled_networks_take_the_same_steps(tmp_path):
    """Compilation changes rounding only, and leaves the names of the weights alone."""
    jobs = []
    for compiled in (False, True):
        request = Request(
            preset="radford2015-svhn", data="digits", limit=32, batch_size=8, steps=4,
            precision="32", compile=compiled,
        )  # fmt: skip
        job = new_job(tmp_path / str(compiled), request)
        assert carry_out(job) is None
        jobs.append(job.run.load_generator().state_dict())
    eager, compiled_state = jobs
    assert eager.keys() == compiled_state.keys()
    for name, tensor in eager.items():
        torch.testing.assert_close(compiled_state[name], tensor, rtol=1e-2, atol=1e-3)
