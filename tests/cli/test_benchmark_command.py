"""`gan-eval benchmark`: what is run, what is not, and that the report says so."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from gan_eval.cli import main
from gan_eval.cli.benchmark import _run_each, _scripts
from gan_eval.files import read_lines
from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.page import report


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["gan-eval", "benchmark", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_every_exhibit_has_a_short_script():
    scripts = _scripts()
    assert list(scripts) == [each.folder for each in EXHIBITS]
    for path in scripts.values():
        text = path.read_text()
        assert len(text.splitlines()) <= 100, path
        assert f"gan-eval benchmark {path.stem}" in text
        assert "Paper:" in text
        assert "Ours: results/" in " ".join(text.split())


CHILD = """
import signal, sys, time
told = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: told.append(number))
print("ready", file=sys.stderr, flush=True)
while not told:
    time.sleep(0.01)
time.sleep(0.5)  # as long as a step takes
sys.exit(128 + told[0])
"""
PARENT = """
import sys
from gan_eval.cli.benchmark import _wait_for
sys.exit(_wait_for([sys.executable, "-c", sys.argv[1]]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_told_to_stop_is_waited_for_until_it_has_saved(number):
    command = [sys.executable, "-c", PARENT, CHILD]
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    assert parent.stderr is not None
    assert parent.stderr.readline() == b"ready\n"
    # A terminal tells all of them, a queue the first.
    send = os.killpg if number == signal.SIGINT else os.kill
    send(parent.pid, number)
    assert parent.wait(20) == 128 + number
    parent.stderr.close()


@pytest.mark.parametrize(("code", "ended"), [(-9, None), (-15, 143), (143, 143)])
def test_an_exhibit_that_is_killed_does_not_take_the_others_with_it(
    monkeypatch, tmp_path, capfd, code, ended
):
    commands = []

    def child(command):
        commands.append(command)
        return code

    monkeypatch.setattr("gan_eval.cli.benchmark._wait_for", child)
    given = {"quick": False, "data_root": None, "runs": tmp_path, "out": tmp_path, "budget": 0.5}
    if ended:
        with pytest.raises(SystemExit, match=str(ended)):
            _run_each(["fid_table", "figure_8_turn"], given)
        assert len(commands) == 1
        return
    assert _run_each(["fid_table", "figure_8_turn"], given) == ["fid_table", "figure_8_turn"]
    assert "fid_table: killed by signal 9" in capfd.readouterr().err
    assert all(command[-2:] == ["--budget", "1s"] for command in commands)
    for name in ("fid_table", "figure_8_turn"):
        (line,) = read_lines(tmp_path / name / "benchmark.jsonl")
        assert line["run"] is False
        assert line["missing"][0]["needs"].startswith("It was broken off with signal 9")
        assert line["command"] == f"gan-eval benchmark {name} --budget 1s"
    report(tmp_path)
    assert "It was broken off with signal 9" in (tmp_path / "report.html").read_text()


def test_an_exhibit_without_its_images_is_an_error_and_a_row(nursery, monkeypatch, tmp_path, capfd):
    def child(command):
        assert command[:4] == [sys.executable, "-m", "gan_eval", "benchmark"]
        return nursery.do(*command[3:]).code

    monkeypatch.setattr("gan_eval.cli.benchmark._wait_for", child)
    out, root = tmp_path / "results", tmp_path / "data"
    root.mkdir()
    words = ("--data-root", root, "--runs", tmp_path / "runs", "--out", out)
    assert call(monkeypatch, "table_2_svhn", *words) == 2
    message = capfd.readouterr().err
    assert "table_2_svhn was not run" in message
    assert "svhn10k.npz" in message
    (line,) = read_lines(out / "table_2_svhn" / "benchmark.jsonl")
    assert line["run"] is False
    # Together with others it is a row of the report, and no failure.
    assert call(monkeypatch, "table_2_svhn", "figure_8_turn", *words, "--quick") == 0
    page = (out / "report.html").read_text()
    assert "svhn10k.npz" in page
    assert "celeba64.npz" in page
    table = (out / "tables" / "figure_8_turn.md").read_text()
    assert "not run" in table
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), r"exhibits must be named"),
        (("--all", "table_2_svhn"), r"Got table_2_svhn and --all"),
        (("table_2_shvn",), r"table_2_svhn"),
        (("table_2_svhn", "--budget", "soon"), r"--budget must be a time.*Got 'soon'"),
        (("table_2_svhn", "--budget", "-3m"), r"--budget must be a time"),
    ],
)
def test_mistakes(monkeypatch, capfd, words, message):
    assert call(monkeypatch, *words) == 2
    error = capfd.readouterr().err
    assert error.startswith("Error: ")
    assert re.search(message, error)


@pytest.mark.parametrize("exhibit", ["figure_2_3_samples", "figure_5_filters"])
def test_an_exhibit_of_which_nothing_could_be_measured_is_not_run(
    monkeypatch, tmp_path, capfd, exhibit
):
    (tmp_path / "data").mkdir()
    words = ("--data-root", tmp_path / "data", "--runs", tmp_path / "runs", "--out", tmp_path / "o")
    for quick in ((), ("--quick",)):
        assert call(monkeypatch, exhibit, *words, *quick) == 2
        assert f"{exhibit} was not run. images must be" in capfd.readouterr().err
    assert not any(line["run"] for line in read_lines(tmp_path / "o" / exhibit / "benchmark.jsonl"))


def test_quick_numbers_are_marked(monkeypatch, tmp_path, capfd):
    script = tmp_path / "table_2_svhn.py"
    script.write_text(
        "from gan_eval.experiments.classify import classify\n"
        "from gan_eval.experiments.features import features_of\n"
        "from gan_eval.probes.protocol import choose_protocol\n"
        "def main(asked):\n"
        "    some = choose_protocol(labels_per_class=5, draws=2)\n"
        "    classify(features_of(['pixels'], []), 'digits', some, **asked.common)\n"
    )
    found = {"table_2_svhn": script}
    monkeypatch.setattr("gan_eval.cli.benchmark._scripts", lambda: found)
    monkeypatch.setenv("GAN_EVAL_STORE", str(tmp_path / "store"))
    out = tmp_path / "results"
    assert call(monkeypatch, "table_2_svhn", "--quick", "--out", out, "--json") == 0
    printed = capfd.readouterr()
    (line,) = json.loads(printed.out)["exhibits"]
    assert (line["benchmark"], line["run"], line["missing"]) == ("table_2_svhn", True, [])
    assert line["command"] == "gan-eval benchmark table_2_svhn --quick"
    assert not (out / "table_2_svhn" / "records.jsonl").exists()  # that of longer runs
    (record,) = read_lines(out / "table_2_svhn" / "quick" / "records.jsonl")
    assert record["quick"] is True
    assert record["paper"]["DCGAN + L2-SVM, 100 labels per class: error"] == 0.2248
    assert "(quick run)" in (out / "tables" / "table_2_svhn_scores.md").read_text()
