"""Curves of a run over its steps."""

from pathlib import Path
from typing import Any

from gan_eval.files import write_bytes
from gan_eval.visualize.series import Panel, draw_panels

_PANELS = (
    ("loss", {"d_loss": "discriminator", "g_loss": "generator"}),
    ("D is right", {"d_real_accuracy": "on real images", "d_fake_accuracy": "on generated images"}),
    ("gradient norm", {"d_grad_norm": "discriminator", "g_grad_norm": "generator"}),
    ("diversity", {"diversity": "generated / real variance"}),
    ("Fréchet distance", {"fid": "from training images"}),
    ("kernel distance", {"kid": "from training images"}),
    ("error of the probe", {"probe_error": "L2-SVM on D's features, held-out images"}),
)


def draw_losses(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the rows of a metrics.jsonl over epochs, a panel for each kind of figure there is."""
    panels = []
    for title, series in _PANELS:
        lines = {
            label: [(row["epoch"], row[name]) for row in rows if name in row]
            for name, label in series.items()
            if any(name in row for row in rows)
        }
        if lines:
            panels.append(Panel(title=title, x="epoch", y="", lines=lines))
    write_bytes(path, draw_panels(panels))
