"""Lines over a number: the curves of a run and of a report."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MARKED = 50  # points of a line at most that are marked one by one
_COLUMNS = 2


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(6 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, panel in zip(places, panels, strict=False):
        for name, points in panel.lines.items():
            marker = "." if len(points) <= _MARKED else ""
            axes.plot(*zip(*points, strict=True), label=_plain(name), linewidth=1, marker=marker)
        axes.set_xscale("log" if panel.log else "linear")
        axes.set_title(_plain(panel.title), size=10)
        axes.set_xlabel(_plain(panel.x))
        axes.set_ylabel(_plain(panel.y))
        if all(y >= 0 for points in panel.lines.values() for _, y in points):
            axes.set_ylim(bottom=0)
        axes.legend(fontsize=8)
    for axes in places[len(panels) :]:
        axes.remove()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, format="png")
    return buffer.getvalue()


def _plain(text: str) -> str:
    """Return `text` without the signs by which matplotlib would take it for a formula."""
    return text.replace("$", r"\$")
