"""Fréchet and kernel distance of samples while a run is trained: when they stop improving.

From some thousand images of a training part, so that scores against a test part stay unseen when an
epoch is chosen by these. G has learned from those images: the figures are for watching and
choosing, not for reporting.

By features that stay as they are: not the run's own discriminator's, which G is trained to please.
Without others at hand, those of an untrained one of its architecture, which batch norm scales by
the real images. Over 200 epochs of radford2015-svhn on svhn10k it put the kept epochs into nearly
the order of discriminators trained on other images and found the same one best (100), where the
run's own found its newest.
"""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gan_eval.data import Images
from gan_eval.devices import processes
from gan_eval.errors import InputError
from gan_eval.experiments.features import form_of
from gan_eval.experiments.parts import blocks
from gan_eval.experiments.run_images import watched_images
from gan_eval.experiments.score.extractors import ExtractorSpec, check_weights
from gan_eval.experiments.score.figures import check_memory
from gan_eval.experiments.score.sides import Sampling, Side, side_of
from gan_eval.features.discriminator import DiscriminatorFeatures, random_discriminator
from gan_eval.features.extractor import Extractor
from gan_eval.files import StrPath
from gan_eval.metrics import Moments, frechet_distance, kernel_distance
from gan_eval.models.dcgan import Discriminator, Generator
from gan_eval.models.run_config import RunConfig
from gan_eval.records import as_json
from gan_eval.seeding import derive
from gan_eval.training.measures import Measure

UNTRAINED = "random-disc"
_BATCH = 100
_SEED = derive(0, "score", "best")  # of samples


def watch_samples(
    config: RunConfig,
    images: Images,
    *,
    every: int,
    extractor: str = UNTRAINED,
    weights: StrPath | None = None,
    n: int = 5000,
    root: StrPath | None = None,
) -> Measure:
    """Return the measure of G's samples: `fid`, `kid` and `score_seconds`.

    The same images and z every time, and others than `gan-eval score` reports: its samples did not
    choose the best epoch.

    Args:
        config: of the run that will be trained; what it was scored by must be this.
        images: those that it is trained on.
        every: epochs from one time to the next.
        extractor: "random-disc", or a name that `ExtractorSpec` takes but "disc".
        weights: file of Inception's or of torchvision's network, as `ExtractorSpec` takes it.
        n: samples, and real images where there are as many.
        root: where named data sets are.

    Raises:
        InputError: the extractor is not there, moves with the run, or is another than before.
    """
    known, reference = watched_images(config, images, n, root=root)
    score = _score(config, extractor, weights, known, n)
    check_memory(score.extractor.width, config.device)
    identity = {"name": score.extractor.name, **score.extractor.identity}
    # As it comes back from JSON.
    about = as_json({"extractor": identity, "reference": reference, "n": n, "seed": score.seed})
    if config.scored not in (None, about):
        raise InputError(
            "--score-extractor must stay the same, so that epochs can be compared: so far "
            f"{_short(config.scored)}. Got {_short(about)}; pass the same, or train anew."
        )
    return Measure(every=every, take=score.take, about=about)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Score:
    """Distances of `n` samples of stream `seed` to `real`, both in `form`."""

    extractor: Extractor
    real: Images
    form: dict[str, Any]
    n: int
    seed: int
    device: str

    def take(self, generator: Generator, discriminator: Discriminator) -> dict[str, float]:
        """Return the distances and what they took.

        Of several processes the first alone has running statistics that are kept, so it draws the
        samples and does it all; the others help to prepare the extractor and return nothing.
        """
        started = time.perf_counter()
        self.extractor.prepare()
        if processes()[0] > 0:
            return {}
        sampling = Sampling(n=self.n, seed=self.seed, device=self.device, alone=True)
        drawn = side_of(generator, sampling=sampling)
        assert drawn.open is not None
        fake, moments = self._features(drawn.open(**self.form))
        real, known = self._reference
        size = min(len(real), len(fake))
        kid = kernel_distance(real=real, fake=fake, seed=0, subsets=1, subset_size=size)
        return {
            "fid": frechet_distance(real=known, fake=moments).distance,
            "kid": kid.mean,
            "score_seconds": round(time.perf_counter() - started, 3),
        }

    @cached_property
    def _reference(self) -> tuple[Tensor, Moments]:
        return self._features(self.real)

    @torch.inference_mode()
    def _features(self, images: Images) -> tuple[Tensor, Moments]:
        rows = torch.cat([self.extractor(block) for block in blocks(images, _BATCH)])
        moments = Moments()
        moments.update(rows)
        return rows, moments


def _score(config: RunConfig, name: str, weights: StrPath | None, known: Images, n: int) -> _Score:
    """Return the score by the extractor called `name`, with `known` in its form."""
    model, device = Side(name="samples", form=form_of(config)), config.device
    check_weights(name, weights)
    seed = (config.scored or {}).get("seed", _SEED)  # as before, so that epochs can be compared
    if name == UNTRAINED:
        untrained = _untrained(config, known)
        return _Score(
            extractor=untrained, real=known, form=dict(model.form), n=n, seed=seed, device=device
        )
    if name == "disc":
        raise InputError(
            "--score-extractor must stay as it is while G is trained. Got 'disc', the run's own, "
            "which G is trained to please; name another run's, as disc:runs/other."
        )
    spec = ExtractorSpec(name=name, weights=weights)
    form, side = spec.form(model), side_of(known, sampling=Sampling())
    assert side.open is not None
    extractor = spec.build(model, form, device)
    return _Score(
        extractor=extractor, real=side.open(**form), form=form, n=n, seed=seed, device=device
    )


def _untrained(config: RunConfig, known: Images) -> DiscriminatorFeatures:
    """Return the features of an untrained D of the run's layers, which sees no labels."""
    layers = tuple(replace(layer, label=False) for layer in config.discriminator.layers)
    unlabelled = replace(config.discriminator, layers=layers, classes=0)
    # Not the weights that a run of any small seed starts from.
    network = random_discriminator(unlabelled, derive(0, "score", "training"))
    scale, device = config.generator.scale, config.device
    return DiscriminatorFeatures(network, scale, name=UNTRAINED, pool=1, train=known, device=device)


def _short(about: dict[str, Any]) -> str:
    extractor, reference = about["extractor"], about["reference"]
    weights = str(extractor.get("weights_sha256", "no weights"))[:10]
    return f"{extractor['name']} ({weights}) and {reference['n']} images of {reference['name']}"
