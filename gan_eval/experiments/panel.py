"""Who picks samples by their attributes, and who judges what is made of them: never the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gan_eval.data import Images
from gan_eval.devices import with_float64
from gan_eval.experiments.attributes import (
    AttributeClassifier,
    attribute_of,
    judge_features,
    own_features,
    train_attribute_classifier,
)
from gan_eval.experiments.features import FeatureSpec, build
from gan_eval.experiments.overlays import OVERLAY, with_overlays
from gan_eval.experiments.parts import halves
from gan_eval.experiments.run_images import open_run_images
from gan_eval.experiments.study import Study
from gan_eval.files import StrPath
from gan_eval.models.runs import Run

Classifiers = Mapping[str, AttributeClassifier]


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Classifiers by the name of their attribute, taught by disjoint halves of real images.

    Attributes:
        images: the real ones; None where there is nothing to see.
        unjudged: those of them that taught no judge.
        pickers: by the features of the run's D.
        judges: by features that the run has no part in.
        overlay: of `gan_eval.experiments.overlays`, by the features of the run's D, which tell
            overlays far better than an untrained network's; None if there are none of D, or nobody
            asked for it.
    """

    images: Images | None
    unjudged: Images | None
    pickers: Classifiers
    judges: Classifiers
    overlay: AttributeClassifier | None = None

    def describe(self) -> dict[str, Any]:
        """Return what the classifiers are and how well they do, JSON-able."""
        images = self.images
        return {
            "data": images and images.describe(),
            "picked_by": [each.to_json() for each in self.pickers.values()],
            "judged_by": [each.to_json() for each in self.judges.values()],
            "overlay_by": self.overlay and self.overlay.to_json(),
        }


def open_panel(
    run: Run,
    data: StrPath | None,
    picked: Iterable[str],
    judged: Iterable[str],
    *,
    study: Study,
    root: StrPath | None,
    most_false: float = 1.0,
    overlay: bool = False,
) -> Panel:
    """Return classifiers of `picked` and of `judged` attributes; of none, no data is opened.

    Args:
        most_false: share of false alarms that judges may have, on the images that say so.
        overlay: whether somebody is to tell overlays of images from images.

    Raises:
        InputError: the data is not there, is not labelled or lacks an attribute.
    """
    wanted = [list(dict.fromkeys(names)) for names in (picked, judged)]
    if not any(wanted):
        return Panel(images=None, unjudged=None, pickers={}, judges={})
    images = open_run_images(run, data, root=root, device=study.device)
    for name in (*wanted[0], *wanted[1]):
        attribute_of(images, name)
    parts = halves(images, study.seed)
    specs = own_features(run), judge_features(images.size, study.seed)
    solving = with_float64(study.device)

    def train(
        who: str, half: Images, spec: FeatureSpec, names: list[str], most_false: float = 1.0
    ) -> dict[str, AttributeClassifier]:
        extractor = build(spec, half, device=study.device, precision=study.precision)
        found = {}
        for done, name in enumerate(names):
            study.watch(f"{who} of attributes", done, len(names))
            found[name] = train_attribute_classifier(
                half, name, extractor=extractor, most_false=most_false, device=solving
            )
            study.watch(f"{who} of attributes", done + 1, len(names))
        return found

    def tell_overlays() -> AttributeClassifier:
        # The statistics of batch norm are those of images, not of overlays.
        extractor = build(specs[0], parts[1], device=study.device, precision=study.precision)
        laid = with_overlays(parts[1], study.seed)
        return train_attribute_classifier(laid, OVERLAY, extractor=extractor, device=solving)

    return Panel(
        images=images,
        unjudged=parts[0],
        pickers=train("pickers", parts[0], specs[0], wanted[0]),
        judges=train("judges", parts[1], specs[1], wanted[1], most_false),
        overlay=tell_overlays() if overlay and specs[0].name == "disc" else None,
    )
