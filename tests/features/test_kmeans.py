"""The k-means layer against a slow route, patch by patch in NumPy, and its protocol."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gan_eval.data import Images, open_images
from gan_eval.errors import InputError
from gan_eval.features import kmeans
from gan_eval.features.kmeans import KMeans, _normalised, _quadrants, _whitening
from gan_eval.seeding import stream


def colour(n: int, size: int) -> Images:
    """Return random smooth colour images, odd-sized where asked."""
    coarse = torch.rand(n, 3, 4, 4, generator=stream(3, "colour"))
    fine = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    return replace(
        open_images("digits", root=None),
        name="colour",
        pixels=fine.mul(255).round().to(torch.uint8),
        labels=None,
        fingerprint="pixels-sha256:colour",
    )


@pytest.fixture(scope="module")
def learned() -> tuple[KMeans, Images]:
    images = colour(300, 11)
    extractor = KMeans(images, maps=20, patch=4, patches=3000)
    extractor.prepare()
    return extractor, images


def slow_rows(extractor: KMeans, images: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return unstandardised features by the formulas of the paper, one patch at a time, float64."""
    side = extractor.identity["patch"]
    centre, whiten = extractor._centre.double().numpy(), extractor._whiten.double().numpy()
    centroids = extractor._lifted[:-2].double().numpy().T / -2
    rows = []
    for image in images.double().numpy():
        places = image.shape[1] - side + 1
        half = int(places / 2 + 0.5)
        pooled = np.zeros((2, 2, len(centroids)))
        for y in range(places):
            for x in range(places):
                patch = image[:, y : y + side, x : x + side].ravel()
                patch = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 10)
                patch = (patch - centre) @ whiten
                z = np.sqrt(((patch - centroids) ** 2).sum(1))
                pooled[int(y >= half), int(x >= half)] += np.maximum(0, z.mean() - z)
        rows.append(pooled.reshape(-1))
    return np.stack(rows)


def test_rows_agree_with_the_formulas_taken_patch_by_patch(learned: tuple[KMeans, Images]):
    extractor, images = learned
    some = images.take(range(3))
    slow = slow_rows(extractor, some)
    assert np.allclose(extractor._sums(some), slow, rtol=1e-4, atol=1e-3)
    standardised = (slow - extractor._mean.numpy()) / extractor._std.numpy()
    assert np.allclose(extractor(some), standardised, rtol=1e-3, atol=1e-3)


def test_features_are_standardised_on_the_training_images(learned: tuple[KMeans, Images]):
    extractor, images = learned
    sums = extractor._sums(images.take(range(len(images)))).double()
    assert torch.allclose(extractor._mean.double(), sums.mean(0), rtol=1e-4)
    expected = (sums.var(0) + 0.01).sqrt()
    assert torch.allclose(extractor._std.double(), expected, rtol=1e-4)


def test_whitened_patches_are_uncorrelated_with_variance_short_of_one(
    learned: tuple[KMeans, Images],
):
    extractor, _ = learned
    patches = torch.cat([_normalised(block) for block in extractor._draw()])
    centre, whiten = _whitening(patches)
    assert torch.allclose(whiten, whiten.T, atol=1e-5)
    cov = np.cov(((patches - centre) @ whiten).double().numpy(), rowvar=False)
    before = np.linalg.eigvalsh(np.cov(patches.double().numpy(), rowvar=False))
    assert np.allclose(np.linalg.eigvalsh(cov), np.sort(before / (before + 0.1)), atol=1e-3)


def test_brightness_and_contrast_are_taken_out_of_a_patch():
    patch = torch.rand(1, 48, generator=stream(0, "patch")) * 100 + 50
    assert torch.allclose(_normalised(patch), _normalised(patch + 40), atol=1e-4)
    assert torch.allclose(_normalised(patch), _normalised(patch * 1.3), atol=0.02)
    flat = torch.full((1, 48), 200.0)
    assert torch.equal(_normalised(flat), torch.zeros(1, 48))


def test_drawn_patches_are_cut_from_the_images_channel_major():
    images = colour(2, 7)
    extractor = KMeans(images, maps=2, patch=5, patches=18)
    every = {
        tuple(image[:, y : y + 5, x : x + 5].flatten().tolist())
        for image in images.take(range(2))
        for y in range(3)
        for x in range(3)
    }
    drawn = torch.cat(list(extractor._draw()))
    assert drawn.shape == (18, 75)
    assert {tuple(row.int().tolist()) for row in drawn} <= every


def test_patches_are_drawn_from_every_place():
    """Pixels say where they are, and so the first of a patch where that is."""
    place = torch.arange(49, dtype=torch.uint8).view(1, 1, 7, 7).expand(40, -1, -1, -1)
    images = replace(open_images("digits", root=None), pixels=place.contiguous(), labels=None)
    drawn = torch.cat(list(KMeans(images, maps=2, patch=5, patches=360)._draw()))
    assert {*drawn[:, 0].int().tolist()} == {7 * y + x for y in range(3) for x in range(3)}


def test_sorted_images_are_standardised_on_some_of_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kmeans, "_STANDARDISED_ON", 100)
    pixels = torch.randint(256, (1000, 1, 8, 8), generator=stream(0, "sorted"), dtype=torch.uint8)
    pixels[:500] = 0
    images = replace(open_images("digits", root=None), pixels=pixels, labels=None)
    extractor = KMeans(images, maps=4, patch=4, patches=2000)
    extractor.prepare()
    # Five standard errors of a hundred.
    assert extractor(pixels).mean(0).abs().max() < 0.5


def test_quadrants_part_every_place_once_and_the_first_half_is_the_larger():
    parts = _quadrants(3).reshape(4, 3, 3)
    assert torch.equal(parts.sum(0), torch.ones(3, 3))
    assert [int(part.sum()) for part in parts] == [4, 2, 2, 1]
    assert torch.equal(parts[1], torch.tensor([[0, 0, 1], [0, 0, 1], [0, 0, 0.0]]))


def test_grey_digits_with_flat_and_repeated_patches_give_finite_rows():
    images = open_images("digits", root=None, limit=60)
    extractor = KMeans(images, maps=16, seed=1)
    assert extractor.identity["patches"] == 60 * 9
    extractor.prepare()
    rows = extractor(torch.cat([images.take(range(4)), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)]))
    assert rows.shape == (5, extractor.width) == (5, 64)
    assert torch.isfinite(rows).all()


def test_all_images_alike_give_rows_of_zeros():
    images = replace(open_images("digits", root=None), pixels=torch.full((9, 1, 8, 8), 7).byte())
    extractor = KMeans(images, maps=3)
    extractor.prepare()
    assert torch.equal(extractor(images.take(range(2))), torch.zeros(2, 12))


def test_a_row_depends_neither_on_its_batch_nor_on_its_block(
    learned: tuple[KMeans, Images], monkeypatch: pytest.MonkeyPatch
):
    extractor, images = learned
    some = images.take(range(7))
    together = extractor(some)
    monkeypatch.setitem(kmeans._BLOCK, "cpu", 1)
    alone = torch.cat([extractor(image[None]) for image in some])
    assert torch.allclose(together, alone, atol=1e-4)


def test_one_seed_gives_one_dictionary_and_a_streamed_set_gives_the_same(
    learned: tuple[KMeans, Images],
):
    extractor, images = learned
    some = images.take(range(5))
    assert images.pixels is not None
    streamed = replace(images, pixels=None, stream=images.pixels)
    again = KMeans(streamed, maps=20, patch=4, patches=3000)
    again.prepare()
    assert torch.equal(again(some), extractor(some))
    again._learn = None  # type: ignore[method-assign, assignment]
    again.prepare()  # learns nothing a second time, as for the test part
    other = KMeans(images, maps=20, patch=4, patches=3000, seed=1)
    other.prepare()
    assert not torch.allclose(other(some), extractor(some))


def test_the_identity_changes_with_whatever_changes_a_row():
    images = colour(20, 11)
    plain: dict[str, Any] = {"maps": 20, "patch": 4, "patches": 500, "seed": 0}
    found = KMeans(images, **plain).identity
    assert json.loads(json.dumps(found)) == found
    assert found == KMeans(images, **plain).identity
    for change in ({"maps": 21}, {"patch": 5}, {"patches": 400}, {"seed": 1}):
        assert KMeans(images, **{**plain, **change}).identity != found
    assert images.pixels is not None
    other = replace(images, pixels=255 - images.pixels)
    assert KMeans(other, **plain).identity != found


def test_what_cannot_be_learned_is_refused():
    digits = open_images("digits", root=None, limit=10)
    with pytest.raises(InputError, match=r"patch must be from 2 to .* images, 8. Got 9; take"):
        KMeans(digits, patch=9)
    with pytest.raises(InputError, match=r"maps must be from 2 to .* patches, 90. Got 1600; ask"):
        KMeans(digits)


def test_patches_that_are_centroids_have_a_distance_of_zero_not_the_root_of_a_rounding_error():
    images = colour(4, 7)
    extractor = KMeans(images, maps=36, patch=5, patches=36)
    extractor._learn = lambda patches: patches  # type: ignore[method-assign]
    extractor.prepare()
    assert torch.isfinite(extractor(images.take(range(4)))).all()
