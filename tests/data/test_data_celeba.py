"""CelebA's official layout, made small: partition, attributes and portrait images."""

from pathlib import Path

import pytest
from PIL import Image

from gan_eval.data import open_images
from gan_eval.data.vision import read_celeba
from gan_eval.errors import InputError


def make_celeba(root: Path) -> None:
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    lines, parts = [], []
    for number, part in enumerate((0, 0, 1, 2), start=1):
        name = f"{number:06}.jpg"
        Image.new("RGB", (178, 218), (60 * number, 0, 0)).save(folder / "img_align_celeba" / name)
        lines.append(f"{name}  {'1' if number % 2 else '-1'} -1  1")
        parts.append(f"{name} {part}")
    (folder / "list_attr_celeba.txt").write_text(
        "\n".join(["4", "Bald Eyeglasses Smiling ", *lines, ""])
    )
    (folder / "list_eval_partition.txt").write_text("\n".join([*parts, ""]))


def test_celeba_follows_the_partition_and_has_attributes(tmp_path: Path):
    make_celeba(tmp_path)
    found = open_images("celeba", root=tmp_path, size=64)
    assert found.pixels.shape == (2, 3, 64, 64)
    assert found.attributes.tolist() == [[True, False, True], [False, False, True]]
    assert found.attribute_names == ("Bald", "Eyeglasses", "Smiling")
    assert (found.native, found.fit, found.labels) == ((3, 218, 178), "crop", None)
    value = open_images("celeba", root=tmp_path, split="val", size=32)
    assert abs(int(value.pixels[0, 0].float().mean()) - 180) <= 2
    assert len(open_images("celeba", root=tmp_path, split="test", size=32)) == 1


def test_of_celeba_as_it_is_published_one_header_is_read(tmp_path: Path):
    make_celeba(tmp_path)
    (tmp_path / "celeba/img_align_celeba/000002.jpg").unlink()
    assert read_celeba(tmp_path, "train").rows.survey().native == (3, 218, 178)


def test_celeba_that_was_resized_is_seen_as_it_is(tmp_path: Path):
    make_celeba(tmp_path)
    for path in (tmp_path / "celeba/img_align_celeba").iterdir():
        Image.open(path).resize((64, 64)).save(path)
    found = open_images("celeba", root=tmp_path)
    assert (found.size, found.native) == (64, (3, 64, 64))


def test_celeba_must_be_told_a_size(tmp_path: Path):
    make_celeba(tmp_path)
    with pytest.raises(InputError, match=r"size must be given .* Got images of 178x218"):
        open_images("celeba", root=tmp_path)


def test_celeba_list_with_another_number_or_a_path(tmp_path: Path):
    make_celeba(tmp_path)
    attributes = tmp_path / "celeba/list_attr_celeba.txt"
    whole = attributes.read_text()
    attributes.write_text(whole.replace("000002.jpg  -1", "000002.jpg  7"))
    with pytest.raises(InputError, match=r"3 values of 1 or -1 on each line. Got line 4"):
        open_images("celeba", root=tmp_path, size=32)
    attributes.write_text(whole)
    (tmp_path / "celeba/list_eval_partition.txt").write_text("../../secret.jpg 0\n")
    with pytest.raises(InputError, match=r"Got '../../secret.jpg'"):
        open_images("celeba", root=tmp_path, size=32)


def test_celeba_lists_that_were_cut_short(tmp_path: Path):
    make_celeba(tmp_path)
    partition = tmp_path / "celeba/list_eval_partition.txt"
    whole = partition.read_text()
    partition.write_text(whole + "000009.jpg\n")
    with pytest.raises(InputError, match="must have an image and its part on each line"):
        open_images("celeba", root=tmp_path, size=32)
    partition.write_text(whole)
    (tmp_path / "celeba/list_attr_celeba.txt").write_text("")
    with pytest.raises(InputError, match=r"must name images that\s+list_attr_celeba.txt has"):
        open_images("celeba", root=tmp_path, size=32)
