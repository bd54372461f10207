"""Do generated images stand for real ones? Labels by the nearest generated sample.

Radford, Metz & Chintala 2015, section 8.1, Table 3. A conditional generator draws samples, equally
many of each label, and each test image takes the label of the one nearest sample, by the Euclidean
distance of pixels: uint8, unscaled, at the network's size. The samples pass by and none is kept.

The epoch is chosen on validation images, their own part or the last of training, by other samples;
the test part is not looked at before. Controls: the real training images without those of
validation, and samples of an untrained generator. Copies: see `gan_eval.experiments.memorisation`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_eval.data import Images
from gan_eval.devices import with_float64
from gan_eval.errors import InputError
from gan_eval.experiments.features import describe, form_of
from gan_eval.experiments.memorisation import Copies, Tell, real_distances, statistics
from gan_eval.experiments.parts import Parts, blocks, open_parts
from gan_eval.experiments.run_images import check_numbered_alike, open_run_images
from gan_eval.experiments.sample_stream import LOT, SampleStream, StateFile, kept_epochs
from gan_eval.experiments.study import Study, Watch, at_work, begin
from gan_eval.files import StrPath
from gan_eval.models.runs import Epoch, Run
from gan_eval.models.weights import weights_sha256
from gan_eval.probes.nearest_neighbor import RunningNearest
from gan_eval.probes.protocol import Protocol
from gan_eval.records import Record, Written, append_record
from gan_eval.seeding import derive

_HELD_OUT = Protocol(name="neighbors")  # which training images are for validation
_POINTS = (1_000, 10_000, 50_000, 100_000, 1_000_000, 10_000_000)
_CHOOSING = 10_000  # samples that an epoch is chosen by, at most
_UNTRAINED = 50_000  # samples of the control, at most
_COPIES = LOT  # samples that are looked up among the training images, at most
_KEPT_EVERY = 100 * LOT  # samples between two writings of the state

# Takes the number of the first lot; yields uint8 images and their labels.
_Lots = Callable[[int], Iterator[tuple[Tensor, Tensor | None]]]
_Sides = dict[str, dict[str, Any]]


@at_work()
def neighbors(
    run: Run,
    data: StrPath | None = None,
    *,
    root: StrPath | None = None,
    samples: int = 50_000,
    memorisation_only: bool = False,
    epoch: Epoch | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    out: StrPath | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Written:
    """Classify test images by the nearest of a run's samples, and look for copies among these.

    `result` and each of `controls` hold `error` (a fraction), `samples`, `curve` (pairs of a number
    of samples and the error with them) and `memorisation` (see `statistics`). What was broken off
    goes on from its last 100,000 samples.

    Args:
        run: with a conditional generator.
        data: labelled, with a test part, as `open_images` takes it; None for the run's own.
        root: where named data sets are; None takes the run's own, then GAN_EVAL_DATA.
        samples: how many pass by.
        memorisation_only: classify nothing: then any generator and unlabelled data do.
        epoch: a kept one; None chooses it (without classification: takes the newest weights).
        seed: of the samples, the untrained generator, and the real images that are looked up.
        device: "auto", "cuda", "mps" or "cpu".
        precision: of the networks: "32", "bf16", or "auto" for bf16 where it is fast.
        out: where record and picture go; None takes the run's folder.
        watch: is told of the progress.

    Raises:
        InputError: what was asked for cannot be had; nothing was written.
    """
    study = begin(out, run, seed=seed, device=device, precision=precision, watch=watch)
    bench = _Bench(study)
    if samples < 1:
        raise InputError(f"samples must be at least 1. Got {samples}; pass --samples 50000.")
    run.load_generator(epoch)  # mistakes come to light before the data are read
    parts = None if memorisation_only else _open_parts(run, data, root)
    train = parts.train if parts else open_run_images(run, data, root=root, device=study.device)
    tried = bench.try_epochs(run, parts, samples) if parts and epoch is None else []
    if tried:
        epoch = min(tried, key=lambda each: each[1])[0]
    trained = bench.stream(run, epoch, seed)
    streams = {"result": trained, "untrained": trained.untrained()}
    # The longest comes last, so that its state is kept until the record is written.
    copies, sides = bench.look_up(streams, train, samples)
    state = bench.classify(sides, streams, parts, samples) if parts else None
    drawn_from = describe(run, epoch)
    seen = bool(tried) and _has_seen(run, parts)
    record = study.record(
        exhibit="neighbors",
        name="generator",
        protocol=_protocol(parts, samples, chosen=bool(tried)),
        config={
            "trained": drawn_from,
            "data": _describe(train, parts),
            "validation_errors": tried,
            "validation_seen": seen,
        },
        result=sides.pop("result"),
        controls=sides,
        advice=_advice(run, tried, epoch, parts if seen else None),
        fingerprints={
            "train": train.fingerprint,
            "test": parts and parts.test.fingerprint,
            "weights": weights_sha256(trained.network),
        },
    )
    written = _write(study.folder, record, copies, train)
    if state:
        state.path.unlink(missing_ok=True)
    return written


@dataclass(frozen=True)
class _Bench:
    """How every stream of a call is made and measured."""

    study: Study

    def stream(self, run: Run, epoch: Epoch | None, seed: int) -> SampleStream:
        network = run.load_generator(epoch).to(self.study.device)
        return SampleStream(network=network, seed=seed, precision=self.study.precision)

    def try_epochs(self, run: Run, parts: Parts, samples: int) -> list[list[Any]]:
        """Return the validation error of each kept epoch of the run, and of None, its newest."""
        n = min(samples, _CHOOSING)
        order = range(len(parts.known) - parts.held_out, len(parts.known))
        tried = []
        for epoch in kept_epochs(run):
            lots = partial(self.stream(run, epoch, derive(self.study.seed, "validation")).lots, n)
            tell = partial(self.study.watch, f"validation: epoch {epoch or 'newest'}")
            found = self._pass(parts.known, order, lots, n, tell)
            tried.append([epoch, found["error"]])
        return tried

    def classify(
        self,
        sides: _Sides,
        streams: Mapping[str, SampleStream],
        parts: Parts,
        samples: int,
    ) -> StateFile:
        """Add error, number of samples and curve to every side; return what was kept on the way."""
        test = partial(self._pass, parts.test, range(len(parts.test)))
        n = len(parts.known) - parts.held_out
        sides["real"] |= test(partial(_real, parts), n, partial(self.study.watch, "real images"))
        few, tell = min(samples, _UNTRAINED), partial(self.study.watch, "untrained samples")
        sides["untrained"] |= test(partial(streams["untrained"].lots, few), few, tell)
        stream = streams["result"]
        of = {**stream.identity, "test": parts.test.fingerprint}
        state = StateFile(folder=self.study.folder, samples=samples, of=of)
        lots, tell = partial(stream.lots, samples), partial(self.study.watch, "samples")
        sides["result"] |= test(lots, samples, tell, state)
        return state

    def _pass(
        self,
        queries: Images,
        rows: range,
        lots: _Lots,
        n: int,
        tell: Tell,
        state: StateFile | None = None,
    ) -> dict[str, Any]:
        """Return the error on `rows` of `queries` by the nearest of n samples, and its curve."""
        assert queries.labels is not None
        device = with_float64(self.study.device)
        nearest = RunningNearest(queries.take(rows).flatten(1), device=device)
        truth = queries.labels[rows.start : rows.stop].to(nearest.labels.device)
        curve = state.load(nearest) if state else []
        for images, labels in lots(nearest.seen // LOT):
            nearest.update(images.flatten(1), labels)
            if nearest.seen in _POINTS or nearest.seen == n:
                wrong = nearest.labels != truth
                curve.append([nearest.seen, float(wrong.double().mean())])
            if state and nearest.seen % _KEPT_EVERY == 0:
                state.save(nearest, curve)
            tell(nearest.seen, n)
        return {"error": curve[-1][1], "samples": n, "curve": curve}

    def look_up(
        self, streams: Mapping[str, SampleStream], train: Images, samples: int
    ) -> tuple[Copies, _Sides]:
        """Return what is nearest to the first samples of the run, and every side's statistics."""
        study, tell = self.study, partial(self.study.watch, "nearest training images")
        real = real_distances(train, study.seed, tell, study.device)
        copies = {
            name: Copies.of(next(stream.lots(min(samples, _COPIES)))[0], train, tell, study.device)
            for name, stream in streams.items()
        }
        distances = {"real": real, **{name: each.distances for name, each in copies.items()}}
        return copies["result"], {
            name: {"memorisation": statistics(each, real)} for name, each in distances.items()
        }


def _open_parts(run: Run, data: StrPath | None, root: StrPath | None) -> Parts:
    """Return the labelled images that the run's samples are to stand for."""
    config = run.config()
    classes = config.generator.classes
    if not classes:
        raise InputError(
            f"run {run.folder} must have a conditional generator to classify by its samples. "
            "Its samples have no labels; train --preset radford2015-mnist, say, or pass "
            "--memorisation-only for the nearest training images alone."
        )
    if data is None:
        if config.data is None:
            raise InputError(
                f"--data must name labelled images for run {run.folder}, which was imported and "
                "has none of its own. Got nothing; see `gan-eval data` for what there is."
            )
        data, root = config.data.name, root or config.data.root_there
    parts = open_parts(data, _HELD_OUT, root=root, **form_of(config))
    if parts.train.num_classes != classes:
        raise InputError(
            f"data must have the {classes} classes of the generator of run {run.folder}. "
            f"{parts.train.name!r} has {parts.train.num_classes}; name the data it was trained on."
        )
    check_numbered_alike(parts.train, run)
    return parts


def _real(parts: Parts, first: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the training images without those of validation, and their labels, in lots."""
    assert parts.known.labels is not None
    n = len(parts.known) - parts.held_out
    labels = torch.split(parts.known.labels[first * LOT : n], LOT)
    yield from zip(blocks(parts.known, LOT, range(first * LOT, n)), labels, strict=True)


def _protocol(parts: Parts | None, samples: int, *, chosen: bool) -> dict[str, Any]:
    looked_up = min(samples, _COPIES)
    if parts is None:
        return {"name": "nearest training images", "version": 1, "looked_up": looked_up}
    return {
        "name": "1 nearest neighbour of uint8 pixels, epoch "
        + ("chosen on validation images" if chosen else "as given"),
        "version": 1,
        "held_out": parts.held_out,
        "validation_samples": min(samples, _CHOOSING) if chosen else None,
        "looked_up": looked_up,
    }


def _describe(train: Images, parts: Parts | None) -> dict[str, Any]:
    if parts is None:
        return train.describe()
    counts = {"classes": train.num_classes, "n_test": len(parts.test)}
    return {**train.describe(), **counts, "notes": list(parts.notes)}


def _has_seen(run: Run, parts: Parts | None) -> bool:
    """Return whether the generator was trained on the images that its epoch is chosen by."""
    data = run.config().data
    path = Path(data.name if data else "")  # or a name, of a named set
    if parts is None or data is None or parts.known.name not in (path.name, path.stem):
        return False
    if data.split != "train":
        return data.split in ("all", "val")
    first = data.count <= len(parts.known) - parts.held_out and not parts.shuffled
    return parts.known.split == "train" and not first


def _advice(
    run: Run, tried: list[list[Any]], epoch: Epoch | None, leaked: Parts | None
) -> tuple[str, ...]:
    """Return what to try next; `leaked` are parts whose validation images G was trained on."""
    found = []
    last = len(tried) > 1 and epoch == tried[-1][0]
    if last and run.config().rate_factor(run.steps()) > 0:
        found.append("The last epoch was the best on validation images: train the run longer.")
    if leaked:
        first = f"train it with --split train --limit {len(leaked.known) - leaked.held_out}"
        found.append(
            "G was trained on images that its epoch was chosen by, which favours copies: "
            + ("give the data a part val." if leaked.shuffled else f"{first}.")
        )
    return tuple(found)


def _write(folder: Path, record: Record, copies: Copies, train: Images) -> Written:
    picture = folder / "neighbors-memorisation.png"
    copies.draw(picture, train)
    return Written(record=record, files=(append_record(folder, record), picture))
