"""Does an image show an attribute? A linear classifier of labelled real images says so.

A generated image has no labels. To say whether it smiles, an L2-SVM is trained on features of real
images that have them. Whoever picks images by one classifier and then counts successes by another
gives each a half of the real images of its own (`gan_eval.experiments.parts`), and features of
its own: the first those of the run's D, the second those of an untrained network that is the same
for every run. It must not be pixels: what is linear in them finds in a sum of images what it found
in each, so that arithmetic with pixels would always succeed.

An attribute is a column of the data's attributes or a class of its labels. A class whose name is
a number is called "class 3", so that names and numbers of samples are never taken for one another.
"""

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_eval.data import Images
from gan_eval.errors import InputError, closest
from gan_eval.experiments.features import FeatureSpec
from gan_eval.features.extractor import Extractor
from gan_eval.features.store import default_store, extract
from gan_eval.models.runs import Run
from gan_eval.probes.l2_svm import LinearModel, fit_l2_svm
from gan_eval.seeding import derive

# Of a half: what the SVM is fitted to, then what chooses C and the threshold; the rest measures.
_FITTED, _VALIDATED = 0.6, 0.2
_C = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Images with the attribute, and without it, that a half must hold at least.
_FEWEST = 20
_BATCH = 100
_ROUNDED = 1e-9  # of sums of shares
# The one architecture that takes any size of images; its second layer has a quarter of it.
_JUDGE, _JUDGE_GRID = "carpedm20", 8


@dataclass(frozen=True, kw_only=True, eq=False)
class AttributeClassifier:
    """Tells images with an attribute from those without.

    Attributes:
        attribute: its name.
        hits, false_alarms: shares of real images with the attribute, and without it, in which it
            is seen; of images that neither the SVM nor its threshold has seen.
        extractor: what the SVM sees of an image.
        model: the SVM.
        threshold: the decision value above which the attribute is there.
    """

    attribute: str
    hits: float
    false_alarms: float
    extractor: Extractor
    model: LinearModel
    threshold: float

    @property
    def accuracy(self) -> float:
        """Balanced: the mean of the shares that are right with and without the attribute."""
        return (self.hits + 1 - self.false_alarms) / 2

    @torch.inference_mode()
    def scores(self, images: Tensor) -> Tensor:
        """Return how far each of uint8 `images` (n, c, s, s) is above the threshold, (n,)."""
        found = [
            self.model.decision_function(self.extractor(block).to(self.model.weights.device))
            for block in torch.split(images, _BATCH)
        ]
        return torch.cat(found)[:, 0].cpu() - self.threshold

    def decide(self, images: Tensor) -> Tensor:
        """Return whether uint8 `images` (n, c, s, s) show the attribute, bool (n,)."""
        return self.scores(images) > 0

    def to_json(self) -> dict[str, Any]:
        """Return what the classifier is, JSON-able, without its weights."""
        return {
            "attribute": self.attribute,
            "accuracy": self.accuracy,
            "hits": self.hits,
            "false_alarms": self.false_alarms,
            "features": dict(self.extractor.identity),
            "C": self.model.C,
            "threshold": self.threshold,
        }


def attribute_of(data: Images, attribute: str) -> Tensor:
    """Return which images of labelled `data` have the attribute, bool (n,).

    Raises:
        InputError: there is none of that name, or the data has neither attributes nor labels.
    """
    found = {}
    if data.attributes is not None:
        columns = data.attributes.unbind(1)
        found = dict(zip(data.attribute_names, columns, strict=True))
    if data.labels is not None:
        for number, name in enumerate(data.class_names):
            called = f"class {name}" if name.lstrip("-").isdigit() else name
            found.setdefault(called, data.labels == number)
    if not found:
        raise InputError(
            f"data must be labelled to know an attribute. {data.name!r} has no attributes and no "
            "labels; pass labelled data of the same kind with --data."
        )
    found = {unicodedata.normalize("NFC", name): shown for name, shown in found.items()}
    attribute = unicodedata.normalize("NFC", attribute)
    if attribute not in found:
        raise InputError(
            f"attribute {attribute!r} is not one of {data.name!r}. {closest(attribute, found)}"
        )
    return found[attribute]


def own_features(run: Run) -> FeatureSpec:
    """Return the features of a run's discriminator; pixels where it has none that gives them."""
    config = run.config()
    disc = config.has_discriminator and config.discriminator.feature_width() is not None
    return FeatureSpec(name="disc" if disc else "pixels", run=run)


def judge_features(size: int, seed: int) -> FeatureSpec:
    """Return features of images of `size` pixels that no run has any part in.

    Finer than the paper's: the first two layers, on a grid of up to 8x8, for details of a face.
    """
    return FeatureSpec(
        name="random-disc",
        preset=_JUDGE,
        layers=(1, 2),
        pool=min(_JUDGE_GRID, math.ceil(size / 4)),
        seed=derive(seed, "judge"),
    )


def train_attribute_classifier(
    half: Images,
    attribute: str,
    *,
    extractor: Extractor,
    most_false: float = 1.0,
    store: Path | None = None,
    device: str = "cpu",
) -> AttributeClassifier:
    """Return the classifier of an attribute that labelled real images teach.

    The SVM is fitted to three fifths of them; C and the threshold are those of the highest balanced
    accuracy on the next fifth; the last fifth gives `hits` and `false_alarms`.

    Args:
        half: labelled, in random order, as `halves` gives them.
        attribute: its name, as `attribute_of` takes it.
        extractor: of the images' size; it is prepared here.
        most_false: share of false alarms at most, as `best_threshold` has it.
        store: where features are kept; None takes `default_store()`.
        device: "cuda" or "cpu", where the SVM is fitted and decides.

    Raises:
        InputError: the attribute is unknown, or too few images have or lack it.
    """
    wanted = attribute_of(half, attribute)
    _check_both(wanted, attribute, half)
    features = extract(extractor, half, store=store or default_store())
    extractor.prepare()  # which a store that has all rows leaves out
    x = torch.from_numpy(features.astype(features.dtype.newbyteorder("=")))
    fitted, validated, measured = _shares(wanted)
    models = fit_l2_svm(x[fitted], wanted[fitted].long(), _C, device=device)
    scored = [model.decision_function(x[validated])[:, 0].cpu() for model in models]
    found = [
        (*best_threshold(scores, wanted[validated], most_false), model)
        for scores, model in zip(scored, models, strict=True)
    ]
    _, threshold, model = max(found, key=lambda each: each[0])
    decided = model.decision_function(x[measured])[:, 0].cpu() > threshold
    return AttributeClassifier(
        attribute=attribute,
        hits=seen(decided, wanted[measured]),
        false_alarms=seen(decided, ~wanted[measured]),
        extractor=extractor,
        model=model,
        threshold=threshold,
    )


def _shares(wanted: Tensor) -> Iterator[Tensor]:
    """Yield the rows to fit, to validate and to measure with; each has its share of both kinds."""
    kinds = []
    for rows in (wanted.nonzero()[:, 0], (~wanted).nonzero()[:, 0]):
        ends = [round(part * len(rows)) for part in (_FITTED, _FITTED + _VALIDATED)]
        kinds.append(torch.tensor_split(rows, ends))
    for each in zip(*kinds, strict=True):
        yield torch.cat(each).sort().values


def seen(decided: Tensor, of: Tensor) -> float:
    """Return the share that is `decided` to show something of some images; both bool (n,).

    Example:
        >>> seen(torch.tensor([1, 1, 0, 0]) > 0, torch.tensor([0, 1, 1, 1]) > 0)
        0.3333333333333333
    """
    return float(decided[of].double().mean())


def best_threshold(scores: Tensor, wanted: Tensor, most_false: float = 1.0) -> tuple[float, float]:
    """Return the highest balanced accuracy of `scores > threshold`, and that threshold.

    Of thresholds between scores: some are above it, and some are not.

    Args:
        scores: (n,).
        wanted: bool (n,), of both kinds.
        most_false: share of those not wanted that may be above it; where no threshold is as
            strict, none of all is above the one that is returned.
    """
    ordered, order = scores.sort(descending=True)
    there = wanted[order].double()
    hits, false = ((each / each.sum()).cumsum(0)[:-1] for each in (there, 1 - there))
    # Equal scores cannot be parted.
    allowed = (ordered[:-1] > ordered[1:]) & (false <= most_false + _ROUNDED)
    if not allowed.any():
        return 0.5, float(ordered[0])
    gains = (hits - false).where(allowed, -torch.inf)
    best = int(gains.argmax())
    return (1 + float(gains[best])) / 2, float(ordered[best : best + 2].mean())


def _check_both(wanted: Tensor, attribute: str, half: Images) -> None:
    there = int(wanted.sum())
    fewest = min(there, len(wanted) - there)
    if fewest < _FEWEST:
        lack = "have" if fewest == there else "lack"
        raise InputError(
            f"at least {_FEWEST} images of each half of {half.name!r} must {lack} attribute "
            f"{attribute!r} to learn it. Got {fewest} of {len(half)}; take another attribute, or "
            "more data."
        )
