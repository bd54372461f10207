"""What determines the error of a linear classifier, beside features and data: as named protocols.

C is chosen by the lowest mean error on the validation part over draws of the training part. Then
fresh draws, or all labels, are fitted with that C and tested (see `gan_eval.probes.selection`).

`authors-svhn` is the authors' released script (Newmu/dcgan_code, svhn/), Table 2 of Radford, Metz &
Chintala 2015; `paper-cifar10` and `paper-cifar10-400` are their section 5.1, Table 1. The paper
does not say which values of C it tried, nor over how many draws of 400 labels per class its ± 0.4
goes: here these are the script's grid, and 10.

All draws are tested on one test part, so 1.96 standard deviations over draws say how much the
choice of labelled images matters. They are no confidence interval of the error on new images.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gan_eval.errors import InputError, closest

C_GRID = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What determines a number beside the features and the data.

    Attributes:
        name: what the number is called; `choose_protocol` renames what it changes.
        version: raised when the same name comes to mean something else.
        c_grid: values of C to choose from, increasing.
        labels_per_class: training images of each class in a draw; None takes all, undrawn.
        selection_draws: draws that C is chosen over.
        test_draws: fresh draws that are tested.
        refit: what is drawn from, or taken whole, once C is chosen.
        held_out: validation images at most, the last of the training ones, and
        held_out_share: their share at most, where the data have no validation part.
        seed: of the draws.
    """

    name: str
    version: int = 1
    c_grid: tuple[float, ...] = C_GRID
    labels_per_class: int | None = None
    selection_draws: int = 1
    test_draws: int = 1
    refit: Literal["train", "train+validation"] = "train"
    held_out: int = 10_000
    held_out_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        grid = self.c_grid
        increasing = all(a < b for a, b in itertools.pairwise((0.0, *grid, math.inf)))
        if not grid or not increasing:
            raise InputError(
                "c_grid must be positive, finite and increasing. "
                f"Got {', '.join(map(str, grid)) or 'nothing'}; pass --c-grid 1e-4,1e-3,1e-2."
            )
        for name in ("labels_per_class", "selection_draws", "test_draws"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1. Got {value}.")
        if self.labels_per_class is None and self.selection_draws * self.test_draws > 1:
            raise InputError(
                "draws are for some labels per class: all labels can be taken once only. "
                f"Got {self.test_draws}; pass --labels-per-class too, or leave --draws out."
            )

    def held_out_of(self, n: int) -> int:
        """Return how many of n training images, the last, are the validation part."""
        return min(self.held_out, int(n * self.held_out_share))


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(name="authors-svhn", labels_per_class=100, selection_draws=10, test_draws=100),
        Protocol(name="paper-cifar10", refit="train+validation"),
        Protocol(
            name="paper-cifar10-400",
            labels_per_class=400,
            selection_draws=10,
            test_draws=10,
            refit="train+validation",
        ),
    )
}


def choose_protocol(
    name: str | None = None,
    *,
    labels_per_class: int | None = None,
    draws: int | None = None,
    c_grid: Sequence[float] | None = None,
    seed: int = 0,
) -> Protocol:
    """Return a protocol by name, changed where something is given.

    Without a name it is "authors-svhn" for some labels per class and "paper-cifar10" for all; that
    with some is "paper-cifar10-400". What is changed is in the name: "authors-svhn, 10 labels per
    class", so that a name is a protocol.

    Args:
        draws: draws that are tested; those that C is chosen over stay.

    Raises:
        InputError: the name is unknown, or the changes contradict each other.

    Example:
        >>> choose_protocol(labels_per_class=100, draws=100).name
        'authors-svhn'
        >>> choose_protocol(labels_per_class=10, draws=20).name
        'authors-svhn, 10 labels per class, 20 draws'
        >>> choose_protocol("paper-cifar10", labels_per_class=400).name
        'paper-cifar10-400'
    """
    name = name or ("paper-cifar10" if labels_per_class is None else "authors-svhn")
    if name == "paper-cifar10" and labels_per_class is not None:
        name = "paper-cifar10-400"
    if name not in PROTOCOLS:
        raise InputError(f"protocol {name!r} is not known. {closest(name, PROTOCOLS)}")
    base = PROTOCOLS[name]
    asked: dict[str, Any] = {
        "c_grid": None if c_grid is None else tuple(c_grid),
        "labels_per_class": labels_per_class,
        "test_draws": draws,
    }
    changed = replace(base, **{key: value for key, value in asked.items() if value is not None})
    parts = [base.name]
    if changed.labels_per_class != base.labels_per_class:
        parts.append(f"{changed.labels_per_class} labels per class")
    if changed.test_draws != base.test_draws:
        parts.append(f"{changed.test_draws} draws")
    if changed.c_grid != base.c_grid:
        parts.append(f"C of {' '.join(f'{value:g}' for value in changed.c_grid)}")
    return replace(changed, name=", ".join(parts), seed=seed)
