"""Which samples stand for a concept: named by number from a contact sheet, or by attribute.

"3,17,40" are samples by number, as `gan-eval sample --contact-sheet` shows them. "Smiling,-Male"
are samples that a classifier sees smile and does not take for a man, the surest first. Either way
the choice ends as numbers, which are kept as JSON and can be used again for the same weights.
In a name a backslash stands before a comma, and before a minus that it begins with.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gan_eval.errors import InputError, one_line
from gan_eval.files import StrPath, expanded, parse_json

# What arithmetic needs samples of, and of how many the z are averaged: three in Figure 7, four in
# the turn vector of Figure 8.
AVERAGED = {"a": 3, "b": 3, "c": 3, "from": 4, "to": 4}
# What messages call them where their names say little.
_CALLED = {"from": "the start of --turn", "to": "the end of --turn"}
# Samples that an attribute stands for at most, which random triples are drawn from.
_POOL = 50

# Attribute -> whether an image is to have it.
Wanted = Mapping[str, bool]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What was chosen, and what that depends on.

    Attributes:
        samples: of each concept, numbers of samples of the seed, the best first.
        asked: of each concept, the words it was asked for in.
        target: attributes that results of a - b + c are to have, as words; None if nobody said.
        n: samples that they were looked for in, and that numbers are below.
        seed, label, weights: of the samples; the last is the SHA-256 of the generator's.
    """

    samples: Mapping[str, tuple[int, ...]]
    asked: Mapping[str, str]
    target: str | None
    n: int = 2000  # what files of earlier versions, which do not say, were made with
    seed: int
    label: int | None
    weights: str

    def to_json(self) -> dict[str, Any]:
        """Return the choices as JSON-able values."""
        return {**asdict(self), "samples": {name: list(of) for name, of in self.samples.items()}}


def read_choices(path: StrPath, *, seed: int, label: int | None, weights: str) -> Choices:
    """Return the choices of a JSON file.

    Raises:
        InputError: the file is none of choices, or of samples of another seed, label or generator.
    """
    path = expanded(path)
    try:
        values = parse_json(path.read_bytes())
        samples = {name: _whole(numbers) for name, numbers in values["samples"].items()}
        asked = {name: str(values["asked"][name]) for name in samples}
        if not isinstance(values["target"], str | None):
            raise TypeError("target is no text")
        if type(values.get("n", 0)) is not int:
            raise TypeError("n is no whole number")
        choices = Choices(**{**values, "samples": samples, "asked": asked})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"--choices must be a file that `gan-eval arithmetic` wrote. {path} is not "
            f"({type(error).__name__}: {one_line(error)}); choose anew with --a, --b and --c."
        ) from error
    here = {"seed": seed, "label": label, "weights": weights}
    for name, value in here.items():
        if getattr(choices, name) != value:
            raise InputError(
                f"--choices must be of the same samples: {path} has {name} "
                f"{getattr(choices, name)}. Got {value}; pass the same run, epoch, seed and label."
            )
    return choices


def _whole(numbers: Any) -> tuple[int, ...]:
    if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
        raise TypeError(f"samples must be lists of whole numbers, not {numbers!r}")
    return tuple(numbers)


def parse_concept(concept: str, words: str, n: int) -> tuple[int, ...] | Wanted:
    """Return the numbers, below `n`, or the attributes that `words` name.

    Raises:
        InputError: a word is empty, a number is out of range or there twice, or there are too few.

    Example:
        >>> parse_concept("a", "3,17,40", 64), parse_concept("b", "Smiling,-Male", 64)
        ((3, 17, 40), {'Smiling': True, 'Male': False})
    """
    named = _split(words, _CALLED.get(concept, concept))
    if not is_numbers(words):
        if any(map(is_numbers, named)):
            raise InputError(
                f"{concept} must be numbers of samples, as 3,17,40, or attributes, as "
                f"Smiling,-Male. Got {words!r}, of both kinds."
            )
        return parse_wanted(words)
    numbers = tuple(map(int, named))
    check_numbers(concept, numbers, n)
    return numbers


def is_numbers(words: str) -> bool:
    """Return whether the words for a concept are numbers of samples, not attributes."""
    return all(word.strip().removeprefix("-").isdecimal() for word in words.split(","))


def parse_wanted(words: str) -> Wanted:
    """Return the attributes of "Smiling,-Male", a minus before those that are not to be there.

    Raises:
        InputError: one is there twice, or a word is empty.
    """
    named = _split(words, "attributes")
    found = [(re.sub(r"\\(.)", r"\1", word.removeprefix("-")), word[:1] != "-") for word in named]
    if len(dict(found)) < len(found):
        raise InputError(f"attributes must be named once each. Got {words!r}.")
    return dict(found)


def _split(words: str, what: str) -> list[str]:
    """Return the words between commas, none of which may be empty."""
    words = unicodedata.normalize("NFC", words)
    ends = re.sub(r"\\.|,", lambda found: "\0" if found[0] == "," else found[0], words)
    found = [word.strip() for word in ends.split("\0")]
    if not words.strip():
        raise InputError(f"{what} must be named. Got nothing; pass 3,17,40, say, or Smiling,-Male.")
    if not all(word.removeprefix("-") for word in found):
        raise InputError(
            f"{what} must be named on both sides of each comma. Got {words!r}; leave out what is "
            "empty."
        )
    return found


def goals_of(asked: Mapping[str, str], target: str | None) -> tuple[Wanted, Wanted]:
    """Return what a - b + c should show, and what the turn leads to; empty where nobody knows.

    Args:
        asked: the words for each concept; numbers say nothing of what there is to see.
        target: words that say what a - b + c should show, in place of those for a, b and c.
    """
    known = {
        name: {} if is_numbers(words) else parse_wanted(words) for name, words in asked.items()
    }
    a, b, c, start, end = (known.get(name, {}) for name in AVERAGED)
    turn = {name: there for name, there in end.items() if start.get(name) != there}
    return target_of(a, b, c) if target is None else parse_wanted(target), turn


def spell(wanted: Wanted) -> str | None:
    """Return the words of `wanted`, None if there are none: the inverse of `parse_wanted`."""
    named = {re.sub(r"([\\,]|^-)", r"\\\1", name): there for name, there in wanted.items()}
    return ",".join(f"{'' if there else '-'}{name}" for name, there in named.items()) or None


def target_of(a: Wanted, b: Wanted, c: Wanted) -> Wanted:
    """Return the attributes that a - b + c should have: c's, but where a and b differ, a's.

    Of what b has and a leaves open nobody knows whether it is taken away.

    Example:
        >>> man, glasses, none = {"Male": True}, {"Glasses": True}, {"Glasses": False}
        >>> target_of({**man, **glasses}, {**man, **none}, {"Male": False, **none})
        {'Male': False, 'Glasses': True}
    """
    found = {
        name: (c if a.get(name) == b.get(name) else {**c, **a}).get(name)
        for name in dict.fromkeys([*a, *b, *c])
        if name in a or name not in b
    }
    return {name: there for name, there in found.items() if there is not None}


def pick(concept: str, words: str, wanted: Wanted, scores: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the numbers of samples that have and lack what is `wanted`, the surest first.

    Args:
        concept, words: for messages.
        scores: by attribute, (n,), positive where it is seen. How sure an attribute is counts in
            standard deviations of its scores; how sure a sample is, by its least sure attribute.

    Raises:
        InputError: there are too few.
    """
    signed = [
        (scores[name] if there else -scores[name]) / scores[name].std().clamp_min(1e-12)
        for name, there in wanted.items()
    ]
    least, order = torch.stack(signed).amin(0).sort(descending=True, stable=True)
    found = tuple(order[least > 0][:_POOL].tolist())
    _check_enough(concept, words, found, "ask for less, or search more with --n")
    return found


def check_numbers(concept: str, numbers: Sequence[int], n: int) -> None:
    """Raise an `InputError` unless `numbers` are of different samples below `n`, and enough."""
    wrong = [number for number in numbers if not 0 <= number < n]
    if wrong:
        raise InputError(
            f"{concept} must be numbers of samples, from 0 to {n - 1}. Got {wrong[0]}; "
            "`gan-eval sample RUN --contact-sheet` shows them, and a larger --n allows more."
        )
    words = ",".join(map(str, numbers))
    if len(set(numbers)) < len(numbers):
        raise InputError(f"{concept} must be different samples. Got {words}; name each once.")
    _check_enough(concept, words, numbers, "name more")


def _check_enough(concept: str, words: str, samples: Sequence[int], remedy: str) -> None:
    """Raise an `InputError` unless a concept has as many samples as are averaged."""
    if len(samples) < AVERAGED[concept]:
        raise InputError(
            f"{concept} must have at least {AVERAGED[concept]} samples, which are averaged. Got "
            f"{len(samples)} of {words!r}; {remedy}."
        )
