"""The spread of a score over trainings that differ in their seed."""

from typing import Any

import pytest

from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.read import read_results
from gan_eval.report.seeds import over_seeds
from gan_eval.report.tables import comparison


@pytest.fixture
def of_seed(classified: Any) -> Any:
    """Return the maker of the record of a training from a seed."""

    def make(seed: int, error: float, steps: int = 100, **changed: Any) -> Any:
        run = {"run": f"seed-{seed}", "preset": "radford2015-svhn", "trained_on": "svhn",
               "trained_split": "train", "seed": seed, "steps": steps}  # fmt: skip
        config = {"trained": run, "data": {"name": "svhn"}, "features": {"weights_sha256": error}}
        return classified(config=config, result={"error_mean": error}, **changed)

    return make


def test_mean_and_spread_of_the_trainings(of_seed):
    frame = over_seeds([of_seed(0, 0.2), of_seed(2, 0.26), of_seed(1, 0.23)])
    (row,) = frame.to_dict("records")
    assert row["seeds"] == "0, 1, 2"
    assert row["error_mean"] == pytest.approx(0.23)
    assert row["error_std"] == pytest.approx(0.03)  # of three, from their mean
    assert (row["lowest_error"], row["highest_error"]) == (0.2, 0.26)
    assert "radford2015-svhn trained on svhn, 100 steps" in row["of"]


@pytest.mark.parametrize(
    "other",
    [
        {"steps": 200},
        {"protocol": {"name": "paper-cifar10", "version": 1}},
        {"fingerprints": {"test": "another", "weights": "w"}},
        {"quick": True},
        {"deviations": ("latent_dim 4 instead of 100",)},
    ],
)
def test_what_differs_in_more_than_the_seed_is_no_repetition(of_seed, other):
    assert over_seeds([of_seed(0, 0.2), of_seed(1, 0.23, **other)]) is None


def test_one_seed_measured_twice_has_no_spread(of_seed):
    assert over_seeds([of_seed(0, 0.2), of_seed(0, 0.21)]) is None


def test_what_was_not_measured_has_no_spread(of_seed):
    assert over_seeds([of_seed(0, None), of_seed(1, None)]) is None
    assert over_seeds([of_seed(0, 0.2), of_seed(1, None)]) is None


def test_records_that_say_little_of_themselves_have_a_spread_too(classified):
    few = [
        classified(config={"trained": {"seed": seed}}, protocol={}, result={"error_mean": error})
        for seed, error in enumerate((0.2, 0.4))
    ]
    (row,) = over_seeds(few).to_dict("records")
    assert row["error_mean"] == pytest.approx(0.3)


def test_untrained_features_have_no_seeds(classified):
    assert over_seeds([classified("pixels"), classified("kmeans")]) is None


def test_what_was_measured_from_several_seeds_stands_by_seed_and_says_so(results, classified):
    figure = next(each for each in EXHIBITS if each.folder == "figure_6_forget")
    records = [
        classified(exhibit="dropout", seed=seed, result={"still": 0.1, "shown": 50})
        for seed in (2, 0, 1)
    ]
    section = read_results(results(figure_6_forget=records)).sections["figure_6_forget"]
    lines = [line for line in comparison(figure, section) if line.ours]
    ends = [line.of.removesuffix(" on svhn").split(", ")[-1] for line in lines]
    assert ends[1:] == ["seed 1", "seed 2"]
    assert "seed" not in ends[0]
