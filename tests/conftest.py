"""What tests share: networks small enough to train in milliseconds, and runs of them on digits."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from nursery import Nursery

from gan_eval.data import Images
from gan_eval.features.discriminator import random_discriminator
from gan_eval.models.config import DiscriminatorConfig, GeneratorConfig
from gan_eval.models.dcgan import Generator, initialise
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Run
from gan_eval.models.weights import save_network
from gan_eval.seeding import stream
from gan_eval.training.config import Request, resolve

TINY = 6
# Fixtures are no modules to look for doctests in; several files of that name cannot be imported.
collect_ignore_glob = ["conftest.py", "*/conftest.py"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Compute on one thread, here and in the processes that tests start: each core has a worker."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1, precision="32-true")


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("nursery"))
    yield made
    made.close()


def narrow(network: Any) -> Any:
    """Return a network's config with at most `TINY` maps or units in each layer but the last."""
    assert isinstance(network, GeneratorConfig | DiscriminatorConfig)
    inner = tuple(replace(layer, width=min(layer.width, TINY)) for layer in network.layers[:-1])
    return replace(network, layers=(*inner, network.layers[-1]))


@pytest.fixture(scope="session")
def tiny() -> Callable[..., tuple[RunConfig, Images]]:
    """Return the maker of a run's config: a preset's recipe and layers, but a few maps each."""
    opened: dict[str, tuple[RunConfig, Images]] = {}

    def make(
        preset: str = "sthalles", *, steps: int = 6, seed: int = 0, **recipe: Any
    ) -> tuple[RunConfig, Images]:
        if preset not in opened:
            request = Request(
                preset=preset, data="digits", limit=40, batch_size=8, device="cpu", precision="32"
            )
            opened[preset] = resolve(request)
        config, images = opened[preset]
        changed = replace(
            config,
            generator=narrow(config.generator),
            discriminator=narrow(config.discriminator),
            recipe=replace(config.recipe, **recipe),
            steps=steps,
            seed=seed,
            save_epochs=(1,),
        )
        return changed, images

    return make


@pytest.fixture(scope="session")
def untrained(tiny: Callable[..., tuple[RunConfig, Images]]) -> Callable[..., Run]:
    """Return the maker of a run in a folder whose networks are as yet untrained."""

    def make(
        folder: Path,
        preset: str = "radford2015-svhn",
        *,
        seed: int = 5,
        gain: float = 1,
        **changed: Any,
    ) -> Run:
        """Make one; all images are nearly the same but for a `gain` of G's inner weights."""
        config, run = replace(tiny(preset)[0], **changed), Run(folder)
        run.write_config(config)
        generator = Generator(config.generator)
        initialise(generator, stream(seed, "init", "generator"))
        for block in generator.blocks[:-1]:
            block.weight.data.mul_(gain)
        save_network(run.generator, generator, {"step": config.steps})
        discriminator = random_discriminator(config.discriminator, 7)
        save_network(run.discriminator, discriminator, {"step": config.steps})
        return run

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"
