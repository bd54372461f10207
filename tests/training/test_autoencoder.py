"""The autoencoder restores images, and its hash is the sign of its codes."""

import numpy as np
import pytest
import torch

from gan_eval.data import open_images
from gan_eval.training import autoencoder
from gan_eval.training.autoencoder import fit_autoencoder, untrained_autoencoder


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return open_images("digits", root=None, size=32, channels=3, limit=200).pixels


def fit(images: torch.Tensor, seed: int = 0) -> autoencoder.Autoencoder:
    return fit_autoencoder(images, seed=seed, device="cpu", tell=lambda done, total: None)


def test_it_restores_more_than_the_mean_image(images, monkeypatch):
    monkeypatch.setattr(autoencoder, "_STEPS", 60)
    # Standardised rows have variance 1, so that the mean image errs by 1.
    before, after = (
        network.loss(images, torch.Generator().manual_seed(0)).item()
        for network in (untrained_autoencoder(images, seed=0), fit(images))
    )
    assert before > 0.95
    assert after < 0.5


def test_a_hash_is_the_packed_signs_of_the_codes(images):
    network = untrained_autoencoder(images, seed=0)
    values = images.double().flatten(1)
    rows = (values - values.mean(0)) / (values - values.mean(0)).square().mean().sqrt()
    weight, bias = network.encoder.weight.double(), network.encoder.bias.double()
    expected = rows @ weight.T + bias > 0
    bits = np.unpackbits(network.hashes(images), axis=1)
    assert bits.shape == (200, 128)
    # Rounding may turn a code that is nearly 0.
    assert (bits != expected.numpy()).mean() < 1e-3


def test_a_seed_is_one_network_and_no_global_generator_is_touched(images, monkeypatch):
    monkeypatch.setattr(autoencoder, "_STEPS", 3)
    state = torch.get_rng_state()
    one, again, other = fit(images), fit(images), fit(images, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.encoder.weight, again.encoder.weight)
    assert not torch.equal(one.encoder.weight, other.encoder.weight)


def test_images_without_contrast_have_a_hash(images):
    network = untrained_autoencoder(torch.zeros_like(images), seed=0)
    assert np.unique(network.hashes(torch.zeros_like(images)), axis=0).shape == (1, 16)
