"""Figure 5: the strongest answers, their gradients, and two scores."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_eval.data import open_images
from gan_eval.errors import InputError
from gan_eval.experiments import filters as module
from gan_eval.experiments.filters import as_grey, concentration, filters, label_selectivity
from gan_eval.experiments.responses import Responses
from gan_eval.experiments.run_images import open_run_images
from gan_eval.features.discriminator import random_discriminator
from gan_eval.files import read_lines
from gan_eval.models.dcgan import BatchNorm
from gan_eval.models.presets import preset
from gan_eval.models.statistics import batch_statistics
from gan_eval.seeding import stream


def noise(n: int, size: int = 32, channels: int = 1) -> Tensor:
    shape = (n, channels, size, size)
    return torch.randint(1, 255, shape, generator=stream(0, "noise"), dtype=torch.uint8)


@pytest.fixture(scope="module")
def make(untrained, tmp_path_factory):
    return lambda name: untrained(tmp_path_factory.mktemp("runs") / name, name)


@pytest.fixture
def responses(make) -> Responses:
    """The answers of the paper's SVHN discriminator, a few maps wide."""
    made = Responses(make("radford2015-svhn").load_discriminator(), "tanh", 2)
    made.normalise_by([(noise(60), None)])
    return made


class TestResponses:
    def test_plain_gradients_are_finite_differences(self, responses):
        images, maps = noise(6), torch.arange(6)
        plain, _ = responses.gradients(images, None, maps, guided=False)
        found, known = [], []
        for row in range(6):
            for place in plain[row].abs().flatten().topk(8).indices.tolist():
                y, x = divmod(place, 32)
                up, down = images[row].clone(), images[row].clone()
                up[0, y, x] += 1
                down[0, y, x] -= 1
                above, below = responses(torch.stack([up, down]))[:, row].tolist()
                found.append(float(plain[row, 0, y, x]))
                known.append((above - below) / (2 / 127.5))
        # Where a difference straddles the bend of a rectifier it is between two slopes.
        off = torch.tensor(found) - torch.tensor(known)
        assert float(off.norm() / torch.tensor(known).norm()) < 0.05
        assert float(off.abs().median()) < 1e-3 * max(map(abs, known))

    def test_guided_gradients_differ_and_keep_to_the_receptive_field(self, responses):
        images, maps = noise(6), torch.arange(6)
        guided, areas = responses.gradients(images, None, maps)
        plain, same = responses.gradients(images, None, maps, guided=False)
        assert torch.equal(areas, same)
        assert not torch.allclose(guided, plain)
        for gradient, area in zip(plain[:, 0], areas.tolist(), strict=True):
            rows, columns = ((gradient != 0).any(axis).nonzero().flatten() for axis in (1, 0))
            spans = [int(each.max() - each.min()) + 1 for each in (rows, columns)]
            assert math.prod(spans) == area

    def test_a_first_layers_field_is_its_kernel_cut_by_the_border(self, make):
        network = make("radford2015-svhn").load_discriminator()
        first = Responses(network, "tanh", 1)
        network.blocks[0].weight.data.fill_(1.0)
        corner, middle = torch.zeros(2, 1, 32, 32, dtype=torch.uint8).unbind()
        corner[:, :3, :3], middle[:, 14:19, 14:19] = 255, 255
        bright = Responses(network, "tanh", 1)
        images = torch.stack([corner, middle])
        _, areas = bright.gradients(images, None, torch.zeros(2, dtype=torch.int64))
        # The strongest answers are where the bright squares are; one is cut by the corner.
        assert areas.tolist() == [9, 25]
        assert not torch.equal(first(images), bright(images))  # a copy, made before

    def test_answers_are_the_largest_of_each_map(self, responses, make):
        network = make("radford2015-svhn").load_discriminator()
        plain = Responses(network, "tanh", 3)
        images = noise(5)
        *_, last, _ = network.activations(images.float() / 127.5 - 1)
        torch.testing.assert_close(plain(images), last.detach().flatten(2).max(2).values)

    def test_all_presets_have_fields_within_the_image(self, tiny):
        for name in ("cs231n-mnist", "pytorch-examples", "radford2015-mnist"):
            config = preset(name).discriminator
            network = random_discriminator(config, 0)
            labels = torch.tensor([1, 2]) if config.classes else None
            images = noise(2, config.image_size, config.channels)
            for layer in range(1, len(config.feature_layers) + 1):
                made = Responses(network, "tanh", layer)
                _, areas = made.gradients(images, labels, torch.tensor([0, 1]))
                assert (areas > 1).all()
                assert (areas <= config.image_size**2).all()


class TestScores:
    def test_selectivity_of_known_labels(self):
        one, even = torch.full((3, 10), 4), torch.arange(10).expand(3, -1)
        assert label_selectivity(one, 10) == pytest.approx(1)
        assert label_selectivity(even, 10) == pytest.approx(0)
        halves = torch.tensor([[0, 0, 1, 1]])
        assert label_selectivity(halves, 2) == pytest.approx(0)
        assert label_selectivity(halves, 100) == pytest.approx(0.5)  # of at most log 4

    def test_concentration_of_known_gradients(self):
        even = torch.ones(1, 3, 10, 10)
        point = torch.zeros(1, 3, 10, 10)
        point[0, 1, 4, 4] = -2
        gradients = torch.cat([even, point, torch.zeros(1, 3, 10, 10)])
        found = concentration(gradients, torch.tensor([100, 100, 100]))
        assert found[:2].tolist() == pytest.approx([0.1, 1])
        assert found[2].isnan()

    def test_concentration_counts_the_receptive_field_alone(self):
        gradient = torch.zeros(1, 1, 10, 10)
        gradient[0, 0, :5, :4] = 1
        assert concentration(gradient, torch.tensor([20])).tolist() == pytest.approx([2 / 20])

    def test_a_tenth_of_the_pixels_is_rounded_up(self):
        gradient = torch.zeros(1, 1, 10, 10)
        gradient[0, 0, :5, :5] = 1
        assert concentration(gradient, torch.tensor([25])).tolist() == pytest.approx([3 / 25])

    def test_grey_is_zero_and_the_largest_reaches_the_end(self):
        pixels = as_grey(torch.tensor([[[[0.0, 4.0, -4.0, 2.0]]], [[[0.0, 0.0, 0.0, 0.0]]]]))
        assert pixels.flatten(1).tolist() == [[128, 255, 1, 192], [128] * 4]


def test_strongest_images_do_not_depend_on_batches(responses, monkeypatch):
    images = open_images("digits", root=None, size=32, limit=100)
    monkeypatch.setattr(module, "_BATCH", 7)
    order = torch.randperm(100, generator=stream(0, "order"))
    found = module._strongest(responses, images, order, lambda done, total: None)
    expected = responses(images.pixels).topk(8, dim=0).indices.t()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("n", [8, 128, 129, 130, 300])
def test_each_image_has_the_same_weight_in_the_statistics(make, n):
    images = open_images("digits", root=None, size=32, limit=n)
    network = make("radford2015-svhn").load_discriminator()
    made = Responses(network, "tanh", 3)
    order = torch.arange(n)
    found = list(module._batches(made, images, order, lambda done, total: None))
    sizes = [len(rows) for rows, _, _ in found]
    assert (sum(sizes), max(sizes) <= 128, max(sizes) - min(sizes) <= 1) == (n, True, True)
    made.normalise_by((pixels, labels) for _, pixels, labels in found)
    whole = batch_statistics(network, images.pixels.float() / 127.5 - 1)
    first = next(each for each in made._network.modules() if isinstance(each, BatchNorm))
    # What the first batch norm sees depends on no batch, so that its mean is that of all images.
    torch.testing.assert_close(
        first.running_mean, whole[0, : first.num_features].float(), rtol=2e-3, atol=1e-5
    )


def test_record_and_figure(make, tmp_path):
    run = make("radford2015-svhn")
    found = [filters(run, n=2, device="cpu", precision="32", out=tmp_path) for _ in range(2)]
    one, other = (each.record for each in found)
    assert one.result == other.result
    assert one.exhibit == "filters"
    assert one.result.keys() == one.controls["untrained"].keys() == {"selectivity", "concentration"}
    scores = [*one.result.values(), *one.controls["untrained"].values()]
    assert all(0 < score <= 1 for score in scores)
    # The run has the untrained network of another seed.
    assert one.result != one.controls["untrained"]
    same = filters(run, n=2, seed=7, device="cpu", precision="32", out=tmp_path).record
    assert same.controls["untrained"] == same.result
    lines, figure = found[0].files
    results = [row["result"] for row in read_lines(lines)]
    assert results == [one.result, one.result, same.result]
    assert same.result == pytest.approx(one.result, rel=1e-5)  # whatever the order of the images
    with Image.open(figure) as picture:
        assert picture.size == (17 * 66 - 2, 4 * 66 - 2)


def test_scores_are_of_all_maps_normalised_by_the_images_that_are_looked_at(make, tmp_path):
    run = make("radford2015-svhn")
    record = filters(run, n=2, device="cpu", precision="32", out=tmp_path).record
    images = open_run_images(run, None, root=None, device="cpu")
    responses = Responses(run.load_discriminator(), "tanh", 3)
    responses.normalise_by([(images.pixels, None)])  # which are few enough for one batch
    strongest = responses(images.pixels).topk(8, dim=0).indices.t()
    shares = [
        concentration(*responses.gradients(images.pixels[rows], None, torch.full((8,), number)))
        for number, rows in enumerate(strongest)
    ]
    assert record.result == pytest.approx(
        {
            "selectivity": label_selectivity(images.labels[strongest], 10),
            "concentration": float(torch.cat(shares).mean()),
        },
        rel=1e-4,
    )


def test_a_conditional_network_takes_the_labels_of_the_images(make, tmp_path):
    run = make("carpedm20-mnist")
    found = filters(run, layer=1, device="cpu", precision="32", out=tmp_path)
    # What its filters tell of the classes they may have from the labels.
    assert found.record.result["selectivity"] is None
    assert 0 < found.record.result["concentration"] <= 1
    with pytest.raises(InputError, match="labelled with the 10 classes of the conditional"):
        filters(run, unlabelled(tmp_path), device="cpu")


def test_equal_answers_select_no_class_though_images_lie_by_class(make, tmp_path):
    labels = np.arange(10).repeat(10)
    np.savez(tmp_path / "flat.npz", train_images=np.full((100, 32, 32), 9, np.uint8),
             train_labels=labels)  # fmt: skip
    run, data = make("radford2015-svhn"), str(tmp_path / "flat.npz")
    record = filters(run, data, device="cpu", precision="32", out=tmp_path).record
    assert record.result["selectivity"] < 0.5


def test_without_labels_there_is_no_selectivity(make, tmp_path):
    record = filters(make("radford2015-svhn"), unlabelled(tmp_path), out=tmp_path).record
    assert record.result["selectivity"] is None
    assert record.controls["untrained"]["selectivity"] is None
    assert 0 < record.result["concentration"] <= 1


def unlabelled(folder: Path) -> str:
    np.savez(folder / "plain.npz", train_images=noise(12)[:, 0].numpy())
    return str(folder / "plain.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 4}, r"1 \(6 maps of 16x16\), 2 \(6 maps of 8x8\), 3 \(6 .* Got 4"),
        ({"layer": 0}, "Got 0"),
        ({"n": 0}, "n must be from 1 to the layer's number of maps, 6. Got 0"),
        ({"n": 7}, "Got 7"),
        ({"data": "digitz"}, "Did you mean 'digits'"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(make, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        filters(make("radford2015-svhn"), out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_run_needs_a_discriminator(make, tmp_path):
    run = make("radford2015-svhn")
    run.discriminator.unlink()
    with pytest.raises(InputError, match=r"weights file .* must exist"):
        filters(run, out=tmp_path / "out")
