"""The report: one self-contained page, and the tables beside it, rebuilt from a results folder.

Nothing of the day or the machine goes in, so that the same results give the same bytes. Text of
records and file names is escaped by the template; pictures are part of the page.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from gan_eval.files import legible, write_bytes
from gan_eval.records import Record
from gan_eval.report.curves import panels_of
from gan_eval.report.exhibits import EXHIBITS, Exhibit
from gan_eval.report.pictures import Picture, by_run, inline, inline_curves
from gan_eval.report.read import Results, Section, read_results
from gan_eval.report.render import write_tables
from gan_eval.report.tables import (
    Table,
    comparison,
    scores,
    shown_lines,
    shown_scores,
)
from gan_eval.report.values import subject
from gan_eval.report.verdicts import NOTE, RULE, Line, counting
from gan_eval.visualize.series import draw_panels

_LONG = 12  # entries of a list that provenance shows at most


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What was written, and the lines of every exhibit's main table by its title."""

    files: tuple[Path, ...]
    lines: Mapping[str, list[Line]]
    notices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A section as the template takes it."""

    exhibit: Exhibit
    lines: list[Line]
    table: pd.DataFrame | None
    tables: list[Table]
    scores: list[tuple[str, pd.DataFrame]]
    pictures: Mapping[str, list[Picture]]
    curves: list[Picture]
    deviations: Mapping[str, list[str]]
    advice: Mapping[str, list[str]]
    provenance: list[tuple[str, str]]

    @property
    def verdicts(self) -> dict[str, int]:
        """How often each verdict stands in the main table, quoted numbers not counted."""
        return Counter(line.verdict for line in counting(self.lines) if line.verdict != "quoted")


def report(folder: Path) -> Reported:
    """Write report.html and tables/ into a results folder, from the JSON lines and PNGs in it.

    tables/<exhibit>.md, .csv and .tex are the paper's numbers beside ours; <exhibit>_scores all
    scores. Where lines of other folders are no exhibit's, only the latter are written.

    Raises:
        InputError: the folder holds nothing, or a line or picture of it is broken; nothing was
            written.
    """
    results = read_results(folder)
    parts = _parts(results)
    page = _template().render(parts=parts, rule=RULE, note=NOTE, notices=results.notices)
    files = []
    for part in parts:
        stem = folder / "tables" / part.exhibit.folder
        if part.table is not None:
            files += write_tables(stem, pd.DataFrame(part.lines), [("", part.table)])
        if part.tables:
            whole = pd.concat([each.frame.assign(table=each.caption) for each in part.tables])
            files += write_tables(stem.with_name(f"{stem.name}_scores"), whole, part.scores)
    files.append(folder / "report.html")
    write_bytes(files[-1], legible(page).encode())
    return Reported(
        files=tuple(files),
        lines={part.exhibit.title: part.lines for part in parts if part.table is not None},
        notices=results.notices,
    )


def _parts(results: Results) -> list[_Part]:
    """Return every exhibit, run or not, and then whatever else there is."""
    known = {each.folder for each in EXHIBITS}
    others = [
        Exhibit(folder=name, title=name.replace("_", " "), heading="", claim="")
        for name in results.sections
        if name not in known
    ]
    return [
        _part(each, results.sections.get(each.folder, Section()), each.folder in known)
        for each in (*EXHIBITS, *others)
    ]


def _part(exhibit: Exhibit, section: Section, of_paper: bool) -> _Part:
    lines = comparison(exhibit, section) if of_paper else []
    tables = scores(section)
    return _Part(
        exhibit=exhibit,
        lines=lines,
        table=shown_lines(lines) if of_paper else None,
        tables=tables,
        scores=[(each.caption, shown_scores(each.frame)) for each in tables],
        pictures={
            run: [inline(path, exhibit.folder) for path in paths]
            for run, paths in by_run(section.pictures).items()
        },
        curves=[
            inline_curves(draw_panels([panel]), panel.title.replace("\n", ": "))
            for panel in panels_of(section.records)
        ],
        deviations=_said(section, "deviations"),
        advice=_said(section, "advice"),
        provenance=_provenance(section),
    )


def _said(section: Section, what: str) -> dict[str, list[str]]:
    """Return each sentence of `what`, and which numbers it is said of."""
    found: dict[str, list[str]] = {}
    said = [(subject(each), getattr(each, what)) for each in section.records]
    said += [(str(row.get("name", "")), row.get(what) or ()) for row in section.rows]
    for name, sentences in said:
        for sentence in sentences:
            names = found.setdefault(str(sentence), [])
            if name not in names:
                names.append(name)
    return found


def _provenance(section: Section) -> list[tuple[str, str]]:
    """Return a title and everything that is known, for each record and each line of a script."""

    def title(record: Record, more: str = "") -> str:
        return f"{subject(record)}, {record.protocol.get('name')}, {record.time}{more}"

    return [
        *((title(each), _text(each.to_json())) for each in section.records),
        *((title(each, ", replaced by a newer one"), _text(each.to_json()))
          for each in section.older),
        *((str(row.get("name", row.get("benchmark", f"line {number}"))), _text(row))
          for number, row in enumerate(section.rows, 1)),
    ]  # fmt: skip


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(_shortened(value), indent=1, ensure_ascii=False)


def _shortened(value: Any) -> Any:
    """Return `value` with long lists cut, as the JSON lines hold them whole."""
    if isinstance(value, Mapping):
        return {key: _shortened(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        kept: Sequence[Any] = [_shortened(each) for each in value[:_LONG]]
        return [*kept, f"… {len(value) - _LONG} more"] if len(value) > _LONG else kept
    return value


def _template() -> Any:
    loader = PackageLoader("gan_eval.report", "")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html")
