"""Curves of a run over its steps."""

from pathlib import Path
from typing import Any

from gan_eval.records import write_whole

_PANELS = (
    ("loss", {"d_loss": "discriminator", "g_loss": "generator"}),
    ("D is right", {"d_real_accuracy": "on real images", "d_fake_accuracy": "on generated images"}),
    ("gradient norm", {"d_grad_norm": "discriminator", "g_grad_norm": "generator"}),
    ("diversity", {"diversity": "generated / real variance"}),
    ("Fréchet distance", {"fid": "from training images"}),
    ("kernel distance", {"kid": "from training images"}),
    ("error of the probe", {"probe_error": "L2-SVM on D's features, held-out images"}),
)
_MARKED = 50  # points of a curve at most that are marked one by one


def draw_losses(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the rows of a metrics.jsonl over epochs, a panel for each kind of figure there is."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [panel for panel in _PANELS if any(panel[1].keys() & row.keys() for row in rows)]
    columns = -(-len(panels) // 2)
    figure = Figure(figsize=(5 * columns, 6), layout="constrained")
    FigureCanvasAgg(figure)
    places = list(figure.subplots(2, columns, squeeze=False).flat)
    for axes, (title, series) in zip(places, panels, strict=False):
        for name, label in series.items():
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            if points:
                marker = "." if len(points) <= _MARKED else ""
                axes.plot(*zip(*points, strict=True), label=label, linewidth=1, marker=marker)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.legend()
        axes.set_ylim(bottom=0)
    for axes in places[len(panels) :]:
        axes.remove()
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))
