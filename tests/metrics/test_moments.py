"""Moments against NumPy's, in any order and number of parts, and as the files of other programs."""

import numpy as np
import pytest
import torch

from gan_eval.errors import InputError
from gan_eval.metrics import Moments, matrix


def moments(x) -> Moments:
    found = Moments()
    found.update(x)
    return found


def features(n: int = 300, d: int = 7) -> np.ndarray:
    """Return correlated features far from zero, whose columns differ in scale."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * 10.0 ** np.arange(-3, d - 3) + 50


def assert_same(a: Moments, b: Moments, tolerance: float = 1e-9) -> None:
    assert a.n == b.n
    torch.testing.assert_close(a.mean, b.mean, rtol=tolerance, atol=0)
    size = float(b.covariance.diagonal().min())
    torch.testing.assert_close(a.covariance, b.covariance, rtol=tolerance, atol=tolerance * size)


def test_it_is_the_sample_covariance_with_divisor_n_minus_1():
    x = features()
    found = moments(x)
    assert found.n == 300
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.covariance, np.cov(x, rowvar=False), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sizes", [[300], [1, 299], [200, 30, 70], [1] * 300, [150, 0, 150]])
def test_shards_and_batches_of_any_size_merge_to_the_whole(sizes: list[int]):
    x = torch.from_numpy(features())
    parts = torch.split(x, sizes)
    assert_same(sum((moments(part) for part in parts), Moments()), moments(x))
    one = Moments()
    for part in reversed(parts):
        one.update(part)
    assert_same(one, moments(x))


def test_merging_leaves_the_parts_alone():
    a, b = moments(features()[:100]), moments(features()[100:])
    before = a.covariance.clone()
    total = a + b
    total.update(features())
    assert (a.n, b.n, total.n) == (100, 200, 600)
    assert a.covariance.equal(before)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    whole = moments(features())
    monkeypatch.setattr(matrix, "_ROWS", 13)
    assert_same(moments(features()), whole)


def test_what_was_handed_in_is_not_changed():
    x = features()
    given = torch.from_numpy(x.copy())
    moments(given)
    assert (given.numpy() == x).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_lower_precision_is_summed_in_float64(dtype: torch.dtype):
    x = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0)).add(30).to(dtype)
    expected = np.cov(x.double().numpy(), rowvar=False)
    np.testing.assert_allclose(moments(x).covariance, expected, rtol=1e-12, atol=1e-13)


def test_a_memory_map_is_an_array(tmp_path):
    x = features().astype(np.float16)
    np.save(tmp_path / "x.npy", x)
    assert_same(moments(np.load(tmp_path / "x.npy", mmap_mode="r")), moments(x), 0)


class TestArrays:
    def test_go_to_a_file_and_back(self, tmp_path):
        given = moments(features())
        np.savez(tmp_path / "real.npz", **given.to_arrays())
        with np.load(tmp_path / "real.npz", allow_pickle=False) as file:
            assert file["mu"].shape == (7,)
            np.testing.assert_allclose(file["sigma"], np.cov(features(), rowvar=False), rtol=1e-6)
            back = Moments.from_arrays(file)
        assert_same(back, given, 1e-15)
        assert_same(back + given, moments(np.tile(features(), (2, 1))))

    def test_without_n_are_good_for_distances_alone(self):
        mu, sigma = np.arange(3.0), np.diag([1.0, 2.0, 3.0]).astype(np.float32)
        found = Moments.from_arrays({"mu": mu, "sigma": sigma})
        assert found.covariance.diagonal().tolist() == [1.0, 2.0, 3.0]
        whole = {"mu": np.arange(3), "sigma": sigma.astype(np.float16), "n": np.array(9.0)}
        assert Moments.from_arrays(whole).n == 9
        assert found.n is None
        assert found.to_arrays().keys() == {"mu", "sigma"}
        with pytest.raises(InputError, match=r"statistics must hold 'n' to be merged"):
            found + found
        with pytest.raises(InputError, match=r"statistics must hold 'n' to be merged"):
            found.update(np.ones((2, 3)))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"mu": np.ones(2)}, "must hold the arrays 'mu' and 'sigma'. Got mu"),
            ({}, "must hold the arrays 'mu' and 'sigma'. Got none"),
            ({"mu": np.ones(2), "sigma": np.eye(3)}, r"Got shapes \(2,\) and \(3, 3\)"),
            ({"mu": np.ones(2), "sigma": np.eye(2) * np.nan}, "statistics must be finite"),
            ({"mu": np.ones(2), "sigma": np.tri(2)}, "'sigma' must be symmetric. .* differ by 1"),
            ({"mu": np.ones(2), "sigma": np.eye(2), "n": np.array(1)}, "at least 2 .* Got n = 1"),
            *(
                (
                    {"mu": np.ones(2), "sigma": np.eye(2), "n": np.array(n)},
                    "at least 2 images, a whole",
                )
                for n in (2.7, np.nan, np.inf, 1e30, 9 + 1j, True, "many", [3, 4])
            ),
            *(
                ({"mu": np.array([1, 1], kind), "sigma": np.eye(2)}, "must be real numbers")
                for kind in (np.complex64, np.bool_, np.str_)
            ),
            ({"mu": np.array([1, 1e200]), "sigma": np.eye(2)}, "finite, and below 1e.100"),
        ],
    )
    def test_that_are_no_statistics_are_refused(self, given: dict, message: str):
        with pytest.raises(InputError, match=message):
            Moments.from_arrays(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones(3), r"features must be a matrix \(images, features\). Got shape \(3,\)"),
        (np.ones((3, 0)), r"Got shape \(3, 0\)"),
        (np.ones((3, 4)), "features must be as wide as those before: 7. Got 4"),
        (np.diag([1, 1, np.nan, 1, 1, 1, 1]), "features must be finite. Got .* in row 2"),
    ],
)
def test_what_is_refused(given: np.ndarray, message: str):
    found = moments(features())
    with pytest.raises(InputError, match=message):
        found.update(given)


def test_one_image_has_no_covariance():
    with pytest.raises(InputError, match=r"at least 2 images. Got 1"):
        _ = moments(np.ones((1, 3))).covariance


def test_other_widths_are_not_merged():
    with pytest.raises(InputError, match=r"as wide as those before: 7. Got 3"):
        moments(features()) + moments(np.ones((2, 3)))
