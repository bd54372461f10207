"""Figure 6: boxes, the maps that tell where they are, and what is left without those."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.experiments import dropout as module
from gan_eval.experiments.ablation import (
    RANDOM_DRAWS,
    layers_with_maps,
    maps_of,
    place_of,
    scorer_of,
    with_controls,
    without,
)
from gan_eval.experiments.attributes import AttributeClassifier
from gan_eval.experiments.boxes import Box, find_boxes, inside, read_boxes, write_boxes
from gan_eval.experiments.drawing import Drawing, open_drawing
from gan_eval.experiments.dropout import dropout
from gan_eval.experiments.panel import open_panel
from gan_eval.features.discriminator import random_discriminator
from gan_eval.files import read_lines
from gan_eval.metrics import Moments, frechet_distance
from gan_eval.models.presets import PRESETS, preset
from gan_eval.models.run_config import ImportConfig
from gan_eval.models.runs import Run
from gan_eval.models.statistics import batch_statistics, set_statistics
from gan_eval.models.weights import save_network, weights_sha256
from gan_eval.probes.logistic import logistic_weights
from gan_eval.seeding import derive, stream

SEEN = {"before", "after", "still", "gained", "shown"}
KEYS = {*SEEN, "maps_dropped", "feature_distance"}


@pytest.fixture(scope="module")
def make(untrained, tmp_path_factory):
    def made(name: str) -> Run:
        return untrained(tmp_path_factory.mktemp("runs") / name, name, gain=5)

    return made


@pytest.fixture(scope="module")
def run(make) -> Run:
    return make("radford2015-svhn")


@pytest.fixture(scope="module")
def drawing(run) -> Drawing:
    return open_drawing(run, epoch=None, label=None, device="cpu")


def brightness(images: Tensor) -> Tensor:
    return images.float().mean((1, 2, 3))


@pytest.fixture(scope="module")
def middle(drawing) -> float:
    """The brightness that half of the run's samples are above."""
    return float(brightness(drawing.images(drawing.points(60, 0))).median())


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> str:
    """Labelled images of two classes: those of the second have a bright square in the middle."""
    rng, labels = np.random.default_rng(0), np.arange(160) % 2
    pixels = rng.integers(0, 100, (160, 16, 16), dtype=np.uint8)
    pixels[labels == 1, 5:11, 5:11] += 120
    path = tmp_path_factory.mktemp("data") / "squares.npz"
    np.savez(path, train_images=pixels, train_labels=labels)
    return str(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def few(monkeypatch, store) -> None:
    monkeypatch.setattr("gan_eval.experiments.ablation.SCORED", 60)
    monkeypatch.setattr(module, "SCORED", 60)
    monkeypatch.setattr(module, "_SEARCHED", 60)
    monkeypatch.setenv("GAN_EVAL_STORE", str(store))


@pytest.fixture
def boxes(tmp_path):
    path = tmp_path / "boxes.json"
    write_boxes(path, [Box(z=z, box=(8, 8, 24, 16)) for z in (5, 2, 9, 2)])
    return path


class TestBoxes:
    def test_positions_are_inside_by_their_centres(self):
        found = inside(
            [Box(z=7, box=(0, 0, 2, 2)), Box(z=3, box=(1.9, 4, 6, 8)), Box(z=7, box=(6, 6, 8, 8))],
            [3, 7],
            side=4,
            size=8,
        )
        assert found.nonzero().tolist() == [
            [0, 2, 1], [0, 2, 2], [0, 3, 1], [0, 3, 2], [1, 0, 0], [1, 3, 3],
        ]  # fmt: skip

    def test_what_is_written_is_read(self, boxes):
        found = read_boxes(boxes, 32)
        assert [each.z for each in found] == [5, 2, 9, 2]
        assert found[0].box == (8, 8, 24, 16)
        assert json.loads(boxes.read_text())[0] == {"z": 5, "box": [8, 8, 24, 16]}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[{]", "must be readable JSON"),
            ("[" * 100_000, "must be readable JSON.* nested too deeply"),
            ("[]", "Got an empty list"),
            ('{"z": 1, "box": [0, 0, 2, 2]}', "must hold a list .* Got dict"),
            ("[3]", "entry 0: must have z and box.* Got 3"),
            ('[{"z": 1, "bok": [0, 0, 2, 2]}]', "must have z and box"),
            ('[{"z": 1, "box": [0, 0, 2, 2]}, {"z": -1, "box": [0, 0, 2, 2]}]', "entry 1: z must"),
            ('[{"z": true, "box": [0, 0, 2, 2]}]', "Got true"),
            ('[{"z": 1000000000, "box": [0, 0, 2, 2]}]', "from 0 to 99999"),
            ('[{"z": 1, "box": [0, 0, 2]}]', "four numbers"),
            ('[{"z": 1, "box": [0, 0, 2, "2"]}]', "four numbers"),
            ('[{"z": 1, "box": [0, 0, 33, 2]}]', "must lie in the image, .* 32"),
            ('[{"z": 1, "box": [4, 0, 4, 2]}]', r"must lie in the image.*Got \[4, 0, 4, 2\]"),
            ('[{"z": 1, "box": [-1, 0, 4, 2]}]', "must lie in the image"),
            ('[{"z": 1, "box": [NaN, 0, 4, 2]}]', "must lie in the image"),
        ],
    )
    def test_malformed_files_are_refused(self, tmp_path, run, text, message):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match=message):
            dropout(run, boxes=tmp_path / "bad.json", out=tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_what_a_score_depends_on_is_boxed(self):
        images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
        images[0, :, 4:12, 20:28] = 255
        images[1, :, 24:, :8] = 255
        told: list[tuple[int, int]] = []

        def brightest(hidden: Tensor) -> Tensor:
            return hidden.float().flatten(1).square().mean(1)

        found = find_boxes(images, [4, 40], brightest, lambda *step: told.append(step))
        assert found == [Box(z=4, box=(20, 4, 28, 12)), Box(z=40, box=(0, 24, 8, 32))]
        assert told == [(1, 2), (2, 2)]


class TestMaps:
    def test_layers_are_those_with_maps_and_the_papers_is_the_second_highest(self):
        config = preset("radford2015").generator
        number, place = place_of(config, None)
        assert (number, config.layers[place].width, config.sizes()[place]) == (3, 256, 16)
        found = {name: place_of(each.generator, None) for name, each in PRESETS.items()}
        assert found["carpedm20-mnist"] == (1, 1)  # the dense layer's 128 maps of 7x7
        assert found["pytorch-examples"] == (3, 2)
        assert layers_with_maps(preset("radford2015-mnist").generator) == [1, 2]

    @pytest.mark.parametrize("name", ["radford2015-svhn", "carpedm20-mnist", "cs231n-mnist"])
    def test_dropped_maps_are_weights_that_read_nothing(self, make, name):
        drawing = open_drawing(make(name), epoch=None, label=None, device="cpu")
        place = place_of(drawing.network.config, None)[1]
        width = maps_of(drawing, place, drawing.points(2, 0)).shape[1]
        dropped = torch.arange(width) % 2 == 0
        z = drawing.points(5, 0)
        found = without(drawing, place, dropped, z)
        none = without(drawing, place, torch.zeros(width, dtype=torch.bool), z)
        assert torch.equal(none, drawing.images(z))
        assert not torch.equal(found, none)
        reader = drawing.network.blocks[place + 1]
        # Transposed convolutions have their inputs first; labels come behind the maps.
        weight = reader.weight.data.movedim(int(reader.layer.kind != "transposed"), 0)
        weight[:width][dropped] = 0
        assert torch.equal(drawing.images(z), found)

    def test_maps_are_the_inputs_of_the_next_layer(self, drawing):
        z = drawing.points(3, 0)
        maps = maps_of(drawing, 1, z)
        assert maps.shape == (3, 6, 8, 8)
        assert (maps >= 0).all()
        x = maps
        with torch.inference_mode():
            for block in drawing.network.blocks[2:]:
                x = block(x, None)
        torch.testing.assert_close(x, drawing.floats(z))

    @pytest.mark.parametrize("planted", range(6))
    def test_boxes_around_where_a_map_is_high_give_it_the_largest_weight(self, drawing, planted):
        maps = maps_of(drawing, 1, drawing.points(80, 0))[:, planted]
        high = (maps.flatten(1) > maps.mean() + 1.5 * maps.std()).nonzero().tolist()
        found = [
            Box(z=z, box=(4 * (at % 8), 4 * (at // 8), 4 * (at % 8) + 4, 4 * (at // 8) + 4))
            for z, at in high
        ]
        weights = module._weights(drawing, 1, found, 0)
        assert int(weights.argmax()) == planted
        assert weights[planted] > 0


def test_logistic_weights_are_where_the_gradient_vanishes():
    source = stream(0, "rows")
    x = torch.randn(300, 4, generator=source) * torch.tensor([1.0, 5.0, 0.2, 1.0]) + 3
    positive = x[:, 0] + torch.randn(300, generator=source) > 3
    weights = logistic_weights(x, positive)
    sign = torch.where(positive, 1.0, -1.0).double()
    rows, low, high = x.double(), -50.0, 50.0

    def residual(b: float) -> Tensor:
        return -sign * torch.sigmoid(-sign * (rows @ weights + b))

    for _ in range(100):  # the intercept's own gradient is monotone
        middle = (low + high) / 2
        low, high = (low, middle) if residual(middle).sum() > 0 else (middle, high)
    assert (weights + rows.T @ residual(low)).abs().max() < 1e-6
    assert weights[0] > 1
    assert logistic_weights(x, ~positive) == pytest.approx(-weights, abs=1e-6)


class TestScores:
    """What is said of three of six maps, at the layer that the paper takes."""

    DROPPED = torch.arange(6) < 3

    def test_the_object_is_looked_for_in_the_same_samples_with_the_maps_and_without(
        self, drawing, middle
    ):
        z, place = drawing.points(60, 3), place_of(drawing.network.config, None)[1]
        judge: Any = SimpleNamespace(decide=lambda images: brightness(images) > middle)
        scorer = scorer_of(drawing, place, judge, discriminator=None, precision="32", seed=3)
        found = scorer(self.DROPPED)
        before, after = (
            float(judge.decide(images).double().mean())
            for images in (drawing.images(z), without(drawing, place, self.DROPPED, z))
        )
        assert (found["before"], found["after"]) == (before, after)
        assert before != after
        assert found["feature_distance"] is None
        was, there = (
            judge.decide(images)
            for images in (drawing.images(z), without(drawing, place, self.DROPPED, z))
        )
        assert found["shown"] == int(was.sum())
        assert found["still"] == int((was & there).sum()) / int(was.sum())
        assert found["gained"] == int((~was & there).sum()) / int((~was).sum())

    def test_the_cost_is_of_the_last_convolution_normalised_by_the_samples_before(
        self, run, drawing
    ):
        z, place = drawing.points(60, 3), place_of(drawing.network.config, None)[1]
        critic = run.load_discriminator()
        scorer = scorer_of(drawing, place, None, discriminator=critic, precision="32", seed=3)
        before, after = (
            images.float() / 127.5 - 1
            for images in (drawing.images(z), without(drawing, place, self.DROPPED, z))
        )
        set_statistics(critic, batch_statistics(critic, before))
        moments = {"real": Moments(), "fake": Moments()}
        for side, x in zip(moments.values(), (before, after), strict=True):
            *_, last, _ = critic.eval().activations(x)
            side.update(last.detach().amax((2, 3)))
        expected = frechet_distance(**moments).distance
        assert scorer(self.DROPPED)["feature_distance"] == pytest.approx(expected, rel=1e-3)


class TestDropout:
    def test_record_figure_and_controls(self, run, boxes, tmp_path):
        found = dropout(run, boxes=boxes, device="cpu", out=tmp_path / "out")
        record = found.record
        assert record.exhibit == "dropout"
        assert record.result.keys() == KEYS
        assert record.controls.keys() == {"random_maps", "negative_maps"}
        assert record.config["maps"] == 6
        for control in record.controls.values():
            assert control.keys() == KEYS
            assert 0 < control["maps_dropped"] <= record.result["maps_dropped"]
            assert {control[name] for name in SEEN} == {None}
            assert control["feature_distance"] > 0
        assert 0 < record.result["maps_dropped"] < 6
        lines, figure = found.files
        assert [row["result"] for row in read_lines(lines)] == [record.result]
        with Image.open(figure) as picture:
            assert picture.size == (3 * 66 - 2, 3 * 66 - 2)  # samples 5, 2 and 9, each once
        again = dropout(run, boxes=boxes, device="cpu", out=tmp_path / "out").record
        other = dropout(run, boxes=boxes, device="cpu", seed=1, out=tmp_path / "out").record
        assert (again.result, again.controls) == (record.result, record.controls)
        assert other.result != record.result

    def test_what_it_costs_is_measured_by_the_discriminator_of_the_epoch(
        self, make, boxes, tmp_path
    ):
        run = make("radford2015-svhn")
        kept = run.checkpoint(1)
        save_network(kept / "generator.safetensors", run.load_generator(), {})
        other = random_discriminator(run.config().discriminator, 8)
        save_network(kept / "discriminator.safetensors", other, {})
        records = [
            dropout(run, boxes=boxes, epoch=epoch, device="cpu", out=tmp_path / "out").record
            for epoch in (None, 1)
        ]
        newest, one = (record.config["feature_distance_by"] for record in records)
        assert (newest, one) == (weights_sha256(run.load_discriminator()), weights_sha256(other))
        # The same G, looked at by another D.
        distances = [record.result["feature_distance"] for record in records]
        save_network(run.discriminator, other, {})
        same = dropout(run, boxes=boxes, device="cpu", out=tmp_path / "out").record
        assert distances[0] != distances[1] == same.result["feature_distance"]

    def test_maps_of_positive_weight_are_dropped_and_scored_by_other_samples(
        self, run, drawing, boxes, tmp_path, monkeypatch
    ):
        scorer, seeds = Counting(), []

        def counting(*_: Any, seed: int, **__: Any) -> Counting:
            seeds.append(seed)
            return scorer

        monkeypatch.setattr(module, "scorer_of", counting)
        dropout(run, boxes=boxes, device="cpu", out=tmp_path / "out")
        place = place_of(drawing.network.config, None)[1]
        weights = module._weights(drawing, place, read_boxes(boxes, 32), 0)
        assert scorer.dropped[0] == (weights > 0).nonzero().flatten().tolist()
        boxed, scored = ({*map(bytes, drawing.points(60, seed).numpy())} for seed in (0, *seeds))
        assert boxed.isdisjoint(scored)

    def test_an_attribute_scores_by_real_images(
        self, run, boxes, real, middle, tmp_path, monkeypatch
    ):
        # Generated noise shows no square: let the judge see one in what is bright.
        monkeypatch.setattr(AttributeClassifier, "scores", lambda self, x: brightness(x) - middle)
        options = {"boxes": boxes, "attribute": "class 1", "data": real, "layer": 1}
        record = dropout(run, device="cpu", out=tmp_path / "out", **options).record
        scores = [record.result, *record.controls.values()]
        before = record.result["before"]
        assert 0 < before < 1
        assert {each["before"] for each in scores} == {before}
        assert before not in {each["after"] for each in scores}
        assert record.config["picked_by"] == []
        (judge,) = record.config["judged_by"]
        assert judge["accuracy"] > 0.8

    def test_the_judge_is_strict(self, run, boxes, real, tmp_path, monkeypatch):
        asked = {}

        def opened(*args: Any, **options: Any) -> Any:
            asked.update(options)
            return open_panel(*args, **options)

        monkeypatch.setattr(module, "open_panel", opened)
        options = {"boxes": boxes, "attribute": "class 1", "data": real, "layer": 1}
        record = dropout(run, device="cpu", out=tmp_path / "out", **options).record
        assert asked["most_false"] == record.protocol["most_false_alarms"] == 0.01

    def test_what_a_blind_classifier_says_is_worth_little(
        self, run, boxes, real, tmp_path, monkeypatch
    ):
        def guess(self: AttributeClassifier, images: Tensor) -> Tensor:
            return torch.ones(len(images))

        monkeypatch.setattr(AttributeClassifier, "scores", guess)
        options = {"boxes": boxes, "attribute": "class 1", "data": real, "layer": 1}
        kept = AttributeClassifier.__init__

        def blinded(self: AttributeClassifier, **values: Any) -> None:
            kept(self, **{**values, "hits": 0.15, "false_alarms": 0.1})

        monkeypatch.setattr(AttributeClassifier, "__init__", blinded)
        (blind,) = dropout(run, device="cpu", out=tmp_path / "out", **options).record.advice
        assert "in 15.0 % of real images with it and in 10.0 % of those without" in blind

    @pytest.mark.parametrize("shown", [4, 5])
    def test_an_object_that_few_samples_show_is_advised_on(
        self, run, drawing, boxes, real, tmp_path, monkeypatch, shown
    ):
        monkeypatch.setattr(module, "_FEW_SHOWN", 5)
        bright = brightness(drawing.images(drawing.points(60, derive(0, "dropout"))))
        bound = bright.sort(descending=True).values[shown]
        monkeypatch.setattr(AttributeClassifier, "scores", lambda self, x: brightness(x) - bound)
        options = {"boxes": boxes, "attribute": "class 1", "data": real, "layer": 1}
        record = dropout(run, device="cpu", out=tmp_path / "out", **options).record
        assert record.result["shown"] == shown
        told = ["4 of 60 samples show the object" in each for each in record.advice]
        assert told == [True] * (5 - shown)

    def test_an_attribute_finds_boxes_that_can_be_used_again(
        self, run, real, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(AttributeClassifier, "scores", lambda self, x: brightness(x) - 100)
        options = {"attribute": "class 1", "data": real, "device": "cpu"}
        found = dropout(run, out=tmp_path / "one", **options)
        *_, file = found.files
        assert file.name == "dropout-class-1-layer-2-boxes.json"
        again = dropout(run, boxes=file, out=tmp_path / "two", **options).record
        assert again.result == found.record.result
        assert found.record.config["boxes"] == again.config["boxes"] > 0

    def test_boxes_are_in_the_samples_that_show_the_object_most_clearly(
        self, run, drawing, real, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(AttributeClassifier, "scores", lambda self, x: brightness(x) - 100)
        monkeypatch.setattr(module, "_BOXED", 3)
        *_, file = dropout(run, attribute="class 1", data=real, device="cpu", out=tmp_path).files
        brightest = brightness(drawing.images(drawing.points(60, 0))).topk(3).indices.tolist()
        assert [box.z for box in read_boxes(file, 32)] == brightest

    def test_a_conditional_run_draws_one_label(self, make, boxes, tmp_path):
        run = make("carpedm20-mnist")
        three, four = (
            dropout(run, label=label, boxes=boxes, device="cpu", out=tmp_path / str(label))
            for label in (3, 4)
        )
        assert (three.record.config["label"], four.record.config["label"]) == (3, 4)
        pictures = [written.files[1].read_bytes() for written in (three, four)]
        assert pictures[0] != pictures[1]

    def test_a_run_without_a_discriminator_has_no_distance(self, make, boxes, tmp_path):
        run = make("radford2015-svhn")
        imported = ImportConfig(format="newmu", epoch=None, generator={"a": "b"}, discriminator={})
        run.write_config(replace(run.config(), data=None, imported=imported))
        record = dropout(run, boxes=boxes, device="cpu", out=tmp_path).record
        assert record.result["feature_distance"] is None
        assert record.result["maps_dropped"] > 0
        run.generator.unlink()
        with pytest.raises(InputError, match="must exist"):
            dropout(run, boxes=boxes, device="cpu", out=tmp_path)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "--boxes FILE or --object ATTRIBUTE. Got neither"),
            ({"attribute": "Hat", "data": "digits"}, "attribute 'Hat' is not one of 'digits'"),
            ({"layer": 4}, r"1 \(6 maps of 4x4\), 2 \(6 maps of 8x8\), 3 .* Got 4"),
            ({"label": 3}, "label is for conditional networks"),
        ],
    )
    def test_mistakes_are_named_and_nothing_is_written(
        self, run, boxes, tmp_path, options, message
    ):
        given = {"boxes": boxes} if {"layer", "label"} & options.keys() else {}
        with pytest.raises(InputError, match=message):
            dropout(run, device="cpu", out=tmp_path / "out", **given, **options)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("box", "message"),
        [
            ((0, 0, 32, 32), "Got 64 inside and 0 outside; draw smaller"),
            ((0, 0, 1, 1), "Got 0 inside and 64 outside; draw larger"),
        ],
    )
    def test_both_sides_of_boxes_are_needed(self, run, tmp_path, box, message):
        write_boxes(tmp_path / "boxes.json", [Box(z=0, box=box)])
        with pytest.raises(InputError, match=message):
            dropout(run, boxes=tmp_path / "boxes.json", layer=2, out=tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_an_object_that_no_sample_shows_is_said(self, run, real, tmp_path, monkeypatch):
        monkeypatch.setattr(AttributeClassifier, "scores", lambda self, x: torch.zeros(len(x)))
        with pytest.raises(InputError, match=r"'class 1' must be seen .* none of 60"):
            dropout(run, attribute="class 1", data=real, device="cpu", out=tmp_path / "out")
        assert not (tmp_path / "out").exists()


class Counting:
    """A scorer that only says how many maps were dropped, and which."""

    def __init__(self) -> None:
        self.dropped: list[list[int]] = []

    def __call__(self, dropped: Tensor) -> dict[str, Any]:
        self.dropped.append(dropped.nonzero().flatten().tolist())
        many = int(dropped.sum())
        return {"before": 0.482, "after": None, "shown": None, "maps_dropped": many}


def test_the_negative_maps_are_none_of_the_positive_ones():
    scorer = Counting()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -1.0, -2.0])
    result, controls = with_controls(scorer, weights, 0, lambda *_: None)  # type: ignore[arg-type]
    assert scorer.dropped[:2] == [[0, 1, 2, 3, 4, 5], [6, 7]]
    # What is the same in all draws stays as it is, also a count.
    expected = {"before": 0.482, "after": None, "shown": None, "maps_dropped": 6}
    assert controls["random_maps"] == result == expected
    assert isinstance(controls["random_maps"]["maps_dropped"], int)


def test_random_maps_are_drawn_anew_for_each_control():
    scorer = Counting()
    with_controls(scorer, torch.linspace(-1, 1, 40), 0, lambda *_: None)  # type: ignore[arg-type]
    _, _, *draws = map(tuple, scorer.dropped)
    assert len({*draws}) == RANDOM_DRAWS
