"""What is measured while a run is trained: when, without changing it, and what the probe says."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from sklearn.svm import LinearSVC

from gan_eval.data import Images, open_images
from gan_eval.errors import InputError
from gan_eval.experiments.validation import watch_features
from gan_eval.features.discriminator import DiscriminatorFeatures, random_discriminator
from gan_eval.files import read_lines
from gan_eval.models.dcgan import Discriminator, Generator
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Run
from gan_eval.probes.protocol import C_GRID
from gan_eval.training import loop
from gan_eval.training.checkpoint import saved_step
from gan_eval.training.loop import Habits, train
from gan_eval.training.measures import Measure

Tiny = Callable[..., tuple[RunConfig, Images]]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves are drawn whenever something was measured, which takes longer than these runs."""
    monkeypatch.setattr(loop, "draw_losses", lambda rows, path: None)


class Spy:
    """A measure that notes how it found the networks, and gives its number."""

    def __init__(self) -> None:
        self.modes: list[tuple[bool, bool]] = []

    def __call__(self, generator: Generator, discriminator: Discriminator) -> dict[str, float]:
        self.modes.append((generator.training, discriminator.training))
        return {"looks": 1.0}


def rows(run: Run) -> list[dict[str, Any]]:
    """Return the rows of metrics without what a clock says."""
    clocks = ("images_per_second", "probe_seconds")
    return [
        {name: value for name, value in row.items() if name not in clocks}
        for row in read_lines(run.metrics)
    ]


def measured(run: Run, name: str = "looks") -> list[int]:
    return [row["step"] for row in rows(run) if name in row]


@pytest.mark.parametrize(
    ("every", "steps", "pretrain", "due"),
    [
        (1, 10, 0, [5, 10]),  # an epoch is 5 steps; the last is measured once
        (2, 13, 0, [10, 13]),
        (9, 7, 0, [7]),
        (1, 14, 3, [8, 13, 14]),  # pre-training is no epoch
    ],
)
def test_it_is_measured_every_so_many_epochs_and_at_the_end(
    tiny: Tiny, fabric: Fabric, folder: Path, every: int, steps: int, pretrain: int, due: list[int]
):
    config, images = tiny("cs231n-mnist", steps=steps, pretrain_steps=pretrain)
    run, spy = Run(folder), Spy()
    shown: list[dict[str, Any]] = []
    habits = Habits(log_every=4, measures=(Measure(every=every, take=spy),), on_row=shown.append)
    train(run, config, images, fabric, habits)
    assert measured(run) == [row["step"] for row in shown if "looks" in row] == due
    assert spy.modes == [(False, False)] * len(due)
    # One row a step, and a measured one says the rest as well.
    logged = {*range(4, steps + 1, 4), steps}
    assert [row["step"] for row in rows(run)] == sorted(logged | {*due})
    assert all({"d_loss", "g_loss"} <= row.keys() for row in rows(run) if row["step"] > pretrain)


def test_measures_keep_their_own_time(tiny: Tiny, fabric: Fabric, folder: Path):
    config, images = tiny("sthalles", steps=10)
    once, twice = Spy(), Spy()
    measures = Measure(every=1, take=once), Measure(every=2, take=twice)
    train(Run(folder), config, images, fabric, Habits(measures=measures))
    assert (len(once.modes), len(twice.modes)) == (2, 1)


# Recipes that update the networks in turns, and G twice.
@pytest.mark.parametrize("name", ["radford2015-svhn", "sthalles"])
def test_the_probe_changes_no_weight_and_no_random_number(
    name: str, tiny: Tiny, fabric: Fabric, tmp_path: Path
):
    config, images = tiny(name, steps=12)
    plain, probed = Run(tmp_path / "plain"), Run(tmp_path / "probed")
    train(plain, config, images, fabric, Habits(log_every=3))
    before = torch.get_rng_state()
    habits = Habits(log_every=3, measures=(watch_features(config, images, every=1),))
    train(probed, config, images, fabric, habits)
    assert torch.equal(torch.get_rng_state(), before)
    # Adam's moments and the running statistics of batch norm among them.
    assert probed.state.read_bytes() == plain.state.read_bytes()
    for path in (plain.generator, plain.discriminator, plain.grid(1)):
        assert (probed.folder / path.relative_to(plain.folder)).read_bytes() == path.read_bytes()
    kept = [row for row in rows(probed) if row["step"] % 3 == 0]
    assert [{k: v for k, v in row.items() if k[:5] != "probe"} for row in kept] == rows(plain)
    assert measured(probed, "probe_error") == [5, 10, 12]


@pytest.mark.parametrize("stop", [3, 5])
def test_a_stopped_run_is_measured_as_an_undisturbed_one(
    stop: int, tiny: Tiny, fabric: Fabric, tmp_path: Path
):
    config, images = tiny("sthalles", steps=12)
    probe = watch_features(config, images, every=1)
    straight, stopped = Run(tmp_path / "straight"), Run(tmp_path / "stopped")
    train(straight, config, images, fabric, Habits(measures=(probe,)))

    def on_step(done: int) -> None:
        if done == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    halt = Habits(save_seconds=1e9, measures=(probe,), on_step=on_step)
    assert train(stopped, config, images, fabric, halt) == signal.SIGTERM
    assert saved_step(stopped.state) == stop
    train(stopped, config, images, fabric, Habits(measures=(probe,)))
    assert measured(stopped, "probe_error") == [5, 10, 12]
    assert rows(stopped)[-1] == rows(straight)[-1]
    errors = [[row["probe_error"] for row in rows(run)] for run in (straight, stopped)]
    assert errors[0] == errors[1]


def test_a_kill_between_measuring_and_saving_measures_again(
    tiny: Tiny, fabric: Fabric, folder: Path
):
    class Killed(BaseException):
        pass

    def on_row(row: dict[str, Any]) -> None:
        if row["step"] == 10:
            raise Killed

    config, images = tiny("sthalles", steps=15)
    run, spy = Run(folder), Spy()
    once = (Measure(every=1, take=spy),)
    with pytest.raises(Killed):
        train(run, config, images, fabric, Habits(measures=once, on_row=on_row))
    # What was trained before it was measured had been saved.
    assert (saved_step(run.state), measured(run)) == (9, [5, 10])
    train(run, config, images, fabric, Habits(measures=once))
    assert measured(run) == [5, 10, 15]
    assert len(spy.modes) == 4


def test_the_rate_of_training_is_without_what_is_measured_and_saved(
    tiny: Tiny, fabric: Fabric, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """By a clock of its own: a step takes a second, all else a thousand."""
    now = [0.0]

    def lasting(seconds: float, do: Callable[..., Any]) -> Callable[..., Any]:
        def done(*given: Any) -> Any:
            now[0] += seconds
            return do(*given)

        return done

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(loop, "_Progress", partial(loop._Progress, since=0, saved=0))
    monkeypatch.setattr(loop.Trainer, "step", lasting(1, loop.Trainer.step))
    for name in ("save_state", "save_networks", "keep_best", "draw_losses"):
        monkeypatch.setattr(loop, name, lasting(1000, getattr(loop, name)))
    config, images = tiny("sthalles", steps=15)
    config = replace(config, save_epochs=(1, 2))
    measures = (Measure(every=1, take=lasting(1000, Spy())),)
    train(Run(folder), config, images, fabric, Habits(log_every=3, measures=measures))
    rates = [row["images_per_second"] for row in read_lines(Run(folder).metrics)]
    assert rates == [config.recipe.batch_size] * 7


@pytest.fixture(scope="module")
def digits() -> Images:
    return open_images("digits", root=None, size=32, limit=300)


def test_the_error_is_that_of_an_svm_on_the_half_that_it_was_not_learned_from(
    tiny: Tiny, digits: Images
):
    """By another route: features of the images that the probe drew, and scikit-learn's SVM."""
    config, _ = tiny("radford2015-svhn")
    network = random_discriminator(config.discriminator, 3)
    measure = watch_features(config, digits, every=1)
    found = measure.take(Generator(config.generator), network)
    drawn = measure.take.args[1]  # type: ignore[attr-defined]
    assert sorted(map(bytes, drawn.pixels.numpy())) == sorted(map(bytes, digits.pixels.numpy()))
    extractor = DiscriminatorFeatures(network, config.generator.scale, train=drawn)
    extractor.prepare()
    x, y = extractor(drawn.pixels).double().numpy(), drawn.labels.numpy()
    wrong = {}
    for c in C_GRID:
        model = LinearSVC(C=c, tol=1e-4, max_iter=20000, random_state=0).fit(x[:150], y[:150])
        wrong[c] = float(np.mean(model.predict(x[150:]) != y[150:]))
    # Of two C's that err alike rounding may take either.
    assert found["probe_error"] == pytest.approx(min(wrong.values()), abs=1 / 150)
    assert wrong[found["probe_C"]] == pytest.approx(found["probe_error"], abs=1 / 150)
    assert 0 < found["probe_error"] < 0.9 - 0.3  # far better than chance, far from perfect


def npz(path: Path, **labels: Any) -> str:
    """Save 8x8 images of each split: black ones of class 0, white ones of the others."""
    arrays = {}
    for split, values in labels.items():
        values = np.asarray(values)
        pixels = (values > 0).astype(np.uint8)[:, None, None] * 255
        arrays[f"{split}_images"] = np.broadcast_to(pixels, (len(values), 8, 8)).copy()
        arrays[f"{split}_labels"] = values
    np.savez(path, **arrays)
    return str(path)


def test_it_is_an_error_and_not_an_accuracy(tiny: Tiny, tmp_path: Path):
    config, images = tiny("radford2015-svhn")
    data = npz(tmp_path / "plain.npz", train=np.arange(40) % 2)
    networks = Generator(config.generator), random_discriminator(config.discriminator, 0)
    found = watch_features(config, images, every=1, data=data).take(*networks)
    assert (found["probe_error"], found["probe_C"]) == (0.0, C_GRID[0])


@pytest.mark.parametrize("split", ["test", "all"])
def test_labels_of_test_images_are_never_looked_at(tiny: Tiny, opened: list[str], split: str):
    """Also where the GAN was trained on test images, which are then not probed with."""
    config, _ = tiny("radford2015-svhn")
    trained_on = open_images("digits", root=None, split=split, size=32)
    measure = watch_features(config, trained_on, every=1)
    assert opened == ["train"]
    drawn = measure.take.args[1]  # type: ignore[attr-defined]
    own = open_images("digits", root=None, split="train", size=32)
    assert {*map(bytes, drawn.pixels.numpy())} == {*map(bytes, own.pixels.numpy())}


def test_every_run_and_seed_is_probed_with_the_same_images(tiny: Tiny, digits: Images):
    config, _ = tiny("radford2015-svhn")
    drawn = [
        watch_features(replace(config, seed=seed), digits, every=1).take.args[1] for seed in (0, 1)
    ]  # type: ignore[attr-defined]
    assert drawn[0].fingerprint == drawn[1].fingerprint


def test_few_thousand_images_are_enough(tiny: Tiny, digits: Images):
    config, _ = tiny("radford2015-svhn")
    many = replace(
        digits, pixels=digits.pixels.repeat(15, 1, 1, 1), labels=digits.labels.repeat(15)
    )
    drawn = watch_features(config, many, every=1).take.args[1]  # type: ignore[attr-defined]
    assert len(drawn) == 4000


@pytest.mark.parametrize(
    ("preset", "labels", "message"),
    [
        ("sthalles", None, r"at least 2 classes\. Those of '.*' are of 0; pass --probe-data"),
        ("sthalles", np.zeros(20), r"at least 2 classes\. Those of '.*' are of 1; pass"),
        ("sthalles", np.arange(2), r"at least 2 classes\. Those of '.*' are of 1; pass"),
        ("carpedm20-mnist", np.arange(20) % 2, "conditional networks give no features"),
    ],
)
def test_what_cannot_be_probed_is_said_before_training(
    tiny: Tiny, preset: str, labels: Any, message: str
):
    config, images = tiny(preset)
    pixels = images.pixels[: 20 if labels is None else len(labels)]
    given = None if labels is None else torch.from_numpy(labels.astype(np.int64))
    with pytest.raises(InputError, match=message):
        watch_features(config, replace(images, pixels=pixels, labels=given), every=1)
