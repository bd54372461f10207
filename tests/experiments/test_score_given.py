"""What `score` is given in Python: samples as they are drawn, names, features of one's own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import gan_eval
from gan_eval.data import open_images
from gan_eval.errors import InputError
from gan_eval.experiments.score import score
from gan_eval.experiments.score.account import tables_of
from gan_eval.experiments.score.extractors import ExtractorSpec
from gan_eval.experiments.score.figures import ScoreProtocol
from gan_eval.features.discriminator import DiscriminatorFeatures, random_discriminator
from gan_eval.features.pixels import Pixels
from gan_eval.files import read_lines
from gan_eval.models.dcgan import Generator
from gan_eval.models.runs import Run
from gan_eval.seeding import stream


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the caller of `score`, in pixels where nothing else is asked; it gives the records."""
    monkeypatch.chdir(tmp_path)

    def call(models: Any, against: Any, **options: Any) -> Any:
        given = {"protocol": ScoreProtocol(metrics=("fid",)), "extractor": "pixels", "n": 12}
        given |= {"store": tmp_path / "store", "device": "cpu"}
        return [each.record for each in score(models, against, **{**given, **options})]

    return call


@pytest.fixture
def made(untrained: Any, tiny: Any, tmp_path: Path) -> Callable[..., Run]:
    """Return the maker of a run in a folder, whose images were fitted by a rule."""

    def make(folder: str, fit: str = "crop") -> Run:
        data = replace(tiny("radford2015-svhn")[0].data, fit=fit)
        return untrained(tmp_path / folder, data=data)

    return make


def noise(n: int = 20, seed: int = 0, channels: int = 1, size: int = 8) -> Tensor:
    shape = (n, channels, size, size)
    return torch.randint(256, shape, generator=stream(seed, "noise"), dtype=torch.uint8)


def folder(path: Path, seed: int) -> Path:
    path.mkdir(parents=True)
    for number, image in enumerate(noise(6, seed)):
        Image.fromarray(image[0].numpy()).save(path / f"{number}.png")
    return path


class White(Generator):
    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return torch.ones_like(super().forward(z, labels))


def hooked(network: Generator) -> None:
    network.register_forward_hook(lambda module, inputs, out: torch.ones_like(out))


def patched(network: Generator) -> None:
    plain = network.forward
    network.forward = lambda z, labels=None: torch.ones_like(plain(z, labels))


def subclassed(network: Generator) -> None:
    network.__class__ = White


@pytest.mark.parametrize("change", [hooked, patched, subclassed])
def test_features_are_of_what_is_drawn_and_not_of_the_weights(scored, made, change):
    network = made("run").load_generator()
    real = noise(size=32)
    (plain,) = scored([network], real)
    assert plain.fingerprints["fake"].startswith("pixels-sha256:")
    assert scored([network], real)[0].fingerprints == plain.fingerprints
    change(network)
    (other,) = scored([network], real)
    assert other.fingerprints["fake"] != plain.fingerprints["fake"]
    assert other.result["fid"] != pytest.approx(plain.result["fid"], rel=1e-3)


def test_samples_of_weights_that_are_no_numbers_are_refused(scored, made):
    network = made("run").load_generator()
    next(network.parameters()).data[0] = torch.nan
    with pytest.raises(InputError, match=r"Got NaN .* in sample 0; restore .*, or pass a kept --e"):
        scored([network], noise(size=32))
    network = made("run").load_generator()
    seen = []

    def break_one(module: nn.Module, inputs: Any, out: Tensor) -> None:
        seen.append(len(out))
        if sum(seen) > 256:
            out[3] = torch.nan

    network.register_forward_hook(break_one)
    with pytest.raises(InputError, match=r"samples must be finite\. Got .* in sample 259;"):
        scored([network], noise(size=32), n=300)


def test_statistics_are_of_images_that_were_fitted_as_the_runs_were(scored, made, tmp_path):
    crop, pad, path = made("crop"), made("pad", "pad"), tmp_path / "digits.npz"
    (direct,) = scored([crop], "digits:test", save=path)
    (saved,) = scored([crop], path)
    assert saved.result["fid"] == pytest.approx(direct.result["fid"], rel=1e-9)
    assert saved.config["real"]["fit"] == "crop"
    with pytest.raises(InputError, match=r"digits\.npz must be .* of fit pad\. Theirs had crop;"):
        scored([crop, pad], path)
    # Of images that nothing was done to, either rule makes the same.
    scored([crop], noise(size=32), save=tmp_path / "whole.npz")
    tables = tables_of(scored([crop, pad], tmp_path / "whole.npz"))
    assert [len(table) for table in tables] == [2]


def test_references_too_large_to_be_padded_are_cropped(scored, made, tmp_path):
    run, path = made("pad", "pad"), tmp_path / "large.npz"
    (direct,) = scored([run], noise(size=40), save=path)
    assert direct.config["real"]["fit"] == "crop"
    (saved,) = scored([run], path)  # as the run asks for them
    assert saved.result["fid"] == pytest.approx(direct.result["fid"], rel=1e-9)


def test_models_of_one_name_are_told_apart(scored, made, tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        folder(tmp_path / name / "samples", seed)
    both, real = ["a/samples", Path("b/samples")], noise()
    names = ["a/samples:train", "b/samples:train"]
    assert [each.name for each in scored(both, real)] == names
    # Also in calls of their own, whose records may come onto one page.
    assert [each.name for one in both for each in scored([one, noise()], real)] == [
        names[0], "model 2", names[1], "model 2",
    ]  # fmt: skip
    runs, network = [made("a/run"), made("b/run")], made("c").load_generator()
    names = [each.name for each in scored([*runs, network, network], noise(size=32))]
    assert names == [*(str(run.folder) for run in runs), "generator 3", "generator 4"]
    digits = [open_images("digits", root=None, split="test", limit=n) for n in (20, 30)]
    records = scored(digits, real)
    assert [each.name for each in records] == ["digits:test 1", "digits:test 2"]


def test_the_folder_that_one_is_in_has_a_name(scored, tmp_path, monkeypatch):
    monkeypatch.chdir(folder(tmp_path / "mine", 1))
    (record,) = scored(["."], noise(), out=tmp_path / "out")
    assert record.name == f"{tmp_path.name}/mine:train"
    assert record.result["n_fake"] == 6


def test_paths_may_be_strings(scored, tmp_path):
    np.savez(tmp_path / "cifar10.npz", train_images=noise()[:, 0].numpy())
    (record,) = scored("cifar10", noise(seed=1), root=str(tmp_path))
    assert record.name == "cifar10:train"
    spec = ExtractorSpec(name="inception-64", weights="none.pth")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"must be a local file; .* Got none at none\.pth"):
        scored(noise(), noise(), extractor=spec)


def test_an_extractor_may_be_a_name(scored):
    (record,) = scored(noise(), noise(seed=1), extractor="pixels")
    assert record.result["extractor"] == "pixels"
    with pytest.raises(InputError, match=r"'pixel' is not known\. Did you mean 'pixels'"):
        scored(noise(), noise(), extractor="pixel")


def test_metrics_may_be_a_text():
    assert ScoreProtocol(metrics="fid").metrics == ("fid",)  # type: ignore[arg-type]
    several = ScoreProtocol(metrics="kid, fid,kid")  # type: ignore[arg-type]
    assert several == ScoreProtocol(metrics=("kid", "fid"))
    with pytest.raises(InputError, match=r"metric 'kdi' is not known\. Did you mean 'kid'"):
        ScoreProtocol(metrics="fid,kdi")  # type: ignore[arg-type]


def test_an_extractor_of_ones_own_is_taken_as_it_is(scored, made, tiny, tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3))
    mine = gan_eval.Modules(network, ["0", "2"], size=16, channels=1, pool=1, name="mine")
    run, real = made("run"), open_images("digits", root=None, split="test")
    record, other = scored([run, noise()], real, extractor=mine, out=tmp_path / "out")
    assert (record.result["extractor"], record.config["extractor"]) == ("mine", mine.identity)
    # A run's samples are compared in their own form, other images as they are.
    assert (record.config["real"]["size"], other.config["real"]["size"]) == (32, 8)
    rows = [mine(images) for images in (noise(), real.take(range(len(real))))]
    moments = [gan_eval.metrics.Moments() for _ in rows]
    for each, features in zip(moments, rows, strict=True):
        each.update(features)
    expected = gan_eval.metrics.frechet_distance(fake=moments[0], real=moments[1]).distance
    assert other.result["fid"] == pytest.approx(expected, rel=1e-5)


def test_images_of_many_sizes_take_the_size_of_an_extractor_of_ones_own(scored, tmp_path):
    path = folder(tmp_path / "mixed", 1)
    Image.new("L", (9, 12), 90).save(path / "other.png")
    mine = gan_eval.Modules(nn.Conv2d(1, 4, 3), [""], size=16, channels=1, pool=1)
    (record,) = scored([noise()], path, extractor=mine)
    assert record.config["real"]["size"] == 16
    with pytest.raises(InputError, match="must be squares of one size for extractor 'pixels'"):
        scored([noise()], path, extractor=ExtractorSpec(extractor=Pixels(1, 8)))


def test_a_name_like_a_built_in_one_does_not_make_an_extractor_another(scored, tiny):
    config, _ = tiny("radford2015-svhn")
    network = random_discriminator(config.discriminator, 7)
    mine = DiscriminatorFeatures(network, "tanh", name="disc", pool=1, batch_norm="running")
    images = noise(size=32, channels=config.discriminator.channels)
    (record,) = scored([images], images.flip(0), extractor=mine)
    assert record.config["extractor"] == mine.identity


class Broken:
    """The mean of an image, which is no number where it is white."""

    name, width, identity = "broken", 1, {"extractor": "broken"}

    def prepare(self) -> None: ...

    def __call__(self, images: Tensor) -> Tensor:
        means = images.flatten(1).float().mean(1, keepdim=True)
        return means.where(means < 255, torch.nan)


def test_features_that_are_no_numbers_leave_the_records_before_them(scored, tmp_path):
    white = torch.full((20, 1, 8, 8), 255, dtype=torch.uint8)
    with pytest.raises(InputError, match="finite"):
        scored([noise(), white, noise(seed=2)], noise(seed=1), extractor=Broken())
    (line,) = read_lines(tmp_path / "results" / "records.jsonl")
    assert line["name"] == "model 1"
