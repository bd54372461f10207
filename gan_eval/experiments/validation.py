"""The error of D's features while D is trained: when they stop improving, and which to keep.

Features as in `gan_eval.experiments.classify`, into an L2-SVM learned from one half of a few
thousand labelled training images. The error is that on the other half, of which D may have seen the
pixels but nobody the labels, with the C that errs least there: it is for watching and choosing, not
for reporting. Test images are never opened.
"""

import time
from functools import partial
from typing import Any

import torch

from gan_eval.data import Images
from gan_eval.devices import processes, with_float64
from gan_eval.errors import InputError
from gan_eval.experiments.parts import blocks, joined
from gan_eval.experiments.run_images import watched_images
from gan_eval.features.discriminator import DiscriminatorFeatures
from gan_eval.files import StrPath
from gan_eval.models.dcgan import Discriminator, Generator
from gan_eval.models.run_config import RunConfig
from gan_eval.probes.l2_svm import fit_l2_svm
from gan_eval.probes.protocol import Protocol
from gan_eval.probes.selection import Labelled, Solver, select
from gan_eval.training.measures import Measure

_PROTOCOL = Protocol(name="watching", held_out=2000, held_out_share=0.5)
_IMAGES, _BATCH = 2 * _PROTOCOL.held_out, 100
# Relative duality gap of an SVM: half the time of the usual 1e-6, and an image more or less.
_TOL = 1e-3


def watch_features(
    config: RunConfig,
    images: Images,
    *,
    every: int,
    data: StrPath | None = None,
    root: StrPath | None = None,
) -> Measure:
    """Return the measure of D's features: `probe_error` (a fraction), `probe_C`, `probe_seconds`.

    The labelled images are the same few thousand of a data set for every run and seed: drawn from
    its training part, or from `images` where they are that.

    Args:
        config: of the run that will be trained; what it was probed with must be this.
        images: those that it is trained on.
        every: epochs from one time to the next.
        data: a labelled set, as `open_images` takes it; None takes the one of the run.
        root: where named data sets are.

    Raises:
        InputError: there are no labelled images of two classes, or they are others than before, or
            the discriminator is conditional or has no maps of 4 x 4.
    """
    known, about = watched_images(config, images, _IMAGES, data=data, root=root)
    _check_classes(known)
    if config.probed not in (None, about):
        raise InputError(
            "--probe-data must stay the same, so that epochs can be compared: so far "
            f"{_short(config.probed)}. Got {_short(about)}; pass the same, or train anew."
        )
    _features(config, known, Discriminator(config.discriminator))  # mistakes, before training
    return Measure(every=every, take=partial(_probe, config, known), about=about)


def _short(about: dict[str, Any]) -> str:
    return f"{about['n']} images of {about['name']} ({about['fingerprint'][:23]}…)"


def _check_classes(images: Images) -> None:
    """Refuse images of which those to learn from, which are the first, are of one class or none."""
    n = len(images) - _PROTOCOL.held_out_of(len(images))
    classes = 0 if images.labels is None else len(torch.unique(images.labels[:n]))
    if classes < 2:
        raise InputError(
            f"images to probe D's features with must be of at least 2 classes. Those of "
            f"{images.name!r} are of {classes}; pass --probe-data of a labelled set."
        )


def _features(
    config: RunConfig, known: Images, discriminator: Discriminator
) -> DiscriminatorFeatures:
    """Return the extractor of D's features, by batch-norm statistics of these images.

    Raises:
        InputError: the discriminator has none.
    """
    scale = config.generator.scale
    return DiscriminatorFeatures(
        discriminator, scale, train=known, device=config.device, precision=config.precision
    )


def _probe(
    config: RunConfig, known: Images, generator: Generator, discriminator: Discriminator
) -> dict[str, float]:
    """Return the error on the held-out images, at which C, and what it took.

    Of several processes each takes its share of the batch-norm statistics, the first one alone
    does the rest, and the others return nothing.
    """
    started = time.perf_counter()
    extractor = _features(config, known, discriminator)
    extractor.prepare()
    if processes()[0] > 0:
        return {}
    device = with_float64(config.device)  # which objectives are summed in
    assert known.labels is not None
    n = len(known)
    rows = joined((extractor(block).to(device) for block in blocks(known, _BATCH)), n)
    train, validation = Labelled(rows, known.labels).split(n - _PROTOCOL.held_out_of(n))
    solve: Solver = lambda x, labels, _, grid: [  # noqa: E731
        fit_l2_svm(x, labels, grid, tol=_TOL, device=device)
    ]
    choice = select(train, validation, _PROTOCOL, solve)
    return {
        "probe_error": round(choice.error, 6),
        "probe_C": choice.C,
        "probe_seconds": round(time.perf_counter() - started, 3),
    }
