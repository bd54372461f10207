"""Names: which place wins, what is said when nothing is there, and the inventory."""

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from gan_eval.data import DATA_NAMES, inventory, open_images
from gan_eval.data.registry import path_of
from gan_eval.errors import InputError


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAN_EVAL_DATA", raising=False)


def npz(path: Path, value: int = 0, count: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, train_images=np.full((count, 8, 8), value, np.uint8))


def mnist(root: Path, value: int) -> None:
    raw = root / "MNIST/raw"
    raw.mkdir(parents=True)
    images = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 28, 28) + bytes([value]) * (2 * 28 * 28)
    (raw / "train-images-idx3-ubyte").write_bytes(images)
    (raw / "train-labels-idx1-ubyte").write_bytes(struct.pack(">BBBBI2B", 0, 0, 8, 1, 2, 0, 1))


def test_digits_need_no_root_and_their_splits_part_the_whole():
    parts = {split: open_images("digits", root=None, split=split) for split in ("train", "test")}
    whole = open_images("digits", root=None, split="all")
    assert torch.equal(torch.cat([part.pixels for part in parts.values()]), whole.pixels)
    assert torch.equal(torch.cat([part.labels for part in parts.values()]), whole.labels)
    assert len(parts["train"]) == 1437
    published = torch.from_numpy(load_digits().images)
    assert torch.equal((whole.pixels[:, 0] * (16 / 255)).round(), published)
    assert (whole.pixels.min(), whole.pixels.max()) == (0, 255)


def test_digits_resized_up_and_in_colour():
    found = open_images("digits", root=None, size=32, channels=3, limit=5)
    assert found.pixels.shape == (5, 3, 32, 32)
    assert torch.equal(found.pixels[:, 0], found.pixels[:, 2])
    assert (found.native, found.fit) == ((1, 8, 8), "crop")
    assert len(found.notes) == 2


def test_the_official_layout_wins_over_the_npz(tmp_path: Path):
    npz(tmp_path / "mnist.npz", 7)
    assert open_images("mnist", root=tmp_path).source == "mnist.npz"
    mnist(tmp_path, 9)
    found = open_images("mnist", root=tmp_path)
    assert (found.source, int(found.pixels[0, 0, 0, 0])) == ("MNIST/raw (official)", 9)


def test_a_name_wins_over_a_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    npz(tmp_path / "root/mine.npz", 1)
    npz(tmp_path / "mine/a.npz", 2)
    assert open_images("mine", root=tmp_path / "root").source == "mine.npz"
    assert open_images("mine/a.npz", root=None).pixels[0, 0, 0, 0] == 2


def test_the_variable_names_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    npz(tmp_path / "mine.npz", 4)
    monkeypatch.setenv("GAN_EVAL_DATA", str(tmp_path))
    assert open_images("mine", root=None).pixels[0, 0, 0, 0] == 4


def test_an_unknown_name_suggests_the_closest(tmp_path: Path):
    npz(tmp_path / "svhn10k.npz")
    with pytest.raises(InputError, match=r"Got 'cifar'. Did you mean 'cifar10'\?"):
        open_images("cifar", root=None)
    with pytest.raises(InputError, match=r"Did you mean 'svhn10k'\?"):
        open_images("svhn_10k", root=tmp_path)


def test_what_is_missing_is_said_with_its_place(tmp_path: Path):
    with pytest.raises(InputError, match=r"put cifar-10-batches-py.*--data-root or GAN_EVAL_DATA"):
        open_images("cifar10", root=None)
    with pytest.raises(InputError, match=r"put celeba/.*list_attr_celeba.txt.*, or celeba.npz"):
        open_images("celeba", root=tmp_path)
    with pytest.raises(InputError, match=r"data root must be a folder. Got .*nowhere"):
        open_images("mnist", root=tmp_path / "nowhere")


def test_paths_that_lead_nowhere(tmp_path: Path):
    for data in (str(tmp_path / "gone"), "gone.npz"):
        with pytest.raises(InputError, match=r"which does not exist; check the path"):
            open_images(data, root=None)
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(InputError, match=r"Got the file .*a.csv"):
        open_images(str(tmp_path / "a.csv"), root=None)


def test_a_name_does_not_climb_out_of_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    npz(tmp_path / "outside.npz")
    (tmp_path / "root").mkdir()
    monkeypatch.chdir(tmp_path / "root")
    with pytest.raises(InputError, match="does not exist"):
        open_images("../outside", root=tmp_path / "root")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be at least 1 pixel. Got 0"),
        ({"channels": 2}, r"channels must be 1 \(grey\) or 3 \(colour\). Got 2"),
        ({"fit": "squash"}, "fit must be 'crop' or 'pad'. Got 'squash'"),
        ({"limit": 0}, "limit must be at least 1 image. Got 0"),
        ({"split": "val"}, "split must be one that 'digits' has: train, test, all. Got 'val'"),
    ],
)
def test_options_out_of_range(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        open_images("digits", root=None, **options)


def test_a_set_is_streamed_when_it_does_not_fit(tmp_path: Path):
    np.savez(tmp_path / "a.npz", train_images=np.zeros((10, 8, 8, 3), np.uint8))
    data, needed = str(tmp_path / "a.npz"), 10 * 3 * 8 * 8
    assert open_images(data, root=None, memory=needed).stream is None
    streamed = open_images(data, root=None, memory=needed - 1)
    assert streamed.pixels is None
    assert streamed.stream[3].shape == (3, 8, 8)
    assert streamed.fingerprint.startswith("names-sha256:")


def test_pixels_that_are_in_memory_are_not_copied_beyond_the_limit():
    held, streamed = (open_images("digits", root=None, memory=memory) for memory in (None, 0))
    assert streamed.pixels is None
    assert torch.equal(streamed.take(range(9)), held.take(range(9)))


def test_the_inventory_lists_every_name_and_every_other_npz(tmp_path: Path):
    mnist(tmp_path, 1)
    npz(tmp_path / "cifar10.npz", count=4)
    npz(tmp_path / "mine.npz", count=5)
    (tmp_path / "broken.npz").write_text("x")
    # No files of that name, or no name.
    (tmp_path / "gone.npz").symlink_to("nowhere")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / ".npz").write_text("x")
    rows = {row["name"]: row for row in inventory(tmp_path)}
    assert tuple(rows) == (*DATA_NAMES, "broken", "mine")
    assert rows["mnist"]["splits"] == {"train": 2}
    assert rows["mnist"]["where"] == str(tmp_path / "MNIST/raw")
    assert (rows["cifar10"]["source"], rows["cifar10"]["splits"]) == ("cifar10.npz", {"train": 4})
    assert rows["mine"]["splits"] == {"train": 5}
    assert not rows["svhn"]["found"]
    assert "train,test,extra}_32x32.mat" in rows["svhn"]["needs"]
    assert not rows["broken"]["found"]
    assert "must be a whole .npz file" in rows["broken"]["needs"]


def test_without_a_root_only_the_digits_are_there():
    assert [row["name"] for row in inventory(None) if row["found"]] == ["digits"]


def test_streamed_images_of_another_form_have_another_fingerprint(tmp_path: Path):
    for number in range(3):
        Image.new("RGB", (6, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    forms = [{}, {"size": 6}, {"channels": 1}, {"fit": "pad"}]
    prints = {
        open_images(str(tmp_path), root=None, memory=0, **{"size": 8, **form}).fingerprint
        for form in forms
    }
    assert len(prints) == 4


def test_the_fingerprint_of_held_pixels_can_be_recomputed():
    found = open_images("digits", root=None)
    digest = hashlib.sha256(str(tuple(found.pixels.shape)).encode())
    digest.update(found.pixels.numpy().tobytes() + found.labels.numpy().tobytes())
    assert found.fingerprint == f"pixels-sha256:{digest.hexdigest()}"


def test_an_npz_under_the_root_goes_by_its_name_with_and_without_its_ending(tmp_path, monkeypatch):
    np.savez(tmp_path / "mine.npz", train_images=np.full((3, 8, 8), 7, np.uint8))
    monkeypatch.chdir(tmp_path.parent)
    found = [open_images(name, root=tmp_path) for name in ("mine", "mine.npz")]
    assert [images.name for images in found] == ["mine", "mine"]
    assert found[0].fingerprint == found[1].fingerprint
    with pytest.raises(InputError, match="does not exist"):
        open_images("other.npz", root=tmp_path)


def test_what_is_found_by_name_has_no_path_whatever_lies_in_the_current_folder(
    tmp_path, monkeypatch
):
    here, root = tmp_path / "here", tmp_path / "root"
    (here / "mine").mkdir(parents=True)
    root.mkdir()
    monkeypatch.chdir(here)
    assert path_of("mine", root) == here / "mine"
    np.savez(root / "mine.npz", train_images=np.zeros((3, 8, 8), np.uint8))
    assert path_of("mine", root) is None
    assert path_of(str(here / "mine"), root) == here / "mine"


def test_embedded_data_and_paths_need_no_root(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_EVAL_DATA", str(tmp_path / "gone"))
    np.savez(tmp_path / "mine.npz", train_images=np.zeros((3, 8, 8), np.uint8))
    assert len(open_images("digits", root=None)) == 1437
    assert len(open_images(str(tmp_path / "mine.npz"), root=None)) == 3
    with pytest.raises(InputError, match="the data root must be a folder"):
        open_images("mnist", root=None)
