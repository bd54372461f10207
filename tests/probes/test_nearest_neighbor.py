"""The nearest sample against plain float64 distances and scikit-learn's brute force."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import SkipTestWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import Tensor

import gan_eval.probes
from gan_eval.errors import InputError
from gan_eval.probes import NearestNeighbor, RunningNearest
from gan_eval.probes import nearest_neighbor as module


def pixels(n: int, d: int = 30, low: int = 0, high: int = 256, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (n, d), generator=random, dtype=torch.uint8)


def normal(n: int, d: int = 30, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Queries and samples.
CASES = {
    "pixels": (pixels(40), pixels(700, seed=1)),
    "duplicates": (pixels(40, 4, high=3), pixels(300, 4, high=3, seed=1)),
    "constant images": (pixels(40), torch.full((600, 30), 77, dtype=torch.uint8)),
    "one of the samples": (pixels(700, seed=1)[100:140], pixels(700, seed=1)),
    "largest distances": (pixels(3, 40_000, 0, 2) * 255, pixels(9, 40_000, 0, 2, seed=1) * 255),
    "more values than 32 bits count": (pixels(3, 50_000), pixels(9, 50_000, seed=1)),
    "pixels in [0, 1]": (pixels(40).double() / 255, pixels(300, seed=1).repeat(2, 1) / 255.0),
    "floats": (normal(40), normal(700, seed=1)),
    "float32": (normal(40).float(), normal(700, seed=1).float()),
    "half precision": (normal(40).half(), normal(700, seed=1).bfloat16()),
    "far from zero": (normal(40) + 1e6, normal(700, seed=1) + 1e6),
    "far from zero, of two types": (normal(40) + 1e6, (normal(700, seed=1) + 1e6).float()),
    "beyond the queries": (normal(40), 5 * normal(700, seed=1) + 2),
    "floats among pixels": (pixels(40).float() + 0.3, pixels(700, seed=1)),
    "one value": (torch.full((4, 30), 2.5), normal(300)),
    "hardly different": (1e-42 * normal(30).float(), 1e-42 * normal(300, seed=1).float()),
    "as large as float32 goes": (3e38 * normal(40).tanh(), 3e38 * normal(700, seed=1).tanh()),
    "integers": (1000 * pixels(40).long(), 1000 * pixels(700, seed=1).long()),
}


def plain(queries: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least squared distances in float64, and the first sample at each."""
    x, t = queries.double(), samples.double()
    squared = torch.stack([(x - row).square().sum(1) for row in t], 1)
    least = squared.min(1).values
    return least, (squared == least[:, None]).int().argmax(1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("int8", [True, False])
def test_it_is_exact_and_of_equals_the_first(case: str, int8: bool, monkeypatch):
    if int8 and not module._multiplies_int8("cpu"):
        pytest.skip("this processor does not add up products of 8-bit integers")
    monkeypatch.setattr(module, "_multiplies_int8", lambda device: int8)
    queries, samples = CASES[case]
    squared, indices = plain(queries, samples)
    for step in (7, 290, len(samples)):
        nearest = RunningNearest(queries)
        for block in torch.split(samples, step):
            nearest.update(block, block.double().sum(1).long())
        assert nearest.seen == len(samples)
        assert nearest.squared.tolist() == squared.tolist()
        assert nearest.indices.tolist() == indices.tolist()
        assert nearest.labels.equal(samples.double().sum(1).long()[indices])


def test_blocks_of_an_update_make_no_difference(monkeypatch):
    queries, samples = CASES["floats"]
    monkeypatch.setattr(module, "_SCORES", 1)  # one group at a time
    monkeypatch.setattr(module, "_ROWS", 3)
    nearest = RunningNearest(queries)
    nearest.update(samples)
    assert nearest.indices.equal(plain(queries, samples)[1])
    assert nearest.labels.unique().tolist() == [-1]


def test_memory_is_that_of_a_block():
    """What is kept does not grow with what passed by."""
    nearest = RunningNearest(pixels(40))
    kept = lambda: sum(  # noqa: E731
        value.nbytes for value in vars(nearest).values() if isinstance(value, Tensor)
    )
    before = kept()
    for seed in range(3):
        nearest.update(pixels(500, seed=seed))
    assert kept() == before


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_the_estimator_answers_as_scikit_learn(dtype):
    samples, queries = (pixels(n, seed=n).numpy().astype(dtype) for n in (600, 50))
    labels = np.array(["a", "b", "c"])[np.arange(600) % 3]
    theirs = KNeighborsClassifier(1, algorithm="brute").fit(samples, labels)
    ours = NearestNeighbor().fit(samples, labels)
    assert ours.predict(queries).tolist() == theirs.predict(queries).tolist()
    parts = NearestNeighbor()
    for rows in np.array_split(np.arange(600), 7):
        parts.partial_fit(samples[rows], labels[rows])
    assert parts.predict(queries).tolist() == theirs.predict(queries).tolist()
    assert ours.fit(samples[:2], labels[:2]).classes_.tolist() == ["a", "b"]  # and forgets


def test_samples_too_far_to_tell_apart_are_refused():
    """Squared distances of both are infinite, as before the first sample."""
    nearest = NearestNeighbor().fit([[1e200], [2e200]], ["a", "b"])
    with pytest.raises(InputError, match="X must be within the range of float32"):
        nearest.predict([[0.0]])


def test_later_labels_are_classes_too():
    nearest = NearestNeighbor().fit([[0.0], [1.0]], [5, 3]).partial_fit([[9.0]], [4])
    assert nearest.classes_.tolist() == [3, 4, 5]
    assert nearest.predict([[8.0], [0.4]]).tolist() == [4, 5]


@pytest.mark.parametrize(
    ("queries", "samples", "labels", "message"),
    [
        (pixels(2, 3), pixels(2, 4), None, r"X must have the 3 columns of the queries\. Got 4"),
        (pixels(2, 3), pixels(2, 3), [1], r"a label for each of 2 samples\. Got shape \(1,\)"),
        (pixels(2, 3)[0], pixels(2, 3), None, r"T must be a matrix .* Got shape \(3,\)"),
        (pixels(2, 3), pixels(2, 3), [[1], [2]], r"a label for each of 2 .* Got shape \(2, 1\)"),
        (pixels(2, 3), pixels(2, 3), [1.0, 2.5], r"y must be whole numbers\. Got 2\.5"),
        (pixels(2, 3), pixels(2, 3), ["a", "b"], "y must be numbers. Got others"),
        (pixels(2, 3), [["1", "2", "3"]], None, "X must be numbers. Got others"),
        (pixels(2, 3), [[1, 2], [3]], None, "X must be numbers. Got others"),
        (pixels(2, 3), 1j * normal(2, 3), None, "X must be real numbers. Got torch.complex128"),
        (1j * normal(2, 3), pixels(2, 3), None, "T must be real numbers. Got torch.complex128"),
        (pixels(0, 3), pixels(2, 3), None, "T must hold at least 1 query. Got none"),
        (pixels(2, 3), pixels(2, 0), None, r"X must be a matrix .* Got shape \(2, 0\)"),
        (torch.tensor([[torch.nan]]), pixels(2, 1), None, "T must be finite. Got NaN"),
        (pixels(2, 1), torch.tensor([[torch.inf]]), None, "X must be finite. Got NaN"),
        (1e300 * normal(2), normal(2), None, "T must be within the range of float32. Got"),
        (
            torch.tensor([[-1e39], [1e39]], dtype=torch.float64),
            pixels(2, 1),
            None,
            "T must be within the range",
        ),
        (
            normal(2),
            1e200 * normal(2),
            None,
            r"X must be within the range of float32\. Got -.* to ",
        ),
    ],
)
def test_what_is_refused(queries, samples, labels, message):
    with pytest.raises(InputError, match=message):
        RunningNearest(queries).update(samples, labels)


def test_no_samples_may_pass_by():
    queries, samples = CASES["floats"]
    nearest = RunningNearest(queries)
    for block, labels in ((samples[:0], []), (samples, range(700)), (samples[:0], None)):
        nearest.update(block, labels)
    assert nearest.seen == 700
    assert nearest.indices.equal(nearest.labels)
    assert nearest.indices.equal(plain(queries, samples)[1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float16, torch.float64])
def test_whole_labels_of_any_type_are_kept(dtype):
    nearest = RunningNearest(torch.tensor([[1.0], [9.0]]))
    nearest.update(torch.tensor([[8.0], [2.0]]), torch.tensor([7, 3], dtype=dtype))
    assert nearest.labels.tolist() == [3, 7]


def test_public_names_are_there():
    names = gan_eval.probes.__all__
    assert {"NearestNeighbor", "RunningNearest"} <= set(names)
    assert all(getattr(gan_eval.probes, name).__name__ == name for name in names)


# What scikit-learn cannot check here it says by a warning.
@pytest.mark.filterwarnings(f"ignore::{SkipTestWarning.__module__}.{SkipTestWarning.__name__}")
@parametrize_with_checks([NearestNeighbor()])
def test_it_is_a_scikit_learn_estimator(estimator: NearestNeighbor, check):
    check(estimator)


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_finds_the_same(case: str):
    queries, samples = CASES[case]
    nearest = RunningNearest(queries, device="cuda")
    nearest.update(samples)
    assert nearest.indices.cpu().equal(plain(queries, samples)[1])


@pytest.mark.parametrize("changed", ["reversed", "big-endian", "a span of 2e12", "large floats"])
def test_arrays_of_any_layout(changed: str):
    x, t = normal(300).numpy(), normal(20, seed=1).numpy()
    if changed == "reversed":
        x, t = x[::-1], t[:, ::-1]
    elif changed == "big-endian":
        x, t = x.astype(">f8"), t.astype(">f4")
    elif changed == "a span of 2e12":
        x, t = (1e12 * x).round(), (1e12 * t).round()
    else:
        x, t = 1e30 * x, 1e30 * t
    y = np.arange(len(x)) % 9
    nearest = RunningNearest(t)
    nearest.update(x, y.tolist())
    expected = ((t.astype(float)[:, None] - x.astype(float)) ** 2).sum(2).argmin(1)
    assert nearest.indices.tolist() == expected.tolist()
    assert nearest.labels.tolist() == y[expected].tolist()
    assert (NearestNeighbor().fit(x, y).predict(t) == y[expected]).all()
