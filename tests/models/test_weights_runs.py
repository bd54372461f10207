"""What is written is read back whole; what is damaged is refused and the network left alone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gan_eval.data import Images
from gan_eval.errors import InputError
from gan_eval.files import write_bytes
from gan_eval.models.dcgan import Discriminator, Generator, initialise
from gan_eval.models.presets import PRESETS, configure
from gan_eval.models.run_config import FORMAT, DataConfig, RunConfig
from gan_eval.models.runs import Run
from gan_eval.models.weights import load_network, load_tensors, read_about, save_network
from gan_eval.seeding import stream

Tiny = Callable[..., tuple[RunConfig, Images]]


def _network(seed: int = 0) -> Generator:
    network = Generator(configure("bubbliiiing", image_size=16, width=2).generator)
    initialise(network, stream(seed, "init"))
    return network


def _values(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "generator.safetensors"
    save_network(path, _network(), {"preset": "bubbliiiing", "epoch": 3})
    return path


def test_network_comes_back_bit_for_bit(saved: Path):
    trained, other = _network(), _network(seed=1)
    assert not _equal(_values(trained), _values(other))
    assert load_network(saved, other) == {"preset": "bubbliiiing", "epoch": 3}
    assert _equal(_values(trained), _values(other))
    assert read_about(saved) == {"preset": "bubbliiiing", "epoch": 3}


def test_running_statistics_are_kept(tmp_path: Path):
    network = _network()
    network(torch.randn(16, 100, generator=stream(0, "z")))
    save_network(tmp_path / "g.safetensors", network, {})
    other = _network()
    load_network(tmp_path / "g.safetensors", other)
    assert float(other.blocks[0].norm.running_mean.abs().sum()) > 0
    z = torch.randn(4, 100, generator=stream(1, "z"))
    assert torch.equal(network.eval()(z), other.eval()(z))


def test_equal_networks_make_equal_files(saved: Path, tmp_path: Path):
    # With several entries of metadata safetensors orders them anew at every call.
    for attempt in range(8):
        again = tmp_path / f"{attempt}.safetensors"
        save_network(again, _network(), {"preset": "bubbliiiing", "epoch": 3})
        assert again.read_bytes() == saved.read_bytes()


def _refused(path: Path, message: str) -> None:
    """Assert that loading `path` fails with `message` and leaves the network as it was."""
    network = _network(seed=5)
    before = _values(network)
    with pytest.raises(InputError, match=message):
        load_network(path, network)
    assert _equal(_values(network), before)


@pytest.mark.parametrize("left", [0, 4, 8, 100, 0.5, -1])
def test_truncated_file_is_refused(saved: Path, left: float):
    whole = saved.read_bytes()
    keep = int(len(whole) * left) if isinstance(left, float) else left
    saved.write_bytes(whole[:keep])
    _refused(saved, r"generator\.safetensors must be a whole safetensors file.*restore it")


def test_pickle_is_refused_without_being_run(tmp_path: Path):
    path, trap = tmp_path / "generator.safetensors", tmp_path / "trap"
    torch.save(_network().state_dict(), path)
    _refused(path, "must be a whole safetensors file; pickles are never read")
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR.")
    _refused(path, "pickles are never read")
    assert not trap.exists()


def test_file_of_noise_is_refused(tmp_path: Path):
    path = tmp_path / "generator.safetensors"
    for seed in range(5):
        noise = torch.randint(0, 256, (4096,), generator=stream(seed, "noise"), dtype=torch.uint8)
        path.write_bytes(noise.numpy().tobytes())
        _refused(path, "must be a whole safetensors file")


def test_another_programs_header_is_passed_over(tmp_path: Path):
    path = tmp_path / "theirs.safetensors"
    for header in ({"format": "pt"}, {"about": "a network of ours"}, {"about": "[" * 100_000}):
        save_file({"w": torch.ones(2)}, path, header)
        tensors, about = load_tensors(path)
        assert torch.equal(tensors["w"], torch.ones(2))
        assert about == {}


def test_missing_file_is_named(tmp_path: Path):
    _refused(tmp_path / "generator.safetensors", r"generator\.safetensors must exist. Found none")


def _copied(path: Path) -> dict[str, torch.Tensor]:
    """Return tensors that stay when their file is overwritten: loaded ones may be mapped to it."""
    return {name: tensor.clone() for name, tensor in load_tensors(path)[0].items()}


def test_wrong_shape_is_refused(saved: Path):
    tensors = _copied(saved)
    # The last tensor in the file, so that others would have been copied before it.
    name = "blocks.4.weight"
    save_file({**tensors, name: torch.zeros(2, 2)}, saved)
    shape = r"must have shape \(2, 3, 4, 4\). Got \(2, 2\)"
    _refused(saved, rf"'{name}' in weights file .* {shape}")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_are_taken(saved: Path, kind: torch.dtype):
    tensors = {
        name: tensor.to(kind if tensor.is_floating_point() else torch.int32)
        for name, tensor in _copied(saved).items()
    }
    save_file(tensors, saved)
    other = _network(seed=1)
    load_network(saved, other)
    assert _equal(_values(other), {k: v.to(other.state_dict()[k]) for k, v in tensors.items()})


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.complex64])
def test_weights_that_would_lose_their_values_are_refused(saved: Path, kind: torch.dtype):
    tensors = _copied(saved)
    save_file({**tensors, "blocks.4.weight": tensors["blocks.4.weight"].to(kind)}, saved)
    _refused(saved, rf"'blocks.4.weight' in .* must be of torch.float32, .* Got {kind}, which")


def test_missing_and_surplus_tensors_are_refused(saved: Path):
    tensors = _copied(saved)
    save_file({k: v for k, v in tensors.items() if k != "blocks.1.weight"}, saved)
    _refused(saved, r"'blocks.1.weight' is in only one of them")
    save_file({**tensors, "extra": torch.zeros(1)}, saved)
    _refused(saved, r"'extra' is in only one of them")


def _config(name: str) -> RunConfig:
    published = PRESETS[name]
    return RunConfig(
        preset=name,
        source=published.source,
        generator=published.generator,
        discriminator=published.discriminator,
        recipe=published.recipe,
        data=DataConfig(
            name="digits",
            root=None,
            split="train",
            source="embedded",
            count=1797,
            native=(1, 8, 8),
            fit="crop",
            notes=("resized",),
            fingerprint="sha256:00",
        ),
        seed=7,
        steps=100,
        steps_per_epoch=14,
        precision="32",
        device="cpu",
        world_size=1,
        save_epochs=(1, 2, 5),
        deviations=published.deviations,
        versions={"torch": "2"},
    )


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_config_comes_back_equal_through_json(name: str, folder: Path):
    config = _config(name)
    Run(folder).write_config(config)
    assert Run(folder).config() == config
    streamed = replace(config, data=replace(config.data, native=None, root="data", fit=None))
    assert RunConfig.from_json(json.loads(json.dumps(streamed.to_json()))) == streamed


def test_whole_numbers_may_stand_for_others(folder: Path):
    config = _config("sthalles")
    values = _changed(1, "recipe", "real_target")(json.loads(json.dumps(config.to_json())))
    assert RunConfig.from_json(values).recipe == replace(config.recipe, real_target=1.0)


def _without(key: str) -> Callable[[dict], object]:
    return lambda values: {k: v for k, v in values.items() if k != key}


def _changed(value: object, *path: str | int) -> Callable[[dict], object]:
    """Return what puts another value at a path of a config."""

    def change(values: dict) -> object:
        *above, last = path
        reduce(getitem, above, values)[last] = value
        return values

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: "{",
        lambda values: json.dumps(values)[:200],
        lambda values: "[]",
        lambda values: "null",
        lambda values: "\x00\x01",
        _without("recipe"),
        _without("generator"),
        lambda values: {**values, "generator": None},
        lambda values: {**values, "surplus": 1},
        lambda values: {**values, "format": FORMAT + 1},
        lambda values: {**values, "recipe": {**values["recipe"], "batch_size": 0}},
        lambda values: "[" * 100_000,
        *(
            _changed(value, *path)
            for value, path in (
                ("gaussian", ("generator", "prior")),
                ("mid", ("precision",)),
                ("7", ("seed",)),
                (True, ("seed",)),
                (None, ("steps",)),
                (0, ("steps_per_epoch",)),
                (0, ("world_size",)),
                (["1"], ("save_epochs",)),
                (5, ("data", "name")),
                ([1, 8], ("data", "native")),
                ([], ("versions",)),
                ({"torch": 2}, ("versions",)),
                (1, ("compile",)),
                (float("nan"), ("recipe", "generator", "lr")),
                ([], ("generator", "norm")),
                ([], ("generator", "layers")),
                (10**30, ("generator", "classes")),
                (0, ("generator", "latent_dim")),
                ("4", ("generator", "layers", 0, "width")),
                (10**30, ("generator", "layers", 0, "width")),
                (True, ("generator", "layers", 0, "label")),
                ("relu6", ("discriminator", "layers", 0, "activation")),
                (0, ("discriminator", "layers", 0, "pool")),
            )
        ),
    ],
    ids=[f"damage-{number}" for number in range(35)],
)
def test_broken_config_is_refused(damage: Callable[[dict], object], folder: Path):
    run = Run(folder)
    run.write_config(_config("sthalles"))
    path = folder / "config.json"
    broken = damage(json.loads(path.read_text()))
    path.write_text(broken if isinstance(broken, str) else json.dumps(broken))
    with pytest.raises(InputError, match=r"config\.json must be a run's config of format 1"):
        run.config()


def test_folder_without_a_run_is_refused(folder: Path):
    with pytest.raises(InputError, match=r"must be a folder with config\.json"):
        Run(folder).config()
    assert not folder.exists()


def test_run_loads_the_newest_networks_or_those_of_an_epoch(folder: Path, tiny: Tiny):
    config, _ = tiny("sthalles")
    run = Run(folder)
    run.write_config(config)
    old, new = Generator(config.generator), Generator(config.generator)
    for seed, network in enumerate((old, new)):
        initialise(network, stream(seed, "init"))
    save_network(run.generator, new, {})
    save_network(run.checkpoint(2) / "generator.safetensors", old, {})
    assert _equal(run.load_generator().state_dict(), new.state_dict())
    assert _equal(run.load_generator(2).state_dict(), old.state_dict())
    assert not run.load_generator().training
    copy = folder / "checkpoints" / "epoch-0002-copy"
    shutil.copytree(run.checkpoint(2), copy)
    assert run.kept("generator") == [2]
    assert run.kept("discriminator") == []
    with pytest.raises(InputError, match=r"must be one that was kept: 2\. Got 3"):
        run.load_generator(3)
    judge = Discriminator(config.discriminator)
    initialise(judge, stream(0, "init"))
    save_network(run.discriminator, judge, {})
    assert _equal(run.load_discriminator().state_dict(), judge.state_dict())


@pytest.mark.parametrize(
    "text",
    [
        *('{"epoch": 1, "ru', "{}", "null", "[1]", '{"epoch": 1}', "\udcff", "[" * 100_000),
        *('{"rule": "a", "epoch": "x"}', '{"rule": "a", "epoch": 1e999}'),
    ],
)
def test_a_damaged_best_epoch_is_refused(folder: Path, text: str):
    run = Run(folder)
    path = run.checkpoint("best") / "best.json"
    assert run.best() is None
    write_bytes(path, text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"best\.json must say which epoch was the best"):
        run.number("best")
    write_bytes(path, b'{"rule": "lowest fid", "step": 9, "epoch": 3}')
    assert run.number("best") == 3


@pytest.mark.parametrize("step", ["x", None, [1], float("inf")])
def test_weights_say_after_how_many_steps_they_are(untrained: Any, folder: Path, step: object):
    run = untrained(folder)
    save_network(run.generator, run.load_generator(), {"step": step})
    with pytest.raises(InputError, match=r"generator\.safetensors must say its step\. Got"):
        run.steps()


@pytest.mark.parametrize(
    "figures",
    [
        {"step": "x"},
        {"step": 1.5},
        {"step": None},
        {"epoch": []},
        {"epoch": None},
        {"fid": ""},
        {"fid": True},
        {"fid": float("nan")},
        {"fid": -1e308},
        {"fid": 10**400},
    ],
)
def test_metrics_are_finite_numbers(folder: Path, figures: dict[str, object]):
    run, whole = Run(folder), {"step": 1, "epoch": 0.5, "fid": 3}
    write_bytes(run.metrics, (json.dumps({**whole, **figures}) + "\n").encode())
    with pytest.raises(InputError, match=r"metrics\.jsonl must hold finite numbers, with step and"):
        run.rows()


def test_a_figure_that_was_none_is_left_out(folder: Path):
    run = Run(folder)
    write_bytes(run.metrics, b'{"step": 1, "epoch": 0.5, "fid": null}\n')
    assert run.rows() == [{"step": 1, "epoch": 0.5}]
