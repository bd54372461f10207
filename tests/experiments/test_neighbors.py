"""Table 3 as an experiment: known errors, an honest choice of epoch, work that can be resumed."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from gan_eval.data import open_images
from gan_eval.errors import InputError
from gan_eval.experiments import neighbors as module
from gan_eval.experiments.memorisation import nearest_images, real_distances, statistics
from gan_eval.experiments.neighbors import neighbors
from gan_eval.experiments.sample_stream import SampleStream, kept_epochs
from gan_eval.files import read_lines
from gan_eval.models.dcgan import Generator, initialise
from gan_eval.models.recipe import Schedule
from gan_eval.models.runs import Run
from gan_eval.models.sampling import generate
from gan_eval.models.weights import save_network
from gan_eval.seeding import derive, stream

SIDES = {"error", "samples", "curve", "memorisation"}


def quiet(done: int, total: int) -> None:
    """Take what is told of progress."""


def save(run: Run, config: Any, path: Path, seed: int) -> Generator:
    network = Generator(config.generator)
    initialise(network, stream(seed, "init", "generator"))
    save_network(path, network, {})
    return network.eval()


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory) -> Run:
    """A conditional generator that was never trained, in two kept epochs."""
    config, _ = tiny("radford2015-mnist")
    run = Run(tmp_path_factory.mktemp("runs") / "tiny")
    run.write_config(config)
    for epoch in (1, 2):
        save(run, config, run.checkpoint(epoch) / "generator.safetensors", epoch)
    save(run, config, run.generator, 2)
    return run


@pytest.fixture
def network(run) -> Generator:
    return run.load_generator()


@pytest.fixture
def digits(run) -> Any:
    """Training and test digits at the size of the network."""
    return [
        open_images("digits", root=None, split=split, size=28, channels=1)
        for split in ("train", "test")
    ]


def test_real_images_err_as_scikit_learn_says(run, digits, tmp_path):
    train, test = digits
    record = neighbors(run, samples=1000, epoch=1, device="cpu", out=tmp_path).record
    n = record.controls["real"]["samples"]
    assert n == 1437 - 287  # a fifth was held out, the last
    x, t = (images.pixels.flatten(1).numpy() for images in digits)
    for many, error in record.controls["real"]["curve"]:
        theirs = KNeighborsClassifier(1, algorithm="brute").fit(x[:many], train.labels[:many])
        assert error == pytest.approx(1 - theirs.score(t, test.labels), abs=1e-12)
    assert [many for many, _ in record.controls["real"]["curve"]] == [1000, n]


def test_a_generator_of_training_images_has_their_error_and_is_found_out(
    run, digits, tmp_path, monkeypatch
):
    train, _ = digits

    def lots(self: SampleStream, n: int, first: int = 0) -> Any:
        yield train.pixels[:n], train.labels[:n]

    monkeypatch.setattr(SampleStream, "lots", lots)
    record = neighbors(run, samples=1000, epoch=1, device="cpu", out=tmp_path).record
    assert record.result["curve"] == [record.controls["real"]["curve"][0]]
    assert record.result["memorisation"]["mean"] == 0
    assert record.result["memorisation"]["nearer_than_real"] == 1
    assert 0.4 < record.controls["real"]["memorisation"]["nearer_than_real"] <= 0.5


def test_the_same_classes_in_another_order_are_refused(run, tmp_path):
    arrays: dict[str, Any] = {"class_names": np.array(list("1032456789"))}
    for split in ("train", "test"):
        images = open_images("digits", root=None, split=split)
        arrays[f"{split}_images"] = images.pixels[:, 0].numpy()
        arrays[f"{split}_labels"] = images.labels.numpy()
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(InputError, match=r"number their classes .*0, 1, 2.*has 1, 0, 3"):
        neighbors(run, str(tmp_path / "other.npz"), samples=1000, out=tmp_path)


def test_a_run_whose_root_is_gone_finds_its_images_by_the_variable(run, tmp_path, monkeypatch):
    arrays = {}
    for split in ("train", "test"):
        images = open_images("digits", root=None, split=split)
        arrays[f"{split}_images"] = images.pixels[:, 0].numpy()
        arrays[f"{split}_labels"] = images.labels.numpy()
    np.savez(tmp_path / "mine.npz", **arrays)
    config = run.config()
    data = replace(config.data, name="mine", root=str(tmp_path / "gone"))
    moved = Run(tmp_path / "run")
    moved.write_config(replace(config, data=data))
    monkeypatch.setenv("GAN_EVAL_DATA", str(tmp_path))
    assert len(module._open_parts(moved, None, None).test) == 360


def test_every_side_holds_the_same(run, tmp_path):
    found = neighbors(run, samples=1500, seed=3, device="cpu", out=tmp_path)
    record = found.record
    assert record.controls.keys() == {"real", "untrained"}
    for side in (record.result, *record.controls.values()):
        assert side.keys() == SIDES
        assert 0 <= side["error"] <= 1
        assert side["curve"][-1] == [side["samples"], side["error"]]
    assert record.result["samples"] == 1500
    assert record.result["error"] > 0.5  # its weights are random
    # The control has others.
    assert record.controls["untrained"]["memorisation"] != record.result["memorisation"]
    assert list(read_lines(tmp_path / "records.jsonl")) == [
        json.loads(json.dumps(record.to_json()))
    ]
    assert sorted(tmp_path.iterdir()) == sorted(found.files)


def test_the_epoch_is_chosen_on_validation_images(run, tmp_path, monkeypatch):
    calls = []
    errors = iter([0.4, 0.3])

    def measured(self: Any, queries: Any, rows: range, lots: Any, n: int, *_: Any) -> Any:
        calls.append((queries.split, rows, n))
        error = next(errors, 0.9)
        return {"error": error, "samples": n, "curve": [[n, error]]}

    monkeypatch.setattr(module._Bench, "_pass", measured)
    record = neighbors(run, samples=700, device="cpu", out=tmp_path).record
    # The newest weights are those of epoch 2.
    assert record.config["validation_errors"] == [[1, 0.4], [2, 0.3]]
    assert record.config["trained"]["epoch"] == 2
    assert record.advice == (
        "The last epoch was the best on validation images: train the run longer.",
    )
    assert record.protocol["validation_samples"] == calls[0][2] == 700
    # Twice the last of the training images; then what the result and two controls are tested on.
    looked_at = [(split, rows) for split, rows, _ in calls]
    assert looked_at == 2 * [("train", range(1150, 1437))] + 3 * [("test", range(360))]


def test_longer_training_is_no_advice_where_the_rate_has_come_down_to_zero(run, tmp_path):
    config = run.config()
    assert config.steps_of(1) < run.steps() < config.steps_of(2)
    for end, words in ((1, ()), (2, ("The last epoch was the best",))):
        recipe = replace(config.recipe, schedule=Schedule(shape="linear", end=end))
        later = Run(tmp_path / str(end))
        later.write_config(replace(config, recipe=recipe))
        save(later, config, later.generator, 2)
        found = module._advice(later, [[1, 0.4], [2, 0.3]], 2, None)
        assert tuple(text.split(" on ")[0] for text in found) == words


def test_a_generator_without_the_validation_images_has_not_seen_them(run, tmp_path):
    config, runs = run.config(), []
    assert config.data is not None
    for count in (1437, 1151, 1150):
        runs.append(Run(tmp_path / str(count)))
        runs[-1].write_config(replace(config, data=replace(config.data, count=count)))
    parts = module._open_parts(run, None, None)
    assert [module._has_seen(each, parts) for each in runs] == [True, True, False]
    assert "train it with --split train --limit 1150" in module._advice(run, [], None, parts)[0]
    # Of data that lie by class others are held out than the last.
    shuffled = replace(parts, shuffled=True)
    assert module._has_seen(runs[2], shuffled)
    assert "give the data a part val" in module._advice(run, [], None, shuffled)[0]
    # Data with a validation part of their own are learned from without it.
    joined = replace(parts, known=replace(parts.known, split="train+val"))
    assert not module._has_seen(runs[0], joined)
    for split, seen in (("all", True), ("val", True), ("test", False)):
        runs[1].write_config(replace(config, data=replace(config.data, split=split)))
        assert [module._has_seen(runs[1], each) for each in (joined, parts)] == [seen, seen]
    for name, seen in (("/a/digits.npz", True), ("/a/digits", True), ("/a/others", False)):
        runs[0].write_config(replace(config, data=replace(config.data, name=name, count=1437)))
        assert module._has_seen(runs[0], parts) == seen


def test_the_epoch_is_chosen_by_other_samples_than_are_reported(run, tmp_path, monkeypatch):
    seeds, lots = [], SampleStream.lots

    def noted(self: SampleStream, n: int, first: int = 0) -> Any:
        seeds.append(self.seed)
        return lots(self, n, first)

    monkeypatch.setattr(SampleStream, "lots", noted)
    neighbors(run, samples=100, seed=3, device="cpu", out=tmp_path)
    chosen, *_, reported = seeds
    assert chosen != reported


def test_newest_weights_that_are_no_kept_epochs_are_tried_too(run, tiny, tmp_path):
    config, _ = tiny("radford2015-mnist")
    assert kept_epochs(run) == [1, 2]
    other = Run(tmp_path / "other")
    other.write_config(config)
    save(other, config, other.generator, 9)
    assert kept_epochs(other) == [None]
    save(other, config, other.checkpoint(3) / "generator.safetensors", 3)
    assert kept_epochs(other) == [3, None]


class TestStream:
    def test_lots_do_not_depend_on_their_number(self, network):
        samples = SampleStream(network=network, seed=1, precision="32")
        few, many = list(samples.lots(1200)), list(samples.lots(3000))
        assert [len(images) for images, _ in few] == [1000, 200]
        assert few[0][0].equal(many[0][0])
        assert few[1][0].equal(many[1][0][:200])
        assert next(samples.lots(3000, 2))[0].equal(many[2][0])
        assert not many[0][0].equal(many[1][0])

    def test_labels_have_equal_shares(self, network):
        ((_, labels),) = SampleStream(network=network, seed=1, precision="32").lots(1000)
        assert labels.bincount().tolist() == 10 * [100]

    def test_labels_are_those_that_the_generator_was_trained_with(self, run):
        config = replace(run.config().generator, unseen=(0, 3, 9))
        network = run.load_generator()
        network.config = config
        for samples in (made := SampleStream(network=network, seed=1, precision="32"),
                        made.untrained()):  # fmt: skip
            ((_, labels),) = samples.lots(700)
            assert labels.bincount(minlength=10).tolist() == [0, 100, 100, 0, *5 * [100], 0]

    @pytest.mark.parametrize("unseen", [(), (0, 3, 9)])
    def test_labels_go_on_from_lot_to_lot(self, run, unseen, monkeypatch):
        monkeypatch.setattr("gan_eval.experiments.sample_stream.LOT", 6)  # fewer than labels
        network = run.load_generator()
        network.config = replace(network.config, unseen=unseen)
        samples = SampleStream(network=network, seed=1, precision="32")
        labels = torch.cat([part for _, part in samples.lots(40)])
        known = network.config.labels
        assert labels.tolist() == [known[i % len(known)] for i in range(40)]
        assert next(samples.lots(40, 3))[1].equal(labels[18:24])

    def test_bf16_is_autocasts_own(self, network):
        samples = SampleStream(network=network, seed=1, precision="bf16")
        ((images, _),) = samples.lots(300)
        known = generate(network, 300, derive(1, "lot", 0), precision="bf16")
        assert images.equal(torch.cat([part for part, _ in known]))
        assert next(network.parameters()).dtype == torch.float32  # nor was it changed

    def test_an_untrained_generator_is_no_grey_picture(self, network):
        samples = SampleStream(network=network, seed=1, precision="32").untrained()
        images, _ = next(samples.lots(500))
        assert images.float().std(0).mean() > 1
        assert (
            samples.identity["weights"]
            != SampleStream(network=network, seed=1, precision="32").identity["weights"]
        )


class TestResuming:
    @pytest.fixture(autouse=True)
    def often(self, monkeypatch):
        monkeypatch.setattr(module, "_KEPT_EVERY", 1000)

    def stopped(self, run: Run, out: Path, at: int, **options: Any) -> list[int]:
        """Stop once `at` samples have passed by; return what was told of them."""
        told: list[int] = []

        def watch(what: str, done: int, total: int) -> None:
            if what == "samples":
                told.append(done)
                if done == at:
                    raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            neighbors(run, epoch=1, device="cpu", out=out, watch=watch, **options)
        return told

    def test_it_goes_on_where_it_was_and_comes_to_the_same(self, run, tmp_path):
        whole = neighbors(run, samples=3500, epoch=1, device="cpu", out=tmp_path / "whole").record
        out = tmp_path / "parts"
        assert self.stopped(run, out, 2000, samples=3500) == [1000, 2000]
        assert [path.name for path in out.iterdir()] == ["neighbors-3500.unfinished.safetensors"]
        assert self.stopped(run, out, -1, samples=3500) == [3000, 3500]
        assert not list(out.glob("*.unfinished.*"))
        (record,) = read_lines(out / "records.jsonl")
        assert record["result"] == whole.result

    def test_a_damaged_state_is_begun_anew(self, run, tmp_path):
        self.stopped(run, tmp_path, 2000, samples=3000)
        (state,) = tmp_path.glob("*.unfinished.*")
        state.write_bytes(state.read_bytes()[:100])
        assert self.stopped(run, tmp_path, 1000, samples=3000) == [1000]

    @pytest.mark.parametrize("changed", [{"seed": 5}, {"samples": 1500}])
    def test_another_question_begins_anew(self, run, tmp_path, changed):
        self.stopped(run, tmp_path, 2000, samples=3000)
        assert self.stopped(run, tmp_path, 1000, **{"samples": 3000, **changed}) == [1000]

    def test_a_shorter_comparison_leaves_a_longer_ones_state_alone(self, run, tmp_path):
        self.stopped(run, tmp_path, 2000, samples=3000)
        self.stopped(run, tmp_path, -1, samples=1500)
        assert self.stopped(run, tmp_path, -1, samples=3000) == [3000]


class TestMemorisation:
    def test_distances_are_root_mean_squares_of_pixels_in_0_to_1(self, digits):
        train, _ = digits
        queries = train.pixels[[3, 700]].float()
        queries[1] += 51  # a fifth
        distances, rows = nearest_images(queries, train, quiet)
        assert rows[0] == 3
        assert distances[0] == 0
        plain = (queries[1] / 255 - train.pixels / 255).square().mean((1, 2, 3)).sqrt()
        assert float(distances[1]) == pytest.approx(float(plain.min()), rel=1e-6)
        assert rows[1] == plain.argmin()

    def test_chosen_rows_alone_are_compared(self, digits):
        train, _ = digits
        _, rows = nearest_images(train.pixels[[5]], train, quiet, rows=[9, 2, 7])
        assert int(rows) in (2, 7, 9)

    def test_real_images_are_not_their_own_neighbours(self, digits):
        train, _ = digits
        distances = real_distances(train, 0, quiet, "cpu")
        assert distances.min() > 0
        assert len(distances) == len(train) // 10

    def test_statistics_in_closed_form(self):
        found = statistics(torch.tensor([1.0, 2.0, 6.0, 3.0]), torch.tensor([2.5, 1.0, 9.0]))
        assert found == {"n": 4, "mean": 3.0, "median": 2.5, "least": 1.0, "nearer_than_real": 0.5}

    def test_an_unconditional_run_has_this_part(self, tiny, tmp_path):
        config, _ = tiny("radford2015-svhn")
        run = Run(tmp_path / "run")
        run.write_config(config)
        save(run, config, run.generator, 1)
        record = neighbors(run, samples=70, memorisation_only=True, device="cpu").record
        assert record.result.keys() == {"memorisation"}
        assert record.result["memorisation"]["n"] == record.protocol["looked_up"] == 70
        assert record.controls.keys() == {"real", "untrained"}


def test_no_samples_are_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"samples must be at least 1\. Got 0"):
        neighbors(run, samples=0, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
