"""What a number is worth beside the paper's: the rule that the page states, and nothing else."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gan_eval.metrics.intervals import wilson_interval
from gan_eval.records import CUT_SHORT, LENGTH, Record
from gan_eval.report.exhibits import Claim
from gan_eval.report.paper import Condition, Published
from gan_eval.report.values import changed, described, is_number, number_at, value_at

Word = Literal["reached", "near", "short", "not comparable", "measured", "not run", "quoted"]
RULE: tuple[tuple[Word, str], ...] = (
    (
        "reached",
        "at least as good as the paper's number, less 1.96 standard errors over draws or 0.5 "
        "points (Table 3: 0.1, §4.1.1: 0), whichever is more. Where the paper shows no number: "
        "better than every control that why names, a rate with the whole of its 95 % interval and "
        "of 1.96 standard errors over draws, any other score by at least a tenth of the control's.",
    ),
    (
        "near",
        "not that, but short of the paper's number by at most 10 % of its error rate. Without a "
        "number in the paper: better than every one of those controls, but by less than that.",
    ),
    (
        "short",
        "on the paper's images, with its network and protocol, and worse than that (a shorter "
        "training than the recipe's is named under why); without a number in the paper, no better "
        "than the best of those controls.",
    ),
    (
        "not comparable",
        "beside a number of the paper's: measured on other images, from other training images, "
        "with another network or batch size, by another protocol, or of a training that was cut "
        "short: no difference is stated, and the reason is. Against controls, which were measured "
        "alike, anything is judged; what was cut short stands under why.",
    ),
    (
        "measured",
        "the paper shows no number, and no control decides, one is missing that must be beaten, or "
        "ours is of something else; or pictures were drawn and nothing was counted.",
    ),
    ("not run", "nothing was measured yet; where something is missing, why says what."),
    ("quoted", "another method, or what is not measured here: the published number only."),
)
NOTE = (
    "± behind a classification error is 1.96 standard deviations over draws of labelled images, "
    "all tested on one test part: it is no confidence interval of the error on new images, nor of "
    "another training; how much these differ stands where several seeds were trained. A C at an "
    "edge of its grid may not be the best. Of several records of one name, run, protocol, data and "
    "seed the newest counts, of comparisons with generated digits the one with most samples. Of "
    "several trainings of a network on the same images the longest is compared; all of them are "
    "among the scores."
)
_NEAR = 0.1
_CLEARLY = 0.1  # of a control's score, that one without an interval must be better by


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of an exhibit's table. Rates are fractions; what is missing is None.

    Attributes:
        what, of: which number, and of which model and images.
        difference: ours - paper's, or ours - the best control's.
        fraction: whether the numbers are printed in percent.
        quick: whether ours was measured in a hurry.
        why: the reason of the verdict.
    """

    what: str
    of: str = ""
    paper: float | None = None
    paper_spread: float = 0.0
    remembered: bool = False
    ours: float | None = None
    spread: float = 0.0
    difference: float | None = None
    fraction: bool = True
    quick: bool = False
    verdict: Word
    why: str = ""


def judge(published: Published, ours: float, error: float) -> Word:
    """Return the verdict on a number that may be compared with the paper's.

    Args:
        published: the paper's.
        ours: in the same unit.
        error: 1.96 standard errors of it, 0 where there is one draw.

    Example:
        >>> svhn = Published(exhibit="table_2_svhn", what="error", value=0.2248)
        >>> [judge(svhn, ours, 0.01) for ours in (0.21, 0.234, 0.246, 0.25)]
        ['reached', 'reached', 'near', 'short']
    """
    paper = published.value
    behind = ours - paper if published.smaller_is_better else paper - ours
    if behind <= max(error, published.tolerance) + 1e-12:
        return "reached"
    rate = paper if published.smaller_is_better else 1 - paper
    return "near" if behind <= _NEAR * rate + 1e-12 else "short"


def beside(published: Published, records: Sequence[Record]) -> Iterator[Line]:
    """Yield a published number beside each of ours that is meant to be it."""
    paper: dict[str, Any] = {
        "what": published.what,
        "paper": published.value,
        "paper_spread": published.spread,
        "remembered": published.remembered,
        "fraction": published.fraction,
    }
    if published.ours is None:
        yield Line(**paper, verdict="quoted")
        return
    named = [each for each in records if published.name in (None, each.name)]
    protocols = dict.fromkeys(str(each.protocol.get("name")) for each in named)
    of_run = not published.ours.startswith("controls")
    seen: set[tuple[float, bool]] = set()
    for record in named:
        if published.protocol not in (None, record.protocol.get("name")):
            continue
        ours = number_at(record, published.ours, published.at)
        if ours is not None and published.complement:
            ours = 1 - ours
        if ours is not None and (of_run or (ours, record.quick) not in seen):
            seen.add((ours, record.quick))  # records of several runs hold the same control
            spread = number_at(record, "result.error_spread") or 0.0
            own = [*_cut_short(record), *changed(record)] if of_run else []
            why = "; ".join([*_unlike(published.holds_for, record), *own])
            difference = None if why else ours - published.value
            verdict = "not comparable" if why else judge(published, ours, _error(record))
            if verdict in ("near", "short") and of_run:
                why = "; ".join(text for text in record.deviations if text.startswith(LENGTH))
            yield Line(
                **paper,
                of=described(record) if of_run else _control(published.ours, record),
                ours=ours,
                spread=spread,
                quick=record.quick,
                difference=difference,
                verdict=verdict,
                why=why,
            )
    if not seen:
        others = ", ".join(protocols) if published.protocol else ""
        why = f"measured by another protocol only: {others}" if others else ""
        yield Line(**paper, verdict="not run", why=why)


def _control(path: str, record: Record) -> str:
    """Return which control, of which data, lies at a path below "controls"."""
    data = value_at(record, "config.data.name")
    return f"control: {path.split('.')[1]}" + f" on {data}" * bool(data)


def _error(record: Record) -> float:
    """Return 1.96 standard errors of a record's mean error over draws, 0 where there is one."""
    spread = number_at(record, "result.error_spread") or 0.0
    # The spread is that of these draws (divisor n), as the authors print it.
    return spread / math.sqrt(max((number_at(record, "result.draws") or 1) - 1, 1))


def holds(published: Published, record: Record) -> bool:
    """Return whether a published number is of what the record is of."""
    return not [*_unlike(published.holds_for, record), *changed(record)]


def _unlike(conditions: Sequence[Condition], record: Record) -> Iterator[str]:
    for each in conditions:
        got = value_at(record, each.path)
        if got not in each.wanted:
            yield f"{each.what}: {_in_words(got)}, not {_in_words(each.wanted[0])}"


def _in_words(value: Any) -> str:
    if is_number(value):
        return f"{value:,}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)


def _cut_short(record: Record) -> list[str]:
    """Return that a run's training was not over, if it was not."""
    return [text for text in record.deviations if text.startswith(CUT_SHORT)]


def counting(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that are counted: of a number that was measured, none in a hurry."""
    measured = {line.what for line in lines if line.ours is not None and not line.quick}
    return [line for line in lines if not (line.quick and line.what in measured)]


def claimed(claim: Claim, records: Sequence[Record]) -> Iterator[Line]:
    """Yield what each record says of a claim of the paper's pictures."""
    found = 0
    for record in records:
        ours = number_at(record, claim.ours, claim.at)
        if ours is not None and claim.name in (None, record.name):
            found += 1
            yield _claimed(claim, record, ours)
    if not found:
        drawn = any(claim.name in (None, each.name) for each in records)
        why = "drawn, and this number was not counted" if drawn else ""
        word: Word = "measured" if drawn else "not run"
        yield Line(what=claim.what, fraction=claim.fraction, verdict=word, why=why)


def _claimed(claim: Claim, record: Record, ours: float) -> Line:
    sign = 1 if claim.smaller_is_better else -1
    controls = {name: value for path in claim.against for name, value in _controls(path, record)}
    line: dict[str, Any] = {
        "what": claim.what,
        "of": described(record),
        "ours": ours,
        "fraction": claim.fraction,
        "quick": record.quick,
    }
    unlike = "; ".join(_unlike(claim.holds_for, record))
    if not controls or unlike:
        alone = "no control was measured alike" if claim.against else ""
        return Line(**line, verdict="measured", why=unlike or alone)
    best = min(controls.values(), key=lambda value: sign * value)
    verdict: Word = "reached"
    if sign * ours >= sign * best:
        verdict = "short"
    elif sign * _cautious(claim, record, ours, abs(best)) >= sign * best:
        verdict = "near"
    absent = [name for name in claim.needs if name not in controls]
    if absent and verdict != "short":
        verdict = "measured"
    shown = (
        f"{name} {100 * value:.4g} %" if claim.fraction else f"{name} {value:.4g}"
        for name, value in controls.items()
    )
    lacks = [f"without {' and '.join(absent)}"] if absent else []
    why = "; ".join([f"against {', '.join(shown)}", *lacks, *_cut_short(record)])
    return Line(**line, difference=ours - best, verdict=verdict, why=why)


def _cautious(claim: Claim, record: Record, ours: float, best: float) -> float:
    """Return the worst that a score may be: by its intervals, or by a tenth of a control's."""
    trials = number_at(record, claim.trials) if claim.trials else None
    sign, ends = 1 if claim.smaller_is_better else -1, []
    if claim.ours == "result.error_mean" and _error(record):
        ends.append(ours + sign * _error(record))
    if trials:
        ends.append(wilson_interval(round(ours * trials), int(trials))[claim.smaller_is_better])
    return max(ends or [ours + sign * _CLEARLY * best], key=lambda end: sign * end)


def _controls(path: str, record: Record) -> Iterator[tuple[str, float]]:
    """Yield the numbers at a path in which * stands for any name of a control."""
    root, name, *_ = path.split(".")
    names = [*record.controls] if name == "*" else [name if root == "controls" else "before"]
    for name in names:
        value = number_at(record, path.replace("*", name, 1))
        if value is not None:
            yield name, value
