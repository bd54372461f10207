"""What determines a run, as its config.json holds it."""

from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gan_eval.errors import InputError
from gan_eval.files import is_figure
from gan_eval.models.config import DiscriminatorConfig, GeneratorConfig, at_least
from gan_eval.models.recipe import Recipe

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images a network was trained on, and what was done to them; see `Images`.

    `class_names` are those of the labels that a conditional generator learned; empty without one.
    """

    name: str
    root: str | None
    split: str
    source: str
    count: int
    native: tuple[int, int, int] | None
    fit: str | None
    notes: tuple[str, ...]
    fingerprint: str
    listing: str = ""
    class_names: tuple[str, ...] = ()

    @property
    def root_there(self) -> Path | None:
        """The root that they were under, where that is still there."""
        return Path(self.root) if self.root and Path(self.root).is_dir() else None


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Which published files a run's weights are from: file name -> SHA-256, for each network.

    A network that was not among them has no files. `epoch` is None where their names do not say.
    """

    format: Literal["newmu", "pytorch-examples"]
    epoch: int | None
    generator: dict[str, str]
    discriminator: dict[str, str]

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that there are, of "generator" and "discriminator"."""
        return tuple(name for name in ("generator", "discriminator") if getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that determines a run; `deviations` lists what differs from the source.

    `asked` are the options that it was started with, as they were given. A run with `imported`
    weights was not trained here: it has no data and no steps, and its recipe is the published one.
    `scored` is what `fid` and `kid` in metrics.jsonl depend on, `probed` what `probe_error` does;
    None where there are none. `threads` are those of the CPU, whose number orders its sums: other
    ones give other last bits.
    """

    preset: str
    source: str
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    recipe: Recipe
    data: DataConfig | None
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
    threads: int | None = None  # of runs of earlier versions
    asked: dict[str, Any] = field(default_factory=dict)
    imported: ImportConfig | None = None
    scored: dict[str, Any] | None = None
    probed: dict[str, Any] | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        if (self.data is None) == (self.imported is None):
            raise InputError("a run must have either data or imported. Got both, or neither.")
        at_least(0 if self.imported else 1, self, "steps", "steps_per_epoch")
        at_least(1, self, "world_size")

    @property
    def has_discriminator(self) -> bool:
        """Whether there is a discriminator, which imported files may lack."""
        return self.imported is None or bool(self.imported.discriminator)

    def steps_of(self, epochs: int) -> int:
        """Return how many steps are done when so many epochs are."""
        return self.recipe.pretrain_steps + epochs * self.steps_per_epoch

    def rate_factor(self, step: int) -> float:
        """Return the factor that the recipe's schedule has on the learning rates at `step`."""
        return self.recipe.schedule.factor(step / self.steps_per_epoch)

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RunConfig":
        """Rebuild a config from `to_json`'s values.

        Raises:
            ValueError, TypeError, KeyError: a value cannot be its field's, or there is no such one.
        """
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}")
        config: RunConfig = _built(cls, values)
        return config


def _built(kind: Any, value: Any, name: str = "it") -> Any:
    """Return what JSON has for a value, by the `name` of its field, that is annotated as `kind`.

    Raises:
        TypeError: it is of another.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, UnionType):  # ... | None
        return None if value is None else _built(inner[0], value, name)
    if is_dataclass(kind) and isinstance(value, dict):
        made: Any = kind
        kinds = get_type_hints(kind)
        return made(**{key: _built(kinds[key], each, key) for key, each in value.items()})
    if origin is dict and isinstance(value, dict):
        return {key: _built(inner[1], each, f"{name}.{key}") for key, each in value.items()}
    if origin is tuple and isinstance(value, list | tuple):
        each_kind = inner[:1] * len(value) if inner[-1] is ... else inner
        return tuple(_built(*pair, name) for pair in zip(each_kind, value, strict=True))
    fits = is_figure(value) if kind is float else type(value) is kind
    if fits or kind is Any or (origin is Literal and value in inner):
        return value
    raise TypeError(f"{name} must be {str(kind).removeprefix('typing.')}, not {value!r}")
