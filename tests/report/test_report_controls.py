"""Which numbers a discriminator's classification is compared with: those measured alike."""

import pytest

from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.read import Section
from gan_eval.report.tables import comparison, scores

TABLE_2 = next(each for each in EXHIBITS if each.folder == "table_2_svhn")


def erring(error: float, validation: float = 0.0) -> dict[str, float]:
    return {"error_mean": error, "validation_error": validation}


def test_an_untrained_d_of_another_architecture_is_no_control(classified):
    def of(name, error, validation=0.0, **features):
        config = {**classified().config, "features": features}
        return classified(name, config=config, result=erring(error, validation))

    section = Section(
        records=[
            of("random-disc", 0.1, network="large", mirror=False),
            of("random-disc", 0.4, network="small", mirror=False),
            of("pixels", 0.5),
            of("kmeans", 0.3, maps=1600),
            of("kmeans", 0.25, validation=0.1, maps=800),  # which only test images prefer
            of("disc", 0.2, network="small", mirror=False),
            of("disc", 0.15, network="small", mirror=True),
        ]
    )
    plain, mirrored = (line for line in comparison(TABLE_2, section) if "control" in line.what)
    assert plain.why == "against random-disc 40 %, pixels 50 %, kmeans 30 %"
    assert mirrored.verdict == "measured"  # nothing was given as much


@pytest.mark.parametrize("part", ["train", "train+validation", "test"])
def test_a_control_of_other_images_is_none(classified, part):
    prints = {"train": "a", "train+validation": "b", "test": "c"}
    result = erring(0.2)

    def why(**others):
        pixels = classified("pixels", result=result, fingerprints={**prints, **others})
        lines = comparison(TABLE_2, Section(records=[pixels, classified(fingerprints=prints)]))
        return next(line.why for line in lines if "control" in line.what)

    assert why() == "against pixels 20 %; without random-disc and kmeans"
    assert why(**{part: "others"}) == "no control was measured alike"


def test_a_control_measured_by_itself_counts_instead_of_one_within_the_record(classified):
    # The first of another architecture; the last none, as older records hold them.
    controls = {"random-disc": 0.1, "kmeans": 0.4, "inception": 0.05}
    section = Section(
        records=[
            classified("random-disc", result=erring(0.5)),
            classified(controls=controls),
        ]
    )
    line = next(line for line in comparison(TABLE_2, section) if "control" in line.what)
    assert line.why == "against random-disc 50 %, kmeans 40 %; without pixels"


def test_controls_measured_by_themselves_count(classified):
    section = Section(
        records=[
            classified("pixels", result=erring(0.2)),
            classified(),
            # Of other images, so that it says nothing about these.
            classified("kmeans", data="cifar10", result=erring(0.1)),
        ]
    )
    line = next(line for line in comparison(TABLE_2, section) if "control" in line.what)
    assert (line.verdict, line.why) == (
        "short",
        "against pixels 20 %; without random-disc and kmeans",
    )
    assert line.difference == pytest.approx(0.01)


def test_lines_of_several_runs_stand_beside_each_other():
    rows = [{"benchmark": "views", "name": "all", "run": run, "error": 0.3} for run in ("a", "b")]
    (table,) = scores(Section(rows=[*rows, {**rows[0], "error": 0.2}]))
    assert table.frame[["run", "error"]].to_numpy().tolist() == [["a", 0.2], ["b", 0.3]]
