"""A run: the folder in which a trained network lives, with everything that says what it is.

config.json  generator.safetensors  discriminator.safetensors  metrics.jsonl  losses.png
samples/epoch-0001.png …   checkpoints/epoch-0001/{generator,discriminator}.safetensors
resume/state.safetensors
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gan_eval.errors import InputError
from gan_eval.models.config import DiscriminatorConfig, GeneratorConfig, Layer, Norm
from gan_eval.models.dcgan import Discriminator, Generator
from gan_eval.models.recipe import Adam, Recipe, Schedule
from gan_eval.models.weights import load_network
from gan_eval.records import write_json

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images a network was trained on, and what was done to them."""

    name: str
    root: str | None
    split: str
    source: str
    count: int
    native: tuple[int, int, int] | None
    fit: str | None
    notes: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that determines a run; `deviations` lists what differs from the source.

    `asked` are the options that it was started with, as they were given.
    """

    preset: str
    source: str
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    recipe: Recipe
    data: DataConfig
    seed: int
    steps: int
    steps_per_epoch: int
    precision: Literal["32", "bf16"]
    device: str
    world_size: int
    save_epochs: tuple[int, ...]
    deviations: tuple[str, ...]
    versions: dict[str, str]
    compile: bool = False
    asked: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RunConfig":
        """Rebuild a config from `to_json`'s values."""
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}")
        network = {"generator": GeneratorConfig, "discriminator": DiscriminatorConfig}
        built: dict[str, Any] = dict(values)
        for name, kind in network.items():
            layers = tuple(Layer(**layer) for layer in values[name]["layers"])
            norm = Norm(**values[name]["norm"])
            built[name] = kind(**{**values[name], "layers": layers, "norm": norm})
        built["recipe"] = _recipe(values["recipe"])
        data = dict(values["data"])
        data["notes"] = tuple(data["notes"])
        data["native"] = tuple(data["native"]) if data["native"] else None
        built["data"] = DataConfig(**data)
        for name in ("save_epochs", "deviations"):
            built[name] = tuple(values[name])
        return cls(**built)


def _recipe(values: dict[str, Any]) -> Recipe:
    parts = {
        "generator": Adam(**values["generator"]),
        "discriminator": Adam(**values["discriminator"]),
        "schedule": Schedule(**values["schedule"]),
    }
    return Recipe(**{**values, **parts})


@dataclass(frozen=True)
class Run:
    """The paths in a run's folder and, where it has been started, its config."""

    folder: Path

    @property
    def generator(self) -> Path:
        return self.folder / "generator.safetensors"

    @property
    def discriminator(self) -> Path:
        return self.folder / "discriminator.safetensors"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def state(self) -> Path:
        return self.folder / "resume" / "state.safetensors"

    def grid(self, epoch: int) -> Path:
        """Return where the sample grid of `epoch` lies."""
        return self.folder / "samples" / f"epoch-{epoch:04d}.png"

    def checkpoint(self, epoch: int) -> Path:
        """Return the folder of the networks kept after `epoch`."""
        return self.folder / "checkpoints" / f"epoch-{epoch:04d}"

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return (self.folder / "config.json").is_file()

    def write_config(self, config: RunConfig) -> None:
        """Write config.json."""
        write_json(self.folder / "config.json", config.to_json())

    def config(self) -> RunConfig:
        """Return the run's config.

        Raises:
            InputError: the folder holds no run, or one that this version does not read.
        """
        path = self.folder / "config.json"
        if not path.is_file():
            raise InputError(
                f"run {self.folder} must be a folder with config.json, as `gan-eval train` makes. "
                "Found none; check the path."
            )
        try:
            return RunConfig.from_json(json.loads(path.read_text()))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path} must be a run's config of format {FORMAT}. Got one that is not "
                f"({type(error).__name__}: {error}); restore it, or train again."
            ) from error

    def load_generator(self, epoch: int | None = None) -> Generator:
        """Return the trained generator in evaluation mode, of `epoch` or the newest."""
        network = Generator(self.config().generator)
        load_network(self._weights(self.generator, epoch), network)
        return network.eval()

    def load_discriminator(self, epoch: int | None = None) -> Discriminator:
        """Return the trained discriminator in evaluation mode, of `epoch` or the newest."""
        network = Discriminator(self.config().discriminator)
        load_network(self._weights(self.discriminator, epoch), network)
        return network.eval()

    def _weights(self, newest: Path, epoch: int | None) -> Path:
        return newest if epoch is None else self.checkpoint(epoch) / newest.name
