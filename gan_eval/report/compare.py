"""Two runs side by side: what they were asked to be, and what became of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_eval.errors import InputError
from gan_eval.experiments.account import slug
from gan_eval.experiments.study import check_run
from gan_eval.files import StrPath, expanded, write_bytes
from gan_eval.models.runs import Run
from gan_eval.visualize.series import Panel, draw_panels

# Of a config, what the rest of it says already.
_REPEATED = ("asked", "deviations", "format")
# Where images lie on a machine: which they are says their fingerprint.
_PLACES = ("data.root", "data.name", "data.source")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What differs between two runs.

    Attributes:
        names: what the runs are called.
        config: settings that differ, with the value in each run; None where a run has none.
        metrics: the last row of each run's metrics.jsonl, by the name of the figure.
        figure: the curves of both; None where no run was trained here.
    """

    names: tuple[str, str]
    config: Mapping[str, tuple[Any, Any]]
    metrics: Mapping[str, tuple[float | None, float | None]]
    figure: Path | None


def compare(a: Run, b: Run, out: StrPath | None = None) -> Compared:
    """Return in which settings and in which final figures two runs differ, and draw their curves.

    Args:
        a, b: the runs.
        out: where the figure goes; None takes the folder of `a`.

    Raises:
        InputError: a folder holds no run, or both are one; nothing was written.
    """
    check_run(a)
    check_run(b)
    if a.folder.resolve() == b.folder.resolve():
        raise InputError(f"RUN_B must be another run than RUN_A. Got {a.folder} twice; name two.")
    runs = (a, b)
    settings = [dict(_flat("", run.config().to_json())) for run in runs]
    rows = [run.rows() for run in runs]
    names = _names(a.folder, b.folder)
    metrics = _last(rows[0], rows[1])
    figure = None
    curves = dict(zip(names, rows, strict=True))
    panels = [_panel(name, curves) for name in metrics if name != "epoch"]
    if panels:
        figure = expanded(out or a.folder) / f"{slug('compare', *names)}.png"
        write_bytes(figure, draw_panels(panels))
    return Compared(names=names, config=_differences(*settings), metrics=metrics, figure=figure)


def _names(a: Path, b: Path) -> tuple[str, str]:
    names = (a.resolve().name, b.resolve().name)
    return names if names[0] != names[1] else (str(a.resolve()), str(b.resolve()))


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the dotted names and the values of a config; lists of plain values are one value."""
    nested = isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value)
    if not nested and not isinstance(value, Mapping):
        yield path, value
        return
    items = value.items() if isinstance(value, Mapping) else enumerate(value, 1)
    for name, each in items:
        if path or name not in _REPEATED:
            yield from _flat(f"{path}.{name}" if path else str(name), each)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    alike = _PLACES if a.get("data.fingerprint") == b.get("data.fingerprint") else ()
    return {
        name: (a.get(name), b.get(name))
        for name in dict.fromkeys((*a, *b))
        if name not in alike and json.dumps(a.get(name)) != json.dumps(b.get(name))
    }


def _last(
    a: list[dict[str, Any]], b: list[dict[str, Any]]
) -> dict[str, tuple[float | None, float | None]]:
    """Return the newest value of every figure that is written while training."""
    found = [{name: value for row in rows for name, value in row.items()} for rows in (a, b)]
    names = sorted(found[0].keys() | found[1].keys(), key=lambda name: (name != "epoch", name))
    return {name: (found[0].get(name), found[1].get(name)) for name in names if name != "step"}


def _panel(name: str, curves: Mapping[str, list[dict[str, Any]]]) -> Panel:
    lines = {
        run: points
        for run, rows in curves.items()
        if (points := [(row["epoch"], row[name]) for row in rows if name in row])
    }
    return Panel(title=name.replace("_", " "), x="epoch", y="", lines=lines)
