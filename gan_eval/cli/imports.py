"""`gan-eval import`: the word is a Python keyword, so neither module nor function has its name."""

import shlex
from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.options import UserPath, json_option, out_option
from gan_eval.cli.output import print_json, say

_out = out_option("The run's folder, new or empty.", required=True)


@click.group("import", short_help="Make a run of weights that others published.")
def imports() -> None:
    """Make a run of weights that others published; every command reads it like one trained here.

    \b
    gan-eval import newmu newmu-svhn/ --out runs/authors-svhn
    gan-eval import pytorch-examples --generator netG.pth --discriminator netD.pth --out runs/faces
    """


@imports.command(short_help="The DCGAN authors' own weights (Newmu/dcgan_code).")
@click.argument("folder", metavar="DIR", type=UserPath())
@_out
@json_option
def newmu(folder: Path, out: Path, as_json: bool) -> None:
    """Import the arrays that the DCGAN authors released, DIR/200_gen_params.jl_01.npy and so on.

    DIR is a folder of models/ in the repository Newmu/dcgan_code: svhn_unsup_all_conv_dcgan_… or
    imagenet_gan_pretrain_….
    Their shapes say which network it is; of several epochs the newest is taken. The pickle beside
    them is never opened.

    \b
    gan-eval import newmu newmu-svhn/ --out runs/authors-svhn
    """
    _report(gan_eval.import_newmu(folder, out), as_json)


@imports.command(short_help="Checkpoints of the DCGAN of pytorch/examples.")
@click.option("--generator", type=UserPath(), required=True, help="A netG_epoch_N.pth.")
@click.option("--discriminator", type=UserPath(), required=True, help="A netD_epoch_N.pth.")
@_out
@json_option
def pytorch_examples(generator: Path, discriminator: Path, out: Path, as_json: bool) -> None:
    """Import a generator and a discriminator that the DCGAN of pytorch/examples saved.

    Widths, channels and the length of z are read from their shapes.

    \b
    gan-eval import pytorch-examples --generator netG.pth --discriminator netD.pth --out runs/faces
    """
    _report(gan_eval.import_pytorch_examples(generator, discriminator, out), as_json)


def _report(run: Any, as_json: bool) -> None:
    """Say what was recognised, every deviation, and what to type next."""
    config, folder = run.config(), run.folder
    imported = config.imported
    files = [folder / f"{part}.safetensors" for part in imported.networks]
    if as_json:
        print_json(
            {
                "run": str(folder.resolve()),
                "config": config.to_json(),
                "files": [str(path.resolve()) for path in files],
            }
        )
        return
    epoch = "" if imported.epoch is None else f", epoch {imported.epoch}"
    say(f"{config.preset}{epoch}: {' and '.join(imported.networks)}, into {folder}")
    for deviation in config.deviations:
        say(f"  deviation: {deviation}")
    run = shlex.quote(str(folder))
    if "generator" in imported.networks:
        say(f"Draw from it with:\n  gan-eval sample {run} --out grid.png")
    else:
        say(f"Measure its features with:\n  gan-eval classify --features disc {run} --data NAME")
