"""`gan-eval benchmark`."""

import math
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gan_eval.cli.options import UserPath, json_option, out_option
from gan_eval.cli.output import print_json, print_table, say
from gan_eval.cli.progress import Watching
from gan_eval.errors import InputError, closest
from gan_eval.files import append_line, check_folder, read_lines

_UNITS = {"s": 1, "m": 60, "h": 3600}
_QUICK_SECONDS = 90.0  # of training, where the rest is to fit into five minutes
_LINES = "benchmark.jsonl"
_MOST_BYTES = 500_000  # of a picture in a repository; larger ones are kept in 256 colours


def _seconds(ctx: click.Context, option: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    try:
        found = float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        found = 0.0
    if not 0 < found < float("inf"):
        raise InputError(f"--budget must be a time, as 90s, 30m or 2h. Got {text!r}.")
    return found


@click.command(short_help="Reproduce exhibits of the paper, each by one script, and report them.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="All exhibits.")
@click.option("--quick", is_flag=True, help="At most five minutes each on 2 cores; marked so.")
@click.option(
    "--data-root",
    type=UserPath(),
    help="Where named data sets, and published weights as newmu-svhn/, lie.  [env: GAN_EVAL_DATA]",
)
@click.option(
    "--budget",
    callback=_seconds,
    metavar="TIME",
    help="For all trainings together, as 90s, 30m or 2h; what is cut short goes on at the next "
    "call. Measuring takes its own time.  [default: until they are done]",
)
@click.option(
    "--runs",
    type=UserPath(),
    default=Path("runs"),
    help="Where trained runs are, and go.",
)
@out_option("Where records, pictures and the report go.", default=Path("results"))
@json_option
def benchmark(names: tuple[str, ...], every: bool, as_json: bool, **options: Any) -> None:
    """Run the scripts of benchmarks/, then write the report.

    Runs and features that are there are used, others are made; an exhibit that was broken off goes
    on where it was. Where an official data set is missing its stand-in is taken, and named. What
    cannot be run says what to get.

    \b
    gan-eval benchmark table_2_svhn
    gan-eval benchmark table_1_cifar10 figure_4_walk --budget 2h
    gan-eval benchmark --all --quick
    """
    scripts = _scripts()
    chosen = _chosen(names, every, scripts)
    check_folder(options["out"])
    check_folder(options["runs"], "--runs")
    if len(chosen) == 1 and not every:
        needs = _run(chosen[0], scripts[chosen[0]], **options)
        if needs:
            raise InputError(f"{chosen[0]} was not run. {needs}")
        _report(options["out"], chosen, as_json)
        return
    failed = _run_each(chosen, options)
    _report(options["out"], chosen, as_json)
    if failed:
        raise click.ClickException(f"broken off: {', '.join(failed)}; their messages are above")


def _scripts() -> dict[str, Path]:
    """Return the exhibits' scripts by name, in the paper's order."""
    from gan_eval.report.exhibits import EXHIBITS

    package = Path(__file__).parent.parent
    # In a checkout beside the package, in a wheel inside it.
    for folder in (package / "benchmarks", package.parent / "benchmarks"):
        found = {each.folder: folder / f"{each.folder}.py" for each in EXHIBITS}
        if all(path.is_file() for path in found.values()):
            return found
    raise InputError(
        "benchmarks must lie in or beside the package. Found none; install gan_eval anew."
    )


def _chosen(names: tuple[str, ...], every: bool, scripts: dict[str, Path]) -> list[str]:
    if every == bool(names):
        raise InputError(
            f"exhibits must be named, or all asked for by --all. Got {', '.join(names) or 'none'}"
            f"{' and --all' * every}; there are {', '.join(scripts)}."
        )
    for name in names:
        if name not in scripts:
            raise InputError(f"exhibit {name!r} is not known. {closest(name, scripts)}")
    return list(scripts) if every else list(dict.fromkeys(names))


def _run(
    name: str,
    script: Path,
    *,
    quick: bool,
    data_root: Path | None,
    budget: float | None,
    runs: Path,
    out: Path,
) -> str | None:
    """Run one script and keep a line of how it went; return what it needs if nothing was run."""
    from gan_eval.experiments.reproduction import MissingError, Reproduction
    from gan_eval.records import reproducing
    from gan_eval.report.paper import PUBLISHED
    from gan_eval.report.pictures import QUICK
    from gan_eval.visualize.grids import lighten

    seconds = min(budget or _QUICK_SECONDS, _QUICK_SECONDS) if quick else budget
    # Of its own, so that no picture of a longer run is replaced.
    home = out / name / QUICK if quick else out / name
    started, before = time.monotonic(), _sizes(home)
    paper = {each.what: each.value for each in PUBLISHED if each.exhibit == name}
    with Watching() as watch, reproducing(paper, quick=quick):
        asked = Reproduction(
            out=home, runs=runs, root=data_root, quick=quick, seconds=seconds, watch=watch
        )
        needs = None
        try:
            runpy.run_path(str(script))["main"](asked)
        except MissingError as error:
            needs = str(error)
    if asked.missing and not asked.kept and _sizes(home) == before:
        needs = needs or asked.missing[0]["needs"]
    for picture in (out / name).rglob("*.png"):
        lighten(picture, _MOST_BYTES)
    how = " --quick" * quick + (f" --budget {budget:g}s" if budget else "")
    left_out = [{"what": "", "needs": needs}] if needs else asked.missing
    _keep_line(out / name, how, started, left_out, asked.spent)
    for row in asked.missing:
        say(f"{name}: not run: {row['what']}. {row['needs']}")
    return needs


def _keep_line(
    folder: Path, how: str, started: float, missing: list[dict[str, str]], spent: Sequence[float]
) -> None:
    """Keep how an exhibit went, by its folder; a `missing` row without a name is all of it."""
    from gan_eval.records import provenance

    line = {
        "benchmark": folder.name,
        "command": f"gan-eval benchmark {folder.name}{how}",
        "run": all(each["what"] for each in missing),
        "missing": missing,
        "quick": "--quick" in how,
        "seconds": round(time.monotonic() - started, 1),
        "training_seconds": round(sum(spent), 1),
        **provenance(),
    }
    append_line(folder / _LINES, line)


def _sizes(folder: Path) -> dict[Path, int]:
    """Return the sizes of the files of records, which only grow."""
    return {path: path.stat().st_size for path in folder.rglob("*.jsonl")}


def _run_each(names: list[str], options: dict[str, Any]) -> list[str]:
    """Run each in a process of its own, whose memory is its own; return those that broke off."""
    given = ["--runs", str(options["runs"]), "--out", str(options["out"])]
    if options["data_root"] is not None:
        given += ["--data-root", str(options["data_root"])]
    left, failed = options["budget"], []
    for number, name in enumerate(names):
        share = None if left is None else math.ceil(max(1.0, left / (len(names) - number)))
        say(f"== {name}")
        lines = options["out"] / name / _LINES
        before = len(list(read_lines(lines)))
        how = " --quick" * options["quick"] + (f" --budget {share}s" if share else "")
        command = [sys.executable, "-m", "gan_eval", "benchmark", name, *given, *how.split()]
        started = time.monotonic()
        code = _wait_for(command)
        if code in (-signal.SIGINT, -signal.SIGTERM, 130, 143):
            raise SystemExit(abs(code) % 128 + 128)
        told = list(read_lines(lines))[before:]
        # 2 is also what a missing data set ends with, which is a row of the report.
        if code and not told:
            failed.append(name)
            by = f"exit code {code}"
            if code < 0:
                by = f"signal {-code}"
                say(f"{name}: killed by {by}; was there too little memory?")
            needs = f"It was broken off with {by}; `gan-eval benchmark {name}` says why."
            _keep_line(lines.parent, how, started, [{"what": "", "needs": needs}], ())
        if left is not None:
            # What broke off has told nothing; most of its time was training.
            spent = [line["training_seconds"] for line in told] or [time.monotonic() - started]
            left -= sum(spent)
    return failed


def _wait_for(command: Sequence[str]) -> int:
    """Run a command to its end and return its exit code, however this process is told to stop.

    A terminal sends Ctrl-C to both; of what queues send to this process alone the child is told. It
    then saves what it has, which takes a step.
    """
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    handlers = {signal.SIGINT: lambda *_: None, signal.SIGTERM: lambda *_: child.terminate()}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(out: Path, names: list[str], as_json: bool) -> None:
    """Write the report, and print how each exhibit went."""
    from gan_eval.report.page import report

    page = report(out).files[-1]
    lines = [found[-1] for name in names if (found := list(read_lines(out / name / _LINES)))]
    if as_json:
        print_json({"exhibits": lines, "files": [str(page.resolve())]})
        return
    rows = [
        (
            line["benchmark"],
            "run" if line["run"] else "not run",
            f"{line['seconds']:.0f}",
            "; ".join(filter(None, (each["what"] for each in line["missing"]))),
        )
        for line in lines
    ]
    print_table("Exhibits", ("exhibit", "", "seconds", "left out"), rows)
    say(f"Written: {page}")
