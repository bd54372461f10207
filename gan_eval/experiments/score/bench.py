"""One reference and the models that are compared with it: opened, extracted, measured."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gan_eval.data import Images
from gan_eval.devices import processes
from gan_eval.errors import InputError, NoSizeError
from gan_eval.experiments.parts import padded_if_small
from gan_eval.experiments.score.account import number, record_of
from gan_eval.experiments.score.extractors import ExtractorSpec
from gan_eval.experiments.score.figures import (
    Features,
    ScoreProtocol,
    check_memory,
    features_of,
    figures,
)
from gan_eval.experiments.score.sides import Side
from gan_eval.experiments.study import Watch
from gan_eval.features.extractor import Extractor
from gan_eval.features.inception import Inception
from gan_eval.features.statistics_file import Statistics
from gan_eval.features.store import extract
from gan_eval.records import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """A model and what it is compared with, in one form and by one extractor.

    Attributes:
        fake: the model's images; None of statistics, and of samples until they are drawn.
        real: the reference's images, None of statistics.
        protocol: what of the protocol can be had of these two.
    """

    model: Side
    form: Mapping[str, Any]
    extractor: Extractor
    fake: Images | None
    real: Images | None
    protocol: ScoreProtocol


@dataclass(kw_only=True, eq=False)
class Bench:
    """One reference, protocol and kind of features, for one model after another."""

    against: Side
    protocol: ScoreProtocol
    spec: ExtractorSpec
    store: Path
    device: str
    watch: Watch
    _extractors: dict[str, Extractor] = field(default_factory=dict)
    _opened: dict[str, Images | None] = field(default_factory=dict)
    _real: tuple[object, Features] | None = None

    def pair(self, model: Side) -> Pair:
        """Return `model` beside the reference, both opened as far as they are not to be drawn.

        Raises:
            InputError: they cannot be compared, or are too few images.
        """
        form = self.spec.form(model)
        given = [side.statistics for side in (self.against, model) if side.statistics]
        extractor = self.spec.of_statistics(given) if len(given) == 2 else None
        if extractor is None and not self.spec.of_one_form:
            extractor = self._extractor(model, form)
        fake = None if model.n else self._open(model, form)
        if extractor is None:
            form = form or _own_form(fake or self._reference({}), given)
            extractor = self._extractor(model, form)
        real = self._reference(form)
        for statistics in given:
            statistics.check(extractor, form)
        protocol = _possible(self.protocol, extractor, model, self.against)
        protocol.check(
            real=number(self.against, real),
            fake=number(model, fake),
            names=(self.against.name, model.name),
        )
        if "fid" in protocol.metrics:
            check_memory(extractor.width, self.device)
        return Pair(
            model=model, form=form, extractor=extractor, fake=fake, real=real, protocol=protocol
        )

    def statistics(self, pair: Pair) -> Statistics:
        """Return those of the reference as `pair` sees it."""
        real = pair.real
        if self.against.statistics is not None or real is None:
            raise InputError(
                f"statistics are saved of a reference's images. Got {self.against.name}, which is "
                "statistics already; copy the file."
            )
        wanted = replace(self.protocol, metrics=("fid",), fid_infinity=False)
        rows = self._rows(pair.extractor, real, self.against.name)
        return Statistics(
            name=self.against.name,
            fingerprint=real.fingerprint,
            moments=features_of(rows, wanted, self.device).moments,
            extractor=pair.extractor.identity,
            # As it was asked for: whoever asks for padding again finds these, cropped or not.
            form={
                "size": real.size,
                "channels": real.channels,
                "fit": real.fit and pair.form.get("fit", real.fit),
            },
        )

    def measure(self, pair: Pair) -> Record | None:
        """Return the record of a pair's model; nothing but on the first of several processes."""
        started = time.perf_counter()
        fake = pair.fake if pair.model.n is None else self._open(pair.model, pair.form)
        found = figures(
            pair.protocol,
            real=self._reference_features(pair),
            fake=self._features(pair, pair.model, fake),
            logits=pair.extractor.logits if isinstance(pair.extractor, Inception) else None,
        )
        if processes()[0] > 0:
            return None
        return record_of(
            self.protocol,
            pair.extractor,
            found,
            real=(self.against, pair.real),
            fake=(pair.model, fake),
            device=self.device,
            seconds=time.perf_counter() - started,
        )

    def _extractor(self, model: Side, form: Mapping[str, Any]) -> Extractor:
        of = self.spec.run_of(model)
        key = str((of, sorted(form.items()) if self.spec.of_one_form else None))
        if key not in self._extractors:
            self._extractors[key] = self.spec.build(model, form, self.device)
        return self._extractors[key]

    def _open(self, side: Side, form: Mapping[str, Any]) -> Images | None:
        """Return a side's images, those of many sizes in the extractor's own."""
        if side.open is None:
            return None
        try:
            return padded_if_small(side.open, **form)
        except NoSizeError as error:
            if not self.spec.own_form:
                raise InputError(
                    f"images of {side.name} must be squares of one size for extractor "
                    f"{self.spec.name!r}, which takes them as they are. They are not; name them "
                    "as the reference of a run, or take another --extractor."
                ) from error
            return side.open(**{**form, **self.spec.own_form})

    def _reference(self, form: Mapping[str, Any]) -> Images | None:
        """Return the reference in `form`, opened once for all models of that form."""
        key = str(sorted(form.items()))
        if key not in self._opened:
            self._opened[key] = self._open(self.against, form)
        return self._opened[key]

    def _reference_features(self, pair: Pair) -> Features:
        """Return the reference's features, those of the pair before where they are the same."""
        key = (pair.extractor, pair.real, pair.protocol)
        if self._real is None or self._real[0] != key:
            self._real = (key, self._features(pair, self.against, pair.real))
        return self._real[1]

    def _features(self, pair: Pair, side: Side, images: Images | None) -> Features:
        if images is None:
            assert side.statistics is not None
            return Features(rows=None, moments=side.statistics.moments)
        rows = self._rows(pair.extractor, images, side.name)
        return features_of(rows, pair.protocol, self.device)

    def _rows(self, extractor: Extractor, images: Images, name: str) -> Any:
        what = f"{extractor.name}: features of {name}"
        tell = lambda done: self.watch(what, done, len(images))  # noqa: E731
        return extract(extractor, images, store=self.store, dtype="float32", progress=tell)


def _possible(
    protocol: ScoreProtocol, extractor: Extractor, model: Side, against: Side
) -> ScoreProtocol:
    """Return `protocol` without what statistics and extractors without classes do not give.

    Raises:
        InputError: nothing is left.
    """
    classifies = isinstance(extractor, Inception) and extractor.width == 2048
    lost = set() if classifies and model.statistics is None else {"isc"}
    if model.statistics is not None or against.statistics is not None:
        lost |= {"kid", "prdc"}
    left = tuple(name for name in protocol.metrics if name not in lost)
    if not left:
        raise InputError(
            f"metrics must hold one that {extractor.name!r} gives for {model.name} and "
            f"{against.name}. Got {', '.join(protocol.metrics)}; add fid."
        )
    infinite = protocol.fid_infinity and model.statistics is None
    return replace(protocol, metrics=left, fid_infinity=infinite)


def _own_form(images: Images | None, given: Iterable[Statistics]) -> dict[str, int]:
    """Return size and channels of what "pixels" are taken of: images, or those of statistics.

    Raises:
        InputError: there are statistics alone, and none of pixels that says so.
    """
    if images is not None:
        return {"size": images.size, "channels": images.channels}
    for statistics in given:
        about = statistics.extractor or {}
        size, channels = about.get("size"), about.get("channels")
        if isinstance(size, int) and isinstance(channels, int):
            return {"size": size, "channels": channels}
    raise InputError(
        "extractor 'pixels' takes its size from images, or from statistics that it made. Got other "
        "statistics alone; name images on one side."
    )
