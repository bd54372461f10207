"""Curves of a run over its steps."""

from pathlib import Path
from typing import Any

from gan_eval.records import write_whole

_PANELS = (
    ("loss", {"d_loss": "discriminator", "g_loss": "generator"}),
    ("D is right", {"d_real_accuracy": "on real images", "d_fake_accuracy": "on generated images"}),
    ("gradient norm", {"d_grad_norm": "discriminator", "g_grad_norm": "generator"}),
    ("diversity", {"diversity": "generated / real variance"}),
)


def draw_losses(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the rows of a metrics.jsonl: losses, D's accuracy, gradient norms, diversity."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, series) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
        for name, label in series.items():
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, linewidth=1)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        if axes.has_data():
            axes.legend()
        axes.set_ylim(bottom=0)
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))
