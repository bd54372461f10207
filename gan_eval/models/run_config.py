"""What determines a run, as its config.json holds it."""

from dataclasses import asdict, dataclass, field, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gan_eval.errors import InputError
from gan_eval.models.config import DiscriminatorConfig, GeneratorConfig
from gan_eval.models.recipe import Recipe

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images a network was trained on, and what was done to them; see `Images`."""

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

    @property
    def has_discriminator(self) -> bool:
        """Whether there is a discriminator, which imported files may lack."""
        return self.imported is None or bool(self.imported.discriminator)

    def steps_of(self, epochs: int) -> int:
        """Return how many steps are done when so many epochs are."""
        return self.recipe.pretrain_steps + epochs * self.steps_per_epoch

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RunConfig":
        """Rebuild a config from `to_json`'s values."""
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}")
        config: RunConfig = _built(cls, values)
        return config


def _built(kind: Any, value: Any) -> Any:
    """Return what JSON has for a value that is annotated as `kind`."""
    if isinstance(kind, UnionType):  # ... | None
        return None if value is None else _built(get_args(kind)[0], value)
    if isinstance(kind, type) and is_dataclass(kind):
        kinds = get_type_hints(kind)
        return kind(**{name: _built(kinds[name], each) for name, each in value.items()})
    if get_origin(kind) is tuple:
        return tuple(_built(get_args(kind)[0], each) for each in value)
    return value
