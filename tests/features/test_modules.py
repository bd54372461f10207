"""Any network's layers as features: what is taken, in which order, and what is refused."""

import copy
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from gan_eval.errors import InputError
from gan_eval.features import torchvision
from gan_eval.features.modules import Modules
from gan_eval.features.torchvision import torchvision_features
from gan_eval.models.weights import weights_sha256
from gan_eval.seeding import derive, stream


class Small(nn.Module):
    """Two convolutions, the first followed by an activation in place, and a linear layer."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.out = nn.Linear(6, 5)
        self.idle = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.first(x)))
        x = self.act(self.second(x))
        logits: Tensor = self.out(x.mean((2, 3)))
        return logits


def small(channels: int = 3) -> Small:
    """Return a `Small` with weights and batch-norm statistics of a seed."""
    network = Small(channels)
    generator = stream(0, "small")
    for name, tensor in network.state_dict().items():
        if name.endswith(("weight", "bias", "mean")):
            tensor.normal_(generator=generator)
        elif name.endswith("var"):
            tensor.uniform_(0.5, 2, generator=generator)
    return network


def noise(n: int, channels: int = 3, size: int = 12) -> Tensor:
    shape = (n, channels, size, size)
    return torch.randint(256, shape, generator=stream(1, "noise"), dtype=torch.uint8)


def test_layers_are_pooled_flattened_channel_major_and_joined_in_the_order_named():
    network, images = small(), noise(5)
    extractor = Modules(network, ["second", "norm", "out"], size=12, pool=3)
    rows = extractor(images)
    assert rows.shape == (5, extractor.width) == (5, 6 * 9 + 4 * 9 + 5)
    with torch.no_grad():
        norm = network.norm(network.first(images / 127.5 - 1))
        second = network.second(norm.relu())
        out = network.out(second.relu().mean((2, 3)))
    maps = [second.unflatten(3, (3, 2)).unflatten(2, (3, 2)).amax((3, 5))]
    maps.append(norm.unflatten(3, (3, 4)).unflatten(2, (3, 4)).amax((3, 5)))
    expected = torch.cat([*(pooled.reshape(5, -1) for pooled in maps), out], 1)
    assert torch.allclose(rows, expected, atol=1e-4)


def test_rows_are_what_a_layer_made_before_the_next_changed_it_in_place():
    class Chain(nn.Sequential):
        pass

    chain = Chain(nn.Flatten(), nn.Linear(3 * 4, 8), nn.ReLU(inplace=True))
    rows = Modules(chain, ["1"], size=2)(noise(6, size=2))
    assert (rows < 0).any()


def test_a_row_does_not_depend_on_its_batch():
    extractor = Modules(small(), ["norm", "second"], size=12)
    images = noise(6)
    alone = torch.cat([extractor(image[None]) for image in images])
    assert torch.allclose(extractor(images), alone, atol=1e-5)


def test_the_network_is_left_without_hooks():
    network = small()
    Modules(network, ["norm"], size=12)(noise(2))
    assert not any(module._forward_hooks for module in network.modules())


def test_grey_is_repeated_and_colour_made_grey_as_the_network_wants():
    images = noise(4)
    grey = images[:, :1]
    colour = Modules(small(), ["second"], size=12)
    assert torch.equal(colour(grey), colour(grey.expand(-1, 3, -1, -1)))
    single = Modules(small(1), ["second"], size=12, channels=1)
    assert torch.equal(single(grey.expand(-1, 3, -1, -1)), single(grey))


def test_images_of_another_side_are_resized_with_antialiasing():
    extractor = Modules(nn.Sequential(nn.Flatten()), ["0"], size=4)
    images = noise(2, size=8)
    exact = functional.interpolate(images.float(), (4, 4), mode="bilinear", antialias=True)
    assert torch.allclose(extractor(images), (exact / 127.5 - 1).flatten(1), atol=1.01 / 127.5)


def test_mean_and_std_are_taken_by_channel():
    flat = nn.Sequential(nn.Flatten())
    extractor = Modules(flat, ["0"], size=1, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    assert torch.allclose(extractor(white), torch.tensor([[1.0, 1.0, 0.0]]))


def test_bf16_rows_are_float_and_close_to_full_precision():
    images = noise(3)
    full = Modules(small(), ["second", "out"], size=12)
    half = Modules(small(), ["second", "out"], size=12, precision="bf16")
    rows = half(images)
    assert rows.dtype == torch.float32
    assert not torch.equal(rows, full(images))
    assert (rows - full(images)).norm() < 0.02 * full(images).norm()
    assert full.identity != half.identity


def change_weight(options: dict[str, Any]) -> None:
    with torch.no_grad():
        options["network"].idle.bias[0] += 1


@pytest.mark.parametrize(
    "change",
    [
        lambda options: options.update(layers=["norm"]),
        lambda options: options.update(pool=2),
        lambda options: options.update(size=14),
        lambda options: options.update(mean=(0.4,)),
        lambda options: options.update(std=(0.4,)),
        change_weight,
    ],
)
def test_the_identity_changes_with_whatever_changes_a_row(change: Callable[..., None]):
    options: dict[str, Any] = {"network": small(), "layers": ["second"], "size": 12}
    before = Modules(**options).identity
    assert before == Modules(**options).identity
    change(options)
    assert Modules(**options).identity != before


class Doubled(Small):
    """The same weights, and other code."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(2 * x)


class Gained(nn.Module):
    """A layer with a plain number, which is in no weights and in no source."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


class Shifted(nn.Module):
    """A layer with a buffer that is in no state dict."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.register_buffer("by", torch.tensor(by), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


class Wrapped(nn.Sequential):
    """A network that keeps a buffer of a layer out of its own state dict."""

    def __init__(self, first: nn.Module, by: float) -> None:
        super().__init__(first, nn.BatchNorm2d(4))
        self[1].running_mean.fill_(by)

    def state_dict(self, *args: object, **options: object) -> dict[str, Tensor]:
        kept = super().state_dict(*args, **options)
        kept.pop("1.running_mean")
        return kept


def test_networks_of_the_same_weights_that_compute_something_else_have_other_identities():
    conv = nn.Conv2d(3, 4, 3, bias=False)
    with torch.no_grad():
        conv.weight.abs_().neg_()  # of images in [0, 1] all is negative, and differs
    pairs = [
        (nn.Sequential(conv, nn.ReLU()), nn.Sequential(conv, nn.Tanh())),
        (nn.Sequential(conv, nn.LeakyReLU(0.1)), nn.Sequential(conv, nn.LeakyReLU(0.2))),
        (nn.Sequential(conv, Shifted(1.0)), nn.Sequential(conv, Shifted(2.0))),
        (nn.Sequential(conv, Gained(1.0)), nn.Sequential(conv, Gained(2.0))),
        (Wrapped(conv, 1.0), Wrapped(conv, 2.0)),
    ]
    for one, other in pairs:
        first, second = (Modules(each, ["1"], size=12, mean=0.0, std=1.0) for each in (one, other))
        assert not torch.equal(first(noise(2)), second(noise(2)))
        assert first.identity != second.identity
    doubled = Doubled()
    doubled.load_state_dict(small().state_dict())
    identities = [
        {**Modules(each, ["norm"], size=12).identity, "network": None}
        for each in (small(), doubled)
    ]
    assert identities[0] != identities[1]


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def extra_repr(self) -> str:
        return repr(self.function)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


_GAIN = 2.0
_TABLE = {"by": torch.ones(1)}


def _doubled(x: Tensor) -> Tensor:
    return x * _GAIN


class _Scaled(nn.Module):
    """Keeps whatever it is given, and derives its forward pass."""

    def __init__(self, kept: object = None) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, x: Tensor) -> Tensor:
        return self.act(_doubled(x) + _TABLE["by"])

    def act(self, x: Tensor) -> Tensor:
        return x


class _Derived(_Scaled):
    pass


class _Slots:
    __slots__ = ("scale", "unset")

    def __init__(self, scale: float) -> None:
        self.scale = scale


class _Pair(NamedTuple):
    a: int
    b: int


class _Settings:
    def __init__(self, **values: object) -> None:
        self.values = values


def _code(network: nn.Module) -> object:
    return Modules(network, [""], size=12).identity["code_sha256"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.zeros(3, 1, 1), torch.full((3, 1, 1), 0.5)),
        (np.zeros(3), np.ones(3)),
        (np.zeros(3, np.float32), np.zeros(3)),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.relu, torch.tanh),
        ({"gain": 1}, {"gain": 2}),
        ({"gain": 1}, {"gains": 1}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),  # which may be gone through in that order
        ([1, [2]], [[1], 2]),
        (lambda x: x, lambda x: 2 * x),
        (lambda x: torch.relu(x), lambda x: torch.sigmoid(x)),
        (_Slots(1.0), _Slots(2.0)),
        (cache(lambda x: x), cache(lambda x: -x)),
        (SimpleNamespace(k=torch.arange(2000)), SimpleNamespace(k=-torch.arange(2000))),
        (deque([1, torch.zeros(9)]), deque([1, torch.ones(9)])),
        (np.array([1, "a"], object), np.array([2, "a"], object)),
        (_Pair(1, 2), _Pair(2, 1)),
        (partial(torch.clamp, min=0), partial(torch.clamp, min=1)),
        (_Settings(gain=1), _Settings(gain=[2])),
        ([nn.Linear(2, 2)], [nn.Linear(2, 2)]),  # of other weights, and no layer of the network
        ([nn.ReLU()], [nn.ELU()]),
        (_doubled, noise),
        (torch.float32, torch.bfloat16),
        (None, 0),
        ("1", 1),
    ],
)
def test_whatever_a_network_keeps_is_part_of_its_identity(one: object, other: object):
    assert _code(_Derived(one)) == _code(_Derived(copy.deepcopy(one))) != _code(_Derived(other))


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        (_Scaled, "forward", lambda self, x: 7 * x),
        (_Scaled, "act", lambda self, x: x.abs()),
        (sys.modules[__name__], "_GAIN", 3.0),
        (sys.modules[__name__], "_doubled", lambda x: 3 * x),
        (sys.modules[__name__], "_TABLE", {"by": torch.zeros(1)}),
    ],
)
def test_code_that_a_network_inherits_or_names_is_part_of_its_identity(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, value: object
):
    before = _code(_Derived())
    monkeypatch.setattr(where, name, value)
    assert _code(_Derived()) != before


def test_networks_that_refer_to_themselves_have_an_identity():
    ring: list[object] = [_Scaled()]
    ring.append(ring)
    network = _Derived(ring)
    ring.append(network)
    assert _code(network) == _code(copy.deepcopy(network))


def test_a_forward_pass_that_was_put_on_an_instance_is_part_of_its_identity():
    network = _Derived()
    before = _code(network)
    network.forward = MethodType(lambda self, x: 3 * x, network)  # type: ignore[method-assign]
    assert _code(network) != before
    hooked = _Derived()
    hooked.register_forward_hook(lambda module, inputs, out: out + 1)
    assert _code(hooked) != before


def test_the_identity_is_the_same_in_every_process():
    """Sets lie in another order in each."""
    program = (
        "import torch; from torch import nn; from gan_eval import Modules\n"
        "class Kept:\n"
        "    def __init__(self, i): self.i = i\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__(); self.kept = {'a', 'b', 'c', 'd'}\n"
        "        self.pairs = {Kept(i): Kept(-i) for i in range(8)}\n"
        "        self.objects = {Kept(i) for i in range(8)}\n"
        "        self.conv = torch.compile(nn.Conv2d(3, 4, 3), backend='eager')\n"
        "    def forward(self, x):\n"
        "        return x if 'a' in {'a', 'b', 'c', 'd'} else [y for y in x]\n"
        "print(Modules(Net(), [''], size=12).identity['code_sha256'])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1


def test_what_cannot_be_followed_is_never_taken_for_another():
    class Broken:
        @property
        def __dict__(self) -> dict[str, object]:  # type: ignore[override]
            raise ValueError

    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    for kept in (deep, Broken()):
        network = _Derived(kept)
        assert str(_code(network)).startswith("unknown")
        assert _code(network) != _code(network)


def test_where_a_function_lies_in_memory_changes_no_identity():
    one, other = (Modules(Applied(lambda x: 2 * x), [""], size=12).identity for _ in range(2))
    assert one == other


def test_the_weights_hash_depends_on_values_shapes_types_and_names_only():
    plain = nn.Linear(2, 3, bias=False)
    nn.init.ones_(plain.weight)
    turned = nn.Linear(3, 2, bias=False)
    nn.init.ones_(turned.weight)
    half = nn.Linear(2, 3, bias=False).bfloat16()
    nn.init.ones_(half.weight)
    hashes = {weights_sha256(each) for each in (plain, turned, half, nn.Sequential(plain))}
    assert len(hashes) == 4
    strided = nn.Linear(2, 3, bias=False)
    strided.weight = nn.Parameter(torch.ones(2, 3).T)
    assert weights_sha256(strided) == weights_sha256(plain)


@pytest.mark.parametrize(
    ("layers", "options", "message"),
    [
        (["secnd"], {}, r"layer 'secnd' is unknown. Did you mean 'second'\? Known: first, norm"),
        ([], {}, r"layers must name one layer at least. Got none; name some"),
        (["idle"], {}, r"layer 'idle' must run once .* It ran 0 times; name another"),
        (["act"], {}, r"layer 'act' must run once .* It ran 2 times; name another"),
        (
            ["second"],
            {"pool": 7},
            r"layer 'second' must have maps of .* pool = 7 .* Got 6x6; leave",
        ),
        (["second"], {"channels": 1}, r"network 'network' must take images \(1, 12, 12\). It says"),
    ],
)
def test_layers_that_cannot_be_taken_are_refused(
    layers: list[str], options: dict[str, Any], message: str
):
    with pytest.raises(InputError, match=message):
        Modules(small(), layers, size=12, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": "second"}, r"layers must be a list of names. Got 'second'; pass \['second'\]"),
        ({"pool": 0}, r"pool must be at least 1. Got 0"),
        ({"precision": "fp16"}, r"precision must be auto, 32 or bf16. Got 'fp16'"),
    ],
)
def test_options_that_mean_nothing_are_refused(given: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        Modules(small(), **{"layers": ["second"], "size": 12, **given})


class Two(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


def test_whatever_a_network_says_to_an_image_is_one_line():
    with pytest.raises(InputError, match=r"network 'network' must take images .* missing 1 req"):
        Modules(Two(), [""], size=12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_network_of_another_type_is_fed_that(dtype: torch.dtype):
    rows = Modules(small().to(dtype), ["norm"], size=12)(noise(2))
    assert rows.dtype == torch.float32
    assert torch.allclose(rows, Modules(small(), ["norm"], size=12)(noise(2)), atol=0.1)


def test_one_number_stands_for_all_channels():
    options: dict[str, Any] = {"layers": ["norm"], "size": 12}
    one = Modules(small(), mean=0.4, std=0.3, **options)
    each = Modules(small(), mean=(0.4,), std=(0.3,), **options)
    assert torch.equal(one(noise(2)), each(noise(2)))
    assert one.identity == each.identity


def test_a_compiled_network_is_used_as_it_was():
    plain = Modules(small(), ["norm"], size=12)
    compiled = Modules(torch.compile(small(), backend="eager"), ["norm"], size=12)
    assert compiled.identity == plain.identity
    assert torch.equal(compiled(noise(2)), plain(noise(2)))


def test_tokens_and_tuples_are_refused():
    with pytest.raises(InputError, match=r"layer '0' must give maps .* Got \(1, 3, 4\); name"):
        Modules(nn.Sequential(nn.Flatten(2)), ["0"], size=2)
    recurrent = nn.Sequential(nn.Flatten(2), nn.LSTM(4, 2))
    with pytest.raises(InputError, match=r"layer '1' must give maps .* Got tuple; name"):
        Modules(recurrent, ["1"], size=2)


def test_a_network_put_back_into_training_mode_is_refused():
    network = small().train()
    extractor = Modules(network, ["norm"], size=12)
    assert not network.training
    network.norm.train()
    with pytest.raises(InputError, match=r"must be in evaluation mode.* Got training mode; call"):
        extractor(noise(2))


def test_batch_norm_without_running_statistics_is_refused():
    network = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))
    with pytest.raises(InputError, match=r"batch norm '0' must keep running statistics.* Got"):
        Modules(network, ["0"], size=8)


# torchvision: a squeezed network keeps the tests quick.
QUICK = "shufflenet_v2_x0_5"


def test_torchvision_gives_what_its_last_linear_layer_is_fed():
    extractor = torchvision_features(QUICK, size=64)
    assert extractor.width == 1024
    assert extractor.name == f"torchvision:{QUICK} (untrained)"
    from torchvision import models

    state = torch.random.get_rng_state()
    torch.manual_seed(derive(0, "features", QUICK))
    own = models.get_model(QUICK, weights=None).eval()
    torch.random.set_rng_state(state)
    x = (noise(2, size=64) / 255 - torch.tensor(torchvision.IMAGENET_MEAN).view(3, 1, 1)) / (
        torch.tensor(torchvision.IMAGENET_STD).view(3, 1, 1)
    )
    with torch.no_grad():
        logits = own(x)
        rows = extractor(noise(2, size=64))
        assert torch.allclose(own.fc(rows), logits, atol=1e-4)


def test_untrained_weights_follow_the_seed_and_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    one, same, other = (torchvision_features(QUICK, size=64, seed=seed) for seed in (0, 0, 1))
    assert one.identity == same.identity != other.identity
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_weights_come_from_a_local_file_even_with_another_head_or_without_counters(
    tmp_path: Path, kind: str
):
    from torchvision import models

    network = models.get_model(QUICK, weights=None, num_classes=7)
    state = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path = tmp_path / f"weights.{kind}"
    torch.save(state, path) if kind == "pth" else save_file(state, path)
    extractor = torchvision_features(QUICK, path, size=64)
    assert extractor.name == f"torchvision:{QUICK}"
    network.fc = nn.Identity()
    same = Modules(
        network, ["fc"], size=64, mean=torchvision.IMAGENET_MEAN, std=torchvision.IMAGENET_STD
    )
    assert torch.equal(extractor(noise(2, size=64)), same(noise(2, size=64)))
    assert extractor.identity == same.identity


def test_layers_of_torchvision_networks_can_be_named():
    extractor = torchvision_features(QUICK, layers=["stage2", "stage3"], size=64)
    assert extractor.width == (48 + 96) * 16


def test_what_torchvision_does_not_have_is_refused():
    with pytest.raises(InputError, match=r"'resnet19' is unknown. Did you mean 'resnet1"):
        torchvision_features("resnet19")


def test_a_network_without_a_linear_layer_is_seen_before_its_last_convolution():
    extractor = torchvision_features("squeezenet1_1", size=64, pool=3)
    network = torchvision._untrained("squeezenet1_1", 0).eval()
    mean, std = (
        torch.tensor(values).view(3, 1, 1)
        for values in (torchvision.IMAGENET_MEAN, torchvision.IMAGENET_STD)
    )
    images = noise(2, size=64)
    with torch.no_grad():
        maps = network.features((images / 255 - mean) / std)
    assert extractor.width == 512 * 9
    assert torch.allclose(extractor(images), maps.flatten(1), atol=1e-5)


def test_weight_files_that_are_not_weights_are_refused(tmp_path: Path):
    def message(path: Path) -> str:
        with pytest.raises(InputError) as raised:
            torchvision_features(QUICK, path)
        return str(raised.value)

    assert "must exist. Found none; give" in message(tmp_path / "absent.pth")
    cut = tmp_path / "cut.pth"
    # The first letters of a text are opcodes of a pickle: what they do is anybody's guess.
    for text in (b"not a checkpoint", b"hello world", b"export PATH=/bin\n", b"<html></html>"):
        cut.write_bytes(text)
        assert "must be a whole state dict" in message(cut)
    code = tmp_path / "code.pth"
    torch.save(nn.Linear(2, 2), code)
    assert "must be a whole state dict, without code" in message(code)
    nested = tmp_path / "nested.pth"
    torch.save({"state_dict": {"weight": torch.ones(1)}}, nested)
    assert "must hold tensors by name. Got others" in message(nested)
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.ones(1)}, other)
    assert "must be of the network that is named" in message(other)
    assert "\n" not in message(other)


def test_googlenets_weights_are_fed_the_images_that_they_were_learned_from(tmp_path: Path):
    published = torchvision._untrained("googlenet", 3).eval()
    published.transform_input = True  # what torchvision sets with its own weights
    path = tmp_path / "googlenet.pth"
    torch.save(published.state_dict(), path)
    mean, std = (
        torch.tensor(values).view(3, 1, 1)
        for values in (torchvision.IMAGENET_MEAN, torchvision.IMAGENET_STD)
    )
    published.fc = nn.Identity()
    images = noise(1, size=64)
    with torch.no_grad():
        expected = published((images / 255 - mean) / std)
    found = torchvision_features("googlenet", path, size=64)(images)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
