"""The controls of a discriminator's classification, which are records of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gan_eval.experiments.account import CONTROLS, controls_of
from gan_eval.records import Record
from gan_eval.report.values import number_at

_NEEDED = ("validation_error", "error_mean")


def with_siblings(records: Sequence[Record]) -> list[Record]:
    """Return records of classifications with the controls that were measured by themselves.

    These count where a record holds one of the same name, which may have been of other features.
    """
    return [
        replace(record, controls={**_fair(record), **_siblings(record, records)})
        if record.exhibit == "classify" and record.name == "disc"
        else record
        for record in records
    ]


def _fair(record: Record) -> dict[str, Any]:
    """Return the controls that are such: older records hold whatever was classified beside."""
    return {name: error for name, error in record.controls.items() if name in CONTROLS}


def _siblings(record: Record, records: Sequence[Record]) -> dict[str, float]:
    """Return the error of each control of a discriminator's, in fair competition.

    By the same protocol on the same images; an untrained D of the same architecture, used alike.
    """
    alike = [
        each
        for each in records
        if each.protocol == record.protocol
        and _alike(each.fingerprints, record.fingerprints)
        and None not in (number_at(each, f"result.{name}") for name in _NEEDED)
    ]
    return controls_of(alike, record.config.get("features") or {})


def _alike(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Return whether two classifications were tested on the same images, and learned from the same.

    The latter as far as both say so.
    """
    said = [part for part in ("train", "train+validation") if part in a and part in b]
    return all(a.get(part) == b.get(part) for part in ("test", *said))
