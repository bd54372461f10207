"""The primal space of an L2-SVM: rounded products and what is minimised without a pass over X."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gan_eval.probes import fit_l2_svm, l2_svm
from gan_eval.probes import primal as primal_module
from gan_eval.probes.design import Design
from gan_eval.probes.newton import Points, System
from gan_eval.probes.primal import PrimalSpace, _Deflated, _leading

N, D, CLASSES = 600, 100, 3


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Rows that lie far from zero, as features do, and vary little there."""
    monkeypatch.setattr(primal_module, "_RANK", 4)
    return 300 + torch.randn(N, D, generator=torch.Generator().manual_seed(0))


def test_small_eigenvalues_survive_rounding(rows: Tensor):
    design, exact = Design(rows, dtype=torch.float32), Design(rows, dtype=torch.float64)
    leading = _leading(design, 4)
    generator = torch.Generator().manual_seed(1)
    p = torch.randn(D + 1, CLASSES, generator=generator, dtype=torch.float64)
    basis = leading.basis.double()
    p = p - basis @ (basis.T @ p)
    active = (torch.rand(N, CLASSES, generator=generator) < 0.5).double()
    expected = exact.normal(p, active)

    def error(found: Tensor) -> float:
        outside = found - expected
        outside = outside - basis @ (basis.T @ outside)
        return float(outside.norm() / (expected - basis @ (basis.T @ expected)).norm())

    rounded = Design(rows.bfloat16(), dtype=torch.float64)
    assert error(_Deflated(design, leading)(p, active)) < 0.01
    assert error(rounded.normal(p, active)) > 0.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_polishing_lowers_the_objective_and_leaves_no_gradient_along_v(
    rows: Tensor, dtype: torch.dtype
):
    design = Design(rows, dtype=dtype)
    labels = torch.arange(N) % CLASSES
    signs = torch.where(labels[:, None] == torch.arange(CLASSES), 1.0, -1.0).double()
    cost = torch.full((CLASSES,), 0.01, dtype=torch.float64)
    space = PrimalSpace(design, cost)
    zeros = Points(torch.zeros(D + 1, CLASSES, dtype=torch.float64), torch.zeros_like(signs))

    def objective(at: Points) -> Tensor:
        slack = (1 - signs * at.margins).clamp_min(0)
        return 0.5 * at.coordinates.square().sum(0) + cost * slack.square().sum(0)

    def along(at: Points) -> Tensor:
        slack = (1 - signs * at.margins).clamp_min(0)
        gradient, _ = space.gradient(at, 2 * cost * signs * slack)
        return (space._leading.basis.double().T @ gradient).norm(dim=0)

    gradient, norm = space.gradient(zeros, 2 * cost * signs)
    active = torch.ones_like(signs)
    space.direction(System(zeros, gradient, signs, active, cost, goal=0.1 * norm))
    found = space.polish(zeros, signs, cost)
    assert (objective(found) < 0.9 * objective(zeros)).all()
    assert (along(found) < 1e-3 * along(zeros)).all()
    torch.testing.assert_close(found.margins, design.margins(found.coordinates), rtol=0, atol=1e-3)


@pytest.mark.parametrize("memory", [2**40, 0])
def test_rounded_systems_lead_to_the_minimum(
    rows: Tensor, memory: int, monkeypatch: pytest.MonkeyPatch
):
    # With and without room for the rounded rows; most directions lie outside V.
    monkeypatch.setattr(primal_module, "available_memory", lambda _: memory)
    x = rows - 297
    labels = (x @ torch.randn(D, CLASSES, generator=torch.Generator().manual_seed(2))).argmax(1)
    costs = [1e-3, 1e-2, 1e-1]
    known = fit_l2_svm(x.double(), labels, costs, tol=1e-10)
    for found, best in zip(fit_l2_svm(x, labels, costs), known, strict=True):
        assert found.converged
        torch.testing.assert_close(found.objective, best.objective, rtol=1e-6, atol=0)


def test_more_directions_are_taken_once_a_large_c_needs_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(primal_module, "_CHEAP", 1)
    widths = []

    class Watched(PrimalSpace):
        def __init__(self, design: Design, cost: Tensor) -> None:
            super().__init__(design, cost)
            widths.append(self._leading.seen.shape[1])

    monkeypatch.setattr(l2_svm, "PrimalSpace", Watched)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=generator) * torch.arange(1, D + 1) ** -0.5
    labels = torch.randint(CLASSES, (N,), generator=generator)
    costs = [1e-4, 1e-3, 1.0, 10.0]
    found = fit_l2_svm(x, labels, costs)
    assert widths == [10, D + 1]
    known = fit_l2_svm(x.double(), labels, costs, tol=1e-10)
    for ours, best in zip(found, known, strict=True):
        assert ours.converged
        torch.testing.assert_close(ours.objective, best.objective, rtol=1e-6, atol=0)


def test_without_columns_the_intercept_is_fitted():
    # y = 1 in three rows of eight: 2C (3 (1 - b) - 5 (1 + b)) = b.
    labels = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0])
    for model in fit_l2_svm(torch.empty(8, 0, dtype=torch.float64), labels, [0.5, 5.0]):
        expected = torch.tensor([[-4 * model.C / (1 + 16 * model.C)]], dtype=torch.float64)
        torch.testing.assert_close(model.weights, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("scale", "cost"), [(1e5, 1e6), (1e9, 1.0), (1e9, 1e-2)])
def test_rounding_that_drowns_the_identity_ends_in_a_model(scale: float, cost: float):
    x = np.random.default_rng(1).standard_normal((90, 20))
    labels = (x[:, 0] > 0).astype(np.int64)
    (model,) = fit_l2_svm(x * scale, labels, cost)
    assert (model.predict(x * scale).numpy() == labels).all()
