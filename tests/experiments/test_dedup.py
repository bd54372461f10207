"""Duplicates are found, distinct images are left alone, and both are measured."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from gan_eval.data import open_images
from gan_eval.errors import InputError
from gan_eval.experiments import dedup as module
from gan_eval.experiments.dedup import dedup
from gan_eval.experiments.planted import COPIES, LARGEST_RADIUS, Trial, likeness
from gan_eval.seeding import stream
from gan_eval.training import autoencoder

SIDE = 36
DISTINCT = 60
# Which of them come again, after the others: the first as it is, the second as a JPEG.
TWICE, JPEG = 7, 3


@pytest.fixture(autouse=True)
def short(monkeypatch) -> None:
    monkeypatch.setattr(autoencoder, "_STEPS", 40)


@pytest.fixture(scope="module")
def smooth() -> torch.Tensor:
    """Distinct smooth images, uint8 (60, 3, 36, 36)."""
    coarse = torch.rand(DISTINCT, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")
    return (fine * 255).clamp(0, 255).to(torch.uint8)


@pytest.fixture
def data(smooth, tmp_path) -> Path:
    again = (smooth[TWICE : TWICE + 1], COPIES["jpeg"](smooth[JPEG : JPEG + 1]))
    images = torch.cat([smooth, *again]).permute(0, 2, 3, 1).numpy()
    rows = np.arange(len(images))
    path = tmp_path / "some.npz"
    np.savez(
        path,
        train_images=images,
        train_labels=rows % 3,
        train_attributes=np.stack([rows % 2, rows % 5 == 0], 1).astype(np.uint8),
        class_names=np.array(["a", "b", "c"]),
        attribute_names=np.array(["odd", "five"]),
        test_images=images[:5],
        test_labels=rows[:5] % 3,
    )
    return path


def test_duplicates_are_found_and_left_out_of_what_is_written(data, tmp_path):
    before = data.read_bytes()
    found = dedup(str(data), radius=12, write=tmp_path / "kept.npz", out=tmp_path / "out")
    result = found.record.result
    assert result["groups"] == [[JPEG, DISTINCT + 1], [TWICE, DISTINCT]]
    assert result["duplicates"] == 2
    assert data.read_bytes() == before
    whole, kept = (open_images(str(path), root=None) for path in (data, tmp_path / "kept.npz"))
    assert torch.equal(kept.pixels, whole.pixels[:DISTINCT])
    assert torch.equal(kept.labels, whole.labels[:DISTINCT])
    assert torch.equal(kept.attributes, whole.attributes[:DISTINCT])
    assert (kept.class_names, kept.attribute_names) == (("a", "b", "c"), ("odd", "five"))
    tests = (open_images(str(each), root=None, split="test") for each in (data, found.files[-1]))
    assert len({images.fingerprint for images in tests}) == 1


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_else_is_in_the_file_goes_along(data, tmp_path, save):
    """Rows of duplicates are left out of all that has one for each training image, by its name."""
    n = DISTINCT + 2
    with np.load(data) as archive:
        arrays = dict(archive)
    arrays |= {
        "train_images": np.asfortranarray(arrays["train_images"]),
        "train_labels": arrays["train_labels"].astype(np.uint8)[:, None],
        "train_ids": np.array([f"photo {row}" for row in range(n)]),
        "train_boxes": np.arange(n * 4).reshape(n, 4) / 8,
        "train_mean": np.arange(36.0 * 36),
        "train_extra_images": arrays["train_images"][::-1].copy(),
        "train_extra_ids": np.arange(n),
        "extra_images": arrays["test_images"],
        "version": np.array(3),
        "numbers": np.arange(n),
    }
    save(tmp_path / "rich.npz", **arrays)
    kept = tmp_path / "kept.npz"
    rich, out = str(tmp_path / "rich.npz"), tmp_path / "out"
    record = dedup(rich, radius=12, write=kept, out=out).record
    thinned = {name for name in arrays if name.startswith("train_")}
    thinned -= {"train_mean", "train_extra_images", "train_extra_ids"}
    with np.load(kept) as found:
        assert set(found) == set(arrays)
        for key, whole in arrays.items():
            expected = whole[:DISTINCT] if key in thinned else whole
            assert (found[key].dtype, found[key].shape) == (expected.dtype, expected.shape), key
            assert (found[key] == expected).all(), key
    (advice,) = (text for text in record.advice if "went along whole" in text)
    assert advice.startswith("numbers of ")


def test_a_named_npz_under_the_root_goes_along_whole_too(data, tmp_path):
    with np.load(data) as archive:
        np.savez(tmp_path / "mine.npz", train_ids=np.arange(DISTINCT + 2), **archive)
    out = tmp_path / "out"
    dedup("mine", root=tmp_path, radius=12, write=tmp_path / "kept.npz", out=out)
    with np.load(tmp_path / "kept.npz") as found:
        assert found["train_ids"].tolist() == list(range(DISTINCT))


def test_pickled_arrays_are_refused_and_never_loaded(data, tmp_path):
    with np.load(data) as archive:
        np.savez(tmp_path / "bad.npz", train_notes=np.array([None] * (DISTINCT + 2)), **archive)
    with pytest.raises(InputError, match=r"'train_notes' in .* Got Python objects"):
        dedup(str(tmp_path / "bad.npz"), write=tmp_path / "kept.npz", out=tmp_path / "out")
    assert not (tmp_path / "kept.npz").exists()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_array_that_is_damaged_comes_to_light_before_the_work(data, tmp_path, save):
    """Also one that nobody looks at, but that would go along."""
    notes = np.random.default_rng(0).integers(0, 256, 4000, np.uint8)
    with np.load(data) as archive:
        save(tmp_path / "bad.npz", **archive, notes=notes)
    with zipfile.ZipFile(tmp_path / "bad.npz") as archive:
        place = archive.getinfo("notes.npy").header_offset + 2000
    content = bytearray((tmp_path / "bad.npz").read_bytes())
    content[place] ^= 1
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.npz must be whole to be written again"):
        dedup(str(tmp_path / "bad.npz"), write=tmp_path / "kept.npz", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_part_that_cannot_be_read_is_not_left_out_in_silence(tmp_path):
    for part, count in (("train", 20), ("test", 2)):
        (tmp_path / "photos" / part).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"photos/{part}/{number}.png")
    Image.new("RGB", (40, 32)).save(tmp_path / "photos/test/wide.png")
    with pytest.raises(InputError, match="--write takes squares of one size"):
        dedup(str(tmp_path / "photos"), write=tmp_path / "new.npz", out=tmp_path / "out")
    assert not (tmp_path / "new.npz").exists()


def test_labels_of_all_parts_are_written_by_the_same_names(smooth, tmp_path):
    folder, new = tmp_path / "photos", tmp_path / "new.npz"
    for part, names in (("train", "abc"), ("test", "ac")):
        for number, picture in enumerate(smooth[: 8 * len(names)]):
            path = folder / part / names[number // 8] / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path)
    dedup(str(folder), radius=0, write=new, out=tmp_path)
    test = open_images(str(new), root=None, split="test")
    assert [test.class_names[label] for label in test.labels] == ["a"] * 8 + ["c"] * 8
    (folder / "test/b").mkdir()
    (folder / "test/a").rename(folder / "test/other")
    with pytest.raises(InputError, match=r"same classes.*differs from the training part in other;"):
        dedup(str(folder), radius=0, write=tmp_path / "newer.npz", out=tmp_path)


def test_a_part_without_labels_is_written_beside_labelled_ones(smooth, tmp_path):
    for number, picture in enumerate(smooth[:20]):
        for where in (f"train/{'ab'[number % 2]}", "test"):
            path = tmp_path / "photos" / where / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path)
    new = tmp_path / "new.npz"
    dedup(str(tmp_path / "photos"), radius=0, write=new, out=tmp_path)
    assert open_images(str(new), root=None, split="test").labels is None


def test_few_images_are_no_evidence_of_few_false_positives():
    few, many = (trial([3], [60] * n) for n in (299, 300))
    assert "299 images cannot show that fewer than 1% land" in module._advice(few, 3)[0]
    assert "equal hashes alone count" in module._advice(few, 0)[0]
    assert "do not trust the groups" in module._advice(trial([3], [0] * 99), 0)[0]
    assert module._advice(many, 3) == ()
    assert [each.choose() for each in (few, many)] == [0, 3]


def test_a_seed_gives_the_same_groups_and_scores(data, tmp_path):
    one, again = (dedup(str(data), seed=3, out=tmp_path / name).record for name in ("a", "b"))
    assert one.result == again.result
    assert one.controls == again.controls


def test_real_duplicates_are_not_taken_for_chance(smooth, tmp_path):
    again = torch.cat([smooth, COPIES["jpeg"](smooth)]).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "twice.npz", train_images=again)
    found = dedup(str(tmp_path / "twice.npz"), out=tmp_path / "out").record.result["by_radius"][8]
    assert found["false_positive_rate"] > 0.5
    assert found["false_positive_estimate"] < 0.1


def test_the_control_is_of_the_untrained_hash(data, tmp_path, monkeypatch):
    """One that is the same for all images takes all for copies of the first, at radius 0."""

    class Blank:
        def to(self, device: str) -> "Blank":
            return self

        def hashes(self, images: torch.Tensor) -> np.ndarray:
            return np.zeros((len(images), 16), np.uint8)

    monkeypatch.setattr(module, "untrained_autoencoder", lambda *_, **__: Blank())
    record = dedup(str(data), out=tmp_path).record
    control = record.controls["untrained"]
    assert (control["duplicates"], control["radius"]) == (DISTINCT + 1, 0)
    assert control["planted_recall"] == control["false_positive_rate"] == 1
    assert record.result["false_positive_rate"] < 1


def test_a_radius_is_taken_as_it_is_and_0_means_equal_hashes(data, tmp_path):
    record = dedup(str(data), radius=0, out=tmp_path).record
    assert [TWICE, DISTINCT] in record.result["groups"]
    assert record.result["radius"] == 0
    scores = {key: record.result[key] for key in record.controls["equal hashes"]}
    assert scores == record.controls["equal hashes"]
    # Planted copies have hashes of their own.
    assert 0 < scores["planted_recall"] < record.result["by_radius"][-1]["planted_recall"]


def test_without_duplicates_there_is_no_figure(smooth, tmp_path):
    path = tmp_path / "plain.npz"
    np.savez(path, train_images=smooth.permute(0, 2, 3, 1).numpy())
    found = dedup(str(path), radius=0, out=tmp_path)
    assert found.record.result["groups"] == []
    assert {file.suffix for file in found.files} == {".jsonl", ".json"}


def test_images_of_many_sizes_are_searched_but_not_written(smooth, tmp_path):
    (tmp_path / "folder").mkdir()
    for number in range(9):
        picture = smooth[number % 8].permute(1, 2, 0).numpy()[: SIDE - number % 8]
        Image.fromarray(picture).save(tmp_path / "folder" / f"{number}.png")
    folder, out = str(tmp_path / "folder"), tmp_path / "out"
    with pytest.raises(InputError, match="--write takes squares of one size; leave it out"):
        dedup(folder, write=tmp_path / "kept.npz", out=out)
    assert not out.exists()
    found = dedup(folder, radius=0, out=out)
    assert [0, 8] in found.record.result["groups"]
    listed = json.loads((out / "dedup-folder-groups.json").read_text())
    assert listed["files"][listed["groups"].index([0, 8])] == ["0.png", "8.png"]


@pytest.mark.parametrize("kind", COPIES)
def test_copies_differ_from_their_originals_but_are_like_them(smooth, kind):
    copies = COPIES[kind](smooth)
    assert (copies.shape, copies.dtype) == (smooth.shape, torch.uint8)
    assert all(not torch.equal(a, b) for a, b in zip(copies, smooth, strict=True))
    alike = likeness(smooth, copies)
    assert alike.min() > 0.98
    assert likeness(smooth, smooth.roll(1, 0)).max() < alike.min()


def test_copies_are_as_unlike_their_originals_as_is_said(smooth):
    grey = torch.full_like(smooth, 100)
    assert COPIES["brightness"](grey).unique().tolist() == [110]
    noise = torch.randint(256, (1, 3, 32, 32), generator=stream(0, "noise"), dtype=torch.uint8)
    file = io.BytesIO()
    Image.fromarray(noise[0].permute(1, 2, 0).numpy()).save(file, format="JPEG", quality=75)
    with Image.open(file) as picture:
        assert np.array_equal(COPIES["jpeg"](noise)[0].permute(1, 2, 0), np.array(picture))
    small = functional.interpolate(noise.float(), (24, 24), mode="bilinear", antialias=True)
    again = functional.interpolate(small.round(), (32, 32), mode="bilinear")
    assert (COPIES["resize"](noise) - again).abs().max() <= 2


def test_blank_images_are_alike_and_unlike_others(smooth):
    blank = torch.full_like(smooth, 90)
    assert likeness(blank, blank).min() > 0.99
    assert likeness(blank, smooth).abs().max() < 0.5


def trial(planted: list[int], others: list[int], real: int = 0, alike: int | None = None) -> Trial:
    """A trial of one kind of copy, in which the first `real` of `others` are real duplicates.

    The first `alike` look so; None where nobody can tell.
    """
    rows = np.arange(len(others))
    return Trial(
        planted={"crop": np.array(planted)},
        others=np.array(others),
        distinct=rows >= real,
        unlike=None if alike is None else rows >= alike,
    )


class TestTrial:
    def test_rates_are_shares_within_the_radius(self):
        found = trial([0, 2, 4, 30], [1, 3, 3, 40, 50], real=2).at(3)
        assert found["planted_recall"] == found["planted_recall_by_kind"]["crop"] == 2 / 4
        assert found["false_positive_rate"] == 3 / 5
        assert found["false_positive_estimate"] == 1 / 5

    def test_the_radius_stops_before_one_in_a_hundred(self):
        # At 9 bits 5 of 1,000, and 2 standard errors, are 0.0095; at 10 bits 6 are 0.0109.
        others = [*range(5, 10), 10, *[60] * 994]
        assert trial([3, 9, 10, 20], others).choose() == 9

    def test_a_larger_radius_that_finds_no_more_copies_is_not_taken(self):
        assert trial([0, 2, 4, 30], [60] * 1000).choose() == 4
        assert trial([40], [60] * 1000).choose() == 0

    def test_false_ones_are_counted_of_those_that_are_called(self):
        found = trial([0, 0], [1, 2, 3, 3, 40], real=1, alike=3)
        assert [found.at(r)["false_of_called"] for r in (2, 3, 40)] == [0, 1 / 4, 2 / 5]
        assert found.at(0)["false_of_called"] is None  # of none
        assert trial([0], [1, 2]).at(2)["false_of_called"] is None
        assert [each.at(3)["false_of_called"] for each in found.halves()] == [0, 1 / 2]

    def test_one_half_chooses_and_the_other_is_reported(self):
        one, other = trial([1, 20, 2, 21], [9, 3, 60, 4], real=2).halves()
        assert [each.planted["crop"].tolist() for each in (one, other)] == [[1, 2], [20, 21]]
        assert [each.others.tolist() for each in (one, other)] == [[9, 60], [3, 4]]
        assert [each.distinct.tolist() for each in (one, other)] == [[False, True]] * 2

    def test_real_duplicates_do_not_keep_it_small(self):
        others = [0] * 200 + [60] * 800
        assert trial([8], others).choose() == 0
        assert trial([8], others, real=200).choose() == 8

    def test_it_is_never_beyond_what_can_be_searched(self):
        assert trial([LARGEST_RADIUS, LARGEST_RADIUS + 1], [60] * 1000).choose() == LARGEST_RADIUS
