"""Features by name: which extractor each is, and in which form it takes its images."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

from gan_eval.data import Images
from gan_eval.devices import resolve_device
from gan_eval.errors import InputError, closest
from gan_eval.features.discriminator import (
    BatchNormBy,
    DiscriminatorFeatures,
    random_discriminator,
)
from gan_eval.features.extractor import Extractor
from gan_eval.features.inception import SIDE, Inception
from gan_eval.features.kmeans import KMeans
from gan_eval.features.pixels import Pixels
from gan_eval.features.torchvision import SIDE as TORCHVISION_SIDE
from gan_eval.features.torchvision import torchvision_features
from gan_eval.features.views import Mirrored, Shifted
from gan_eval.files import StrPath
from gan_eval.images import Fit
from gan_eval.models.presets import configure, preset
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Epoch, Run
from gan_eval.precision import Precision
from gan_eval.records import CUT_SHORT
from gan_eval.training.ledger import of_length

FEATURES = ("disc", "random-disc", "pixels", "kmeans", "inception", "torchvision:NAME")
_TORCHVISION = "torchvision:"
_SMALL, _MAPS = 32, 1600


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Which features are wanted. What does not belong to a feature does not change it.

    Attributes:
        name: one of `FEATURES`.
        run: whose discriminator "disc" is, and whose architecture "random-disc" has.
        epoch: a kept one of the run or "best", None for its newest weights.
        preset: the architecture of "random-disc" where there is no run.
        layers, pool, batch_norm: of the discriminators, see `DiscriminatorFeatures`.
        mirror: whether a row is the mean of those of an image and of its mirror image.
        shifts: pixels that each image is shifted by too, one number or several, in place of
            `mirror`; see `Shifted`. Kept in order, each once.
        maps: of "kmeans".
        weights: file of "inception" or "torchvision:NAME".
        seed: of untrained weights and of k-means.
        extractor: features of one's own, of any name: of `gan_eval.Modules`, say.
    """

    name: str
    run: Run | None = None
    epoch: Epoch | None = None
    preset: str | None = None
    layers: tuple[int, ...] | None = None
    pool: int = 4
    batch_norm: BatchNormBy = "dataset"
    mirror: bool = False
    shifts: Sequence[int] | None = None
    maps: int = _MAPS
    weights: StrPath | None = None
    seed: int = 0
    extractor: Extractor | None = None

    def __post_init__(self) -> None:
        if self.shifts is not None:
            object.__setattr__(self, "shifts", _whole_numbers(self.shifts))
        if self.mirror and self.shifts:
            raise InputError(
                "shifts go with mirror images of their own. Got mirror too; leave one of them out."
            )
        if self.extractor is not None:
            return
        if self.name not in FEATURES[:-1] and not self.name.startswith(_TORCHVISION):
            raise InputError(f"feature {self.name!r} is not known. {closest(self.name, FEATURES)}")
        if self.name == "disc" and self.run is None:
            raise InputError(
                "feature 'disc' needs a trained discriminator. Got no run; name one before "
                "--features."
            )
        if self.name == "random-disc" and self.run is None and self.preset is None:
            raise InputError(
                "feature 'random-disc' needs an architecture. Got no run; name one, or --preset."
            )

    @property
    def architecture(self) -> str:
        """The preset that a discriminator's architecture is of."""
        return self.run.config().preset if self.run is not None else self.preset or ""

    def shown(self, name: str) -> str:
        """Return what tables and figures call the extractor `name` that was made of it."""
        return ", ".join([name, *self._views])

    def variant(self) -> list[str]:
        """Return in words how it differs from the paper's use, for names of files."""
        of_disc, differs = self.name in ("disc", "random-disc"), []
        if of_disc and self.layers is not None:
            differs.append(f"layers {' '.join(map(str, self.layers))}")
        if of_disc and self.pool != 4:
            differs.append(f"pool {self.pool}")
        if of_disc and self.batch_norm != "dataset":
            differs.append(f"by {self.batch_norm}")
        if self.name == "kmeans" and self.maps != _MAPS:
            differs.append(f"{self.maps} maps")
        return [*differs, *self._views]

    @property
    def _views(self) -> list[str]:
        if self.shifts:
            return [f"shifts {' '.join(map(str, self.shifts))}"]
        return ["mirror"] if self.mirror else []

    def form(self) -> dict[str, Any]:
        """Return the size, channels and fit of the images it takes; {} for the data's own."""
        if self.extractor is not None or self.name not in ("disc", "random-disc"):
            return {}
        if self.run is None:
            return {"size": preset(self.preset or "").discriminator.image_size}
        return form_of(self.run.config())

    @property
    def own_form(self) -> dict[str, Any]:
        """Return the size of images that are no squares of one size, where the feature takes any.

        That of the network, or CIFAR-10's, which pixels and k-means are published of.
        """
        if self.extractor is not None:
            size = getattr(self.extractor, "size", None)
            return {} if size is None else {"size": size}
        if self.name.startswith(_TORCHVISION):
            return {"size": TORCHVISION_SIDE}
        return {"size": SIDE if self.name == "inception" else _SMALL}

    def describe(self) -> dict[str, Any]:
        """Return where a trained discriminator is from, JSON-able; {} for other features."""
        of_run = self.name == "disc" and self.run is not None and self.extractor is None
        return describe(self.run, self.epoch) if of_run and self.run else {}


def describe(run: Run, epoch: Epoch | None = None) -> dict[str, Any]:
    """Return where the weights of `epoch`, or the newest of a run, are from, JSON-able."""
    config, steps = run.config(), run.steps(epoch)
    return {
        "run": run.folder.name,
        "epoch": run.number(epoch),
        "preset": config.preset,
        "trained_on": config.data and config.data.name,
        "trained_split": config.data and config.data.split,
        "images": config.data and config.data.count,
        "seed": None if config.imported else config.seed,
        "steps": steps,
        "deviations": _deviations(config, steps, run.number(epoch)),
    }


def _deviations(config: RunConfig, steps: int, epoch: int | None) -> list[str]:
    """Return what differs from the source of weights after `steps`, those of a kept epoch or not.

    A kept epoch is what a shorter training had ended with.
    """
    if steps >= config.steps:
        return list(config.deviations)
    cut = [f"{CUT_SHORT} {steps:,} of {config.steps:,} steps"] if epoch is None else []
    return [*of_length(config, epoch, None), *cut]


def form_of(config: RunConfig) -> dict[str, Any]:
    """Return the size, channels and fit of the images that a run's networks take."""
    fit: Fit = "pad" if config.data and config.data.fit == "pad" else "crop"
    network = config.discriminator
    return {"size": network.image_size, "channels": network.channels, "fit": fit}


def features_of(names: Sequence[str], runs: Sequence[Run], **options: Any) -> list[FeatureSpec]:
    """Return the features called `names`, those of discriminators once for each of `runs`.

    Untrained discriminators of one architecture are one feature.

    Args:
        options: fields of `FeatureSpec`, of all.

    Raises:
        InputError: a name is unknown, or needs a run.

    Example:
        >>> [spec.name for spec in features_of(["pixels", "kmeans"], [])]
        ['pixels', 'kmeans']
    """
    found: dict[Any, FeatureSpec] = {}
    own: list[Run | None] = [*runs] or [None]
    for name in names:
        for run in own if name in ("disc", "random-disc") else [None]:
            spec = FeatureSpec(name=name, run=run, **options)
            same = (name, run.config().discriminator if run and name == "random-disc" else run)
            found.setdefault(same, spec)
    return list(found.values())


def build(spec: FeatureSpec, train: Images, *, device: str, precision: Precision) -> Extractor:
    """Return the extractor that `spec` names.

    Args:
        train: the images that it learns from without labels, where it does.
        device: "auto", "cuda", "mps" or "cpu".
        precision: of networks' products.

    Raises:
        InputError: the run has no discriminator, a layer does not fit, a file is missing …
    """
    extractor = spec.extractor or _named(spec, train, device, precision)
    if spec.shifts:
        if not all(0 < each < train.size for each in spec.shifts):
            raise InputError(
                f"shifts must be from 1 to {train.size - 1} pixels, of images of {train.size}. Got "
                f"{', '.join(map(str, spec.shifts))}; pass 3, say."
            )
        ours = spec.extractor is None and not spec.name.startswith(_TORCHVISION)
        # Networks of others get their images on the CPU, where they are resized.
        return Shifted(extractor, spec.shifts, resolve_device(device) if ours else "cpu")
    return Mirrored(extractor) if spec.mirror else extractor


def _whole_numbers(given: int | Sequence[int]) -> tuple[int, ...]:
    """Return one number or several in order, each once: the same shifts have one identity."""
    try:
        return tuple(sorted({*map(index, [given] if isinstance(given, int) else given)}))
    except TypeError as error:
        raise InputError(f"shifts must be whole numbers of pixels. Got {given!r}.") from error


def _named(spec: FeatureSpec, train: Images, device: str, precision: Precision) -> Extractor:
    if spec.name in ("disc", "random-disc"):
        return _discriminator(spec, train, device, precision)
    if spec.name == "pixels":
        return Pixels(train.channels, train.size)
    if spec.name == "kmeans":
        return KMeans(train, maps=spec.maps, seed=spec.seed, device=device)
    if spec.name == "inception":
        return Inception(spec.weights, device=device, precision=precision)
    return torchvision_features(
        spec.name.removeprefix(_TORCHVISION),
        spec.weights,
        seed=spec.seed,
        device=device,
        precision=precision,
    )


def _discriminator(
    spec: FeatureSpec, train: Images, device: str, precision: Precision
) -> DiscriminatorFeatures:
    config = (
        spec.run.config()
        if spec.run is not None
        else configure(spec.preset or "", image_size=train.size, channels=train.channels)
    )
    network = (
        spec.run.load_discriminator(spec.epoch)
        if spec.name == "disc" and spec.run is not None
        else random_discriminator(config.discriminator, spec.seed)
    )
    return DiscriminatorFeatures(
        network,
        config.generator.scale,
        name=spec.name,
        layers=spec.layers,
        pool=spec.pool,
        batch_norm=spec.batch_norm,
        train=train,
        device=device,
        precision=precision,
    )
