"""`gan-eval sample`."""

from pathlib import Path
from typing import Any, Literal

import click

import gan_eval
from gan_eval.cli.options import UserPath, device_option, epoch_option, json_option, seed_option
from gan_eval.cli.output import print_json, say
from gan_eval.errors import InputError
from gan_eval.files import check_folder


@click.command(short_help="Draw images from a trained run.")
@click.argument("run", type=UserPath())
@click.option("--n", default=64, help="How many images.")
@click.option(
    "--out",
    type=UserPath(),
    required=True,
    help="A .png (one grid) or an .npz (train_images, uint8; readable as --data).",
)
@click.option("--contact-sheet", is_flag=True, help="Number the images of a .png, from 0.")
@click.option(
    "--label",
    type=int,
    help="Of conditional runs, this label only.  [default: all in turn; on a contact sheet the"
    " first]",
)
@epoch_option
@seed_option()
@device_option
@json_option
def sample(
    run: Path,
    n: int,
    out: Path,
    contact_sheet: bool,
    label: int | None,
    epoch: int | Literal["best"] | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Draw images from a trained run; the i-th of a seed is always the same.

    \b
    gan-eval sample runs/svhn --n 64 --out grid.png
    gan-eval sample runs/faces --n 100 --contact-sheet --out faces.png
    gan-eval sample runs/svhn --n 10000 --out samples.npz --epoch 5
    """
    import torch

    from gan_eval.data.export import write_arrays
    from gan_eval.devices import resolve_device
    from gan_eval.visualize import grids

    if out.suffix not in (".png", ".npz"):
        raise InputError(f"--out must end in .png or .npz. Got {out}.")
    if contact_sheet and out.suffix != ".png":
        raise InputError(f"--contact-sheet is a picture: --out must end in .png. Got {out}.")
    check_folder(out.parent)
    network = gan_eval.Run(run).load_generator(epoch).to(resolve_device(device))
    _check_room(n, network.config)
    if contact_sheet and network.config.classes and label is None:
        label = network.config.first_label  # arithmetic and dropout take samples of it too
        say(f"Of label {label}; pass --label for another.")
    drawn = list(gan_eval.generate(network, n, seed, label))
    images = torch.cat([pixels for pixels, _ in drawn])
    labels = [row for _, row in drawn if row is not None]
    if out.suffix == ".png":
        picture = grids.contact_sheet(images) if contact_sheet else grids.grid(images)
        grids.write_picture(out, picture)
    else:
        write_arrays(out, images, torch.cat(labels) if labels else None)
    if as_json:
        print_json({"run": str(run.resolve()), "n": n, "seed": seed, "files": [str(out.resolve())]})
    else:
        say(f"{n} images of {run} are in {out}.")


def _check_room(n: int, config: Any) -> None:
    """Raise an `InputError` where memory does not hold n images, and a copy beside each other."""
    from gan_eval.devices import available_memory

    needed, free = 2 * n * config.channels * config.image_size**2, available_memory()
    if needed > free:
        raise InputError(
            f"--n images must fit into memory. Got {n}, which take {needed / 1e9:.1f} GB of "
            f"{free / 1e9:.1f}; draw fewer, or parts by other --seed."
        )
