"""Results from a folder: its JSON lines, checked one by one, and its pictures, by exhibit.

`<folder>/<exhibit>/`, with the folders in it, holds what belongs to an exhibit; lines of other
folders stand by themselves.
A record that lies in `<folder>` itself, as in a run's, goes where its kind belongs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from gan_eval.errors import InputError
from gan_eval.experiments.reproduction import STAND_INS
from gan_eval.records import Record
from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.lines import check_row, lines_of, missing_of, record_of
from gan_eval.report.values import changed, value_at

# What tells a training from another, beside its seed, which older records do not know.
_TRAINING = ("run", "epoch", "preset", "trained_on")
# What a number was asked to be of, beside protocol, data and weights.
_VARIANTS = ("features", "label", "target", "turn_target", "object")
# Where classifications of the paper's images, and of what stands in for them, belong.
_CLASSIFIED = {
    "cifar10": "table_1_cifar10",
    "svhn": "table_2_svhn",
    STAND_INS["svhn"]: "table_2_svhn",
}
# First words of the names of pictures, beside the records of a run.
_PICTURES = (
    ("arithmetic-turn", "figure_8_turn"),
    *((f"classify-{name}", home) for name, home in _CLASSIFIED.items()),
    ("classify", "classify"),
    ("losses", "figure_2_3_samples"),
    *((each.kind, each.folder) for each in EXHIBITS if each.kind and each.kind != "score"),
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """What a folder holds.

    Attributes:
        records: the newest of each kind of number, by seed, in the order of the lines.
        older: those that others of the same name, seed, protocol, data and weights replace.
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
        for place, line in lines_of(folder, path, notices):
            record = record_of(line, place) if "schema" in line else None
            for home in _homes(folder, path, record):
                section = sections.setdefault(home, Section())
                if isinstance(line.get("missing"), list):
                    found = missing_of(line, place)
                    missing.setdefault(home, {})[bool(line.get("quick"))] = found
                elif record is None and line not in section.rows:
                    check_row(line, place)
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


def _homes(folder: Path, path: Path, record: Record | None) -> tuple[str, ...]:
    """Return the names of the folders that what lies at `path` belongs to."""
    if path.parent != folder:
        name = path.relative_to(folder).parts[0]
        return ({"samples": "figure_2_3_samples"}.get(name, name),)
    if record is None:
        return (_pictured(path.stem),)
    if record.exhibit == "classify":
        name = str(value_at(record, "config.data.name"))
        return (_CLASSIFIED.get(name, record.exhibit),)
    homes = tuple(each.folder for each in EXHIBITS if each.kind == record.exhibit)
    if record.exhibit == "arithmetic":  # a sum, a turn, or both
        asked = value_at(record, "config.choices.asked")
        made = [isinstance(asked, Mapping) and name in asked for name in ("a", "from")]
        if any(made):
            return tuple(home for home, there in zip(homes, made, strict=True) if there)
    return homes[:1] or (record.exhibit,)


def _pictured(stem: str) -> str:
    """Return the exhibit of a picture by what the commands call theirs, "run" for others."""
    found = (home for start, home in _PICTURES if f"{stem}-".startswith(f"{start}-"))
    return next(found, "run")


def _newest(section: Section) -> Section:
    last = {_identity(each): id(each) for each in sorted(section.records, key=_order)}
    kept = {*last.values()}
    records = [each for each in section.records if id(each) in kept]
    older = [each for each in section.records if id(each) not in kept]
    return replace(section, records=sorted(records, key=attrgetter("seed")), older=older)


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
    fingerprints = dict(record.fingerprints)
    scored = value_at(record, "config.fake.trained")
    run = record.config.get("trained") or (scored if isinstance(scored, Mapping) else {})
    protocol = {name: value for name, value in record.protocol.items() if name != "version"}
    if run.get("run") and record.exhibit != "neighbors":
        training = [*map(run.get, _TRAINING), run.get("seed") or 0]
        training += [] if run is not scored else [changed(record), run.get("images")]
        fingerprints["fake" if run is scored else "weights"] = json.dumps(training)
        features = variant["features"]
        if isinstance(features, Mapping):
            variant["features"] = {**features, "weights_sha256": None}
    about = [record.exhibit, record.name, record.seed, record.quick, protocol]
    return json.dumps([*about, fingerprints, variant], sort_keys=True)
