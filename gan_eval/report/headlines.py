"""The results in short: every number beside the paper's, and every claim once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from gan_eval.records import Record
from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.read import Results, Section
from gan_eval.report.tables import comparison, shown_lines
from gan_eval.report.values import trained, value_at
from gan_eval.report.verdicts import counting


def longest(records: Sequence[Record]) -> list[Record]:
    """Return the records without those of a network that was trained longer on the same images."""

    def training(record: Record) -> tuple[Any, ...]:
        paths = ("exhibit", "name", "protocol.labels_per_class", "config.features.mirror")
        of = (trained(record, name) for name in ("preset", "trained_on"))
        return (*(value_at(record, path) for path in paths), *of)

    most: dict[tuple[Any, ...], int] = {}
    for record in records:
        steps = trained(record, "steps") or 0
        most[training(record)] = max(steps, most.get(training(record), 0))
    # Weights of others do not say how long they were trained.
    return [each for each in records if trained(each, "steps") in (None, 0, most[training(each)])]


def headlines(results: Results) -> pd.DataFrame:
    """Return the numbers beside the paper's, and each claim with how often which verdict is."""
    parts = []
    for exhibit in EXHIBITS:
        section = results.sections.get(exhibit.folder, Section())
        section = replace(section, records=longest(section.records))
        lines = counting([each for each in comparison(exhibit, section) if each.ours is not None])
        numbers = [line for line in lines if line.paper is not None]
        claims = [line for line in lines if line.paper is None]
        words: dict[str, Counter[str]] = {}
        for line in claims:
            words.setdefault(line.what, Counter())[line.verdict] += 1
        firsts = {line.what: line for line in reversed(claims)}
        shown = shown_lines([*numbers, *(firsts[what] for what in words)])
        shown["verdict"] = [*(line.verdict for line in numbers), *map(_counted, words.values())]
        parts.append(shown.assign(exhibit=exhibit.title))
    return pd.concat(parts)[["exhibit", "number", "of", "paper", "ours", "verdict"]]


def _counted(words: Counter[str]) -> str:
    """Return the one verdict, or how many of each there are; the first's number is shown."""
    several = words.total() > 1
    return ", ".join(f"{n} {word}" if several else word for word, n in words.items())
