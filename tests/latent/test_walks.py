"""Ways through Z, and what is measured along them, against closed forms."""

import math

import pytest
import torch

from gan_eval.latent.interpolate import (
    closed_tour,
    jump_ratio,
    path_lengths,
    spherical,
    steps_of,
    straight,
)

X, Y = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 1.0])
def test_the_spherical_way_between_perpendicular_points_is_an_arc(t):
    expected = [2 * math.cos(t * math.pi / 2), 2 * math.sin(t * math.pi / 2)]
    torch.testing.assert_close(spherical(X, Y, torch.tensor(t)), torch.tensor(expected))


def test_the_spherical_way_keeps_its_distance_from_zero_and_the_straight_one_does_not():
    a, b = torch.randn(2, 50, 100, generator=torch.Generator().manual_seed(0))
    b *= (a.norm(dim=1) / b.norm(dim=1))[:, None]
    half = torch.full((50,), 0.5)
    torch.testing.assert_close(spherical(a, b, half).norm(dim=1), a.norm(dim=1))
    # sqrt(1/2) of it for independent points: the hole in the middle of a prior.
    ratio = straight(a, b, half).norm(dim=1) / a.norm(dim=1)
    assert abs(float(ratio.mean()) - math.sqrt(0.5)) < 0.03


@pytest.mark.parametrize("b", [X, 3 * X, -X])
def test_on_one_line_through_zero_the_ways_are_the_same(b):
    t = torch.tensor(0.3)
    torch.testing.assert_close(spherical(X, b, t), straight(X, b, t))


@pytest.mark.parametrize("way", [straight, spherical])
def test_a_tour_visits_every_point_once_and_leads_back(way):
    points = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    tour = closed_tour(points, 5, way)
    assert tour.shape == (4, 5, 6)
    torch.testing.assert_close(tour[:, 0], points)
    torch.testing.assert_close(tour[3, 4], way(points[3], points[0], torch.tensor(0.8)))
    torch.testing.assert_close(tour[1, 2], way(points[1], points[2], torch.tensor(0.4)))


def test_steps_are_even_on_a_square_and_a_jump_shows():
    square = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    assert steps_of(square).tolist() == [1, 1, 1, 1]  # the last one leads back
    assert jump_ratio(steps_of(square)[None]) == 1
    assert jump_ratio(torch.tensor([[1.0, 4.0, 10.0]])) == 2
    assert jump_ratio(torch.tensor([[0.0, 0.0, 0.0, 1.0]])) == 4  # a leap from standing still
    assert jump_ratio(torch.zeros(2, 3)) == 0


def test_a_jump_is_of_the_way_that_it_is_on():
    """Ways of unlike lengths have none; a leap on the shortest is found."""
    ways = torch.tensor([[1.0, 1.0, 1.0], [50.0, 50.0, 60.0]])
    assert jump_ratio(ways) == pytest.approx(60 / (160 / 3))
    ways[0, 1] = 4
    assert jump_ratio(ways) == 2


@pytest.mark.parametrize("epsilon", [1e-1, 1e-4])
def test_the_path_length_of_a_linear_map_is_its_squared_length(epsilon):
    generator = torch.Generator().manual_seed(0)
    a, b, matrix = (torch.randn(*shape, generator=generator, dtype=torch.float64)
                    for shape in ((5, 7), (5, 7), (7, 3)))  # fmt: skip
    t = torch.rand(5, generator=generator, dtype=torch.float64)
    before, after = (straight(a, b, each) @ matrix for each in (t, t + epsilon))
    expected = ((b - a) @ matrix).square().sum(1)
    torch.testing.assert_close(path_lengths(before, after, epsilon), expected)
