"""Wilson's interval against his formula."""

import math

import pytest

from gan_eval.metrics.intervals import wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (8, 10), (130, 200), (0, 1)])
def test_the_ends_are_those_of_the_formula(successes, trials):
    z, p = 1.959963984540054, successes / trials
    middle = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    assert wilson_interval(successes, trials) == pytest.approx((middle - half, middle + half))
