"""The patch-matrix route computes what PyTorch's convolutions compute, forward and backward."""

import pytest
import torch
from torch.nn import functional

from gan_eval.models import convolution
from gan_eval.models.convolution import convolve_by_patches, convolve_transposed_by_patches

# kernel, stride, padding, side of the large maps: as the presets have them, and odd sides.
CASES = [
    (3, 1, 1, 7),
    (3, 2, 1, 8),
    (3, 2, 1, 7),
    (4, 2, 1, 8),
    (4, 1, 0, 4),
    (5, 1, 2, 6),
    (5, 2, 2, 7),
    (5, 2, 2, 14),
    (5, 2, 2, 28),
    (1, 1, 0, 5),
    (1, 2, 0, 7),
]


def _small_side(kernel: int, stride: int, padding: int, side: int) -> int:
    return (side + 2 * padding - kernel) // stride + 1


def _normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


def _gradients(y: torch.Tensor, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(9), dtype=y.dtype)
    return torch.autograd.grad(y, inputs, upstream)


@pytest.mark.parametrize(("kernel", "stride", "padding", "side"), CASES)
def test_convolution_by_patches_is_conv2d(kernel: int, stride: int, padding: int, side: int):
    x, weight = _normal(2, 3, side, side), _normal(4, 3, kernel, kernel, seed=1)
    ours = convolve_by_patches(x, weight, stride, padding)
    torchs = functional.conv2d(x, weight, None, stride, padding)
    torch.testing.assert_close(ours, torchs)
    for one, other in zip(_gradients(ours, x, weight), _gradients(torchs, x, weight), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("kernel", "stride", "padding", "side"), CASES)
def test_transposed_by_patches_is_conv_transpose2d(
    kernel: int, stride: int, padding: int, side: int
):
    small = _small_side(kernel, stride, padding, side)
    extra = side - ((small - 1) * stride - 2 * padding + kernel)
    x, weight = _normal(2, 4, small, small), _normal(4, 3, kernel, kernel, seed=1)
    ours = convolve_transposed_by_patches(x, weight, stride, padding, side)
    torchs = functional.conv_transpose2d(x, weight, None, stride, padding, extra)
    assert ours.shape[-1] == side
    torch.testing.assert_close(ours, torchs)
    for one, other in zip(_gradients(ours, x, weight), _gradients(torchs, x, weight), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("kernel", "stride", "padding", "side"), [(5, 2, 2, 7), (4, 2, 1, 6)])
def test_gradients_agree_with_finite_differences(kernel: int, stride: int, padding: int, side: int):
    small = _small_side(kernel, stride, padding, side)
    weight = _normal(2, 2, kernel, kernel, seed=1)
    torch.autograd.gradcheck(
        lambda x, w: convolve_by_patches(x, w, stride, padding), (_normal(1, 2, side, side), weight)
    )
    torch.autograd.gradcheck(
        lambda x, w: convolve_transposed_by_patches(x, w, stride, padding, side),
        (_normal(1, 2, small, small), weight),
    )


@pytest.mark.parametrize("needed", [(True, False), (False, True)])
def test_gradients_that_nobody_needs_are_left_out(needed: tuple[bool, bool]):
    x = _normal(2, 3, 7, 7).detach().requires_grad_(needed[0])
    weight = _normal(4, 3, 5, 5, seed=1).detach().requires_grad_(needed[1])
    wanted = x if needed[0] else weight
    ours = _gradients(convolve_by_patches(x, weight, 2, 2), wanted)[0]
    torchs = _gradients(functional.conv2d(x, weight, None, 2, 2), wanted)[0]
    torch.testing.assert_close(ours, torchs)


def _routed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which of the two patch routes is taken."""
    taken: list[str] = []
    for route in (convolve_by_patches, convolve_transposed_by_patches):

        def spy(*inputs: object, _route=route) -> object:
            taken.append(_route.__name__)
            return _route(*inputs)

        monkeypatch.setattr(convolution, route.__name__, spy)
    return taken


@pytest.mark.parametrize("with_bias", [False, True])
def test_bf16_layer_is_close_to_float32_and_uses_its_bias(
    with_bias: bool, monkeypatch: pytest.MonkeyPatch
):
    taken = _routed(monkeypatch)
    maps, channels = convolution._LEAST_MAPS, 8
    x = _normal(2, channels, 8, 8, dtype=torch.float32)
    small = _normal(2, maps, 4, 4, dtype=torch.float32)
    weight = _normal(maps, channels, 5, 5, seed=1, dtype=torch.float32)
    narrow, wide = (_normal(n, seed=2, dtype=torch.float32) for n in (maps, channels))
    forward, backward = (narrow, wide) if with_bias else (None, None)
    with torch.autocast("cpu", torch.bfloat16):
        y = convolution.convolve(x, weight, forward, 2, 2)
        up = convolution.convolve_transposed(small, weight, backward, 2, 2, 8)
    assert taken == ["convolve_by_patches", "convolve_transposed_by_patches"]
    assert y.dtype == up.dtype == torch.bfloat16
    for routed, native in (
        (y, functional.conv2d(x, weight, forward, 2, 2)),
        (up, functional.conv_transpose2d(small, weight, backward, 2, 2, 1)),
    ):
        # bf16 keeps 8 bits; values are sums of many, so compare with their root mean square.
        scale = native.square().mean().sqrt()
        assert (routed.float() - native).abs().max() < 6 * 2**-8 * scale
    if with_bias:
        gradient = _gradients(y.float(), narrow)[0]
        assert gradient.abs().sum() > 0


def test_float32_and_shallow_layers_take_the_native_route(monkeypatch: pytest.MonkeyPatch):
    taken = _routed(monkeypatch)
    deep = _normal(convolution._LEAST_MAPS, 2, 5, 5, dtype=torch.float32)
    shallow = _normal(convolution._LEAST_MAPS - 1, 2, 5, 5, dtype=torch.float32)
    x = _normal(1, 2, 8, 8, dtype=torch.float32)
    exact = functional.conv2d(x, deep, None, 2, 2)
    assert torch.equal(convolution.convolve(x, deep, None, 2, 2), exact)
    with torch.autocast("cpu", torch.bfloat16):
        convolution.convolve(x, shallow, None, 2, 2)
    assert taken == []


@pytest.mark.parametrize(("small", "side"), [(4, 7), (7, 14), (14, 28), (4, 8)])
def test_transposed_layers_reach_the_side_they_are_asked_for(small: int, side: int):
    x, weight = _normal(1, 2, small, small), _normal(2, 3, 5, 5)
    assert convolution.convolve_transposed(x, weight, None, 2, 2, side).shape == (1, 3, side, side)


@pytest.mark.parametrize("maps", [6, 25])
def test_one_by_one_stride_two_on_channels_last_maps(maps: int):
    # As in cs231n-mnist's last layer; in float32 oneDNN crashes on the gradient with 6 or 8 maps.
    x, weight = _normal(8, maps, 56, 56), _normal(1, maps, 1, 1, seed=1)
    exact = functional.conv2d(x, weight, None, 2)
    inputs = [t.detach().float().contiguous(memory_format=torch.channels_last) for t in (x, weight)]
    for tensor in inputs:
        tensor.requires_grad_()
    y = convolution.convolve(inputs[0], inputs[1], None, 2, 0)
    torch.testing.assert_close(y, exact.float(), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(
        torch.autograd.grad(y.square().sum(), inputs),
        torch.autograd.grad(exact.square().sum(), (x, weight)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs.float(), rtol=1e-4, atol=1e-2)
