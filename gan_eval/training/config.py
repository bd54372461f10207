"""From what a user asks for to a run's config: everything resolved, every deviation listed."""

import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from gan_eval.data import Images, open_images
from gan_eval.data.feed import check_batch
from gan_eval.data.registry import path_of, root_for
from gan_eval.devices import memory_for_images, resolve_device
from gan_eval.errors import InputError, one_line
from gan_eval.files import StrPath
from gan_eval.models.config import at_least
from gan_eval.models.presets import Preset, configure, preset
from gan_eval.models.recipe import Recipe
from gan_eval.models.run_config import DataConfig, RunConfig
from gan_eval.precision import resolve_precision
from gan_eval.records import versions
from gan_eval.training.ledger import differences, length, of_length


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for; None leaves it to the preset and the data."""

    preset: str
    data: StrPath
    root: StrPath | None = None
    split: str = "train"
    image_size: int | None = None
    channels: int | None = None
    fit: str = "auto"
    limit: int | None = None
    latent_dim: int | None = None
    width: int | None = None
    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    save_epochs: Iterable[int] | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", os.fspath(self.data))  # also of a path
        kept = tuple(self.save_epochs or ())
        object.__setattr__(self, "save_epochs", kept or None)
        if kept and min(kept) < 1:
            raise InputError(f"save_epochs must be at least 1. Got {min(kept)}.")
        counts = ("image_size", "epochs", "steps", "limit")
        at_least(1, self, *(name for name in counts if getattr(self, name) is not None))
        if self.epochs is not None and self.steps is not None:
            raise InputError(
                "epochs and steps say the same thing: pass one of them. "
                f"Got {self.epochs} and {self.steps}."
            )

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON-able values."""
        return {**asdict(self), "root": self.root and str(self.root)}


def resolve(request: Request, world_size: int = 1) -> tuple[RunConfig, Images]:
    """Return the config of the run that `request` asks for, and its images.

    Raises:
        InputError: a name, size or number that cannot be had; nothing was written.
    """
    published = preset(request.preset)
    size = request.image_size or published.generator.image_size
    configure(published.name, image_size=size, latent_dim=request.latent_dim, width=request.width)
    images = _open(request, published, size)
    network = configure(
        published.name,
        image_size=size,
        channels=images.channels,
        latent_dim=request.latent_dim,
        classes=_classes(published, images),
        width=request.width,
    )
    unseen = images.empty_classes if published.conditional else ()
    recipe = _recipe(published.recipe, request)
    check_batch(len(images), recipe.batch_size, world_size)
    steps_per_epoch = len(images) // recipe.batch_size
    device = resolve_device(request.device)
    precision = resolve_precision(request.precision, device)
    if request.compile:
        check_compiler(device)
    config = RunConfig(
        preset=network.name,
        source=network.source,
        generator=replace(network.generator, unseen=unseen),
        discriminator=network.discriminator,
        recipe=recipe,
        data=_data(request, images, network.generator.classes),
        seed=request.seed,
        steps=request.steps or recipe.pretrain_steps + recipe.epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        precision=precision,
        device=device,
        world_size=world_size,
        save_epochs=tuple(request.save_epochs or default_save_epochs(recipe.epochs)),
        deviations=(
            *network.deviations,
            *length(published.recipe, request.epochs, request.steps),
            *differences(published, recipe, images, precision, world_size),
        ),
        versions=versions(),
        compile=request.compile,
        threads=torch.get_num_threads(),
        asked=request.to_json(),
    )
    return config, images


def check_compiler(device: str) -> None:
    """Refuse to compile where nothing can, which would otherwise come to light after the start.

    Raises:
        InputError: a small function does not compile for `device`.
    """
    from torch._dynamo.exc import TorchDynamoException  # a second, for those who compile

    try:
        torch.compile(torch.nn.functional.softplus)(torch.ones(8, device=device))
    except TorchDynamoException as error:
        raise InputError(
            f"--compile needs a C++ compiler that torch.compile can use for {device}. It cannot: "
            f"{one_line(error)}; install one, or pass --no-compile."
        ) from error


def extend(config: RunConfig, epochs: int | None, steps: int | None) -> RunConfig:
    """Return `config` with a later end, for a run that is to be trained on."""
    if (epochs is None and steps is None) or config.imported:
        return config  # of imported weights there is no training to go on, which `reopen` says
    wanted = steps or config.steps_of(epochs or 0)
    if wanted < config.steps:
        raise InputError(
            f"a run can be trained on, not shortened: it has {config.steps} steps. Got {wanted}; "
            "leave --epochs and --steps out to resume it."
        )
    if wanted == config.steps:
        return config
    before = max(0, config.steps - config.recipe.pretrain_steps) / config.steps_per_epoch
    ahead = [epoch for epoch in default_save_epochs(epochs or 1) if epoch > before]
    if before % 1:  # what was kept as that epoch is a part of it
        ahead.append(math.ceil(before))
    return replace(
        config,
        steps=wanted,
        recipe=replace(config.recipe, epochs=epochs) if epochs else config.recipe,
        save_epochs=tuple(sorted({*config.save_epochs, *ahead})),
        deviations=of_length(config, epochs, steps),
    )


def reopen(config: RunConfig, root: StrPath | None = None, name: StrPath | None = None) -> Images:
    """Return the images of a run, checked to be the same as when it was started.

    `root` and `name` say where they are now, where that has changed.
    """
    data = config.data
    if data is None:
        raise InputError(
            "a run must have been trained here to be trained on. This one was imported: it has "
            f"no images and no optimiser's state. Train a new run with --preset {config.preset}."
        )
    images = open_images(
        name or data.name,
        root=root or data.root_there,
        split=data.split,
        size=config.generator.image_size,
        channels=config.generator.channels,
        fit=data.fit or "crop",  # type: ignore[arg-type]
        limit=data.count,
        memory=memory_for_images(config.device),
    )
    if not _are_those(images, data):
        raise InputError(
            f"data {data.name!r} must be the {data.count} images the run was started with "
            f"({data.fingerprint[:23]}…). Got {len(images)} ({images.fingerprint[:23]}…); "
            "pass --data or --data-root of the same images."
        )
    return images


def _are_those(images: Images, data: DataConfig) -> bool:
    """Return whether `images` are the `data` of a run.

    Held and streamed images have fingerprints of two kinds, as free memory decides, and a streamed
    file that was broken may have been mended: then it is their names that count.
    """
    held = [text.startswith("pixels") for text in (images.fingerprint, data.fingerprint)]
    named = not all(held) and images.listing == data.listing
    return len(images) == data.count and (images.fingerprint == data.fingerprint or named)


def mended(images: Images, data: DataConfig) -> bool:
    """Return whether files of streamed `images` were changed since a run was started with them."""
    kinds = {text.partition(":")[0] for text in (images.fingerprint, data.fingerprint)}
    return len(kinds) == 1 and images.fingerprint != data.fingerprint


def default_save_epochs(epochs: int) -> tuple[int, ...]:
    """Return the epochs whose networks and samples are kept: 1, 2, 5, 10, 20, 50 … and the last."""
    series = (digit * 10**power for power in range(6) for digit in (1, 2, 5))
    return (*(epoch for epoch in series if epoch < epochs), epochs)


def _open(request: Request, published: Preset, size: int) -> Images:
    def opened(fit: str) -> Images:
        return open_images(
            request.data,
            root=request.root,
            split=request.split,
            size=size,
            channels=request.channels,
            fit=fit,  # type: ignore[arg-type]
            limit=request.limit,
            memory=memory_for_images(resolve_device(request.device)),
        )

    images = opened("crop" if request.fit == "auto" else request.fit)
    side = published.pad_from
    if request.fit == "auto" and images.native is not None and images.native[1:] == (side, side):
        return opened("pad")
    return images


def _classes(published: Preset, images: Images) -> int | None:
    if not published.conditional:
        return None
    if not images.num_classes:
        raise InputError(
            f"labels are needed: {published.name} is conditional. {images.name!r} has none; use "
            "labelled images (a folder per class), or an unconditional preset such as carpedm20."
        )
    return images.num_classes


def _recipe(published: Recipe, request: Request) -> Recipe:
    asked: dict[str, Any] = {"epochs": request.epochs, "batch_size": request.batch_size}
    return replace(published, **{k: value for k, value in asked.items() if value is not None})


def moved(data: DataConfig, name: StrPath | None, root: StrPath | None) -> DataConfig:
    """Return `data` where its images are now, if that is said."""
    if name is None and root is None:
        return data
    now, folder = _place(name or data.name, root)
    return replace(data, name=now, root=folder)


def _place(data: StrPath, root: StrPath | None) -> tuple[str, str | None]:
    """Return the name, or the whole path, of images, and the root that they are under."""
    path, under = path_of(data, root), root_for(data, root)
    return os.fspath(data) if path is None else str(path), str(under.resolve()) if under else None


def _data(request: Request, images: Images, classes: int) -> DataConfig:
    name, root = _place(request.data, request.root)
    return DataConfig(
        name=name,
        root=root,
        split=images.split,
        source=images.source,
        count=len(images),
        native=images.native,
        fit=images.fit,
        notes=images.notes,
        fingerprint=images.fingerprint,
        listing=images.listing,
        class_names=images.class_names if classes else (),
    )
