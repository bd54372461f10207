"""Newton's method for many L2-SVMs at once, all over the same rows.

Column j is one problem: minimise over w, for its own signs y in {-1, 1} and its own C,

    f(w) = 1/2 |w|^2 + C sum_i max(0, 1 - y_i x_i.w)^2                            (squared hinge)

(Fan et al. 2008, LIBLINEAR, `-s 1`; Chapelle 2007, Training an SVM in the primal). f is piecewise
quadratic, so each step solves a linear system over the rows that lie inside the margin and then
searches exactly along the line. With slack s_i = max(0, 1 - y_i x_i.w), the values 2 C y_i s_i
are feasible for the dual problem, and the duality gap there is 1/2 |grad f(w)|^2. It bounds how
far f(w) is above its minimum, so that every solution here comes with a certificate.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Points:
    """k points of a space: coordinates (m, k), and margins x_i.w of every row, (n, k)."""

    coordinates: Tensor
    margins: Tensor

    def take(self, columns: Tensor) -> "Points":
        """Return the points at `columns`, (j,) indices."""
        return Points(
            self.coordinates.index_select(1, columns), self.margins.index_select(1, columns)
        )

    def put(self, columns: Tensor, points: "Points") -> None:
        """Replace the points at `columns`, (j,) indices."""
        self.coordinates.index_copy_(1, columns, points.coordinates)
        self.margins.index_copy_(1, columns, points.margins)

    def plus(self, length: Tensor | float, move: "Points") -> "Points":
        """Return the points `length` times `move` away, one length for each or for all."""
        return Points(
            self.coordinates + length * move.coordinates, self.margins + length * move.margins
        )


@dataclass(frozen=True)
class System:
    """The linear system of one Newton step at `at`, a column a problem.

    Attributes:
        at: where the step starts.
        gradient: coordinates of the gradient there, (m, k).
        signs: y, (n, k).
        active: 1.0 for rows inside the margin, else 0.0, (n, k).
        cost: C, (k,).
        goal: squared norm of the gradient's model at which the step is good enough, (k,).
    """

    at: Points
    gradient: Tensor
    signs: Tensor
    active: Tensor
    cost: Tensor
    goal: Tensor


# Steps without progress after which a column is given up.
_PATIENCE = 4
# Of f, a gap that is rounding: where w should be 0, so is its size.
_NOTHING = 1e-16


class Space(Protocol):
    """Coordinates of w in which a Newton step is cheap; `rounding` is its relative precision."""

    @property
    def rounding(self) -> float: ...

    def gradient(self, at: Points, dual: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates (m, k) of w - X'dual, the gradient, and its squared norm (k,)."""

    def dot(self, a: Points, b: Points) -> Tensor:
        """Return the inner products of w (k,)."""

    def direction(self, system: System) -> Points:
        """Return the step that solves the system as well as it asks for."""

    def polish(self, at: Points, signs: Tensor, cost: Tensor) -> Points:
        """Return points no worse, had without a product with X or K, after a `direction`."""


@dataclass(frozen=True)
class Minimum:
    """Where the search ended: `value` is f there, `gap` bounds its distance to the minimum, (k,).

    `reached` says whether that is the wanted gap; `steps` counts Newton steps per column.
    """

    points: Points
    value: Tensor
    gap: Tensor
    reached: Tensor
    steps: Tensor


def wanted_gap(tol: float, value: Tensor, square: Tensor) -> Tensor:
    """Return the gap (k,) at which solutions of value f and of squared norm |w|^2 are good enough.

    That is `tol` times f. With a small C, though, nearly all of f is the loss of w = 0, so that
    any w would do; |w - minimum|^2 is at most twice the gap, and may be 10 `tol` of |w|^2.
    """
    size = 5 * tol * square
    return torch.minimum(tol * value, size).clamp_min(_NOTHING * value)


def minimise(
    space: Space, start: Points, signs: Tensor, cost: Tensor, *, tol: float, max_iter: int
) -> Minimum:
    """Minimise f for every column until its gap is as wanted.

    A column that makes no more progress, because rounding hides it, is given up.

    Args:
        space: where to search.
        start: where to begin, one point a column; it is moved.
        signs: y, float64 (n, k) of -1 and 1.
        cost: C, float64 (k,).
        tol: of `wanted_gap`.
        max_iter: Newton steps at most.
    """
    value, gap = torch.zeros_like(cost), torch.zeros_like(cost)
    steps = torch.zeros_like(cost, dtype=torch.int64)
    reached = torch.zeros_like(cost, dtype=torch.bool)
    found = Minimum(start, value, gap, reached, steps)
    # Of the columns that are still at work:
    live, at, y, c = torch.arange(len(cost), device=cost.device), start, signs, cost
    idle, least = torch.zeros_like(steps), torch.full_like(cost, torch.inf)
    for step in range(max_iter + 1):
        slack = (1 - y * at.margins).clamp_min_(0)
        square = space.dot(at, at)
        loss = 0.5 * square + c * slack.square().sum(0)
        gradient, norm = space.gradient(at, 2 * c * y * slack)
        wanted = wanted_gap(tol, loss, square)
        good = 0.5 * norm <= wanted
        idle = torch.where(loss < least * (1 - space.rounding), 0, idle + 1)
        least = torch.minimum(loss, least)
        over = good | (idle >= _PATIENCE) if step < max_iter else torch.ones_like(good)
        if over.any():
            ended, left = over.nonzero()[:, 0], (~over).nonzero()[:, 0]
            found.points.put(live[ended], at.take(ended))
            value[live[ended]], gap[live[ended]] = loss[ended], 0.5 * norm[ended]
            reached[live[ended]], steps[live[ended]] = good[ended], step
            if not len(left):
                break
            live, at, c, idle, least = live[left], at.take(left), c[left], idle[left], least[left]
            y, slack, gradient = (each.index_select(1, left) for each in (y, slack, gradient))
            loss, norm, wanted = loss[left], norm[left], wanted[left]
        # Far away the set of active rows is about to change, and an exact solution of this system
        # would be in vain; near the end Newton squares the error, if it is solved as well.
        goal = torch.maximum(norm * (norm / loss).clamp_max(0.01), 0.5 * wanted)
        move = space.direction(
            System(
                at=at, gradient=gradient, signs=y, active=(slack > 0).double(), cost=c, goal=goal
            )
        )
        at = space.polish(at.plus(line_search(at, move, y, c, space), move), y, c)
    return found


def line_search(at: Points, move: Points, y: Tensor, c: Tensor, space: Space) -> Tensor:
    """Return the length (k,) at which f is least along `move`.

    The derivative along the line grows and is piecewise linear: Newton's method within a bracket.
    """
    slope, curve = space.dot(at, move), space.dot(move, move)
    turn = y * move.margins
    length = torch.ones_like(c)
    low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
    for _ in range(40):
        slack = (1 - y * at.margins - length * turn).clamp_min_(0)
        first = slope + length * curve - 2 * c * (slack * turn).sum(0)
        second = curve + 2 * c * (turn.square() * (slack > 0)).sum(0)
        low = torch.where(first <= 0, length, low)
        high = torch.where(first >= 0, length, high)
        newer = length - torch.where(second > 0, first / second, 0.0)
        outside = (newer < low) | (newer > high)
        newer = torch.where(outside, 0.5 * (low + high), newer)
        if ((newer - length).abs() <= 1e-9 * length).all():
            break
        length = newer
    return length
