"""The JSON lines of a results folder, checked one by one, so that a page can be made of them.

What would break the page is refused here, by file and line; what merely says nothing to it, such as
a word where a number should be, is left to the page, which passes over it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from gan_eval.errors import InputError
from gan_eval.files import LARGEST
from gan_eval.records import SCHEMA, Record
from gan_eval.report.exhibits import CLAIMS, EXHIBITS
from gan_eval.report.values import number_at

_MAPPINGS = ("protocol", "config", "result", "fingerprints", "controls", "versions", "hardware")
_TEXTS = ("exhibit", "name", "time")
_LISTS = ("deviations", "advice")
_FIELDS = {each.name for each in fields(Record)}
_PARTS = ("trained", "features", "data", "fake", "real")  # of the config, where it has them
# What lines of earlier versions do not say.
_LATER: dict[str, Any] = {"quick": False}
_MOST = 2**63  # of a count, as 64 bits hold it
_LEVELS = 50  # of lists and mappings within each other
_FOLDER = re.compile(r"[A-Za-z0-9_-]{1,100}")  # an exhibit is a part of file names


def lines_of(folder: Path, path: Path, notices: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each line is and what it holds; one that a kill cut short is only noticed.

    Raises:
        InputError: another line is none, or holds what is no plain number or text.
    """
    text = path.read_bytes()
    for number, line in enumerate(text.split(b"\n"), 1):
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            found = json.loads(
                line,
                parse_constant=_refuse,
                parse_float=lambda text: float(_bounded(text)),
                parse_int=lambda text: int(_bounded(text)),
            )
            if not isinstance(found, dict):
                raise ValueError("no object")
            _check(found)
        except (ValueError, RecursionError) as error:
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


def _bounded(text: str) -> str:
    """Return `text`, a number of any length; as a float the longest are infinite, no error."""
    if abs(float(text)) >= LARGEST:
        raise ValueError(f"a number beyond {LARGEST:g}: {text[:20]}")
    return text


def _check(value: Any, levels: int = _LEVELS) -> None:
    """Refuse text that no file can hold, and what is nested too deeply to be walked through."""
    if not levels:
        raise ValueError(f"nested more than {_LEVELS} deep")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict | list):
        for each in (*value, *value.values()) if isinstance(value, dict) else value:
            _check(each, levels - 1)


def record_of(line: Mapping[str, Any], place: str) -> Record:
    """Return the record that a line holds; fields that this version does not know are dropped.

    Raises:
        InputError: it holds none, or one of a newer version.
    """
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
        | (set() if type(line.get("seed")) is int else {"seed"})
        | (set() if _FOLDER.fullmatch(str(line.get("exhibit"))) else {"exhibit"})
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
    record = Record(**{**found, **lists})
    impossible = next(_impossible(record), None)
    if impossible:
        raise InputError(
            f"{place} must hold rates from 0 to 1, and counts that are whole. Got {impossible}; "
            "mend the line or take it out."
        )
    return record


def _impossible(record: Record) -> Iterator[str]:
    """Yield the rates and counts that verdicts are made of, where they cannot be."""
    kinds = {each.folder: each.kind for each in EXHIBITS}
    for claim in CLAIMS:
        if kinds[claim.exhibit] == record.exhibit:
            ours = number_at(record, claim.ours, claim.at)
            if claim.fraction and ours is not None and not 0 <= ours <= 1:
                yield f"{claim.ours} of {ours}"
            trials = number_at(record, claim.trials) if claim.trials else None
            if trials is not None and (not 0 <= trials < _MOST or trials != int(trials)):
                yield f"{claim.trials} of {trials}"


def check_row(line: Mapping[str, Any], place: str) -> None:
    """Check a script's line, which may hold anything but in the few fields that are looked into.

    Raises:
        InputError: one of these is no list.
    """
    for name in _LISTS:
        if not isinstance(line.get(name), list | None):
            raise InputError(
                f"{place} must hold a list of {name}. Got {line[name]!r}; mend the line or take it "
                "out."
            )


def missing_of(line: Mapping[str, Any], place: str) -> list[dict[str, str]]:
    """Return what a line says was left out.

    Raises:
        InputError: it does not say so of each.
    """
    if not all(
        isinstance(each, dict) and {"what", "needs"} <= each.keys() for each in line["missing"]
    ):
        raise InputError(
            f"{place} must say of each missing row what it is and needs. Got {line['missing']}; "
            "take the line out."
        )
    return [{name: str(each[name]) for name in ("what", "needs")} for each in line["missing"]]
