"""Walking in Z: does the generator turn one image into another, without jumps or memorised images?

Radford, Metz & Chintala 2015, section 6.1, Figure 4; `gan_eval.latent.interpolate` has the ways and
the path length. The walk leads past the first nine samples of a seed and back to the first.

Distances are taken in one space for the run and its controls: features of the run's own D, or
pixels where it gives none, of images that are never rounded to 8 bits. Squared distances are in
units of the mean squared distance between two training images, so that runs can be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gan_eval.data import Images
from gan_eval.devices import available_memory
from gan_eval.errors import InputError
from gan_eval.experiments.attributes import own_features
from gan_eval.experiments.drawing import Drawing, open_drawing
from gan_eval.experiments.features import build
from gan_eval.experiments.memorisation import nearest_images
from gan_eval.experiments.parts import blocks, sample
from gan_eval.experiments.run_images import open_run_images
from gan_eval.experiments.study import Watch, at_work, begin
from gan_eval.features.extractor import Extractor
from gan_eval.files import StrPath
from gan_eval.images import Scale, to_uint8
from gan_eval.latent.interpolate import (
    Way,
    closed_tour,
    jump_ratio,
    path_lengths,
    spherical,
    steps_of,
    straight,
)
from gan_eval.models.config import GeneratorConfig
from gan_eval.models.runs import Epoch, Run
from gan_eval.models.weights import weights_sha256
from gan_eval.records import Written, append_record
from gan_eval.seeding import stream
from gan_eval.visualize.grids import write_gif, write_grid, write_movie

_POINTS = 9
_MOST_FRAMES = 1000
_PAIRS, _EPSILON = 500, 1e-4
_UNIT_OF = 1000  # training images that say how far apart two of them are
_BATCH = 50
_MILLISECONDS = 80
# Float32 values at once for each frame of one walk: its pixels, in four walks, joined and rounded
# to be looked up, as measured; and its features.
_COPIES, _FEATURES = 24, 3


@at_work()
def interpolate(
    run: Run,
    data: StrPath | None = None,
    *,
    root: StrPath | None = None,
    frames: int = 10,
    label: int | None = None,
    epoch: Epoch | None = None,
    seed: int = 0,
    device: str = "auto",
    out: StrPath | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Written:
    """Draw a walk through a run's Z, straight and spherical, and measure it and its controls.

    `result` and `controls` hold `path_length` (in the module's units), `jump_ratio` (largest step
    by the mean step from one point to the next) and `nearest_train_distance` (root mean square over
    pixels in [0, 1], mean over frames); `result` those of the straight walk, and under "spherical"
    those of the other. The control "memorised" is what a G that has only learned its images by
    heart would show: of each frame the nearest training image. It has no path length, and a jump
    ratio of None where that is one image all along.

    Args:
        run: with a generator.
        data: training images, as `open_images` takes them; None for the run's own.
        root: where named data sets are.
        frames: from one point to the next.
        label: of a conditional generator; None for the first that it was trained with.
        epoch: a kept one of the generator, None for its newest weights.
        seed: of the points, of the pairs of points of path lengths, and of the untrained generator.
        device: "auto", "cuda", "mps" or "cpu".
        out: where record and pictures go; None takes the run's folder.
        watch: is told of the progress.

    Raises:
        InputError: what was asked for cannot be had; nothing was written.
    """
    study = begin(out, run, seed=seed, device=device, watch=watch)
    if not 2 <= frames <= _MOST_FRAMES:
        raise InputError(
            f"frames must be from 2 to {_MOST_FRAMES} from point to point. Got {frames}."
        )
    drawing = open_drawing(run, epoch=epoch, label=label, device=study.device)
    images = open_run_images(run, data, root=root, device=study.device)
    space = _Space.of(run, sample(images, _UNIT_OF, seed), study.device)
    _check_room(frames, drawing.network.config, space.extractor.width)
    walks = _walks(drawing, frames, seed)
    scale = drawing.network.config.scale
    shown = torch.cat([255 * to_unit(walk.frames, scale) for walk in walks.values()])
    tell = partial(watch, "nearest training images")
    distances, rows = nearest_images(shown, images, tell, device=study.device)
    found: dict[str, dict[str, float | None]] = {
        name: {
            **walk.measure(space, drawing, seed, partial(watch, f"path length: {name}")),
            "nearest_train_distance": float(near.mean()),
        }
        for (name, walk), near in zip(walks.items(), distances.chunk(len(walks)), strict=True)
    }
    nearest = images.take(rows[: _POINTS * frames].tolist())  # of the straight walk's frames
    found["memorised"] = {
        "jump_ratio": space.jump_ratio(nearest.float()) or None,
        "nearest_train_distance": 0.0,
    }
    drawn_from = drawing.describe(run, epoch)
    record = study.record(
        exhibit="interpolate",
        name="generator",
        protocol={
            "name": f"tour of {_POINTS} points, {frames} frames each; {_PAIRS} paths",
            "version": 3,
            "epsilon": _EPSILON,
        },
        config={
            **drawn_from,
            "data": images.describe(),
            "features": dict(space.extractor.identity),
            "unit": space.unit,
        },
        result={**found["straight"], "spherical": found["spherical"]},
        controls={name: found[name] for name in ("crossfade", "untrained", "memorised")},
        fingerprints={"data": images.fingerprint, "weights": weights_sha256(drawing.network)},
    )
    written = _draw(study.folder, walks, nearest, frames, scale)
    return Written(record=record, files=(append_record(study.folder, record), *written))


def _check_room(frames: int, config: GeneratorConfig, width: int) -> None:
    """Raise an `InputError` where memory does not hold the walks and what is done with them."""
    pixels = config.channels * config.image_size**2
    each, free = 4 * _POINTS * (_COPIES * pixels + _FEATURES * width), available_memory()
    if frames * each > free:
        raise InputError(
            f"frames must be so few that all walks fit into memory. Got {frames}, which take "
            f"{frames * each / 1e9:.1f} GB of {free / 1e9:.1f}; pass --frames "
            f"{max(2, free // each)}."
        )


def _walks(drawing: Drawing, frames: int, seed: int) -> dict[str, "_Walk"]:
    points = drawing.points(_POINTS, seed)
    return {
        "straight": _walk(drawing, points, frames, straight),
        "spherical": _walk(drawing, points, frames, spherical),
        "crossfade": _crossfade(drawing, points, frames),
        "untrained": _walk(drawing.untrained(seed), points, frames, straight),
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class _Walk:
    """Frames, and the images at and between any two points of the same kind of walk.

    Attributes:
        frames: images (rows * frames, channels, s, s) in the network's range.
        between: (z_1, z_2, t) -> the images at shares t (n,) of the ways.
    """

    frames: Tensor
    between: Callable[[Tensor, Tensor, Tensor], Tensor]

    def measure(
        self, space: "_Space", drawing: Drawing, seed: int, tell: Callable[[int, int], None]
    ) -> dict[str, float]:
        """Return the path length, its standard error and the jump ratio."""
        source, found = stream(seed, "path length"), []
        for done in range(0, _PAIRS, _BATCH):
            a, b = (drawing.network.draw(_BATCH, source) for _ in range(2))
            t = torch.rand(_BATCH, generator=source)
            before, after = (space.features(self.between(a, b, x)) for x in (t, t + _EPSILON))
            found.append(path_lengths(before, after, _EPSILON) / space.unit)
            tell(done + _BATCH, _PAIRS)
        lengths = torch.cat(found)
        return {
            "path_length": float(lengths.mean()),
            "path_length_error": float(lengths.std() / len(lengths) ** 0.5),
            "jump_ratio": space.jump_ratio(255 * to_unit(self.frames, space.scale)),
        }


def _walk(drawing: Drawing, points: Tensor, frames: int, way: Way) -> _Walk:
    tour = closed_tour(points, frames, way).flatten(0, 1)
    return _Walk(frames=drawing.floats(tour), between=lambda a, b, t: drawing.floats(way(a, b, t)))


def _crossfade(drawing: Drawing, points: Tensor, frames: int) -> _Walk:
    """Return what needs no generator between the points: their images, faded into each other."""
    ends = drawing.floats(points)
    shape = (-1, *ends.shape[1:])

    def between(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        faded = straight(drawing.floats(a).flatten(1), drawing.floats(b).flatten(1), t)
        return faded.reshape(shape)

    tour = closed_tour(ends.flatten(1), frames, straight)
    return _Walk(frames=tour.reshape(shape), between=between)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Space:
    """Where distances are taken: an extractor's features of images in the network's range.

    Attributes:
        unit: mean squared distance between two training images.
    """

    extractor: Extractor
    scale: Scale
    unit: float

    @classmethod
    def of(cls, run: Run, train: Images, device: str) -> "_Space":
        """Return the space of the run's D, with the statistics of `train`; or that of pixels.

        Raises:
            InputError: no two training images differ.
        """
        spec = own_features(run)
        extractor = build(spec, train, device=device, precision="32")
        extractor.prepare()
        rows = torch.cat([extractor(block).cpu() for block in blocks(train, _BATCH)])
        unit = 2 * float(rows.var(0).sum()) if len(rows) > 1 else 0.0  # of two independent draws
        if not unit:
            raise InputError(
                "data must have images that differ, which distances are compared with. Those of "
                f"{train.name!r} are all the same; take others with --data."
            )
        return cls(extractor=extractor, scale=run.config().generator.scale, unit=unit)

    def features(self, images: Tensor) -> Tensor:
        """Return features (n, width) of `images` in the network's range, on the CPU."""
        return self._seen(255 * to_unit(images, self.scale))

    def jump_ratio(self, tour: Tensor) -> float:
        """Return that of the frames of a tour, values from 0 to 255, whole or not."""
        return jump_ratio(steps_of(self._seen(tour)).view(_POINTS, -1))

    @torch.inference_mode()
    def _seen(self, values: Tensor) -> Tensor:
        return torch.cat([self.extractor(block).cpu() for block in torch.split(values, _BATCH)])


def to_unit(images: Tensor, scale: Scale) -> Tensor:
    """Return float `images` in a network's range as values in [0, 1], not rounded."""
    return (images + 1) / 2 if scale == "tanh" else images


def _draw(
    folder: Path, walks: dict[str, _Walk], nearest: Tensor, frames: int, scale: Scale
) -> list[Path]:
    """Draw both walks of the run as grids and movies, the straight one above what is nearest."""
    written = []
    for name in ("straight", "spherical"):
        pictures = to_uint8(walks[name].frames, scale)
        written += [folder / f"interpolate-{name}.png", folder / f"interpolate-{name}.gif"]
        write_grid(written[-2], pictures, frames)
        write_gif(written[-1], pictures, _MILLISECONDS)
        movie = folder / f"interpolate-{name}.mp4"
        written += [movie] * write_movie(movie, pictures, _MILLISECONDS)
    written.append(folder / "interpolate-nearest.png")
    pairs = zip(
        torch.split(to_uint8(walks["straight"].frames, scale), frames),
        torch.split(nearest, frames),
        strict=True,
    )
    write_grid(written[-1], torch.cat([row for pair in pairs for row in pair]), frames)
    return written
