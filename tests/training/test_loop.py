"""What the loop says and keeps, apart from the weights."""

import pytest
import torch

from gan_eval import Request, carry_out, new_job
from gan_eval.errors import InputError
from gan_eval.files import read_lines
from gan_eval.models.runs import Run
from gan_eval.training.config import default_save_epochs
from gan_eval.training.loop import Habits, _Progress, _warn_of_collapse, train
from gan_eval.training.stopping import saving


@pytest.mark.parametrize(
    ("step", "steps", "diversity", "warned"),
    [
        (50, 9000, 0.01, False),  # untrained generators draw one image too
        (1000, 9000, 0.01, True),
        (1000, 9000, 0.11, False),
        (100, 300, 0.01, True),  # a short run is old sooner
        (50, 60, 0.01, False),  # but not after a few steps
    ],
)
def test_collapse_is_warned_of_once(tiny, step, steps, diversity, warned):
    said: list[str] = []
    config, _ = tiny(steps=steps)
    progress = _Progress(step, step, torch.tensor(True))
    row = {"step": step, "diversity": diversity}
    for _ in range(2):
        _warn_of_collapse(row, progress, config, Habits(warn=said.append))
    assert len(said) == warned


@pytest.mark.parametrize(
    ("epochs", "kept"), [(1, (1,)), (6, (1, 2, 5, 6)), (25, (1, 2, 5, 10, 20, 25))]
)
def test_kept_epochs_are_spread_evenly_over_scales(epochs, kept):
    assert default_save_epochs(epochs) == kept


def test_epochs_are_counted_from_the_end_of_pretraining(tiny, fabric, folder):
    config, images = tiny("cs231n-mnist", steps=13, pretrain_steps=3)  # 5 to an epoch
    run = Run(folder)
    train(run, config, images, fabric, Habits(log_every=4))
    epochs = {row["step"]: row["epoch"] for row in read_lines(run.metrics)}
    assert epochs == {4: 0.2, 8: 1.0, 12: 1.8, 13: 2.0}


def test_a_run_broken_off_within_an_epoch_still_ends_with_samples(tmp_path):
    request = Request(preset="radford2015-svhn", data="digits", limit=16, batch_size=4, steps=6,
                      precision="32")  # fmt: skip
    job = new_job(tmp_path / "run", request)
    carry_out(job)
    assert job.run.grid(2).exists()
    assert job.run.generator.exists()
    assert [row["step"] for row in read_lines(job.run.metrics)] == [6]


def test_the_seed_decides_the_weights(tmp_path):
    finals = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        request = Request(preset="radford2015-svhn", data="digits", limit=8, batch_size=4, steps=2,
                          precision="32", seed=seed)  # fmt: skip
        job = new_job(tmp_path / name, request)
        carry_out(job)
        finals.append(job.run.generator.read_bytes())
    assert finals[0] == finals[1] != finals[2]


def test_an_image_that_cannot_be_read_says_whether_what_was_trained_is_saved(fabric):
    def batches():
        yield 1
        raise InputError("image a.png must be whole.")

    def full() -> None:
        raise OSError("no space left")

    for save, end in (
        (lambda: None, r"is saved, and --resume goes on\.$"),
        (full, "no space left$"),
    ):
        given = saving(batches(), fabric, save)
        assert next(given) == 1
        with pytest.raises(InputError, match=rf"^image a\.png must be whole\. .*{end}"):
            next(given)


def test_what_reads_ahead_ends_with_the_training(fabric):
    ended = []

    def batches():
        try:
            while True:
                yield 1
        finally:
            ended.append(True)

    read = batches()
    given = saving(read, fabric, lambda: None)
    next(given)
    given.close()
    assert ended == [True]
