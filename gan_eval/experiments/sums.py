"""Sums of samples' z by the hundred, their controls, and in how many a goal is seen."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gan_eval.data import Images
from gan_eval.experiments.attributes import AttributeClassifier, attribute_of
from gan_eval.experiments.drawing import Drawing
from gan_eval.experiments.exemplars import AVERAGED, Wanted, spell
from gan_eval.images import to_uint8
from gan_eval.latent.arithmetic import along, combine, random_directions
from gan_eval.metrics.intervals import wilson_interval
from gan_eval.seeding import stream

TERMS = ("a", "b", "c")
CONTROLS = ("single_exemplar", "pixel_arithmetic", "random_direction")
# Of the turn vector, "difference added in steps": to the far side of where it leads, and back.
STEPS = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
_JUDGED = 100  # samples that are turned
_MOST_LAID = 0.2  # of single samples that are taken for overlays
_REAL = 1000  # real images at most that show the goal, and as many that do not

# Concept -> the z of its samples, (k, latent_dim).
Pools = Mapping[str, Tensor]


def draw_triples(sizes: tuple[int, int, int], trials: int, seed: int) -> Tensor:
    """Return what each of `trials` different sums is of, int64 (n, 3 terms, 3 samples).

    Places in pools of `sizes`, drawn without replacement; all that there are of small pools.
    """
    source = stream(seed, "arithmetic", "trials")
    there = math.prod(math.comb(size, AVERAGED["a"]) for size in sizes)
    found: dict[str, list[list[int]]] = {}
    while len(found) < min(trials, there):
        drawn = [torch.randperm(size, generator=source)[: AVERAGED["a"]].tolist() for size in sizes]
        found.setdefault(str([sorted(triple) for triple in drawn]), drawn)
    return torch.tensor(list(found.values()))


def sum_images(drawing: Drawing, pools: Pools, trials: int, seed: int) -> dict[str, Tensor]:
    """Return the images of random sums, uint8 (n, channels, s, s): "result" and each control."""
    a, b, c = (pools[term] for term in TERMS)
    places = draw_triples((len(a), len(b), len(c)), trials, seed).unbind(1)
    terms = [pool[rows] for pool, rows in zip((a, b, c), places, strict=True)]
    first, second, start = (term.mean(1) for term in terms)
    lengths = (first - second).square().sum(1).sqrt()
    source = stream(seed, "arithmetic", "directions")
    # Of few exemplars many triples begin with the same three.
    firsts = torch.stack([rows[:, 0] for rows in places], 1).tolist()
    single = torch.tensor([*dict.fromkeys(map(tuple, firsts))]).unbind(1)
    z = {
        "result": combine(*terms),
        "single_exemplar": combine(
            *(pool[rows][:, None] for pool, rows in zip((a, b, c), single, strict=True))
        ),
        "random_direction": start + random_directions(lengths, start.shape[1], source),
    }
    pictures = [drawing.floats(pool).flatten(1) for pool in (a, b, c)]
    pixels = combine(*(drawn[rows] for drawn, rows in zip(pictures, places, strict=True)))
    found = {name: drawing.images(points) for name, points in z.items()}
    shown = pixels.reshape(found["result"].shape)
    return {**found, "pixel_arithmetic": to_uint8(shown, drawing.network.config.scale)}


def shows(judges: Mapping[str, AttributeClassifier], goal: Wanted, images: Tensor) -> Tensor:
    """Return whether each of `images` has and lacks what the goal says, bool (n,)."""
    return torch.stack([judges[name].decide(images) == there for name, there in goal.items()]).all(
        0
    )


def success(
    judges: Mapping[str, AttributeClassifier],
    goal: Wanted,
    images: Tensor | None,
    overlay: AttributeClassifier | None = None,
) -> dict[str, Any]:
    """Return the share of `images` that show the goal and are no overlays.

    With its 95 % Wilson interval, and the shares in which the goal is seen, and an overlay.
    """
    if images is None or not goal:
        return {**dict.fromkeys(("success_rate", "low", "high", "seen", "overlaid")), "trials": 0}
    there = shows(judges, goal, images)
    laid = overlay.decide(images) if overlay else torch.zeros_like(there)
    successes, trials = int((there & ~laid).sum()), len(images)
    low, high = wilson_interval(successes, trials)
    return {
        "success_rate": successes / trials,
        "low": low,
        "high": high,
        "trials": trials,
        "seen": float(there.double().mean()),
        "overlaid": float(laid.double().mean()) if overlay else None,
    }


def trusted(
    drawing: Drawing, pools: Pools, overlay: AttributeClassifier | None
) -> tuple[AttributeClassifier | None, float | None, tuple[str, ...]]:
    """Return the judge of overlays if it can be asked, and why not.

    With the share of single samples, those of c, that it takes for overlays. A D that tells every
    sample from an image has features that say that, and not what an overlay is: where that share
    is more than a fifth nobody looks for overlays.
    """
    if overlay is None:
        return None, None, ()
    laid = float(overlay.decide(drawing.images(pools["c"])).double().mean())
    if laid <= _MOST_LAID:
        return overlay, laid, ()
    return None, laid, (
        f"{100 * laid:.0f} % of single samples are taken for overlays of images by the features of "
        "D, which tell samples from images: overlays are not looked for, and sums of pixels may "
        "succeed by attributes alone; an earlier --epoch may do.",
    )  # fmt: skip


def seen_in_real(
    judges: Mapping[str, AttributeClassifier],
    goal: Wanted,
    images: Images | None,
    overlay: AttributeClassifier | None = None,
) -> dict[str, float | None]:
    """Return the shares of real images with the goal, and without it, that would be successes.

    None where there is no such image.

    Args:
        images: labelled, in random order, of which no judge has learned.
    """
    found: dict[str, float | None] = {"hits": None, "false_alarms": None}
    if images is None or not goal:
        return found
    truth = really_shows(images, goal)
    for name, of in (("hits", truth), ("false_alarms", ~truth)):
        rows = of.nonzero()[:_REAL, 0].tolist()
        if rows:
            found[name] = success(judges, goal, images.take(rows), overlay)["success_rate"]
    return found


def really_shows(images: Images, goal: Wanted) -> Tensor:
    """Return whether each of labelled `images` has and lacks what the goal says, bool (n,)."""
    return torch.stack([attribute_of(images, name) == there for name, there in goal.items()]).all(0)


def unseen(images: Images | None, goal: Wanted) -> tuple[str, ...]:
    """Return what to do where no real image shows the goal, as where classes exclude each other."""
    if images is None or not goal:
        return ()
    if really_shows(images, goal).any():
        return ()
    return (
        f"no image of {images.name} is {spell(goal)}, so that no sum can be right; say what it is "
        "to be by --target.",
    )


def turn_vector(pools: Pools) -> Tensor:
    """Return the mean of the best exemplars of "to" less that of "from", (latent_dim,)."""
    start, end = (pools[name][: AVERAGED[name]].mean(0) for name in ("from", "to"))
    return end - start


def turn_rates(
    drawing: Drawing,
    pools: Pools,
    judges: Mapping[str, AttributeClassifier],
    goal: Wanted,
    seed: int,
) -> dict[str, dict[str, Any] | None]:
    """Return the share of random samples that show the goal after each step of the turn: "result".

    "random_direction" is the control: each sample by a vector of its own, as long as the turn's.
    """
    if "to" not in pools or not goal:
        return {"result": None, "random_direction": None}
    z = drawing.network.draw(_JUDGED, stream(seed, "arithmetic", "turn"))
    vector = turn_vector(pools)
    source = stream(seed, "arithmetic", "turn directions")
    vectors = {
        "result": vector,
        "random_direction": random_directions(vector.norm().expand(_JUDGED), len(vector), source),
    }
    found: dict[str, dict[str, Any] | None] = {}
    for name, direction in vectors.items():
        images = drawing.images(along(z, direction, STEPS).flatten(0, 1))
        rates = shows(judges, goal, images).view(_JUDGED, len(STEPS)).double().mean(0).tolist()
        found[name] = {"steps": list(STEPS), "rates": rates, "trials": _JUDGED}
    return found
