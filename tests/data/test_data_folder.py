"""Folders of images: conversions by the stated rules, classes, splits, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_eval.data import encoded, open_images
from gan_eval.errors import InputError


def save(image: Image.Image, path: Path, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def plain(path: Path, colour: object = (10, 20, 30), size: int = 8) -> None:
    mode = "RGB" if isinstance(colour, tuple) else "L"
    save(Image.new(mode, (size, size), colour), path)


def only(folder: Path) -> torch.Tensor:
    """The top left pixel of the folder's one image, all channels."""
    return open_images(str(folder), root=None).pixels[0, :, 0, 0].tolist()


def palette(*colours: int) -> Image.Image:
    image = Image.new("P", (8, 8), 0)
    image.putpalette(colours)
    return image


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (Image.new("L", (8, 8), 77), "a.png", [77]),
        (Image.new("1", (8, 8), 1), "a.png", [255]),
        (Image.new("RGB", (8, 8), (1, 2, 3)), "a.PNG", [1, 2, 3]),
        (palette(5, 5, 5), "a.png", [5, 5, 5]),
        (Image.new("RGBA", (8, 8), (100, 0, 0, 0)), "a.png", [255, 255, 255]),
        (Image.new("RGBA", (8, 8), (100, 0, 0, 255)), "a.webp", [100, 0, 0]),
        (Image.new("LA", (8, 8), (0, 51)), "a.png", [204]),
        (Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "a.tif", [0, 255, 255]),
        (Image.fromarray(np.full((8, 8), 65535, np.uint16)), "a.png", [255]),
        (Image.fromarray(np.full((8, 8), 129, np.uint16)), "a.png", [1]),
        (Image.fromarray(np.full((8, 8), 128, np.uint16)), "a.tiff", [0]),
        (Image.fromarray(np.full((8, 8), 257 * 9, np.int32)), "a.tif", [9]),
    ],
)
def test_each_mode_by_its_rule(tmp_path: Path, image: Image.Image, name: str, expected: list[int]):
    if name.endswith(".webp"):
        image.save(tmp_path / name, lossless=True)
    else:
        image.save(tmp_path / name)
    assert only(tmp_path) == expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.pbm", b"P4 2 2 " + bytes([0b10000000, 0b01000000]), [[0, 255], [255, 0]]),
        ("a.pgm", b"P5 2 2 255 " + bytes([0, 1, 2, 255]), [[0, 1], [2, 255]]),
        ("a.pnm", b"P5 2 2 15 " + bytes([0, 1, 2, 15]), [[0, 17], [34, 255]]),
        # Two bytes a value, the high one first: 128, 129, 257 and 65,535.
        ("a.PGM", b"P5 2 2 65535 \0\x80\0\x81\1\1\xff\xff", [[0, 1], [1, 255]]),
    ],
)
def test_portable_maps_by_what_is_in_them(
    tmp_path: Path, name: str, content: bytes, expected: list[list[int]]
):
    (tmp_path / name).write_bytes(content)
    assert open_images(str(tmp_path), root=None).pixels[0].tolist() == [expected]


@pytest.mark.parametrize("name", ["a.jpe", "a.jfif"])
def test_a_jpeg_has_many_names(tmp_path: Path, name: str):
    save(Image.new("RGB", (8, 8), (77, 77, 77)), tmp_path / name)
    assert only(tmp_path) == [77, 77, 77]


def test_transparent_entries_become_white(tmp_path: Path):
    save(palette(5, 6, 7), tmp_path / "palette/a.png", transparency=0)
    assert only(tmp_path / "palette") == [255, 255, 255]
    save(Image.new("L", (8, 8), 3), tmp_path / "grey/a.png", transparency=3)
    assert only(tmp_path / "grey") == [255]
    wide = np.full((8, 8), 0x1000, np.uint16)
    wide[0, 1] += 1  # an entry is one of 65,536 values, not of the 256 that they become
    save(Image.fromarray(wide), tmp_path / "wide/a.png", transparency=0x1000)
    found = open_images(str(tmp_path / "wide"), root=None)
    assert found.pixels[0, 0, 0].tolist() == [255, 16, *[255] * 6]
    assert found.notes == ("wide: 1 16-bit of 1 images were converted to grey",)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "plain.tif", "packed.tif"])
def test_exif_orientation_is_applied_before_the_size_is_known(tmp_path: Path, name: str):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    values = np.zeros((8, 16), np.uint8)
    values[:, :8] = 255  # left half white: on top once turned
    packed = {"compression": "tiff_lzw"} if name == "packed.tif" else {}
    save(Image.fromarray(values), tmp_path / name, exif=exif, **packed)
    found = open_images(str(tmp_path), root=None, size=16, fit="pad")
    assert found.native == (1, 16, 8)
    shown = found.pixels[0, 0, :, 4:12]
    assert (shown[:8] > 250).all()
    assert (shown[8:] < 5).all()


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path):
    frames = [palette(9, 9, 9), palette(200, 0, 0)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert only(tmp_path)[0] == 9


def test_mixed_images_are_counted_in_one_line(tmp_path: Path):
    plain(tmp_path / "a.png")
    plain(tmp_path / "b.png", 50)
    plain(tmp_path / "c.jpg", 60, size=12)
    save(palette(1, 2, 3), tmp_path / "d.png")
    save(Image.new("RGBA", (30, 20)), tmp_path / "e.png")
    found = open_images(str(tmp_path), root=None, size=8)
    assert found.pixels.shape == (5, 3, 8, 8)
    assert found.pixels[1].unique().tolist() == [50]
    assert found.native is None
    name = tmp_path.name
    assert found.notes == (
        f"{name}: 2 grey, 1 palette, 1 RGBA of 5 images were converted to RGB",
        f"{name}: images of 8x8 to 30x20 were fitted to 8x8 by 'crop'",
    )


def test_channels_follow_the_data_unless_given(tmp_path: Path):
    plain(tmp_path / "a.png", 10)
    plain(tmp_path / "b.png", 20)
    assert open_images(str(tmp_path), root=None).channels == 1
    assert open_images(str(tmp_path), root=None, channels=3).pixels[1].unique().tolist() == [20]
    plain(tmp_path / "c.png", (255, 0, 0))
    assert open_images(str(tmp_path), root=None).channels == 3
    grey = open_images(str(tmp_path), root=None, channels=1)
    assert grey.pixels[2].unique().tolist() == [76]  # 0.299 * 255


def test_crop_takes_the_centre_and_resizes_up_or_down(tmp_path: Path):
    values = np.zeros((8, 24), np.uint8)
    values[:, 8:16] = 200
    save(Image.fromarray(values), tmp_path / "a.png")
    for size in (4, 8, 20):
        found = open_images(str(tmp_path), root=None, size=size)
        assert found.pixels.unique().tolist() == [200]
        assert found.fit == "crop"


@pytest.mark.parametrize("memory", [None, 0])  # held, or streamed: before an image is read
def test_pad_refuses_what_is_too_large(tmp_path: Path, memory):
    plain(tmp_path / "a.png", size=12)
    with pytest.raises(InputError, match="fit 'pad' takes images of at most 8x8"):
        open_images(str(tmp_path), root=None, size=8, fit="pad", memory=memory)


def test_class_folders_give_labels_in_sorted_order(tmp_path: Path):
    plain(tmp_path / "dog/1.png", (1, 1, 1))
    plain(tmp_path / "cat/deeper/1.png", (2, 2, 2))
    plain(tmp_path / "cat/2.png", (3, 3, 3))
    found = open_images(str(tmp_path), root=None)
    assert found.class_names == ("cat", "dog")
    assert found.labels.tolist() == [0, 0, 1]
    assert found.pixels[:, 0, 0, 0].tolist() == [3, 2, 1]
    assert found.source == "folder"


def test_split_folders_are_splits(tmp_path: Path):
    plain(tmp_path / "train/1.png", 1)
    plain(tmp_path / "valid/1.png", 2)
    assert open_images(str(tmp_path), root=None).pixels[0, 0, 0, 0] == 1
    found = open_images(str(tmp_path), root=None, split="val")
    assert (found.pixels[0, 0, 0, 0], found.labels, found.split) == (2, None, "val")
    with pytest.raises(InputError, match=r"has: train, val. Got 'test'"):
        open_images(str(tmp_path), root=None, split="test")


def test_classes_of_a_part_are_numbered_as_those_of_train(tmp_path: Path):
    for name in ("ant", "bee", "cat"):
        plain(tmp_path / "train" / name / "1.png", 1)
    plain(tmp_path / "test/cat/1.png", 1)
    (tmp_path / "test/bee").mkdir()
    plain(tmp_path / "val/dog/1.png", 1)
    test, val = (open_images(str(tmp_path), root=None, split=split) for split in ("test", "val"))
    assert (test.class_names, test.labels.tolist()) == (("ant", "bee", "cat"), [2])
    assert (val.class_names, val.labels.tolist()) == (("dog",), [0])
    (tmp_path / "train/dog").mkdir()
    with pytest.raises(InputError, match=r"class folder .*train/dog must hold images"):
        open_images(str(tmp_path), root=None)


def test_decomposed_names_of_classes_are_composed(tmp_path: Path):
    plain(tmp_path / "train" / "Ete\u0301" / "1.png", 1)
    plain(tmp_path / "test" / "\u00c9te\u0301" / "1.png", 1)
    plain(tmp_path / "train" / "E\u0301te\u0301" / "1.png", 1)
    train, test = (open_images(str(tmp_path), root=None, split=each) for each in ("train", "test"))
    assert train.class_names == test.class_names == ("Et\u00e9", "\u00c9t\u00e9")
    assert test.labels.tolist() == [1]


def test_split_folders_have_many_names(tmp_path: Path):
    for number, name in enumerate(("Training", "TEST", "validation")):
        plain(tmp_path / name / "1.png", number)
    for number, split in enumerate(("train", "test", "val")):
        assert open_images(str(tmp_path), root=None, split=split).pixels[0, 0, 0, 0] == number


@pytest.mark.parametrize("other", ["extra", "valid"])
def test_split_folders_among_others_would_be_trained_on(tmp_path: Path, other: str):
    for name in ("train", "val", other):
        plain(tmp_path / name / "1.png", 1)
    with pytest.raises(InputError, match=f"one folder each of train, val and test.*{other}"):
        open_images(str(tmp_path), root=None)


def test_a_class_may_be_called_train(tmp_path: Path):
    for name in ("car", "plane", "train"):
        plain(tmp_path / name / "1.png", 1)
    assert open_images(str(tmp_path), root=None).class_names == ("car", "plane", "train")


def test_hidden_files_are_ignored_and_links_are_followed(tmp_path: Path):
    plain(tmp_path / "real/a.png", 1)
    (tmp_path / "real/.DS_Store").write_text("x")
    (tmp_path / "real/Thumbs.db").write_text("x")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/one").symlink_to(tmp_path / "real")
    (tmp_path / "real/loop").symlink_to(tmp_path / "real")
    assert len(open_images(str(tmp_path / "set"), root=None)) == 1


def test_a_text_file_among_images_is_named(tmp_path: Path):
    plain(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"must hold only images .* Got notes.txt"):
        open_images(str(tmp_path), root=None)


@pytest.mark.parametrize("keep", [0.5, 0.0])
@pytest.mark.parametrize("name", ["b.png", "b.jpg"])
def test_a_truncated_image_is_named(tmp_path: Path, name: str, keep: float):
    plain(tmp_path / "a.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(keep * len(data))])
    with pytest.raises(InputError, match=rf"image .*{name} must be a whole image file"):
        open_images(str(tmp_path), root=None, size=8)


@pytest.mark.parametrize("target", ["nowhere", "/dev/null"])  # a pipe would be waited for
def test_an_image_s_name_alone_is_no_image(tmp_path: Path, target: str):
    plain(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(target)
    with pytest.raises(InputError, match=r"only images .* Got b\.png, which is no file; move it"):
        open_images(str(tmp_path), root=None)


def test_text_in_an_image_name_is_refused(tmp_path: Path):
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(InputError, match=r"a.png must be a whole image file"):
        open_images(str(tmp_path), root=None)


@pytest.mark.parametrize("name", ["a.pcx", "a.dds", "a.tga"])
def test_formats_that_nobody_asked_for_are_not_read(tmp_path: Path, name: str):
    plain(tmp_path / name)
    (tmp_path / name).rename(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png must be a whole image file\. It cannot be read"):
        only(tmp_path)


@pytest.mark.skipif("AVIF" not in encoded._FORMATS, reason="this Pillow has no AVIF")
def test_an_avif_by_another_name_is_read_if_it_is_whole(tmp_path: Path):
    plain(tmp_path / "a.avif", (200, 200, 200))
    path = (tmp_path / "a.avif").rename(tmp_path / "a.jpg")
    assert only(tmp_path) == [200, 200, 200]
    data = path.read_bytes()
    middle = data.index(b"mdat") + 8
    path.write_bytes(data[:middle] + bytes(len(data) - middle))
    with pytest.raises(InputError, match=r"a\.jpg must be a whole image file"):
        only(tmp_path)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain(tmp_path / "a.png", size=20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(InputError, match=r"a.png must have at most 300 pixels"):
        open_images(str(tmp_path), root=None)


def test_values_without_a_range_are_refused(tmp_path: Path):
    save(Image.fromarray(np.zeros((8, 8), np.float32)), tmp_path / "float/a.tif")
    with pytest.raises(InputError, match=r"a.tif must be of 8 or 16 bits.* Got Pillow mode 'F'"):
        open_images(str(tmp_path / "float"), root=None)
    save(Image.fromarray(np.full((8, 8), 70000, np.int32)), tmp_path / "wide/a.tif")
    with pytest.raises(InputError, match=r"a.tif must have 16-bit values.* Got 70000 to 70000"):
        open_images(str(tmp_path / "wide"), root=None)


def test_an_empty_folder_or_class_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"must hold images .* It holds none"):
        open_images(str(tmp_path), root=None)
    plain(tmp_path / "full/a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"class folder .*empty must hold images"):
        open_images(str(tmp_path), root=None)


def test_images_beside_class_folders_are_refused(tmp_path: Path):
    plain(tmp_path / "a.png")
    plain(tmp_path / "cat/a.png")
    with pytest.raises(InputError, match=r"not both. Got a.png beside cat/"):
        open_images(str(tmp_path), root=None)


def test_a_size_is_needed_when_sizes_differ(tmp_path: Path):
    plain(tmp_path / "a.png", size=8)
    plain(tmp_path / "b.png", size=9)
    with pytest.raises(InputError, match=r"size must be given .* Got images of 8x8 to 9x9"):
        open_images(str(tmp_path), root=None)


def test_names_of_streamed_files_need_not_be_text(tmp_path):
    for name in (b"caf\xe9.png", b"plain.png"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            Image.new("L", (8, 8), 3).save(file, "PNG")
    assert len(open_images(str(tmp_path), root=None, memory=0)) == 2
