"""Near codes are the ones that comparing all with all finds."""

import numpy as np
import pytest

from gan_eval.probes import hamming
from gan_eval.probes.hamming import components, nearest_others


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    """128 bits, 300 codes: random ones, and near ones of each a few bits apart, in chains."""
    source = np.random.default_rng(0)
    rows = [source.integers(0, 2, (60, 128))]
    for _ in range(4):
        rows.append(rows[-1] ^ (source.random((60, 128)) < 0.05))
    return np.packbits(np.concatenate(rows), axis=1)


def distances(codes: np.ndarray) -> np.ndarray:
    bits = np.unpackbits(codes, axis=1).astype(int)
    return (bits[:, None] != bits).sum(2)


def spread(near: np.ndarray) -> np.ndarray:
    """Return the least row that each one reaches along near pairs."""
    reached = np.arange(len(near))
    for _ in range(len(near)):
        reached = np.where(near, reached, len(near)).min(1)
    return reached


@pytest.mark.parametrize("radius", [0, 1, 5, 6, 11, 12, 23])
def test_groups_are_chains_of_near_pairs(codes, radius):
    found = components(codes, radius)
    first = {label: row for row, label in reversed(list(enumerate(found.tolist())))}
    assert [first[label] for label in found.tolist()] == spread(distances(codes) <= radius).tolist()


@pytest.mark.parametrize("width", [1, 3, 5, 7])
def test_any_radius_comes_to_an_end(width):
    """Also one that is more than the bits of a part, of which there are two in 5 bytes."""
    codes = np.random.default_rng(0).integers(0, 256, (20, width), np.uint8)
    for radius in (8 * width - 1, 8 * width, 8 * width + 1, 1000):
        expected = spread(distances(codes) <= radius)
        assert components(codes, radius).tolist() == expected.tolist() == [0] * 20


def test_they_do_not_depend_on_how_many_are_looked_up_at_once(codes, monkeypatch):
    at_once = components(codes, 9)
    monkeypatch.setattr(hamming, "_QUERIES", 7)
    monkeypatch.setattr(hamming, "_PAIRS", 3)
    told = []
    piecemeal = components(codes, 9, lambda done, total: told.append((done, total)))
    assert (piecemeal == at_once).all()
    assert told[0] == (7, len(codes))
    assert told[-1] == (len(codes), len(codes))


def test_any_number_of_equal_codes_is_one_group():
    assert components(np.zeros((5000, 16), np.uint8), 4).tolist() == [0] * 5000


def test_the_nearest_other_is_never_the_code_itself(codes):
    twice = np.concatenate([codes, codes[:3]])
    rows = np.array([0, 2, 7, 250, 301])
    apart = distances(twice)
    np.fill_diagonal(apart, 999)
    found, nearest = nearest_others(twice, rows)
    assert found.tolist() == apart[rows].min(1).tolist()
    assert apart[rows, nearest].tolist() == found.tolist()
