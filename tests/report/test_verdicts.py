"""The rule of the page, case by case: what is compared with the paper, and what is not."""

import pytest

from gan_eval.report.exhibits import CLAIMS, EXHIBITS, Claim
from gan_eval.report.paper import PUBLISHED, Published
from gan_eval.report.read import Section
from gan_eval.report.tables import comparison
from gan_eval.report.verdicts import beside, claimed, judge

SVHN = next(each for each in PUBLISHED if each.exhibit == "table_2_svhn" and each.ours)
TABLE_2 = next(each for each in EXHIBITS if each.folder == "table_2_svhn")
ACCURACY = Published(exhibit="x", what="x", value=0.8, smaller_is_better=False, tolerance=0.005)


@pytest.mark.parametrize(
    ("ours", "spread", "verdict"),
    [
        (0.9, 0.0, "reached"),
        (0.795, 0.0, "reached"),  # half a point
        (0.79, 0.01, "reached"),  # 1.96 standard deviations
        (0.781, 0.0, "near"),  # a tenth of the error of 0.2
        (0.779, 0.0, "short"),
    ],
)
def test_an_accuracy_is_judged_by_its_error(ours, spread, verdict):
    assert judge(ACCURACY, ours, spread) == verdict


def test_a_bound_is_kept_or_not():
    bound = next(each for each in PUBLISHED if each.exhibit == "section_4_1_1_dedup" and each.ours)
    assert [judge(bound, rate, 0.0) for rate in (0.01, 0.0105, 0.012)] == [
        "reached", "near", "short",
    ]  # fmt: skip


def test_a_number_on_the_papers_terms_is_compared(classified):
    (line,) = beside(SVHN, [classified()])
    assert (line.paper, line.ours, line.verdict) == (0.2248, 0.21, "reached")
    assert line.difference == pytest.approx(-0.0148)
    assert line.of == "disc of mine on svhn by authors-svhn"


def test_a_short_training_is_named_where_the_number_is_short(classified):
    length = "trained for 20 epochs instead of 200 epochs"
    few = classified(deviations=(length,), result={"error_mean": 0.3})
    (line,) = beside(SVHN, [few])
    assert (line.verdict, line.why) == ("short", length)


def test_a_training_that_was_cut_short_is_not_compared(classified):
    short = classified(deviations=("weights after 20 of 3,000 steps",))
    (line,) = beside(SVHN, [short])
    assert (line.verdict, line.why) == ("not comparable", "weights after 20 of 3,000 steps")


def test_a_stand_in_is_never_compared(classified):
    (line,) = beside(SVHN, [classified(data="svhn10k")])
    assert (line.ours, line.difference, line.verdict) == (0.21, None, "not comparable")
    assert line.why == ("classified images: svhn10k, not svhn; test images: 4,022, not 26,032")
    imagenet = next(each for each in PUBLISHED if each.name == "disc" and each.complement)
    config = {
        "data": {"name": "cifar10"},
        "trained": {"trained_on": "tiny-imagenet32", "preset": "radford2015-imagenet32"},
    }
    protocol = {"name": "paper-cifar10", "version": 1}
    record = classified(config=config, protocol=protocol, result={"n_test": 10_000})
    (line,) = beside(imagenet, [record])
    assert line.ours == pytest.approx(0.79)
    assert line.why == "D's training set: tiny-imagenet32, not imagenet"


def test_another_protocol_is_not_the_papers(classified):
    protocol = {"name": "authors-svhn, 10 labels per class", "version": 1}
    (line,) = beside(SVHN, [classified(protocol=protocol)])
    assert (line.ours, line.verdict) == (None, "not run")
    assert line.why == "measured by another protocol only: authors-svhn, 10 labels per class"


def test_table_3_compares_at_the_papers_number_of_samples(classified):
    record = classified(
        exhibit="neighbors",
        data="mnist",
        result={"error": 0.02, "samples": 100_000, "curve": [[10_000, 0.05], [50_000, 0.029]]},
    )
    wanted = [each for each in PUBLISHED if each.exhibit == "table_3_mnist" and each.at]
    few, many = (list(beside(each, [record])) for each in wanted)
    assert [(line.ours, line.verdict) for line in few + many] == [
        (0.029, "reached"), (None, "not run"),
    ]  # fmt: skip


def test_controls_measured_by_themselves_count(classified):
    section = Section(
        records=[
            classified("pixels", result={"error_mean": 0.2}),
            classified(),
            # Of other images, so that it says nothing about these.
            classified("kmeans", data="cifar10", result={"error_mean": 0.1}),
        ]
    )
    line = next(line for line in comparison(TABLE_2, section) if "control" in line.what)
    assert (line.verdict, line.why) == ("short", "against pixels 20 %")
    assert line.difference == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("rate", "low", "verdict"), [(0.9, 0.8, "reached"), (0.75, 0.6, "near"), (0.6, 0.5, "short")]
)
def test_a_claim_must_beat_its_best_control_with_its_whole_interval(classified, rate, low, verdict):
    claim = next(each for each in CLAIMS if each.exhibit == "figure_7_arithmetic")
    controls = {"single_exemplar": {"success_rate": 0.7}, "random_direction": {"success_rate": 0.1}}
    record = classified(result={"success_rate": rate, "low": low}, controls=controls)
    (line,) = claimed(claim, [record])
    assert line.verdict == verdict
    assert line.difference == pytest.approx(rate - 0.7)


def test_without_a_control_nothing_is_decided(classified):
    (line,) = claimed(Claim(exhibit="x", what="x", ours="result.error_mean"), [classified()])
    assert (line.verdict, line.why) == ("measured", "")
    against = Claim(exhibit="x", what="x", ours="result.error_mean", against="controls.*")
    (line,) = claimed(against, [classified()])
    assert (line.verdict, line.why) == ("measured", "no control was measured")


def test_a_quick_run_is_marked(classified):
    record = classified(quick=True)
    (line,) = beside(SVHN, [record])
    assert line.quick
    assert "(quick run)" in line.of


def test_every_number_and_claim_has_its_exhibit():
    folders = {each.folder for each in EXHIBITS}
    assert {each.exhibit for each in (*PUBLISHED, *CLAIMS)} <= folders
    assert all(0 < each.value < 1 for each in PUBLISHED if each.fraction)
