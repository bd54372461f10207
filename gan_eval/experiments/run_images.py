"""The images that an experiment on a run looks at: the run's own, or others in its form."""

from dataclasses import replace
from functools import partial
from typing import Any

from gan_eval.data import Images, open_images
from gan_eval.data.images_set import fingerprint_pixels
from gan_eval.errors import InputError
from gan_eval.experiments.features import form_of
from gan_eval.experiments.parts import padded_if_small, sample
from gan_eval.files import StrPath
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Run
from gan_eval.training.config import reopen


def open_run_images(run: Run, data: StrPath | None, *, root: StrPath | None, device: str) -> Images:
    """Return training images in the size, channels and fit of a run's networks.

    Args:
        run: trained here, or imported.
        data: as `open_images` takes it; None stands for the images that the run was trained on.
        root: where named sets are; None takes the run's own root, then GAN_EVAL_DATA.
        device: that the networks are on, a resolved one.

    Raises:
        InputError: the images are not there, are others than the run's, or do not fit.
    """
    config = run.config()
    if data is not None:
        opened = partial(open_images, data, root=root, split="train")
        return padded_if_small(opened, **form_of(config))
    if config.data is None:
        raise InputError(
            f"--data must name images for run {run.folder}, which was imported and has none of "
            "its own. Got nothing; see `gan-eval data` for what there is."
        )
    # The device that it was trained on need not be here.
    return reopen(replace(config, device=device), root)


def check_numbered_alike(images: Images, run: Run) -> None:
    """Raise an `InputError` if labelled `images` have a conditional run's classes in other order.

    As a folder of the classes and an .npz of the same may. Other names for them say nothing.
    """
    data = run.config().data
    learned, names = data.class_names if data else (), images.class_names
    if names != learned and sorted(names) == sorted(learned):
        raise InputError(
            f"data must number their classes as those that run {run.folder} was trained on: "
            f"{', '.join(learned)}. {images.name!r} has {', '.join(names)}; number them alike."
        )


def watched_images(
    config: RunConfig,
    images: Images,
    n: int,
    *,
    data: StrPath | None = None,
    root: StrPath | None = None,
) -> tuple[Images, dict[str, Any]]:
    """Return images to look at a run by while it is trained, and what tells them from others.

    A random sample of a training part, never of test images, in memory: of those that it is trained
    on, where they are of a training part, else of that of the same data. The same fingerprint
    however they lie.

    Args:
        config: of the run.
        images: those that it is trained on.
        n: how many, or all where there are fewer.
        data: another set, as `open_images` takes it.
        root: where named sets are; None takes the run's own root.

    Raises:
        InputError: there is no such part.
    """
    if data is not None or images.split != "train":
        assert config.data is not None
        if data is None:
            data, root = config.data.name, root or config.data.root_there
        # A few thousand are read, whatever memory there is.
        opened = partial(open_images, data, root=root, split="train", memory=0)
        images = padded_if_small(opened, **form_of(config))
    part = sample(images, n)
    pixels = part.take(range(len(part)))
    fingerprint = fingerprint_pixels(pixels, part.labels)
    about = {"name": part.name, "split": part.split, "n": len(part), "fingerprint": fingerprint}
    held = replace(part, pixels=pixels, stream=None, fingerprint=fingerprint, stamp="")
    return held, about
