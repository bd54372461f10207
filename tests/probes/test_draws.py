"""Many draws at once are the same SVMs as one after another, whether they share a Gram matrix."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.probes import draws as module
from gan_eval.probes.design import Design
from gan_eval.probes.draws import FitDraws, draws_at_once
from gan_eval.probes.l2_svm import certify, fit_l2_svm, signs_of

GRID = (1e-3, 1e-1, 10.0)


def problem(n: int = 60, d: int = 100) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Rows far from zero, in half precision, of three classes; four draws of half of them."""
    random = torch.Generator().manual_seed(1)
    x = (3 + torch.randn(n, d, generator=random)).half()
    labels = torch.arange(n) % 3
    return x, labels, [torch.randperm(n, generator=random)[: n // 2] for _ in range(4)]


@pytest.fixture(params=["shared", "apart"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(module, "_worth_sharing", lambda *_: request.param == "shared")
    return str(request.param)


def test_each_draw_is_the_svm_of_its_rows(way: str):
    x, labels, draws = problem()
    for rows, models in zip(draws, FitDraws()(x, labels, draws, GRID), strict=True):
        alone = fit_l2_svm(x[rows].double(), labels[rows], GRID, tol=1e-12)
        for model, known in zip(models, alone, strict=True):
            assert model.converged
            assert model.C == known.C
            assert ((model.objective / known.objective - 1).abs() <= 1e-6).all()
            assert torch.allclose(model.weights, known.weights, atol=2e-3)


def test_the_certificate_holds_for_the_weights(way: str):
    x, labels, draws = problem()
    for rows, models in zip(draws, FitDraws()(x, labels, draws, GRID), strict=True):
        _, signs = signs_of(labels[rows])
        for model in models:
            cost = torch.full_like(model.objective, model.C)
            objective, gap = certify(Design(x[rows].double()), model.weights, signs, cost)
            assert torch.allclose(objective, model.objective, rtol=1e-6)
            assert (gap <= 2e-6 * objective).all()


@pytest.mark.parametrize(("room", "threads"), [(2**40, 1), (1, 4)])
def test_draws_share_the_cores_and_one_alone_has_them_all(room, threads, monkeypatch):
    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(module, "available_memory", lambda device: room)
    monkeypatch.setattr(module, "_worth_sharing", lambda *_: False)

    def watched(*given, **options):
        seen.append(torch.get_num_threads())
        return fit_l2_svm(*given, **options)

    monkeypatch.setattr(module, "fit_l2_svm", watched)
    x, labels = torch.randn(8, 3), torch.tensor([0, 1] * 4)
    torch.set_num_threads(4)
    try:
        FitDraws()(x, labels, [torch.arange(4), torch.arange(4, 8)], [1.0])
    finally:
        torch.set_num_threads(before)
    assert seen == [threads] * 2


def test_no_more_draws_are_fitted_at_once_than_memory_holds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_cores", lambda device: 4)
    many, whole = draws_at_once(30, 100, 3)
    assert (many, whole % 4) == (4, 0)
    assert whole // 4 > 4 * 30 * 100
    monkeypatch.setattr(module, "available_memory", lambda device: whole // 2)
    assert draws_at_once(30, 100, 3) == (2, whole // 2)
    threads = torch.get_num_threads()
    x, labels, draws = problem()
    monkeypatch.setattr(module, "_worth_sharing", lambda *_: False)
    assert len(FitDraws()(x, labels, draws, GRID)) == 4
    assert torch.get_num_threads() == threads


def test_costs_come_back_in_the_order_that_they_were_given(way: str):
    x, labels, draws = problem()
    grid = (1.0, 1e-2, 1.0)
    assert [model.C for model in FitDraws()(x, labels, draws, grid)[2]] == list(grid)


def test_a_draw_may_lack_a_class(way: str):
    x, labels, _ = problem()
    two, three = (labels < 2).nonzero().flatten(), torch.arange(30)
    (first,), (second,) = FitDraws()(x, labels, [two, three], [1e-2])
    assert first.weights.shape == (101, 1)
    assert second.weights.shape == (101, 3)
    assert first.predict(x[two]).unique().tolist() == [0, 1]


def test_a_memory_map_gives_the_same(tmp_path, way: str):
    x, labels, draws = problem()
    np.save(tmp_path / "x.npy", x.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for here, there in zip(
        FitDraws()(x, labels, draws, [0.1]), FitDraws()(mapped, labels, draws, [0.1]), strict=True
    ):
        assert torch.equal(here[0].weights, there[0].weights)


def test_threads_are_given_back(way: str):
    x, labels, draws = problem()
    before = torch.get_num_threads()
    FitDraws()(x, labels, draws, [1.0])
    assert torch.get_num_threads() == before


def test_progress_counts_draws(way: str):
    x, labels, draws = problem()
    told: list[int] = []
    FitDraws()(x, labels, draws, [1.0], progress=told.append)
    assert told == [1, 2, 3, 4]


@pytest.mark.parametrize("shared", [True, False])
def test_what_is_refused(monkeypatch, shared: bool):
    monkeypatch.setattr(module, "_worth_sharing", lambda *_: shared)
    x, labels, draws = problem()
    with pytest.raises(InputError, match=r"C must be positive and finite\. Got 0"):
        FitDraws()(x, labels, draws, [0])
    with pytest.raises(InputError, match="labels must be of at least 2 classes"):
        FitDraws()(x, labels, [torch.tensor([0, 3])], [1.0])


@pytest.mark.parametrize(
    ("n", "d", "draws", "shared"),
    [
        (60, 100, 2, True),  # two draws of half: 60² is twice 2 x 30²
        (60, 100, 1, False),
        (60, 50, 4, False),  # more rows than columns
    ],
)
def test_the_gram_matrix_is_shared_where_that_pays(n: int, d: int, draws: int, shared: bool):
    rows = [torch.arange(n // 2)] * draws
    assert module._worth_sharing(torch.zeros(n, d), rows, "cpu") is shared


def test_the_gram_matrix_is_kept_for_the_same_rows_only(monkeypatch):
    monkeypatch.setattr(module, "_worth_sharing", lambda *_: True)
    x, labels, draws = problem()
    made = []
    gram = module.Design.gram
    monkeypatch.setattr(module.Design, "gram", lambda design: made.append(1) or gram(design))
    fit = FitDraws()
    first, again = (fit(x, labels, draws[:2], [cost]) for cost in (1.0, 0.1))
    assert made == [1]
    alone = FitDraws()(x, labels, draws[:1], [0.1])
    torch.testing.assert_close(again[0][0].weights, alone[0][0].weights)
    other = fit(-x, labels, draws[:1], [1.0])
    torch.testing.assert_close(other[0][0].weights[:-1], -first[0][0].weights[:-1])
    assert len(made) == 3


def test_other_labels_of_the_same_rows_are_learned_anew(way: str):
    x, labels, draws = problem()
    others, fit = 2 - labels, FitDraws()
    fit(x, labels, draws[:1], [0.1])
    again, alone = (each(x, others, draws[:1], [0.1])[0][0] for each in (fit, FitDraws()))
    torch.testing.assert_close(again.weights, alone.weights)
