"""The Fréchet distance of folders of PNGs is the one that pytorch-fid's own functions give.

Of fewer images than features pytorch-fid's matrix root may fail, as it does for the few that a
quick test can afford: then its features go a way of their own, with the nuclear norm of the product
of centred rows for the trace of the root.
"""

import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_fid import fid_score
from pytorch_fid import inception as reference
from torch import Tensor, nn

from gan_eval.errors import InputError
from gan_eval.experiments.score import score
from gan_eval.experiments.score.extractors import ExtractorSpec
from gan_eval.experiments.score.figures import Features, ScoreProtocol, figures
from gan_eval.features.inception import Inception
from gan_eval.metrics import inception_score
from gan_eval.seeding import stream


def made() -> nn.Module:
    """Return pytorch-fid's classifier as it is built, without its download."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(reference, "load_state_dict_from_url", lambda *_, **__: None)
        patch.setattr(nn.Module, "load_state_dict", lambda *_: None)
        network: nn.Module = reference.fid_inception_v3()
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a file of the right architecture in which no signal fades or explodes.

    He-initialised, with the batch-norm statistics of a forward pass of noise.
    """
    network, generator = made().train(), stream(0, "inception")
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
        if isinstance(module, nn.Linear):  # small, so that images are of several classes
            nn.init.normal_(module.weight, std=0.001, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean
    with torch.no_grad():
        network(torch.rand(4, 3, 299, 299, generator=generator) * 2 - 1)
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), path)
    yield path
    path.unlink()


@pytest.fixture
def patched(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytorch-fid find the file, and draw no bars."""
    state = torch.load(weights, weights_only=True)
    monkeypatch.setattr(reference, "load_state_dict_from_url", lambda *_, **__: state)
    monkeypatch.setattr(fid_score, "tqdm", lambda batches: batches)


def by_nuclear_norm(one: Path, other: Path, dims: int, batch_size: int = 10) -> float:
    """Return the Fréchet distance of pytorch-fid's features, of which there may be few."""
    network = reference.InceptionV3([reference.InceptionV3.BLOCK_INDEX_BY_DIM[dims]])
    rows = [
        fid_score.get_activations(sorted(path.iterdir()), network, batch_size, dims, "cpu", 0)
        for path in (one, other)
    ]
    means = [each.mean(0) for each in rows]
    centred = [
        (each - mean) / np.sqrt(len(each) - 1) for each, mean in zip(rows, means, strict=True)
    ]
    traces = sum((each**2).sum() for each in centred)
    cross = np.linalg.norm(centred[0] @ centred[1].T, "nuc")
    return float(((means[0] - means[1]) ** 2).sum() + traces - 2 * cross)


def folder(path: Path, n: int, seed: int, size: int = 32, width: int = 0, grow: int = 0) -> Path:
    """Fill a folder with PNGs: noise of as many brightnesses as there are images.

    They are squares of `size`, or `width` wide; each is by `grow` higher than the one before.
    """
    path.mkdir()
    for number in range(n):
        shape = (size + grow * number, width or size, 3)
        noise = torch.rand(shape, generator=stream(seed, "png", number))
        pixels = (255 * (noise * (1 + number) / n)).to(torch.uint8).numpy()
        Image.fromarray(pixels).save(path / f"{number:03d}.png")
    return path


def row(
    model: Any,
    against: Any,
    weights: Path,
    tmp_path: Path,
    name: str,
    metrics: tuple[str, ...] = ("fid",),
    splits: int = 10,
    **options: Any,
) -> Any:
    (found,) = score(
        [model],
        against,
        protocol=ScoreProtocol(metrics=metrics, kid_subset_size=4, splits=splits),
        extractor=ExtractorSpec(name=name, weights=weights),
        store=tmp_path / "store",
        out=tmp_path / "out",
        device="cpu",
        **options,
    )
    return found.record.result


DIMS = pytest.mark.parametrize(
    "dims", [64, *(pytest.param(dims, marks=pytest.mark.slow) for dims in (192, 768, 2048))]
)


@DIMS
@pytest.mark.usefixtures("patched")
def test_folders_score_as_by_pytorch_fids_features(weights, tmp_path, dims):
    one, other = folder(tmp_path / "one", 15, 1), folder(tmp_path / "other", 12, 2, size=40)
    name = "inception" if dims == 2048 else f"inception-{dims}"
    expected = by_nuclear_norm(one, other, dims)
    found = row(other, one, weights, tmp_path, name)
    assert expected > 0.1
    assert found["fid"] == pytest.approx(expected, rel=1e-3)
    assert (found["n_real"], found["n_fake"]) == (15, 12)
    assert (found["extractor"], found["resize"], found["official"]) == (name, "pytorch-fid", False)
    assert len(found["weights_sha256"]) == 64


@DIMS
@pytest.mark.parametrize("grow", [0, 1])
@pytest.mark.usefixtures("patched")
def test_images_that_are_no_squares_are_stretched_unrounded_as_by_pytorch_fid(
    weights, tmp_path, dims, grow
):
    """Of one size and of many, which pytorch-fid reads one by one."""
    one = folder(tmp_path / "one", 12, 1, size=40, width=32)
    other = folder(tmp_path / "other", 12, 2, size=30, width=48, grow=grow)
    expected = by_nuclear_norm(one, other, dims, batch_size=1 if grow else 10)
    found = row(other, one, weights, tmp_path, "inception" if dims == 2048 else f"inception-{dims}")
    assert found["fid"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("patched")
def test_pytorch_fids_command_agrees_and_reads_what_is_saved(weights, tmp_path):
    """At full rank, where its matrix root is sound."""
    one, other = folder(tmp_path / "one", 80, 1), folder(tmp_path / "other", 70, 2)
    saved = tmp_path / "one.npz"
    found = row(other, one, weights, tmp_path, "inception-64", save=saved)
    for reference_path in (one, saved):
        paths = [str(other), str(reference_path)]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The `disp` argument", DeprecationWarning)
            expected = fid_score.calculate_fid_given_paths(paths, 10, "cpu", 64, 0)
        assert found["fid"] == pytest.approx(float(expected), rel=1e-3)


def test_statistics_of_another_extractor_are_refused(weights, tmp_path):
    images = folder(tmp_path / "images", 3, 1)
    saved, theirs = tmp_path / "ours.npz", tmp_path / "theirs.npz"
    direct = row(images, images, weights, tmp_path, "inception-64", save=saved)
    with np.load(saved) as arrays:
        np.savez_compressed(theirs, mu=arrays["mu"], sigma=arrays["sigma"])
    found = row(images, theirs, weights, tmp_path, "inception-64")
    assert found["fid"] == pytest.approx(direct["fid"], abs=1e-6)
    assert found["n_real"] is None
    with pytest.raises(InputError, match=r"theirs\.npz must be of 192 features.*Got 64"):
        row(images, theirs, weights, tmp_path, "inception-192")
    clean = ExtractorSpec(name="inception-64", weights=weights, resize="clean")
    with pytest.raises(InputError, match="Their resize is 'pytorch-fid' instead of 'clean'"):
        score([images], saved, extractor=clean, protocol=ScoreProtocol(metrics=("fid",)))


def test_statistics_alone_score_as_with_the_weights_that_made_them(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    files = [tmp_path / "one.npz", tmp_path / "other.npz"]
    for seed, path in enumerate(files):
        images = folder(tmp_path / path.stem, 6, seed)
        row(images, images, weights, tmp_path, "inception-64", save=path)
    direct = row(images, files[0], weights, tmp_path, "inception-64")
    for given in (weights, None):
        found = row(files[1], files[0], given, tmp_path, "inception-64")
        assert found["fid"] == pytest.approx(direct["fid"], rel=1e-9)
        assert found["weights_sha256"] == direct["weights_sha256"]
        assert found["official"] is False
    # Images are compared by the weights that are named, and statistics must be of these.
    state = torch.load(weights, weights_only=True)
    torch.save({**state, "fc.bias": state["fc.bias"] + 1}, tmp_path / "changed.pth")
    with pytest.raises(InputError, match=r"one\.npz must be of the same .* Their weights_sha256"):
        row(images, files[0], tmp_path / "changed.pth", tmp_path, "inception-64")


def test_images_of_many_sizes_and_grey_ones_are_scored_and_noted(weights, tmp_path):
    path = folder(tmp_path / "mixed", 4, 3)
    for number, size in enumerate(((20, 30), (64, 40))):
        Image.new("L", size, 90).save(path / f"grey-{number}.png")
    metrics = ("fid", "kid")
    found = row(path, path, weights, tmp_path, "inception-64", metrics)
    assert found["fid"] == pytest.approx(0, abs=1e-6)
    assert found["isc_mean"] is None
    grey = torch.randint(256, (6, 1, 8, 8), generator=stream(1), dtype=torch.uint8)
    (scored,) = score(
        [grey],
        path,
        protocol=ScoreProtocol(metrics=("fid",)),
        extractor=ExtractorSpec(name="inception-64", weights=weights),
        store=tmp_path / "store",
        out=tmp_path / "out",
    )
    config = scored.record.config
    assert config["fake"]["notes"] == ["model 1: grey images are repeated to three channels"]
    assert any("20x30 to 64x40" in note for note in config["real"]["notes"])


@pytest.mark.usefixtures("patched")
def test_the_inception_score_is_that_of_the_classes_of_pytorch_fids_features(weights, tmp_path):
    """The classifier's last layer, without its bias; of one split the order does not matter."""
    images = folder(tmp_path / "images", 5, 1)
    network = reference.InceptionV3([reference.InceptionV3.BLOCK_INDEX_BY_DIM[2048]])
    rows = fid_score.get_activations(sorted(images.iterdir()), network, 5, 2048, "cpu", 0)
    classes = torch.load(weights, weights_only=True)["fc.weight"].numpy()
    expected = inception_score(rows @ classes.T, splits=1).mean
    found = row(images, images, weights, tmp_path, "inception", ("isc",), splits=1)
    assert expected > 1.1
    assert found["isc_mean"] == pytest.approx(expected, rel=1e-3)
    assert found["fid"] is None


def test_logits_are_not_kept_for_the_inception_score():
    seen: list[weakref.ref[Tensor]] = []

    def logits(rows: Tensor) -> Tensor:
        assert sum(each() is not None for each in seen) <= 1
        made = rows * 2
        seen.append(weakref.ref(made))
        return made

    rows = torch.randn(4500, 3, generator=stream(1)).numpy()
    side = Features(rows=rows)
    found = figures(ScoreProtocol(metrics=("isc",)), real=side, fake=side, logits=logits)
    assert len(seen) == 5
    order = torch.randperm(4500, generator=stream(0, "isc")).numpy()
    assert found["isc_mean"] == pytest.approx(inception_score(2 * rows[order]).mean, rel=1e-12)


def test_bf16_is_near_and_says_so(weights):
    images = torch.randint(256, (2, 3, 16, 16), generator=stream(1), dtype=torch.uint8)
    exact, rounded = (
        Inception(weights, dims=64, precision=precision) for precision in ("32", "bf16")
    )
    rows: list[Tensor] = [extractor(images) for extractor in (exact, rounded)]
    assert rows[1].dtype == torch.float32
    assert not torch.equal(*rows)
    assert torch.allclose(*rows, rtol=0.05, atol=0.02)
    assert exact.identity != rounded.identity
