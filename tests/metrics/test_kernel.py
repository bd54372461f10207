"""The kernel distance against closed forms and the sums of its definition."""

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.image.kid import KernelInceptionDistance

from gan_eval.errors import InputError
from gan_eval.metrics import kernel_distance, matrix
from gan_eval.metrics.kernel import draw_subsets, squared_mmd


def features(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, size=(n, d)).clip(0)


def by_loops(x: np.ndarray, y: np.ndarray) -> float:
    """Return the estimate term by term, as its definition reads."""
    k = lambda a, b: (a @ b / len(a) + 1) ** 3  # noqa: E731
    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_closed_form_of_constants():
    # k = 8 among rows of 1, 1 among rows of 0 and between both.
    real, fake = np.ones((10, 3)), np.zeros((12, 3))
    found = kernel_distance(real=real, fake=fake, seed=0, subsets=3, subset_size=5)
    assert (found.mean, found.std) == (pytest.approx(8 + 1 - 2), 0.0)


def test_it_is_the_definitions_sum_over_the_subsets_that_are_drawn():
    real, fake = features(40, 6, 0), features(50, 6, 1, 0.3)
    found = kernel_distance(real=real, fake=fake, seed=3, subsets=4, subset_size=15)
    drawn = draw_subsets(40, 50, subsets=4, size=15, seed=3)
    expected = [by_loops(real[rows], fake[columns]) for rows, columns in drawn]
    assert found.mean == pytest.approx(np.mean(expected), rel=1e-10)
    assert found.std == pytest.approx(np.std(expected), rel=1e-10)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
def test_torchmetrics_agrees_on_the_same_subsets():
    real, fake = (torch.from_numpy(features(60, 16, s, 0.2 * s)).float() for s in (0, 1))
    found = kernel_distance(real=real, fake=fake, seed=3, subsets=5, subset_size=25)
    theirs = []
    for rows, columns in draw_subsets(60, 60, subsets=5, size=25, seed=3):
        peer = KernelInceptionDistance(nn.Flatten(), subsets=1, subset_size=25)
        peer.update(real[rows], real=True)
        peer.update(fake[columns], real=False)
        theirs.append(float(peer.compute()[0]))
    assert found.mean == pytest.approx(np.mean(theirs), rel=1e-3)
    assert found.std == pytest.approx(np.std(theirs), rel=1e-3)


@pytest.mark.parametrize("shares", [2, 3])
def test_uneven_shares_of_the_subsets_give_the_whole(shares: int):
    real, fake = features(40, 6, 0), features(50, 6, 1, 0.3)
    options = {"real": real, "fake": fake, "seed": 3, "subsets": 7, "subset_size": 15}
    whole, parts = kernel_distance(**options), []
    for number in range(shares):
        kernel_distance(**options, share=(number, shares), gather=lambda p: parts.append(p) or [p])
    assert [len(part) for part in parts] == [len(range(7)[i::shares]) for i in range(shares)]
    last = kernel_distance(**options, share=(0, shares), gather=lambda _: parts)
    assert (last.mean, last.std) == pytest.approx((whole.mean, whole.std), rel=1e-9)


def test_sides_of_different_length_in_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(matrix, "_ROWS", 7)
    x, y = features(20, 6, 0), features(31, 6, 1, 0.3)
    found = squared_mmd(real=torch.from_numpy(x), fake=torch.from_numpy(y))
    assert found == pytest.approx(by_loops(x, y), rel=1e-10)


def test_it_has_no_bias_by_the_size_of_a_subset():
    x = features(4000, 5, 0)
    found = kernel_distance(real=x[:2000], fake=x[2000:], seed=0, subsets=200, subset_size=20)
    # Of equal distributions it is 0 on average: within four standard errors.
    assert abs(found.mean) < 4 * found.std / np.sqrt(200)
    assert found.std > 0


def test_a_shift_is_seen_and_sides_may_be_swapped():
    real, fake = features(300, 5, 0), features(300, 5, 1, 0.5)
    found = kernel_distance(real=real, fake=fake, seed=0, subsets=1, subset_size=300)
    swapped = kernel_distance(real=fake, fake=real, seed=0, subsets=1, subset_size=300)
    assert found.mean > 0.1
    assert found.mean == pytest.approx(swapped.mean, rel=1e-9)


def test_subsets_are_the_seeds_without_replacement_and_more_leave_the_first_alone():
    few, more, other = (
        [(a.tolist(), b.tolist()) for a, b in draw_subsets(30, 40, subsets=n, size=20, seed=seed)]
        for n, seed in ((2, 0), (5, 0), (2, 1))
    )
    assert few == more[:2]
    assert few[0] != few[1]
    assert few != other
    for real, fake in more:
        assert len(set(real)) == len(set(fake)) == 20
        assert max(real) < 30
        assert real != fake


def test_arrays_tensors_and_memory_maps_are_one(tmp_path):
    real, fake = (features(60, 4, seed).astype(np.float32) for seed in (0, 1))
    np.save(tmp_path / "real.npy", real)
    mapped = np.load(tmp_path / "real.npy", mmap_mode="r")
    options = {"seed": 0, "subsets": 3, "subset_size": 20}
    found = kernel_distance(real=real, fake=fake, **options)
    assert found == kernel_distance(real=mapped, fake=torch.from_numpy(fake), **options)
    exact = kernel_distance(real=real.astype(np.float64), fake=fake, **options)
    assert found == exact


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"at most the smaller side \(8 images of fake\). Got 1000; pass 8"),
        ({"subset_size": 1}, "subset_size at least 2. Got 100 and 1"),
        ({"subsets": 0}, "subsets must be at least 1.* Got 0 and 1000"),
    ],
)
def test_what_is_refused(given: dict, message: str):
    with pytest.raises(InputError, match=message):
        kernel_distance(real=np.ones((9, 3)), fake=np.ones((8, 3)), seed=0, **given)
