"""The generator without some of its maps, and how what it draws then differs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from gan_eval.experiments.attributes import AttributeClassifier, seen
from gan_eval.experiments.drawing import Drawing
from gan_eval.experiments.responses import Responses, layer_number
from gan_eval.experiments.study import Watch
from gan_eval.metrics.frechet import frechet_distance
from gan_eval.metrics.moments import Moments
from gan_eval.models.config import GeneratorConfig
from gan_eval.models.dcgan import Discriminator
from gan_eval.precision import Precision
from gan_eval.seeding import stream

SCORED = 2000
RANDOM_DRAWS = 5
_BATCH = 100

# Maps that are dropped, bool (maps,) -> a result.
Scorer = Callable[[Tensor], dict[str, Any]]


def layers_with_maps(config: GeneratorConfig) -> list[int]:
    """Return the places of the layers of G that give maps, the image not counted."""
    return [place for place, side in enumerate(config.sizes()[:-1]) if side > 1]


@torch.inference_mode()
def maps_of(drawing: Drawing, place: int, z: Tensor) -> Tensor:
    """Return the maps, after activation, of the layer at `place`, (n, maps, side, side)."""
    found: list[Tensor] = []
    block = drawing.network.blocks[place]
    with block.register_forward_hook(lambda module, inputs, maps: found.append(maps.float().cpu())):
        drawing.floats(z)
    return torch.cat(found)


@torch.inference_mode()
def without(drawing: Drawing, place: int, dropped: Tensor, z: Tensor) -> Tensor:
    """Return uint8 images of z (n, d) with the maps that are `dropped`, bool (maps,), at zero."""
    kept = (~dropped).float().view(1, -1, 1, 1)
    block = drawing.network.blocks[place]
    with block.register_forward_hook(lambda module, inputs, maps: maps * kept.to(maps.device)):
        return drawing.images(z)


def place_of(config: GeneratorConfig, layer: int | str | None) -> tuple[int, int]:
    """Return the number of a layer with maps, from 1, and its place; of None, the second-highest.

    Raises:
        InputError: there is none of that number.
    """
    places, sizes = layers_with_maps(config), config.sizes()
    maps = [(config.layers[place].width, sizes[place]) for place in places]
    number = layer_number(layer, max(1, len(places) - 1), maps, "G's with maps")
    return number, places[number - 1]


def scorer_of(
    drawing: Drawing,
    place: int,
    judge: AttributeClassifier | None,
    *,
    discriminator: Discriminator | None,
    precision: Precision,
    seed: int,
) -> Scorer:
    """Return what says of dropped maps, bool (maps,), how images and object fare without them.

    Without a discriminator nobody says what it costs.
    """
    z = drawing.points(SCORED, seed)
    images = drawing.images(z)
    cost = _cost(discriminator, drawing, images, precision) if discriminator else None
    before = None if judge is None else judge.decide(images)

    def scored(dropped: Tensor) -> dict[str, Any]:
        after = without(drawing, place, dropped, z)
        return {
            **shares_of(before, None if judge is None else judge.decide(after)),
            "maps_dropped": int(dropped.sum()),
            "feature_distance": cost(after) if cost else None,
        }

    return scored


def _cost(
    discriminator: Discriminator, drawing: Drawing, before: Tensor, precision: Precision
) -> Callable[[Tensor], float]:
    """Return the Fréchet distance to `before` in the answers of D's last convolution."""
    responses = Responses(
        discriminator,
        drawing.network.config.scale,
        len(discriminator.config.feature_layers),
        device=next(drawing.network.parameters()).device.type,
        precision=precision,
    )

    def blocks(images: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        for block in torch.split(images, _BATCH):
            label = drawing.label
            yield block, None if label is None else torch.full((len(block),), label)

    def moments(images: Tensor) -> Moments:
        found = Moments()
        for block, labels in blocks(images):
            found.update(responses(block, labels))
        return found

    responses.normalise_by(blocks(before))
    real = moments(before)
    return lambda images: frechet_distance(real=real, fake=moments(images)).distance


def shares_of(before: Tensor | None, after: Tensor | None) -> dict[str, Any]:
    """Return in which share of samples an object is seen, bool (n,), and what became of these.

    Example:
        >>> before, after = (torch.tensor(each) > 0 for each in ([1, 1, 0, 0, 0], [1, 0, 0, 0, 1]))
        >>> [shares_of(before, after)[name] for name in ("before", "after", "still", "shown")]
        [0.4, 0.4, 0.5, 2]
        >>> round(shares_of(before, after)["gained"], 3)
        0.333
    """
    if before is None or after is None:
        return dict.fromkeys(("before", "after", "still", "gained", "shown"))
    return {
        "before": float(before.double().mean()),
        "after": float(after.double().mean()),
        "still": seen(after, before) if before.any() else None,
        "gained": seen(after, ~before) if not before.all() else None,
        "shown": int(before.sum()),
    }


def with_controls(
    scorer: Scorer, weights: Tensor, seed: int, watch: Watch
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the result of dropping maps of positive weight, and its controls."""
    chosen, total = weights > 0, RANDOM_DRAWS + 2

    def scored(dropped: Tensor, done: int) -> dict[str, Any]:
        found = scorer(dropped)
        watch("scores", done, total)
        return found

    result = scored(chosen, 1)
    # The most negative ones; where most weights are positive they are fewer.
    lowest = weights.argsort()[: min(int(chosen.sum()), int((weights < 0).sum()))]
    negative = scored(_mask(lowest, weights), 2)
    draws = [scored(each, done) for done, each in enumerate(random_maps(chosen, seed), 3)]
    return result, {"random_maps": _mean(draws), "negative_maps": negative}


def random_maps(chosen: Tensor, seed: int) -> list[Tensor]:
    """Return five times as many random maps as are `chosen`, bool (maps,) as these."""
    source, many = stream(seed, "dropout", "random maps"), int(chosen.sum())
    orders = [torch.randperm(len(chosen), generator=source) for _ in range(RANDOM_DRAWS)]
    return [_mask(order[:many], chosen) for order in orders]


def _mask(rows: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(like, dtype=torch.bool).index_fill_(0, rows, True)


def _mean(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of each number, itself where it is the same in all; None stays."""
    values = {name: [each[name] for each in results] for name in results[0]}
    return {name: each[0] if len(set(each)) == 1 else fmean(each) for name, each in values.items()}
