"""The Inception score against closed forms and its definition in NumPy."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from gan_eval.errors import InputError
from gan_eval.metrics import inception_score
from gan_eval.metrics.inception_score import inception_score_of_blocks


def by_definition(logits: np.ndarray) -> float:
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    mean = p.mean(0)
    return float(np.exp(np.mean([(row * np.log(row / mean)).sum() for row in p])))


def test_sure_and_even_is_the_number_of_classes():
    logits = 1e4 * np.tile(np.eye(7), (30, 1))
    found = inception_score(logits)
    assert found.mean == pytest.approx(7, rel=1e-12)
    assert found.std == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("row", [[9.0, 0, 0], [0.0, 0, 0], [-5.0, 2, 1]])
def test_one_answer_for_all_images_is_one(row: list[float]):
    assert inception_score(np.tile(row, (50, 1))).mean == pytest.approx(1, rel=1e-12)


def test_it_is_the_definition_on_each_of_salimans_splits():
    logits = np.random.default_rng(0).normal(size=(103, 5)) * 2
    found = inception_score(torch.from_numpy(logits))
    parts = [logits[i * 103 // 10 : (i + 1) * 103 // 10] for i in range(10)]
    scores = [by_definition(part) for part in parts]
    assert found.mean == pytest.approx(np.mean(scores), rel=1e-12)
    assert found.std == pytest.approx(np.std(scores), rel=1e-9)


def test_order_matters_between_splits_alone():
    logits = np.random.default_rng(0).normal(size=(100, 5)) * 3
    by_class = logits[logits.argmax(1).argsort()]
    assert inception_score(by_class).mean < 0.7 * inception_score(logits).mean
    together, sorted_ = (inception_score(x, splits=1).mean for x in (logits, by_class))
    assert together == pytest.approx(sorted_, rel=1e-12)


def test_a_constant_added_to_a_row_changes_nothing():
    logits = np.random.default_rng(0).normal(size=(40, 5))
    raised = logits + 500 * np.arange(40)[:, None]
    found = inception_score(raised, splits=4).mean
    assert found == pytest.approx(inception_score(logits, splits=4).mean, rel=1e-10)


def test_float32_is_taken_in_float64():
    logits = (30 * np.random.default_rng(0).normal(size=(40, 5))).astype(np.float32)
    assert inception_score(logits) == inception_score(logits.astype(np.float64))


def by_logarithms(logits: torch.Tensor, splits: int) -> tuple[float, float]:
    """Return the score in the logarithms of p alone, all images at hand."""
    log_p, n, scores = logits.double().log_softmax(1), len(logits), []
    for i in range(splits):
        part = log_p[i * n // splits : (i + 1) * n // splits]
        log_mean = part.logsumexp(0) - np.log(len(part))
        scores.append(float((part.exp() * (part - log_mean)).sum(1).mean().exp()))
    return float(np.mean(scores)), float(np.std(scores))


@pytest.mark.parametrize("sizes", [(230,), (1,) * 230, (100, 100, 30), (23, 7, 200)])
@pytest.mark.parametrize("splits", [1, 3, 10, 230])
def test_blocks_give_the_score_of_all_rows(sizes: tuple[int, ...], splits: int):
    random = 3 * torch.randn(230, 40, generator=torch.Generator().manual_seed(0))
    sure = 1000 * torch.eye(40).repeat(6, 1)[:230]
    for logits in (random, sure, torch.cat([random[:100], sure[100:]])):
        mean, std = by_logarithms(logits, splits)
        found = inception_score_of_blocks(logits.split(sizes), n=230, splits=splits)
        assert found.mean == pytest.approx(mean, rel=1e-12)
        assert found.std == pytest.approx(std, abs=1e-11)


def test_blocks_are_not_kept():
    seen: list[weakref.ref[torch.Tensor]] = []

    def blocks() -> Iterator[torch.Tensor]:
        for number in range(6):
            block = torch.randn(10, 4, generator=torch.Generator().manual_seed(number))
            seen.append(weakref.ref(block))
            yield block
            del block
            assert sum(each() is not None for each in seen) <= 1  # the caller's own

    assert inception_score_of_blocks(blocks(), n=60, splits=3).mean > 1
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("logits", "splits", "message"),
    [
        (np.ones((9, 3)), 10, r"splits must be from 1 to the number of images \(9\). Got 10"),
        (np.ones((9, 3)), 0, "Got 0; pass fewer"),
        (np.ones(9), 1, "logits must be a matrix"),
        (np.array([[1.0, 2], [np.inf, 0]]), 1, "logits must be finite. Got .* in row 1"),
        (np.vstack([np.ones((5000, 2)), [[np.nan, 0]]]), 1, "Got NaN or infinity in row 5000;"),
    ],
)
def test_what_is_refused(logits: np.ndarray, splits: int, message: str):
    with pytest.raises(InputError, match=message):
        inception_score(logits, splits=splits)
