"""The one kind of error that is the user's to mend, and help with names that are nearly right."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """A mistake in what the user gave.

    The message is one line that says parameter, rule, value and remedy. Callers in Python see a
    `ValueError`; the command line prints the line and exits with code 2.
    """


class NoSplitError(InputError):
    """The data are there, and have no such split."""


class TooLargeError(InputError):
    """Images are larger than the square that they were to be padded to."""


class NoSizeError(InputError):
    """Images are no squares of one size, and nobody has said which size they shall have."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return the sentence that points from an unknown `name` to the known ones.

    >>> closest("cifar", ["mnist", "cifar10"])
    "Did you mean 'cifar10'? Known: mnist, cifar10."
    """
    names = list(known)
    match = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"Did you mean {match[0]!r}? " if match else ""
    return f"{hint}Known: {', '.join(names)}."


def one_line(error: BaseException) -> str:
    """Return what another's error says, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
