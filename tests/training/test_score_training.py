"""Samples scored while a run is trained: what the distances are of, and which epoch is kept."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from lightning_fabric import Fabric

from gan_eval.data import Images, open_images
from gan_eval.errors import InputError
from gan_eval.experiments.score import score
from gan_eval.experiments.score import training as score_training
from gan_eval.experiments.score.extractors import ExtractorSpec
from gan_eval.experiments.score.figures import ScoreProtocol
from gan_eval.experiments.score.sides import Sampling, side_of
from gan_eval.experiments.score.training import watch_samples
from gan_eval.features.discriminator import random_discriminator
from gan_eval.files import read_lines
from gan_eval.models.dcgan import Discriminator, Generator, initialise
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Run
from gan_eval.models.weights import load_tensors, save_network
from gan_eval.seeding import stream
from gan_eval.training import loop
from gan_eval.training.best import best_row
from gan_eval.training.loop import Habits, train
from gan_eval.training.measures import Measure

Tiny = Callable[..., tuple[RunConfig, Images]]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves are drawn whenever something was measured, which takes longer than these runs."""
    monkeypatch.setattr(loop, "draw_losses", lambda rows, path: None)


def trained(config: RunConfig, seed: int = 5) -> tuple[Generator, Discriminator]:
    network = Generator(config.generator)
    initialise(network, stream(seed, "init", "generator"))
    return network.eval(), random_discriminator(config.discriminator, seed)


def figures(run: Run, name: str = "fid") -> dict[int, float]:
    """Return a figure by the step that it was measured at."""
    return {row["step"]: row[name] for row in read_lines(run.metrics) if name in row}


def files(run: Run, step: int) -> None:
    """Assert that the best networks are those of the run at `step`, 5 to an epoch."""
    for path in (run.generator, run.discriminator):
        best, kept = (
            load_tensors(run.checkpoint(which) / path.name)[0] for which in ("best", step // 5)
        )
        assert all(torch.equal(best[name], kept[name]) for name in kept)
    assert (run.best()["step"], run.number("best")) == (step, step // 5)


@pytest.mark.parametrize("name", ["pixels", "disc:RUN", "torchvision:mobilenet_v3_small"])
def test_the_distances_are_those_of_gan_eval_score(tiny: Tiny, tmp_path: Path, name: str):
    """The same samples, features and reference; the kernel distance of one subset, of them all."""
    config, images = tiny("radford2015-svhn")
    network, judge = trained(config)
    other = Run(tmp_path / "other")
    other.write_config(config)
    save_network(other.discriminator, judge, {})
    name = name.replace("RUN", str(other.folder))
    weights = None
    if name.startswith("torchvision"):
        weights = tmp_path / "weights.pth"
        torch.save(torchvision.models.mobilenet_v3_small().state_dict(), weights)
    measure = watch_samples(config, images, every=1, extractor=name, weights=weights, n=40)
    found = measure.take(network, judge)
    (scored,) = score(
        [network],
        images,
        n=40,
        extractor=ExtractorSpec(name=name, weights=weights),
        protocol=ScoreProtocol(
            metrics=("fid", "kid"), kid_subsets=1, kid_subset_size=40, seed=score_training._SEED
        ),
        store=tmp_path / "store",
        out=tmp_path / "out",
        device="cpu",
    )
    row = scored.record.result
    assert found["fid"] == pytest.approx(row["fid"], rel=1e-4)
    assert found["kid"] == pytest.approx(row["kid_mean"], rel=1e-4)
    assert measure.about["extractor"]["name"] == row["extractor"]
    assert measure.take(network, judge)["fid"] == found["fid"]  # whatever was drawn before


def test_real_images_are_nearer_than_noise_by_an_untrained_discriminator(tiny: Tiny):
    """Also for conditional networks, whose own discriminators give no features."""
    for preset in ("sthalles", "carpedm20-mnist"):
        config, images = tiny(preset)
        measure = watch_samples(config, images, every=1, n=40)
        score = measure.take.__self__  # type: ignore[attr-defined]
        noise = torch.randint(256, images.pixels.shape, generator=stream(0), dtype=torch.uint8)
        score.extractor.prepare()
        (_, real), (_, other) = (
            score._features(replace(images, pixels=pixels))
            for pixels in (images.pixels.flip(0), noise)
        )
        known = score._reference[1]
        assert by_eigenvalues(known, real) < 1e-6 < by_eigenvalues(known, other)
        assert measure.take(*trained(config))["fid"] > 0


def by_eigenvalues(real: Any, fake: Any) -> float:
    """Return the Fréchet distance by eigenvalues of the product, another way than the metric's."""
    product = np.linalg.eigvals((real.covariance @ fake.covariance).numpy())
    roots = np.sqrt(np.clip(product.real, 0, None)).sum()
    traces = float(real.covariance.trace() + fake.covariance.trace())
    return float((real.mean - fake.mean).square().sum()) + traces - 2 * float(roots)


@pytest.mark.parametrize("name", ["radford2015-svhn", "sthalles"])
def test_scoring_changes_no_weight_and_no_random_number(
    name: str, tiny: Tiny, fabric: Fabric, tmp_path: Path
):
    config, images = tiny(name, steps=12)
    plain, scored = Run(tmp_path / "plain"), Run(tmp_path / "scored")
    train(plain, config, images, fabric, Habits(log_every=3))
    before = torch.get_rng_state()
    measures = (watch_samples(config, images, every=1, n=30),)
    train(scored, config, images, fabric, Habits(log_every=3, measures=measures))
    assert torch.equal(torch.get_rng_state(), before)
    for path in (plain.state, plain.generator, plain.discriminator, plain.grid(1)):
        assert (scored.folder / path.relative_to(plain.folder)).read_bytes() == path.read_bytes()
    assert [*figures(scored)] == [*figures(scored, "kid")] == [5, 10, 12]
    assert not plain.checkpoint("best").exists()


class Scripted:
    """A measure whose figures are given, by the number of networks that it has seen."""

    def __init__(self, **figures: list[float]) -> None:
        self.figures, self.seen = figures, 0

    def take(self, generator: Generator, discriminator: Discriminator) -> dict[str, float]:
        self.seen += 1
        return {name: values[self.seen - 1] for name, values in self.figures.items()}


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ({"fid": [3.0, 1.0, 2.0]}, 10),
        ({"fid": [1.0, 1.0, 1.0]}, 5),  # the first of equals
        ({"fid": [3.0, 2.0, 1.0], "probe_error": [0.1, 0.2, 0.3]}, 15),  # samples come first
        ({"kid": [1.0, 2.0, 3.0], "probe_error": [0.3, 0.1, 0.1]}, 10),  # kid does not choose
    ],
)
def test_the_networks_of_the_lowest_figure_are_kept(
    tiny: Tiny, fabric: Fabric, folder: Path, figures: dict[str, list[float]], best: int
):
    config, images = tiny("sthalles", steps=15)
    config, run = replace(config, save_epochs=(1, 2, 3)), Run(folder)
    run.write_config(config)
    measure = Measure(every=1, take=Scripted(**figures).take)
    train(run, config, images, fabric, Habits(measures=(measure,)))
    files(run, best)
    name = next(iter(figures)) if "kid" not in figures else "probe_error"
    assert run.best()["rule"] == f"lowest {name} of the epochs that were measured"


def test_what_was_best_is_read_from_the_metrics_after_a_kill(
    tiny: Tiny, fabric: Fabric, tmp_path: Path
):
    """Killed between the best's networks and the state, then resumed with a new memory."""

    class Killed(BaseException):
        pass

    config, images = tiny("sthalles", steps=20)
    config = replace(config, save_epochs=(1, 2, 3, 4))
    straight, killed = Run(tmp_path / "straight"), Run(tmp_path / "killed")
    values = {5: 2.0, 10: 1.0, 15: 1.5, 20: 1.2}

    def habits(done: list[int], kill_at: int = 0) -> Habits:
        def take(generator: Generator, discriminator: Discriminator) -> dict[str, float]:
            return {"fid": values[done[-1]]}

        def on_row(row: dict[str, Any]) -> None:
            if row["step"] == kill_at:
                raise Killed

        measures = (Measure(every=1, take=take),)
        return Habits(measures=measures, on_step=done.append, on_row=on_row, save_seconds=1e9)

    for run in (straight, killed):
        run.write_config(config)
    train(straight, config, images, fabric, habits([0]))
    for kill_at in (5, 10, 15):
        with pytest.raises(Killed):
            train(killed, config, images, fabric, habits([0], kill_at))
    train(killed, config, images, fabric, habits([0]))
    files(killed, 10)
    for path in straight.checkpoint("best").glob("*.safetensors"):
        assert (killed.checkpoint("best") / path.name).read_bytes() == path.read_bytes()
    assert figures(killed) == values


def test_a_stopped_run_has_the_best_of_an_undisturbed_one(
    tiny: Tiny, fabric: Fabric, tmp_path: Path
):
    config, images = tiny("sthalles", steps=15)
    score = (watch_samples(config, images, every=1, n=30),)
    straight, stopped = Run(tmp_path / "straight"), Run(tmp_path / "stopped")
    train(straight, config, images, fabric, Habits(measures=score))

    def on_step(done: int) -> None:
        if done == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    assert train(stopped, config, images, fabric, Habits(measures=score, on_step=on_step))
    train(stopped, config, images, fabric, Habits(measures=score))
    assert figures(stopped) == figures(straight)
    for path in straight.checkpoint("best").glob("*.safetensors"):
        assert (stopped.checkpoint("best") / path.name).read_bytes() == path.read_bytes()


def test_no_figure_no_best():
    assert best_row([{"step": 1, "kid": 0.1}]) is None


@pytest.mark.parametrize("split", ["test", "all"])
def test_test_images_are_never_looked_at(tiny: Tiny, opened: list[str], split: str):
    """Also where the GAN was trained on test images."""
    config, _ = tiny("radford2015-svhn")
    trained_on = open_images("digits", root=None, split=split, size=32)
    measure = watch_samples(config, trained_on, every=1)
    assert opened == ["train"]
    shown = measure.take.__self__.real  # type: ignore[attr-defined]
    own = open_images("digits", root=None, split="train", size=32)
    assert {*map(bytes, shown.pixels.numpy())} == {*map(bytes, own.pixels.numpy())}


def test_distances_that_memory_cannot_hold_are_refused_before_training(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
):
    config, images = tiny()
    monkeypatch.setattr("gan_eval.experiments.score.figures.available_memory", lambda device: 2**17)
    with pytest.raises(InputError, match=r"fid of .* features needs .* GiB of memory"):
        watch_samples(config, images, every=1, extractor="pixels", n=30)


def test_it_says_what_it_depends_on_and_keeps_to_it(tiny: Tiny):
    config, images = tiny("radford2015-svhn")
    about = watch_samples(config, images, every=1, n=30).about
    assert (about["n"], about["reference"]["n"]) == (30, 30)
    again = replace(config, scored=about)
    assert watch_samples(again, images, every=2, n=30).about == about
    assert RunConfig.from_json(again.to_json()).scored == about
    with pytest.raises(InputError, match=r"must stay the same.*random-disc.*Got pixels"):
        watch_samples(again, images, every=1, n=30, extractor="pixels")
    with pytest.raises(InputError, match="which G is trained to please; name another run's"):
        watch_samples(config, images, every=1, extractor="disc")


def test_runs_of_any_seed_are_scored_by_one_extractor(tiny: Tiny):
    config, images = tiny("radford2015-svhn")
    one, other = (
        watch_samples(replace(config, seed=seed), images, every=1, n=30).about["extractor"]
        for seed in (0, 1)
    )
    assert one == other
    assert (one["name"], one["pool"]) == ("random-disc", "max 1x1")


def test_the_best_epoch_is_not_chosen_by_the_samples_that_are_reported(tiny: Tiny):
    config, _ = tiny("sthalles", steps=4)
    network, _ = trained(config)
    chosen, reported = (
        side_of(network, sampling=Sampling(n=300, seed=seed)).open().pixels
        for seed in (score_training._SEED, ScoreProtocol().seed)
    )
    assert not {*map(bytes, chosen.numpy())} & {*map(bytes, reported.numpy())}
