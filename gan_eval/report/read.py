"""Results from a folder: its JSON lines, checked one by one, and its pictures, by exhibit.

`<folder>/<exhibit>/`, with the folders in it, holds what belongs to an exhibit; lines of other
folders stand by themselves.
A record that lies in `<folder>` itself, as in a run's, goes where its kind belongs.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from gan_eval.errors import InputError
from gan_eval.records import SCHEMA, Record
from gan_eval.report.exhibits import EXHIBITS

_MAPPINGS = ("protocol", "config", "result", "fingerprints", "controls", "versions", "hardware")
_TEXTS = ("exhibit", "name", "time")
_LISTS = ("deviations", "advice")
_FIELDS = {each.name for each in fields(Record)}
_PARTS = ("trained", "features", "data", "fake", "real")  # of the config, where it has them
# What lines of earlier versions do not say.
_LATER: dict[str, Any] = {"quick": False}
# What tells a training from another, beside its seed, which older records do not know.
_TRAINING = ("run", "epoch", "preset", "trained_on")
# What a number was asked to be of, beside protocol, data and weights.
_VARIANTS = ("features", "label", "target", "turn_target", "object")


# How names of pictures begin, beside the records of a run.
_PICTURES = (
    ("arithmetic-turn", "figure_8_turn"),
    ("arithmetic", "figure_7_arithmetic"),
    ("classify-cifar10", "table_1_cifar10"),
    ("classify-svhn", "table_2_svhn"),
    ("classify", "classify"),
    ("dedup", "section_4_1_1_dedup"),
    ("dropout", "figure_6_forget"),
    ("filters", "figure_5_filters"),
    ("interpolate", "figure_4_walk"),
    ("losses", "figure_2_3_samples"),
    ("neighbors", "table_3_mnist"),
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """What a folder holds.

    Attributes:
        records: the newest of each kind of number, in the order of the lines.
        older: those that newer ones of the same name, protocol, data and weights replace.
        rows: lines that are no records, as speed scripts write them.
        pictures: the PNGs.
        missing: what `gan-eval benchmark` left out the last time, and what it needs; of runs in a
            hurry only where there was no other.
    """

    records: list[Record] = field(default_factory=list)
    older: list[Record] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything under a results folder.

    Attributes:
        sections: by folder; exhibits that nothing was found of are missing.
        notices: lines that a kill cut short, in words.
    """

    sections: Mapping[str, Section]
    notices: tuple[str, ...]


def read_results(folder: Path) -> Results:
    """Return what `folder` holds.

    Raises:
        InputError: it is no folder, holds no numbers, or a line of it is broken or too new; the
            message names file and line.
    """
    if not folder.is_dir():
        raise InputError(f"results must be a folder. Got {folder}, which is none; check the path.")
    notices: list[str] = []
    sections: dict[str, Section] = {}
    missing: dict[str, dict[bool, list[dict[str, str]]]] = {}
    for path in _files(folder, ".jsonl"):
        for place, line in _lines(folder, path, notices):
            record = _record(line, place) if "schema" in line else None
            for home in _homes(folder, path, record):
                section = sections.setdefault(home, Section())
                if isinstance(line.get("missing"), list):
                    found = _missing(line, place)
                    missing.setdefault(home, {})[bool(line.get("quick"))] = found
                elif record is None and line not in section.rows:
                    section.rows.append(line)
                if record is not None and record not in section.records:
                    section.records.append(record)
    for home, by_quick in missing.items():
        # A hurried run asks for fewer rows, and says nothing of what a full one left out.
        sections[home].missing[:] = by_quick.get(False, by_quick.get(True, []))
    if not sections:
        raise InputError(
            f"results must hold JSON lines. Found none in {folder}; write some first, as "
            f"`gan-eval classify --data digits --out {folder}` does."
        )
    for path in _files(folder, ".png"):
        for home in _homes(folder, path, None):
            sections.setdefault(home, Section()).pictures.append(path)
    return Results(
        sections={name: _newest(section) for name, section in sections.items()},
        notices=tuple(notices),
    )


def _files(folder: Path, suffix: str) -> list[Path]:
    own = "records.jsonl" if suffix == ".jsonl" else f"[!.]*{suffix}"
    inner = (folder.glob(f"{depth}[!.]*{suffix}") for depth in ("*/", "*/*/", "*/*/*/"))
    found = (*folder.glob(own), *(path for some in inner for path in some))
    return sorted(path for path in found if path.is_file())


def _lines(folder: Path, path: Path, notices: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each line is and what it holds; one that a kill cut short is only noticed."""
    text = path.read_bytes()
    for number, line in enumerate(text.split(b"\n"), 1):
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_constant=_refuse, parse_float=_finite)
            if not isinstance(found, dict):
                raise ValueError("no object")
        except ValueError as error:
            if number == text.count(b"\n") + 1:
                where = path.relative_to(folder).as_posix()
                notices.append(f"{where}, line {number}: was cut short and is left out.")
                continue
            raise InputError(
                f"{place} must be a JSON object. Got one that is not ({error}); mend the line or "
                "take it out."
            ) from error
        yield place, found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _refuse(text)


def _record(line: Mapping[str, Any], place: str) -> Record:
    """Return the record that a line holds; fields that this version does not know are dropped."""
    schema = line["schema"]
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise InputError(
            f"{place} must be a record of schema {SCHEMA} at most. Got {schema!r}; read it by the "
            "version of gan_eval that wrote it, or a newer one."
        )
    wrong = sorted(
        (_FIELDS - _LATER.keys() - line.keys())
        | {name for name in _MAPPINGS if not isinstance(line.get(name, {}), dict)}
        | {name for name in _TEXTS if not isinstance(line.get(name, ""), str)}
        | {name for name in _LISTS if not isinstance(line.get(name, []), list)}
        | (set() if isinstance(line.get("quick", False), bool) else {"quick"})
    )
    for name in _PARTS if not wrong else ():
        if not isinstance(line["config"].get(name), dict | None):
            wrong.append(f"config.{name}")
    if wrong:
        raise InputError(
            f"{place} must be a whole record of schema {SCHEMA}. Got none of, or a wrong kind of, "
            f"{', '.join(wrong)}; mend the line or take it out."
        )
    lists = {name: tuple(map(str, line[name])) for name in _LISTS}
    found = {**_LATER, **{name: line[name] for name in _FIELDS if name in line}}
    return Record(**{**found, **lists})


def _missing(line: Mapping[str, Any], place: str) -> list[dict[str, str]]:
    """Return what a line says was left out."""
    if not all(
        isinstance(each, dict) and {"what", "needs"} <= each.keys() for each in line["missing"]
    ):
        raise InputError(
            f"{place} must say of each missing row what it is and needs. Got {line['missing']}; "
            "take the line out."
        )
    return [{name: str(each[name]) for name in ("what", "needs")} for each in line["missing"]]


def _homes(folder: Path, path: Path, record: Record | None) -> tuple[str, ...]:
    """Return the names of the folders that what lies at `path` belongs to."""
    if path.parent != folder:
        name = path.relative_to(folder).parts[0]
        return ({"samples": "figure_2_3_samples"}.get(name, name),)
    if record is None:
        return (_pictured(path.stem),)
    data = record.config.get("data")
    name = str(data.get("name", "")) if isinstance(data, dict) else ""
    homes = tuple(each.folder for each in EXHIBITS if each.kind == record.exhibit)
    if record.exhibit == "classify":
        homes = tuple(home for home in homes if name and home.split("_")[2] in name)
    if record.exhibit == "arithmetic":  # a sum, a turn, or both
        choices = record.config.get("choices")
        asked = choices.get("asked") if isinstance(choices, dict) else None
        made = [name in (asked or {}) for name in ("a", "from")]
        if any(made):
            return tuple(home for home, there in zip(homes, made, strict=True) if there)
    return homes[:1] or (record.exhibit,)


def _pictured(stem: str) -> str:
    """Return the exhibit of a picture by what the commands call theirs, "run" for others."""
    found = (home for start, home in _PICTURES if stem.startswith(start))
    return next(found, "run")


def _newest(section: Section) -> Section:
    found: dict[str, Record] = {}
    for record in sorted(section.records, key=_order):
        found[_identity(record)] = record
    kept = {id(record) for record in found.values()}
    return replace(
        section,
        records=[record for record in section.records if id(record) in kept],
        older=[record for record in section.records if id(record) not in kept],
    )


def _order(record: Record) -> tuple[int, int, str]:
    """Return what of two records of the same number puts the one that counts last.

    The protocol's version, then how long a comparison was: with more samples it says more.
    """
    version = record.protocol.get("version")
    samples = record.result.get("samples") if record.exhibit == "neighbors" else 0
    whole = (each if type(each) is int else 0 for each in (version, samples))
    return (*whole, record.time)  # type: ignore[return-value]


def _identity(record: Record) -> str:
    """Return what two records of the same number share.

    Of a run that was trained on in between, the newest weights count; of a protocol its newest
    version.
    """
    variant = {name: record.config.get(name) for name in _VARIANTS}
    fingerprints, run = dict(record.fingerprints), record.config.get("trained") or {}
    protocol = {name: value for name, value in record.protocol.items() if name != "version"}
    if run.get("run") and record.exhibit != "neighbors":
        training = [*map(run.get, _TRAINING), run.get("seed") or 0]
        fingerprints["weights"] = json.dumps(training)
        features = variant["features"]
        if isinstance(features, Mapping):
            variant["features"] = {**features, "weights_sha256": None}
    parts = [
        record.exhibit,
        record.name,
        record.quick,
        protocol,
        fingerprints,
        variant,
    ]
    return json.dumps(parts, sort_keys=True)
