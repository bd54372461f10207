"""Pixels are the images themselves, in the discriminator's range."""

import torch

from gan_eval.features.pixels import Pixels


def test_a_row_is_the_image_channel_by_channel_in_minus_one_to_one():
    images = torch.tensor([[[[0, 255], [51, 102]], [[255, 0], [204, 153]]]], dtype=torch.uint8)
    rows = Pixels(channels=2, size=2)(images)
    expected = torch.tensor([[-1.0, 1.0, -0.6, -0.2, 1.0, -1.0, 0.6, 0.2]])
    assert torch.allclose(rows, expected, atol=1e-6)


def test_width_and_identity_say_what_was_taken():
    pixels = Pixels(channels=3, size=32)
    assert pixels.width == 3072
    assert pixels.identity == {"extractor": "pixels", "scale": "tanh", "channels": 3, "size": 32}
    assert pixels.identity != Pixels(channels=1, size=32).identity
