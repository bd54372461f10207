"""The Inception score against closed forms and its definition in NumPy."""

import numpy as np
import pytest
import torch

from gan_eval.errors import InputError
from gan_eval.metrics import inception_score


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


@pytest.mark.parametrize(
    ("logits", "splits", "message"),
    [
        (np.ones((9, 3)), 10, r"splits must be from 1 to the number of images \(9\). Got 10"),
        (np.ones((9, 3)), 0, "Got 0; pass fewer"),
        (np.ones(9), 1, "logits must be a matrix"),
        (np.array([[1.0, 2], [np.inf, 0]]), 1, "logits must be finite. Got .* in row 1"),
    ],
)
def test_what_is_refused(logits: np.ndarray, splits: int, message: str):
    with pytest.raises(InputError, match=message):
        inception_score(logits, splits=splits)
