"""What the tests of training share."""

from typing import Any

import pytest

from gan_eval.data import Images, open_images
from gan_eval.experiments import parts, run_images


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the splits of data sets that are opened for labelled parts, as they are opened."""
    splits: list[str] = []

    def note(*arguments: Any, **options: Any) -> Images:
        splits.append(options["split"])
        return open_images(*arguments, **options)

    for module in (parts, run_images):
        monkeypatch.setattr(module, "open_images", note)
    return splits
