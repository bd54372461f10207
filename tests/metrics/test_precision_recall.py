"""Precision, recall, density and coverage against points laid by hand and whole matrices."""

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest
import torch

from gan_eval.errors import InputError
from gan_eval.metrics import kernel_distance, matrix, precision_recall

# The package has a function of the module's name.
module = importlib.import_module("gan_eval.metrics.precision_recall")


def cloud(n: int, d: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, size=(n, d))


def apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Euclidean distances by differences."""
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(2))


def by_matrices(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    """Return the four by whole matrices of distances."""
    between = apart(real, fake)
    real_balls = between < np.sort(apart(real, real), 1)[:, k, None]
    fake_balls = between < np.sort(apart(fake, fake), 1)[None, :, k]
    return {
        "precision": real_balls.any(0).mean(),
        "recall": fake_balls.any(1).mean(),
        "density": real_balls.sum(0).mean() / k,
        "coverage": real_balls.any(1).mean(),
    }


def measure(real, fake, k: int = 5) -> dict[str, float]:
    return asdict(precision_recall(real=real, fake=fake, k=k))


def test_points_on_a_line():
    # Real balls of k = 1: 0 and 1 reach 1 far, 10 reaches 9. Fake ones: 7 and 9 reach 2, 30: 21.
    real, fake = np.array([[0.0], [1], [10]]), np.array([[7.0], [9], [30]])
    assert measure(real, fake, 1) == {
        "precision": pytest.approx(2 / 3),  # 7 and 9, by the ball of 10
        "recall": pytest.approx(1 / 3),  # 10, by the ball of 9 and that of 30
        "density": pytest.approx(2 / 3),
        "coverage": pytest.approx(1 / 3),
    }


def test_a_ball_does_not_hold_its_surface():
    real, fake = np.array([[0.0], [1], [5]]), np.array([[2.0], [9], [20]])
    # 2 is 1 from 1, whose ball reaches 1; 9 is 4 from 5, whose ball reaches 4.
    assert measure(real, fake, 1)["coverage"] == pytest.approx(1 / 3)  # 5, by 2
    assert measure(real, np.array([[2.0], [9.0], [9.5]]), 1)["density"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("rows", [7, 4096])
def test_it_is_what_whole_matrices_give(k: int, rows: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(matrix, "_ROWS", rows)
    real, fake = cloud(90, 8, 0), cloud(70, 8, 1, 0.3, 0.8)
    assert measure(real, fake, k) == pytest.approx(by_matrices(real, fake, k), rel=1e-12)


@pytest.mark.parametrize("rows", [3, 4096])
def test_ties_and_duplicates_far_from_zero(rows: int, monkeypatch: pytest.MonkeyPatch):
    # On a grid nearly all distances tie, and of three copies each ball of k = 2 is empty.
    monkeypatch.setattr(matrix, "_ROWS", rows)
    rng = np.random.default_rng(0)
    real, fake = (rng.integers(0, 3, size=(n, 3)) + 1000.25 for n in (60, 50))
    for k in (1, 2, 5):
        assert measure(real, fake, k) == pytest.approx(by_matrices(real, fake, k), rel=1e-12)
    copies = np.repeat(cloud(20, 4, 0) + 100.1, 3, axis=0)
    assert set(measure(copies, copies[::-1].copy(), 2).values()) == {0.0}


def in_shares(shares: int, **sides: np.ndarray) -> list[dict[str, float]]:
    """Return what each of `shares` threads finds, which wait for each other as processes do."""
    barrier, handed = threading.Barrier(shares, timeout=60), [None] * shares

    def work(number: int) -> dict[str, float]:
        def gather(part: torch.Tensor) -> list[torch.Tensor]:
            barrier.wait()
            handed[number] = part
            barrier.wait()
            return [*handed]

        return asdict(precision_recall(**sides, share=(number, shares), gather=gather))

    with ThreadPoolExecutor(shares) as pool:
        return list(pool.map(work, range(shares)))


@pytest.mark.parametrize("rows", [16, 50, 4096])
@pytest.mark.parametrize("shares", [1, 2, 3])
def test_shares_of_the_work_give_the_whole(shares: int, rows: int, monkeypatch: pytest.MonkeyPatch):
    """Uneven ones: 15, 3 or 1 pairs of blocks of real images, and others of fake ones."""
    real, fake = cloud(80, 8, 0), cloud(110, 8, 1, 0.3, 0.8)
    whole = by_matrices(real, fake, 5)
    monkeypatch.setattr(matrix, "_ROWS", rows)
    for found in in_shares(shares, real=real, fake=fake):
        assert found == pytest.approx(whole, rel=1e-9)


def test_each_share_looks_at_other_pairs(monkeypatch: pytest.MonkeyPatch):
    """Of 6 and 3 pairs within the sides and 6 between them, three shares do 2, 1 and 2 each."""
    monkeypatch.setattr(matrix, "_ROWS", 10)
    looked: list[tuple[int, int]] = []
    squares = module._squares

    def count(x: torch.Tensor, y: torch.Tensor, norms: float = 1.0) -> torch.Tensor:
        looked.append((len(x), len(y)))
        return squares(x, y, norms)

    monkeypatch.setattr(module, "_squares", count)
    parts: list[torch.Tensor] = []

    def alone(part: torch.Tensor) -> list[torch.Tensor]:
        parts.append(part)
        # Other shares would fill these gaps.
        return [part.nan_to_num(posinf=1.0)] if part.is_floating_point() else [part]

    precision_recall(real=cloud(30, 2, 0), fake=cloud(20, 2, 1), share=(1, 3), gather=alone)
    assert looked == [(10, 10)] * 5
    assert [part.shape for part in parts] == [(30, 6), (20, 6), (20 + 30 + 30,)]


def test_one_object_for_both_sides_is_two_sides_alike(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(matrix, "_ROWS", 16)
    x = cloud(80, 8, 0)
    assert measure(x, x) == measure(x, x.copy()) == pytest.approx(by_matrices(x, x, 5), rel=1e-9)


def test_a_set_against_itself():
    # Each image is in its own ball and, on average, in k - 1 of the others.
    x = cloud(200, 6, 0)
    expected = {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0}
    assert measure(x, x[::-1].copy()) == pytest.approx(expected, rel=1e-12)


def test_collapse_is_precise_and_recalls_little():
    real = np.concatenate([cloud(200, 4, 0), cloud(200, 4, 1, 20)])
    one_mode = cloud(400, 4, 2, 20, 0.5)
    found = measure(real, one_mode)
    assert found["precision"] > 0.95
    assert found["recall"] < 0.5
    assert found["coverage"] < 0.5
    assert found["density"] > 1


def test_swapped_sides_swap_precision_and_recall():
    real, fake = cloud(150, 5, 0), cloud(120, 5, 1, 0.2, 0.6)
    one, other = measure(real, fake), measure(fake, real)
    assert one["precision"] == pytest.approx(other["recall"])
    assert one["recall"] == pytest.approx(other["precision"])
    assert one["precision"] > one["recall"] + 0.1


def test_order_and_origin_change_nothing():
    real, fake = cloud(80, 5, 0), cloud(90, 5, 1)
    moved = measure(torch.from_numpy(real[::-1] + 1e6), torch.from_numpy(fake[::-1] + 1e6))
    assert moved == pytest.approx(measure(real, fake), rel=1e-12)


def test_a_memory_map_is_an_array(tmp_path):
    real, fake = (cloud(60, 5, seed).astype(np.float16) for seed in (0, 1))
    np.save(tmp_path / "real.npy", real)
    mapped = np.load(tmp_path / "real.npy", mmap_mode="r")
    assert measure(mapped, torch.from_numpy(fake)) == measure(real, fake)


@pytest.mark.slow
def test_readme_of_the_package_prdc():
    # 10,000 normal images of 1,000 features on both sides: prdc 0.2 gives these four.
    rng = np.random.RandomState(0)
    real, fake = (rng.normal(size=(10_000, 1000)) for _ in range(2))
    expected = {"precision": 0.491, "recall": 0.4746, "density": 1.15124, "coverage": 0.9799}
    assert measure(real, fake) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.ones((5, 2)), np.ones((9, 2)), "real must have at least 6 rows. Got 5; take more"),
        (np.ones((9, 2)), np.ones((5, 2)), "fake must have at least 6 rows. Got 5; take more"),
        (np.ones((9, 2)), np.ones((9, 3)), "must have the same features. Got 2 and 3"),
        (np.ones((9, 2)), np.ones((9, 2, 1)), r"fake must be a matrix .* Got shape \(9, 2, 1\)"),
        (np.full((9, 2), np.nan), np.ones((9, 2)), "real must be finite. Got .* in row 0"),
        (np.ones((9, 2)), np.full((9, 2), -np.inf), "fake must be finite"),
    ],
)
def test_what_is_refused(real: np.ndarray, fake: np.ndarray, message: str):
    with pytest.raises(InputError, match=message):
        precision_recall(real=real, fake=fake)


def test_kernel_distance_refuses_the_same():
    with pytest.raises(InputError, match=r"fake must be finite. Got .* in row 8"):
        kernel_distance(
            real=np.ones((9, 2)), fake=np.vstack([np.ones((8, 2)), [[0, np.inf]]]), seed=0
        )


def test_no_neighbour_is_no_ball():
    with pytest.raises(InputError, match=r"k must be at least 1. Got 0"):
        precision_recall(real=np.ones((9, 2)), fake=np.ones((9, 2)), k=0)
