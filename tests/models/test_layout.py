"""In which layout maps reach what is wrong of channels-last ones on Apple's MPS."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_eval.models.config import Layer, Norm
from gan_eval.models.dcgan import BatchNorm, Block


class OnMps(Tensor):
    """A tensor that says it lies where these tests have no device."""

    device = property(lambda self: torch.device("mps"))  # type: ignore[assignment]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return what batch norm and pooling are given."""
    found: list[Tensor] = []

    def note(x: Tensor, *_: object) -> Tensor:
        found.append(x)
        return x

    monkeypatch.setattr(nn.BatchNorm1d, "forward", lambda self, x: note(x))
    monkeypatch.setattr(functional, "avg_pool2d", note)
    return found


@pytest.mark.parametrize("mps", [False, True])
def test_batch_norm_and_pooling_see_plain_maps_on_mps_alone(seen: list[Tensor], mps: bool):
    x = torch.rand(2, 3, 6, 6).contiguous(memory_format=torch.channels_last)
    x = x.as_subclass(OnMps) if mps else x
    BatchNorm(3, Norm())(x)
    layer = Layer(kind="conv", width=3, kernel=3, stride=1, norm="none", pool=2)
    block = Block(layer, 3, 6, 3, Norm(), bias=False)
    nn.init.ones_(block.weight)
    block(x, None)
    assert len(seen) == 2
    assert all(each.is_contiguous() == mps for each in seen)
    assert torch.equal(seen[0].as_subclass(Tensor), x.as_subclass(Tensor))
