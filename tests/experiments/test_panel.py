"""Who picks samples and who judges them have nothing in common, neither images nor features."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gan_eval.experiments.features import FeatureSpec
from gan_eval.experiments.overlays import with_overlays
from gan_eval.experiments.panel import open_panel
from gan_eval.experiments.parts import halves
from gan_eval.experiments.study import begin
from gan_eval.models.runs import Run
from gan_eval.models.weights import weights_sha256


def test_judges_have_the_other_half_of_the_images_and_features_that_are_not_the_runs(
    untrained: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GAN_EVAL_STORE", str(tmp_path / "store"))
    run, names = untrained(tmp_path / "run"), ["class 3"]
    study = begin(tmp_path, run, seed=3, device="cpu", watch=lambda what, done, total: None)
    panel = open_panel(run, "digits", names, names, study=study, root=None)
    assert panel.images is not None
    about = panel.describe()
    features = [about[who][0]["features"] for who in ("picked_by", "judged_by")]
    parts = [half.contents for half in halves(panel.images, 3)]
    assert [each["statistics_of"] for each in features] == parts
    own = weights_sha256(run.load_discriminator())
    assert features[0]["weights_sha256"] == own != features[1]["weights_sha256"]


def test_overlays_are_told_by_the_runs_own_features_of_the_judges_half(
    untrained: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GAN_EVAL_STORE", str(tmp_path / "store"))
    run, names = untrained(tmp_path / "run"), ["class 3"]
    study = begin(tmp_path, run, seed=3, device="cpu", watch=lambda what, done, total: None)
    options = {"study": study, "root": None}
    assert open_panel(run, "digits", names, names, **options).overlay is None
    laid = []
    monkeypatch.setattr(
        "gan_eval.experiments.panel.with_overlays",
        lambda half, seed: laid.append(half.fingerprint) or with_overlays(half, seed),
    )
    panel = open_panel(run, "digits", names, names, overlay=True, **options)
    assert panel.images is not None
    assert panel.overlay is not None
    assert laid == [halves(panel.images, 3)[1].fingerprint]
    about = panel.describe()["overlay_by"]
    assert about["features"]["weights_sha256"] == weights_sha256(run.load_discriminator())
    assert about["features"]["statistics_of"] == halves(panel.images, 3)[1].contents
    # Pixels, which are what is left without a discriminator, cannot tell a sum from its parts.
    monkeypatch.setattr(
        "gan_eval.experiments.panel.own_features", lambda run: FeatureSpec(name="pixels")
    )
    assert open_panel(run, "digits", names, names, overlay=True, **options).overlay is None


def test_only_judges_are_strict(
    untrained: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GAN_EVAL_STORE", str(tmp_path / "store"))
    run, names = untrained(tmp_path / "run"), ["class 8"]
    study = begin(tmp_path, run, seed=3, device="cpu", watch=lambda what, done, total: None)
    lenient, strict = (
        open_panel(run, "digits", names, names, study=study, root=None, most_false=most_false)
        for most_false in (1.0, 0.0)
    )
    assert strict.pickers["class 8"].threshold == lenient.pickers["class 8"].threshold
    was, found = lenient.judges["class 8"], strict.judges["class 8"]
    assert found.hits < was.hits
    assert found.false_alarms < was.false_alarms
