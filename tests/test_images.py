"""Scaling, fitting and channels, on pictures small enough to write down."""

import pytest
import torch
from PIL import Image

from gan_eval.errors import InputError
from gan_eval.images import fit_square, to_channels, to_float, to_uint8
from gan_eval.seeding import stream

EVERY = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize("scale", ["tanh", "sigmoid"])
def test_all_256_values_come_back(scale: str):
    assert torch.equal(to_uint8(to_float(EVERY, scale), scale), EVERY)


def test_scaling_is_its_closed_form_and_leaves_its_input():
    kept = EVERY.clone()
    values = EVERY.double()
    torch.testing.assert_close(
        to_float(EVERY, "tanh").double(), values / 127.5 - 1, atol=1e-6, rtol=0
    )
    torch.testing.assert_close(to_float(EVERY, "sigmoid").double(), values / 255, atol=1e-6, rtol=0)
    assert torch.equal(EVERY, kept)
    ends = to_float(torch.tensor([0, 255], dtype=torch.uint8), "tanh")
    assert ends.tolist() == [-1, 1]
    assert to_float(EVERY, "sigmoid").dtype == torch.float32


@pytest.mark.parametrize("scale", ["tanh", "sigmoid"])
def test_back_to_bytes_rounds_to_the_nearest_and_clamps(scale: str):
    low, width = (-1.0, 2.0) if scale == "tanh" else (0.0, 1.0)
    bytes_wanted = torch.tensor([-3.0, 0.4, 0.6, 99.4, 99.6, 254.4, 254.6, 300.0])
    given = low + width * bytes_wanted.double() / 255
    before = given.clone()
    assert to_uint8(given, scale).tolist() == [0, 0, 1, 99, 100, 254, 255, 255]
    assert torch.equal(given, before)


def test_float_images_are_not_changed_in_place():
    given = torch.zeros(2, 1, 2, 2)
    to_uint8(given, "tanh")
    to_uint8(given, "sigmoid")
    assert not given.any()


def _numbered(height: int, width: int) -> torch.Tensor:
    return torch.arange(height * width, dtype=torch.uint8).view(1, 1, height, width)


def test_crop_takes_the_middle_of_the_longer_side():
    wide = _numbered(2, 6)
    assert fit_square(wide, 2, "crop")[0, 0].tolist() == [[2, 3], [8, 9]]
    tall = _numbered(6, 2)
    assert fit_square(tall, 2, "crop")[0, 0].tolist() == [[4, 5], [6, 7]]


def test_square_of_the_right_side_is_left_alone():
    square = _numbered(4, 4)
    for rule in ("crop", "pad"):
        assert torch.equal(fit_square(square, 4, rule), square)


def test_shrinking_averages_and_does_not_alias():
    # Stripes one pixel wide: picking every other pixel would give all black or all white.
    stripes = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    stripes[..., ::2] = 255
    small = fit_square(stripes, 8, "crop").float()
    assert small.shape == (1, 1, 8, 8)
    assert (small[..., 1:-1] - 127.5).abs().max() < 12
    flat = torch.full((1, 3, 9, 13), 77, dtype=torch.uint8)
    assert torch.equal(fit_square(flat, 5, "crop"), torch.full((1, 3, 5, 5), 77, dtype=torch.uint8))


def test_enlarging_interpolates_between_pixel_centres():
    # Two columns, 0 and 200; doubled, bilinear with half-pixel centres: 0, 50, 150, 200.
    pair = torch.tensor([[0, 200], [0, 200]], dtype=torch.uint8)[None, None]
    assert fit_square(pair, 4, "crop")[0, 0].tolist() == [[0, 50, 150, 200]] * 4


def test_pad_puts_the_image_unscaled_in_the_middle_of_zeros():
    image = torch.full((1, 1, 28, 28), 9, dtype=torch.uint8)
    padded = fit_square(image, 32, "pad")
    assert torch.equal(padded[..., 2:30, 2:30], image)
    assert int(padded.sum()) == int(image.sum())
    # An odd difference leaves the larger margin right and below.
    odd = fit_square(_numbered(2, 3) + 1, 4, "pad")[0, 0]
    assert odd.tolist() == [[0, 0, 0, 0], [1, 2, 3, 0], [4, 5, 6, 0], [0, 0, 0, 0]]


def test_pad_refuses_what_is_larger():
    with pytest.raises(InputError, match=r"fit 'pad' takes images of at most 4x4\. Got 5x3; use"):
        fit_square(_numbered(3, 5), 4, "pad")


def test_grey_is_luma():
    primaries = torch.eye(3).mul(255).to(torch.uint8).view(3, 3, 1, 1)
    assert to_channels(primaries, 1).flatten().tolist() == [76, 150, 29]  # .299 .587 .114 of 255
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert to_channels(white, 1).unique().tolist() == [255]


def test_grey_is_that_of_pillow():
    pixels = torch.randint(0, 256, (3, 32, 32), generator=stream(0, "x"), dtype=torch.uint8)
    pillow = Image.fromarray(pixels.permute(1, 2, 0).numpy()).convert("L")
    ours = to_channels(pixels[None], 1)[0, 0].int()
    theirs = torch.tensor(list(pillow.tobytes())).view(32, 32)
    # Pillow's weights are 16-bit integers: a byte may round the other way, no more.
    assert (ours - theirs).abs().max() <= 1
    assert (ours != theirs).float().mean() < 0.01


def test_colour_from_grey_is_three_times_the_same_and_back():
    grey = _numbered(4, 4)
    colour = to_channels(grey, 3)
    assert colour.shape == (1, 3, 4, 4)
    assert all(torch.equal(colour[:, c], grey[:, 0]) for c in range(3))
    assert torch.equal(to_channels(colour, 1), grey)
    assert to_channels(grey, 1) is grey
