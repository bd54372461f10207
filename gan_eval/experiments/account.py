"""What is written down of a classification: its record, and what to try next."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any

from gan_eval.data import Images
from gan_eval.experiments.features import FeatureSpec
from gan_eval.experiments.parts import Parts
from gan_eval.features.extractor import Extractor
from gan_eval.probes.protocol import Protocol
from gan_eval.probes.selection import Choice, Result
from gan_eval.records import Record, as_json

# What the paper compares D's features with, and a D that has learned nothing.
CONTROLS = ("random-disc", "pixels", "kmeans")
_ONE_VIEW = {"mirror": False, "shifts": None}  # of an image, as the paper takes it

_LONGEST = 150  # bytes that words give to the name of a file, of the 255 that it may have


def record_of(
    spec: FeatureSpec,
    parts: Parts,
    extractor: Extractor,
    protocol: Protocol,
    result: Result,
    *,
    solver: str,
    controls: Mapping[str, float],
    device: str,
    precision: str,
    seconds: float,
) -> Record:
    """Return the record of one feature's classification.

    In its `result`, errors are fractions. `error_std` is over draws (divisor n; 0 of one draw) and
    `error_spread` is 1.96 of it: the draws share one test part, so that this is no confidence
    interval of the error on new images.
    """
    return Record(
        exhibit="classify",
        name=extractor.name,
        protocol=asdict(protocol),
        config={
            "features": dict(extractor.identity),
            "trained": spec.describe(),
            "data": _data(parts),
            "solver": solver,
        },
        result={
            "feature_width": extractor.width,
            **_result(result),
            "n_train": len(parts.known) - parts.held_out,
            "n_validation": parts.held_out,
            "n_test": len(parts.test),
        },
        controls=controls,
        deviations=tuple(spec.describe().get("deviations", ())),
        advice=advice_on(spec, result, solver, controls),
        fingerprints={
            "train": parts.train.fingerprint,
            "train+validation": parts.known.fingerprint,
            "test": parts.test.fingerprint,
            "weights": extractor.identity.get("weights_sha256"),
        },
        seed=protocol.seed,
        device=device,
        precision=precision,
        seconds=round(seconds, 3),
    )


def advice_on(
    spec: FeatureSpec, result: Result, solver: str, controls: Mapping[str, float]
) -> tuple[str, ...]:
    """Return what the numbers themselves say should be tried next, a sentence each."""
    found = []
    choice = result.choice
    if choice.edge is not None:
        word = "largest" if choice.edge == "highest" else "smallest"
        found.append(
            f"C = {choice.C:g} is the {word} that was tried: try --c-grid {_beyond(choice)}."
        )
    if not (choice.converged and result.converged):
        remedy = "--solver newton" if solver == "liblinear" else "smaller values in --c-grid"
        found.append(f"Not every SVM converged, so these errors are not exact: try {remedy}.")
    better = [name for name, error in controls.items() if error <= result.error_mean]
    if better:
        length = [text for text in spec.describe().get("deviations", ()) if "trained for" in text]
        why = f" (it was {length[0]})" if length else ""
        found.append(
            f"D is no better than {' and '.join(better)}{why}: train it longer, and look at its "
            "samples and losses."
        )
    return tuple(found)


def _beyond(choice: Choice) -> str:
    """Return a grid that goes a factor of ten beyond the edge."""
    factors = (1, 2, 5, 10) if choice.edge == "highest" else (0.1, 0.2, 0.5, 1)
    return ",".join(_short(choice.C * factor) for factor in factors)


def _short(value: float) -> str:
    """Return a number as people write it, a small one as "1e-3" if that is all of it."""
    short = f"{value:.0e}".replace("e-0", "e-")
    return short if value < 1 and math.isclose(float(short), value) else f"{value:g}"


def _result(result: Result) -> dict[str, Any]:
    choice = result.choice
    return {
        "C": choice.C,
        "error_mean": result.error_mean,
        "error_std": result.error_std,
        "error_spread": 1.96 * result.error_std,
        "draws": len(result.errors),
        "converged": choice.converged and result.converged,
        "errors": list(result.errors),
        "train_error": result.train_error,
        "validation_error": choice.error,
        "validation_means": list(choice.means),
        "validation_stds": list(choice.stds),
        "edge": choice.edge,
        "confusion": result.confusion.tolist(),
        "fit_seconds": round(result.seconds, 3),
    }


def _data(parts: Parts) -> dict[str, Any]:
    def about(images: Images) -> dict[str, Any]:
        return {"split": images.split, "n": len(images)}

    return {
        **parts.train.describe(),
        "classes": parts.train.num_classes,
        "known": about(parts.known),
        "held_out": parts.held_out,
        "test": about(parts.test),
        "notes": list(parts.notes),
    }


def title_of(parts: Parts, protocol: str, name: str, result: Result) -> str:
    """Return the title of a figure: what was classified by what, how, and how well."""
    error = f"{100 * result.error_mean:.1f} % test error"
    return f"{name} on {parts.train.name}: {error}\n{protocol}"


def slug(*words: str) -> str:
    """Return `words` as a part of a file name.

    >>> slug("svhn10k", "torchvision:resnet18", "authors-svhn, 10 draws")
    'svhn10k-torchvision-resnet18-authors-svhn-10-draws'
    """
    text = "-".join(words).lower()
    name = "-".join("".join(c if c.isalnum() or c in ".+" else " " for c in text).split())
    if len(name.encode()) <= _LONGEST:
        return name
    begin = name.encode()[:_LONGEST].decode(errors="ignore")
    return f"{begin}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def controls_of(records: Sequence[Record], ours: Mapping[str, Any]) -> dict[str, float]:
    """Return the test error, by name, of each control of a discriminator's features.

    Of several of a name, as of k-means with more maps, that of the lowest validation error.

    Args:
        records: of the same protocol and data.
        ours: the identity of the discriminator's features.
    """
    found: dict[str, tuple[float, float]] = {}
    for each in records:
        if each.name in CONTROLS and is_control(each.config.get("features") or {}, ours):
            errors = each.result["validation_error"], each.result["error_mean"]
            found[each.name] = min(found.get(each.name, errors), errors, key=itemgetter(0))
    return {name: tested for name, (_, tested) in found.items()}


def is_control(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Return whether features are a fair control of a discriminator's, by their identities.

    Of the same views of an image, like those; of an untrained D, of the same architecture and used
    alike.
    """
    if any(theirs.get(view, no) != ours.get(view, no) for view, no in _ONE_VIEW.items()):
        return False
    return "network" not in theirs or use_of(theirs) == use_of(ours)


def use_of(features: Mapping[str, Any]) -> dict[str, Any]:
    """Return how features are made: their identity as JSON has it, less weights and precision."""
    unlike = ("weights_sha256", "precision")
    return {name: each for name, each in as_json(dict(features)).items() if name not in unlike}
