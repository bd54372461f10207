"""What the discriminator's filters answer to: guided backpropagation of their strongest answers.

Radford, Metz & Chintala 2015, section 6.2, Figure 5; `gan_eval.visualize.guided_backprop` has the
rule. A map's answer to an image is its largest value, and its gradient is that of this one value.
Two scores say what the picture shows, for a trained and an untrained discriminator alike; batch
norm normalises both by the statistics of the images that are looked at, the mean over batches of
nearly equal size.

* selectivity: 1 - H / log(min(k, classes)), where H is the entropy of the labels of the k = 8
  images that a map answers most strongly; the mean over all maps of the layer. 1 where they all are
  of one class, 0 where none is more frequent than another. Few images make H small by chance: even
  random ones score above 0, so that only the difference to the untrained network means anything.
* concentration: the share of a guided gradient's energy (squares, summed over channels) in the
  strongest tenth of the pixels of its receptive field; the mean over the same answers. 0.1 where it
  is even, 1 where a tenth of the pixels holds all. Gradients that are zero everywhere are left out.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from gan_eval.data import Images
from gan_eval.errors import InputError
from gan_eval.experiments.account import slug
from gan_eval.experiments.features import describe
from gan_eval.experiments.responses import Responses, check_layer
from gan_eval.experiments.run_images import open_run_images
from gan_eval.experiments.study import Watch, at_work, begin
from gan_eval.features.discriminator import random_discriminator
from gan_eval.files import StrPath
from gan_eval.models.runs import Epoch, Run
from gan_eval.models.weights import weights_sha256
from gan_eval.records import Written, append_record
from gan_eval.seeding import stream
from gan_eval.visualize.grids import write_grid

# Images of a map: those whose labels are compared, and which the figure shows.
_TOP = 8
# Part of the pixels in which the gradient's energy is counted.
_PART = 0.1
_BATCH = 128


@at_work()
def filters(
    run: Run,
    data: StrPath | None = None,
    *,
    layer: int | str | None = None,
    n: int = 6,
    epoch: Epoch | None = None,
    root: StrPath | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    out: StrPath | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Written:
    """Score the filters of a run's discriminator, and draw what the first `n` answer to.

    The figure has two rows for each map, images and guided gradients; left an untrained network's,
    right the run's. Each gradient is scaled by its own largest value, grey standing for 0.

    Args:
        run: with a discriminator.
        data: the images that are looked at, as `open_images` takes them; None for the run's own.
        layer: a convolution of D, from 1; None for the last.
        n: how many maps are drawn; the scores are of all.
        epoch: a kept one of the discriminator, None for its newest weights.
        root: where named data sets are.
        seed: of the untrained network, and of the order in which images are looked at.
        device: "auto", "cuda", "mps" or "cpu".
        precision: of the networks: "32", "bf16", or "auto" for bf16 where it is fast.
        out: where record and figure go; None takes the run's folder.
        watch: is told of the progress.

    Raises:
        InputError: what was asked for cannot be had; nothing was written.
    """
    study = begin(out, run, seed=seed, device=device, precision=precision, watch=watch)
    config, trained = run.config(), run.load_discriminator(epoch)
    layer = check_layer(config.discriminator, layer)
    width = config.discriminator.layers[config.discriminator.feature_layers[layer - 1]].width
    if not 1 <= n <= width:
        raise InputError(f"n must be from 1 to the layer's number of maps, {width}. Got {n}.")
    images = open_run_images(run, data, root=root, device=study.device)
    _check(images, config.discriminator.classes)
    # Of answers that are equal the first counts: in a folder of classes, those of the first class.
    order = torch.randperm(len(images), generator=stream(seed, "filters", "order"))
    networks = {"untrained": random_discriminator(config.discriminator, seed), "trained": trained}
    scores, rows = {}, {}
    for name, network in networks.items():
        scale = config.generator.scale
        responses = Responses(network, scale, layer, device=study.device, precision=study.precision)
        scores[name], rows[name] = _look(name, responses, images, order, n, watch)
    described = describe(run, epoch)
    record = study.record(
        exhibit="filters",
        name=f"disc, convolution {layer}",
        protocol={"name": f"guided backpropagation, top {_TOP} images of every map", "version": 3},
        config={
            "trained": described,
            "data": images.describe(),
            "layer": layer,
            "maps": width,
            "maps_drawn": n,
        },
        result=scores["trained"],
        controls={"untrained": scores["untrained"]},
        fingerprints={"data": images.fingerprint, "weights": weights_sha256(trained)},
    )
    figure = study.folder / f"{slug('filters', images.name, 'layer', str(layer))}.png"
    write_grid(figure, _sheet(rows["untrained"], rows["trained"]), 2 * _TOP + 1)
    return Written(record=record, files=(append_record(study.folder, record), figure))


def _check(images: Images, classes: int) -> None:
    if len(images) < _TOP:
        raise InputError(f"data must hold at least {_TOP} images. Got {len(images)}; pass more.")
    if classes and images.num_classes != classes:
        raise InputError(
            f"data must be labelled with the {classes} classes of the conditional discriminator. "
            f"Got {images.num_classes or 'none'}; pass --data like the images that it was trained "
            "on."
        )


def _look(
    name: str, responses: Responses, images: Images, order: Tensor, n: int, watch: Watch
) -> tuple[dict[str, float | None], list[Tensor]]:
    """Return scores, and the figure's rows, uint8 (_TOP, c, s, s)."""
    batches = _batches(responses, images, order, partial(watch, f"{name}: statistics"))
    responses.normalise_by((pixels, labels) for _, pixels, labels in batches)
    chosen = _strongest(responses, images, order, partial(watch, f"{name}: answers"))
    shares: list[Tensor] = []
    drawn: list[Tensor] = []
    for number, rows in enumerate(chosen):
        pixels, labels = images.take(rows.tolist()), _labels(responses, images, rows)
        gradients, areas = responses.gradients(pixels, labels, torch.full((_TOP,), number))
        shares.append(concentration(gradients, areas))
        if number < n:
            drawn += [pixels, as_grey(gradients)]
        watch(f"{name}: gradients", number + 1, len(chosen))
    scores = {
        # A conditional D is shown the labels: its filters need not see the classes.
        "selectivity": None if responses.config.classes else _selectivity(images, chosen),
        "concentration": _mean_of_numbers(torch.cat(shares)),
    }
    return scores, drawn


def _mean_of_numbers(values: Tensor) -> float | None:
    """Return the mean of those that are not NaN, None where all are."""
    mean = float(values.nanmean())
    return None if math.isnan(mean) else mean


def _labels(responses: Responses, images: Images, rows: Tensor) -> Tensor | None:
    """Return the labels that a conditional network wants."""
    if not responses.config.classes or images.labels is None:
        return None
    return images.labels[rows]


def _batches(
    responses: Responses, images: Images, order: Tensor, tell: Callable[[int, int], None]
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Yield rows, their pixels, and the labels that the network wants.

    Batches are of one size but for one image, for each has the same weight in the statistics.
    """
    done = 0
    for rows in torch.tensor_split(order, math.ceil(len(order) / _BATCH)):
        yield rows, images.take(rows.tolist()), _labels(responses, images, rows)
        done += len(rows)
        tell(done, len(images))


def _strongest(
    responses: Responses, images: Images, order: Tensor, tell: Callable[[int, int], None]
) -> Tensor:
    """Return the rows of the `_TOP` images that each map answers most strongly, (maps, _TOP)."""
    best, chosen = torch.empty(0), torch.empty(0, dtype=torch.int64)
    for rows, pixels, labels in _batches(responses, images, order, tell):
        answers = responses(pixels, labels).t()
        best = torch.cat([best, answers], 1) if len(best) else answers
        rows = rows.expand_as(answers)
        chosen = torch.cat([chosen, rows], 1) if len(chosen) else rows
        best, places = best.topk(min(_TOP, best.shape[1]))
        chosen = chosen.gather(1, places)
    return chosen


def _selectivity(images: Images, rows: Tensor) -> float | None:
    if images.num_classes < 2:
        return None
    assert images.labels is not None
    return label_selectivity(images.labels[rows], images.num_classes)


def label_selectivity(labels: Tensor, classes: int) -> float:
    """Return the mean over rows of `labels` (maps, k) of 1 - entropy / log(min(k, classes)).

    Args:
        labels: int64, from 0 to `classes` - 1.
        classes: 2 or more.

    Example:
        >>> label_selectivity(torch.tensor([[3, 3], [1, 2]]), 10)
        0.5
    """
    counts = torch.nn.functional.one_hot(labels, classes).sum(1).double()
    entropy = torch.special.entr(counts / labels.shape[1]).sum(1)
    return float((1 - entropy / math.log(min(labels.shape[1], classes))).mean())


def concentration(gradients: Tensor, areas: Tensor) -> Tensor:
    """Return the share of each gradient's energy in the strongest tenth of its pixels, (n,).

    Args:
        gradients: (n, channels, h, w).
        areas: int64 (n,), pixels of the receptive fields, outside of which gradients are 0.

    Returns:
        NaN where a gradient is 0 everywhere.
    """
    energy = gradients.double().square().sum(1).flatten(1)
    summed = energy.sort(1, descending=True).values.cumsum(1)
    counted = (areas * _PART).ceil().long()
    return summed.gather(1, counted[:, None] - 1)[:, 0] / summed[:, -1]


def as_grey(gradients: Tensor) -> Tensor:
    """Return each of `gradients` (n, channels, h, w) as a uint8 image in which 0 is mid-grey."""
    largest = gradients.abs().amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo().tiny)
    return (gradients / largest * 127 + 128).round().to(torch.uint8)


def _sheet(left: list[Tensor], right: list[Tensor]) -> Tensor:
    """Return the figure's tiles: rows of images and of gradients in turn, on both sides."""
    blank = torch.full_like(left[0][:1], 255)
    pairs = zip(left, right, strict=True)
    return torch.cat([part for one, other in pairs for part in (one, blank, other)])
