"""What people do in a notebook: nothing is broken, or changed behind their back, by it."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gan_eval
from gan_eval.experiments.features import FeatureSpec
from gan_eval.metrics import Moments, kernel_distance
from gan_eval.models.runs import Run
from gan_eval.probes import fit_l2_svm
from gan_eval.training.loop import Habits

SMALL = {
    "preset": "bubbliiiing", "width": 2, "image_size": 16, "data": "digits", "limit": 64,
    "batch_size": 16, "device": "cpu", "precision": "32",
}  # fmt: skip


@pytest.fixture
def run(untrained, tmp_path: Path) -> Run:
    return untrained(tmp_path / "run")


def test_samples_are_made_in_evaluation_mode_and_leave_the_network_alone(run: Run):
    network = run.load_generator()
    wanted, _ = next(gan_eval.generate(network, 40, 0))
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images, _ = next(gan_eval.generate(network, 40, 0))
    assert torch.equal(images, wanted)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    images[0].fill_(255)  # no tensor of inference mode


def test_features_can_be_learned_from():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
    modules = gan_eval.Modules(network, ["1"], size=8, channels=1, device="cpu")
    rows = modules(torch.zeros(5, 1, 8, 8, dtype=torch.uint8))
    torch.nn.Linear(modules.width, 2)(rows).sum().backward()


def test_a_network_that_learned_on_has_other_features():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
    modules = gan_eval.Modules(network, ["1"], size=8, channels=1, device="cpu")
    before = modules.identity
    assert modules.identity == before
    with torch.no_grad():
        network[0].weight += 1
    assert modules.identity != before


def test_interrupting_twice_breaks_off_and_the_kernel_lives(tmp_path: Path):
    job = gan_eval.new_job(tmp_path / "run", gan_eval.Request(**SMALL, steps=5))
    # As notebooks have it, and what runs tests in several processes may not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def impatient(step: int) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            gan_eval.carry_out(job, Habits(on_step=impatient))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert gan_eval.carry_out(gan_eval.resumed_job(tmp_path / "run")) is None


def test_a_thread_trains_and_so_does_a_notebook_without_gradients(tmp_path: Path):
    ended = []

    def train() -> None:
        job = gan_eval.new_job(tmp_path / "thread", gan_eval.Request(**SMALL, steps=3))
        ended.append(gan_eval.carry_out(job))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert ended == [None]
    with torch.inference_mode():
        job = gan_eval.new_job(tmp_path / "off", gan_eval.Request(**SMALL, steps=3))
        assert gan_eval.carry_out(job) is None
    with torch.no_grad():
        gan_eval.filters(job.run, n=1, out=tmp_path, device="cpu")
    states = [
        (tmp_path / name / "generator.safetensors").read_bytes() for name in ("thread", "off")
    ]
    assert states[0] == states[1]


def test_another_default_type_changes_no_sample(run: Run):
    wanted, _ = next(gan_eval.generate(run.load_generator(), 8, 0))
    torch.set_default_dtype(torch.float64)
    try:
        images, _ = next(gan_eval.generate(run.load_generator(), 8, 0))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(images, wanted)


def test_another_default_device_is_refused_in_a_line(run: Run):
    with torch.device("meta"):
        for use in (
            lambda: gan_eval.open_images("digits"),
            lambda: next(gan_eval.generate(run.load_generator(), 4, 0)),
            lambda: gan_eval.classify("pixels", "digits"),
        ):
            with pytest.raises(gan_eval.InputError, match=r"must be the CPU\. Got meta; call"):
                use()


def test_networks_are_initialised_by_a_public_name():
    config = gan_eval.PRESETS["radford2015-svhn"].generator
    first, second = gan_eval.Generator(config), gan_eval.Generator(config)
    for network in (first, second):
        gan_eval.initialise(network, torch.Generator().manual_seed(1))
    one, other = (network.state_dict() for network in (first, second))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert 0.018 < float(one["blocks.1.weight"].std()) < 0.022


def test_frames_and_lists_score_as_arrays():
    dice = np.random.default_rng(0)
    real, fake = dice.normal(size=(60, 80)), dice.normal(size=(60, 80))
    asked = {"seed": 0, "subsets": 3, "subset_size": 20}
    wanted = kernel_distance(real=real, fake=fake, **asked)
    frames = {"real": pd.DataFrame(real), "fake": pd.DataFrame(fake)}
    assert kernel_distance(**frames, **asked) == wanted
    assert kernel_distance(real=real.tolist(), fake=fake.tolist(), **asked) == wanted
    labels = np.arange(60) % 3
    models = [
        *fit_l2_svm(real, labels, np.float64(0.01)),
        *fit_l2_svm(pd.DataFrame(real), labels, (c for c in (0.01,))),
        *fit_l2_svm(torch.from_numpy(real).requires_grad_(), labels, [0.01]),
    ]
    assert len(models) == 3
    for model in models[1:]:
        assert torch.equal(model.weights, models[0].weights)
    with pytest.raises(gan_eval.InputError, match=r"X must be a matrix .* Got shape \(60, 8, 10\)"):
        fit_l2_svm(real.reshape(60, 8, 10), labels, 0.01)


def test_statistics_that_were_taken_stay_as_they_were():
    moments = Moments()
    moments.update(np.eye(4))
    taken = moments.to_arrays()["mu"]
    kept = taken.copy()
    moments.update(np.ones((4, 4)))
    assert np.array_equal(taken, kept)


def test_numbers_of_numpy_are_numbers(tmp_path: Path):
    protocol = gan_eval.choose_protocol(
        labels_per_class=np.int64(5), draws=np.int64(2), seed=np.int64(3)
    )
    where = {"store": tmp_path, "out": tmp_path}
    (found,) = gan_eval.classify("pixels", "digits", protocol, **where)
    (again,) = gan_eval.classify(
        ["pixels"], "digits", gan_eval.choose_protocol(labels_per_class=5, draws=2, seed=3), **where
    )
    assert found.record.result["errors"] == again.record.result["errors"]
    request = gan_eval.Request(
        **SMALL, steps=np.int64(2), seed=np.int64(3), save_epochs=range(1, 3)
    )
    job = gan_eval.new_job(tmp_path / "run", request)
    gan_eval.carry_out(job)
    assert job.run.config().seed == 3


def test_samples_are_named_by_numbers_or_by_words(tmp_path: Path, run: Run):
    numbers = {"a": [3, 17, 40], "b": np.arange(3), "c": torch.arange(3)}
    named = gan_eval.arithmetic(run, numbers, n=64, device="cpu", out=tmp_path / "numbers")
    words = {"a": "3,17,40", "b": "0,1,2", "c": "0,1,2"}
    written = gan_eval.arithmetic(run, words, n=64, device="cpu", out=tmp_path / "words")
    assert named.record.config == written.record.config
    with pytest.raises(gan_eval.InputError, match="a must have at least 3 samples"):
        gan_eval.arithmetic(run, {**numbers, "a": [3]}, n=64, device="cpu", out=tmp_path)


def test_paths_of_data_and_of_runs(tmp_path: Path, run: Run):
    np.savez(tmp_path / "mine.npz", train_images=np.zeros((20, 8, 8), np.uint8))
    assert len(gan_eval.open_images(tmp_path / "mine.npz")) == 20
    request = gan_eval.Request(**{**SMALL, "data": tmp_path / "mine.npz"}, steps=1)
    assert gan_eval.new_job(tmp_path / "other", request).config.data.name.endswith("mine.npz")
    with pytest.raises(gan_eval.InputError, match=r"must be a gan_eval\.Run\. Got 'runs/x'; pass"):
        gan_eval.interpolate("runs/x")
    with pytest.raises(gan_eval.InputError, match=r"must be a gan_eval\.Run\. Got 'b'; pass"):
        gan_eval.compare(run, "b")
    with pytest.raises(gan_eval.InputError, match="'', which does not exist"):
        gan_eval.open_images("")


def test_what_a_network_counts_is_not_what_it_computes():
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = torch.nn.Conv2d(1, 4, 3), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.layer(x)

    modules = gan_eval.Modules(Counting(), ["layer"], size=8, channels=1, device="cpu")
    before = modules.identity
    modules(torch.zeros(5, 1, 8, 8, dtype=torch.uint8))
    assert modules.identity == before


@pytest.mark.parametrize("shifts", [(2, 1), [1, 2, 2], (np.int64(1), 2)])
def test_the_same_shifts_are_the_same_features(shifts):
    assert FeatureSpec(name="pixels", shifts=shifts) == FeatureSpec(name="pixels", shifts=(1, 2))


def test_features_are_one_or_several_or_refused(tmp_path: Path):
    few = gan_eval.choose_protocol(labels_per_class=3, draws=1)
    asked = {"store": tmp_path, "out": tmp_path}
    specs = (FeatureSpec(name=name, shifts=1) for name in ("pixels",))
    (found,) = gan_eval.classify(specs, "digits", few, **asked)
    assert found.record.config["features"]["shifts"] == [1]
    with pytest.raises(gan_eval.InputError, match=r"must be a gan_eval\.Run"):
        gan_eval.classify([tmp_path / "run"], "digits", few, **asked)
    with pytest.raises(gan_eval.InputError, match="shifts must be whole numbers"):
        FeatureSpec(name="pixels", shifts=(1.5,))


def test_models_by_name_are_called_so(tmp_path: Path):
    dice = np.random.default_rng(0)
    arrays = {name: dice.integers(0, 256, (30, 8, 8), np.uint8) for name in ("mine", "theirs")}
    found = gan_eval.score(
        arrays, "digits", protocol=gan_eval.ScoreProtocol(metrics="fid"), extractor="pixels",
        store=tmp_path, out=tmp_path,
    )  # fmt: skip
    assert [each.record.name for each in found] == ["mine", "theirs"]
    (table,) = gan_eval.tables(found)
    assert sorted(table.frame["of"]) == ["mine", "theirs"]


def test_what_there_is_can_be_seen():
    assert {*gan_eval.__all__, "metrics", "probes", "data"} <= {*dir(gan_eval)}
    assert gan_eval.metrics.kernel_distance is kernel_distance
