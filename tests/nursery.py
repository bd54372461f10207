"""Processes of their own for what tests kill, or what two processes share, without the wait.

A program loads the packages once, and forks for each task; nothing is computed before a fork.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

COMMAND = "from gan_eval.cli import main; main()"

_NURSERY = """
import json, os, signal, sys, warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import matplotlib.backends.backend_agg, matplotlib.figure, sklearn.datasets, sklearn.svm, torch
    import gan_eval.cli.train, gan_eval.experiments.classify, gan_eval.experiments.score
    import gan_eval.experiments.validation, gan_eval.report, gan_eval.training.job

def become(task, rank):
    os.setsid()  # a signal for a child's group is not for the tests
    signal.alarm(120)  # processes that wait for each other end
    for number, name in enumerate(("nothing", f"out-{rank}", f"err-{rank}")):
        path = os.path.join(sys.argv[1], name) if number else os.devnull
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(task["environment"])
    if task["ranks"] > 1:
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank),
            WORLD_SIZE=str(task["ranks"]), LOCAL_WORLD_SIZE=str(task["ranks"]),
            MASTER_ADDR="127.0.0.1", MASTER_PORT=str(task["port"]),
        )
    os.chdir(task["folder"])
    torch.set_num_threads(1)
    sys.argv = ["gan-eval", *task["words"]]

for line in sys.stdin:
    task, children = json.loads(line), []
    for rank in range(task["ranks"]):
        sys.stdout.flush()
        children.append(os.fork())
        if children[-1] == 0:
            become(task, rank)
            exec(compile(task["program"], "program", "exec"), {"__name__": "__main__"})
            sys.exit()
    print(json.dumps(children), flush=True)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(json.dumps(ended), flush=True)
"""


class Ended(NamedTuple):
    """How the processes of a task ended: exit codes, or minus the signals that killed them."""

    codes: list[int]
    out: str
    err: str

    @property
    def code(self) -> int:
        """Return the code of the only one."""
        (code,) = self.codes
        return code


class Nursery:
    """Runs a program, by default the command, in one process or in several that share the work."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ranks = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def _line(self) -> list[int]:
        assert self._process.stdout is not None
        line: list[int] = json.loads(self._process.stdout.readline())
        return line

    def start(self, *words: object, program: str = COMMAND, ranks: int = 1) -> list[int]:
        """Start a task in the current folder; return its processes."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        task = {
            "words": [*map(str, words)], "program": program, "ranks": ranks, "port": port,
            "folder": os.getcwd(), "environment": {**os.environ},
        }  # fmt: skip
        self._ranks = ranks
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return self._line()

    def wait(self) -> Ended:
        """Return how the task ended and what it said, one process after the other."""
        codes = self._line()
        out, err = (
            "".join((self._folder / f"{name}-{rank}").read_text() for rank in range(self._ranks))
            for name in ("out", "err")
        )
        return Ended(codes, out, err)

    def do(self, *words: object, program: str = COMMAND, ranks: int = 1) -> Ended:
        self.start(*words, program=program, ranks=ranks)
        return self.wait()

    def succeed(self, *words: object, program: str = COMMAND, ranks: int = 1) -> Ended:
        ended = self.do(*words, program=program, ranks=ranks)
        assert not any(ended.codes), ended.err
        return ended

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()
