"""What scripts of exhibits are given: images or their stand-in, runs by what they are, and time."""

import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest

from gan_eval.errors import InputError
from gan_eval.experiments.classify import classify
from gan_eval.experiments.features import FeatureSpec
from gan_eval.experiments.reproduction import MissingError, Reproduction, is_measured
from gan_eval.files import append_line
from gan_eval.models.runs import Run
from gan_eval.probes.protocol import choose_protocol
from gan_eval.training.checkpoint import saved_step
from gan_eval.training.job import carry_out, resumed_job
from gan_eval.training.loop import Habits

PRESET = "radford2015-svhn"
SMALL = {"limit": 16, "batch_size": 8}


def asked(folder, **more):
    return Reproduction(out=folder / "out", runs=folder / "runs", **more)


def raise_at(step, wanted):
    if step == wanted:
        signal.raise_signal(signal.SIGTERM)


def test_the_official_images_come_first_then_what_stands_in_for_them(tmp_path):
    pixels = np.zeros((20, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "svhn10k.npz", train_images=pixels, train_labels=np.arange(20) % 10)
    given = asked(tmp_path, root=tmp_path)
    assert given.data("svhn") == "svhn10k"
    np.savez(tmp_path / "svhn.npz", train_images=pixels, train_labels=np.arange(20) % 10)
    assert given.data("svhn") == "svhn"
    assert given.data("cifar10", "digits") == "digits"


def test_missing_images_are_an_error_that_says_what_to_get(tmp_path):
    with pytest.raises(MissingError, match=r"none of: svhn \(\{train,test,extra\}_32x32\.mat"):
        asked(tmp_path, root=tmp_path).data("svhn")


def test_a_row_that_cannot_be_had_is_left_out_and_said(tmp_path):
    given = asked(tmp_path, root=tmp_path)
    with given.row("bedrooms"):
        given.data("lsun-bedroom")
    (left,) = given.missing
    assert left["what"] == "bedrooms"
    assert "lsun-bedroom" in left["needs"]
    with given.row("runs of other images"):
        raise InputError("data must be the run's. Got others.")
    assert given.missing[1]["needs"] == "data must be the run's. Got others."
    with pytest.raises(ValueError, match="other"), given.row("a mistake is no missing row"):
        raise ValueError("other")


def test_a_run_is_found_by_what_it_is_and_trained_on(tmp_path):
    first = asked(tmp_path).trained(PRESET, "digits", 1, **SMALL)
    assert first.steps() == 2
    (tmp_path / "runs" / "renamed").parent.mkdir(exist_ok=True)
    first.folder.rename(tmp_path / "runs" / "renamed")
    again = asked(tmp_path).trained(PRESET, "digits", 2, **SMALL)
    assert again.folder.name == "renamed"
    assert again.steps() == 4
    assert asked(tmp_path).trained(PRESET, "digits", 2, **SMALL).steps() == 4
    # One that was planned to be longer goes no further than it is asked to.
    carry_out(resumed_job(again.folder, epochs=20), Habits(on_step=lambda step: raise_at(step, 5)))
    assert again.steps() == 5
    assert asked(tmp_path).trained(PRESET, "digits", 2, **SMALL).steps() == 5
    assert asked(tmp_path).trained(PRESET, "digits", 4, **SMALL).steps() == 8
    other = asked(tmp_path).trained(PRESET, "digits", 1, seed=1, **SMALL)
    assert other.folder.name == f"{PRESET}-on-digits-limit-16-batch-size-8-seed-1"
    # Nobody asked for a smaller network, nor for fewer images.
    assert not asked(tmp_path)._longest(PRESET, "digits", 0, {})
    # In a hurry nothing is trained on.
    assert asked(tmp_path, quick=True).trained(PRESET, "digits", 9, **SMALL).steps() == 8


def test_a_run_on_other_images_of_the_same_name_is_another(tmp_path):
    pixels = np.zeros((16, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "svhn10k.npz", train_images=pixels, train_labels=np.arange(16) % 10)
    first = asked(tmp_path, root=tmp_path).trained(PRESET, "svhn10k", 1, batch_size=8)
    assert asked(tmp_path, root=tmp_path).trained(PRESET, "svhn10k", 1, batch_size=8) == first
    np.savez(tmp_path / "svhn10k.npz", train_images=pixels + 1, train_labels=np.arange(16) % 10)
    (tmp_path / "runs" / "foreign").mkdir()
    (tmp_path / "runs" / "foreign" / "config.json").write_text('{"a": 1}')
    second = asked(tmp_path, root=tmp_path).trained(PRESET, "svhn10k", 1, batch_size=8)
    assert second.folder.name == f"{first.folder.name}-2"
    # Weights that are gone, of a training that is over, are made again.
    second.discriminator.unlink()
    third = asked(tmp_path, root=tmp_path).trained(PRESET, "svhn10k", 1, batch_size=8)
    assert third.folder.name == f"{first.folder.name}-3"
    assert third.discriminator.exists()


def test_the_authors_weights_are_looked_for_under_the_root(tmp_path):
    with pytest.raises(MissingError, match="must be in newmu-svhn/ under the data root"):
        asked(tmp_path, root=tmp_path).authors()
    with pytest.raises(MissingError, match=r"newmu-imagenet32/ .* models/imagenet_gan_pretrain_"):
        asked(tmp_path, root=tmp_path).authors("imagenet32")


def test_the_same_training_from_three_seeds(tmp_path):
    longer = asked(tmp_path).trained(PRESET, "digits", 2, **SMALL)
    given = asked(tmp_path)
    runs = given.trained_again(PRESET, "digits", 1, **SMALL)
    assert [run.config().seed for run in runs] == [0, 1, 2]
    assert runs[0].folder == longer.folder  # whose weights of epoch 1 were kept
    assert [run.steps(1) for run in runs] == [2, 2, 2]
    shutil.rmtree(longer.folder / "checkpoints" / "epoch-0001")
    assert len(given.trained_again(PRESET, "digits", 1, **SMALL)) == 2
    assert given.missing[0]["what"] == f"{PRESET} after 1 epochs, seed 0"
    assert not asked(tmp_path, quick=True).trained_again(PRESET, "digits", 1, **SMALL)


def test_time_that_is_up_stops_a_training_which_goes_on_the_next_time(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    short = asked(tmp_path, seconds=1e-3).trained(PRESET, "digits", 2, **SMALL)
    assert short.steps() == 1 == saved_step(short.state)
    assert Run(short.folder).load_generator() is not None
    assert signal.getsignal(signal.SIGTERM) == before
    # Time was up before it began, but there are weights to go on with.
    over = asked(tmp_path, seconds=10.0, spent=[11.0])
    assert over.trained(PRESET, "digits", 2, **SMALL).steps() == 1
    with pytest.raises(MissingError, match="--budget must leave time to train radford2015-svhn-"):
        over.trained(PRESET, "digits", 2, **SMALL, seed=1)
    assert asked(tmp_path).trained(PRESET, "digits", 2, **SMALL).steps() == 4


def test_a_row_is_kept_of_the_same_features_and_images_only(tmp_path):
    def data(seed):
        random = np.random.default_rng(seed)
        pixels = {f"{part}_images": random.integers(0, 256, (40, 8, 8, 3), np.uint8)
                  for part in ("train", "test")}  # fmt: skip
        labels = {f"{part}_labels": np.arange(40) % 2 for part in ("train", "test")}
        np.savez(tmp_path / f"{seed}.npz", **pixels, **labels)
        return str(tmp_path / f"{seed}.npz")

    one, other = data(0), data(1)
    protocol = choose_protocol(labels_per_class=5, draws=1, c_grid=[1e-3])
    pixels = FeatureSpec(name="pixels")
    svhn = FeatureSpec(name="random-disc", preset="radford2015-svhn")
    classify([pixels, svhn], one, protocol, store=tmp_path / "store", out=tmp_path)
    for broken in ({"name": "pixels"}, {"config": {"features": None}}, {"fingerprints": ["a"]}):
        append_line(tmp_path / "records.jsonl", broken)
    for spec in (pixels, svhn):
        assert is_measured(tmp_path, spec, protocol, one)
        assert not is_measured(tmp_path, spec, protocol, other)
        assert not is_measured(tmp_path, spec, protocol, one, limit=30)
        assert not is_measured(tmp_path, replace(spec, mirror=True), protocol, one)
        assert not is_measured(tmp_path, spec, replace(protocol, seed=1), one)
    assert not is_measured(tmp_path, replace(svhn, seed=1), protocol, one)
    deeper = replace(svhn, preset="radford2015-imagenet32")
    assert not is_measured(tmp_path, deeper, protocol, one)
