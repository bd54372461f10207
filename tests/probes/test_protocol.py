"""C is chosen on validation alone, draws are fair, and the test part stays shut until then."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.probes import liblinear
from gan_eval.probes.draws import FitDraws
from gan_eval.probes.l2_svm import LinearModel, fit_l2_svm
from gan_eval.probes.liblinear import fit_liblinear
from gan_eval.probes.protocol import C_GRID, PROTOCOLS, Protocol, choose_protocol
from gan_eval.probes.selection import (
    Choice,
    Labelled,
    SealedTest,
    check_labels,
    draw,
    evaluate,
    select,
)
from gan_eval.seeding import stream

LABELS = torch.tensor([0, 1, 2] * 20 + [0, 1])


def threshold(C: float) -> LinearModel:  # noqa: N803
    """A model of one feature that says 1 above `C`: what it errs on is seen at a glance."""
    none = torch.zeros(1, dtype=torch.float64)
    return LinearModel(
        C=C,
        classes=torch.tensor([0, 1]),
        weights=torch.tensor([[1.0], [-C]], dtype=torch.float64),
        objective=none,
        gap=none,
        n_iter=1,
        converged=True,
    )


def solve(
    x: object,
    labels: Tensor,
    draws: list[Tensor] | None,
    C: list[float],  # noqa: N803
) -> list[list[LinearModel]]:
    return [[threshold(value) for value in C] for _ in draws or [None]]


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def digits() -> tuple[Tensor, Tensor]:
    x, labels = load_digits(return_X_y=True)
    return torch.from_numpy(x / 8 - 1).float(), torch.from_numpy(labels)


class TestProtocols:
    def test_the_authors_grid_is_everywhere_the_default(self):
        assert C_GRID == (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
        assert {protocol.c_grid for protocol in PROTOCOLS.values()} == {C_GRID}

    def test_the_authors_draws(self):
        svhn = PROTOCOLS["authors-svhn"]
        assert (svhn.labels_per_class, svhn.selection_draws, svhn.test_draws) == (100, 10, 100)
        assert svhn.refit == "train"

    @pytest.mark.parametrize(("n", "held_out"), [(73257, 10_000), (50_000, 10_000), (1437, 287)])
    def test_last_10_000_or_a_fifth_is_held_out(self, n: int, held_out: int):
        assert PROTOCOLS["authors-svhn"].held_out_of(n) == held_out

    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ({}, "paper-cifar10"),
            ({"labels_per_class": 100, "draws": 100}, "authors-svhn"),
            ({"labels_per_class": 10}, "authors-svhn, 10 labels per class"),
            ({"name": "authors-svhn", "draws": 3}, "authors-svhn, 3 draws"),
            ({"name": "paper-cifar10-400", "labels_per_class": 400}, "paper-cifar10-400"),
            ({"c_grid": [1e-3, 1.0]}, "paper-cifar10, C of 0.001 1"),
        ],
    )
    def test_a_name_is_a_protocol(self, given: dict, name: str):
        assert choose_protocol(**given).name == name

    def test_the_seed_is_the_users_and_not_in_the_name(self):
        assert choose_protocol("authors-svhn", seed=3) == replace(PROTOCOLS["authors-svhn"], seed=3)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"name": "author-svhn"}, "Did you mean 'authors-svhn'"),
            ({"draws": 5}, "Got 5; pass --labels-per-class too"),
            ({"c_grid": []}, "c_grid must be positive, finite and increasing. Got nothing"),
            (
                {"c_grid": [0.0, 1.0]},
                "c_grid must be positive, finite and increasing. Got 0.0, 1.0",
            ),
            ({"c_grid": [1.0, 1.0]}, "c_grid must be positive, finite and increasing"),
            ({"labels_per_class": 0}, "labels_per_class must be at least 1. Got 0"),
            ({"labels_per_class": 1, "draws": 0}, "test_draws must be at least 1. Got 0"),
        ],
    )
    def test_what_is_refused(self, given: dict, message: str):
        with pytest.raises(InputError, match=message):
            choose_protocol(**given)


class TestDraw:
    def test_is_balanced_and_without_replacement(self):
        rows = draw(LABELS, 7, stream(0, "a"))
        assert LABELS[rows].bincount().tolist() == [7, 7, 7]
        assert len(set(rows.tolist())) == 21
        assert rows.tolist() == sorted(rows.tolist())

    def test_all_of_the_smallest_class_can_be_drawn(self):
        assert (LABELS[draw(LABELS, 20, stream(0, "a"))] == 2).sum() == 20

    def test_is_the_seeds_and_each_draw_is_another(self):
        first, again, other = (draw(LABELS, 7, stream(0, "a", i)).tolist() for i in (0, 0, 1))
        assert first == again
        assert first != other

    def test_every_image_is_as_likely(self):
        counts = torch.zeros(len(LABELS))
        for number in range(2000):
            counts[draw(LABELS, 5, stream(0, "a", number))] += 1
        # Binomial of 2,000 and 5 / 21 or 5 / 20: within five standard deviations.
        share = 5 / LABELS.bincount()[LABELS]
        spread = (2000 * share * (1 - share)).sqrt()
        assert ((counts - 2000 * share).abs() < 5 * spread).all()

    def test_too_many_names_the_smallest_class(self):
        message = (
            r"`labels_per_class` must be at most the smallest class \(20 images of class 2\)\. "
            r"Got 21; pass `--labels-per-class 20`\."
        )
        with pytest.raises(InputError, match=message):
            draw(LABELS, 21, stream(0, "a"))

    def test_one_class_is_refused(self):
        with pytest.raises(InputError, match=r"at least 2 classes\. Got 1; pass other --data"):
            check_labels(torch.zeros(9, dtype=torch.int64), None)


class TestSelection:
    TRAIN = Labelled(column(0, 1), torch.tensor([0, 1]))
    ALL = Protocol(name="x", c_grid=(0.5, 1.5, 2.5, 3.5))

    def test_takes_what_errs_least_on_validation(self):
        # Above 2.5 the label is 1, whatever the training part says.
        validation = Labelled(column(1, 2, 3, 4), torch.tensor([0, 0, 1, 1]))
        choice = select(self.TRAIN, validation, self.ALL, solve)
        assert (choice.C, choice.error, choice.edge) == (2.5, 0.0, None)
        assert choice.errors == ((0.5, 0.25, 0.0, 0.25),)
        assert choice.stds == (0.0, 0.0, 0.0, 0.0)

    def test_of_equals_the_smallest(self):
        validation = Labelled(column(1, 4), torch.tensor([0, 1]))
        assert select(self.TRAIN, validation, self.ALL, solve).C == 1.5

    @pytest.mark.parametrize(
        ("labels", "edge"), [([1, 1, 1, 1], "lowest"), ([0, 0, 0, 1], "highest")]
    )
    def test_says_when_it_ends_at_the_edge(self, labels: list[int], edge: str):
        validation = Labelled(column(1, 2, 3, 4), torch.tensor(labels))
        assert select(self.TRAIN, validation, self.ALL, solve).edge == edge

    def test_the_least_of_equals_is_no_edge(self):
        validation = Labelled(column(4, 5), torch.tensor([1, 1]))
        choice = select(self.TRAIN, validation, self.ALL, solve)
        assert (choice.C, choice.edge) == (0.5, None)

    def test_one_value_has_no_edge(self):
        one = replace(self.ALL, c_grid=(1.5,))
        validation = Labelled(column(1, 4), torch.tensor([0, 1]))
        assert select(self.TRAIN, validation, one, solve).edge is None

    def test_draws_are_fresh_after_the_choice(self):
        seen = []

        def watching(x, labels, draws, C):  # noqa: N803
            seen.extend((tuple(rows.tolist()), tuple(C)) for rows in draws)
            return solve(x, labels, draws, C)

        n = 400
        data = Labelled(np.arange(n, dtype=np.float16)[:, None], torch.arange(n) % 2)
        protocol = Protocol(
            name="x", c_grid=(0.5, 1.5), labels_per_class=3, selection_draws=3, test_draws=4
        )
        choice = select(data, data, protocol, watching)
        result = evaluate(data, SealedTest(lambda: data), choice, protocol, watching)
        assert [grid for _, grid in seen] == 3 * [(0.5, 1.5)] + 4 * [(choice.C,)]
        assert len({rows for rows, _ in seen}) == 7
        assert len(result.errors) == 4

    def test_a_seed_has_draws_of_its_own(self):
        data = Labelled(column(*range(40)), torch.arange(40) % 2)

        def drawn(seed: int) -> list[list[int]]:
            seen = []

            def watching(x, labels, draws, C):  # noqa: N803
                seen.extend(rows.tolist() for rows in draws)
                return solve(x, labels, draws, C)

            select(data, data, Protocol(name="x", labels_per_class=5, seed=seed), watching)
            return seen

        assert drawn(0) == drawn(0) != drawn(1)


class TestEvaluation:
    PROTOCOL = Protocol(name="x", labels_per_class=1, selection_draws=1, test_draws=5)
    CHOICE = Choice(C=2.5, c_grid=(2.5,), errors=((0.25,),), edge=None, converged=True, seconds=0.0)
    TRAIN = Labelled(column(1, 3, 4, 2), torch.tensor([0, 1, 1, 1]))

    def test_closed_form(self):
        test = Labelled(column(1, 2, 3, 4, 5), torch.tensor([0, 1, 0, 1, 1]))
        every = replace(self.PROTOCOL, labels_per_class=None, test_draws=1)
        result = evaluate(self.TRAIN, SealedTest(lambda: test), self.CHOICE, every, solve)
        assert result.errors == (0.4,)
        assert result.train_error == 0.25
        assert result.confusion.tolist() == [[1, 1], [1, 2]]
        assert result.error_std == 0.0

    def test_confusion_sums_over_draws_and_knows_classes_that_were_not_trained(self):
        test = Labelled(column(1, 4, 5), torch.tensor([0, 1, 2]))
        result = evaluate(self.TRAIN, SealedTest(lambda: test), self.CHOICE, self.PROTOCOL, solve)
        assert result.confusion.tolist() == [[5, 0, 0], [0, 5, 0], [0, 5, 0]]

    def test_dispersion_is_the_authors(self):
        x, labels = digits()
        protocol = Protocol(name="x", labels_per_class=5, test_draws=6, c_grid=(1e-2,))
        train, test = Labelled(x, labels).split(1400)
        choice = select(train, test, protocol, FitDraws())
        result = evaluate(train, SealedTest(lambda: test), choice, protocol, FitDraws())
        assert math.isclose(result.error_std, np.std(result.errors), rel_tol=1e-12)
        assert math.isclose(result.error_mean, np.mean(result.errors), rel_tol=1e-12)
        off = result.confusion.sum() - result.confusion.trace()
        assert off == round(sum(result.errors) * len(test.labels))

    def test_many_models_are_read_in_groups_without_a_difference(self, monkeypatch):
        x, labels = digits()
        train, test = Labelled(x, labels).split(1400)
        protocol = Protocol(name="x", labels_per_class=3, test_draws=7, c_grid=(1e-2,))
        choice = select(train, test, protocol, FitDraws())
        together = evaluate(train, SealedTest(lambda: test), choice, protocol, FitDraws())
        monkeypatch.setattr("gan_eval.probes.selection._COLUMNS", 20)
        apart = evaluate(train, SealedTest(lambda: test), choice, protocol, FitDraws())
        assert together.errors == apart.errors


class TestSeal:
    def test_opens_to_a_choice_alone(self):
        opened = []
        test = SealedTest(lambda: opened.append(1))
        for key in (None, 1e-3, Protocol(name="x")):
            with pytest.raises(TypeError, match="test data open to the Choice"):
                test.open(key)
        assert opened == []
        test.open(TestEvaluation.CHOICE)
        assert opened == [1]

    def test_is_shut_while_c_is_chosen(self):
        order = []

        def watching(x, labels, draws, C):  # noqa: N803
            order.append(f"fit {len(draws)} x {len(C)}")
            return solve(x, labels, draws, C)

        def opener() -> Labelled:
            order.append("test")
            return data

        data = Labelled(column(0, 1, 2, 3), torch.tensor([0, 1, 0, 1]))
        protocol = Protocol(
            name="x", c_grid=(0.5, 1.5), labels_per_class=2, selection_draws=2, test_draws=2
        )
        sealed = SealedTest(opener)
        choice = select(data, data, protocol, watching)
        evaluate(data, sealed, choice, protocol, watching)
        assert order == ["fit 2 x 2", "test", "fit 2 x 1"]


class TestLiblinear:
    @pytest.mark.parametrize("n", [50, 1400])  # fewer rows than columns and more
    def test_agrees_with_newton(self, n: int):
        x, labels = digits()
        grid = [1e-3, 1e-1]
        theirs = fit_liblinear(x[:n], labels[:n], grid)
        ours = fit_l2_svm(x[:n], labels[:n], grid)
        for reference, model in zip(theirs, ours, strict=True):
            assert reference.converged
            same = (reference.predict(x) == model.predict(x)).double().mean()
            assert same >= 0.999
            assert (model.objective <= reference.objective * (1 + 1e-5)).all()
            # What the certificate is for: the minimum is nowhere below objective minus gap, but
            # for the rounding of the other objective, which is float32's.
            assert (reference.objective - reference.gap <= model.objective * (1 + 1e-6)).all()

    def test_two_classes_are_one_column(self):
        x, labels = digits()
        x, labels = x[labels < 2], labels[labels < 2]
        (model,) = fit_liblinear(x, labels, [1e-2])
        (ours,) = fit_l2_svm(x, labels, [1e-2])
        assert model.weights.shape == (65, 1)
        assert torch.allclose(model.weights, ours.weights, atol=1e-3)

    def test_says_when_it_did_not_converge(self):
        x, labels = digits()
        (model,) = fit_liblinear(100 * x[:300], labels[:300], [1e4])
        assert not model.converged
        assert (model.gap > 0).all()

    def test_too_little_memory_is_said_before(self, monkeypatch):
        monkeypatch.setattr(liblinear, "available_memory", lambda: 10**6)
        x, labels = digits()
        message = r"liblinear needs 0.0 GiB of memory for 1,797 rows of 64 .* pass --solver newton"
        with pytest.raises(InputError, match=message):
            fit_liblinear(x, labels, [1.0])
