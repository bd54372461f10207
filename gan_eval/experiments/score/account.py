"""What is written down of a score: its record, and which records may be compared."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gan_eval.data import Images
from gan_eval.experiments.score.figures import FIGURES, ScoreProtocol
from gan_eval.experiments.score.sides import Side
from gan_eval.features.extractor import Extractor
from gan_eval.records import Record

# Of fewer images, a Fréchet distance says more about their number than about them.
_ENOUGH = 10_000
# Rounding leaves a share of 1e-12 or less of a covariance's eigenvalues negative.
_NO_COVARIANCE = 1e-6
Opened = tuple[Side, Images | None]


def record_of(
    protocol: ScoreProtocol,
    extractor: Extractor,
    figures: Mapping[str, float | None],
    *,
    real: Opened,
    fake: Opened,
    device: str,
    seconds: float,
) -> Record:
    """Return the record of one model's score, whose `result` is its row of a table.

    Args:
        protocol: as it was asked for.
        figures: `FIGURES`.
        real, fake: both sides, and their images where they are not statistics.
        device: a resolved one.
        seconds: it took.
    """
    identity = dict(extractor.identity)
    sides = {"real": _about(*real, identity), "fake": _about(*fake, identity)}
    row = _row(figures, extractor, sides)
    opened = {"real": real[0], "fake": fake[0]}
    unknown = [name for name, side in opened.items() if not side.known]
    depends = {
        "extractor": identity,
        "reference": row["reference_fingerprint"],
        "n_real": row["n_real"],
        "n_fake": row["n_fake"],
        **({"of_unknown_extractor": unknown} if unknown else {}),
    }
    title = title_of(row) + (f", {' and '.join(unknown)} by an unknown extractor" * bool(unknown))
    return Record(
        exhibit="score",
        name=fake[0].name,
        protocol={"name": title, **asdict(protocol), **depends},
        config={"extractor": identity, **sides},
        result=row,
        deviations=tuple((sides["fake"].get("trained") or {}).get("deviations", ())),
        advice=(
            *_lost(protocol, real[0], fake[0]),
            *_advice(row, fake[0].name),
            *_itself(sides["real"], sides["fake"]),
            *_chosen(sides["real"], sides["fake"]),
        ),
        fingerprints={
            "real": sides["real"]["fingerprint"],
            "fake": sides["fake"]["fingerprint"],
            "weights": row["weights_sha256"],
        },
        seed=protocol.seed,
        device=device,
        precision=identity.get("precision", "32"),
        seconds=round(seconds, 3),
    )


def _row(
    figures: Mapping[str, float | None],
    extractor: Extractor,
    sides: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    real, fake = sides["real"], sides["fake"]
    return {
        **{name: figures[name] for name in FIGURES},
        "n_real": real["n"],
        "n_fake": fake["n"],
        "extractor": extractor.name,
        "weights_sha256": extractor.identity.get("weights_sha256"),
        "official": extractor.identity.get("official"),
        "resize": extractor.identity.get("resize"),
        "reference": real["name"],
        "reference_fingerprint": real["fingerprint"],
        "architecture": (fake.get("trained") or {}).get("preset"),
    }


def number(side: Side, images: Images | None) -> int | None:
    """Return how many images a side has or will have; None where its statistics do not say."""
    if images is not None:
        return len(images)
    return side.statistics.moments.n if side.statistics is not None else side.n


def _about(side: Side, images: Images | None, identity: Mapping[str, Any]) -> dict[str, Any]:
    about = {"name": side.name, "n": number(side, images), **side.about}
    if images is None:
        assert side.statistics is not None
        says = () if side.known else (f"{side.name} does not say of what it is",)
        about |= side.statistics.form
        return {**about, "fingerprint": side.statistics.fingerprint, "notes": list(says)}
    grey = "grey" in identity and images.channels == 1
    repeated = [f"{side.name}: grey images are {identity['grey']}"] if grey else []
    return {
        **images.describe(),
        **about,
        "fingerprint": images.fingerprint,
        "notes": [*images.notes, *repeated],
    }


def title_of(row: Mapping[str, Any]) -> str:
    """Return what a table of such rows is about."""
    weights = "" if row["official"] in (None, True) else " (not the official weights)"
    resize = f", resize {row['resize']}" if row["resize"] else ""
    n_real, n_fake = (f"{n:,}" if n else "?" for n in (row["n_real"], row["n_fake"]))
    return f"{row['extractor']}{weights}{resize}: {n_fake} against {n_real} of {row['reference']}"


def _lost(protocol: ScoreProtocol, real: Side, fake: Side) -> Iterator[str]:
    """Yield which metrics that were asked for a side's statistics cannot give."""
    beyond = {"kid", "prdc"}
    for side, without in ((real, beyond), (fake, beyond | {"isc", "fid_infinity"})):
        asked = (*protocol.metrics, *(["fid_infinity"] if protocol.fid_infinity else []))
        lost = [name for name in asked if name in without]
        if side.statistics is not None and lost:
            yield (
                f"{', '.join(lost)} must have images. {side.name} is statistics: their figures are "
                "left out; name the images to have them."
            )


def _advice(row: Mapping[str, Any], model: str) -> Iterator[str]:
    """Yield what the row itself says should be done next, a sentence each."""
    for name, n in ((model, row["n_fake"]), (row["reference"], row["n_real"])):
        if row["fid"] is not None and n is not None and n < _ENOUGH:
            yield (
                f"{n:,} images of {name} are fewer than {_ENOUGH:,}: the Fréchet distance grows as "
                "they become fewer. Take more, or trust the kernel distance."
            )
    if row["fid_clipped"] and row["fid_clipped"] > _NO_COVARIANCE:
        yield (
            f"{row['fid_clipped']:.1%} of a covariance's eigenvalues are negative: a given 'sigma' "
            "is no covariance. Take statistics anew, in float64."
        )
    if row["official"] is False:
        yield (
            "These Inception weights are not the official file: the figures compare with no "
            "published ones."
        )


def _itself(real: Mapping[str, Any], fake: Mapping[str, Any]) -> Iterator[str]:
    """Yield that both sides are the same images."""
    if real["fingerprint"] == fake["fingerprint"]:
        yield (
            f"{fake['name']} and {real['name']} are the very same images: this says nothing but "
            "that the distance of a set to itself is 0."
        )


def _chosen(real: Mapping[str, Any], fake: Mapping[str, Any]) -> Iterator[str]:
    """Yield that an epoch was chosen by images of the part that it is scored against.

    It is chosen by training images, whatever part the run was trained on.
    """
    parts = Path(str((fake.get("trained") or {}).get("trained_on"))).parts
    name, _, split = str(real["name"]).partition(":")
    split = real.get("split", split)  # statistics have it in their name alone
    same = name in (*parts[-1:], "/".join(parts[-2:]))  # as sides are named
    if fake.get("best") and same and split in ("train", "all"):
        yield (
            f"The best epoch of {fake['name']} was chosen by training images, and {real['name']} "
            "are these. Score it against a test part, or trust it less."
        )


def tables_of(records: Sequence[Record]) -> list[list[Record]]:
    """Return records that may be compared, together; the best distance first in each."""
    tables: dict[str, list[Record]] = {}
    for record in records:
        protocol = {key: value for key, value in record.protocol.items() if key != "name"}
        key = json.dumps([protocol, dict(record.versions)], sort_keys=True)
        tables.setdefault(key, []).append(record)
    for table in tables.values():
        table.sort(key=_rank)
    return list(tables.values())


def _rank(record: Record) -> float:
    distances = (record.result["fid"], record.result["kid_mean"])
    return next((distance for distance in distances if distance is not None), 0.0)
