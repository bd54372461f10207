"""From features by name to records: one protocol for all, on parts that do not mix."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from gan_eval.data import open_images
from gan_eval.errors import InputError
from gan_eval.experiments import classify as module
from gan_eval.experiments.account import advice_on, controls_of
from gan_eval.experiments.classify import classify
from gan_eval.experiments.features import FeatureSpec, build, features_of
from gan_eval.experiments.parts import join, open_parts
from gan_eval.features.discriminator import random_discriminator
from gan_eval.features.modules import Modules
from gan_eval.files import read_lines
from gan_eval.models.config import DiscriminatorConfig
from gan_eval.models.runs import Run
from gan_eval.models.weights import save_network
from gan_eval.probes.protocol import PROTOCOLS, choose_protocol
from gan_eval.probes.selection import Choice, Result

FEW = choose_protocol(labels_per_class=5, draws=2, c_grid=[1e-3, 1e-2])
ALL = PROTOCOLS["paper-cifar10"]
GOLDEN = {"disc": 0.1903, "pixels": 0.1958}
RESULT = {"feature_width", "C", "error_mean", "error_std", "draws", "converged"}


@pytest.fixture(scope="module")
def run(untrained, tmp_path_factory) -> Run:
    """A run of the smallest of the paper's networks, made narrow, as yet untrained."""
    return untrained(tmp_path_factory.mktemp("runs") / "tiny")


def npz(path: Path, **counts: int) -> str:
    """Save images of two classes, a dark and a bright one, alternating; return where."""
    arrays, rng = {}, np.random.default_rng(0)
    for split, n in counts.items():
        labels = np.arange(n) % 2
        noise = rng.integers(0, 100, (n, 8, 8), dtype=np.uint8)
        arrays[f"{split}_images"] = noise + (labels * 150).astype(np.uint8)[:, None, None]
        arrays[f"{split}_labels"] = labels
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    """Return a folder of photos of many sizes, of two classes."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 12), ("test", 4)):
        for label, name in enumerate("ab"):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for number in range(n):
                shape = (40 + number, 50 - number, 3)
                noise = rng.integers(100 * label, 100 * label + 100, shape, dtype=np.uint8)
                path = tmp_path / "photos" / split / name / f"{number}.png"
                Image.fromarray(noise).save(path)
    return str(tmp_path / "photos")


class TestPhotosOfManySizes:
    def sizes(self, features, photos, tmp_path) -> list[int]:
        found = classify(features, photos, FEW, store=tmp_path / "store", out=tmp_path / "out")
        return [each.record.config["data"]["size"] for each in found]

    def test_pixels_are_of_cifar10s_size(self, photos, tmp_path):
        assert self.sizes(features_of(["pixels"], []), photos, tmp_path) == [32]

    def test_they_are_of_the_discriminators_where_one_is_compared(self, run, photos, tmp_path):
        side = run.config().discriminator.image_size
        specs = features_of(["pixels", "disc"], [run])
        assert self.sizes(specs, photos, tmp_path) == [side, side]

    def test_a_network_of_ones_own_sees_its_size(self, photos, tmp_path):
        own = Modules(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3)), ["0"], size=12, name="disc")
        assert self.sizes([own], photos, tmp_path) == [12]
        (line,) = read_lines(tmp_path / "out/records.jsonl")
        assert line["precision"] == "32"  # its own, whatever the processor is good at


class TestParts:
    def test_last_fifth_of_the_training_images_is_held_out(self):
        parts = open_parts("digits", ALL)
        assert (len(parts.known), parts.held_out, len(parts.test)) == (1437, 287, 360)
        assert parts.known is parts.train

    def test_the_datas_own_validation_part_comes_last(self, tmp_path):
        data = npz(tmp_path / "a.npz", train=30, val=7, test=9)
        parts = open_parts(data, ALL)
        assert (len(parts.known), parts.held_out, len(parts.train)) == (37, 7, 30)
        own = open_images(data, root=None, split="val")
        assert torch.equal(parts.known.pixels[30:], own.pixels)
        assert torch.equal(parts.known.labels[30:], own.labels)
        assert parts.known.fingerprint != parts.train.fingerprint

    def test_a_limit_keeps_the_first_images_of_each_split(self, tmp_path):
        data = npz(tmp_path / "a.npz", train=30, val=17, test=19)
        parts = open_parts(data, ALL, limit=10)
        assert (len(parts.known), parts.held_out, len(parts.test)) == (20, 10, 10)
        whole = open_parts(data, ALL)
        assert torch.equal(parts.test.pixels, whole.test.pixels[:10])
        assert torch.equal(parts.known.pixels[10:], whole.known.pixels[30:40])

    def test_images_sorted_by_class_are_shuffled_first(self, tmp_path):
        for split, n in (("train", 10), ("test", 3)):
            for label, name in enumerate("ab"):
                (tmp_path / split / name).mkdir(parents=True)
                for number in range(n):
                    path = tmp_path / split / name / f"{number}.png"
                    Image.new("L", (8, 8), 100 * label + number).save(path)
        parts = open_parts(str(tmp_path), ALL)
        assert set(parts.known.labels[-4:].tolist()) == {0, 1}
        assert "shuffled before validation images were held out" in parts.notes[-1]
        assert torch.equal(parts.known.pixels[:, 0, 0, 0] >= 100, parts.known.labels == 1)

    def test_so_are_those_of_which_a_few_at_the_end_are_of_other_classes(self, tmp_path):
        labels = np.r_[np.repeat(range(4), 100), [0, 1, 2]]
        data = npz(tmp_path / "a.npz", train=len(labels), test=10)
        with np.load(data) as archive:
            arrays = {**archive, "train_labels": labels, "test_labels": np.arange(10) % 4}
        np.savez(data, **arrays)
        parts = open_parts(data, ALL)
        assert parts.known.labels[-parts.held_out :].bincount().min() > 10
        assert "shuffled before validation images were held out" in parts.notes[-1]

    def test_parts_of_another_form_are_made_like_the_training_part(self, tmp_path):
        rng, labels = np.random.default_rng(0).integers, np.arange(20) % 2
        shapes = {"train": (20, 8, 8), "val": (20, 16, 16), "test": (20, 12, 12, 3)}
        arrays = {f"{part}_images": rng(0, 256, shape, np.uint8) for part, shape in shapes.items()}
        labelled = {f"{part}_labels": labels for part in shapes}
        np.savez(tmp_path / "a.npz", **arrays, **labelled)
        parts = open_parts(str(tmp_path / "a.npz"), ALL)
        assert parts.known.pixels.shape == (40, 1, 8, 8)
        assert parts.test.pixels.shape == (20, 1, 8, 8)
        fitted, grey, small = parts.notes
        assert "16x16 were fitted to 8x8" in fitted
        assert grey == "test part of a: 20 images were converted to grey"
        assert "12x12 were fitted to 8x8" in small

    def test_test_images_of_a_class_that_was_never_learned_are_counted(self, tmp_path):
        data = npz(tmp_path / "a.npz", train=40, test=10)
        assert open_parts(data, ALL).notes == ()
        with np.load(data) as archive:
            arrays = dict(archive)
        arrays["test_labels"][:3] = 2
        np.savez(data, **arrays)
        (note,) = open_parts(data, ALL).notes
        counted = "a: 3 test images count as errors: no image that is learned from is of their"
        assert note == f"{counted} classes (2)"

    def test_so_are_those_of_a_class_that_only_validation_images_have(self, tmp_path):
        data = npz(tmp_path / "a.npz", train=40, val=10, test=10)
        with np.load(data) as archive:
            arrays = dict(archive)
        arrays["test_labels"][:3] = arrays["val_labels"][:3] = 2
        np.savez(data, **arrays)
        assert open_parts(data, ALL).notes == ()  # which learns from both in the end
        (note,) = open_parts(data, choose_protocol(labels_per_class=5)).notes
        assert note.startswith("a: 3 test images count as errors")

    def test_joined_streams_are_joined_images(self, tmp_path):
        data = npz(tmp_path / "a.npz", train=12, val=5, test=4)
        held = [open_images(data, root=None, split=split) for split in ("train", "val")]
        streamed = open_images(data, root=None, split="train", memory=0)
        assert streamed.pixels is None
        one, other = join(held), join([streamed, held[1]])
        assert torch.equal(one.take(range(17)), other.take(range(17)))
        assert torch.equal(one.labels, other.labels)
        assert (one.channels, one.size, one.split) == (1, 8, "train+val")

    @pytest.mark.parametrize(
        ("counts", "message"),
        [
            ({"train": 30, "test": 3, "val": 1}, r"at most the smallest class \(15 images of"),
        ],
    )
    def test_what_is_refused(self, tmp_path, counts, message):
        with pytest.raises(InputError, match=message):
            open_parts(npz(tmp_path / "a.npz", **counts), choose_protocol(labels_per_class=16))

    def test_unlabelled_images_are_refused(self, tmp_path):
        images = np.zeros((9, 8, 8), np.uint8)
        np.savez(tmp_path / "a.npz", train_images=images, test_images=images)
        with pytest.raises(InputError, match="data must be labelled to be classified"):
            open_parts(str(tmp_path / "a.npz"), ALL)

    def test_one_class_is_refused(self, tmp_path):
        both = {f"{split}_images": np.zeros((9, 8, 8), np.uint8) for split in ("train", "test")}
        labels = {f"{split}_labels": np.zeros(9, np.int64) for split in ("train", "test")}
        np.savez(tmp_path / "a.npz", **both, **labels)
        with pytest.raises(InputError, match=r"at least 2 classes\. Got 1"):
            open_parts(str(tmp_path / "a.npz"), ALL)

    def test_parts_of_other_classes_are_refused(self, tmp_path):
        for split, names in (("train", "ab"), ("test", "bc")):
            for name in names:
                (tmp_path / split / name).mkdir(parents=True)
                for number in range(5):
                    Image.new("L", (8, 8)).save(tmp_path / split / name / f"{number}.png")
        with pytest.raises(InputError, match=r"test part of .* differs .* in c; leave"):
            open_parts(str(tmp_path), ALL)


class TestFeatures:
    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["pixel"], "feature 'pixel' is not known. Did you mean 'pixels'"),
            (["disc"], "feature 'disc' needs a trained discriminator. Got no run"),
            (["random-disc"], "feature 'random-disc' needs an architecture. Got no run"),
        ],
    )
    def test_what_is_refused(self, names, message):
        with pytest.raises(InputError, match=message):
            features_of(names, [])

    def test_discriminators_are_one_for_each_run_and_controls_one_for_all(self, run, tmp_path):
        other = Run(tmp_path / "other")
        other.write_config(run.config())
        found = features_of(["disc", "random-disc", "pixels"], [run, other])
        assert [(spec.name, spec.run) for spec in found] == [
            ("disc", run), ("disc", other), ("random-disc", run), ("pixels", None),
        ]  # fmt: skip

    def test_random_is_not_the_trained_one(self, run):
        images = open_images("digits", root=None, size=32, limit=9)
        made = [
            build(spec, images, device="cpu", precision="32")
            for spec in features_of(["disc", "random-disc"], [run])
        ]
        assert made[0].width == made[1].width == 3 * 6 * 16
        assert made[0].identity["weights_sha256"] != made[1].identity["weights_sha256"]

    @pytest.mark.parametrize("name", ["random-disc", "kmeans"])
    def test_another_seed_makes_other_features(self, run, name):
        images = open_images("digits", root=None, size=32, limit=30)
        one, other = (
            build(
                FeatureSpec(name=name, run=run, maps=20, seed=seed),
                images, device="cpu", precision="32",
            ).identity
            for seed in (0, 1)
        )  # fmt: skip
        assert one != other

    def test_mirror_images_have_the_same_mirrored_features(self):
        images = open_images("digits", root=None, limit=9)
        spec = FeatureSpec(name="pixels", mirror=True)
        mirrored = build(spec, images, device="cpu", precision="32")
        torch.testing.assert_close(mirrored(images.pixels), mirrored(images.pixels.flip(3)))

    def test_a_preset_takes_the_datas_channels(self):
        images = open_images("digits", root=None, size=32, limit=9)
        (spec,) = features_of(["random-disc"], [], preset="radford2015-svhn")
        assert spec.form() == {"size": 32}
        assert build(spec, images, device="cpu", precision="32").width == 7168

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"layers": (4,)}, "layers must be some of the convolutions 1 to 3. Got 4"),
            ({"pool": 5}, "pool must be from 1 to the side of the maps of layer 3, 4. Got 5"),
            ({"epoch": 9}, "must be one that was kept"),
        ],
    )
    def test_what_does_not_fit(self, run, tmp_path, changed, message):
        specs = features_of(["pixels", "disc"], [run], **changed)
        with pytest.raises(InputError, match=message):
            classify(specs, "digits", FEW, store=tmp_path / "store", out=tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_a_conditional_run_is_refused(self, run, tmp_path):
        config = run.config()
        classes: DiscriminatorConfig = replace(config.discriminator, classes=10)
        other = Run(tmp_path / "run")
        other.write_config(replace(config, discriminator=classes))
        save_network(other.discriminator, random_discriminator(classes, 0), {})
        with pytest.raises(InputError, match="conditional networks give no features"):
            classify(features_of(["disc"], [other]), "digits", FEW, store=tmp_path / "store")


class TestControls:
    """What a discriminator's error is compared with: features that were used like its own."""

    OURS: ClassVar = {"extractor": "disc", "network": {"layers": (1, 2)}, "pool": 4}

    def record(self, name: str, error: float, **features: Any) -> Any:
        # Which is best is seen on validation images; test images may say the opposite.
        result = {"error_mean": error, "validation_error": 1 - error}
        return SimpleNamespace(name=name, config={"features": features}, result=result)

    def test_an_untrained_one_must_be_of_the_same_architecture(self):
        same = {"extractor": "disc", "network": {"layers": [1, 2]}, "pool": 4}
        records = [
            self.record("random-disc", 0.3, **same, weights_sha256="b", precision="bf16"),
            self.record("random-disc", 0.1, **{**same, "network": {"layers": [3]}}),
            self.record("random-disc", 0.2, **{**same, "pool": 2}),
            self.record("disc", 0.05, **same),
        ]
        assert controls_of(records, {**self.OURS, "weights_sha256": "a"}) == {"random-disc": 0.3}

    def test_mirrors_are_compared_with_mirrors_and_the_best_of_a_name_counts(self):
        records = [
            self.record("pixels", 0.6, extractor="pixels"),
            self.record("pixels", 0.5, extractor="pixels", mirror=True),
            self.record("kmeans", 0.4, extractor="kmeans", maps=100),
            self.record("kmeans", 0.3, extractor="kmeans", maps=200),
        ]
        assert controls_of(records, self.OURS) == {"pixels": 0.6, "kmeans": 0.4}
        assert controls_of(records, {**self.OURS, "mirror": True}) == {"pixels": 0.5}
        shifted = {"mirror": "max", "shifts": [3]}
        records.append(self.record("pixels", 0.45, extractor="pixels", **shifted))
        assert controls_of(records, {**self.OURS, "mirror": True}) == {"pixels": 0.5}
        assert controls_of(records, {**self.OURS, **shifted}) == {"pixels": 0.45}
        assert controls_of(records, {**self.OURS, **shifted, "shifts": [2]}) == {}

    def test_of_equals_on_validation_the_first_counts_whatever_the_test_says(self):
        records = [self.record("kmeans", error, extractor="kmeans") for error in (0.4, 0.3)]
        for each in records:
            each.result["validation_error"] = 0.35
        assert controls_of(records, self.OURS) == {"kmeans": 0.4}

    def test_networks_of_others_are_no_controls(self):
        names = ("inception", "torchvision:resnet18", "mine", "pixels")
        records = [self.record(name, 0.1, extractor=name) for name in names]
        assert controls_of(records, self.OURS) == {"pixels": 0.1}

    def test_classify_takes_those_of_the_same_architecture(self, run, tmp_path):
        specs = [
            *features_of(["disc", "random-disc"], [run]),
            *features_of(["random-disc"], [], preset="radford2015-svhn"),
        ]
        disc, own, other = classify(
            specs, "digits", FEW, store=tmp_path / "store", out=tmp_path, limit=200
        )
        assert own.record.result["error_mean"] != other.record.result["error_mean"]
        assert disc.record.controls == {"random-disc": own.record.result["error_mean"]}


class TestClassify:
    def test_a_name_as_long_as_its_protocol_loses_nothing(self, tmp_path):
        many = choose_protocol(labels_per_class=5, draws=1, c_grid=np.geomspace(1e-4, 1e-2, 40))
        (found,) = classify(
            [FeatureSpec(name="pixels")], "digits", many,
            store=tmp_path / "store", out=tmp_path, limit=200,
        )  # fmt: skip
        (record,) = read_lines(tmp_path / "records.jsonl")
        assert record["protocol"]["name"] == many.name
        assert all(path.is_file() for path in found.files)

    def test_golden(self, run, tmp_path):
        specs = features_of(["disc", "pixels"], [run])
        found = classify(
            specs, "digits", FEW, store=tmp_path / "store", out=tmp_path, precision="32"
        )
        assert [each.record.name for each in found] == ["disc", "pixels"]
        disc, pixels = (each.record for each in found)
        assert disc.result.keys() >= RESULT
        assert (disc.result["feature_width"], pixels.result["feature_width"]) == (288, 64)
        assert (disc.result["draws"], disc.result["converged"]) == (2, True)
        # Chance is 0.9. One image of 360 may fall otherwise on another processor.
        assert disc.result["error_mean"] == pytest.approx(GOLDEN["disc"], abs=0.003)
        assert pixels.result["error_mean"] == pytest.approx(GOLDEN["pixels"], abs=0.003)
        assert disc.controls == {"pixels": pixels.result["error_mean"]}
        assert np.sum(disc.result["confusion"]) == 2 * 360
        assert disc.result["error_spread"] == pytest.approx(1.96 * np.std(disc.result["errors"]))
        # Fifty images in 288 features are learned by heart.
        assert disc.result["train_error"] == 0 < disc.result["validation_error"]
        assert max(disc.result["validation_stds"]) < 0.05 < min(disc.result["validation_means"])
        train = open_parts("digits", FEW, size=32, channels=1).train
        assert disc.config["features"]["statistics_of"] == train.contents
        assert disc.protocol["name"] == "authors-svhn, 5 labels per class, 2 draws, C of 0.001 0.01"
        assert disc.config["trained"]["preset"] == "radford2015-svhn"
        # Controls first, so that what is compared with them can say so.
        rows = list(read_lines(tmp_path / "records.jsonl"))
        assert [row["name"] for row in rows] == ["pixels", "disc"]
        assert rows[1] == json.loads(json.dumps(disc.to_json()))
        for each in found:
            with Image.open(each.files[1]) as figure:
                assert figure.format == "PNG"

    def test_nothing_is_learned_from_validation_images_that_are_given(self, run, tmp_path):
        data = npz(tmp_path / "a.npz", train=60, val=20, test=30)
        specs = features_of(["disc", "kmeans"], [run], maps=20)
        found = classify(specs, data, FEW, store=tmp_path / "store", out=tmp_path, precision="32")
        disc, kmeans = (each.record for each in found)
        fitted = open_images(data, root=None, size=32, channels=1)
        assert disc.config["features"]["statistics_of"] == fitted.contents
        assert kmeans.config["features"]["train"] == open_images(data, root=None).contents
        counts = [disc.result[name] for name in ("n_train", "n_validation", "n_test")]
        assert counts == [60, 20, 30]

    @pytest.mark.parametrize("protocol", [ALL, FEW], ids=["all labels", "draws"])
    def test_solvers_agree(self, tmp_path, protocol):
        (spec,) = features_of(["pixels"], [])
        options = {"store": tmp_path / "store", "out": tmp_path}
        errors = [
            found.record.result["errors"]
            for solver in ("newton", "liblinear")
            for found in classify([spec], "digits", protocol, solver=solver, **options)
        ]
        assert errors[0] == pytest.approx(errors[1], abs=1.01 / 360)

    def test_test_features_are_not_even_extracted_before_c_is_fixed(self, monkeypatch, tmp_path):
        order = []
        extract, select = module.extract, module.select

        def extracting(extractor, images, **options):
            order.append(f"extract {images.split}")
            return extract(extractor, images, **options)

        def selecting(*arguments):
            choice = select(*arguments)
            order.append("choice")
            return choice

        monkeypatch.setattr(module, "extract", extracting)
        monkeypatch.setattr(module, "select", selecting)
        (spec,) = features_of(["pixels"], [])
        classify([spec], "digits", FEW, store=tmp_path / "store", out=tmp_path)
        assert order == ["extract train", "choice", "extract test"]

    def test_all_labels_are_fitted_again_with_validation(self, monkeypatch, tmp_path):
        fitted = []
        fit = module.fit_l2_svm

        def fitting(x, labels, C, **options):  # noqa: N803
            fitted.append((len(labels), len(C)))
            return fit(x, labels, C, **options)

        monkeypatch.setattr(module, "fit_l2_svm", fitting)
        (spec,) = features_of(["pixels"], [])
        classify([spec], "digits", ALL, store=tmp_path / "store", out=tmp_path)
        assert fitted == [(1150, 7), (1437, 1)]

    def test_easy_data_are_easy(self, tmp_path):
        data = npz(tmp_path / "a.npz", train=60, val=20, test=40)
        (found,) = classify(
            features_of(["pixels"], []), data, ALL, store=tmp_path / "store", out=tmp_path
        )
        assert found.record.result["error_mean"] == 0.0
        assert found.record.result["confusion"] == [[20, 0], [0, 20]]

    def test_progress_is_told(self, tmp_path):
        told = []
        classify(
            features_of(["pixels"], []),
            "digits",
            FEW,
            store=tmp_path / "store",
            out=tmp_path,
            watch=lambda *news: told.append(news),
        )
        assert ("pixels: features of training images", 1437, 1437) in told
        assert ("pixels: features of test images", 360, 360) in told
        assert told[-1][0].startswith("pixels: fits in up to 0.5 GiB")
        assert told[-1][1:] == (12, 12)


class TestAdvice:
    CHOICE = Choice(
        C=1e-2, c_grid=(1e-3, 1e-2), errors=((0.2, 0.1),), edge=None, converged=True, seconds=0
    )
    PIXELS = FeatureSpec(name="pixels")

    def result(self, **changed) -> Result:
        return Result(
            choice=replace(self.CHOICE, **changed),
            errors=(0.2,),
            train_error=0.0,
            converged=True,
            confusion=torch.eye(2, dtype=torch.int64),
            seconds=0.0,
        )

    def test_none_where_nothing_is_wrong(self, run):
        assert advice_on(self.PIXELS, self.result(), "newton", {}) == ()
        disc = FeatureSpec(name="disc", run=run)
        assert advice_on(disc, self.result(), "newton", {"pixels": 0.3}) == ()

    @pytest.mark.parametrize(
        ("changed", "grid"),
        [
            ({"edge": "highest"}, "largest that was tried: try --c-grid 1e-2,2e-2,5e-2,1e-1."),
            ({"edge": "lowest", "C": 1e-3}, "try --c-grid 1e-4,2e-4,5e-4,1e-3."),
            ({"edge": "highest", "C": 2.5}, "try --c-grid 2.5,5,12.5,25."),
        ],
    )
    def test_at_the_edge_goes_beyond(self, changed, grid):
        (text,) = advice_on(self.PIXELS, self.result(**changed), "newton", {})
        assert text.endswith(grid)

    def test_says_what_helps_to_converge(self):
        result = self.result(converged=False)
        assert "try --solver newton" in advice_on(self.PIXELS, result, "liblinear", {})[0]
        assert "smaller values" in advice_on(self.PIXELS, result, "newton", {})[0]

    def test_a_discriminator_must_beat_its_controls(self, run):
        disc = FeatureSpec(name="disc", run=run)
        (text,) = advice_on(disc, self.result(), "newton", {"random-disc": 0.1, "pixels": 0.5})
        assert text.startswith("D is no better than random-disc: train it longer")


def test_a_network_of_ones_own_goes_through_the_same_protocol(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
    mine = Modules(network, ["1"], size=8, channels=1, name="mine")
    rows = [mine, FeatureSpec(name="pixels")]
    found = classify(rows, "digits", FEW, store=tmp_path / "store", out=tmp_path)
    assert [each.record.name for each in found] == ["mine", "pixels"]
    assert found[0].record.result["feature_width"] == 4 * 16
    assert found[0].record.config["features"]["extractor"] == "modules"
    assert found[0].record.protocol == found[1].record.protocol


def test_what_memory_it_needs_is_checked_before_anything_is_extracted(tmp_path, monkeypatch):
    monkeypatch.setattr("gan_eval.probes.l2_svm.available_memory", lambda *_: 10_000)
    with pytest.raises(InputError, match="50 rows, 64 features and 10 classes needs"):
        classify([FeatureSpec(name="pixels")], "digits", FEW, store=tmp_path / "s", out=tmp_path)
    assert not list(tmp_path.iterdir())
    told = []
    monkeypatch.undo()
    classify(
        [FeatureSpec(name="pixels")], "digits", FEW, store=tmp_path / "s", out=tmp_path,
        watch=lambda what, done, total: told.append(what),
    )  # fmt: skip
    assert any("GiB of memory" in what for what in told)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": 40}, "data must have a test part to be classified"),
        ({"train": 3, "test": 4}, "training images enough to hold some out"),
    ],
)
def test_what_a_data_set_must_have(tmp_path, parts, message):
    with pytest.raises(InputError, match=message):
        open_parts(npz(tmp_path / "some.npz", **parts), ALL)


def test_unlabelled_data_are_told_from_data_without_a_test_part(tmp_path):
    np.savez(tmp_path / "plain.npz", train_images=np.zeros((9, 8, 8), np.uint8))
    with pytest.raises(InputError, match="data must be labelled"):
        open_parts(str(tmp_path / "plain.npz"), ALL)
