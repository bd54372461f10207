"""The L2-SVM against scikit-learn's LinearSVC, closed forms and its own certificate."""

import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, SkipTestWarning
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from gan_eval.errors import InputError
from gan_eval.probes import L2SVM, fit_l2_svm
from gan_eval.probes import design as design_module
from gan_eval.probes import gram as gram_module
from gan_eval.probes import primal as primal_module
from gan_eval.probes.design import Design
from gan_eval.probes.gram import GramSpace
from gan_eval.probes.l2_svm import check_memory, predictions
from gan_eval.probes.newton import Points, minimise
from gan_eval.probes.primal import PrimalSpace

Array = NDArray[np.float64]
COSTS = (1e-5, 1e-3, 1e-1, 1.0, 1e2)

# rows, columns, classes
SHAPES = {
    "wide": (60, 200, 4),
    "tall": (400, 20, 4),
    "square": (100, 100, 3),
    "hardly tall": (145, 100, 3),  # the last that is solved in the Gram matrix has 151 rows
    "separable": (80, 100, 3),
    "unbalanced": (300, 15, 3),
    "duplicates": (200, 30, 3),
    "duplicates, wide": (60, 80, 3),
    "constants": (150, 25, 3),
    "badly scaled": (300, 40, 3),
    "far from zero": (500, 30, 3),
}


def problem(kind: str, seed: int = 0) -> tuple[Array, NDArray[np.int64], Array]:
    """Return training rows, labels, and rows that were held out."""
    n, d, k = SHAPES[kind]
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2 * n, d))
    noise = 0 if kind == "separable" else 2
    y = (x @ rng.normal(size=(d, k)) + noise * rng.normal(size=(2 * n, k))).argmax(1)
    if kind == "unbalanced":
        y = np.where(rng.random(2 * n) < 0.03, 1, np.where(rng.random(2 * n) < 0.02, 2, 0))
        y[:3] = [0, 1, 2]
    if kind.startswith("duplicates"):
        x[:n] = np.repeat(x[: n // 4], 4, 0)
    if kind == "constants":
        x[:, :5], x[:, 5] = 3.0, 0.0
    if kind == "badly scaled":
        x *= 10.0 ** rng.uniform(-3, 2, size=d)
    if kind == "far from zero":
        x = x * 5 + 20
    return x[:n], y[:n], x[n:]


def objective(x: Array, sign: Array, w: Array, b: float, cost: float) -> float:
    """Return LIBLINEAR's primal objective, written out."""
    slack = np.maximum(0, 1 - sign * (x @ w + b))
    return float(0.5 * (w @ w + b * b) + cost * (slack @ slack))


@pytest.mark.parametrize(("kind", "cost"), list(product(SHAPES, COSTS)))
def test_it_is_what_liblinear_minimises(kind: str, cost: float):
    x, y, held_out = problem(kind)
    reference = LinearSVC(C=cost, tol=1e-10, max_iter=10**6, dual=False).fit(x, y)
    ours = L2SVM(C=cost, tol=1e-9).fit(x, y)
    for j, label in enumerate(ours.classes_):
        sign = np.where(y == label, 1.0, -1.0)
        reached = objective(x, sign, ours.coef_[j], ours.intercept_[j], cost)
        known = objective(x, sign, reference.coef_[j], reference.intercept_[j], cost)
        assert reached == pytest.approx(known, rel=1e-6)
        assert reached <= known * (1 + 1e-9)
        assert ours.objective_[j] == pytest.approx(reached, rel=1e-9)
    assert (ours.predict(held_out) == reference.predict(held_out)).mean() >= 0.999


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["wide", "tall", "far from zero"])
@pytest.mark.parametrize("cost", [1e-3, 1e2])
def test_lower_precision_is_solved_as_the_matrix_it_holds(
    kind: str, cost: float, dtype: torch.dtype
):
    x, y, _ = problem(kind)
    rounded = torch.from_numpy(x).to(dtype)
    (low,) = fit_l2_svm(rounded, torch.from_numpy(y), [cost])
    (high,) = fit_l2_svm(rounded.double(), torch.from_numpy(y), [cost], tol=1e-10)
    assert low.converged
    torch.testing.assert_close(low.objective, high.objective, rtol=1e-6, atol=0)


def test_two_classes_have_one_column_as_in_scikit_learn():
    x, y, held_out = problem("tall")
    y = np.where(y == 0, 7, -7)
    ours, reference = L2SVM(C=0.1).fit(x, y), LinearSVC(C=0.1, tol=1e-8, dual=False).fit(x, y)
    np.testing.assert_allclose(ours.coef_, reference.coef_, rtol=1e-3, atol=1e-5)
    assert ours.coef_.shape == (1, 20)
    assert (ours.predict(held_out) == reference.predict(held_out)).all()


def test_one_row_of_each_class_has_a_closed_form():
    # x = 1, -1 with signs 1, -1: by symmetry b = 0, and w = 4C / (1 + 4C).
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    for cost in (0.01, 1.0, 100.0):
        (model,) = fit_l2_svm(x, torch.tensor([1, 0]), [cost], tol=1e-12)
        expected = torch.tensor([[4 * cost / (1 + 4 * cost)], [0.0]], dtype=torch.float64)
        torch.testing.assert_close(model.weights, expected, atol=1e-9, rtol=1e-9)


def test_both_spaces_find_the_same_minimum():
    x, y, _ = problem("square")
    signs = torch.where(torch.from_numpy(y)[:, None] == torch.arange(3), 1.0, -1.0).double()
    cost = torch.full((3,), 0.01, dtype=torch.float64)
    design = Design(x)
    gram, primal = GramSpace.of(design, ridge=0.0), PrimalSpace(design, cost)
    zeros = torch.zeros(100, 3, dtype=torch.float64)
    a = minimise(gram, gram.points(zeros.clone()), signs, cost, tol=1e-10, max_iter=50)
    start = Points(torch.zeros(101, 3, dtype=torch.float64), torch.zeros_like(zeros))
    b = minimise(primal, start, signs, cost, tol=1e-10, max_iter=50)
    torch.testing.assert_close(a.value, b.value, rtol=1e-9, atol=0)
    w = design.pull(a.points.coordinates)
    torch.testing.assert_close(w, b.points.coordinates, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["wide", "tall"])
def test_a_poor_preconditioner_costs_steps_and_no_accuracy(
    kind: str, monkeypatch: pytest.MonkeyPatch
):
    x, y, _ = problem(kind)
    labels = torch.from_numpy(y)
    (known,) = fit_l2_svm(x, labels, [1.0], tol=1e-10)
    monkeypatch.setattr(gram_module, "_RANK", 1)
    monkeypatch.setattr(primal_module, "_RANK", 1)
    (found,) = fit_l2_svm(x, labels, [1.0], tol=1e-10)
    torch.testing.assert_close(found.objective, known.objective, rtol=1e-9, atol=0)


@pytest.mark.parametrize("kind", ["wide", "tall"])
def test_the_gap_bounds_the_distance_to_the_minimum(kind: str):
    x, y, _ = problem(kind)
    labels = torch.from_numpy(y)
    (best,) = fit_l2_svm(x, labels, [1.0], tol=1e-13)
    for tol in (1e-1, 1e-2, 1e-4):
        (model,) = fit_l2_svm(x, labels, [1.0], tol=tol)
        above = model.objective - best.objective
        assert (above <= model.gap + 1e-12 * best.objective).all()
        assert (model.gap <= tol * model.objective).all()


def test_a_path_gives_what_each_c_gives_alone_in_the_order_asked():
    x, y, _ = problem("wide")
    labels = torch.from_numpy(y)
    costs = [1.0, 1e-3, 1e-1]
    for cost, model in zip(costs, fit_l2_svm(x, labels, costs), strict=True):
        (alone,) = fit_l2_svm(x, labels, [cost])
        assert cost == model.C
        torch.testing.assert_close(model.objective, alone.objective, rtol=2e-6, atol=0)


def test_a_memory_map_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    x, y, held_out = problem("tall")
    np.save(tmp_path / "x.npy", x.astype(np.float16))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    labels = torch.from_numpy(y)
    (whole,) = fit_l2_svm(torch.from_numpy(np.array(mapped)), labels, [0.1])
    monkeypatch.setattr("gan_eval.probes.design._BLOCK_BYTES", 4 * 20 * 7)
    (blocked,) = fit_l2_svm(mapped, labels, [0.1])
    torch.testing.assert_close(blocked.weights, whole.weights, rtol=1e-3, atol=1e-5)
    assert (blocked.predict(held_out) == whole.predict(held_out)).all()


def test_gram_in_blocks_is_the_gram_matrix():
    x = np.random.default_rng(0).normal(size=(50, 9))
    torch.testing.assert_close(Design(x).gram(), torch.from_numpy(x @ x.T + 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize(("m", "inner", "k"), [(40, 30, 3), (3, 30, 40), (30, 30, 30), (1, 5, 1)])
def test_products_of_every_layout_are_products(monkeypatch, m, inner, k, onednn, dtype):
    monkeypatch.setattr(design_module, "_ONEDNN", onednn and design_module._ONEDNN)
    random = np.random.default_rng(0)
    a, b = random.normal(size=(m, inner)), random.normal(size=(inner, k))
    wide = np.zeros((2 * m, 2 * inner))
    wide[::2, ::2] = a
    left = torch.from_numpy(wide).to(dtype)[::2, ::2]
    right = torch.from_numpy(b).to(dtype)
    for x in (left, left.contiguous(), left.T.contiguous().T):
        for y in (right, right.T.contiguous().T):
            found = design_module.product(x, y)
            assert found.dtype == dtype
            torch.testing.assert_close(
                found.double(), torch.from_numpy(a @ b), rtol=1e-5, atol=1e-5
            )


def test_a_ridge_that_hides_rounding_lets_the_gram_matrix_be_rounded(monkeypatch):
    monkeypatch.setattr(Design, "rounds", True)  # any processor computes it, though slowly
    monkeypatch.setattr(design_module, "_COLUMNS", 7)
    x = torch.randn(50, 20, generator=torch.Generator().manual_seed(0)) + 3
    exact = (x.double() @ x.double().T + 1).float()
    energy = float((x - x.mean(0)).square().sum(1).mean())
    torch.testing.assert_close(Design(x).gram(0.06 * energy), exact, rtol=1e-5, atol=0)
    rounded = Design(x).gram(0.07 * energy)
    assert 1e-4 * energy < torch.linalg.matrix_norm(rounded - exact, 2) < 0.06 * energy
    assert torch.equal(rounded, rounded.T)


def test_several_models_say_together_what_each_says_alone():
    x, y, held_out = problem("tall")
    models = fit_l2_svm(x, torch.from_numpy(y), [1e-5, 1e-1])
    together = predictions(models, held_out)
    assert [said.tolist() for said in together] == [
        model.predict(held_out).tolist() for model in models
    ]
    assert not together[0].equal(together[1])


def test_what_it_needs_is_said_before_it_starts(monkeypatch: pytest.MonkeyPatch):
    assert check_memory(5000, 28672, 10, 4) > 5000**2 * 4
    assert check_memory(50_000, 28_672, 10, 4) < 4 * 2**30
    monkeypatch.setattr("gan_eval.probes.l2_svm.available_memory", lambda *_: 2**30)
    with pytest.raises(
        InputError, match=r"20,000 rows, 28,672 features and 10 classes needs .*GiB"
    ):
        check_memory(20_000, 28_672, 10, 4)


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan")])
def test_c_must_be_positive(cost: float):
    with pytest.raises(InputError, match=r"C must be positive and finite\. Got"):
        fit_l2_svm(torch.eye(2), torch.tensor([0, 1]), [cost])


def test_limits_and_c_must_be_numbers_that_mean_something():
    x, y, _ = problem("square")
    for given, match in (
        ({"C": "1"}, r"C must be positive and finite\. Got '1'"),
        ({"C": None}, r"C must be positive and finite\. Got None"),
        ({"tol": -1.0}, r"tol must be positive and finite\. Got -1\.0"),
        ({"max_iter": 2.5}, r"max_iter must be a whole number from 1\. Got 2\.5"),
        ({"max_iter": 0}, r"max_iter must be a whole number from 1\. Got 0"),
    ):
        with pytest.raises(InputError, match=match):
            L2SVM(**given).fit(x, y)


@pytest.mark.parametrize(
    ("scale", "kind", "cost"),
    [(1e3, np.float32, 1.0), (1e3, np.float16, 1.0), (1e8, np.float64, 1.0), (3, np.float32, 1e6)],
)
def test_values_so_large_that_rounding_drowns_the_penalty_are_fitted(scale, kind, cost):
    x, y, _ = problem("tall")
    x = (x * scale).astype(kind)
    ours = L2SVM(C=cost).fit(x, y)
    assert ours.converged_
    wide = x.astype(float)
    reference = LinearSVC(C=cost, dual=False, tol=1e-8, max_iter=100_000).fit(wide, y)
    for column, label in enumerate(reference.classes_):
        sign, weights = np.where(y == label, 1.0, -1.0), reference.coef_[column]
        theirs = objective(wide, sign, weights, reference.intercept_[column], cost)
        assert ours.objective_[column] <= theirs * (1 + 1e-6)


def test_what_float32_cannot_certify_shares_one_matrix_in_float64(monkeypatch):
    x, y, _ = problem("hardly tall")
    given = torch.from_numpy(x * 1e3).float(), torch.from_numpy(y)
    taken, of = [], GramSpace.of

    def counted(design: Design, ridge: float) -> GramSpace:
        taken.append(design.dtype)
        return of(design, ridge)

    monkeypatch.setattr(GramSpace, "of", counted)
    models = fit_l2_svm(*given, [0.1, 1.0])
    assert all(model.converged for model in models)
    assert taken == [torch.float32, torch.float64]
    wanted = check_memory(*x.shape, 3, 4)
    monkeypatch.setattr("gan_eval.probes.l2_svm.available_memory", lambda device: wanted)
    with pytest.raises(InputError, match=r"GiB of memory. .* are free"):
        fit_l2_svm(*given, [1.0])  # enough for float32 only


def test_one_precision_alone_may_take_all_steps():
    digits = load_digits()
    ours = L2SVM(C=1e4).fit(digits.data, digits.target)
    assert ours.converged_
    assert ours.n_iter_ > 100  # the share of a precision that another follows
    with pytest.warns(ConvergenceWarning, match="in 20 Newton steps"):
        L2SVM(C=1e4, max_iter=20).fit(digits.data, digits.target)


def test_one_class_is_no_problem_to_solve():
    with pytest.raises(InputError, match=r"at least 2 classes. Got 1 class"):
        fit_l2_svm(torch.eye(2), torch.tensor([3, 3]), [1.0])


def test_too_few_steps_are_said():
    x, y, _ = problem("square")
    with pytest.warns(ConvergenceWarning, match="did not reach tol=1e-06 in 1 Newton steps"):
        model = L2SVM(C=1.0, max_iter=1).fit(x, y)
    assert not model.converged_


# What scikit-learn cannot check here it says by a warning.
@pytest.mark.filterwarnings(f"ignore::{SkipTestWarning.__module__}.{SkipTestWarning.__name__}")
@parametrize_with_checks([L2SVM()])
def test_it_is_a_scikit_learn_estimator(estimator: L2SVM, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["wide", "tall"])
def test_a_gpu_finds_the_same(kind: str):
    x, y, _ = problem(kind)
    labels = torch.from_numpy(y)
    (cpu,) = fit_l2_svm(x, labels, [1e-2])
    (gpu,) = fit_l2_svm(torch.from_numpy(x).cuda(), labels, [1e-2], device="cuda")
    torch.testing.assert_close(gpu.objective.cpu(), cpu.objective, rtol=1e-6, atol=0)


@pytest.mark.parametrize("n", [100, 1000])
@pytest.mark.parametrize("cost", [1e-5, 1e-3])
def test_with_a_small_cost_the_solution_is_as_good_as_its_objective(n: int, cost: float):
    # Nearly all of the objective is then the loss of w = 0, and any w has nearly that.
    random = np.random.default_rng(2)
    x, y = 0.1 * random.standard_normal((n + 4000, 500)), random.integers(0, 3, n + 4000)
    reference = LinearSVC(C=cost, tol=1e-8, random_state=0, dual=n < 500).fit(x[:n], y[:n])
    ours = L2SVM(C=cost).fit(x[:n], y[:n])
    assert (ours.predict(x[n:]) == reference.predict(x[n:])).mean() >= 0.999
    assert ours.converged_


def test_half_precision_stays_and_is_solved_as_it_is():
    x, y, _ = problem("tall")
    half = x.astype(np.float16)
    ours, same = L2SVM(C=0.1).fit(half, y), L2SVM(C=0.1).fit(half.astype(float), y)
    np.testing.assert_allclose(ours.coef_, same.coef_, rtol=1e-2, atol=1e-4)
    assert ours.coef_.dtype == np.float32
    assert (ours.predict(half) == same.predict(half.astype(float))).all()


def test_no_more_steps_than_are_allowed():
    x, y, _ = problem("far from zero")
    with pytest.warns(ConvergenceWarning, match="did not reach"):
        assert L2SVM(C=100.0, tol=1e-12, max_iter=3).fit(x.astype(np.float32), y).n_iter_ <= 3


def test_what_is_wrong_with_the_arrays_is_said():
    x = np.eye(4)
    with pytest.raises(InputError, match=r"as many as X's rows, 4\. Got \(3,\)"):
        fit_l2_svm(x, np.array([0, 1, 0]), [1.0])
    x[1, 1] = np.nan
    with pytest.raises(InputError, match=r"must be of numbers\. Got <U1; number them, or take"):
        fit_l2_svm(torch.rand(4, 2), np.array([*"abab"]), [1.0])
    with pytest.raises(InputError, match="X must be finite"):
        fit_l2_svm(x, np.array([0, 1, 0, 1]), [1.0])
    (model,) = fit_l2_svm(np.eye(4)[::-1], np.array([0, 1, 0, 1]), [1.0])
    assert model.predict(np.eye(4)[::-1]).tolist() == [0, 1, 0, 1]
