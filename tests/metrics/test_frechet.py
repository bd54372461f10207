"""The Fréchet distance against closed forms, a nuclear norm and SciPy's root of a matrix."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from gan_eval.errors import InputError
from gan_eval.metrics import Moments, frechet_distance, frechet_distance_at_infinity
from gan_eval.metrics.frechet import FrechetDistance


def moments(x: np.ndarray) -> Moments:
    found = Moments()
    found.update(x)
    return found


def gaussian(mean: np.ndarray, covariance: np.ndarray) -> Moments:
    return Moments.from_arrays({"mu": mean, "sigma": covariance})


def distance(real: np.ndarray, fake: np.ndarray) -> FrechetDistance:
    return frechet_distance(real=moments(real), fake=moments(fake))


def features(n: int, d: int, seed: int) -> np.ndarray:
    """Return correlated features whose variances fall like a power, as those of networks do."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -1.0
    return mixed @ np.linalg.qr(rng.normal(size=(d, d)))[0] + rng.normal(size=d)


def by_nuclear_norm(real: np.ndarray, fake: np.ndarray) -> float:
    """Return the distance by data alone: tr (C_r C_f)^(1/2) is the nuclear norm of X_r X_f'."""
    x, y = ((side - side.mean(0)) / np.sqrt(len(side) - 1) for side in (real, fake))
    shift = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    norm = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(shift + (x**2).sum() + (y**2).sum() - 2 * norm)


def test_closed_form_of_covariances_that_commute():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    a, b, shift = rng.uniform(0.1, 5, 6), rng.uniform(0.1, 5, 6), rng.normal(size=6)
    real = gaussian(np.zeros(6), basis * a @ basis.T)
    fake = gaussian(shift, basis * b @ basis.T)
    expected = (shift**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet_distance(real=real, fake=fake).distance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("n_real", "n_fake", "d"),
    [
        (200, 300, 20),
        (30, 200, 50),
        (200, 30, 50),
        (20, 30, 50),
        (4, 4, 4),
        (2, 2, 9),
        (51, 52, 50),
    ],
)
def test_it_is_the_nuclear_norm_of_centred_data(n_real: int, n_fake: int, d: int):
    real, fake = features(n_real, d, 1), features(n_fake, d, 2)
    found = distance(real, fake)
    assert found.distance == pytest.approx(by_nuclear_norm(real, fake), rel=1e-11)
    assert found.clipped < 1e-12


def test_a_covariance_that_is_singular_but_for_its_rounding():
    # As many images as features: Cholesky's factorisation fails, or succeeds on rounding.
    for seed in range(40):
        real, fake = features(4, 4, seed), features(9, 4, seed + 100)
        assert distance(real, fake).distance == pytest.approx(
            by_nuclear_norm(real, fake), rel=1e-11
        )


def test_it_is_what_a_root_of_the_product_gives():
    real, fake = moments(features(90, 30, 1)), moments(features(80, 30, 2))
    a, b = real.covariance.numpy(), fake.covariance.numpy()
    shift = ((real.mean - fake.mean) ** 2).sum()
    expected = float(shift) + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(real=real, fake=fake).distance == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "d"), [(100, 20), (20, 60), (4, 4), (2, 30)])
def test_a_set_is_at_no_distance_from_itself(n: int, d: int):
    x = features(n, d, 3)
    found = distance(x, x[::-1]).distance
    assert 0 <= found <= 1e-9 * np.cov(x, rowvar=False).trace()


def test_statistics_without_n_and_of_low_rank():
    x, y = features(20, 60, 4), features(25, 60, 5)
    real, fake = (gaussian(side.mean(0), np.cov(side, rowvar=False)) for side in (x, y))
    found = frechet_distance(real=real, fake=fake)
    assert found.distance == pytest.approx(by_nuclear_norm(x, y), rel=1e-5)


def test_sides_may_be_swapped():
    real, fake = features(40, 30, 1), features(25, 30, 2)
    assert distance(real, fake).distance == pytest.approx(distance(fake, real).distance, rel=1e-9)


def test_features_that_never_vary_count_by_their_mean_alone():
    x, y = features(100, 5, 1), features(100, 5, 2)
    padded = [np.hstack([side, np.full((100, 3), value)]) for side, value in ((x, 1.0), (y, 3.0))]
    assert distance(*padded).distance == pytest.approx(distance(x, y).distance + 12, rel=1e-7)
    assert distance(np.zeros((5, 2)), np.ones((6, 2))).distance == 2.0


def test_what_is_no_covariance_is_given_away():
    # Eigenvalues 3 and -1.
    wrong = gaussian(np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert frechet_distance(real=wrong, fake=wrong).clipped == pytest.approx(0.25)
    right = gaussian(np.zeros(2), np.eye(2))
    assert frechet_distance(real=right, fake=wrong).clipped == pytest.approx(0.25)


def test_other_widths_and_single_images_are_refused():
    with pytest.raises(InputError, match=r"must have the same features. Got 3 and 4; take both"):
        distance(np.ones((5, 3)), np.ones((5, 4)))
    with pytest.raises(InputError, match=r"at least 2 images. Got 1"):
        distance(np.ones((5, 3)), np.ones((1, 3)))


class TestInfinity:
    def test_free_of_the_bias_of_few_images(self):
        d = 20
        real = gaussian(np.zeros(d), np.eye(d))
        fake = np.random.default_rng(0).normal(size=(4000, d)).astype(np.float32)
        found = frechet_distance_at_infinity(real=real, fake=fake, seed=0)
        # The mean of n images is off by d / n on average, and the rest adds d (d + 1) / 4 n.
        bias = (d + d * (d + 1) / 4) / 4000
        assert found.distances[-1] == pytest.approx(bias, rel=0.25)
        assert abs(found.distance) < bias / 3

    def test_sizes_and_subsets(self):
        real, fake = moments(features(50, 4, 1)), features(1000, 4, 2)
        found = frechet_distance_at_infinity(real=real, fake=fake, seed=0)
        assert (found.sizes[0], found.sizes[-1], len(found.sizes)) == (500, 1000, 15)
        whole = frechet_distance(real=real, fake=moments(fake)).distance
        assert found.distances[-1] == pytest.approx(whole, rel=1e-9)
        assert found == frechet_distance_at_infinity(real=real, fake=torch.from_numpy(fake), seed=0)
        other = frechet_distance_at_infinity(real=real, fake=fake, seed=1)
        assert other.distances[0] != found.distances[0]

    def test_the_papers_sizes_from_ten_thousand_images_on(self):
        fake = np.random.default_rng(0).normal(size=(19_000, 1))
        real = gaussian(np.zeros(1), np.eye(1))
        sizes = frechet_distance_at_infinity(real=real, fake=fake, seed=0).sizes
        assert sizes == tuple(range(5000, 19_001, 1000))

    def test_subsets_are_copied_in_blocks(self, monkeypatch: pytest.MonkeyPatch):
        real, fake = moments(features(50, 4, 1)), features(300, 4, 2)
        whole = frechet_distance_at_infinity(real=real, fake=fake, seed=0)
        sizes, update = [], Moments.update

        def watched(self: Moments, rows: np.ndarray) -> None:
            sizes.append(len(rows))
            update(self, rows)

        monkeypatch.setattr("gan_eval.metrics.frechet._AT_ONCE", 64)
        monkeypatch.setattr(Moments, "update", watched)
        found = frechet_distance_at_infinity(real=real, fake=fake, seed=0)
        assert found.distances == pytest.approx(whole.distances, rel=1e-10)
        assert max(sizes) == 64
        assert sum(sizes) == sum(found.sizes)

    def test_is_the_line_through_the_distances(self):
        real, fake = moments(features(50, 4, 1)), features(300, 4, 2)
        found = frechet_distance_at_infinity(real=real, fake=fake, seed=0)
        x, y = 1 / np.array(found.sizes), np.array(found.distances)
        slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
        assert found.distance == pytest.approx(y.mean() - slope * x.mean(), rel=1e-9)

    def test_too_few_images_are_refused(self):
        with pytest.raises(InputError, match=r"fake must have at least 4 rows. Got 3"):
            frechet_distance_at_infinity(real=moments(np.eye(3)), fake=np.eye(3), seed=0)
