"""`gan-eval quickstart`."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.options import json_option, out_option
from gan_eval.cli.output import document, percent, print_json, print_table, say
from gan_eval.cli.progress import Watching
from gan_eval.cli.train import carry_through
from gan_eval.errors import InputError

# The paper's SVHN network, the smallest of its own: digits can be recognised after about a minute.
_PRESET, _EPOCHS, _KEPT = "radford2015-svhn", 50, (1, 5, 10, 20, 50)
# What is compared, and by how many labels per class: None is all.
_FEATURES, _LABELS, _MAPS, _DRAWS = ("disc", "random-disc", "pixels", "kmeans"), (10, None), 200, 20
# 8 - 3 is the strokes on the left, and a 5 with these is a 6; a 1 turns into a 7.
_SUM = {"a": "class 8", "b": "class 3", "c": "class 5", "from": "class 1", "to": "class 7"}
_TARGET = "class 6"
_SAMPLES, _SUBSET, _SPACES = 1000, 100, ("disc", "pixels")
# Which end of a score is the better one, where either is: a short path is no merit by itself.
_BETTER = {
    "path_length": "–",
    "jump_ratio": "lower",
    "nearest_train_distance": "–",
    "success_rate": "higher",
    "selectivity": "higher",
    "concentration": "higher",
}
_COLUMNS = ("epoch", "d_loss", "g_loss", "d_real_accuracy", "d_fake_accuracy", "diversity")


@click.command(short_help="Train on embedded digits, and go through the paper's experiments.")
@out_option("The run's folder; a run that is there is continued.", default=Path("runs/quickstart"))
@json_option
def quickstart(out: Path, as_json: bool) -> None:
    """Train the paper's smallest network on scikit-learn's digits: no download, under 3 minutes.

    Then classify the 360 test digits, which no training used, by what its discriminator learned
    from the other 1,437 without their labels; walk and add in its Z, look at its filters,
    score its samples, and put it all on one page.

    \b
    gan-eval quickstart
    """
    job = _job(out)
    if not job.finished:
        again = shlex.join(["gan-eval", "quickstart", "--out", str(out)])
        carry_through(job, {"log_every": job.config.steps_per_epoch}, again)
    _report(job, _classify(job), _looked_at(job.run), _scored(job.run), as_json)


def _job(out: Path) -> Any:
    from gan_eval.devices import resolve_device

    run = gan_eval.Run(out)
    request = gan_eval.Request(
        preset=_PRESET, data="digits", split="train", epochs=_EPOCHS, save_epochs=_KEPT
    )
    if not run.exists:
        return gan_eval.new_job(out, request)
    _check_own(run, request)
    # The device that it was trained on need not be here.
    return gan_eval.resumed_job(out, device=resolve_device("auto"))


def _check_own(run: Any, request: Any) -> None:
    """Refuse a run that was asked for in other words: what is measured here would not fit it."""
    from gan_eval.records import as_json

    asked = run.config().asked
    for name, value in as_json(request.to_json()).items():
        if asked.get(name, value) != value:
            raise InputError(
                "--out must be a new folder, or that of an earlier quickstart. Got "
                f"{run.folder}, a run that was started with {name} {asked[name]} instead of "
                f"{value}; pass another --out."
            )


def _classify(job: Any) -> list[Sequence[Any]]:
    """Return, for each number of labels, how each feature does."""
    specs = gan_eval.features_of(_FEATURES, [job.run], maps=_MAPS)
    with Watching() as watch:
        return [
            gan_eval.classify(
                specs,
                "digits",
                gan_eval.choose_protocol(labels_per_class=labels, draws=labels and _DRAWS),
                store=job.run.folder / "features",
                watch=watch,
            )
            for labels in _LABELS
        ]


def _looked_at(run: Any) -> dict[str, Any]:
    """Return a walk and a sum in Z and the filters of D, each with its record and files."""
    with Watching() as watch:
        return {
            "interpolate": gan_eval.interpolate(run, watch=watch),
            "arithmetic": gan_eval.arithmetic(run, _SUM, target=_TARGET, trials=100, watch=watch),
            "filters": gan_eval.filters(run, watch=watch),
        }


def _scored(run: Any) -> list[Any]:
    """Return the scores of samples against the test digits, in spaces that need no download."""
    protocol = gan_eval.ScoreProtocol(kid_subset_size=_SUBSET)
    with Watching() as watch:
        return [
            found
            for space in _SPACES
            for found in gan_eval.score(
                [str(run.folder)],
                "digits:test",
                protocol=protocol,
                extractor=gan_eval.ExtractorSpec(name=space),
                n=_SAMPLES,
                store=run.folder / "features",
                watch=watch,
            )
        ]


def _report(
    job: Any,
    found: list[Sequence[Any]],
    looked_at: dict[str, Any],
    scored: Sequence[Any],
    as_json: bool,
) -> None:
    from gan_eval.report.page import report

    run = job.run
    rows = [_at_epoch(run.rows(), epoch) for epoch in _KEPT]
    pictures = [*(run.grid(epoch) for epoch in _KEPT), run.folder / "losses.png"]
    page = report(run.folder).files[-1]
    if as_json:
        print_json(
            {
                "run": str(run.folder.resolve()),
                "epochs": rows,
                "classification": [document(each) for some in found for each in some],
                **{name: document(each) for name, each in looked_at.items()},
                "scores": [each.record.to_json() for each in scored],
                "files": [str(path.resolve()) for path in (*pictures, page)],
            }
        )
        return
    _print_training(run, rows)
    _print_figures(found, looked_at, scored)
    say(f"Look at {page}, where all of this is drawn.")
    say(f"Look at {run.grid(_KEPT[-1])}: handwritten digits that nobody wrote.")
    again = shlex.join(["gan-eval", "sample", str(run.folder), "--n", "100", "--out", "more.png"])
    say(f"Next: {again}; gan-eval train --help")


def _print_training(run: Any, rows: list[dict[str, Any]]) -> None:
    print_table(
        f"{_PRESET} on digits",
        (*_COLUMNS, "samples"),
        (
            (*(row[name] for name in _COLUMNS), run.grid(epoch))
            for row, epoch in zip(rows, _KEPT, strict=True)
        ),
    )


def _print_figures(
    found: list[Sequence[Any]], looked_at: dict[str, Any], scored: Sequence[Any]
) -> None:
    """Print what was measured, and how to read it."""
    print_table(
        "Test error in % of an L2-SVM on 360 digits that nothing was trained on",
        ("features", "width", "10 labels per class", "all labels"),
        (
            (few.record.name, few.record.result["feature_width"], _error(few), _error(full))
            for few, full in zip(*found, strict=True)
        ),
    )
    print_table(
        f"{_SAMPLES} samples against the 360 test digits",
        ("by", "FID", "precision", "recall", "density", "coverage"),
        ((each.record.result["extractor"], *_figures(each.record.result)) for each in scored),
    )
    say(
        f"{scored[0].record.result['extractor']} is the judge that G was trained to please: while "
        "it tells every sample from an image, no sample lies among images in its features."
    )
    for advice in dict.fromkeys(text for each in scored for text in each.record.advice):
        say(f"Warning: {advice}")
    print_table(
        "Each score beside its controls",
        ("experiment", "score", "better", "ours", "controls"),
        (row for name, each in looked_at.items() for row in _beside(name, each.record)),
    )
    say(
        "A score says something where it is better than its controls; after a minute of training "
        "not all are. docs/exhibits/ says how to read each."
    )


def _figures(result: dict[str, Any]) -> list[str]:
    names = ("fid", "precision", "recall", "density", "coverage")
    return [f"{result[name]:.3g}" for name in names]


def _beside(name: str, record: Any) -> list[Sequence[str]]:
    """Return a row for each score of an experiment, with those of the controls that have it."""
    shown: list[Sequence[str]] = []
    for score in (each for each in _BETTER if each in record.result):
        rivals = {who: row.get(score) for who, row in record.controls.items()}
        beside = [f"{who} {rival:.3g}" for who, rival in rivals.items() if rival is not None]
        ours = f"{record.result[score]:.3g}"
        shown.append((name, score, _BETTER[score], ours, ", ".join(beside)))
    return shown


def _error(found: Any) -> str:
    result = found.record.result
    spread = f" ± {percent(result['error_spread'])}" if result["draws"] > 1 else ""
    return f"{percent(result['error_mean'])}{spread}"


def _at_epoch(rows: list[dict[str, Any]], epoch: int) -> dict[str, Any]:
    """Return the row of metrics nearest to the end of `epoch`."""
    nearest = min(rows, key=lambda row: abs(row["epoch"] - epoch))
    return {name: nearest.get(name) for name in _COLUMNS}
