"""What the command line prints says names as they are, and that nobody reads it ends nothing."""

import sys

import pytest
import torch

from gan_eval.cli import main
from gan_eval.cli.output import print_table, say


def test_names_are_neither_styles_nor_emoji(capsys):
    print_table("disc:a: [red]", ["[b]model"], [["runs/[bold]x"], [":smile:"], [None]])
    printed = capsys.readouterr().out
    for said in ("disc:a: [red]", "[b]model", "runs/[bold]x", ":smile:", "–"):
        assert said in printed


def test_names_need_not_be_text(capsys):
    print_table("run \udcff", ["name"], [["t\udcff"]])
    assert "t?" in capsys.readouterr().out


def test_a_message_is_one_line_whatever_the_name(refused, tmp_path):
    (tmp_path / "b\nc.txt").write_text("")
    assert "Got b c.txt; move it" in refused("dedup", tmp_path)


def test_lines_that_nobody_reads_any_more_end_no_work(monkeypatch):
    class Closed:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stderr", Closed())
    say("step 1")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no room"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA error: out of memory"),  # of a GPU that others fill
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_full_memory_is_one_line(refused, monkeypatch, error):
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("gan_eval.training.job.new_job", full)
    said = refused("train", "--preset", "sthalles", "--data", "digits", "--out", "x")
    assert "memory must suffice" in said
    assert str(error) in said


def test_commands_of_one_process_refuse_several(call, refused, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    said = refused("neighbors", "runs/a")
    assert "neighbors runs in one process; train, classify, score in several" in said
    assert "Got 2; start it without torchrun." in said
    assert call("neighbors", "--help") == 0
    capsys.readouterr()
    monkeypatch.delenv("LOCAL_RANK")  # as clusters set the other without torchrun
    assert "run runs/a must be a folder" in refused("neighbors", "runs/a")


def test_other_errors_keep_their_traceback(monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a slip of ours")

    monkeypatch.setattr("gan_eval.training.job.new_job", broken)
    monkeypatch.setattr(
        sys, "argv", ["gan-eval", "train", "--preset", "sthalles", "--data", "digits"]
    )
    with pytest.raises(RuntimeError, match="slip"):
        main()
