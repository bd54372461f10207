"""Records as commands write them, in few words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gan_eval.records import Record, append_record

_DISC = {"run": "mine", "preset": "radford2015-svhn", "trained_on": "svhn", "epoch": None}
_FEATURES = {"pool": "max 4x4", "batch_norm": "dataset", "mirror": False}


def classified(name: str = "disc", *, data: str = "svhn", **changed: Any) -> Record:
    """Return the record of a classification under the authors' protocol."""
    result = {
        "error_mean": 0.21, "error_std": 0.004, "error_spread": 0.00784, "feature_width": 7168,
        "n_test": 26_032 if data == "svhn" else 4022,
    }  # fmt: skip
    values: dict[str, Any] = {
        "exhibit": "classify",
        "name": name,
        "protocol": {"name": "authors-svhn", "version": 1, "c_grid": [1e-4, 1e-3, 1e-2]},
        "config": {
            "trained": _DISC if name == "disc" else {},
            "data": {"name": data},
            "features": _FEATURES if name == "disc" else {},
        },
        "result": {**result, **changed.pop("result", {})},
        "fingerprints": {"test": f"test of {data}", "weights": f"weights of {name}"},
        "seed": 0,
        "device": "cpu",
        "precision": "32",
        "seconds": 1.5,
        "commit": None,
        "time": "2026-01-01T00:00:00+00:00",
    }
    return Record(**{**values, **changed})


@pytest.fixture(name="classified")
def classified_fixture() -> Callable[..., Record]:
    """Return `classified`."""
    return classified


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., Path]:
    """Return the maker of a results folder: it takes records by the folder of their exhibit."""

    def make(**records: list[Record]) -> Path:
        for folder, some in records.items():
            for record in some:
                append_record(tmp_path / "results" / folder, record)
        return tmp_path / "results"

    return make
