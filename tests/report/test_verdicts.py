"""The rule of the page, case by case: what is compared with the paper, and what is not."""

from dataclasses import replace

import pytest

from gan_eval.report.exhibits import CLAIMS, EXHIBITS, Claim
from gan_eval.report.paper import PUBLISHED, Published
from gan_eval.report.trainings import longest
from gan_eval.report.verdicts import RULE, beside, claimed, counting, judge

SVHN = next(each for each in PUBLISHED if each.exhibit == "table_2_svhn" and each.ours)
ACCURACY = Published(exhibit="x", what="x", value=0.8, smaller_is_better=False, tolerance=0.005)


@pytest.mark.parametrize(
    ("ours", "spread", "verdict"),
    [
        (0.9, 0.0, "reached"),
        (0.795, 0.0, "reached"),  # half a point
        (0.79, 0.01, "reached"),  # 1.96 standard errors
        (0.781, 0.0, "near"),  # a tenth of the error of 0.2
        (0.779, 0.0, "short"),
    ],
)
def test_an_accuracy_is_judged_by_its_error(ours, spread, verdict):
    assert judge(ACCURACY, ours, spread) == verdict


# Of 2 draws one degree of freedom is left: the spread is the standard error's 1.96-fold itself.
@pytest.mark.parametrize(
    ("draws", "verdict"), [(1, "reached"), (2, "reached"), (3, "near"), (100, "near")]
)
def test_what_luck_may_excuse_shrinks_with_the_draws(classified, draws, verdict):
    published = Published(exhibit="x", what="x", value=0.2, ours="result.error_mean")
    result = {"error_mean": 0.215, "error_spread": 0.02, "draws": draws}
    (line,) = beside(published, [classified(result=result)])
    assert (line.verdict, line.spread) == (verdict, 0.02)


def test_a_bound_is_kept_or_not():
    bound = next(each for each in PUBLISHED if each.exhibit == "section_4_1_1_dedup" and each.ours)
    assert [judge(bound, rate, 0.0) for rate in (0.01, 0.0105, 0.012)] == [
        "reached", "near", "short",
    ]  # fmt: skip


def test_the_rule_names_every_tolerance():
    rule = dict(RULE)["reached"]
    assert "0.5 points" in rule
    titles = {each.folder: each.title for each in EXHIBITS}
    others = [each for each in PUBLISHED if each.ours and each.tolerance != 0.005]
    assert {each.exhibit for each in others} == {"table_3_mnist", "section_4_1_1_dedup"}
    for each in others:
        assert f"{titles[each.exhibit]}: {100 * each.tolerance:g}" in rule


def test_false_positives_are_compared_on_bedrooms_of_equal_hashes(classified):
    published = next(
        each for each in PUBLISHED if each.exhibit == "section_4_1_1_dedup" and each.ours
    )
    for name, radius, why in (
        ("lsun-bedroom", 0, ""),
        ("cifar10", 0, "images: cifar10, not lsun-bedroom"),
        ("lsun-bedroom", 8, "radius: 8, not 0"),
    ):
        result = {"radius": radius, "false_positive_rate": 0.5, "false_of_called": 0.001}
        record = classified(exhibit="dedup", config={"data": {"name": name}}, result=result)
        (line,) = beside(published, [record])
        assert (line.ours, line.why) == (0.001, why)
        assert line.verdict == ("not comparable" if why else "reached")


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


def test_another_network_or_batch_is_not_the_papers(classified):
    ways = (
        "resumed on cpu after cuda",
        "latent_dim 4 instead of 100",
        "batch_size 8 instead of 64",
    )
    lines = [next(beside(SVHN, [classified(deviations=(text,))])) for text in ways]
    assert [line.verdict for line in lines] == ["reached", "not comparable", "not comparable"]
    assert [line.why for line in lines] == ["", *ways[1:]]


def test_a_longer_training_of_another_network_surpasses_nothing(classified):
    about = classified().config["trained"]
    ours, other = (
        classified(config={"trained": {**about, "steps": steps}}, deviations=deviations)
        for steps, deviations in ((10, ()), (20, ("image_size 28 instead of 32",)))
    )
    assert longest([ours, other]) == [ours, other]


def test_a_stand_in_is_never_compared(classified):
    (line,) = beside(SVHN, [classified(data="svhn10k")])
    assert (line.ours, line.difference, line.verdict) == (0.21, None, "not comparable")
    assert line.why == ("classified images: svhn10k, not svhn; test images: 4,022, not 26,032")
    imagenet = next(each for each in PUBLISHED if each.name == "disc" and each.complement)
    config = {
        "data": {"name": "cifar10"},
        "trained": {"trained_on": "tiny-imagenet32", "preset": "radford2015-imagenet32"},
        "features": {"pool": "max 4x4", "batch_norm": "dataset", "mirror": False},
    }
    protocol = {"name": "paper-cifar10", "version": 1}
    result = {"n_test": 10_000, "feature_width": 28_672}
    record = classified(config=config, protocol=protocol, result=result)
    (line,) = beside(imagenet, [record])
    assert line.ours == pytest.approx(0.79)
    assert line.why == "D's training set: tiny-imagenet32, not imagenet"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"shifts": [2, 4]}, "shifts: 2 4, not none"),
        ({"mirror": True}, "mirror images: yes, not no"),
        ({"batch_norm": "running"}, "batch norm: running, not dataset"),
        ({"pool": "max 8x8"}, "pooling: max 8x8, not max 4x4"),
    ],
)
def test_another_use_of_d_is_not_the_papers(classified, changed, why):
    record = classified()
    config = {**record.config, "features": {**record.config["features"], **changed}}
    (line,) = beside(SVHN, [classified(config=config)])
    assert (line.verdict, line.why) == ("not comparable", why)


def test_another_protocol_is_not_the_papers(classified):
    protocol = {"name": "authors-svhn, 10 labels per class", "version": 1}
    (line,) = beside(SVHN, [classified(protocol=protocol)])
    assert (line.ours, line.verdict) == (None, "not run")
    assert line.why == "measured by another protocol only: authors-svhn, 10 labels per class"


def test_what_was_drawn_and_not_counted_was_run(classified):
    claim = Claim(exhibit="x", what="x", ours="result.success_rate")
    (line,) = claimed(claim, [classified(result={"success_rate": None})])
    assert (line.ours, line.verdict) == (None, "measured")
    assert line.why == "drawn, and this number was not counted"
    (line,) = claimed(claim, [])
    assert (line.verdict, line.why) == ("not run", "")


def test_table_3_compares_at_the_papers_number_of_samples(classified):
    trained = {"preset": "radford2015-mnist", "trained_on": "mnist", "trained_split": "train"}
    record = classified(
        exhibit="neighbors",
        config={"data": {"name": "mnist", "n_test": 10_000}, "trained": trained},
        result={"error": 0.02, "samples": 100_000, "curve": [[10_000, 0.05], [50_000, 0.029]]},
    )
    wanted = [each for each in PUBLISHED if each.exhibit == "table_3_mnist" and each.at]
    few, many = (list(beside(each, [record])) for each in wanted)
    assert [(line.ours, line.verdict) for line in few + many] == [
        (0.029, "reached"), (None, "not run"),
    ]  # fmt: skip


def test_generated_digits_are_held_against_as_many_real_ones(classified):
    claim = next(each for each in CLAIMS if each.exhibit == "table_3_mnist")
    verdicts = []
    for at_50_000 in (0.025, 0.033, 0.035):
        record = classified(
            exhibit="neighbors",
            config={"data": {"n_test": 10_000}},
            result={"error": 0.01, "curve": [[50_000, at_50_000], [10_000_000, 0.01]]},
            controls={"real": {"error": 0.034, "samples": 50_000}, "untrained": {"error": 0.9}},
        )
        (line,) = claimed(claim, [record])
        assert line.ours == at_50_000
        verdicts.append(line.verdict)
    assert verdicts == ["reached", "near", "short"]
    fewer = replace(record, controls={"real": {"error": 0.034, "samples": 1150}})
    (line,) = claimed(claim, [fewer])
    assert (line.verdict, line.why) == ("measured", "real digits: 1,150, not 50,000")


def test_real_digits_do_not_depend_on_the_training(classified):
    real = next(each for each in PUBLISHED if (each.ours or "").startswith("controls.real"))
    record = classified(
        exhibit="neighbors",
        config={"data": {"name": "mnist", "n_test": 10_000}, "trained": {"preset": "other"}},
        deviations=("weights after 20 of 3,000 steps",),
        controls={"real": {"error": 0.0309, "samples": 50_000}},
    )
    (line,) = beside(real, [record])
    assert (line.verdict, line.why) == ("reached", "")
    fewer = replace(record, controls={"real": {"error": 0.0309, "samples": 1000}})
    (line,) = beside(real, [fewer])
    assert line.why == "real digits: 1,000, not 50,000"


@pytest.mark.parametrize(("rate", "verdict"), [(0.9, "reached"), (0.75, "near"), (0.6, "short")])
def test_a_claim_must_beat_its_best_control_with_its_whole_interval(classified, rate, verdict):
    claim = next(each for each in CLAIMS if each.exhibit == "figure_7_arithmetic")
    # Sums of pixels are overlays by construction: how many of them are successes decides nothing.
    rates = {"single_exemplar": 0.7, "random_direction": 0.1, "pixel_arithmetic": 0.95}
    controls = {name: {"success_rate": each} for name, each in rates.items()}
    record = classified(result={"success_rate": rate, "trials": 50}, controls=controls)
    (line,) = claimed(claim, [record])
    assert line.verdict == verdict
    assert line.difference == pytest.approx(rate - 0.7)


@pytest.mark.parametrize(
    ("concentration", "verdict"), [(0.67, "reached"), (0.61, "near"), (0.6, "short")]
)
def test_a_score_without_an_interval_must_be_clearly_better(classified, concentration, verdict):
    claim = next(each for each in CLAIMS if each.ours == "result.concentration")
    controls = {"untrained": {"concentration": 0.6}}
    record = classified(result={"concentration": concentration}, controls=controls)
    (line,) = claimed(claim, [record])
    assert line.verdict == verdict


def test_an_object_must_go_more_often_than_without_other_maps(classified):
    claim = next(each for each in CLAIMS if each.exhibit == "figure_6_forget")
    controls = {"random_maps": {"still": 0.6}, "negative_maps": {"still": 0.5}}
    verdicts = []
    for still in (0.3, 0.45, 0.51):
        record = classified(result={"shown": 100, "still": still}, controls=controls)
        verdicts += [line.verdict for line in claimed(claim, [record])]
    assert verdicts == ["reached", "near", "short"]


def test_without_a_control_nothing_is_decided(classified):
    (line,) = claimed(Claim(exhibit="x", what="x", ours="result.error_mean"), [classified()])
    assert (line.verdict, line.why) == ("measured", "")
    against = Claim(exhibit="x", what="x", ours="result.error_mean", against=("controls.*",))
    (line,) = claimed(against, [classified()])
    assert (line.verdict, line.why) == ("measured", "no control was measured alike")


def test_without_a_control_that_must_be_beaten_nothing_is_reached(classified):
    claim = next(each for each in CLAIMS if each.needs and each.exhibit == "table_2_svhn")
    controls = {"pixels": 0.6, "kmeans": 0.4}
    (line,) = claimed(claim, [classified(controls=controls)])
    assert (line.verdict, line.why) == (
        "measured", "against pixels 60 %, kmeans 40 %; without random-disc",
    )  # fmt: skip
    (line,) = claimed(claim, [classified(controls={**controls, "random-disc": 0.5})])
    assert line.verdict == "reached"
    (line,) = claimed(claim, [classified(controls={"pixels": 0.2})])
    assert line.verdict == "short"
    assert line.why == "against pixels 20 %; without random-disc and kmeans"


def test_the_wider_of_two_intervals_decides(classified):
    claim = next(each for each in CLAIMS if each.needs and each.exhibit == "table_2_svhn")
    controls = {"pixels": 0.24, "kmeans": 0.24, "random-disc": 0.24}
    for n_test, spread, verdict in (
        (26_032, 0.001, "reached"), (26_032, 0.05, "near"), (100, 0.001, "near"),
    ):  # fmt: skip
        result = {"error_mean": 0.22, "error_spread": spread, "n_test": n_test}
        (line,) = claimed(claim, [classified(result=result, controls=controls)])
        assert line.verdict == verdict


def test_a_control_that_several_runs_share_is_one_number(classified):
    real = next(each for each in PUBLISHED if (each.ours or "").startswith("controls.real"))
    config = {"data": {"name": "mnist", "n_test": 10_000}}
    controls = {"real": {"error": 0.0309, "samples": 50_000}}
    record = classified(exhibit="neighbors", config=config, controls=controls)
    (line,) = beside(real, [record, record, record])
    assert line.of == "control: real on mnist"
    # Not a hurried run's: the full one's must stand by itself.
    both = list(beside(real, [replace(record, quick=True), record]))
    assert [line.quick for line in both] == [True, False]
    assert [line.quick for line in counting(both)] == [False]


def test_k_means_with_mirror_images_is_not_the_papers(classified):
    maps = next(each for each in PUBLISHED if each.name == "kmeans" and each.ours)
    features = {"maps": 4800, "mirror": True}
    config = {"data": {"name": "cifar10"}, "features": features}
    protocol, result = {"name": "paper-cifar10", "version": 1}, {"n_test": 10_000}
    given = {"config": config, "protocol": protocol, "result": result}
    (line,) = beside(maps, [classified("kmeans", **given)])
    assert (line.verdict, line.why) == (
        "not comparable", "mirror images: yes, not no",
    )  # fmt: skip


def test_the_cost_of_forgetting_is_held_against_every_other_maps(classified):
    claim = next(each for each in CLAIMS if each.ours == "result.feature_distance")
    controls = {"random_maps": {"feature_distance": 135.0}, "negative_maps": None}
    for negative, verdict in ((94.0, "short"), (200.0, "near")):
        controls["negative_maps"] = {"feature_distance": negative}
        result = {"feature_distance": 122.0}
        (line,) = claimed(claim, [classified(exhibit="dropout", result=result, controls=controls)])
        assert line.verdict == verdict


def test_hurried_lines_are_not_counted_beside_full_ones(classified):
    full, quick = (
        next(iter(beside(SVHN, [classified(quick=hurried)]))) for hurried in (False, True)
    )
    assert counting([full, quick]) == [full]
    other = replace(full, what="another number", ours=None, verdict="not run")
    assert counting([other, quick]) == [other, quick]


def test_a_quick_run_is_marked(classified):
    record = classified(quick=True)
    (line,) = beside(SVHN, [record])
    assert line.quick
    assert "(quick run)" in line.of


def test_every_number_and_claim_has_its_exhibit():
    folders = {each.folder for each in EXHIBITS}
    assert {each.exhibit for each in (*PUBLISHED, *CLAIMS)} <= folders
    assert all(0 < each.value < 1 for each in PUBLISHED if each.fraction)
