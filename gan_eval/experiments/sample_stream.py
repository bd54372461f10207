"""A generator's samples as a stream that can be left at any lot and taken up again."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.models.dcgan import Generator
from gan_eval.models.runs import Run
from gan_eval.models.sampling import generate, untrained
from gan_eval.models.weights import load_tensors, save_tensors, weights_sha256
from gan_eval.precision import Precision
from gan_eval.probes.nearest_neighbor import RunningNearest
from gan_eval.seeding import derive

LOT = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleStream:
    """Samples of a generator in lots of 1,000, each from a random stream of its own.

    Labels of a conditional generator come in turn through all lots, and have equal shares.

    Attributes:
        network: in evaluation mode, on its device.
        seed: of all lots.
        precision: of the network.
    """

    network: Generator
    seed: int
    precision: Precision

    @property
    def identity(self) -> dict[str, Any]:
        """What determines the samples, JSON-able."""
        device = next(self.network.parameters()).device.type
        weights = weights_sha256(self.network)
        return {"weights": weights, "seed": self.seed, "precision": self.precision, "on": device}

    def lots(self, n: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield uint8 images (up to 1000, channels, s, s) and labels, from lot `first` to n."""
        network = self._cast()
        for lot in range(first, -(-n // LOT)):
            before, seed = lot * LOT, derive(self.seed, "lot", lot)
            many = min(LOT, n - before)
            drawn = list(generate(network, many, seed, precision=self.precision, first=before))
            labels = [part for _, part in drawn if part is not None]
            yield torch.cat([images for images, _ in drawn]), torch.cat(labels) if labels else None

    def _cast(self) -> Generator:
        """Return the network, its weights in bf16 where autocast would make them so every time."""
        if self.precision == "32":
            return self.network
        network = copy.deepcopy(self.network)
        for block in network.blocks:
            for weight in block.parameters(recurse=False):
                weight.data = weight.data.bfloat16()
        return network

    def untrained(self) -> "SampleStream":
        """Return the samples of the weights that a run of this seed starts from: a control."""
        return replace(self, network=untrained(self.network, self.seed))


def kept_epochs(run: Run) -> list[int | None]:
    """Return the kept epochs of a run, and None for its newest weights where these are others."""
    kept = run.kept("generator")
    newest = weights_sha256(run.load_generator())
    if kept and weights_sha256(run.load_generator(kept[-1])) == newest:
        return [*kept]
    return [*kept, None]


@dataclass(frozen=True, kw_only=True)
class StateFile:
    """Where a comparison that takes hours is kept on the way: nearest samples and their curve.

    A shorter comparison has another file, and leaves a longer one's alone.

    Attributes:
        folder: where the file is.
        samples: of the whole comparison.
        of: what it belongs to, JSON-able; a file of something else is not taken up.
    """

    folder: Path
    samples: int
    of: dict[str, Any]

    @property
    def path(self) -> Path:
        """Return the safetensors file."""
        return self.folder / f"neighbors-{self.samples}.unfinished.safetensors"

    def load(self, nearest: RunningNearest) -> list[list[float]]:
        """Take up what is kept; return the curve so far."""
        if not self.path.exists():
            return []
        try:
            tensors, about = load_tensors(self.path)
        except InputError:  # what cannot be taken up is made again
            return []
        if about.get("of") != self.of:
            return []
        nearest.seen = int(tensors["seen"])
        for name in ("squared", "indices", "labels"):
            getattr(nearest, name).copy_(tensors[name])
        curve: Any = about["curve"]
        return list(curve)

    def save(self, nearest: RunningNearest, curve: list[list[float]]) -> None:
        """Keep where the comparison is, atomically."""
        tensors = {name: getattr(nearest, name) for name in ("squared", "indices", "labels")}
        tensors["seen"] = torch.tensor(nearest.seen)
        save_tensors(self.path, tensors, {"of": self.of, "curve": curve})
