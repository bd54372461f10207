"""Files are whole or absent; lines survive kills."""

import json
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gan_eval import records
from gan_eval.errors import InputError
from gan_eval.files import (
    append_line,
    check_folder,
    read_lines,
    remove_unfinished,
    write_bytes,
    write_json,
    write_lines,
    write_whole,
)
from gan_eval.records import Record, append_record, versions


class BrokenError(Exception):
    pass


def _half(path: Path) -> None:
    path.write_text("half of it")
    raise BrokenError


def test_a_folder_is_found_to_be_one_before_the_work(tmp_path: Path):
    new = tmp_path / "a/b"
    assert check_folder(new) == new
    assert not new.parent.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--out must lead .*file/inner: .*file is a file; name"):
        check_folder(tmp_path / "file/inner")


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "config.json"
    write_json(path, {"a": 1})
    with pytest.raises(BrokenError):
        write_whole(path, _half)
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_failed_first_write_leaves_nothing(tmp_path: Path):
    with pytest.raises(BrokenError):
        write_whole(tmp_path / "new" / "config.json", _half)
    assert list((tmp_path / "new").iterdir()) == []


def test_value_that_json_lacks_is_refused_before_anything_is_touched(tmp_path: Path):
    path = tmp_path / "config.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(ValueError, match="JSON compliant"):
        append_line(tmp_path / "rows.jsonl", {"a": float("inf")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(read_lines(tmp_path / "rows.jsonl")) == []


def test_new_content_is_seen_only_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"old")
    seen = []

    def write(temporary: Path) -> None:
        temporary.write_bytes(b"ne")
        seen.append(path.read_bytes())
        assert temporary.parent == path.parent  # a rename is atomic within a file system only
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"new")

    write_whole(path, write)
    assert seen == [b"old"]
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_others_may_read_what_the_umask_allows(tmp_path: Path):
    path, plain = tmp_path / "a.json", tmp_path / "b.json"
    write_json(path, {})
    plain.write_text("{}")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), OSError(13, "Permission denied", ".unfinished.a.x")],
)
def test_errors_name_the_file_that_was_asked_for(tmp_path: Path, error: OSError):
    def fail(temporary: Path) -> None:
        raise error

    with pytest.raises(OSError, match=rf"^\[Errno \d+\] [\w ]+: '{tmp_path}/a\.json'$") as found:
        write_whole(tmp_path / "a.json", fail)
    assert (found.value.errno, found.value.filename) == (error.errno, str(tmp_path / "a.json"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_writer_says_of_its_own_stays(tmp_path: Path):
    def fail(temporary: Path) -> None:
        raise OSError("cannot write mode F as PNG")

    with pytest.raises(OSError, match="cannot write mode F as PNG"):
        write_whole(tmp_path / "a.png", fail)


def test_unfinished_files_are_removed_at_any_depth_and_no_others(tmp_path: Path):
    def killed(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        temporary.rename(temporary.with_suffix(".kept"))  # so that the clean-up finds nothing
        raise BrokenError

    for folder in (tmp_path, tmp_path / "resume"):
        with pytest.raises(BrokenError):
            write_whole(folder / "state.safetensors", killed)
    others = [tmp_path / ".gitignore", tmp_path / "resume" / "state.safetensors"]
    for path in others:
        path.write_text("mine")
    assert len(list(tmp_path.rglob("*.kept"))) == 2
    remove_unfinished(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(others)


def test_names_of_files_are_text_in_rows(tmp_path: Path):
    append_line(tmp_path / "rows.jsonl", {"data": "t\udcff", "é": "\u2028"})
    assert list(read_lines(tmp_path / "rows.jsonl")) == [{"data": "t?", "é": "\u2028"}]


def test_lines_nested_too_deeply_are_refused(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(InputError, match=r"a JSON object in every line. Line 1 is none"):
        list(read_lines(tmp_path / "rows.jsonl"))


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path):
    path = tmp_path / f"{'a' * 251}.png"
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


def test_rows_come_back_in_order(tmp_path: Path):
    path = tmp_path / "new" / "rows.jsonl"
    rows = [{"step": step, "text": "a\nb \u2028 é"} for step in range(3)]
    for row in rows:
        append_line(path, row)
    assert list(read_lines(path)) == rows
    assert len(path.read_text().split("\n")) == 4
    write_lines(path, rows[:2])
    assert list(read_lines(path)) == rows[:2]
    assert list(read_lines(tmp_path / "none.jsonl")) == []


@pytest.mark.parametrize("cut", range(1, 15))
def test_last_line_cut_short_is_left_out(tmp_path: Path, cut: int):
    """Where only the line's end is missing, nothing of it is."""
    path = tmp_path / "rows.jsonl"
    for step in (1, 2):
        append_line(path, {"step": step, "x": 10})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    left = [{"step": 1, "x": 10}, {"step": 2, "x": 10}][: 2 if cut == 1 else 1]
    assert list(read_lines(path)) == left


@pytest.mark.parametrize("cut", [1, 7, 14])
def test_line_appended_after_a_cut_one_is_read(tmp_path: Path, cut: int):
    path = tmp_path / "rows.jsonl"
    for step in (1, 2):
        append_line(path, {"step": step, "x": 10})
    path.write_bytes(path.read_bytes()[:-cut])
    append_line(path, {"step": 3, "x": 10})
    read = [row["step"] for row in read_lines(path)]
    assert read == ([1, 2, 3] if cut == 1 else [1, 3])
    append_line(path, {"step": 4, "x": 10})
    assert [row["step"] for row in read_lines(path)][-2:] == [3, 4]


def test_versions_name_what_numbers_depend_on():
    import torch

    found = versions()
    assert torch.__version__.startswith(found["torch"])
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"numpy", "torchvision", "gan-eval"} <= found.keys()


def made(**changed) -> Record:
    given = {
        "exhibit": "classify", "name": "disc", "protocol": {"name": "x", "version": 1},
        "config": {}, "result": {"error_mean": 0.25}, "fingerprints": {}, "seed": 3,
        "device": "cpu", "precision": "32", "seconds": 1.5,
    }  # fmt: skip
    return Record(**{**given, **changed})


def test_records_are_lines_that_are_only_added(tmp_path: Path):
    paths = [append_record(tmp_path / "run", made(seed=seed)) for seed in (1, 2)]
    assert paths == 2 * [tmp_path / "run" / "records.jsonl"]
    rows = list(read_lines(paths[0]))
    assert [row["seed"] for row in rows] == [1, 2]
    assert rows[0]["result"] == {"error_mean": 0.25}
    assert rows[0]["paper"] is None


def test_a_record_says_all_that_the_module_says_it_does():
    named = re.findall(r"^([a-z_, ]+?)  +\S", records.__doc__, re.MULTILINE)
    documented = {name.strip() for line in named for name in line.split(",")}
    assert made().to_json().keys() == documented


def test_a_record_knows_the_machine_and_the_time():
    record = made()
    assert record.schema == 1
    assert record.versions == versions()
    assert record.hardware["threads"] >= 1
    assert 2**24 < record.peak_memory_bytes < 2**42
    assert abs((datetime.now(UTC) - datetime.fromisoformat(record.time)).total_seconds()) < 60


def test_commit_is_that_of_the_checkout_or_none(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(records, "__file__", str(tmp_path / "gan_eval" / "records.py"))
    assert records.commit() is None
    (tmp_path / ".git").mkdir()
    assert records.commit() is None  # not really one
    monkeypatch.setenv("PATH", str(tmp_path))
    assert records.commit() is None  # and no git either


def test_a_changed_checkout_is_marked_but_not_by_its_results(tmp_path: Path, monkeypatch):
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(("git", "-C", tmp_path, *who, *words), check=True, capture_output=True)

    for name in ("gan_eval", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("one")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    monkeypatch.setattr(records, "__file__", str(tmp_path / "gan_eval" / "records.py"))
    clean = records.commit()
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "results" / "file").write_text("two")
    assert records.commit() == clean
    (tmp_path / "gan_eval" / "file").write_text("two")
    assert records.commit() == clean + "+"
