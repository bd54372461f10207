"""Sums of averaged z, neighbours, random directions and steps."""

import torch

from gan_eval.latent.arithmetic import along, combine, neighbours, random_directions


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_sum_is_of_means_and_works_on_batches():
    a, b, c = (torch.randn(6, n, 4, generator=source(n)) for n in (3, 2, 1))
    expected = torch.stack([a[i].mean(0) - b[i].mean(0) + c[i, 0] for i in range(6)])
    torch.testing.assert_close(combine(a, b, c), expected)


def test_neighbours_differ_by_uniform_noise_of_a_quarter():
    z = torch.full((5000,), 7.0)
    noise = neighbours(z, 8, source()) - 7
    assert noise.shape == (8, 5000)
    assert float(noise.abs().max()) <= 0.25 + 1e-5
    # Mean 0 and variance (2 * 0.25)^2 / 12 of the uniform distribution, four standard errors wide.
    assert abs(float(noise.mean())) < 4 * (0.25 / 12 / 40_000) ** 0.5
    assert abs(float(noise.var()) - 0.25 / 12) < 0.0004


def test_random_directions_have_the_lengths_and_no_preference():
    lengths = torch.tensor([0.5, 3.0]).repeat(2000)
    drawn = random_directions(lengths, 10, source())
    torch.testing.assert_close(drawn.norm(dim=1), lengths)
    units = drawn / lengths[:, None]
    assert float(units.mean(0).abs().max()) < 4 * (0.1 / 4000) ** 0.5


def test_steps_along_a_vector_pass_through_the_point():
    z, vector = torch.tensor([[1.0, 1.0], [2.0, 0.0]]), torch.tensor([10.0, 0.0])
    found = along(z, vector, [-1.0, 0.0, 0.5])
    assert found.tolist() == [[[-9, 1], [1, 1], [6, 1]], [[-8, 0], [2, 0], [7, 0]]]
