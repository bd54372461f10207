"""The names of classes are drawn as they are."""

from pathlib import Path

import torch

from gan_eval.visualize.matrices import draw_confusion
from gan_eval.visualize.series import plain


def test_names_are_no_formulas_and_need_not_be_text(tmp_path: Path):
    names = [r"$\frac$", "$5 to $10", "t\udcff"]
    draw_confusion(torch.eye(3), names, "of t\udcff and $x", tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 0
    assert plain("$5 to $10 of t\udcff") == r"\$5 to \$10 of t?"
