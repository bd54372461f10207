"""A labelled data set as a probe wants it: training images, then validation images, and a test."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from gan_eval.data import Images, open_images
from gan_eval.data.images_set import fingerprint_names, fingerprint_pixels
from gan_eval.errors import InputError, NoSplitError, TooLargeError
from gan_eval.files import StrPath
from gan_eval.images import Fit
from gan_eval.probes.protocol import Protocol
from gan_eval.probes.selection import check_labels
from gan_eval.seeding import stream

# Images of a half at most: more change what is learned from them little, and cost minutes.
_HALF = 10_000


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a protocol needs of a data set.

    Attributes:
        train: the images of the training split, from which statistics and dictionaries are learned.
            No labels are used, nor any test image.
        known: the training part, then the validation part.
        held_out: number of validation images, the last of `known`.
        shuffled: whether these are random ones of the training images, not the last.
        test: the test part.
        notes: one line for each thing that was done to the images.
    """

    train: Images
    known: Images
    held_out: int
    shuffled: bool
    test: Images
    notes: tuple[str, ...]


def open_parts(
    data: StrPath,
    protocol: Protocol,
    *,
    root: StrPath | None = None,
    size: int | None = None,
    channels: int | None = None,
    fit: Fit = "crop",
    limit: int | None = None,
) -> Parts:
    """Return the parts of `data`: its own validation split, or the last of the training images.

    Images that lie sorted by class are shuffled before the last of them are held out.

    Args:
        data, root, size, channels, fit: as `open_images` has them.
        limit: keep only the first `limit` images of each split.
        protocol: how many images are held out, and how many labels are needed.

    Raises:
        InputError: a split is missing, or its labels, or there are too few of them.
    """

    form = {"size": size, "channels": channels, "fit": fit}
    opened = partial(padded_if_small, partial(open_images, data, root=root, limit=limit), **form)
    train = opened(split="train")
    opened = partial(opened, size=train.size, channels=train.channels)  # of all parts alike
    _check_classes(train, train)
    test, validation = if_there(opened, "test"), if_there(opened, "val")
    if test is None:
        raise InputError(
            f"data must have a test part to be classified. {data!r} has none; put images into "
            "folders train/CLASS/ and test/CLASS/, or test_images and test_labels into the .npz."
        )
    for images in (test, validation):
        _check_classes(images or train, train)
    known, held_out, notes = (
        _last_held_out(train, protocol)
        if validation is None
        else (join([train, validation]), len(validation), ())
    )
    assert known.labels is not None
    check_labels(known.labels[: len(known) - held_out], protocol.labels_per_class)
    shuffled = bool(notes)
    refits = protocol.refit == "train+validation"
    learned = known.labels if refits else known.labels[: len(known) - held_out]
    others = (
        f"{part.split} part of {note}" for part in (validation, test) if part for note in part.notes
    )
    notes = (*train.notes, *notes, *others, *_never_learned(test, learned))
    return Parts(
        train=train, known=known, held_out=held_out, shuffled=shuffled, test=test, notes=notes
    )


def padded_if_small(opened: Callable[..., Images], **form: Any) -> Images:
    """Return what `opened` returns in `form`, cropped where images are too large to be padded.

    A run's form says how its own images were fitted; others may be of any size.
    """
    try:
        return opened(**form)
    except TooLargeError:
        return opened(**{**form, "fit": "crop"})


def join(parts: Sequence[Images]) -> Images:
    """Return the images of all `parts`, one part after another."""
    first = parts[0]
    labels = torch.cat([part.labels for part in parts if part.labels is not None])
    held = [part.pixels for part in parts if part.pixels is not None]
    if len(held) == len(parts):
        pixels = torch.cat(held)
        fingerprint = fingerprint_pixels(pixels, labels)
        joined = replace(first, pixels=pixels, labels=labels, fingerprint=fingerprint)
    else:
        identity = [*(part.fingerprint for part in parts), str(list(range(len(labels))))]
        fingerprint = fingerprint_names(identity, labels)
        rows: list[Any] = [each.pixels if each.stream is None else each.stream for each in parts]
        stream: Dataset[Any] = ConcatDataset(rows)
        stamp = "".join(part.stamp for part in parts)
        joined = replace(
            first, pixels=None, stream=stream, labels=labels, fingerprint=fingerprint, stamp=stamp
        )
    return replace(joined, split="+".join(part.split for part in parts), attributes=None)


def if_there(opened: Callable[..., Images], split: str) -> Images | None:
    """Return what `opened` returns of a split; None where the data have no such split."""
    try:
        return opened(split=split)
    except NoSplitError:
        return None


def _check_classes(images: Images, train: Images) -> None:
    if images.labels is None:
        raise InputError(
            f"data must be labelled to be classified. The {images.split} part of {images.name!r} "
            "is not; take a folder with a folder for each class, or an .npz with its labels."
        )
    check_same_classes(images, train)


def check_same_classes(images: Images, train: Images) -> None:
    """Raise an `InputError` unless the labels of two parts are of the same classes."""
    if images.class_names != train.class_names:
        more, fewer = {*images.class_names}, {*train.class_names}
        unlike = sorted(more - fewer or fewer - more)  # a part may lack some, but not have others
        raise InputError(
            f"all parts of the data must have the same classes. The {images.split} part of "
            f"{images.name!r} differs from the training part in {', '.join(unlike[:3])}; leave "
            "such images out, or put some of them into the training part."
        )


def _never_learned(test: Images, learned: Tensor) -> tuple[str, ...]:
    """Return a line on test images whose class is not among those `learned`, if there are any."""
    assert test.labels is not None
    never = test.labels[~torch.isin(test.labels, learned)]
    if not len(never):
        return ()
    names = ", ".join(test.class_names[label] for label in sorted(set(never.tolist())))
    return (
        f"{test.name}: {len(never)} test images count as errors: no image that is learned from is "
        f"of their classes ({names})",
    )


def _last_held_out(train: Images, protocol: Protocol) -> tuple[Images, int, tuple[str, ...]]:
    """Return the training images, how many of the last are held out, and notes."""
    labels = train.labels
    assert labels is not None
    held_out = protocol.held_out_of(len(train))
    if held_out < 1:
        raise InputError(
            "data must have training images enough to hold some out for validation. The training "
            f"part of {train.name!r} has {len(train)}; take more, or give it a validation part."
        )
    classes = set(labels.tolist())
    parts = torch.split(labels, [len(train) - held_out, held_out])
    if train.lie_by_class or any(set(part.tolist()) != classes for part in parts):
        order = torch.randperm(len(train), generator=stream(0, "probe", "order"))
        note = f"{train.name}: shuffled before validation images were held out, for classes' sake"
        return _rows(train, order, train.split), held_out, (note,)
    return train, held_out, ()


def halves(data: Images, seed: int = 0) -> tuple[Images, Images]:
    """Return two disjoint random halves of `data`, of at most 10,000 images each.

    Example:
        >>> from gan_eval.data import open_images
        >>> [len(half) for half in halves(open_images("digits"))]
        [718, 718]
    """
    many = min(_HALF, len(data) // 2)
    first, second = torch.split(_order(data, seed)[: 2 * many], many)
    return _rows(data, first, f"{data.split}, first half"), _rows(
        data, second, f"{data.split}, second half"
    )


def sample(data: Images, n: int, seed: int = 0) -> Images:
    """Return `n` random images of `data`, or all of them where there are fewer."""
    return _rows(data, _order(data, seed)[:n], f"{data.split}, sample")


def blocks(images: Images, size: int, rows: Sequence[int] | None = None) -> Iterator[Tensor]:
    """Yield uint8 images, all or those at `rows`, (up to `size`, channels, s, s) at a time."""
    rows = range(len(images)) if rows is None else rows
    for start in range(0, len(rows), size):
        yield images.take(rows[start : start + size])


def joined(parts: Iterable[Tensor], n: int) -> Tensor:
    """Return parts of n rows in all as one tensor, holding no more than that and a part."""
    whole, done = torch.empty(0), 0
    for part in parts:
        if not done:
            whole = torch.empty(n, *part.shape[1:], dtype=part.dtype, device=part.device)
        whole[done : done + len(part)] = part
        done += len(part)
    return whole


def _order(data: Images, seed: int) -> Tensor:
    return torch.randperm(len(data), generator=stream(seed, "subset"))


def _rows(data: Images, rows: Tensor, split: str) -> Images:
    labels = None if data.labels is None else data.labels[rows]
    attributes = None if data.attributes is None else data.attributes[rows]
    part = replace(data, split=split, labels=labels, attributes=attributes)
    if data.pixels is not None:
        pixels = data.pixels[rows]
        return replace(part, pixels=pixels, fingerprint=fingerprint_pixels(pixels, labels))
    assert data.stream is not None
    chosen = rows.tolist()
    fingerprint = fingerprint_names([data.fingerprint, str(chosen)], labels)
    return replace(part, stream=Subset(data.stream, chosen), fingerprint=fingerprint)
