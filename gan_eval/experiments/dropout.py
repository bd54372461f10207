"""Forgetting to draw an object: the generator without the maps that tell where it is.

Radford, Metz & Chintala 2015, section 6.3.1, Figure 6. A logistic regression tells positions of a
layer's maps inside boxes around the object from positions outside; every map with a positive weight
is set to zero everywhere, and the same z are drawn again. As in the paper, negatives are random
positions of the same images; here they are outside the boxes and as many as the positives. Maps are
taken after their activation and are not standardised. The layer is the second-highest one that has
maps, the image not counted.

Boxes are drawn by hand, or found by a classifier of an attribute: of the first 1,000 samples, the
at most 52 in which it sees the object most clearly, each with the box whose hiding lowers its score
most. A second classifier says in which of 2,000 other samples the object is to be seen, and in
which of the same it still is without those maps; it is strict, as most of what a lenient one sees
of a rare object are false alarms, which any harm to an image makes or undoes. Both are linear, and
each has a half of the labelled real images: the first sees features of the run's own D, the second
those of an untrained network, which G was never trained against (see `gan_eval.experiments.panel`).

`feature_distance` is what it cost: the Fréchet distance between those samples before and after, in
the strongest answers of the maps of D's last convolution, normalised by the samples before. D is
that of G's epoch.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.experiments.ablation import (
    RANDOM_DRAWS,
    SCORED,
    maps_of,
    place_of,
    random_maps,
    scorer_of,
    with_controls,
    without,
)
from gan_eval.experiments.account import slug
from gan_eval.experiments.attributes import AttributeClassifier
from gan_eval.experiments.boxes import Box, find_boxes, inside, read_boxes, write_boxes
from gan_eval.experiments.drawing import Drawing, open_drawing
from gan_eval.experiments.panel import Panel, open_panel
from gan_eval.experiments.study import Watch, at_work, begin
from gan_eval.files import StrPath
from gan_eval.models.runs import Epoch, Run
from gan_eval.models.weights import weights_sha256
from gan_eval.probes.logistic import logistic_weights
from gan_eval.records import Written, append_record
from gan_eval.seeding import derive, stream
from gan_eval.visualize.grids import write_grid

# Samples in which an object is looked for, and how many of them get a box: the paper's number.
_SEARCHED, _BOXED = 1000, 52
_DRAWN = 10
_MOST_FALSE = 0.01  # of real images without the object, the share that a judge may take for it
_FEW_SHOWN = 30
_SEEING = 1.5  # hits by false alarms of a classifier of which figures say something


@at_work()
def dropout(
    run: Run,
    *,
    boxes: StrPath | None = None,
    attribute: str | None = None,
    layer: int | str | None = None,
    label: int | None = None,
    epoch: Epoch | None = None,
    data: StrPath | None = None,
    root: StrPath | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    out: StrPath | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Written:
    """Let a run's generator forget an object, and measure what became of it and of the images.

    `result` and each of `controls` hold `before` and `after`, shares of samples in which the object
    is seen, `still` and `gained`, the shares of those that show it before, and of the others, in
    which it is seen after, `shown`, how many show it before (all None without `attribute`),
    `maps_dropped` and `feature_distance` (None where the run has no discriminator). The figure
    shows samples with boxes, below them the same z without those maps, and without random ones.

    Args:
        run: with a generator.
        boxes: JSON file of boxes around the object, as `gan_eval.experiments.boxes` has it.
        attribute: the object, an attribute or class of the data; it finds boxes if none are given.
        layer: of G's maps, 1 being next to z; None for the second-highest.
        label: of a conditional generator; None for the first that it was trained with.
        epoch: a kept one of both networks, None for their newest weights.
        data: labelled images, as `open_images` takes them; None for the run's own.
        root: where named data sets are.
        seed: of the samples, of negatives and of random maps.
        device: "auto", "cuda", "mps" or "cpu".
        precision: of discriminators, not of G: "32", "bf16", or "auto" for bf16 where it is fast.
        out: where record, figure and found boxes go; None takes the run's folder.
        watch: is told of the progress.

    Raises:
        InputError: what was asked for cannot be had; nothing was written.
    """
    study = begin(out, run, seed=seed, device=device, precision=precision, watch=watch)
    if boxes is None and attribute is None:
        raise InputError(
            "an object must be named by --boxes FILE or --object ATTRIBUTE. Got neither; pass one."
        )
    drawing = open_drawing(run, epoch=epoch, label=label, device=study.device)
    critic = run.load_discriminator(epoch) if run.config().has_discriminator else None
    config = drawing.network.config
    layer, place = place_of(config, layer)
    found = read_boxes(boxes, config.image_size) if boxes else []
    named = [] if attribute is None else [attribute]
    panel = open_panel(
        run,
        data,
        named if boxes is None else [],
        named,
        study=study,
        root=root,
        most_false=_MOST_FALSE,
    )
    for finder in panel.pickers.values():
        found = _find(drawing, finder, seed, partial(watch, "boxes"))
    weights = _weights(drawing, place, found, seed)
    judge = panel.judges[attribute] if attribute else None
    scored = derive(seed, "dropout")
    scorer = scorer_of(
        drawing, place, judge, discriminator=critic, precision=study.precision, seed=scored
    )
    result, controls = with_controls(scorer, weights, seed, watch)
    drawn_from = drawing.describe(run, epoch)
    record = study.record(
        exhibit="dropout",
        name=f"generator, layer {layer}",
        protocol=_protocol(boxes),
        config={
            **drawn_from,
            **panel.describe(),
            "layer": layer,
            "maps": len(weights),
            "boxes": len(found),
            "object": attribute,
            "feature_distance_by": critic and weights_sha256(critic),
        },
        result=result,
        controls=controls,
        advice=_advice(panel, result),
        fingerprints={
            "data": panel.images and panel.images.fingerprint,
            "weights": weights_sha256(drawing.network),
        },
    )
    stem = slug("dropout", attribute or (Path(boxes).stem if boxes else ""), "layer", str(layer))
    files = [study.folder / f"{stem}.png"]
    one_draw, *_ = random_maps(weights > 0, seed)
    z = _points(drawing, _samples(found)[:_DRAWN], seed)
    _draw(files[0], drawing, place, [weights > 0, one_draw], z)
    if boxes is None:
        files.append(study.folder / f"{stem}-boxes.json")
        write_boxes(files[-1], found)
    return Written(record=record, files=(append_record(study.folder, record), *files))


def _protocol(boxes: StrPath | None) -> dict[str, Any]:
    return {
        "name": "maps of positive weight dropped",
        "version": 3,
        "samples": SCORED,
        "most_false_alarms": _MOST_FALSE,
        "boxes": "from a file" if boxes else f"found in {_SEARCHED} samples by occlusion",
        "random_draws": RANDOM_DRAWS,
    }


def _advice(panel: Panel, result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what to do where the classifiers, or the samples, can show no difference."""
    judges = panel.judges.values()
    advice = [
        f"a classifier sees the object in {100 * each.hits:.1f} % of real images with it and in "
        f"{100 * each.false_alarms:.1f} % of those without: the figures say little; take more "
        "labelled images, or another object."
        for each in (*panel.pickers.values(), *judges)
        if each.hits <= _SEEING * each.false_alarms
    ]
    false = SCORED * max((each.false_alarms for each in judges), default=0.0)
    if judges and result["shown"] < max(_FEW_SHOWN, 2 * false):
        advice.append(
            f"{result['shown']} of {SCORED} samples show the object before anything is dropped, "
            f"where {false:.0f} are to be expected if none does, and what becomes of so few says "
            "little; choose another that samples show."
        )
    return tuple(advice)


def _draw(path: Path, drawing: Drawing, place: int, masks: Sequence[Tensor], z: Tensor) -> None:
    """Draw the images of z (n, d), and below them the same without the maps of each mask."""
    rows = [drawing.images(z), *(without(drawing, place, dropped, z) for dropped in masks)]
    write_grid(path, torch.cat(rows), len(z))


def _find(
    drawing: Drawing, finder: AttributeClassifier, seed: int, tell: Callable[[int, int], None]
) -> list[Box]:
    z = drawing.points(_SEARCHED, seed)
    images = drawing.images(z)
    scores, order = finder.scores(images).sort(descending=True)
    chosen = order[scores > 0][:_BOXED]
    if not len(chosen):
        raise InputError(
            f"object {finder.attribute!r} must be seen in a sample at least. It is in none of "
            f"{_SEARCHED}; choose another, or another --seed, or draw boxes by hand."
        )
    return find_boxes(images[chosen], chosen.tolist(), finder.scores, tell)


def _samples(boxes: Sequence[Box]) -> list[int]:
    """Return the numbers of the samples that have boxes, each once."""
    return list(dict.fromkeys(each.z for each in boxes))


def _points(drawing: Drawing, samples: list[int], seed: int) -> Tensor:
    return drawing.points(max(samples) + 1, seed)[samples]


def _weights(drawing: Drawing, place: int, boxes: Sequence[Box], seed: int) -> Tensor:
    """Return the weight of each map as evidence that a position lies in a box, (maps,)."""
    samples = _samples(boxes)
    maps = maps_of(drawing, place, _points(drawing, samples, seed))
    side = maps.shape[-1]
    positive = inside(boxes, samples, side, drawing.network.config.image_size)
    found, others = (rows.flatten().nonzero()[:, 0] for rows in (positive, ~positive))
    if not len(found) or not len(others):
        raise InputError(
            f"boxes must leave positions of the {side}x{side} maps both inside and outside, by "
            f"their centres. Got {len(found)} inside and {len(others)} outside; draw "
            f"{'smaller' if len(found) else 'larger'} boxes, or choose another --layer."
        )
    order = torch.randperm(len(others), generator=stream(seed, "dropout", "negatives"))
    rows = torch.cat([found, others[order[: len(found)]]])
    x = maps.permute(0, 2, 3, 1).flatten(0, 2)[rows]
    return logistic_weights(x, positive.flatten()[rows])
