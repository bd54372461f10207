"""The walk as an experiment: known path lengths, exact neighbours, honest controls."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_eval.data import Images
from gan_eval.errors import InputError
from gan_eval.experiments import interpolate as module
from gan_eval.experiments.attributes import own_features
from gan_eval.experiments.drawing import Drawing, open_drawing
from gan_eval.experiments.features import build
from gan_eval.experiments.interpolate import interpolate
from gan_eval.experiments.run_images import open_run_images
from gan_eval.features.extractor import Extractor
from gan_eval.features.pixels import Pixels
from gan_eval.latent.interpolate import closed_tour, spherical, straight
from gan_eval.models.runs import Run
from gan_eval.seeding import stream


class Linear(torch.nn.Module):
    """z (n, 6) -> images (n, 1, 8, 8) = z W / 20: a generator whose path length is known."""

    def __init__(self, prior: str) -> None:
        super().__init__()
        self.config = SimpleNamespace(scale="tanh", classes=0, prior=prior)
        self.weight = torch.nn.Parameter(torch.randn(6, 64, generator=stream(0, "linear")) / 20)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        if self.config.prior == "normal":
            return torch.randn(n, 6, generator=generator)
        return torch.rand(n, 6, generator=generator) * 2 - 1

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return (z @ self.weight).view(-1, 1, 8, 8)


@pytest.fixture(scope="module")
def run(untrained: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return untrained(tmp_path_factory.mktemp("runs") / "tiny", gain=5)


@pytest.fixture(scope="module")
def drawing(run: Run) -> Drawing:
    return open_drawing(run, epoch=None, label=None, device="cpu")


@pytest.fixture(scope="module")
def train(run: Run) -> Images:
    """The images that the run was trained on."""
    return open_run_images(run, None, root=None, device="cpu")


@pytest.fixture(scope="module")
def features(run: Run, train: Images) -> Extractor:
    """What the run's own discriminator sees of an image."""
    extractor = build(own_features(run), train, device="cpu", precision="32")
    extractor.prepare()
    return extractor


@pytest.mark.parametrize(("prior", "variance"), [("uniform", 1 / 3), ("normal", 1.0)])
def test_path_length_is_that_of_the_prior(prior, variance):
    """E |W (b - a)|^2 = 2 variance |W|^2: of each prior its own."""
    network: Any = Linear(prior)
    drawing = Drawing(network=network, label=None)
    space = module._Space(extractor=Pixels(1, 8), scale="tanh", unit=0.5)
    points = network.draw(9, stream(0, "points"))
    walk = module._walk(drawing, points, 4, straight)
    found = walk.measure(space, drawing, 0, lambda done, total: None)
    expected = 2 * variance * float(network.weight.detach().square().sum()) / 0.5
    assert abs(found["path_length"] - expected) < 4 * found["path_length_error"]
    assert found["path_length_error"] < 0.1 * expected
    # In pixels a cross-fade of the ends of a linear generator is its walk.
    faded = module._crossfade(drawing, points, 4)
    torch.testing.assert_close(faded.frames, walk.frames)
    again = faded.measure(space, drawing, 0, lambda done, total: None)
    assert again["path_length"] == pytest.approx(found["path_length"], rel=1e-3)


def test_images_are_not_rounded_where_distances_are_taken():
    space = module._Space(extractor=Pixels(1, 8), scale="tanh", unit=1.0)
    image = torch.full((1, 1, 8, 8), 0.1)
    moved = space.features(image + 1e-4) - space.features(image)
    torch.testing.assert_close(moved, torch.full((1, 64), 1e-4), rtol=1e-2, atol=0)


def test_the_unit_is_the_mean_squared_distance_of_two_training_images(run, train, features):
    rows, n = features(train.pixels).double(), len(train)
    total = float(torch.cdist(rows, rows).square().sum())
    space = module._Space.of(run, train, "cpu")
    assert space.unit == pytest.approx(total / (n * (n - 1)), rel=1e-4)


def test_an_untrained_generator_is_no_grey_picture(drawing):
    control = drawing.untrained(0)
    z = drawing.points(40, 0)
    assert float(control.floats(z).std(0).mean()) > 0.01  # as its own statistics make it
    assert torch.equal(control.floats(z), drawing.untrained(0).floats(z))
    assert not torch.equal(control.floats(z), drawing.untrained(1).floats(z))
    assert not control.network.training


def test_each_walk_is_of_its_generator_and_goes_its_way(drawing):
    points, walks = drawing.points(9, 0), module._walks(drawing, 3, 0)
    ways = {
        "straight": (drawing, straight),
        "spherical": (drawing, spherical),
        "untrained": (drawing.untrained(0), straight),
    }
    for name, (of, way) in ways.items():
        frames = of.floats(closed_tour(points, 3, way).flatten(0, 1))
        torch.testing.assert_close(walks[name].frames, frames)
    for name in ("spherical", "untrained"):  # which differ by more than rounding
        assert float((walks[name].frames - walks["straight"].frames).abs().max()) > 1e-3


def largest_jump(rows: Tensor) -> float:
    """Return the largest step by the mean one of 9 ways of 3 frames each, of features (27, d)."""
    steps = (rows - rows.roll(-1, 0)).norm(dim=1).split(3)
    return max(float(each.max() / each.mean()) for each in steps if each.max() > 0)


def test_a_record_holds_every_score_of_every_walk(
    run, drawing, train, features, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "_PAIRS", 50)
    found = [
        interpolate(run, frames=3, seed=seed, device="cpu", out=tmp_path / str(i))
        for i, seed in enumerate((0, 0, 1))
    ]
    first, second, other = (each.record for each in found)
    assert first.result == second.result
    assert first.result["path_length"] != other.result["path_length"]
    assert first.controls.keys() == {"crossfade", "untrained", "memorised"}
    memorised = first.controls["memorised"]
    assert memorised.keys() == {"jump_ratio", "nearest_train_distance"}
    scores = {"straight": first.result, "spherical": first.result["spherical"], **first.controls}
    known = train.pixels.flatten(1).double() / 255
    for name, walk in module._walks(drawing, 3, 0).items():
        assert scores[name]["path_length"] > 0
        shown = (walk.frames + 1) / 2
        # Steps are taken in features of D, nearness in pixels of the frames as they are.
        rows = features(255 * shown)
        assert scores[name]["jump_ratio"] == pytest.approx(largest_jump(rows), rel=1e-3)
        apart, places = (torch.cdist(shown.flatten(1).double(), known) / known.shape[1] ** 0.5).min(
            1
        )
        assert scores[name]["nearest_train_distance"] == pytest.approx(
            float(apart.mean()), rel=1e-4
        )
        if name == "straight":
            assert len({*places.tolist()}) == 1  # its frames are so alike: nothing is a jump
            assert memorised["jump_ratio"] is None
            assert memorised["nearest_train_distance"] == 0
    assert first.config["features"]["extractor"] == "disc"
    json.dumps(first.to_json(), allow_nan=False)
    by_name = {path.name: path for path in found[0].files}
    with Image.open(by_name["interpolate-straight.gif"]) as gif:
        assert gif.n_frames == 27
        assert gif.info["loop"] == 0
    with Image.open(by_name["interpolate-nearest.png"]) as picture:
        assert picture.size == (3 * 66 - 2, 18 * 66 - 2)


def test_who_knows_images_by_heart_leaps(run, train, tmp_path, monkeypatch):
    """Each way shows one image, and its last step is all of the way to the next."""
    monkeypatch.setattr(module, "_PAIRS", 50)
    straight, others = torch.arange(9).repeat_interleave(3), torch.zeros(3 * 27, dtype=torch.long)
    rows = torch.cat([straight, others])
    monkeypatch.setattr(module, "nearest_images", lambda *_, **__: (rows.double(), rows))
    record = interpolate(run, frames=3, device="cpu", out=tmp_path).record
    assert record.controls["memorised"]["jump_ratio"] == pytest.approx(3)


def test_the_walk_starts_on_the_first_samples_of_the_seed(drawing):
    walk = module._walks(drawing, 2, 4)["straight"]
    torch.testing.assert_close(walk.frames[::2], drawing.floats(drawing.points(300, 4)[:9]))


def test_what_is_refused(run, tmp_path):
    with pytest.raises(
        InputError, match=r"frames must be from 2 to 1000 from point to point\. Got 1"
    ):
        interpolate(run, frames=1, out=tmp_path)
    with pytest.raises(InputError, match="label is for conditional networks"):
        interpolate(run, label=3, out=tmp_path)
    assert list(Path(tmp_path).iterdir()) == []
