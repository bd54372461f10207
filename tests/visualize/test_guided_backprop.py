"""Guided backpropagation is its rule, however a network calls its rectifiers."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_eval.seeding import stream
from gan_eval.visualize.guided_backprop import GuidedBackprop

SLOPE = 0.2


class Reused(nn.Module):
    """Three linear maps and one rectifier for all of them, in place."""

    def __init__(self) -> None:
        super().__init__()
        shapes = ((9, 6), (7, 9), (5, 7))
        source = stream(0, "weights")
        self.weights = [torch.randn(shape, generator=source).double() for shape in shapes]
        self.rectify = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights:
            x = self.rectify(x @ weight.T)
        return x


def gradient(network: nn.Module, x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(network(leaf)[:, 2].sum(), leaf)[0]


def by_hand(network: Reused, x: Tensor) -> Tensor:
    """Return what the rule says, layer by layer, for output 2."""
    inputs = []
    for weight in network.weights:
        inputs.append(x @ weight.T)
        x = torch.where(inputs[-1] > 0, inputs[-1], SLOPE * inputs[-1])
    back = torch.zeros_like(x)
    back[:, 2] = 1
    for weight, before in zip(reversed(network.weights), reversed(inputs), strict=True):
        back = torch.where((before > 0) & (back > 0), back, 0.0) @ weight
    return back


def points() -> Tensor:
    return torch.randn(40, 6, generator=stream(0, "points")).double()


def test_a_rectifier_that_is_reused_in_place_is_guided_every_time():
    network, x = Reused(), points()
    with GuidedBackprop():
        found = gradient(network, x)
    torch.testing.assert_close(found, by_hand(network, x))
    # Half of the answers are negative, and nothing speaks for those.
    answers = network(x)[:, 2]
    assert (found[answers < 0] == 0).all()
    assert (found[answers > 0] != 0).any()


def test_values_are_the_same_and_the_plain_gradient_is_back_afterwards():
    network, x = Reused(), points()
    plain, values = gradient(network, x), network(x)
    with GuidedBackprop():
        assert torch.equal(network(x), values)
        assert not torch.equal(gradient(network, x), plain)
    assert torch.equal(gradient(network, x), plain)


def test_relu_has_the_same_rule_and_other_functions_their_own():
    x = torch.tensor([2.0, 2.0, -2.0, -2.0], requires_grad=True)
    towards = torch.tensor([3.0, -3.0, 3.0, -3.0])
    for rectify in (functional.relu, lambda x: functional.leaky_relu(x, 0.5, inplace=False)):
        with GuidedBackprop():
            y = rectify(x)
        assert torch.autograd.grad(y, x, towards)[0].tolist() == [3.0, 0.0, 0.0, 0.0]
    with GuidedBackprop():
        y = functional.elu(x)
    assert (torch.autograd.grad(y, x, towards)[0] != 0).all()


def test_every_way_to_call_relu_is_guided():
    in_place = (torch.relu_, Tensor.relu_, functional.relu_, functional.leaky_relu_)
    for rectify in (torch.relu, Tensor.relu, functional.relu, *in_place):
        x = torch.tensor([3.0, -3.0, 3.0], requires_grad=True)
        with GuidedBackprop():
            y = rectify(x * 1)
        (found,) = torch.autograd.grad((y * torch.tensor([1.0, 1.0, -1.0])).sum(), x)
        assert found.tolist() == [1.0, 0.0, 0.0]  # the last one speaks against
