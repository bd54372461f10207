"""Matrices over classes, as pictures."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from gan_eval.files import write_whole
from gan_eval.visualize.series import plain

# Above this many classes neither numbers nor all names can be read.
_READABLE = 25


def draw_confusion(counts: Tensor, names: Sequence[str], title: str, path: Path) -> None:
    """Draw which classes were taken for which, as shares of each true class.

    Args:
        counts: (k, k), images by true class (rows) and answer (columns).
        names: of the k classes.
        title: what the figure says above the matrix.
        path: the PNG.
    """
    from matplotlib.figure import Figure

    shares = counts.double() / counts.sum(1, keepdim=True).clamp_min(1)
    largest = float(shares.max())  # far from 1 with many classes
    few = len(names) <= _READABLE
    side = 2.5 + 0.45 * len(names) if few else 12.0
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=largest)
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    ticks = range(len(names)) if few else range(0, len(names), -(-len(names) // _READABLE))
    labels = [plain(names[tick]) for tick in ticks]
    axes.set_xticks(ticks, labels, rotation=0 if max(map(len, labels)) < 3 else 90)
    axes.set_yticks(ticks, labels)
    axes.set_xlabel("answer")
    axes.set_ylabel("true class")
    axes.set_title(plain(title))
    # In percent, where that is not 0.
    for row, column in (shares >= 0.005).nonzero().tolist() if few else ():
        share = float(shares[row, column])
        color = "white" if share > largest / 2 else "black"
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=color, size=8)
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))
