"""`gan-eval train`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.going_on import command_again
from gan_eval.cli.options import (
    UserPath,
    choice_option,
    data_root_option,
    device_option,
    json_option,
    numbers,
    out_option,
    precision_option,
    seed_option,
    was_given,
)
from gan_eval.cli.output import print_json, say
from gan_eval.cli.progress import TrainingProgress
from gan_eval.errors import InputError
from gan_eval.files import expanded

# What a run is asked for, and what may change when it is resumed.
_ASKED = (
    "preset", "data", "split", "image_size", "channels", "fit", "limit", "latent_dim", "width",
    "epochs", "steps", "batch_size", "save_epochs", "seed", "device", "precision", "compile",
)  # fmt: skip
_CHANGEABLE = ("data", "epochs", "steps", "device", "compile")


@click.command(short_help="Train a published DCGAN on your images.")
@click.option("--preset", help="Which network and recipe; `gan-eval presets` lists them.")
@click.option("--data", help="A name from `gan-eval data`, a folder of images, or an .npz.")
@data_root_option
@out_option("The run's folder.  [default: runs/PRESET-on-DATA]")
@click.option("--epochs", type=int, help="Passes over the images.  [default: the recipe's]")
@click.option("--steps", type=int, help="Mini-batches, instead of epochs.")
@click.option("--batch-size", type=int, help="Images in a mini-batch.  [default: the recipe's]")
@click.option("--image-size", type=int, help="Side of the images.  [default: the preset's]")
@click.option("--channels", type=int, help="1 (grey) or 3 (colour).  [default: the data's]")
@choice_option(
    "--fit",
    ["auto", "crop", "pad"],
    help="Square images by centre crop and resize, or by zero padding; auto: as the source does.",
)
@click.option("--split", default="train", help="Which part of the data.")
@click.option("--limit", type=int, help="Use the first N images only.")
@click.option("--latent-dim", type=int, help="Length of z.  [default: the preset's]")
@click.option("--width", type=int, help="Base width, where the source leaves it open: bubbliiiing.")
@click.option(
    "--save-epochs",
    callback=numbers(int, "whole numbers", "1,5,25"),
    metavar="1,5,25",
    help="Epochs whose samples and weights are kept.  [default: 1,2,5,10,20,50… and last]",
)
@click.option(
    "--save-seconds",
    type=float,
    default=60.0,
    help="How often the state is saved; a kill loses at most this much, or the measuring it hit.",
)
@click.option(
    "--log-every",
    type=click.IntRange(min=1),
    default=50,
    help="Steps between rows of metrics.jsonl.",
)
@seed_option("The one seed of all randomness.")
@device_option
@precision_option
@click.option(
    "--compile/--no-compile",
    help="Compile the networks with torch.compile: minutes at the start, slower on a CPU.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=2,
    help="Loader processes, for data that do not fit in memory.",
)
@click.option(
    "--probe-every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Each N epochs, classify training images, held out from the classifier and not from D, by"
    " D's features: probe_error in metrics.jsonl. In a run that was never scored, the epoch where"
    " it is lowest is kept as the best.",
)
@click.option("--probe-data", help="Labelled images for that, as --data.  [default: --data]")
@click.option(
    "--score-every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Each N epochs, the distance of samples to training images: fid and kid in metrics.jsonl."
    " The epoch where fid is lowest is kept as checkpoints/best, for --epoch best.",
)
@click.option(
    "--score-extractor",
    help="Features for that: random-disc, an untrained D; better disc:RUN, that of another run, or"
    " inception and others as in `gan-eval score`.  [default: random-disc]",
)
@click.option(
    "--score-weights",
    type=UserPath(),
    help="File of inception's or torchvision:NAME's weights for that.  [default: inception's in"
    " torch hub's folder]",
)
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard events to the run.")
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config as JSON and stop.")
@json_option
def train(**options: Any) -> None:
    """Train a published DCGAN on your images; on several processes under torchrun.

    \b
    gan-eval train --preset sthalles --data digits --out runs/digits --epochs 20
    gan-eval train --preset carpedm20 --data my-photos/ --image-size 64 --out runs/photos
    gan-eval train --preset radford2015-svhn --data svhn --data-root ~/data --out runs/svhn
    gan-eval train --out runs/svhn --resume --probe-every 5 --score-every 5
    torchrun --nproc-per-node 2 -m gan_eval train --preset carpedm20 --data celeba --out runs/faces
    """
    from gan_eval.training.job import is_chief

    job, measures = _measured(_job(options), options)
    if options["dry_run"]:
        if is_chief():
            print_json(job.config.to_json())
        return
    folder, chief = job.run.folder, is_chief()
    if options["resume"] and job.finished:
        if chief:
            say(
                f"Run {folder} is finished: all {job.config.steps} steps are done. "
                "Pass a larger --epochs to train it on."
            )
    else:
        carry_through(job, options, command_again(folder, options), measures, chief)
    if chief:
        _report(job, options["as_json"])


def carry_through(
    job: Any, options: dict[str, Any], again: str, measures: Sequence[Any] = (), chief: bool = True
) -> None:
    """Train `job` and show how it goes; if it is told to stop, end, and say to go on by `again`."""
    from gan_eval.training.loop import Habits

    if chief:
        announce(job)
    names = ("log_every", "save_seconds", "workers", "tensorboard")
    with TrainingProgress(job.config.steps, job.config.recipe.batch_size, chief) as progress:
        habits = Habits(
            on_row=progress.row,
            on_step=progress.step,
            warn=progress.warn,
            measures=tuple(measures),
            **{name: options[name] for name in names if name in options},
        )
        stopped = gan_eval.carry_out(job, habits)
    if stopped:
        if chief:
            say(f"Stopped after a whole step; the state is saved. Continue with:\n  {again}")
        raise SystemExit(128 + stopped)


def announce(job: Any) -> None:
    """Say what is about to be trained on what, and every deviation from the source."""
    from gan_eval.precision import resolve_precision

    config, data = job.config, job.config.data
    assert data is not None
    size = config.generator.image_size
    say(
        f"{config.preset} on {data.name} ({data.count} images from {data.source}, "
        f"{size}x{size}x{config.generator.channels}): {config.steps} steps of "
        f"{config.recipe.batch_size}, {config.device} {config.precision}, into {job.run.folder}"
    )
    for note in data.notes:
        say(f"  data: {note}")
    for deviation in config.deviations:
        say(f"  deviation: {deviation}")
    usual = resolve_precision("auto", config.device)
    if config.asked.get("precision") == "auto" and config.precision != usual:
        say(f"  precision stays {config.precision}, as it began; a new run would take {usual} here")
    if config.rate_factor(config.steps - 1) == 0:
        say(
            f"  the recipe's learning rate is 0 from epoch {config.recipe.schedule.end} on: no "
            "later step changes a weight"
        )


def _job(options: dict[str, Any]) -> Any:
    out = options["out"] or _default_folder(options)
    if options["resume"] and gan_eval.Run(out).exists:
        given = {name: options[name] for name in _ASKED if was_given(name)}
        return gan_eval.resumed_job(
            out,
            root=options["data_root"],
            same={name: value for name, value in given.items() if name not in _CHANGEABLE},
            **{name: value for name, value in given.items() if name in _CHANGEABLE},
        )
    for name, hint in (("preset", "`gan-eval presets`"), ("data", "`gan-eval data`")):
        if not options[name]:
            raise InputError(
                f"--{name} must be given for a new run. Got nothing; see {hint} for what there is."
            )
    request = gan_eval.Request(
        root=options["data_root"], **{name: options[name] for name in _ASKED}
    )
    return gan_eval.new_job(out, request)


def _measured(job: Any, options: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """Return `job` and what is measured on the way; the same run may be resumed with others."""
    measures: list[Any] = []
    if job.images is None:
        return job, ()
    if _wanted("probe", ("data",), options):
        from gan_eval.experiments.validation import watch_features

        given = {"every": options["probe_every"], "data": options["probe_data"]}
        probe = watch_features(job.config, job.images, root=options["data_root"], **given)
        job = replace(job, config=replace(job.config, probed=probe.about))
        measures.append(probe)
    if _wanted("score", ("extractor", "weights"), options):
        from gan_eval.experiments.score.training import UNTRAINED, watch_samples

        given = {"every": options["score_every"], "root": options["data_root"]}
        extractor = _other(options["score_extractor"] or UNTRAINED, job.run.folder)
        given |= {"extractor": extractor, "weights": options["score_weights"]}
        score = watch_samples(job.config, job.images, **given)
        job = replace(job, config=replace(job.config, scored=score.about))
        measures.append(score)
    return job, tuple(measures)


def _other(extractor: str, folder: Path) -> str:
    """Return the extractor: "disc", which is refused, where it names the trained run itself."""
    kind, _, named = extractor.partition(":")
    return "disc" if kind == "disc" and Path(named).resolve() == folder.resolve() else extractor


def _wanted(what: str, details: Sequence[str], options: dict[str, Any]) -> bool:
    """Return whether `--WHAT-every` was given; `--WHAT-DETAIL` alone is refused."""
    wanted = options[f"{what}_every"] is not None
    for detail in details:
        value = options[f"{what}_{detail}"]
        if value is not None and not wanted:
            raise InputError(
                f"--{what}-{detail} is for --{what}-every. Got {value} alone; pass "
                f"--{what}-every 1 too."
            )
    return wanted


def _default_folder(options: dict[str, Any]) -> Path:
    if options["resume"] and not (options["preset"] and options["data"]):
        raise InputError("--out must name the run to resume. Got nothing; pass --out runs/NAME.")
    data = expanded(options["data"] or "").resolve()
    name = data.stem if data.suffix == ".npz" else data.name
    return Path("runs") / f"{options['preset']}-on-{name}"


def _report(job: Any, as_json: bool) -> None:
    """Say where everything lies; as JSON also the config, the last row of metrics and the best."""

    run = job.run
    curve, best = run.folder / "losses.png", run.best()
    if not as_json:
        say(f"Samples are in {run.folder / 'samples'}, the loss curve is {curve}.")
        if best is not None:
            say(f"Best is epoch {best['epoch']} ({best['rule']}), for --epoch best.")
        return
    pictures = [*sorted((run.folder / "samples").glob("*.png")), curve]
    print_json(
        {
            "run": str(run.folder.resolve()),
            "config": job.config.to_json(),
            "last": next(reversed(run.rows()), None),
            "best": best,
            "files": [str(path.resolve()) for path in pictures],
        }
    )
