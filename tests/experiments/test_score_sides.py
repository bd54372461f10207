"""Whatever images come as, they become the same 8 bits, and what is no image is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from gan_eval.data import open_images
from gan_eval.errors import InputError
from gan_eval.experiments.score.pixels import to_pixels
from gan_eval.experiments.score.sides import Sampling, array_side, side_of, split_of
from gan_eval.models.dcgan import Generator, initialise
from gan_eval.models.sampling import generate
from gan_eval.seeding import stream

PIXELS = torch.randint(256, (5, 3, 8, 8), generator=stream(0), dtype=torch.uint8)
LAST = PIXELS.permute(0, 2, 3, 1).numpy()


def opened(given: Any, **form: Any) -> Tensor:
    side = side_of(given, sampling=Sampling())
    assert side.open is not None
    images = side.open(**form)
    return images.take(range(len(images)))


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def npy(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def test_all_kinds_of_arrays_are_the_same_images(tmp_path: Path):
    for given in (
        PIXELS,
        PIXELS / 255,
        (PIXELS / 255).double(),
        LAST,
        np.float32(LAST / 255),
        TensorDataset(PIXELS, torch.arange(5)),
        iter([PIXELS[:2], PIXELS[2:]]),
        iter([LAST[:4], LAST[4:]]),
        npy(tmp_path / "images.npy", LAST),
        str(npy(tmp_path / "floats.npy", LAST / 255)),
        npz(tmp_path / "one.npz", arr_0=LAST),
        npz(tmp_path / "set.npz", train_images=LAST),
        str(npz(tmp_path / "parts.npz", train_images=LAST[:1], test_images=LAST)) + ":test",
    ):
        assert torch.equal(opened(given), PIXELS)


def test_large_arrays_are_converted_in_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gan_eval.experiments.score.pixels._BLOCK", 2)
    for given in (PIXELS, PIXELS / 255, LAST, np.float32(LAST / 255), LAST[..., 0]):
        assert torch.equal(opened(given), PIXELS[:, : opened(given).shape[1]])
    broken = PIXELS / 255
    broken[3] = torch.inf
    with pytest.raises(InputError, match="NaN or infinity in image 3"):
        opened(broken)


class Numbered(IterableDataset):
    def __len__(self) -> int:
        return 5

    def __iter__(self):
        yield from PIXELS.split(2)


def test_a_data_set_that_only_iterates_may_know_its_length():
    assert torch.equal(opened(Numbered()), PIXELS)


def test_batches_by_name_say_what_to_give():
    with pytest.raises(InputError, match=r"Got a mapping of image, label; give the images alone"):
        opened(iter([{"image": PIXELS, "label": torch.zeros(5)}]))


@pytest.mark.parametrize("array", [LAST, LAST[..., 0], np.asfortranarray(LAST)])
def test_a_large_npy_is_streamed_as_it_would_be_held(tmp_path: Path, array: np.ndarray):
    side = side_of(npy(tmp_path / "a.npy", array), sampling=Sampling())
    assert side.open is not None
    held, streamed = side.open(), side.open(memory=0)
    assert streamed.pixels is None
    assert torch.equal(streamed.take(range(5)), held.take(range(5)))
    assert torch.equal(held.take(range(5)), PIXELS[:, : held.channels])


def test_images_with_other_pixels_are_others():
    digits = open_images("digits", root=None, limit=3)
    side = side_of(replace(digits, pixels=255 - digits.pixels), sampling=Sampling())
    assert side.open is not None
    assert side.open().fingerprint != digits.fingerprint


def test_generators_of_the_same_weights_and_another_range_draw_others(tiny: Any):
    config, _ = tiny("sthalles")
    prints = set()
    *layers, last = config.generator.layers
    for activation in ("tanh", "sigmoid"):
        changed = (*layers, replace(last, activation=activation))
        network = Generator(replace(config.generator, layers=changed))
        initialise(network, stream(0))
        side = side_of(network, sampling=Sampling(n=2))
        assert side.open is not None
        prints.add(side.open().fingerprint)
    assert len(prints) == 2


def test_floats_are_rounded_to_the_nearest_of_256_values():
    values = torch.tensor([0, 0.499, 0.501, 254.499, 254.501, 255]).view(1, 1, 1, 6) / 255
    assert to_pixels(values, "x").flatten().tolist() == [0, 0, 1, 254, 255, 255]


def test_grey_arrays_may_leave_the_channel_out():
    grey = LAST[..., 0]
    assert torch.equal(opened(grey), PIXELS[:, :1])
    assert torch.equal(opened(grey[..., None]), PIXELS[:, :1])


def test_a_form_is_made_of_any_of_them():
    found = opened(PIXELS, size=4, channels=1, fit="crop")
    assert found.shape == (5, 1, 4, 4)
    digits = open_images("digits", root=None, limit=3)
    assert opened(digits, size=16, channels=3).shape == (3, 3, 16, 16)
    assert torch.equal(opened(digits), digits.pixels)


def test_samples_are_exactly_those_of_the_seed_in_the_generators_form(tiny):
    network = Generator(tiny("radford2015-svhn")[0].generator)
    initialise(network, stream(5, "init", "generator"))
    side = side_of(network, sampling=Sampling(n=300, seed=3))
    assert side.open is not None
    images = side.open(**side.form)
    drawn = torch.cat([pixels for pixels, _ in generate(network.eval(), 300, seed=3)])
    assert torch.equal(images.pixels, drawn)
    others = [side_of(network, sampling=Sampling(n=n, seed=s)) for n, s in ((299, 3), (300, 4))]
    prints = {each.open(**each.form).fingerprint for each in (side, *others) if each.open}
    assert len(prints) == 3


def test_names_paths_and_splits(tmp_path: Path):
    assert split_of("runs:1/photos") == ("runs:1/photos", "train")
    assert side_of("digits:test", sampling=Sampling()).name == "digits:test"
    assert len(opened("digits:test")) == 360
    path = npz(tmp_path / "mine.npz", train_images=LAST)
    assert side_of(path, sampling=Sampling()).name == "mine.npz:train"


def test_single_arrays_with_channels_first_are_no_batches_of_grey_images():
    images = np.zeros((4, 3, 8, 9), np.uint8)
    for given in (iter(images), list(images), iter([(image, 0) for image in images])):
        with pytest.raises(InputError, match=r"Got \(3, 8, 9\), channels first by its looks; tr"):
            array_side(given, "mine")
    with pytest.raises(InputError, match=r"Got \(3, 8, 8\), channels first by its looks; transpo"):
        array_side(iter([[*PIXELS.numpy()]]), "mine")


@pytest.mark.parametrize("sizes", [(4, 3), (1, 1, 1), (3, 8)])
def test_batches_of_grey_arrays_may_be_of_any_number(sizes: tuple[int, ...]):
    grey = np.arange(sum(sizes) * 64, dtype=np.uint8).reshape(-1, 8, 8)
    batches = np.split(grey, np.cumsum(sizes)[:-1])
    assert torch.equal(opened(iter(batches)), torch.from_numpy(grey)[:, None])


class Pictures(Dataset[Any]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, row: int) -> str:
        return "picture"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (LAST.transpose(0, 3, 1, 2), r"\(n, h, w, 1 or 3\).*Got \(5, 3, 8, 8\); transpose it"),
        (torch.from_numpy(LAST), r"\(n, 1 or 3, h, w\).*Got \(5, 8, 8, 3\); permute it"),
        (LAST[:0], r"no empty axis\. Got \(0, 8, 8, 3\)"),
        (LAST.astype(np.int64), "must be uint8, or floats from 0 to 1. Got int64"),
        (LAST.astype(np.longdouble), "must be uint8, or floats from 0 to 1. Got .*float"),
        (PIXELS.int(), "must be uint8, or floats from 0 to 1. Got torch.int32"),
        (PIXELS.float(), "floats from 0 to 1. Got 0 to 255; scale it"),
        (PIXELS / 127.5 - 1, "floats from 0 to 1. Got -1 to 1; scale it"),
        (LAST[0], r"Got \(8, 8, 3\), one image by its looks; pass x\[None\] .* x\[\.\.\., None\]"),
        (PIXELS[0], r"Got \(3, 8, 8\), one image by its looks; pass x\[None\] .* x\[:, None\]"),
        (PIXELS[:, 0], r"Got \(5, 8, 8\); pass x\[:, None\] for grey images"),
        (PIXELS[:0, 0], r"Got \(0, 8, 8\); look at what made it"),
        (np.zeros((12, 8, 8, 4)), r"Got \(12, 8, 8, 4\), with an alpha .* x\[\.\.\., :3\]"),
        (torch.zeros(12, 4, 8, 8), r"Got \(12, 4, 8, 8\), with an alpha .* x\[:, :3\]"),
        (torch.zeros(12, 2, 8, 8), r"Got \(12, 2, 8, 8\); make it grey or coloured"),
        (LAST[0, 0], r"Got \(8, 3\); look at what made it"),
        (Pictures(), "must be tensors or arrays. Got str; give the data set a transform"),
        (7, "images must be a run, a generator, data, an array or statistics. Got int"),
    ],
)
def test_what_is_no_image_is_refused(given: Any, message: str):
    with pytest.raises(InputError, match=message):
        side_of(given, sampling=Sampling())


def test_refusals_name_the_file_and_the_image(tmp_path: Path):
    broken = LAST / 255
    broken[3, 0, 0, 0] = np.nan
    for path in (npy(tmp_path / "a.npy", broken), npz(tmp_path / "b.npz", images=broken)):
        with pytest.raises(InputError, match=rf"{path} must be finite\. Got NaN .* in image 3"):
            side_of(path, sampling=Sampling())
    damaged = npy(tmp_path / "damaged.npy", LAST)
    damaged.write_bytes(damaged.read_bytes().replace(b"{", b"\x84", 1))
    with pytest.raises(InputError, match=r"damaged\.npy must be a whole \.npy of plain numbers"):
        side_of(damaged, sampling=Sampling())
    objects = npy(tmp_path / "objects.npy", np.array([None]))
    with pytest.raises(InputError, match=r"objects\.npy must be a whole \.npy of plain numbers"):
        side_of(objects, sampling=Sampling())
    with pytest.raises(InputError, match=r"n must be at least 1\. Got 0"):
        Sampling(n=0)


def test_damaged_archives_are_refused(tmp_path: Path):
    damaged = npz(tmp_path / "damaged.npz", images=LAST)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.npz must be a whole .*Bad CRC-32"):
        side_of(damaged, sampling=Sampling())
    renamed = npz(tmp_path / "archive.npz", images=LAST).rename(tmp_path / "archive.npy")
    with pytest.raises(InputError, match=r"archive\.npy must be one array\. Got an archive"):
        side_of(renamed, sampling=Sampling())


def test_loaders_and_batches_with_labels_are_images_too():
    pixels = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    labelled = TensorDataset(pixels, torch.arange(6))
    for given in (
        DataLoader(labelled, 4), iter(DataLoader(labelled, 4)), list(pixels), labelled,
        (image for image in pixels),
        list(pixels.permute(0, 2, 3, 1).numpy()), iter([list(pixels[:4]), list(pixels[4:])]),
    ):  # fmt: skip
        images = array_side(given).open()
        assert torch.equal(images.take(range(6)), pixels)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "at least one. Got none"),
        (iter(()), "at least one. Got none"),
        ([torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)], "of one shape.*3x4x4, 3x5x5"),
    ],
)
def test_what_no_images_can_be_made_of(given, message):
    with pytest.raises(InputError, match=message):
        array_side(given, "mine")


def test_images_that_are_not_held_are_known_by_what_they_show(tmp_path):
    found = []
    for inverted in (False, True):
        pixels = np.full((5, 8, 8), 9, np.uint8)
        np.savez(tmp_path / "a.npz", train_images=255 - pixels if inverted else pixels)
        found.append(open_images(str(tmp_path / "a.npz"), root=None, memory=0).fingerprint)
    assert found[0] != found[1]
    assert all(each.startswith("names-sha256") for each in found)
