"""Classifiers of attributes: what they find, and what they refuse."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_eval.data import Images, open_images
from gan_eval.errors import InputError
from gan_eval.experiments.attributes import (
    _shares,
    attribute_of,
    best_threshold,
    judge_features,
    train_attribute_classifier,
)
from gan_eval.experiments.features import build
from gan_eval.experiments.parts import halves, sample
from gan_eval.features.pixels import Pixels
from gan_eval.seeding import stream


@pytest.fixture(scope="module")
def digits() -> Images:
    return open_images("digits", root=None, size=16)


def marked(n: int, share: float, **more: Any) -> Images:
    """Return noise whose upper left corner is bright where attribute "mark" is set."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 200, (n, 1, 8, 8), generator=generator).to(torch.uint8)
    mark = torch.rand(n, generator=generator) < share
    pixels[mark, :, :2, :2] = 255
    other = torch.rand(n, generator=generator) < 0.5
    images = open_images("digits", root=None, limit=n)
    return replace(
        images, pixels=pixels, labels=None, class_names=(), attribute_names=("mark", "noise"),
        attributes=torch.stack([mark, other], 1), fingerprint=f"mark {share}", **more,
    )  # fmt: skip


def learn(images: Images, name: str, tmp_path: Any) -> Any:
    return train_attribute_classifier(images, name, extractor=Pixels(1, 8), store=tmp_path)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_planted_attribute_is_found_and_noise_is_not(tmp_path, share):
    images = marked(1400, share)
    found = learn(images, "mark", tmp_path)
    assert found.accuracy > 0.97
    assert found.hits > 0.97
    assert found.false_alarms < 0.03
    fresh = torch.zeros(2, 1, 8, 8, dtype=torch.uint8) + 100
    fresh[1, :, :2, :2] = 255
    assert found.decide(fresh).tolist() == [False, True]
    assert abs(learn(images, "noise", tmp_path).accuracy - 0.5) < 0.12


def test_accuracy_is_of_images_that_nothing_was_chosen_by(tmp_path):
    images = marked(1000, 0.5)
    assert images.attributes is not None
    attributes = images.attributes.clone()
    attributes[800:, 0] = ~attributes[800:, 0]  # the last fifth says the opposite
    turned = replace(images, attributes=attributes)
    # All but a few at its border, as the last fifth is taken of each kind.
    assert learn(turned, "mark", tmp_path).accuracy < 0.06


def test_c_and_threshold_are_chosen_by_images_that_nothing_was_fitted_to(tmp_path):
    images = marked(1000, 0.5)
    assert images.attributes is not None
    attributes = images.attributes.clone()
    attributes[600:800, 0] = ~attributes[600:800, 0]  # the fifth that chooses says the opposite
    turned = replace(images, attributes=attributes, fingerprint="turned")
    # Whatever the threshold, to the chooser the mark is a sign of its absence.
    assert abs(learn(turned, "mark", tmp_path).accuracy - 0.5) < 0.1


@pytest.mark.parametrize("seed", range(20))
def test_every_share_has_its_part_of_a_rare_attribute(seed: int):
    order = torch.randperm(400, generator=stream(seed))
    wanted = torch.zeros(400, dtype=torch.bool)
    wanted[order[:20]] = True
    shares = list(_shares(wanted))
    assert [int(wanted[rows].sum()) for rows in shares] == [12, 4, 4]
    assert torch.cat(shares).sort().values.tolist() == list(range(400))


def test_the_judge_tells_digits_at_any_size(digits, tmp_path):
    _, half = halves(digits)
    judge = build(judge_features(half.size, 0), half, device="cpu", precision="32")
    found = train_attribute_classifier(half, "class 3", extractor=judge, store=tmp_path)
    assert found.accuracy > 0.85
    assert found.to_json()["features"]["layers"] == [1, 2]


def balanced(decided: Tensor, wanted: Tensor) -> float:
    """The mean of the shares that are right, by hand."""
    pairs = list(zip(decided.tolist(), wanted.tolist(), strict=True))
    hits = [said for said, there in pairs if there]
    rejections = [not said for said, there in pairs if not there]
    return (sum(hits) / len(hits) + sum(rejections) / len(rejections)) / 2


@pytest.mark.parametrize(
    ("scores", "wanted", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], (1.0, 2.5)),
        ([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1], (0.75, 1.5)),
        ([2.0, 2.0, 2.0, 5.0], [0, 1, 0, 1], (0.75, 3.5)),  # equal scores are not parted
    ],
)
def test_the_threshold_is_where_both_kinds_are_told_best(scores, wanted, expected):
    found = best_threshold(torch.tensor(scores), torch.tensor(wanted) > 0)
    by_hand = max(
        balanced(torch.tensor(scores) > each, torch.tensor(wanted) > 0)
        for each in (0, 1.5, 2.5, 3.5, 9)
    )
    assert found[0] == pytest.approx(by_hand) == pytest.approx(expected[0])
    assert balanced(torch.tensor(scores) > found[1], torch.tensor(wanted) > 0) == by_hand


def test_a_strict_threshold_lets_few_false_alarms_pass():
    """Of 10 others at 0 to 9, one may pass; of the wanted those above the second highest."""
    scores = torch.tensor([*range(10), 4.5, 8.5, 9.5, 10.5])
    wanted = torch.arange(14) >= 10
    # Told best: at 4.25, with five false alarms, or at 8.25, with one.
    accuracy, threshold = best_threshold(scores, wanted, most_false=0.1)
    assert (accuracy, threshold) == ((1 + 3 / 4 - 1 / 10) / 2, 8.25)
    assert best_threshold(scores, wanted, most_false=0.09) == ((1 + 2 / 4) / 2, 9.25)
    # Where the highest of all is no wanted one nothing is as strict.
    assert best_threshold(scores, ~wanted, most_false=0.1) == (0.5, 10.5)


def test_halves_are_disjoint_and_a_sample_is_of_the_data(digits):
    assert digits.pixels is not None
    first, second = halves(digits, seed=3)
    sets = [{image.numpy().tobytes() for image in half.pixels} for half in (first, second)]
    assert not sets[0] & sets[1]
    assert first.fingerprint != second.fingerprint
    assert len(sample(digits, 100)) == 100
    assert len(sample(digits, 10**6)) == len(digits)
    for row in range(5):
        same = (digits.pixels == first.pixels[row]).flatten(1).all(1).nonzero()[0, 0]
        assert digits.labels[same] == first.labels[row]


def test_a_streamed_set_has_the_same_halves(digits):
    streamed = replace(digits, pixels=None, stream=digits.pixels)
    one, other = halves(digits)[1], halves(streamed)[1]
    assert torch.equal(one.take(range(20)), other.take(range(20)))
    assert torch.equal(one.labels, other.labels)


def test_what_is_refused(digits, tmp_path):
    with pytest.raises(InputError, match=r"attribute 'markk' is not one of .* Did you mean 'mark'"):
        attribute_of(marked(50, 0.5), "markk")
    with pytest.raises(
        InputError, match=r"'class 10' is not one of 'digits'\. Did you mean 'class"
    ):
        attribute_of(digits, "class 10")
    with pytest.raises(InputError, match="has no attributes and no labels; pass labelled data"):
        attribute_of(replace(digits, labels=None), "class 1")
    with pytest.raises(InputError, match=r"at least 20 images of each half .* must have attribute"):
        learn(marked(100, 0.05), "mark", tmp_path)
    with pytest.raises(InputError, match="must lack attribute"):
        learn(marked(100, 0.95), "mark", tmp_path)
