"""The .npz convention: what is written comes back; what breaks the convention is said by key."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib import format as npy

from gan_eval.data import arrays, open_images
from gan_eval.errors import InputError

GREY = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
COLOUR = np.arange(5 * 4 * 4 * 3, dtype=np.uint8).reshape(5, 4, 4, 3)


def made(path: Path, **arrays: Any) -> str:
    np.savez(path / "made.npz", **arrays)
    return str(path / "made.npz")


def shaped(*shape: int) -> dict[str, Any]:
    return {"train_images": np.zeros(shape, np.uint8)}


def test_grey_and_colour_images_with_labels(tmp_path: Path):
    labels = np.array([0, 1, 2, 0, 1, 2])
    data = made(
        tmp_path,
        train_images=GREY,
        train_labels=labels[:, None],
        test_images=COLOUR,
        class_names=np.array(["a", "b", "c"]),
    )
    found = open_images(data, root=None)
    assert np.array_equal(found.pixels[:, 0], GREY)
    assert torch.equal(found.labels, torch.from_numpy(labels))
    assert (found.name, found.source, found.class_names) == ("made", "made.npz", ("a", "b", "c"))
    test = open_images(data, root=None, split="test")
    assert np.array_equal(test.pixels.permute(0, 2, 3, 1), COLOUR)
    assert (test.channels, test.labels, test.num_classes) == (3, None, 0)


def test_several_labels_an_image_are_attributes(tmp_path: Path):
    several = np.arange(6 * 3).reshape(6, 3) % 2
    found = open_images(made(tmp_path, train_images=GREY, train_labels=several), root=None)
    assert found.labels is None
    assert np.array_equal(found.attributes, several)
    assert found.attribute_names == ("attribute 0", "attribute 1", "attribute 2")


def test_compressed_and_fortran_arrays_are_the_same_set(tmp_path: Path):
    plain = open_images(made(tmp_path, train_images=COLOUR), root=None)
    fortran = open_images(made(tmp_path, train_images=np.asfortranarray(COLOUR)), root=None)
    np.savez_compressed(tmp_path / "packed.npz", train_images=COLOUR)
    packed = open_images(str(tmp_path / "packed.npz"), root=None)
    assert plain.fingerprint == fortran.fingerprint == packed.fingerprint


def test_classes_are_counted_over_all_splits_and_before_the_limit(tmp_path: Path):
    data = made(
        tmp_path,
        train_images=GREY,
        train_labels=np.array([0, 1, 1, 0, 3, 0]),
        test_images=GREY[:1],
        test_labels=np.array([5]),
    )
    found = open_images(data, root=None, limit=2)
    assert (len(found), found.labels.tolist(), found.num_classes) == (2, [0, 1], 6)


def test_attributes(tmp_path: Path):
    flags = np.eye(6, 2, dtype=np.uint8)
    names = np.array(["smiling", "male"])
    data = made(tmp_path, train_images=GREY, train_attributes=flags, attribute_names=names)
    found = open_images(data, root=None, limit=3)
    assert found.attributes.tolist() == [[True, False], [False, True], [False, False]]
    assert found.attribute_names == ("smiling", "male")


def test_the_fingerprint_tells_pixels_and_labels_apart(tmp_path: Path):
    labels = np.zeros(6, int)
    sets = [
        {"train_images": GREY, "train_labels": labels},
        {"train_images": GREY, "train_labels": labels + 1},
        {"train_images": GREY + 1, "train_labels": labels},
        {"train_images": GREY},
    ]
    prints = [open_images(made(tmp_path, **one), root=None).fingerprint for one in sets]
    assert len(set(prints)) == 4
    assert prints[0] == open_images(made(tmp_path, **sets[0]), root=None).fingerprint
    assert all(text.startswith("pixels-sha256:") for text in prints)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train_images": GREY / 255}, r"'train_images' .* must be uint8 .* Got float64"),
        (shaped(2, 3, 8, 8), r"Got \(2, 3, 8, 8\); transpose it so that channels come last"),
        (
            shaped(2, 8, 8, 4),
            r"Got \(2, 8, 8, 4\), with an alpha .*; drop it, as in x\[\.\.\., :3\]",
        ),
        (shaped(2, 8, 8, 2), r"Got \(2, 8, 8, 2\); make it grey or coloured"),
        (shaped(0, 8, 8), r"no empty axis. Got \(0, 8, 8\); look at what made it"),
        (shaped(), r"Got \(\); look at what made it"),
        ({"images": GREY}, r"must have a key 'train_images' .* Got images"),
        (
            {"train_images": GREY, "train_labels": np.zeros(6)},
            r"'train_labels' .* must be whole numbers from 0. Got float64",
        ),
        (
            {"train_images": GREY, "train_labels": np.zeros(5, int)},
            r"must have shape \(6,\) or \(6, 1\). Got \(5,\)",
        ),
        (
            {"train_images": GREY, "train_labels": np.eye(6)},
            r"'train_labels' .* must be 0 or 1, .*Got float64; convert it to an integer dtype",
        ),
        (
            {"train_images": GREY, "train_labels": np.full((6, 14), 2)},
            r"'train_labels' .* must be 0 or 1. Got 2 to 2",
        ),
        (
            {"train_images": GREY, "train_labels": np.full(6, -1)},
            r"must be whole numbers from 0. Got -1",
        ),
        (
            {"train_images": GREY, "train_labels": np.full(6, 2**40)},
            r"must be numbers of classes, below 65,536. Got 1099511627776",
        ),
        (
            {
                "train_images": GREY,
                "train_labels": np.full(6, 2),
                "class_names": np.array(["a", "b"]),
            },
            r"must name every label up to 2. Got 2 names",
        ),
        (
            {"train_images": GREY, "train_attributes": np.full((6, 2), 7)},
            r"'train_attributes' .* must be 0 or 1. Got 7 to 7",
        ),
        (
            {"train_images": GREY, "train_attributes": np.zeros((2, 6), int)},
            r"must have shape \(6, k\). Got \(2, 6\); save one row an image",
        ),
        (
            {
                "train_images": GREY,
                "train_attributes": np.zeros((6, 2), int),
                "attribute_names": np.array(["a"]),
            },
            r"must name each of the 2 columns .* Got 1 names",
        ),
        (
            {"train_images": GREY, "class_names": np.array([b"a"])},
            r"'class_names' .* must be a list of texts",
        ),
    ],
)
def test_broken_conventions(tmp_path: Path, given: dict[str, Any], message: str):
    if "class_names" in given and "train_labels" not in given:
        given = {**given, "train_labels": np.zeros(6, int)}
    with pytest.raises(InputError, match=message):
        open_images(made(tmp_path, **given), root=None)


def test_python_objects_are_refused_unread(tmp_path: Path):
    data = made(tmp_path, train_images=np.array([GREY, None], dtype=object))
    with pytest.raises(InputError, match=r"'train_images' in .* Got Python objects"):
        open_images(data, root=None)


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_a_file_cut_short_is_refused(tmp_path: Path, keep: int):
    path = Path(made(tmp_path, train_images=GREY))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"made.npz must be a whole .npz file"):
        open_images(str(path), root=None)


def test_a_compressed_array_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    np.savez_compressed(tmp_path / "packed.npz", train_images=GREY)
    monkeypatch.setattr(arrays, "available_memory", lambda: 50)
    with pytest.raises(InputError, match=r"must fit into memory, for it is compressed"):
        open_images(str(tmp_path / "packed.npz"), root=None)


def test_an_array_shorter_than_its_header_says_is_refused(tmp_path):
    header = io.BytesIO()
    npy.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (20, 8, 8)}
    )
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive:
        archive.writestr("train_images.npy", header.getvalue() + bytes(5 * 64))
        archive.writestr("more.npy", header.getvalue() + bytes(20 * 64))
    with pytest.raises(InputError, match=r"'train_images' .* whole array. It has 320 bytes for"):
        open_images(str(tmp_path / "short.npz"), root=None)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damage_anywhere_is_refused_or_changes_nothing(tmp_path: Path, save: Any):
    path, labels = tmp_path / "damaged.npz", np.zeros(6, np.uint8)
    save(path, train_images=np.zeros((6, 4, 4), np.uint8), train_labels=labels)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([255 - whole[place]]) + whole[place + 1 :])
        with suppress(InputError):
            arrays.check_whole(path)
            open_images(str(path), root=None)


def member(path: Path, shape: tuple[int, ...], descr: str, held: int) -> Path:
    """Write an .npz of one array that says of itself what is not so."""
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", header.getvalue() + bytes(held))
    return path


def test_a_header_that_is_no_python_is_refused(tmp_path: Path):
    path = member(tmp_path / "odd.npz", (4, 8, 8), "|u1", 256)
    path.write_bytes(path.read_bytes().replace(b"{'descr'", b"  x\n y  "))
    with pytest.raises(InputError, match=r"odd\.npz must be a whole \.npz file"):
        arrays.read_members(path)


@pytest.mark.parametrize("shape", [(-4, -8, 8), (True, 8, 8)])
def test_lengths_that_are_none_are_refused(tmp_path: Path, shape: tuple[int, ...]):
    path = member(tmp_path / "odd.npz", shape, "|u1", abs(int(np.prod(shape))))
    with pytest.raises(InputError, match=r"odd\.npz must be a whole \.npz file.* has shape"):
        arrays.read_members(path)


def test_more_names_than_there_can_be_classes_are_refused_unread(tmp_path: Path):
    path = member(tmp_path / "names.npz", (10**6,), "<U0", 0)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("class_names.npy", archive.read("train_images.npy"))
    with pytest.raises(InputError, match=r"a list of texts, 65,536 at most\. Got <U0"):
        arrays._texts(path, arrays.read_members(path), "class_names")
