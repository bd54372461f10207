"""In which features images are compared: extractors by name, and the form of images they take.

A discriminator's features are here the largest answer of each of its maps, in every convolution
(radford2015-imagenet32: 1,792 of them): the 4 x 4 grid that it is classified by would be 16 times
as wide, and a covariance of that width could neither be held nor be estimated. It normalises by the
running averages of its training, so that it is one function, whatever it is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from gan_eval.errors import InputError, closest
from gan_eval.experiments.features import form_of
from gan_eval.experiments.score.sides import Side
from gan_eval.features.discriminator import DiscriminatorFeatures
from gan_eval.features.extractor import Extractor, NamedExtractor
from gan_eval.features.inception import SIDE, Dims, Inception, Resize, inception_identity
from gan_eval.features.pixels import Pixels
from gan_eval.features.statistics_file import Statistics
from gan_eval.features.torchvision import SIDE as TORCHVISION_SIDE
from gan_eval.features.torchvision import torchvision_features
from gan_eval.files import StrPath
from gan_eval.models.runs import Run
from gan_eval.precision import Precision

_DIMS: dict[str, Dims] = {
    "inception": 2048,
    "inception-768": 768,
    "inception-192": 192,
    "inception-64": 64,
}
_DISC, _TORCHVISION = "disc:", "torchvision:"
EXTRACTORS = (*_DIMS, "disc", "disc:RUN", "pixels", "torchvision:NAME")


def check_weights(name: str, weights: StrPath | None) -> None:
    """Check that a file of weights is given for a network that takes one.

    Raises:
        InputError: it is given for another.
    """
    if weights is not None and name not in _DIMS and not name.startswith(_TORCHVISION):
        raise InputError(
            f"weights must be for inception or torchvision:NAME. Got {weights} for {name}; leave "
            "them out, or choose that extractor."
        )


@dataclass(frozen=True, kw_only=True)
class ExtractorSpec:
    """Which features images are compared by. What does not belong to them does not change them.

    Attributes:
        name: one of `EXTRACTORS`; "disc" is the discriminator of each run that is scored, at its
            newest epoch, "disc:RUN" that of one run for all.
        weights: file of Inception or of torchvision's network. None takes Inception's official
            file from torch hub's folder, or no file where both sides are statistics, and leaves
            torchvision's network untrained.
        resize: how Inception's images reach their size.
        precision: of networks' products.
        seed: of untrained weights.
        extractor: features of one's own, of `gan_eval.Modules`, say; the name is theirs then.
    """

    name: str = "inception"
    weights: StrPath | None = None
    resize: Resize = "pytorch-fid"
    precision: Precision = "32"
    seed: int = 0
    extractor: Extractor | None = None

    def __post_init__(self) -> None:
        if self.extractor is not None:
            object.__setattr__(self, "name", self.extractor.name)
            return
        for name, value, choices in (
            ("resize", self.resize, get_args(Resize)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}. Got {value!r}.")
        known = self.name in (*_DIMS, "disc", "pixels")
        if not known and not self.name.startswith((_DISC, _TORCHVISION)):
            raise InputError(
                f"extractor {self.name!r} is not known. {closest(self.name, EXTRACTORS)}"
            )
        check_weights(self.name, self.weights)

    def run_of(self, model: Side) -> Run | None:
        """Return the run whose discriminator compares `model`; None where none does.

        Raises:
            InputError: it would be the model's own, and the model is no run.
        """
        if self.extractor is not None:
            return None
        if self.name == "disc" and model.run is None:
            raise InputError(
                f"extractor 'disc' is the discriminator of the run that is scored. Got {model.name}"
                ", which is none; name one, as disc:runs/mine."
            )
        if self.name.startswith(_DISC):
            return Run(Path(self.name.removeprefix(_DISC)))
        return model.run if self.name == "disc" else None

    def form(self, model: Side) -> dict[str, Any]:
        """Return the size, channels and fit in which `model` and its reference are compared.

        What the discriminator that compares them takes, else what samples have: a real image then
        shows no more than a generated one can. {} where each side keeps its own.
        """
        run = self.run_of(model)
        return dict(model.form) if run is None else form_of(run.config())

    @property
    def of_one_form(self) -> bool:
        """Whether the size and channels of images must be known before there is an extractor."""
        return self.extractor is None and self.name == "pixels"

    @property
    def own_form(self) -> dict[str, Any]:
        """Return size and fit of images that are no squares of one size; {} where none is known.

        What Inception is fed is stretched, as pytorch-fid and clean-fid do.
        """
        if self.extractor is not None:
            size = getattr(self.extractor, "size", None)
            return {} if size is None else {"size": size}
        if self.name in _DIMS:
            fit = "stretch" if self.resize == "pytorch-fid" else "stretch-bicubic"
            return {"size": SIDE, "fit": fit}
        return {"size": TORCHVISION_SIDE} if self.name.startswith(_TORCHVISION) else {}

    def of_statistics(self, both: Sequence[Statistics]) -> Extractor | None:
        """Return the extractor of two sides that are statistics; None where it is to be built.

        No image is looked at: Inception's weights are those that either side states, whatever file
        is on this machine, and not known where neither does.
        """
        if self.extractor is not None or self.weights is not None or self.name not in _DIMS:
            return None
        dims = _DIMS[self.name]
        stated = next((each.extractor for each in both if each.extractor is not None), {})
        digest = stated.get("weights_sha256")
        identity = inception_identity(digest, dims, self.resize, self.precision)
        return NamedExtractor(name=self.name, width=dims, identity=identity)

    def build(self, model: Side, form: Mapping[str, Any], device: str) -> Extractor:
        """Return the extractor.

        Args:
            model: what is scored.
            form: of its images; "pixels" needs size and channels.
            device: a resolved one.

        Raises:
            InputError: a file is missing or of another network, the discriminator is conditional.
        """
        if self.extractor is not None:
            return self.extractor
        run = self.run_of(model)
        options: dict[str, Any] = {"device": device, "precision": self.precision}
        if run is not None:
            name, scale = f"{_DISC}{run.folder.resolve().name}", run.config().generator.scale
            options |= {"name": name, "pool": 1, "batch_norm": "running"}
            return DiscriminatorFeatures(run.load_discriminator(), scale, **options)
        if self.name == "pixels":
            return Pixels(form["channels"], form["size"])
        if self.name in _DIMS:
            dims = _DIMS[self.name]
            return Inception(self.weights, dims=dims, resize=self.resize, **options)
        name = self.name.removeprefix(_TORCHVISION)
        return torchvision_features(
            name, self.weights, size=TORCHVISION_SIDE, pool=1, seed=self.seed, **options
        )
