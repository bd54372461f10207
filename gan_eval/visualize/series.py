"""Lines over a number: the curves of a run and of a report."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from gan_eval.files import legible

_MARKED = 50  # points of a line at most that are marked one by one
_COLUMNS = 2
_INSIDE = 6  # names of lines that find room within the axes
_INCHES, _MARGIN = 0.18, 0.35  # of a name below them, and around all of these
_LONG = 68  # characters of a title that fit into a line
# Inches of a panel, of what is around its axes, and of a line of its title. Fixed, as matplotlib's
# own layout draws everything twice, and a run is drawn at every epoch that is kept.
_WIDTH, _HEIGHT = 6.0, 3.6
_LEFT, _RIGHT, _BOTTOM, _TOP, _LINE = 0.9, 0.2, 0.6, 0.2, 0.17
_STYLES = ("-", "--", ":")
_COLOURS = 10


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Lines in one pair of axes.

    Attributes:
        title, x, y: what is above and beside them.
        lines: points (x, y) by the name of their line.
        log: whether x is logarithmic.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    log: bool = False


def draw_panels(panels: Sequence[Panel]) -> bytes:
    """Return a PNG of `panels`, two in a row; the same panels give the same bytes."""
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    most = max(len(panel.lines) for panel in panels)
    pitch = _HEIGHT + (_MARGIN + _INCHES * most if most > _INSIDE else 0)
    width, height = _WIDTH * columns, pitch * rows
    figure = Figure(figsize=(width, height))
    for place, panel in enumerate(panels):
        title = [part for line in panel.title.split("\n") for part in wrap(line, _LONG)]
        row, column = divmod(place, columns)
        left, top = column * _WIDTH, height - row * pitch
        high = _HEIGHT - _BOTTOM - _TOP - _LINE * len(title)
        axes = figure.add_axes(
            (
                (left + _LEFT) / width,
                (top - _HEIGHT + _BOTTOM) / height,
                (_WIDTH - _LEFT - _RIGHT) / width,
                high / height,
            )
        )
        for number, (name, points) in enumerate(panel.lines.items()):
            axes.plot(
                *zip(*points, strict=True),
                label=plain(name),
                linewidth=1,
                marker="." if len(points) <= _MARKED else "",
                color=f"C{number % _COLOURS}",
                linestyle=_STYLES[number // _COLOURS % len(_STYLES)],
            )
        axes.set_xscale("log" if panel.log else "linear")
        axes.ticklabel_format(axis="y", scilimits=(-2, 5))  # or they take more than the margin
        axes.set_title(plain("\n".join(title)), size=10)
        axes.set_xlabel(plain(panel.x))
        axes.set_ylabel(plain(panel.y))
        values = [y for points in panel.lines.values() for _, y in points]
        if values and min(values) >= 0:
            axes.set_ylim(bottom=0, top=1.05 * max(values) or None)
        if len(panel.lines) > _INSIDE:
            axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -_BOTTOM / high))
        else:
            axes.legend(fontsize=8)
    buffer = io.BytesIO()
    # Names below the axes may be longer than the panel is wide.
    figure.savefig(buffer, dpi=100, format="png", bbox_inches="tight" if most > _INSIDE else None)
    return buffer.getvalue()


def plain(text: str) -> str:
    """Return `text` as matplotlib draws it, and takes no part of it for a formula."""
    return legible(text).replace("$", r"\$")
