"""Named streams: equal for equal names, unrelated for others, the same on every machine."""

import hashlib

import torch

from gan_eval.seeding import derive, stream


def test_derived_seeds_are_pinned():
    # SHA-256 of "0/init" and "7/latent/3/1", first eight bytes, without the lowest bit.
    assert derive(0, "init") == _by_hand("0/init")
    assert derive(7, "latent", 3, 1) == _by_hand("7/latent/3/1")


def _by_hand(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) // 2


def test_streams_of_one_name_are_equal_and_independent():
    one, two = stream(3, "data", 5), stream(3, "data", 5)
    first = torch.rand(4, generator=one)
    torch.rand(100, generator=stream(3, "data", 6))
    assert torch.equal(first, torch.rand(4, generator=two))
    assert not torch.equal(first, torch.rand(4, generator=one))


def test_seed_name_and_number_all_matter():
    names = [(0, "data", 1), (1, "data", 1), (0, "latent", 1), (0, "data", 2), (0, "data"), (0,)]
    assert len({derive(*parts) for parts in names}) == len(names)


def test_seeds_fit_a_generator_and_spread_over_its_range():
    seeds = [derive(0, "step", step) for step in range(1000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == 1000
    # Uniform over [0, 2^63): mean 1/2, standard error of it 0.29 / sqrt(1000) = 0.009.
    assert abs(sum(seeds) / len(seeds) / 2**63 - 0.5) < 0.04


def test_stream_lives_on_the_cpu_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    generator = stream(0, "init")
    torch.rand(3, generator=generator)
    assert generator.device.type == "cpu"
    assert torch.equal(before, torch.get_rng_state())
