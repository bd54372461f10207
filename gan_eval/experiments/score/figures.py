"""The figures that two sides' features give: which are wanted, how many images each needs.

Several processes share the work: moments are taken of shares and added, subsets of the kernel
distance and pairs of blocks, in which neighbours are looked for, are dealt out. The rest is the
first process's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_eval.devices import available_memory, gather, processes, with_float64
from gan_eval.errors import InputError, closest
from gan_eval.metrics import (
    Moments,
    frechet_distance,
    frechet_distance_at_infinity,
    kernel_distance,
    precision_recall,
)
from gan_eval.metrics.inception_score import inception_score_of_blocks
from gan_eval.metrics.matrix import Matrix
from gan_eval.probes.design import on_device
from gan_eval.seeding import stream

METRICS = ("fid", "kid", "isc", "prdc")
# (n, 2048) -> (n, classes), where the extractor has classes.
Logits = Callable[[Tensor], Tensor]
FIGURES = (
    "fid", "fid_clipped", "fid_infinity", "kid_mean", "kid_std", "isc_mean", "isc_std",
    "precision", "recall", "density", "coverage",
)  # fmt: skip
_ROWS = 1000
# Matrices, as wide as long, that the moments and distance of two sides take: 7.5 at 3,000 features.
_MATRICES = 8
_BESIDE = 2**30  # bytes, of the blocks that metrics compute with


@dataclass(frozen=True, kw_only=True)
class ScoreProtocol:
    """How sides are compared, whatever they and their features are.

    Attributes:
        metrics: some of `METRICS`; a text is split at its commas.
        kid_subsets, kid_subset_size: of the kernel distance: how many subsets, of how many images.
        neighbours: the k of precision, recall, density and coverage.
        splits: of the Inception score, whose images are shuffled first.
        fid_infinity: whether the Fréchet distance of infinitely many generated images is wanted.
        seed: of subsets and shuffling.
    """

    metrics: str | Sequence[str] = METRICS
    kid_subsets: int = 100
    kid_subset_size: int = 1000
    neighbours: int = 5
    splits: int = 10
    fid_infinity: bool = False
    seed: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        given = self.metrics.split(",") if isinstance(self.metrics, str) else self.metrics
        object.__setattr__(self, "metrics", tuple(dict.fromkeys(name.strip() for name in given)))
        for name in self.metrics:
            if name not in METRICS:
                raise InputError(f"metric {name!r} is not known. {closest(name, METRICS)}")
        least = {"kid_subsets": 1, "kid_subset_size": 2, "neighbours": 1, "splits": 1}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise InputError(f"{name} must be at least {smallest}. Got {getattr(self, name)}.")
        if self.fid_infinity and "fid" not in self.metrics:
            raise InputError("fid_infinity is of the Fréchet distance. Got metrics without 'fid'.")

    def check(self, *, real: int | None, fake: int | None, names: tuple[str, str]) -> None:
        """Refuse fewer images than the metrics need; statistics, whose number is None, have enough.

        Args:
            real, fake: how many there are.
            names: what both sides are called, the real one first.
        """
        sides = list(zip(names, (real, fake), strict=True))
        for metric, least, of, remedy in self._needs():
            for name, n in sides[of:]:
                if n is not None and n < least:
                    raise InputError(
                        f"{metric} needs at least {least} images. {name} has {n}; {remedy} or "
                        "take more images."
                    )

    def _needs(self) -> list[tuple[str, int, int, str]]:
        """Return metrics, images they need, from which side on, and what else can be done."""
        without = "leave it out of --metrics"
        needs = [("a score", 2, 0, "add some")]
        if self.fid_infinity:
            needs.append(("--fid-infinity", 4, 1, "leave it out"))
        if "prdc" in self.metrics:
            needs.append(("prdc", self.neighbours + 1, 0, without))
        if "isc" in self.metrics:
            needs.append(("isc", self.splits, 1, without))
        if "kid" in self.metrics:
            smaller = "pass a smaller --kid-subset-size"
            needs.append(("kid", self.kid_subset_size, 0, smaller))
        return needs


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What the metrics take of a side.

    Attributes:
        rows: (n, width); None of statistics.
        moments: of the same images; empty where no metric wants them.
    """

    rows: Matrix | None
    moments: Moments = field(default_factory=Moments)


def check_memory(width: int, device: str) -> None:
    """Refuse features so wide that the matrices of a Fréchet distance do not fit.

    Raises:
        InputError: they do not.
    """
    needed, free = _MATRICES * 8 * width**2, available_memory(device)
    if needed > free:
        raise InputError(
            f"fid of {width:,} features needs {needed / 2**30:.1f} GiB of memory. "
            f"{free / 2**30:.1f} GiB are free; take smaller images or another --extractor, or "
            "leave fid out of --metrics."
        )


def features_of(rows: NDArray[Any], protocol: ScoreProtocol, device: str) -> Features:
    """Return what `protocol` takes of `rows`, on a GPU where `device` is one.

    Each of several processes takes the moments of its share, and gets those of all.
    """
    matrices = _MATRICES * 8 * rows.shape[1] ** 2 if "fid" in protocol.metrics else 0
    # The other side may be as large.
    taken = on_device(rows, with_float64(device), beside=rows.nbytes + matrices + _BESIDE)
    if "fid" not in protocol.metrics:
        return Features(rows=taken)
    (rank, world), n, share = processes(), len(rows), Moments()
    part = taken[n * rank // world : n * (rank + 1) // world]
    if len(part):
        share.update(part)
    # A tensor of a GPU would come back on that GPU, in every process.
    parts = gather(share.cpu()) if world > 1 else [share]
    return Features(rows=taken, moments=sum(parts, Moments()))


def figures(
    protocol: ScoreProtocol, *, real: Features, fake: Features, logits: Logits | None
) -> dict[str, float | None]:
    """Return `FIGURES`, None for what was not asked for or cannot be had of statistics.

    Every process calls it, and only what the first returns is whole.

    Args:
        logits: the classifier behind the features; None where there is none.

    Raises:
        InputError: the sides' widths differ, or there are fewer images than metrics need.
    """
    found: dict[str, float | None] = dict.fromkeys(FIGURES)
    if "kid" in protocol.metrics and real.rows is not None and fake.rows is not None:
        kernel = kernel_distance(
            real=real.rows,
            fake=fake.rows,
            seed=protocol.seed,
            subsets=protocol.kid_subsets,
            subset_size=protocol.kid_subset_size,
            share=processes(),
            gather=gather,
        )
        found |= {"kid_mean": kernel.mean, "kid_std": kernel.std}
    if "prdc" in protocol.metrics and real.rows is not None and fake.rows is not None:
        sides = {"real": real.rows, "fake": fake.rows}
        shares = precision_recall(**sides, k=protocol.neighbours, share=processes(), gather=gather)
        found.update(vars(shares))
    if processes()[0] > 0:
        return found
    if "fid" in protocol.metrics:
        distance = frechet_distance(real=real.moments, fake=fake.moments)
        found |= {"fid": distance.distance, "fid_clipped": distance.clipped}
    if fake.rows is None:
        return found
    if protocol.fid_infinity:
        line = frechet_distance_at_infinity(real=real.moments, fake=fake.rows, seed=protocol.seed)
        found["fid_infinity"] = line.distance
    if "isc" in protocol.metrics and logits is not None:
        found.update(_inception_score(protocol, fake.rows, logits))
    return found


def _inception_score(protocol: ScoreProtocol, rows: Matrix, logits: Logits) -> dict[str, float]:
    order = torch.randperm(len(rows), generator=stream(protocol.seed, "isc")).numpy()
    parts = (
        logits(torch.as_tensor(rows[order[start : start + _ROWS]]))
        for start in range(0, len(rows), _ROWS)
    )
    score = inception_score_of_blocks(parts, n=len(rows), splits=protocol.splits)
    return {"isc_mean": score.mean, "isc_std": score.std}
