"""Who picks samples by their attributes, and who judges what is made of them: never the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_eval.data import Images
from gan_eval.experiments.attributes import (
    AttributeClassifier,
    attribute_of,
    judge_features,
    own_features,
    train_attribute_classifier,
)
from gan_eval.experiments.features import FeatureSpec, build
from gan_eval.experiments.parts import halves
from gan_eval.experiments.run_images import open_run_images
from gan_eval.experiments.study import Study
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
    """

    images: Images | None
    unjudged: Images | None
    pickers: Classifiers
    judges: Classifiers

    def describe(self) -> dict[str, Any]:
        """Return what the classifiers are and how well they do, JSON-able."""
        images = self.images
        return {
            "data": images and images.describe(),
            "picked_by": [each.to_json() for each in self.pickers.values()],
            "judged_by": [each.to_json() for each in self.judges.values()],
        }


def open_panel(
    run: Run,
    data: str | None,
    picked: Iterable[str],
    judged: Iterable[str],
    *,
    study: Study,
    root: Path | None,
) -> Panel:
    """Return classifiers of `picked` and of `judged` attributes; of none, no data is opened.

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

    def train(
        who: str, half: Images, spec: FeatureSpec, names: list[str]
    ) -> dict[str, AttributeClassifier]:
        extractor = build(spec, half, device=study.device, precision=study.precision)
        found = {}
        for done, name in enumerate(names):
            study.watch(f"{who} of attributes", done, len(names))
            found[name] = train_attribute_classifier(half, name, extractor=extractor)
            study.watch(f"{who} of attributes", done + 1, len(names))
        return found

    pickers, judges = map(train, ("pickers", "judges"), parts, specs, wanted)
    return Panel(images=images, unjudged=parts[0], pickers=pickers, judges=judges)
