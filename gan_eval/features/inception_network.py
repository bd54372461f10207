"""pytorch-fid's Inception network in a faster form: the same function, but for rounding.

* Batch norm is folded into the convolution before it.
* The 1 x 1 convolutions that read a block's input are one. Average pooling comes after its own:
  the mean over positions and the mixture of maps commute, and there are 4 to 7 times fewer maps
  behind the convolution. The maximum, which Mixed_7c pools by, does not commute.
* Of maps that are pooled or concatenated, ReLU comes last, where they are fewest.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import torch
from pytorch_fid import inception  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval
from torchvision.models.inception import BasicConv2d, InceptionB, InceptionD

# Convolutions one after another; those of one stage read the same maps, and lie side by side.
Stages = Sequence[Sequence[BasicConv2d]]


def faster(blocks: Iterable[nn.Module]) -> nn.Sequential:
    """Return the network that pytorch-fid's `blocks` are, in evaluation, up to its last maps."""
    parts: list[nn.Module] = []
    for block in blocks:
        modules = list(block.children())
        if isinstance(modules[0], BasicConv2d):
            *convolutions, pool = modules
            stages = [[convolution] for convolution in convolutions]
            parts += [*_chain(stages), pool, nn.ReLU(inplace=True)]
        else:
            parts += [Mixed(each) for each in modules if not isinstance(each, nn.AdaptiveAvgPool2d)]
    return nn.Sequential(*parts)


class Mixed(nn.Module):
    """A block of parallel branches: maps (n, c, h, w) -> those of every branch."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        branches = list(_branches(block))
        first = [convolution for convolution, _ in branches if convolution is not None]
        self.first = _folded(first)
        self.widths = [convolution.conv.out_channels for convolution in first]
        self.on_first = [convolution is not None for convolution, _ in branches]
        self.rest = nn.ModuleList(rest for _, rest in branches)

    def forward(self, maps: Tensor) -> Tensor:
        parts = iter(self.first(maps).split(self.widths, 1))
        found = [
            rest(next(parts) if on_first else maps)
            for rest, on_first in zip(self.rest, self.on_first, strict=True)
        ]
        return torch.cat(found, 1).relu_()


def _branches(block: nn.Module) -> Iterator[tuple[BasicConv2d | None, nn.Module]]:
    """Yield, for each branch, its 1 x 1 convolution of the input if it has one, and the rest."""
    for name, stages in _stages(block):
        (first, *_), *others = stages
        if name == "pool" and isinstance(block, inception.FIDInceptionE_2):
            yield None, nn.Sequential(nn.MaxPool2d(3, 1, 1), _folded([first]))
        elif name == "pool":
            yield first, nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        elif first.conv.kernel_size != (1, 1):
            yield None, nn.Sequential(*_chain(stages))
        elif others:
            # Not in place: it makes a part of the maps contiguous on the way.
            yield first, nn.Sequential(nn.ReLU(), *_chain(others))
        else:
            yield first, nn.Identity()
    if isinstance(block, InceptionB | InceptionD):
        yield None, nn.MaxPool2d(3, 2)


def _stages(block: nn.Module) -> Iterator[tuple[str, Stages]]:
    """Yield name and stages of each branch: "branch3x3_1", then "_2a" beside "_2b", and so on."""

    def place(child: tuple[str, nn.Module]) -> tuple[str, str]:
        branch, _, stage = child[0].removeprefix("branch").partition("_")
        return branch or stage, stage[:1]

    grouped = [(where, [each for _, each in some])
               for where, some in groupby(block.named_children(), place)]  # fmt: skip
    for name, some in groupby(grouped, lambda group: group[0][0]):
        yield name, [convolutions for _, convolutions in some]


def _chain(stages: Stages) -> list[nn.Module]:
    """Return the stages with ReLU between them, and none behind the last."""
    modules: list[nn.Module] = []
    for stage in stages:
        each = [_folded([convolution]) for convolution in stage]
        modules += [each[0] if len(each) == 1 else _Beside(each), nn.ReLU(inplace=True)]
    return modules[:-1]


class _Beside(nn.Module):
    """Modules that read the same maps, their own lying one behind the other."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.each = nn.ModuleList(modules)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([module(maps) for module in self.each], 1)


def _folded(modules: Sequence[BasicConv2d]) -> nn.Conv2d:
    """Return convolutions of the same maps as one, with batch norm and without ReLU."""
    each = [fuse_conv_bn_eval(module.conv, module.bn) for module in modules]
    whole: nn.Conv2d = each[0]
    weight, bias = (torch.cat([getattr(one, name) for one in each]) for name in ("weight", "bias"))
    whole.out_channels = len(weight)
    whole.weight, whole.bias = (nn.Parameter(part, requires_grad=False) for part in (weight, bias))
    return whole
