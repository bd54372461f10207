"""How much of a number is the luck of one training: the same network trained from several seeds."""

import json
import statistics
from collections.abc import Iterable, Mapping

import pandas as pd

from gan_eval.records import Record
from gan_eval.report.values import changed, number_at, steps_of, trained, value_at, views_of

# Of each kind of record, the score that trainings are compared by.
_SCORE = {"classify": "error_mean", "neighbors": "error"}
_ALIKE = ("preset", "trained_on", "trained_split", "images", "steps")


def over_seeds(records: Iterable[Record]) -> pd.DataFrame | None:
    """Return mean, standard deviation and ends of a score over trainings that differ in the seed.

    Trainings of one network on the same images for as many steps, measured by the same protocol on
    the same data, make a row; None where no two differ in their seed.
    """
    groups: dict[str, tuple[Record, dict[int, float]]] = {}
    for record in (each for each in records if each.exhibit in _SCORE):
        seed, score = trained(record, "seed"), number_at(record, f"result.{_SCORE[record.exhibit]}")
        if score is not None and isinstance(seed, int):
            groups.setdefault(_training(record), (record, {}))[1][seed] = score
    rows = [_row(first, scores) for first, scores in groups.values() if len(scores) > 1]
    return pd.DataFrame(rows) if rows else None


def _training(record: Record) -> str:
    """Return what records of trainings that differ in nothing but the seed have in common."""
    data = {key: value for key, value in record.fingerprints.items() if key != "weights"}
    features = dict(record.config.get("features") or {}, weights_sha256=None)
    alike = [*(trained(record, name) for name in _ALIKE), changed(record), record.precision]
    about = [record.exhibit, record.name, record.quick, record.protocol, features, alike, data]
    samples = number_at(record, "result.samples")
    return json.dumps([*about, samples], sort_keys=True)


def _row(first: Record, scores: Mapping[int, float]) -> dict[str, object]:
    found = scores.values()
    data, protocol = value_at(first, "config.data.name"), first.protocol.get("name")
    preset, images, steps = trained(first, "preset"), trained(first, "trained_on"), steps_of(first)
    length = f", {steps:,} steps" if steps else ""
    views = "".join(f", {view}" for view in views_of(first))
    network = f"{first.name} of {preset} trained on {images}{length}{views}"
    return {
        "of": f"{network}, on {data} by {protocol}" + " (quick run)" * first.quick,
        "seeds": ", ".join(map(str, sorted(scores))),
        _SCORE[first.exhibit]: statistics.fmean(found),
        "error_std": statistics.stdev(found),
        "lowest_error": min(found),
        "highest_error": max(found),
    }
