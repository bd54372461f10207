"""What an image laid over others is, and that a classifier tells it from a single one."""

from dataclasses import replace

import pytest
import torch

from gan_eval.data import open_images
from gan_eval.experiments.attributes import train_attribute_classifier
from gan_eval.experiments.features import FeatureSpec, build
from gan_eval.experiments.overlays import OVERLAY, with_overlays
from gan_eval.experiments.parts import halves


@pytest.fixture(scope="module")
def half():
    return halves(open_images("digits", root=None, size=32))[1]


def test_single_images_and_as_many_overlays_of_others(half):
    found, many = with_overlays(half, 0), 355  # a multiple of five, of 718 images
    assert len(found) == 2 * many
    assert torch.equal(found.take(range(many)), half.take(range(many)))
    assert found.attribute_names == (OVERLAY,)
    assert found.attributes[:, 0].tolist() == [False] * many + [True] * many
    again, other = with_overlays(half, 0), with_overlays(half, 1)
    assert again.fingerprint == found.fingerprint != other.fingerprint
    streamed = replace(half, pixels=None, stream=half.pixels)
    assert with_overlays(streamed, 0).fingerprint == found.fingerprint


def test_an_overlay_is_a_sum_of_means_of_three_and_no_two_fifths_share_an_image():
    """Image i is of the one value i, so that a value says which fifth it was made of."""
    grey = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(200, 1, 8, 8).clone()
    images = replace(
        open_images("digits", root=None), pixels=grey, labels=None, class_names=(), stream=None
    )
    laid = with_overlays(images, 0).take(range(100, 200)).float()
    assert (laid.flatten(1).std(1) == 0).all()
    values = laid[:, 0, 0, 0]
    for i, part in enumerate(values.split(20)):
        # Means lie within their fifth, and a - b + c within 19 of it.
        low, high = 100 + 20 * i, 119 + 20 * i
        assert (part >= low - 19).all()
        assert (part <= high + 19).all()
        # Differences of means of three uniform values: a variance of (400 - 1) / 12 / 3 each.
        assert float(part.std()) == pytest.approx((3 * 399 / 36) ** 0.5, rel=0.5)
    assert float(values.mean()) == pytest.approx(149.5, abs=3)


def test_overlays_are_told_from_single_images(half, tmp_path):
    spec = FeatureSpec(name="random-disc", preset="radford2015-svhn")
    found = train_attribute_classifier(
        with_overlays(half, 0),
        OVERLAY,
        extractor=build(spec, half, device="cpu", precision="32"),
        store=tmp_path,
    )
    assert found.accuracy > 0.8
