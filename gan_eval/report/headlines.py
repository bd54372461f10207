"""The results in short: every number beside the paper's, and every claim once."""

from collections import Counter

import pandas as pd

from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.read import Results, Section
from gan_eval.report.tables import comparison, shown_lines
from gan_eval.report.verdicts import counting


def headlines(results: Results) -> pd.DataFrame:
    """Return the numbers beside the paper's, and each claim with how often which verdict is."""
    parts = []
    for exhibit in EXHIBITS:
        section = results.sections.get(exhibit.folder, Section())
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
