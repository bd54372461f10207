"""Classification by features: an L2-SVM on what a discriminator learned without labels.

Radford, Metz & Chintala 2015, section 5, Tables 1 and 2. Each feature goes through one protocol
(see `gan_eval.probes.protocol`) on the same images and becomes one record. Controls go first, so
that the discriminators' records hold their errors.
"""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from gan_eval.data import Images
from gan_eval.devices import make_fabric, processes, resolve_device, with_float64
from gan_eval.errors import NoSizeError
from gan_eval.experiments.account import controls_of, record_of, slug, title_of
from gan_eval.experiments.features import FeatureSpec, build
from gan_eval.experiments.parts import Parts, open_parts
from gan_eval.experiments.study import Watch, at_work, check_run
from gan_eval.features.extractor import Extractor, own_extractor
from gan_eval.features.store import DType, default_store, extract
from gan_eval.files import StrPath, check_folder
from gan_eval.models.runs import Run
from gan_eval.precision import Precision, resolve_precision
from gan_eval.probes.design import Matrix, gather
from gan_eval.probes.draws import FitDraws, draws_at_once
from gan_eval.probes.l2_svm import LinearModel, check_memory, fit_l2_svm
from gan_eval.probes.liblinear import check_liblinear_memory, fit_liblinear
from gan_eval.probes.protocol import Protocol, choose_protocol
from gan_eval.probes.selection import Labelled, Result, SealedTest, Solver, evaluate, select
from gan_eval.records import Record, Written, append_record
from gan_eval.visualize.matrices import draw_confusion

SolverName = Literal["newton", "liblinear"]


@dataclass(frozen=True, kw_only=True)
class Classified(Written):
    """What became of a feature, with what it was asked to be."""

    spec: FeatureSpec


@at_work()
def classify(
    features: FeatureSpec | Extractor | Run | str | Iterable[FeatureSpec | Extractor | Run | str],
    data: StrPath,
    protocol: Protocol | str | None = None,
    *,
    root: StrPath | None = None,
    limit: int | None = None,
    solver: SolverName = "newton",
    store: StrPath | None = None,
    dtype: DType = "float16",
    device: str = "auto",
    precision: str = "auto",
    out: StrPath | None = None,
    watch: Watch = lambda what, done, total: None,
) -> list[Classified]:
    """Return how well linear classifiers of each feature do, in the order of `features`.

    Writes a line of records.jsonl and a figure of the confusion matrix for each. Under `torchrun`
    every process extracts; the first one alone fits and writes, and the others return nothing.

    Args:
        features: one or several: names, as "pixels"; runs, for their discriminators; for more see
            `features_of`; or extractors of one's own, as `gan_eval.Modules`.
        data: a labelled set with a test part, as `open_images` takes it.
        protocol: how C is chosen and the error measured: one of `choose_protocol`, or the name of
            one; None takes the paper's.
        root: where named data sets are.
        limit: keep only the first `limit` images of each split, to be quick.
        solver: "newton", or scikit-learn's "liblinear" for reference.
        store: where features are kept; None takes `default_store()`.
        dtype: in which they are kept.
        device: "auto", "cuda", "mps" or "cpu".
        precision: of the networks: "32", "bf16", or "auto" for bf16 where it is fast.
        out: where records and figures go; None takes a run's folder, or "results" without one.
        watch: is told of the progress.

    Raises:
        InputError: what was asked for cannot be had, or needs more memory than there is. Nothing
            was written, but for features that were measured before one that is not finite.
    """
    device = resolve_device(device)
    if not isinstance(protocol, Protocol):
        protocol = choose_protocol(protocol)
    if isinstance(features, str | Run | FeatureSpec) or callable(features):
        features = [features]
    specs = [_spec_of(each) for each in features]
    folders = [check_folder(out or _home(spec, specs)) for spec in specs]
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        make_fabric(device)
    probe = _Probe(
        protocol=protocol,
        solver=solver,
        store=store or default_store(),
        dtype=dtype,
        device=device,
        precision=resolve_precision(precision, device),
        watch=watch,
    )
    opened = _open(specs, data, protocol, root=root, limit=limit)
    # All of them before the first is used, so that mistakes come to light before hours of work.
    extractors = [
        build(spec, parts.train, device=device, precision=probe.precision)
        for spec, parts in zip(specs, opened, strict=True)
    ]
    for parts, extractor in zip(opened, extractors, strict=True):
        probe.memory(parts, extractor)
    found: dict[int, Classified] = {}
    for place in sorted(range(len(specs)), key=lambda place: specs[place].name == "disc"):
        spec, parts, extractor = specs[place], opened[place], extractors[place]
        before = [each.record for each in found.values()]
        controls = controls_of(before, extractor.identity) if spec.name == "disc" else {}
        measured = probe.measure(spec, parts, extractor, controls)
        if measured is not None:
            files = _write(folders[place], spec, parts, *measured)
            found[place] = Classified(spec=spec, record=measured[0], files=files)
    return [found[place] for place in sorted(found)]


def _spec_of(feature: FeatureSpec | Extractor | Run | str) -> FeatureSpec:
    if isinstance(feature, FeatureSpec):
        return feature
    if isinstance(feature, Run):
        return FeatureSpec(name="disc", run=feature)
    if isinstance(feature, str):
        return FeatureSpec(name=feature)
    if isinstance(feature, os.PathLike):
        check_run(feature)
    return FeatureSpec(name=own_extractor(feature).name, extractor=feature)


def _open(
    specs: Sequence[FeatureSpec], data: StrPath, protocol: Protocol, **given: Any
) -> list[Parts]:
    """Return the data in the form that each feature takes; each form is opened once."""
    opened: dict[str, Parts] = {}

    def parts(form: dict[str, Any]) -> Parts:
        key = str(sorted(form.items()))
        if key not in opened:
            opened[key] = open_parts(data, protocol, **given, **form)
        return opened[key]

    forms = [spec.form() for spec in specs]
    shared = next((form for form in forms if form), {})
    found = []
    for spec, form in zip(specs, forms, strict=True):
        try:
            found.append(parts(form))
        except NoSizeError:
            if form:
                raise
            # Where a discriminator is compared with it, what that sees.
            found.append(parts(shared or spec.own_form))
    return found


def _home(spec: FeatureSpec, specs: Sequence[FeatureSpec]) -> Path:
    runs = [each.run for each in (spec, *specs) if each.run is not None]
    return runs[0].folder if runs else Path("results")


def _write(
    folder: Path, spec: FeatureSpec, parts: Parts, record: Record, result: Result
) -> tuple[Path, ...]:
    """Append the record, then draw the figure; return both files."""
    protocol = record.protocol["name"]
    elsewhere = spec.name == "disc" and spec.run is not None and folder != spec.run.folder
    run = [spec.run.folder.name] if elsewhere and spec.run else []
    run += [spec.architecture] * (spec.name == "random-disc")
    run += [f"epoch-{spec.epoch}"] * (spec.epoch is not None) + spec.variant()
    figure = folder / f"{slug('classify', parts.train.name, record.name, *run, protocol)}.png"
    title = title_of(parts, protocol, spec.shown(record.name), result)
    records = append_record(folder, record)
    draw_confusion(result.confusion, parts.train.class_names, title, figure)
    return records, figure


@dataclass(frozen=True, kw_only=True)
class _Probe:
    """How every feature of a call is measured."""

    protocol: Protocol
    solver: SolverName
    store: StrPath
    dtype: DType
    device: str
    precision: Precision
    watch: Watch

    def measure(
        self, spec: FeatureSpec, parts: Parts, extractor: Extractor, controls: dict[str, float]
    ) -> tuple[Record, Result] | None:
        """Return a feature's record and what it was made from; nothing but on the first process."""
        started, name = time.perf_counter(), extractor.name
        rows = partial(self._rows, extractor)
        known = rows(parts.known, "training")
        if processes()[0] > 0:
            # Extraction begins with a meeting, to which the first process comes when C is fixed.
            rows(parts.test, "test")
            return None
        fits = self.protocol.selection_draws + self.protocol.test_draws
        needed = self.memory(parts, extractor) / 2**30
        solve = self._watched(f"{name}: fits in up to {needed:.1f} GiB of memory", fits)
        train, validation = known.split(len(parts.known) - parts.held_out)
        choice = select(train, validation, self.protocol, solve)
        again = known if self.protocol.refit == "train+validation" else train
        test = SealedTest(lambda: rows(parts.test, "test"))
        result = evaluate(again, test, choice, self.protocol, solve)
        record = record_of(
            spec,
            parts,
            extractor,
            self.protocol,
            result,
            solver=self.solver,
            controls=controls,
            device=self.device,
            precision=str(extractor.identity.get("precision", "32")),
            seconds=time.perf_counter() - started,
        )
        return record, result

    def memory(self, parts: Parts, extractor: Extractor) -> int:
        """Return the bytes that fits need beside the features, at most.

        Raises:
            InputError: there are not as many.
        """
        classes, drawn = len(parts.train.class_names), self.protocol.labels_per_class
        n = len(parts.known) if drawn is None else min(len(parts.known), drawn * classes)
        if self.solver == "liblinear":
            return check_liblinear_memory(n, extractor.width)
        if drawn is not None:
            return draws_at_once(n, extractor.width, classes, self._solving)[1]
        return check_memory(n, extractor.width, classes, 4, self._solving)

    @property
    def _solving(self) -> str:
        return with_float64(self.device)  # which objectives are summed in

    def _rows(self, extractor: Extractor, images: Images, part: str) -> Labelled:
        assert images.labels is not None
        what = f"{extractor.name}: features of {part} images"
        tell = lambda done: self.watch(what, done, len(images))  # noqa: E731
        features = extract(extractor, images, store=self.store, dtype=self.dtype, progress=tell)
        return Labelled(features, images.labels)

    def _watched(self, what: str, total: int) -> Solver:
        """Return the solver, which then tells how many draws it has done of all."""
        self.watch(what, 0, total)
        before, of_draws = 0, FitDraws(device=self._solving)

        def solve(
            x: Matrix,
            labels: Tensor,
            draws: Sequence[Tensor] | None,
            C: Sequence[float],  # noqa: N803
        ) -> list[list[LinearModel]]:
            nonlocal before
            tell = lambda done: self.watch(what, before + done, total)  # noqa: E731
            if self.solver == "newton" and draws is not None:
                models = of_draws(x, labels, draws, C, tell)
            elif self.solver == "newton":
                models = [fit_l2_svm(x, labels, C, device=self._solving)]
            elif draws is None:
                models = [fit_liblinear(x, labels, C)]
            else:
                models = []
                for rows in draws:
                    models.append(fit_liblinear(gather(x, rows), labels[rows], C))
                    self.watch(what, before + len(models), total)
            before += len(models)
            self.watch(what, before, total)
            return models

        return solve
