"""Scores of generated images: Fréchet and kernel distance, Inception score, precision and recall.

Not in Radford, Metz & Chintala 2015, who show pictures. Every figure of a model comes from one pass
over its features and those of a reference, and carries what it depends on: how many images,
extractor and weights, resizing, reference, precision, seed and versions. Figures that differ in any
of these say nothing about which model is better, so they are never put into one table.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gan_eval.devices import make_fabric, processes, resolve_device
from gan_eval.errors import InputError
from gan_eval.experiments.score.bench import Bench, Pair
from gan_eval.experiments.score.extractors import ExtractorSpec
from gan_eval.experiments.score.figures import ScoreProtocol
from gan_eval.experiments.score.sides import Given, Sampling, Side, side_of
from gan_eval.experiments.study import Watch, at_work
from gan_eval.features.extractor import Extractor, own_extractor
from gan_eval.features.statistics_file import check_target, save_statistics
from gan_eval.features.store import default_store
from gan_eval.files import StrPath, check_folder, expanded
from gan_eval.models.runs import Epoch, Run
from gan_eval.records import Written, append_record


@at_work()
def score(
    models: Mapping[str, Given | Side] | Sequence[Given | Side] | Given | Side,
    against: Given | Side,
    *,
    protocol: ScoreProtocol | None = None,
    extractor: ExtractorSpec | Extractor | str | None = None,
    n: int = 10_000,
    epoch: Epoch | None = None,
    root: StrPath | None = None,
    store: StrPath | None = None,
    device: str = "auto",
    save: StrPath | None = None,
    out: StrPath | None = None,
    watch: Watch = lambda what, done, total: None,
) -> list[Written]:
    """Return the scores of each of `models` against one reference, and write a record of each.

    Under `torchrun` every process extracts its share and does its part of the figures; the first
    one alone writes, and the others return nothing.

    Args:
        models: runs, generators, data, arrays or statistics, one or several, or several by what
            tables shall call them; see `score.sides`.
        against: the reference, any of them too.
        protocol: what is measured; None takes `ScoreProtocol()`.
        extractor: by which features, or the name of these, or an extractor of one's own, as
            `gan_eval.Modules`; None takes Inception's 2,048.
        n: how many samples are drawn of a run or generator; of all else every image counts.
        epoch: a kept one, of all runs; None takes their newest weights.
        root: where named data sets are.
        store: where features are kept; None takes `default_store()`.
        device: "auto", "cuda", "mps" or "cpu".
        save: an .npz for the reference's statistics, which pytorch-fid reads too.
        out: where records go; None takes a run's folder, or "results" without one.
        watch: is told of the progress.

    Raises:
        InputError: what was asked for cannot be had, or a feature or sample is not finite. The
            first is seen before anything is written; the second comes to light model by model, and
            the records of the models before stay.
    """
    device = resolve_device(device)
    named: dict[str, Given | Side] = {}
    if isinstance(models, Mapping):
        named, models = dict(models), list(models.values())
    if isinstance(models, str) or not isinstance(models, Sequence):
        models = [models]
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        make_fabric(device)
    protocol = protocol or ScoreProtocol()
    if not models:
        protocol = _of_reference_alone(protocol, save)
    sampling = Sampling(n=n, seed=protocol.seed, epoch=epoch, device=device)
    bench = Bench(
        against=side_of(against, sampling=sampling, root=root, name="reference"),
        protocol=protocol,
        spec=_spec_of(extractor),
        store=expanded(store or default_store()),
        device=device,
        watch=watch,
    )
    names = list(named) or [f"model {number}" for number in range(1, len(models) + 1)]
    sides = [
        side_of(model, sampling=sampling, root=root, name=name)
        for name, model in zip(names, models, strict=True)
    ]
    if named:
        sides = [replace(side, name=name) for name, side in zip(named, sides, strict=True)]
    sides = _told_apart(models, sides)
    home = next((side.run.folder for side in sides if side.run), Path("results"))
    folders = [check_folder(out or (side.run.folder if side.run else home)) for side in sides]
    # All of them before the first is drawn, so that mistakes come to light before hours of work.
    pairs = [bench.pair(side) for side in sides or [bench.against]]
    if save is not None:
        _save(expanded(save), bench, pairs)
    found = []
    for folder, pair in zip(folders, pairs, strict=False):
        record = bench.measure(pair)
        if record is not None:
            found.append(Written(record=record, files=(append_record(folder, record),)))
    return found


def _spec_of(extractor: ExtractorSpec | Extractor | str | None) -> ExtractorSpec:
    if extractor is None or isinstance(extractor, ExtractorSpec):
        return extractor or ExtractorSpec()
    if isinstance(extractor, str):
        return ExtractorSpec(name=extractor)
    return ExtractorSpec(extractor=own_extractor(extractor))


def _told_apart(models: Sequence[Given | Side], sides: Sequence[Side]) -> list[Side]:
    """Return the sides of `models`, those of one name by the path they were given by, or numbered.

    Folders are often called alike: a/samples and b/samples.
    """
    often = Counter(side.name for side in sides)
    named = []
    for number, (model, side) in enumerate(zip(models, sides, strict=True), 1):
        path = model.folder if isinstance(model, Run) else model
        own = str(path) if isinstance(path, str | Path) else f"{side.name} {number}"
        named.append(replace(side, name=own) if often[side.name] > 1 else side)
    return named


def _of_reference_alone(protocol: ScoreProtocol, save: StrPath | None) -> ScoreProtocol:
    """Return what there is to do where no model is named: moments, to be saved."""
    if save is None:
        raise InputError(
            "a model must be named to be scored. Got none; name one, or --save-statistics of the "
            "reference."
        )
    return replace(protocol, metrics=("fid",), fid_infinity=False)


def _save(save: Path, bench: Bench, pairs: Sequence[Pair]) -> None:
    """Write the reference's statistics, of which there must be one kind."""
    check_target(save)
    first = pairs[0]
    for pair in pairs[1:]:
        if pair.extractor != first.extractor or pair.real is not first.real:
            raise InputError(
                "statistics are saved of one reference by one extractor. Those of "
                f"{first.model.name} and {pair.model.name} differ; score them one by one."
            )
    statistics = bench.statistics(first)
    if processes()[0] == 0:
        save_statistics(save, statistics)
