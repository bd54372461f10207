"""Lines are read one by one; what cannot be read is named, and nothing is lost on the way."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gan_eval.errors import InputError
from gan_eval.files import append_line
from gan_eval.records import append_record
from gan_eval.report.read import read_results
from gan_eval.report.trainings import longest
from gan_eval.report.values import curve_at, value_at


def test_the_newest_of_a_number_counts_and_the_older_stay(results, classified):
    old = classified(result={"error_mean": 0.5})
    new = classified(time="2026-01-02T00:00:00+00:00")
    folder = results(table_2_svhn=[new, old])
    section = read_results(folder).sections["table_2_svhn"]
    assert (section.records, section.older) == ([new], [old])


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "random-disc"},
        {"seed": 1},
        {"protocol": {"name": "authors-svhn", "version": 1, "c_grid": [1.0]}},
        {"fingerprints": {"test": "test of svhn", "weights": "others"}},
        {"fingerprints": {"test": "other images", "weights": "weights of disc"}},
        {"config": {"features": {"mirror": True}}},
    ],
)
def test_what_differs_in_name_seed_protocol_weights_data_or_features_is_another_number(
    results, classified, changed
):
    later = {**changed, "time": "2026-01-02T00:00:00+00:00"}
    folder = results(table_2_svhn=[classified(config={}), classified(**{"config": {}, **later})])
    assert len(read_results(folder).sections["table_2_svhn"].records) == 2


def test_the_newest_version_of_a_protocol_counts(results, classified):
    old = classified(time="2026-01-03T00:00:00+00:00")
    new = classified(protocol={**old.protocol, "version": 2})
    section = read_results(results(table_2_svhn=[new, old])).sections["table_2_svhn"]
    assert (section.records, section.older) == ([new], [old])


def test_runs_of_one_name_and_another_seed_are_two(results, classified):
    about = classified().config
    runs = [
        classified(config={**about, "trained": {**about["trained"], "seed": seed}})
        for seed in (None, 0, 1)
    ]
    assert len(read_results(results(table_2_svhn=runs)).sections["table_2_svhn"].records) == 2


def test_a_hurried_run_says_nothing_of_what_a_full_one_left_out(results, classified):
    folder = results(figure_4_walk=[classified(exhibit="interpolate")])
    missing = [{"what": "bedrooms", "needs": "LSUN"}]
    for quick, said in ((True, []), (False, missing), (True, [])):
        append_line(folder / "figure_4_walk/benchmark.jsonl", {"missing": said, "quick": quick})
    assert read_results(folder).sections["figure_4_walk"].missing == missing


def test_sums_and_turns_of_a_run_go_to_their_figures(results, classified):
    folder, both = results(table_2_svhn=[]), ("a", "b", "c", "from", "to")
    for number, names in enumerate((both[:3], both[3:], both)):
        config = {"choices": {"asked": dict.fromkeys(names, "1,2,3")}, "label": number}
        record = classified(exhibit="arithmetic", config=config, seed=number)
        append_line(folder / "records.jsonl", record.to_json())
    sections = read_results(folder).sections
    seeds = {name: [each.seed for each in found.records] for name, found in sections.items()}
    assert seeds == {"figure_7_arithmetic": [0, 2], "figure_8_turn": [1, 2]}


def test_a_sum_that_does_not_say_what_was_asked_is_a_sum(tmp_path, classified):
    record = classified(exhibit="arithmetic", config={"choices": {"asked": 5}})
    append_record(tmp_path, record)
    assert list(read_results(tmp_path).sections) == ["figure_7_arithmetic"]


def test_a_run_that_was_trained_on_is_the_same_row(results, classified):
    about = classified().config
    old, new = (
        classified(
            config={**about, "features": {"weights_sha256": weights}},
            fingerprints={"test": "test of svhn", "weights": weights},
            time=time,
        )
        for weights, time in (("a", "2026-01-01T00:00:00"), ("b", "2026-01-02T00:00:00"))
    )
    section = read_results(results(table_2_svhn=[old, new])).sections["table_2_svhn"]
    assert (section.records, section.older) == ([new], [old])


def test_a_run_that_was_trained_on_and_scored_again_is_the_same_row(results, classified):
    about = {"run": "mine", "preset": "radford2015-svhn", "trained_on": "svhn"}
    old, new, other = (
        classified(
            "mine",
            exhibit="score",
            config={"fake": {"trained": {**about, "epoch": epoch}}},
            fingerprints={"real": "r", "weights": "of the extractor", "fake": drawn},
            time=f"2026-01-0{day}T00:00:00",
        )
        for day, (drawn, epoch) in enumerate([("a", None), ("b", None), ("c", 5)], 1)
    )
    # Of a folder of that name elsewhere, with another network.
    unlike = replace(new, deviations=("latent_dim 4 instead of 100",), time="2026-01-04T00:00:00")
    section = read_results(results(fid_table=[old, new, other, unlike])).sections["fid_table"]
    assert (section.records, section.older) == ([new, other, unlike], [old])


def test_a_shorter_comparison_does_not_hide_a_longer_one(results, classified):
    long, short = (
        classified("generator", exhibit="neighbors", result={"samples": samples}, time=time)
        for samples, time in ((10_000_000, "2026-01-01T00:00:00"), (1000, "2026-01-02T00:00:00"))
    )
    section = read_results(results(table_3_mnist=[long, short])).sections["table_3_mnist"]
    assert (section.records, section.older) == ([long], [short])


def test_a_line_twice_is_one_number(results, classified):
    # Made once: the process may hold more memory by the second time, which the line says.
    folder = results(table_2_svhn=[classified()] * 2)
    section = read_results(folder).sections["table_2_svhn"]
    assert len(section.records) == 1
    assert section.older == []


def test_records_of_a_run_go_where_their_kind_belongs(results, classified):
    folder = results(table_2_svhn=[])
    records = [
        classified(data="svhn10k"),
        classified(data="cifar10"),
        classified(data="cifar100"),  # somebody's own, as the next one
        classified(data="my-svhn"),
        classified(exhibit="interpolate", data=""),
    ]
    for record in records:
        append_line(folder / "records.jsonl", record.to_json())
    assert list(read_results(folder).sections) == [
        "table_2_svhn", "table_1_cifar10", "classify", "figure_4_walk",
    ]  # fmt: skip


def test_a_last_line_that_a_kill_cut_short_is_noticed(results, classified):
    folder = results(table_2_svhn=[classified()])
    path = folder / "table_2_svhn" / "records.jsonl"
    with path.open("a") as file:
        file.write('{"schema": 1, "exhi')
    found = read_results(folder)
    assert len(found.sections["table_2_svhn"].records) == 1
    assert found.notices == ("table_2_svhn/records.jsonl, line 2: was cut short and is left out.",)
    # A whole last line counts also where only its end is missing.
    path.write_text(json.dumps(classified().to_json()))
    assert len(read_results(folder).sections["table_2_svhn"].records) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: "{half", "line 1 must be a JSON object. Got one that is not"),
        (lambda line: "[1]", "line 1 must be a JSON object. Got one that is not (no object)"),
        (lambda line: '{"x": NaN}', "NaN is no number"),
        (lambda line: json.dumps({**line, "schema": 2}), "schema 1 at most. Got 2; read it by"),
        (lambda line: json.dumps({**line, "schema": "1"}), "schema 1 at most. Got '1'"),
        (lambda line: json.dumps({**line, "schema": True}), "schema 1 at most. Got True"),
        (lambda line: json.dumps({**line, "result": [1]}), "a wrong kind of, result; mend"),
        (lambda line: json.dumps({**line, "quick": "no"}), "a wrong kind of, quick; mend"),
        (lambda line: json.dumps({**line, "seed": None}), "a wrong kind of, seed; mend"),
        (
            lambda line: json.dumps({**line, "config": {"trained": "mine", "features": [1]}}),
            "a wrong kind of, config.trained, config.features; mend",
        ),
        (lambda line: '{"x": 1e999}', "a number beyond 1e+100: 1e999"),
        (lambda line: f'{{"x": {"7" * 400}}}', "a number beyond 1e+100: 77777777777777777777)"),
        (lambda line: f'{{"x": {"7" * 9999}}}', "a number beyond 1e+100: 77777777777777777777)"),
        (lambda line: r'{"x": {"\ud800": 1}}', "can't encode character '\\ud800'"),
        (lambda line: f'{{"x": {"[" * 60}1{"]" * 60}}}', "Got one that is not (nested more"),
        (lambda line: f'{{"x": {"[" * 99999}1{"]" * 99999}}}', "Got one that is not (maximum"),
        (lambda line: '{"deviations": 5}', "must hold a list of deviations. Got 5; mend"),
        (lambda line: '{"advice": "few"}', "must hold a list of advice. Got 'few'; mend"),
        (lambda line: json.dumps({**line, "exhibit": "../x"}), "a wrong kind of, exhibit; mend"),
        (
            lambda line: json.dumps({**line, "result": {"error_mean": -1}}),
            "must hold rates from 0 to 1, and counts that are whole. Got result.error_mean of -1",
        ),
        (
            lambda line: json.dumps(
                {**line, "exhibit": "neighbors", "result": {"curve": [[50_000, 7]]}}
            ),
            "must hold rates from 0 to 1, and counts that are whole. Got result.curve of 7",
        ),
        (
            lambda line: json.dumps({**line, "result": {"n_test": -5}}),
            "counts that are whole. Got result.n_test of -5; mend",
        ),
        (
            lambda line: json.dumps({**line, "result": {"n_test": 1e20}}),
            "counts that are whole. Got result.n_test of 1e+20; mend",
        ),
        (
            lambda line: json.dumps({k: v for k, v in line.items() if k not in ("seed", "commit")}),
            "Got none of, or a wrong kind of, commit, seed; mend the line",
        ),
    ],
)
def test_a_line_that_is_broken_or_too_new_is_named(results, classified, change, message):
    folder = results(table_2_svhn=[classified()])
    path = folder / "table_2_svhn" / "records.jsonl"
    path.write_text(change(classified().to_json()) + "\n" + path.read_text())
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read_results(folder)
    assert str(error.value).startswith(f"{path}, line 1 must ")


def test_steps_that_are_no_number_surpass_nothing(classified):
    about = classified().config["trained"]
    both = [
        classified(config={"trained": {**about, "steps": steps}}) for steps in ("many", 10, [2], 20)
    ]
    assert longest(both) == [both[0], both[2], both[3]]


def test_values_of_a_wrong_kind_within_a_result_are_no_numbers(results, classified):
    curve = [[1000, "x"], [None, 0.1], [50_000, 0.03]]
    record = classified(exhibit="neighbors", result={"samples": "many", "curve": curve})
    (read,) = read_results(results(table_3_mnist=[record])).sections["table_3_mnist"].records
    assert curve_at(read, "result.curve") == [(50_000.0, 0.03)]
    assert value_at(read, "result.curve.²") is None  # a digit, and no number


@pytest.mark.parametrize("trained", ["mine", ["mine"], 3])
def test_what_was_scored_and_says_of_its_run_no_mapping_is_read(results, classified, trained):
    record = classified(exhibit="score", config={"fake": {"trained": trained}})
    assert read_results(results(fid_table=[record])).sections["fid_table"].records == [record]


def test_pictures_of_a_run_go_where_its_records_do(tmp_path, classified):
    append_record(tmp_path, classified())
    names = ("arithmetic", "arithmetic-turn", "filters-layer-3", "interpolate", "mine")
    kinds = ("cifar10-disc", "cifar100-disc", "svhn-disc", "svhn10k-disc", "svhnlike-disc")
    for name in (*names, *(f"classify-{each}" for each in kinds), "lossesofmine"):
        Image.new("L", (8, 8)).save(tmp_path / f"{name}.png")
    found = read_results(tmp_path).sections
    homes = {path.stem: home for home, each in found.items() for path in each.pictures}
    assert homes == {
        "arithmetic": "figure_7_arithmetic",
        "arithmetic-turn": "figure_8_turn",
        "filters-layer-3": "figure_5_filters",
        "interpolate": "figure_4_walk",
        "mine": "run",  # whatever the folder is called
        "lossesofmine": "run",
        "classify-cifar10-disc": "table_1_cifar10",
        "classify-cifar100-disc": "classify",
        "classify-svhn-disc": "table_2_svhn",
        "classify-svhn10k-disc": "table_2_svhn",
        "classify-svhnlike-disc": "classify",
    }


def test_a_folder_without_numbers_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"results must be a folder. Got .*none; check the path"):
        read_results(tmp_path / "none")
    with pytest.raises(InputError, match=r"results must hold JSON lines\. Found none in"):
        read_results(tmp_path)
