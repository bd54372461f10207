"""The controls of a discriminator's classification, which are records of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gan_eval.records import Record
from gan_eval.report.values import number_at, value_at


def with_siblings(records: Sequence[Record]) -> list[Record]:
    """Return records of classifications with the controls that were measured by themselves."""
    return [
        replace(record, controls={**_siblings(record, records), **record.controls})
        if record.exhibit == "classify" and record.name == "disc"
        else record
        for record in records
    ]


def _siblings(record: Record, records: Sequence[Record]) -> dict[str, float]:
    """Return the lowest error of each control of a discriminator's, in fair competition.

    By the same protocol on the same images; an untrained D of the same architecture, used alike.
    """

    features = _features(record)

    def fair(each: Record) -> bool:
        theirs = _features(each)
        return (
            (each.protocol, each.fingerprints.get("test"))
            == (record.protocol, record.fingerprints.get("test"))
            and theirs.get("mirror", False) == features.get("mirror", False)
            and ("network" not in theirs or theirs == features)
        )

    found: dict[str, float] = {}
    for each in records:
        error = number_at(each, "result.error_mean")
        if each.name != "disc" and error is not None and fair(each):
            found[each.name] = min(error, found.get(each.name, error))
    return found


def _features(record: Record) -> dict[str, Any]:
    """Return how features were made, but for the weights."""
    features = value_at(record, "config.features")
    unlike = ("weights_sha256", "precision")
    items = features.items() if isinstance(features, Mapping) else ()
    return {name: value for name, value in items if name not in unlike}
