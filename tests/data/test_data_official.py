"""Each official layout, made small: what is written comes back, by name, through `open_images`."""

import gzip
import hashlib
import os
import pickle
import re
import struct
import tracemalloc
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from gan_eval.data import Feed, open_images
from gan_eval.errors import InputError

REAL = os.environ.get("GAN_EVAL_DATA")


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def idx_bytes(array: np.ndarray) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


def make_mnist(root: Path, folder: str = "MNIST") -> tuple[np.ndarray, np.ndarray]:
    images, labels = pixels(12, 28, 28), np.arange(12, dtype=np.uint8) % 10
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for prefix, part in (("train", slice(8)), ("t10k", slice(8, None))):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images[part]))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels[part]))
    return images, labels


@pytest.mark.parametrize(
    ("name", "reference"), [("mnist", datasets.MNIST), ("fashion-mnist", datasets.FashionMNIST)]
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_agrees_with_torchvision(tmp_path: Path, name: str, reference: type, split: str):
    make_mnist(tmp_path, reference.__name__)
    found = open_images(name, root=tmp_path, split=split)
    expected = reference(tmp_path, train=split == "train")
    assert torch.equal(found.pixels[:, 0], expected.data)
    assert torch.equal(found.labels, expected.targets)
    assert found.source == f"{reference.__name__}/raw (official)"
    assert (found.native, found.fit, found.num_classes) == ((1, 28, 28), None, 10)


def test_mnist_still_gzipped_is_read_and_nothing_is_written(tmp_path: Path):
    make_mnist(tmp_path)
    plain = open_images("mnist", root=tmp_path)
    for path in (tmp_path / "MNIST/raw").iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    before = sorted(tmp_path.rglob("*"))
    packed = open_images("mnist", root=tmp_path)
    assert packed.fingerprint == plain.fingerprint
    assert sorted(tmp_path.rglob("*")) == before


def test_mnist_cut_short_is_named(tmp_path: Path):
    make_mnist(tmp_path)
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte must be a whole idx file"):
        open_images("mnist", root=tmp_path)
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match=r"must be a whole idx file of bytes. Got the first bytes"):
        open_images("mnist", root=tmp_path)


def packed(path: Path, shape: tuple[int, ...], values: bytes) -> Path:
    """Write a gzipped idx file that says it is of this shape."""
    head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(head + values))
    return path


def test_of_mnist_that_is_too_long_no_more_is_unpacked_than_has_to_be(tmp_path: Path):
    packed(tmp_path / "MNIST/raw/train-images-idx3-ubyte.gz", (1, 2, 2), bytes(2 * 10**7))
    packed(tmp_path / "MNIST/raw/train-labels-idx1-ubyte.gz", (1,), bytes(1))
    tracemalloc.start()
    try:
        with pytest.raises(
            InputError, match=r"must be a whole idx file.* Got 5 values or more for"
        ):
            open_images("mnist", root=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(2**31, 2**31, 4), (2**20, 2**20, 4)])
def test_mnist_whose_shape_is_beyond_all_memory_is_refused(tmp_path: Path, shape: tuple[int, ...]):
    packed(tmp_path / "MNIST/raw/train-images-idx3-ubyte.gz", shape, b"")
    packed(tmp_path / "MNIST/raw/train-labels-idx1-ubyte.gz", (1,), bytes(1))
    with pytest.raises(InputError, match=r"must be a whole idx file of bytes\. Got"):
        open_images("mnist", root=tmp_path)


def test_mnist_of_no_image_is_refused(tmp_path: Path):
    images, labels = make_mnist(tmp_path)
    raw = tmp_path / "MNIST/raw"
    (raw / "train-images-idx3-ubyte").write_bytes(idx_bytes(images[:0]))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels[:0]))
    with pytest.raises(InputError, match=r"data 'mnist' must hold images. Its part 'train' holds"):
        open_images("mnist", root=tmp_path)


def test_mnist_without_its_labels_says_which_file(tmp_path: Path):
    make_mnist(tmp_path)
    (tmp_path / "MNIST/raw/train-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte \(or .gz\) must be there"):
        open_images("mnist", root=tmp_path)


@pytest.mark.skipif(
    not REAL or not Path(REAL, "MNIST/raw").is_dir(), reason="GAN_EVAL_DATA has no MNIST"
)
def test_real_mnist_is_the_published_one():
    found = open_images("mnist", root=None)
    head = struct.pack(">BBBB3I", 0, 0, 8, 3, 60000, 28, 28)
    digest = hashlib.md5(head + found.pixels.numpy().tobytes()).hexdigest()
    assert digest == "6bbc9ace898e44ae57da46a324031adb"
    assert torch.bincount(found.labels)[1] == 6742


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five batches of 4 images and a test batch of 3, with torchvision's checksums patched."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [f"data_batch_{number}" for number in range(1, 6)]
    for seed, name in enumerate([*names, "test_batch"]):
        count = 3 if name == "test_batch" else 4
        batch = {"data": pixels(count, 3072, seed=seed), "labels": [seed] * count}
        (folder / name).write_bytes(pickle.dumps(batch))
    words = [f"class {number}" for number in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": words}))
    sums = [[name, md5(folder / name)] for name in names]
    meta = {**datasets.CIFAR10.meta, "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "train_list", sums)
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5(folder / "test_batch")]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return tmp_path


def test_cifar10_batches(cifar10: Path):
    found = open_images("cifar10", root=cifar10)
    assert found.pixels.shape == (20, 3, 32, 32)
    # Published layout: a row is the red plane, then green, then blue.
    assert torch.equal(found.pixels[4].flatten(), torch.from_numpy(pixels(4, 3072, seed=1)[0]))
    assert found.labels.tolist() == [number for number in range(5) for _ in range(4)]
    assert (found.class_names[3], found.num_classes) == ("class 3", 10)
    assert found.source == "cifar-10-batches-py (official)"
    assert len(open_images("cifar10", root=cifar10, split="test")) == 3


class Trap:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_cifar10_with_a_wrong_checksum_is_not_unpickled(cifar10: Path, name: str):
    sprung = cifar10 / "sprung"
    (cifar10 / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(Trap(sprung)))
    for split in ("train", "test"):
        with pytest.raises(InputError, match=rf"{re.escape(name)} must have the published MD5"):
            open_images("cifar10", root=cifar10, split=split)
    assert not sprung.exists()


def test_cifar10_says_which_file_is_missing(cifar10: Path):
    (cifar10 / "cifar-10-batches-py/data_batch_2").unlink()
    with pytest.raises(InputError, match="data_batch_2 must be there"):
        open_images("cifar10", root=cifar10)


def make_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    from scipy.io import savemat

    images = pixels(5, 32, 32, 3)
    path = root / "train_32x32.mat"
    labels = np.array([[10], [1], [9], [10], [2]], dtype=np.uint8)
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": labels})
    table = {**datasets.SVHN.split_list, "train": ["", path.name, md5(path)]}
    monkeypatch.setattr(datasets.SVHN, "split_list", table)
    return images


def test_svhn_calls_the_published_label_10_the_digit_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    images = make_svhn(tmp_path, monkeypatch)
    found = open_images("svhn", root=tmp_path)
    assert np.array_equal(found.pixels.permute(0, 2, 3, 1), images)
    assert found.labels.tolist() == [0, 1, 9, 0, 2]
    assert (found.num_classes, found.labels.dtype) == (10, torch.int64)


def test_svhn_damaged_or_without_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_svhn(tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"split must be one that 'svhn' has: train. Got 'extra'"):
        open_images("svhn", root=tmp_path, split="extra")
    with (tmp_path / "train_32x32.mat").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"train_32x32.mat must have the published MD5"):
        open_images("svhn", root=tmp_path)


def make_stl10(root: Path) -> np.ndarray:
    images = pixels(6, 96, 96, 3)
    folder = root / "stl10_binary"
    folder.mkdir()
    by_column = images.transpose(0, 3, 2, 1)  # image, colour, column, row
    (folder / "train_X.bin").write_bytes(by_column[:3].tobytes())
    (folder / "train_y.bin").write_bytes(bytes([1, 10, 2]))
    (folder / "unlabeled_X.bin").write_bytes(by_column[3:].tobytes())
    (folder / "class_names.txt").write_text("".join(f"bird{number}\n" for number in range(10)))
    return images


def test_stl10_is_stored_by_columns_with_labels_from_1(tmp_path: Path):
    images = make_stl10(tmp_path)
    found = open_images("stl10", root=tmp_path)
    assert np.array_equal(found.pixels.permute(0, 2, 3, 1), images[:3])
    assert found.labels.tolist() == [0, 9, 1]
    assert found.class_names[9] == "bird9"
    unlabeled = open_images("stl10", root=tmp_path, split="unlabeled")
    assert np.array_equal(unlabeled.pixels.permute(0, 2, 3, 1), images[3:])
    assert (unlabeled.labels, unlabeled.num_classes) == (None, 0)


def test_names_of_stl10_in_another_encoding_or_number_break_nothing(tmp_path: Path):
    make_stl10(tmp_path)
    names = tmp_path / "stl10_binary/class_names.txt"
    names.write_bytes(b" ".join([b"caf\xe9"] * 10))
    assert open_images("stl10", root=tmp_path).class_names[0] == "caf\ufffd"
    names.write_bytes(b"bird")
    assert open_images("stl10", root=tmp_path).class_names == tuple("0123456789")


def test_stl10_cut_short_is_named(tmp_path: Path):
    make_stl10(tmp_path)
    path = tmp_path / "stl10_binary/train_X.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"train_X.bin must be whole images of 27648 bytes"):
        open_images("stl10", root=tmp_path)
    (tmp_path / "stl10_binary/unlabeled_X.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"Got 0 bytes; unpack the archive again"):
        open_images("stl10", root=tmp_path, split="unlabeled")


def test_lsun_is_read_from_lmdb_and_its_pickle_cache_is_not(tmp_path: Path):
    lmdb = pytest.importorskip("lmdb")
    folder = tmp_path / "bedroom_train_lmdb"
    with lmdb.open(str(folder), map_size=1 << 20) as made, made.begin(write=True) as transaction:
        for number in range(3):
            path = tmp_path / "one.png"
            Image.new("RGB", (40, 30), (80 * number, 0, 0)).save(path)
            transaction.put(f"key{number}".encode(), path.read_bytes())
    for name in ("_cache_bedroom_train_lmdb", "_cache_"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
        (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    found = open_images("lsun-bedroom", root=tmp_path, size=16)
    assert found.pixels[:, 0, 8, 8].tolist() == [0, 80, 160]
    assert (found.name, found.source) == ("lsun-bedroom", "bedroom_train_lmdb (official)")
    again = open_images("lsun-bedroom", root=tmp_path, size=16, memory=0)
    assert torch.equal(again.take([2, 0]), found.pixels[[2, 0]])
    feeds = [
        Feed(images, batch_size=2, seed=0, device=torch.device("cpu"), workers=2)
        for images in (found, again)
    ]
    for one, two in islice(zip(*(feed.batches() for feed in feeds), strict=True), 3):
        assert torch.equal(one[0], two[0])
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("damage", ["cut short", "overwritten"])
def test_a_damaged_lsun_is_one_line(tmp_path: Path, damage: str):
    lmdb = pytest.importorskip("lmdb")
    folder = tmp_path / "kitchen_train_lmdb"
    with lmdb.open(str(folder), map_size=1 << 22) as made, made.begin(write=True) as transaction:
        for number in range(300):
            transaction.put(f"key{number}".encode(), bytes(1000))
    whole = (folder / "data.mdb").read_bytes()
    middle = len(whole) // 2
    damaged = whole[:middle] if damage == "cut short" else whole[:8192] + bytes(len(whole) - 8192)
    (folder / "data.mdb").write_bytes(damaged)
    with pytest.raises(InputError, match=r"must be a whole lmdb folder.*unpack the archive again"):
        open_images("lsun-kitchen", root=tmp_path, size=16)


def test_lsun_without_the_lmdb_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tower_val_lmdb").mkdir()
    (tmp_path / "tower_val_lmdb/data.mdb").touch()
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(InputError, match="run 'pip install lmdb'"):
        open_images("lsun-tower", root=tmp_path, split="val", size=16)


@pytest.mark.parametrize("below", ["", "imagenet"])
def test_imagenet_folders(tmp_path: Path, below: str):
    for wnid, mode, colour in (("n02", "RGB", (9, 9, 9)), ("n01", "L", 200)):
        folder = tmp_path / below / "train" / wnid
        folder.mkdir(parents=True)
        Image.new(mode, (50, 40), colour).save(folder / f"{wnid}_1.JPEG")
    (tmp_path / "meta.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    found = open_images("imagenet", root=tmp_path, size=32)
    assert found.class_names == ("n01", "n02")
    assert found.labels.tolist() == [0, 1]
    assert found.pixels[:, :, 0, 0].tolist() == [[200] * 3, [9] * 3]
    assert not (tmp_path / "sprung").exists()
