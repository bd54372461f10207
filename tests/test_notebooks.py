"""What a notebook has set holds for its own cells, and not for what the package computes."""

import ctypes
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gan_eval
from gan_eval.devices import freed_memory_kept, make_fabric
from gan_eval.experiments import sums
from gan_eval.experiments.features import FeatureSpec
from gan_eval.features.pixels import Pixels
from gan_eval.features.store import extract
from gan_eval.models.runs import Run
from gan_eval.precision import own_settings
from gan_eval.probes import fit_l2_svm

SMALL: dict[str, Any] = {
    "preset": "bubbliiiing", "width": 2, "image_size": 16, "data": "digits", "limit": 64,
    "batch_size": 16, "device": "cpu", "precision": "32", "steps": 3,
}  # fmt: skip
FEW = gan_eval.choose_protocol(labels_per_class=5, draws=2)


@contextmanager
def float64_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SET: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64 by default": float64_by_default,
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
}


@pytest.fixture(params=SET)
def set_by_hand(request: pytest.FixtureRequest) -> AbstractContextManager[Any]:
    return SET[request.param]()


def test_training_is_the_same_whatever_is_set(tmp_path: Path, set_by_hand):
    def trained(name: str) -> bytes:
        gan_eval.carry_out(gan_eval.new_job(tmp_path / name, gan_eval.Request(**SMALL)))
        return (tmp_path / name / "generator.safetensors").read_bytes()

    wanted = trained("plain")
    with set_by_hand:
        assert trained("set") == wanted


def test_experiments_are_the_same_whatever_is_set(untrained, tmp_path: Path):
    run, small = untrained(tmp_path / "run"), {"out": tmp_path, "device": "cpu"}
    features = [FeatureSpec(name="kmeans", maps=16), "pixels"]

    def figures(store: str) -> list[Any]:
        found = gan_eval.classify(features, "digits", FEW, store=tmp_path / store, **small)
        walked = gan_eval.interpolate(run, data="digits", **small).record
        looked = gan_eval.filters(run, n=1, **small).record
        errors = [each.record.result["errors"] for each in found]
        return [errors, walked.result, walked.controls, looked.result]

    wanted = figures("plain")
    with ExitStack() as everything:
        for each in SET.values():
            everything.enter_context(each())
        assert figures("set") == wanted


def test_the_svm_is_the_same_under_autocast():
    dice = np.random.default_rng(0)
    x, labels = dice.normal(size=(200, 30)).astype(np.float32), dice.integers(0, 3, 200)
    (wanted,) = fit_l2_svm(x, labels, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = fit_l2_svm(x, labels, 1.0)
        scores = found.decision_function(x)
    assert torch.equal(found.weights, wanted.weights)
    assert torch.equal(scores, wanted.decision_function(x))


def test_what_was_set_is_set_again():
    with float64_by_default(), torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        with own_settings():
            assert torch.zeros(1).dtype == torch.float32
            assert not torch.is_autocast_enabled("cpu")
            assert torch.is_grad_enabled()
        assert torch.zeros(1).dtype == torch.float64
        assert torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()


def test_a_refused_call_leaves_nothing_behind():
    assert all(isinstance(step, float) for step in sums.STEPS)  # no tensor of what was set then


def test_how_fabric_logs_is_left_alone():
    log = logging.getLogger("lightning_fabric")
    before = log.level
    log.setLevel(logging.DEBUG)
    try:
        make_fabric("cpu")
        assert log.level == logging.DEBUG
    finally:
        log.setLevel(before)


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of the process")
def test_freed_memory_is_given_back_at_the_end():
    def held() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("of glibc")
    with freed_memory_kept():
        with freed_memory_kept():
            blocks = [np.ones(2**20) for _ in range(16)]
            pin = np.ones(100_000)
            del blocks
        inside = held()
    assert inside - held() > 100 * 2**20
    assert pin[0] == 1


def test_a_job_is_of_the_folder_as_it_was(tmp_path: Path):
    first = gan_eval.new_job(tmp_path / "run", gan_eval.Request(**SMALL))
    second = gan_eval.new_job(tmp_path / "run", gan_eval.Request(**{**SMALL, "seed": 7}))
    gan_eval.carry_out(first)
    before = (tmp_path / "run" / "config.json").read_bytes()
    with pytest.raises(gan_eval.InputError, match="has come to hold another run"):
        gan_eval.carry_out(second)
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    assert gan_eval.carry_out(first) is None  # a cell that is run twice
    longer = gan_eval.resumed_job(tmp_path / "run", steps=4)
    assert gan_eval.carry_out(longer) is None
    assert gan_eval.carry_out(longer) is None


def test_pixels_that_were_changed_have_features_of_their_own(tmp_path: Path):
    images = gan_eval.open_images("digits", limit=20)
    pixels = Pixels(images.channels, images.size)
    before = np.array(extract(pixels, images, store=tmp_path))
    assert images.pixels is not None
    turned = replace(images, pixels=255 - images.pixels)
    assert not np.array_equal(extract(pixels, turned, store=tmp_path), before)
    images.pixels.zero_()
    assert (extract(pixels, images, store=tmp_path) == -1).all()


class Projection:
    """An extractor as people write one: a layer, whose gradients nobody asked for."""

    name, width = "projection", 3
    identity = {"weights": "of the test"}  # noqa: RUF012

    def __init__(self, made: Callable[[Tensor], Any]) -> None:
        self.layer, self.made = torch.nn.Linear(64, 3), made

    def prepare(self) -> None:
        pass

    def __call__(self, images: Tensor) -> Any:
        return self.made(self.layer(images.float().flatten(1) / 255))


@pytest.mark.parametrize("made", [lambda rows: rows, lambda rows: rows.detach().numpy()])
def test_an_extractor_may_keep_gradients_or_give_arrays(tmp_path: Path, made):
    rows = extract(Projection(made), gan_eval.open_images("digits", limit=9), store=tmp_path)
    assert rows.shape == (9, 3)


def test_an_extractor_of_other_rows_is_told(tmp_path: Path):
    wrong = Projection(lambda rows: rows[:, :2])
    with pytest.raises(gan_eval.InputError, match=r"\(9, 3\)\. Got torch.float32 \(9, 2\); mend"):
        extract(wrong, gan_eval.open_images("digits", limit=9), store=tmp_path)


def test_what_is_natural_to_pass_is_taken_or_refused_in_a_line(untrained, tmp_path: Path):
    network, images = torch.nn.Sequential(torch.nn.Flatten()), gan_eval.open_images("digits")
    run: Run = untrained(tmp_path / "run")
    for use, told in (
        (lambda: gan_eval.classify("pixels", images, FEW), "Got Images; pass"),
        (lambda: gan_eval.classify(network, "digits", FEW), "Got Sequential; make one"),
        (lambda: gan_eval.score(run, against="digits", extractor=network), "Got Sequential; make"),
        (lambda: gan_eval.score(map(Run, [run.folder]), against="digits"), "models as a list"),
        (lambda: fit_l2_svm(np.eye(4), np.zeros((4, 1), int), 1.0), r"rows, 4\. Got \(4, 1\)"),
    ):
        with pytest.raises(gan_eval.InputError, match=told):
            use()
    (found,) = gan_eval.classify("pixels", "digits", FEW, store=tmp_path, out=tmp_path)
    assert len(gan_eval.tables(found)) == len(gan_eval.tables([found])) == 1
