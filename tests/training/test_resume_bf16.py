"""Resuming bit for bit in the precision and by the routes that a CPU with bf16 uses by default."""

import pytest
import torch

from gan_eval import Request, carry_out, new_job, resumed_job
from gan_eval.models import convolution


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_a_bf16_run_on_two_threads_continues_bit_for_bit(tmp_path, monkeypatch, two_threads):
    routes = []
    prefers = convolution._prefers_patches

    def noted(*arguments):
        routes.append(prefers(*arguments))
        return routes[-1]

    monkeypatch.setattr(convolution, "_prefers_patches", noted)
    asked = {"preset": "radford2015-svhn", "data": "digits", "limit": 32, "batch_size": 8}
    asked |= {"precision": "bf16", "device": "cpu"}
    straight = new_job(tmp_path / "straight", Request(steps=6, **asked))
    carry_out(straight)
    carry_out(new_job(tmp_path / "stopped", Request(steps=3, **asked)))
    stopped = resumed_job(tmp_path / "stopped", steps=6)
    carry_out(stopped)
    # Compared before `assert`, which would look for the differences of megabytes.
    same = stopped.run.state.read_bytes() == straight.run.state.read_bytes()
    assert same
    assert set(routes) == {True, False}
