"""Results as frames: for each exhibit the paper's numbers beside ours, and all scores.

Frames hold numbers as they are, rates as fractions; `shown` makes of them what people read.
"""

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from gan_eval.records import Record
from gan_eval.report.controls import with_siblings
from gan_eval.report.exhibits import CLAIMS, Exhibit
from gan_eval.report.paper import PUBLISHED
from gan_eval.report.read import Section
from gan_eval.report.seeds import over_seeds
from gan_eval.report.trainings import longest
from gan_eval.report.values import curve_of, is_number, steps_of, subject, value_at
from gan_eval.report.verdicts import Line, Word, beside, claimed

_COLUMNS = ("number", "paper", "ours", "difference", "verdict", "of", "why")
# Scores of each kind of record, and which of them are rates.
_SCORES = {
    "classify": (
        "feature_width", "C", "edge", "train_error", "validation_error", "error_mean",
        "error_spread", "draws", "n_test",
    ),
    "neighbors": ("error", "samples", "mean", "median", "least", "nearer_than_real"),
    "dedup": ("duplicates", "radius", "planted_recall", "false_positive_rate", "false_of_called"),
    "interpolate": ("path_length", "jump_ratio", "nearest_train_distance"),
    "filters": ("selectivity", "concentration"),
    "dropout": ("before", "after", "still", "gained", "shown", "maps_dropped", "feature_distance"),
    "arithmetic": ("success_rate", "low", "high", "trials", "seen", "overlaid"),
    "score": (
        "fid", "fid_infinity", "kid_mean", "kid_std", "isc_mean", "isc_std", "precision", "recall",
        "density", "coverage", "n_fake", "n_real", "extractor", "resize", "architecture",
    ),
}  # fmt: skip
_RATES = {
    "train_error", "validation_error", "error_mean", "error_spread", "error", "planted_recall",
    "false_positive_rate", "false_of_called", "before", "after", "still", "gained",
    "success_rate", "seen", "overlaid", "low", "high",
    "nearer_than_real", "error_std", "lowest_error", "highest_error",
}  # fmt: skip
# Of a script's lines, what stands elsewhere on the page.
_UNSHOWN = ("benchmark", "command", "versions", "commit", "time", "last", "data", "deviations")
_REPEATED = "the same training from several seeds (standard deviation: divisor n - 1)"
_MANY = 20  # numbers of a list at most that a table sums up
_LONG = 60  # characters of another list at most that fit into a cell


@dataclass(frozen=True, kw_only=True)
class Table:
    """A frame of numbers that may be compared, and what it is of."""

    caption: str
    frame: pd.DataFrame


def comparison(exhibit: Exhibit, section: Section) -> list[Line]:
    """Return the lines of an exhibit's main table, also where nothing was run.

    Of several trainings of a network on the same images the longest; all are among the scores.
    """
    mine = with_siblings([each for each in section.records if each.exhibit == exhibit.kind])
    # Imported weights, say, were trained for as long as can be.
    records = sorted(longest(mine), key=lambda each: steps_of(each) or math.inf, reverse=True)
    lines = [
        *(line for each in PUBLISHED if each.exhibit == exhibit.folder
          for line in beside(each, records)),
        *(line for each in CLAIMS if each.exhibit == exhibit.folder
          for line in claimed(each, records)),
    ]  # fmt: skip
    # What keeps the whole exhibit from being run.
    whole = next((each["needs"] for each in section.missing if not each["what"]), "")
    if all(line.verdict == "quoted" for line in lines):
        there = bool(section.records or section.rows or section.pictures)
        word: Word = "measured" if there else "not run"
        why = "see the scores and pictures below" if there else whole
        lines.append(Line(what=exhibit.heading, verdict=word, why=why))
    lines += [
        Line(what=each["what"], verdict="not run", why=each["needs"])
        for each in section.missing
        if each["what"]
    ]
    lines.sort(key=lambda line: line.verdict == "quoted")
    return [
        replace(each, why=each.why or whole) if each.verdict == "not run" else each
        for each in lines
    ]


def shown_lines(lines: Sequence[Line]) -> pd.DataFrame:
    """Return an exhibit's main table as people read it: rates in percent, † if remembered."""
    rows = [
        (
            line.what,
            _number(line.paper, line.paper_spread, line.fraction) + "†" * line.remembered,
            _number(line.ours, line.spread, line.fraction) + " (quick)" * line.quick,
            _difference(line),
            line.verdict,
            line.of or "–",
            line.why or "–",
        )
        for line in lines
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _number(value: float | None, spread: float, fraction: bool) -> str:
    if value is None:
        return "–"
    if not fraction:
        return f"{value:.4g}"
    behind = f" ± {100 * spread:.1f}" if spread else ""
    return f"{f'{100 * value:.2f}'.removesuffix('0')}{behind} %"


def _difference(line: Line) -> str:
    if line.difference is None:
        return "–"
    return f"{100 * line.difference:+.2f}" if line.fraction else f"{line.difference:+.3g}"


def scores(section: Section) -> list[Table]:
    """Return all scores, those of one protocol and the same data in one table.

    A record's controls have lines of their own. Lines of scripts make a table for each script, and
    trainings from several seeds one more.
    """
    groups: dict[str, list[Record]] = {}
    for record in section.records:
        groups.setdefault(_comparable(record), []).append(record)
    tables = [
        Table(caption=_caption(records[0]), frame=frame)
        for records in groups.values()
        if len(frame := _scored(records))
    ]
    turns = [_turned(record) for record in section.records if value_at(record, "result.turn")]
    tables += [table for table in turns if len(table.frame)]
    repeated = over_seeds(section.records)
    if repeated is not None:
        tables.append(Table(caption=_REPEATED, frame=repeated))
    scripts = dict.fromkeys(str(row.get("benchmark", "")) for row in section.rows)
    for script in scripts:
        rows = [row for row in section.rows if str(row.get("benchmark", "")) == script]
        tables.append(Table(caption=script.replace("_", " "), frame=_scripted(rows)))
    return tables


def _turned(record: Record) -> Table:
    """Return the shares of samples that show what a turn leads to, a column for each step."""
    sides = {subject(record): record.result, **record.controls}
    rows = []
    for name, side in sides.items():
        turn = side.get("turn") if isinstance(side, Mapping) else None
        shown = curve_of(turn.get("steps"), turn.get("rates")) if isinstance(turn, Mapping) else []
        if shown:
            rows.append({"of": name, **{f"{step:+g}": 100 * rate for step, rate in shown}})
    caption = f"samples that show {value_at(record, 'config.turn_target')} after a step, in %"
    return Table(caption=caption, frame=pd.DataFrame(rows))


def _comparable(record: Record) -> str:
    """Return what records must share to stand in one table."""
    of_model = ("weights", "fake")
    data = {key: value for key, value in record.fingerprints.items() if key not in of_model}
    versions = dict(record.versions) if record.exhibit == "score" else {}
    return json.dumps([record.exhibit, record.protocol, data, versions], sort_keys=True)


def _caption(record: Record) -> str:
    data = value_at(record, "config.data.name")
    version = record.protocol.get("version")
    real, form = value_at(record, "config.real") or {}, ""
    if real.get("size") and real.get("channels"):
        reference = str(real.get("fingerprint", "")).partition(":")[2][:8]
        form = f", {real['size']}x{real['size']}x{real['channels']}, reference {reference}"
    subset = record.protocol.get("kid_subset_size")
    return (
        str(record.protocol.get("name", record.exhibit))
        + form
        + (f", KID by subsets of {subset:,}" if is_number(subset) else "")
        + (f", version {version}" if version is not None else "")
        + (f", on {data}" if data else "")
    )


def _scored(records: Sequence[Record]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for record in records:
        names = _SCORES.get(record.exhibit) or tuple(
            name for name, value in record.result.items() if not isinstance(value, dict | list)
        )
        controls = {f"control: {name}": value for name, value in record.controls.items()}
        for name, found in _mappings(subject(record), {**record.result, **controls}):
            if set(found) & set(names) and found.get("trials") != 0:
                rows.append({"of": name, **{each: found.get(each) for each in names}})
    if records[0].exhibit == "score":
        rows.sort(key=lambda row: row["fid"] if is_number(row["fid"]) else math.inf)
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _mappings(name: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a mapping and those within it, each with a name that says where it lies."""
    if isinstance(value, Mapping):
        yield name, value
        for key, each in value.items():
            yield from _mappings(f"{name}, {key}", each)


def _scripted(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the newest line of each name, training and number, a cell for what fits into one."""
    newest: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for number, row in enumerate(rows):
        name = row.get("name", row.get("part", number))
        about = (name, *map(row.get, ("run", "steps", "n")), bool(row.get("quick")))
        newest[tuple(map(str, about))] = row
    cells = [
        {
            name: cell
            for key, value in row.items()
            for name, cell in _cells(key, value)
            if key not in _UNSHOWN
        }
        for row in newest.values()
    ]
    return pd.DataFrame(cells).dropna(axis="columns", how="all")


def _cells(key: str, value: Any) -> list[tuple[str, Any]]:
    """Return the cells of a value: lists of numbers as median and ends, mappings in parts.

    Of other lists those that fit into a cell, as JSON.
    """
    if isinstance(value, Mapping):
        if key == "hardware":
            return [(key, ", ".join(f"{name} {each}" for name, each in value.items()))]
        return [cell for name, each in value.items() for cell in _cells(f"{key}: {name}", each)]
    if isinstance(value, list) and value and all(map(_named, value)):
        named = {next(iter(each.values())): each for each in value}  # by what they begin with
        return _cells(key, {name: dict(list(each.items())[1:]) for name, each in named.items()})
    if isinstance(value, list):
        numbers = [each for each in value if isinstance(each, int | float)]
        if not numbers or len(numbers) < len(value):
            text = json.dumps(value, ensure_ascii=False)
            return [(key, text)] if len(text) <= _LONG else []
        if len(value) > _MANY:
            return []
        middle, ends = statistics.median(numbers), (min(numbers), max(numbers))
        return [(key, f"{middle:.4g} ({ends[0]:.4g} … {ends[1]:.4g})")]
    return [(key, value)]


def _named(value: Any) -> bool:
    """Return whether this is a mapping that begins with a word or a number."""
    return isinstance(value, Mapping) and isinstance(
        next(iter(value.values()), None), str | int | float
    )


def shown_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Return scores as people read them: rates in percent, four digits of a number."""
    text = pd.DataFrame({name: [_shown(name, each) for each in frame[name]] for name in frame})
    return text.rename(columns=lambda name: str(name).replace("_", " ") + " %" * (name in _RATES))


def _shown(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if not is_number(value):
        return str(value)
    number = 100 * value if name in _RATES else value
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:.4g}"
