"""What a run's config says of what was asked for, and of what there is."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gan_eval.training.config import Request, resolve


def test_images_that_fill_no_batch_and_processes_that_normalise_apart_are_in_the_ledger():
    request = Request(preset="radford2015-svhn", data="digits", limit=100, batch_size=16)
    alone, apart = (resolve(request, world_size=processes)[0].deviations for processes in (1, 2))
    assert "each epoch leaves out 4 of 100 images, others each time: no whole batch" in alone
    assert set(apart) - {*alone} == {"batch normalisation over 8 images, each process's own"}
    whole, _ = resolve(replace(request, limit=96))
    assert not [text for text in whole.deviations if "leaves out" in text]


def test_a_fit_that_is_not_the_presets_is_in_the_ledger(tmp_path: Path):
    pixels = np.zeros((64, 28, 28), np.uint8)
    np.savez(tmp_path / "small.npz", train_images=pixels)
    padded = Request(preset="sthalles", data=str(tmp_path / "small.npz"), batch_size=64)
    own, other = (
        resolve(request)[0].deviations for request in (padded, replace(padded, fit="crop"))
    )
    assert set(other) - {*own} == {"images resized where the source pads them with zeros"}
