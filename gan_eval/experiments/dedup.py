"""Near-duplicates in a data set, found by the semantic hash of a denoising autoencoder.

Radford, Metz & Chintala 2015, section 4.1.1. An autoencoder learned from the images, fitted to
32x32 in three channels, hashes each to 128 bits (see `gan_eval.training.autoencoder`). In the paper
images of equal hash are duplicates. Here images are linked whose hashes differ in at most R bits,
and a group is what chains of links connect: two of a group may differ in more bits than R. Of a
group the first image is kept.

Scores, measured on the data's own images in the same run, by how far hashes are apart:
* recall P(r): the share of planted copies (cropped, resized, JPEG, brighter; made at 32x32, of
  images that are drawn at random) within r bits of their original.
* false positives F(r): the share of images without a planted copy that are within r bits of any
  other image of the data, so that they land in a group. Real duplicates are among them, which
  makes it an upper bound.
* the estimate leaves the surest real duplicates out: images whose pixels are as much like those of
  the nearest other image as those of 99 in 100 planted copies are like their originals'. Less
  similar photographs of one thing still count, so that it is an upper bound too, and R is cautious.
* false of called: of those images that land in a group, the share that look no more like their
  nearest than 999 in 1,000 images do whose hashes are farther apart than any radius.
R is the least at which no more copies are found, as long as the estimate and twice its standard
error are below 1 in 100; none among n counts as 3 / n, so that of few images R is 0. It is chosen
by one half of the planted copies and of the images that are judged; what is reported is of the
other half.

Memory: beside the images, which are streamed where they take more than half of what is free, about
300 bytes an image for hashes and their tables, and 0.6 GB while the autoencoder is learned.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_eval.data import Images, open_images
from gan_eval.data.registry import file_names
from gan_eval.errors import InputError
from gan_eval.experiments.account import slug
from gan_eval.experiments.parts import blocks, sample
from gan_eval.experiments.planted import COPIES, LARGEST_RADIUS, MOST_FALSE, UNSEEN, Trial, likeness
from gan_eval.experiments.study import Study, Watch, at_work, begin
from gan_eval.experiments.thinned import writer_of
from gan_eval.files import StrPath, check_folder, expanded, write_json
from gan_eval.probes.hamming import components, nearest_others
from gan_eval.records import Record, Written, append_record
from gan_eval.seeding import stream
from gan_eval.training.autoencoder import (
    BITS,
    CHANNELS,
    SIZE,
    Autoencoder,
    fit_autoencoder,
    untrained_autoencoder,
)
from gan_eval.visualize.grids import strips, write_picture

# Half of those planted and judged choose the radius, the other half is reported.
_LEARNED_FROM, _PLANTED, _JUDGED = 20_000, 500, 20_000
_FEWEST = 8
_LEAST_ALIKE = 0.01  # quantile of planted copies from which on images are duplicates
_MOST_ALIKE, _FEWEST_UNLIKE = 0.999, 1000  # quantile of images that are none, and how many it takes
_BLOCK = 1024
_SHOWN, _SHOWN_OF_EACH = 12, 10


@at_work()
def dedup(
    data: StrPath,
    *,
    root: StrPath | None = None,
    radius: int | None = None,
    write: StrPath | None = None,
    seed: int = 0,
    device: str = "auto",
    out: StrPath | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Written:
    """Find groups of duplicates among the training images of `data`, and measure how surely.

    `result` holds `groups` (lists of rows of the train part, from 0, each in order), `duplicates`
    (images in groups but for the first of each), `radius`, `planted_recall` (also by kind) and
    `false_positive_rate` with its estimate; see the module. `by_radius` has these at every radius
    from 0. All groups are in the record, about 7 bytes an image, and in a file of their own.
    `controls` has duplicates and rates of equal hashes, the paper's rule, and those of an untrained
    autoencoder, whose radius is chosen in the same way.

    Args:
        data: the images, as `open_images` takes them.
        root: where named data sets are.
        radius: bits in which the hashes of duplicates differ at most; None chooses it.
        write: a new .npz for the data without the duplicates, at its own size. Of data that are an
            .npz all arrays go along, those of the train part without the duplicates' rows; of
            others parts "val" and "test", where there are any.
        seed: of the autoencoder, of the planted copies and of the groups that are shown.
        device: "auto", "cuda", "mps" or "cpu".
        out: where record, groups and figure go; None takes "results".
        watch: is told of the progress.

    Raises:
        InputError: what was asked for cannot be had; nothing was written.
    """
    study = begin(out, seed=seed, device=device, watch=watch)
    target = _target(write)
    _check(radius)
    images = open_images(data, root=root, size=SIZE, channels=CHANNELS)
    if len(images) < _FEWEST:
        raise InputError(f"data must hold at least {_FEWEST} images. Got {len(images)}.")
    write_to, unnamed = writer_of(data, root) if target else (None, ())
    learned, untrained = _autoencoders(images, study)
    hashes, others = hash_images((learned, untrained), images, partial(watch, "hashes"))
    (choosing, trial), (rivals, control) = (
        _trial(network, images, found, seed).halves()
        for network, found in ((learned, hashes), (untrained, others))
    )
    chosen = choosing.choose() if radius is None else radius
    rival = rivals.choose()
    groups = _groups(components(hashes, chosen, partial(watch, "search")))
    record = study.record(
        exhibit="dedup",
        name="autoencoder",
        protocol={
            "name": f"{BITS}-bit semantic hash; {' '.join(COPIES)}",
            "version": 3,
            "planted": len(trial.planted["crop"]),
            "judged": len(trial.others),
        },
        config={
            "data": images.describe(),
            "radius": "given" if radius is not None else _chosen(trial),
        },
        result={
            "groups": groups,
            "duplicates": sum(len(group) - 1 for group in groups),
            **trial.at(chosen),
            "by_radius": [trial.at(each) for each in range(LARGEST_RADIUS + 1)],
        },
        controls={
            "equal hashes": {"duplicates": _duplicates(hashes, 0), **trial.at(0)},
            "untrained": {"duplicates": _duplicates(others, rival), **control.at(rival)},
        },
        advice=(*_advice(trial, chosen), *unnamed),
        fingerprints={"data": images.fingerprint},
    )
    files = _save(study.folder, record, images, file_names(data, root))
    if target and write_to:
        write_to(target, _kept(len(images), groups))
        files = (*files, target)
    return Written(record=record, files=files)


def _check(radius: int | None) -> None:
    if radius is not None and not 0 <= radius <= LARGEST_RADIUS:
        raise InputError(
            f"radius must be from 0 to {LARGEST_RADIUS} of the {BITS} bits. Got {radius}; "
            "leave it out to have it chosen."
        )


def _target(write: StrPath | None) -> Path | None:
    if write is None:
        return None
    path = expanded(write)
    if path.suffix != ".npz" or path.exists():
        what = "which exists" if path.suffix == ".npz" else "which does not end so"
        raise InputError(f"--write must name a new .npz file. Got {path}, {what}; name another.")
    check_folder(path.parent, "--write")
    return path


def _autoencoders(images: Images, study: Study) -> tuple[Autoencoder, Autoencoder]:
    """Return the learned one, and the one that it started from."""
    chosen = sample(images, _LEARNED_FROM, study.seed)
    known = chosen.take(range(len(chosen)))
    tell = partial(study.watch, "autoencoder: steps")
    learned = fit_autoencoder(known, seed=study.seed, device=study.device, tell=tell)
    return learned, untrained_autoencoder(known, seed=study.seed).to(study.device)


def hash_images(
    networks: Sequence[Autoencoder], images: Images, tell: Callable[[int, int], None]
) -> list[NDArray[np.uint8]]:
    """Return the hashes (n, 16) of all of `images` by each network; `tell` learns how many."""
    found = [np.empty((len(images), BITS // 8), np.uint8) for _ in networks]
    done = 0
    for block in blocks(images, _BLOCK):
        for network, hashes in zip(networks, found, strict=True):
            hashes[done : done + len(block)] = network.hashes(block)
        done += len(block)
        tell(done, len(images))
    return found


def _trial(network: Autoencoder, images: Images, hashes: NDArray[np.uint8], seed: int) -> Trial:
    order = torch.randperm(len(images), generator=stream(seed, "planted")).numpy()
    planted, judged = np.split(order[: _PLANTED + _JUDGED], [min(_PLANTED, len(images) // 4)])
    originals = images.take(planted.tolist())
    copies = {kind: copy(originals) for kind, copy in COPIES.items()}
    bits = {kind: network.hashes(made) ^ hashes[planted] for kind, made in copies.items()}
    alike = torch.cat([likeness(originals, made) for made in copies.values()])
    apart, nearest = nearest_others(hashes, judged)
    pairs = zip(*(blocks(images, _BLOCK, rows.tolist()) for rows in (judged, nearest)), strict=True)
    like = torch.cat([likeness(*pair) for pair in pairs])
    far = like[apart > LARGEST_RADIUS]
    known = len(far) >= _FEWEST_UNLIKE
    return Trial(
        planted={kind: np.unpackbits(each, axis=1).sum(1) for kind, each in bits.items()},
        others=apart,
        distinct=(like < alike.quantile(_LEAST_ALIKE)).numpy(),
        unlike=(like <= far.quantile(_MOST_ALIKE)).numpy() if known else None,
    )


def _duplicates(hashes: NDArray[np.uint8], radius: int) -> int:
    """Return how many images are in groups but for the first of each."""
    return len(hashes) - len(np.unique(components(hashes, radius)))


def _groups(labels: NDArray[np.int64]) -> list[list[int]]:
    """Return the rows of each label that has several, by their first row."""
    order = np.argsort(labels, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return sorted(part.tolist() for part in parts if len(part) > 1)


def _chosen(trial: Trial) -> str:
    return "too few images to choose" if _too_few(trial) else "chosen"


def _too_few(trial: Trial) -> bool:
    """Return whether so few images were judged that none among them shows nothing."""
    return UNSEEN / len(trial.others) > MOST_FALSE


def _advice(trial: Trial, radius: int) -> tuple[str, ...]:
    found = trial.at(radius)
    rate, estimate = found["false_positive_rate"], found["false_positive_estimate"]
    if _too_few(trial) and estimate < MOST_FALSE:
        return (
            f"{len(trial.others)} images cannot show that fewer than {MOST_FALSE:.0%} land in "
            "groups by chance: "
            + ("look at the figure." if radius else "equal hashes alone count; try --radius."),
        )
    if estimate >= MOST_FALSE:
        return (
            f"An estimated {estimate:.1%} of the images land in groups by chance: look at the "
            f"figure, and {'try a smaller --radius' if radius else 'do not trust the groups'}.",
        )
    if rate >= MOST_FALSE:
        return (
            f"{rate:.1%} of the images land in groups, an estimated {estimate:.1%} by chance: the "
            "data hold duplicates; look at the figure.",
        )
    return ()


def _save(
    folder: Path, record: Record, images: Images, names: list[str] | None
) -> tuple[Path, ...]:
    """Write record and groups, and draw some of these, which are chosen at random."""
    groups, name = record.result["groups"], slug("dedup", images.name)
    listed = folder / f"{name}-groups.json"
    about = {"data": images.name, "split": images.split, "fingerprint": images.fingerprint}
    found = {"radius": record.result["radius"], "groups": groups}
    if names is not None:
        found["files"] = [[names[row] for row in group] for group in groups]
    write_json(listed, {**about, **found})
    files = [append_record(folder, record), listed]
    if groups:
        order = torch.randperm(len(groups), generator=stream(record.seed, "shown"))
        rows = [groups[number] for number in order[:_SHOWN].tolist()]
        files.append(folder / f"{name}.png")
        write_picture(files[-1], strips([_strip(images, group) for group in rows]))
    return tuple(files)


def _strip(images: Images, group: list[int]) -> tuple[str, Tensor]:
    shown = group[:_SHOWN_OF_EACH]
    more = f" and {len(group) - len(shown)} more" if len(group) > len(shown) else ""
    return ", ".join(map(str, shown)) + more, images.take(shown)


def _kept(n: int, groups: list[list[int]]) -> Tensor:
    """Return the rows of n images but for those of each group that are not its first."""
    kept = torch.ones(n, dtype=torch.bool)
    kept[[row for group in groups for row in group[1:]]] = False
    return kept.nonzero()[:, 0]
