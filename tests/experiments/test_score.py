"""Scores end to end: closed forms, both sides in their places, unlike rows apart."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_eval.data import open_images
from gan_eval.errors import InputError
from gan_eval.experiments.score import score
from gan_eval.experiments.score.account import _chosen, tables_of
from gan_eval.experiments.score.extractors import ExtractorSpec
from gan_eval.experiments.score.figures import FIGURES, ScoreProtocol, features_of, figures
from gan_eval.experiments.score.sides import Sampling, side_of
from gan_eval.features.inception import inception_identity
from gan_eval.files import read_lines
from gan_eval.metrics import (
    frechet_distance_at_infinity,
    inception_score,
    kernel_distance,
    precision_recall,
)
from gan_eval.models.runs import Run
from gan_eval.seeding import stream

FEW = ScoreProtocol(kid_subsets=4, kid_subset_size=5)
FID = ScoreProtocol(metrics=("fid",))


@pytest.fixture(scope="module")
def run(untrained: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the caller of `score` in pixels, which gives the records."""
    monkeypatch.chdir(tmp_path)

    def call(models: Any, against: Any, name: str = "pixels", **options: Any) -> Any:
        options = {"protocol": FEW, "store": tmp_path / "store", "device": "cpu", **options}
        spec = ExtractorSpec(name=name)
        return [each.record for each in score(models, against, extractor=spec, **options)]

    return call


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch hub's folder be one without Inception's weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def flat(*values: int) -> Tensor:
    """Return an image of 8 x 8 equal pixels for each of `values`."""
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


def noise(n: int, seed: int = 0, channels: int = 1) -> Tensor:
    shape = (n, channels, 8, 8)
    return torch.randint(256, shape, generator=stream(seed, "noise"), dtype=torch.uint8)


def test_the_distance_of_flat_images_is_that_of_two_gaussians(scored):
    """64 equal features: 64 ((m_r - m_f)^2 + (s_r - s_f)^2), of values over 127.5."""
    (record,) = scored([flat(100, 140, 180)], flat(10, 20, 30), protocol=FID)
    expected = 64 * ((140 - 20) ** 2 + (40 - 10) ** 2) / 127.5**2
    assert record.result["fid"] == pytest.approx(expected, rel=1e-5)
    assert record.result["fid_clipped"] < 1e-12
    assert all(record.result[name] is None for name in FIGURES if not name.startswith("fid"))
    assert record.result["fid_infinity"] is None


def test_precision_is_of_the_model_and_recall_of_the_reference(scored):
    """The model shows one of the reference's two kinds, and nothing else."""
    dark, light = range(0, 40, 4), range(200, 240, 4)
    (record,) = scored([flat(*(v + 1 for v in dark))], flat(*dark, *light))
    assert (record.result["precision"], record.result["recall"]) == (1.0, 0.5)
    assert record.result["coverage"] == 0.5
    assert (record.result["n_real"], record.result["n_fake"]) == (20, 10)


def test_the_kernel_distance_is_that_of_the_metric(scored):
    real, fake = noise(30), noise(20, seed=1)
    rows = [images.flatten(1) / 127.5 - 1 for images in (real, fake)]
    expected = kernel_distance(real=rows[0], fake=rows[1], seed=0, subsets=4, subset_size=5)
    (record,) = scored([fake], real)
    assert record.result["kid_mean"] == pytest.approx(expected.mean, rel=1e-5)
    assert record.result["kid_std"] == pytest.approx(expected.std, rel=1e-5)


def test_every_metric_is_taken_as_the_protocol_says():
    protocol = ScoreProtocol(
        kid_subsets=3, kid_subset_size=20, neighbours=2, splits=3, fid_infinity=True, seed=7
    )
    rows = {
        side: torch.randn(60, 4, generator=stream(0, side)).numpy() for side in ("real", "fake")
    }
    sides = {side: features_of(each, protocol, "cpu") for side, each in rows.items()}
    found = figures(protocol, **sides, logits=lambda features: 2 * features)
    kernel = kernel_distance(**rows, seed=7, subsets=3, subset_size=20)
    assert (found["kid_mean"], found["kid_std"]) == (kernel.mean, kernel.std)
    shares = vars(precision_recall(**rows, k=2))
    assert {name: found[name] for name in shares} == shares
    line = frechet_distance_at_infinity(real=sides["real"].moments, fake=rows["fake"], seed=7)
    assert found["fid_infinity"] == line.distance
    order = torch.randperm(60, generator=stream(7, "isc")).numpy()
    score = inception_score(2 * rows["fake"][order], splits=3)
    assert found["isc_mean"] == pytest.approx(score.mean)
    assert found["isc_std"] == pytest.approx(score.std)


def test_a_model_against_itself_is_at_no_distance(scored):
    (record,) = scored([noise(30)], noise(30), protocol=replace(FEW, fid_infinity=True))
    assert record.result["fid"] == pytest.approx(0, abs=1e-8)
    assert record.result["fid_infinity"] < 0  # smaller subsets are farther away
    assert record.result["precision"] == record.result["recall"] == 1
    assert record.advice[-1].startswith("model 1 and reference are the very same images")


def test_samples_of_a_run_are_compared_in_its_form_and_nothing_is_left_beside_its_record(
    scored, run, tmp_path
):
    before = sorted(path.name for path in run.folder.iterdir())
    (record,) = scored([run], "digits:test", n=40)
    assert record.result["n_fake"] == 40
    assert record.config["real"]["size"] == record.config["fake"]["size"] == 32
    assert record.config["real"]["channels"] == run.config().generator.channels
    assert record.config["fake"]["trained"]["preset"] == record.result["architecture"]
    assert record.result["architecture"] == "radford2015-svhn"
    assert sorted(path.name for path in run.folder.iterdir()) == sorted([*before, "records.jsonl"])
    (line,) = read_lines(run.folder / "records.jsonl")
    assert line["result"] == record.result
    assert line["versions"]["torch"]
    assert str(tmp_path) not in json.dumps({**line, "hardware": None})
    run.folder.joinpath("records.jsonl").unlink()


def test_another_seed_draws_other_samples(scored, run, tmp_path):
    one, other = (
        scored([run], "digits:test", n=20, out=tmp_path, protocol=replace(FID, seed=seed))[0]
        for seed in (0, 1)
    )
    assert one.fingerprints["real"] == other.fingerprints["real"]
    assert one.fingerprints["fake"] != other.fingerprints["fake"]
    assert one.result["fid"] != other.result["fid"]


def test_another_seed_makes_another_untrained_network():
    side = side_of(noise(3, channels=3), sampling=Sampling())
    one, other = (
        ExtractorSpec(name="torchvision:squeezenet1_1", seed=seed).build(side, {}, "cpu").identity
        for seed in (0, 1)
    )
    assert one["weights_sha256"] != other["weights_sha256"]


def test_a_discriminator_compares_by_the_largest_answer_of_each_map(scored, run, tmp_path):
    own, named = (
        scored([run], "digits:test", name, n=20, out=tmp_path)[0]
        for name in ("disc", f"disc:{run.folder}")
    )
    layers = run.config().discriminator.layers[:-1]
    identity = own.config["extractor"]
    assert (identity["pool"], identity["batch_norm"]) == ("max 1x1", "running")
    (features,) = {
        tuple(json.loads(path.read_text())["identity"]["layers"])
        for path in (tmp_path / "store").glob("*.json")
    }
    assert len(features) == len(layers)
    assert own.result == named.result
    assert own.result["extractor"] == f"disc:{run.folder.name}"
    assert own.result["weights_sha256"] == identity["weights_sha256"]
    with pytest.raises(InputError, match=r"Got digits:train, which is none; name one, as disc:"):
        scored(["digits"], "digits:test", "disc")


def test_saved_statistics_give_the_same_distance_and_no_more(scored, tmp_path):
    real, fake, path = noise(30), noise(20, 1), tmp_path / "real.npz"
    (direct,) = scored([fake], real, save=path)
    (saved,) = scored([fake], path)
    assert saved.result["fid"] == pytest.approx(direct.result["fid"], rel=1e-9)
    assert saved.result["kid_mean"] is saved.result["precision"] is None
    assert saved.result["n_real"] == 30
    assert saved.advice[0].startswith("kid, prdc must have images. reference is statistics")
    assert "must have images" not in direct.advice[0]
    assert saved.fingerprints["real"] == direct.fingerprints["real"]
    again, swapped = scored([fake, path], fake)
    assert again.result["fid"] == pytest.approx(0, abs=1e-8)
    assert swapped.result["fid"] == pytest.approx(direct.result["fid"], rel=1e-9)
    assert (swapped.result["n_fake"], swapped.name) == (30, "reference")
    with pytest.raises(InputError, match=r"metrics must hold one that .*Got kid; add fid"):
        scored([fake], path, protocol=replace(FEW, metrics=("kid",)))
    with pytest.raises(InputError, match="statistics already; copy the file"):
        scored([fake], path, save=tmp_path / "again.npz")


def test_a_sigma_that_is_no_covariance_is_remarked_on(scored, tmp_path):
    sigma = np.diag(np.where(np.arange(64) % 4, 1.0, -1.0))
    np.savez(tmp_path / "bad.npz", mu=np.zeros(64), sigma=sigma)
    (record,) = scored([noise(30)], tmp_path / "bad.npz", protocol=FID)
    assert record.result["fid_clipped"] > 0.01
    assert any("a given 'sigma' is no covariance" in text for text in record.advice)


def test_statistics_are_saved_without_a_model(scored, tmp_path):
    path = tmp_path / "digits.npz"
    assert scored([], open_images("digits", root=None, limit=20), save=path) == []
    assert path.is_file()
    assert not (tmp_path / "results").exists()
    with pytest.raises(InputError, match="a model must be named to be scored"):
        scored([], "digits")


def test_unlike_rows_are_never_in_one_table(scored):
    real = noise(40)
    records = [
        *scored([noise(20, 1), flat(*range(20)), noise(21, 2)], real),
        *scored([noise(20, 3)], real, protocol=replace(FEW, kid_subset_size=6)),
        *scored([noise(20, 3)], noise(40, 4)),
    ]
    tables = tables_of(records)
    assert [len(table) for table in tables] == [2, 1, 1, 1]
    ranked = [record.result["fid"] for record in tables[0]]
    assert ranked == sorted(ranked)
    weights = dict(records[0].protocol["extractor"], weights_sha256="another")
    other = replace(records[0], protocol={**records[0].protocol, "extractor": weights})
    assert len(tables_of([records[0], other])) == 2


def test_statistics_of_an_unknown_extractor_are_ranked_with_no_others(scored, tmp_path):
    real, model = noise(40), noise(20, 1)
    scored([], model, save=tmp_path / "ours.npz")
    with np.load(tmp_path / "ours.npz") as archive:
        np.savez(tmp_path / "theirs.npz", **{key: archive[key] for key in ("mu", "sigma", "n")})
    records = scored(["theirs.npz", "ours.npz", model], real, protocol=FID)
    tables = [[record.name for record in table] for table in tables_of(records)]
    assert tables == [["theirs.npz"], ["reference", "model 3"]]
    assert records[0].protocol["name"].endswith(", fake by an unknown extractor")


def test_statistics_are_of_images_in_the_form_of_the_run(scored, run, tmp_path):
    scored([], noise(20), save=tmp_path / "small.npz", name="torchvision:squeezenet1_1")
    options = {"n": 20, "name": "torchvision:squeezenet1_1", "out": tmp_path / "out"}
    scored([run], noise(20), save=tmp_path / "fitted.npz", **options)
    options["protocol"] = FID
    with pytest.raises(InputError, match=r"small\.npz must be of images as the run makes them, of"):
        scored([run], tmp_path / "small.npz", **options)
    (record,) = scored([run], tmp_path / "fitted.npz", **options)
    assert record.config["real"]["size"] == 32


def test_one_model_needs_no_list(scored):
    (record,) = scored(noise(20), noise(20, 1), protocol=FID)
    assert record.name == "model 1"
    (record,) = scored("digits:test", "digits", protocol=FID)
    assert record.name == "digits:test"


def test_what_is_wrong_with_an_array_names_it(scored):
    broken = noise(20).float() / 255
    broken[3] = torch.nan
    with pytest.raises(InputError, match=r"^model 2 must be finite\. Got NaN .* in image 3;"):
        scored([noise(20), broken], noise(20))


def test_a_generator_stays_in_training(scored, run):
    network = run.load_generator().train()
    scored([network], noise(20), n=4, protocol=FID)
    assert network.training


def test_few_images_are_warned_of(scored):
    (record,) = scored([noise(20)], noise(30), protocol=FID)
    assert [text.partition(" images")[0] for text in record.advice] == ["20", "30"]


def test_features_are_computed_once_for_all_models(scored, tmp_path):
    scored([noise(20, 1), noise(20, 2)], noise(30))
    scored([noise(20, 1)], noise(30))
    assert len(list((tmp_path / "store").glob("*.npy"))) == 3


@pytest.mark.parametrize(
    ("n", "protocol", "message"),
    [
        (1, FEW, r"a score needs at least 2 images\. model 1 has 1"),
        (4, FEW, r"prdc needs at least 6 images\. model 1 has 4; leave it out of --metrics"),
        (10, ScoreProtocol(), r"kid needs at least 1000 .*has 10; pass a smaller --kid-subset-siz"),
        (3, ScoreProtocol(metrics=("fid",), fid_infinity=True), r"--fid-infinity needs at least 4"),
    ],
)
def test_too_few_images_are_refused_before_anything_is_written(
    scored, tmp_path, n, protocol, message
):
    with pytest.raises(InputError, match=message):
        scored([noise(n)], noise(2000), protocol=protocol)
    assert list(tmp_path.iterdir()) == []


def test_pixels_of_images_that_differ_in_size_are_refused(scored, tmp_path):
    (tmp_path / "mixed").mkdir()
    for size in (8, 9):
        Image.new("L", (size, size)).save(tmp_path / "mixed" / f"{size}.png")
    with pytest.raises(InputError, match="/mixed:train must be squares of one size"):
        scored([tmp_path / "mixed"], noise(20))


def test_statistics_of_pixels_are_compared_with_each_other_if_they_say_what_they_are(
    scored, tmp_path
):
    ours, theirs = tmp_path / "ours.npz", tmp_path / "theirs.npz"
    scored([], noise(20), save=ours)
    (record,) = scored([ours], ours, protocol=ScoreProtocol(metrics=("fid",)))
    assert record.result["fid"] == pytest.approx(0, abs=1e-6)
    with np.load(ours) as archive:
        np.savez(theirs, mu=archive["mu"], sigma=archive["sigma"])
    with pytest.raises(InputError, match=r"Got other statistics alone; name images on one side"):
        scored([theirs], theirs)


def gaussian(path: Path, mean: float, variance: float, **stated: Any) -> str:
    """Write statistics of 64 features by Inception, of weights that are stated or not."""
    extractor = stated and {**inception_identity("", 64, "pytorch-fid", "32"), **stated}
    about = {"about": np.array(json.dumps({"extractor": extractor}))} if stated else {}
    np.savez(path, mu=np.full(64, mean), sigma=variance * np.eye(64), **about)
    return str(path)


@pytest.mark.usefixtures("no_weights")
def test_two_files_of_statistics_need_no_weights(scored, tmp_path):
    """Of N(0, 4) and N(1, 9) in each of 64 features the distance is 64 (1 + (3 - 2)^2)."""
    known = {"weights_sha256": "0" * 64, "official": False}
    ours, again = (
        gaussian(tmp_path / f"{mean}.npz", mean, variance, **known)
        for mean, variance in ((0, 4), (1, 9))
    )
    theirs = gaussian(tmp_path / "theirs.npz", 1, 9)
    options = {"name": "inception-64", "protocol": FID}
    records = [
        *scored([again, theirs], ours, **options),
        *scored([again, theirs], gaussian(tmp_path / "other.npz", 0, 4), **options),
    ]
    assert [record.result["fid"] for record in records] == pytest.approx([128.0] * 4, rel=1e-9)
    assert [record.result["weights_sha256"] for record in records] == [*["0" * 64] * 3, None]
    assert all(record.result["extractor"] == "inception-64" for record in records)
    assert [len(table) for table in tables_of(records)] == [1] * 4
    unknown = [record.protocol.get("of_unknown_extractor") for record in records]
    assert unknown == [None, ["fake"], ["real"], ["real", "fake"]]
    assert records[3].protocol["name"].endswith(", real and fake by an unknown extractor")


@pytest.mark.usefixtures("no_weights")
def test_two_files_of_statistics_must_agree_with_each_other_and_with_what_is_asked(
    scored, tmp_path
):
    path = gaussian(tmp_path / "a.npz", 0, 1, weights_sha256="0" * 64, official=False)
    for name, stated, message in (
        ("b.npz", {"weights_sha256": "1" * 64, "official": False}, r"Their weights_sha256 is '1+'"),
        ("c.npz", {"weights_sha256": "0" * 64, "official": False, "resize": "clean"}, "Their resi"),
        ("d.npz", {"extractor": "pixels"}, "Their extractor is 'pixels' instead of 'inception'"),
    ):
        other = gaussian(tmp_path / name, 0, 1, **stated)
        with pytest.raises(InputError, match=rf"{name} must be of the same extractor\. {message}"):
            scored([other], path, "inception-64")
        if name != "b.npz":
            with pytest.raises(InputError, match="must be of the same extractor"):
                scored([other], other, "inception-64")
    with pytest.raises(InputError, match=r"a\.npz must be of 2,048 features.*Got 64"):
        scored([path], path, "inception")
    with pytest.raises(InputError, match="inception weights must be a local file"):
        scored([noise(20)], path, "inception-64")


def test_an_epoch_chosen_by_the_images_that_it_is_scored_against_is_remarked_on():
    trained = {"trained_on": "digits", "trained_split": "train"}
    fake = {"name": "run", "best": True, "trained": trained}
    (advice,) = _chosen({"name": "digits:train", "split": "train"}, fake)
    assert "The best epoch of run was chosen by training images" in advice
    assert not [*_chosen({"name": "digits:test", "split": "test"}, fake)]
    assert [*_chosen({"name": "digits:train"}, fake)]  # as statistics are called
    # The choice was by training images, whatever part the run was trained on.
    for split, remarked in (("train", True), ("all", True), ("test", False)):
        of_test = {**fake, "trained": {"trained_on": "digits", "trained_split": "test"}}
        assert bool([*_chosen({"name": f"digits:{split}", "split": split}, of_test)]) == remarked
    mine = {"trained_on": "/home/me/faces/photos", "trained_split": "all"}
    # As sides are called that are folders.
    assert [*_chosen({"name": "faces/photos:train", "split": "train"}, {**fake, "trained": mine})]
    folder = {"trained_on": "/home/me/digits", "trained_split": "train"}
    assert [*_chosen({"name": "digits:train", "split": "train"}, {**fake, "trained": folder})]
    assert not [*_chosen({"name": "digits:train", "split": "train"}, {**fake, "best": False})]


def test_features_whose_covariance_does_not_fit_are_refused_before_they_are_made(
    scored, tmp_path, monkeypatch
):
    monkeypatch.setattr("gan_eval.experiments.score.figures.available_memory", lambda device: 2**17)
    with pytest.raises(InputError, match=r"fid of 64 features needs .* leave fid out of --metrics"):
        scored([noise(20)], noise(20))
    assert list(tmp_path.iterdir()) == []
    (record,) = scored([noise(20)], noise(20, 1), protocol=ScoreProtocol(metrics=("prdc",)))
    assert not record.advice  # on the Fréchet distance of few images


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScoreProtocol(metrics=("fidd",)), r"metric 'fidd' is not known\. Did you mean 'f"),
        (lambda: ScoreProtocol(metrics=("kid",), fid_infinity=True), "Got metrics without 'fid'"),
        (lambda: ExtractorSpec(name="incepton"), r"'incepton' is not known\. Did you mean 'incept"),
    ],
)
def test_unknown_names_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ScoreProtocol(kid_subset_size=1),
        lambda: ScoreProtocol(kid_subsets=0),
        lambda: ExtractorSpec(resize="bilinear"),  # type: ignore[arg-type]
        lambda: ExtractorSpec(precision="fp16"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_mean_nothing_are_refused(make):
    with pytest.raises(InputError, match=r"must be (at least|one of)"):
        make()
