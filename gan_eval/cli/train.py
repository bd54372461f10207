"""`gan-eval train`."""

import os
from pathlib import Path
from typing import Any

import click

from gan_eval.cli.output import TrainingProgress, json_option, print_json, say


def _epochs(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise click.BadParameter(f"must be whole numbers with commas, as 1,5,25. Got {text!r}.")


@click.command(short_help="Train a published DCGAN on your images.")
@click.option("--preset", help="Which network and recipe; `gan-eval presets` lists them.")
@click.option("--data", help="A name from `gan-eval data`, a folder of images, or an .npz.")
@click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    envvar="GAN_EVAL_DATA",
    help="Where named data sets lie.  [env: GAN_EVAL_DATA]",
)
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.")
@click.option("--epochs", type=int, help="Passes over the images.  [default: the recipe's]")
@click.option("--steps", type=int, help="Mini-batches, instead of epochs.")
@click.option("--batch-size", type=int, help="Images in a mini-batch.  [default: the recipe's]")
@click.option("--image-size", type=int, help="Side of the images.  [default: the preset's]")
@click.option("--channels", type=int, help="1 (grey) or 3 (colour).  [default: the data's]")
@click.option(
    "--fit",
    type=click.Choice(["auto", "crop", "pad"]),
    default="auto",
    show_default=True,
    help="Square images by centre crop and resize, or by zero padding.",
)
@click.option("--split", default="train", show_default=True, help="Which part of the data.")
@click.option("--limit", type=int, help="Use the first N images only.")
@click.option("--latent-dim", type=int, help="Length of z.  [default: the preset's]")
@click.option("--width", type=int, help="Base width, where the source leaves it open.")
@click.option(
    "--save-epochs",
    callback=_epochs,
    metavar="1,5,25",
    help="Epochs whose samples and weights are kept.  [default: 1,2,5,10,20,50… and last]",
)
@click.option(
    "--save-seconds",
    type=float,
    default=60.0,
    show_default=True,
    help="How often the state is saved; a kill loses at most this much.",
)
@click.option(
    "--log-every",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Steps between rows of metrics.jsonl.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The one seed of all randomness.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "32", "bf16"]),
    default="auto",
    show_default=True,
    help="auto: bf16 where the processor computes in it.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Loader processes, for data that do not fit in memory.",
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
    gan-eval train --out runs/svhn --resume
    torchrun --nproc-per-node 2 -m gan_eval train --preset carpedm20 --data celeba --out runs/faces
    """
    from gan_eval.models.runs import Run
    from gan_eval.training.devices import keep_freed_memory, make_fabric

    run = _run(options)
    config, images = _resume(run, options) if options["resume"] and run.exists else _new(options)
    if options["dry_run"]:
        print_json(config.to_json())
        return
    fabric = make_fabric(config.device, config.precision)
    chief = fabric.is_global_zero
    if options["resume"] and run.exists and _finished(run, config):
        if chief:
            say(
                f"Run {run.folder} is finished: {config.steps} of {config.steps} steps are done. "
                "Pass a larger --epochs to train it on."
            )
        _report(run, config, options, chief)
        return
    keep_freed_memory()
    fabric.barrier()
    if chief:
        run.write_config(config)
        _announce(run, config)
    stopped = _train(run, config, images, fabric, options)
    if stopped:
        if chief:
            say(
                f"Stopped after a whole step; the state is saved. Continue with:\n"
                f"  gan-eval train --out {run.folder} --resume"
            )
        raise SystemExit(128 + stopped)
    _report(run, config, options, chief)


def _run(options: dict[str, Any]) -> Any:
    """Return the run that --out names, checked to be free, or to hold what is to be resumed."""
    from gan_eval.errors import InputError
    from gan_eval.models.runs import Run

    if options["out"] is None:
        if options["dry_run"]:
            return Run(Path("run"))
        raise InputError("--out must name the run's folder. Got nothing; pass --out runs/NAME.")
    run = Run(options["out"])
    folder = run.folder
    if run.exists and not options["resume"]:
        raise InputError(
            f"--out must not hold a run already. {folder} does; pass --resume to continue it, or "
            "another folder."
        )
    if folder.exists() and not run.exists and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"--out must be a new or empty folder, or a run. {folder} is neither; "
            "pass another folder."
        )
    if options["resume"] and not run.exists and not (options["preset"] and options["data"]):
        raise InputError(
            f"--resume continues the run in --out. {folder} holds none; pass --preset and --data "
            "to start one."
        )
    return run


def _new(options: dict[str, Any]) -> Any:
    from gan_eval.errors import InputError
    from gan_eval.training.config import Request, resolve

    for name, example in (("preset", "carpedm20"), ("data", "digits")):
        if not options[name]:
            raise InputError(
                f"--{name} must be given for a new run. Got nothing; pass --{name} {example}, or see "
                f"`gan-eval {name.rstrip('s')}{'s' if name == 'preset' else ''}`."
            )
    asked = (
        "preset",
        "data",
        "split",
        "image_size",
        "channels",
        "fit",
        "limit",
        "latent_dim",
        "width",
        "epochs",
        "steps",
        "batch_size",
        "save_epochs",
        "seed",
        "device",
        "precision",
    )
    request = Request(root=options["data_root"], **{name: options[name] for name in asked})
    return resolve(request, int(os.environ.get("WORLD_SIZE", 1)))


def _resume(run: Any, options: dict[str, Any]) -> Any:
    from gan_eval.errors import InputError
    from gan_eval.training.config import extend, reopen

    config = run.config()
    if options["preset"] not in (None, config.preset):
        raise InputError(
            f"--preset must be the run's own to resume it: {config.preset}. "
            f"Got {options['preset']}; leave it out, or pass another --out."
        )
    if options["data"] not in (None, config.data.name):
        raise InputError(
            f"--data must be the run's own to resume it: {config.data.name}. "
            f"Got {options['data']}; leave it out, or pass another --out."
        )
    config = extend(config, options["epochs"], options["steps"])
    return config, reopen(config, options["data_root"])


def _finished(run: Any, config: Any) -> bool:
    from gan_eval.training.checkpoint import saved_step

    return run.state.exists() and saved_step(run.state) >= config.steps


def _train(run: Any, config: Any, images: Any, fabric: Any, options: dict[str, Any]) -> int | None:
    from gan_eval.training.loop import Habits, train

    with TrainingProgress(config.steps, config.recipe.batch_size) as progress:
        habits = Habits(
            log_every=options["log_every"],
            save_seconds=options["save_seconds"],
            workers=options["workers"],
            tensorboard=options["tensorboard"],
            on_row=progress.row,
            on_step=progress.step,
            warn=progress.warn,
        )
        return train(run, config, images, fabric, habits)


def _announce(run: Any, config: Any) -> None:
    data = config.data
    size = config.generator.image_size
    say(
        f"{config.preset} on {data.name} ({data.count} images from {data.source}, "
        f"{size}x{size}x{config.generator.channels}): {config.steps} steps of "
        f"{config.recipe.batch_size}, {config.device} {config.precision}, into {run.folder}"
    )
    for note in data.notes:
        say(f"  data: {note}")
    for deviation in config.deviations:
        say(f"  deviation: {deviation}")


def _report(run: Any, config: Any, options: dict[str, Any], chief: bool) -> None:
    """Print where everything lies and the last row of metrics."""
    if not chief:
        return
    from gan_eval.records import read_lines

    last = list(read_lines(run.metrics))[-1]
    if options["as_json"]:
        grids = sorted(str(path.resolve()) for path in (run.folder / "samples").glob("*.png"))
        print_json(
            {
                "run": str(run.folder.resolve()),
                "config": config.to_json(),
                "last": last,
                "files": [*grids, str((run.folder / "losses.png").resolve())],
            }
        )
    else:
        say(
            f"Done: {last['step']} steps. Samples are in {run.folder / 'samples'}, the loss curve is "
            f"{run.folder / 'losses.png'}."
        )
