"""The feed is a function of (seed, step): the same batches from any start, share or storage."""

import signal
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_eval.data import Feed, Images, open_images
from gan_eval.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path: Path) -> str:
    """37 colour images whose every pixel is their row's number, labelled row mod 4."""
    rows = np.arange(37, dtype=np.uint8)
    images = np.broadcast_to(rows[:, None, None, None], (37, 6, 6, 3))
    np.savez(tmp_path / "rows.npz", train_images=images, train_labels=rows % 4)
    return str(tmp_path / "rows.npz")


def opened(data: str, **options: int) -> Images:
    return open_images(data, root=None, **options)


def rows_of(feed: Feed, count: int, start: int = 0) -> list[list[int]]:
    return [pixels[:, 0, 0, 0].tolist() for pixels, _ in islice(feed.batches(start), count)]


def test_an_epoch_shows_no_image_twice_and_leaves_out_only_the_last_part(data: str):
    feed = Feed(opened(data), batch_size=8, seed=0, device=CPU)
    for epoch in range(3):
        seen = list(chain(*rows_of(feed, 4, start=4 * epoch)))
        assert len(set(seen)) == 32


def test_epochs_and_seeds_have_their_own_order(data: str):
    images = opened(data)
    first = Feed(images, batch_size=37, seed=0, device=CPU)
    other = Feed(images, batch_size=37, seed=1, device=CPU)
    (one,), (two,), (three,) = rows_of(first, 1), rows_of(first, 1, start=1), rows_of(other, 1)
    assert sorted(one) == sorted(two) == sorted(three) == list(range(37))
    assert one != two
    assert one != three


def test_labels_belong_to_their_images(data: str):
    for pixels, labels in islice(Feed(opened(data), batch_size=5, seed=3, device=CPU).batches(), 9):
        assert torch.equal(pixels[:, 0, 0, 0] % 4, labels.to(torch.uint8))
        assert labels.dtype == torch.int64


@pytest.mark.parametrize("memory", [None, 0])
def test_a_start_equals_skipping(data: str, memory: int | None):
    feed = Feed(opened(data, memory=memory), batch_size=8, seed=5, device=CPU, workers=0)
    whole = rows_of(feed, 11)
    for start in (1, 4, 7):
        assert rows_of(feed, 11 - start, start) == whole[start:]


def test_the_shares_of_all_processes_make_the_batch(data: str):
    images = opened(data)
    whole = rows_of(Feed(images, batch_size=12, seed=2, device=CPU), 7)
    shares = [
        rows_of(Feed(images, batch_size=12, seed=2, device=CPU, rank=rank, world_size=3), 7)
        for rank in range(3)
    ]
    assert [list(chain(*parts)) for parts in zip(*shares, strict=True)] == whole


@pytest.mark.parametrize("workers", [0, 2])
def test_held_and_streamed_give_the_same_batches(data: str, workers: int):
    held, streamed = opened(data, size=9), opened(data, size=9, memory=0)
    assert streamed.pixels is None
    assert (len(streamed), streamed.size, streamed.channels) == (37, 9, 3)
    feeds = [
        Feed(images, batch_size=10, seed=1, device=CPU, workers=workers)
        for images in (held, streamed)
    ]
    for one, two in islice(zip(*(feed.batches(2) for feed in feeds), strict=True), 5):
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])


@pytest.mark.gpu
def test_batches_arrive_on_the_gpu(data: str):
    held, streamed = opened(data), opened(data, memory=0)
    cuda = torch.device("cuda")
    whole = rows_of(Feed(held, batch_size=8, seed=0, device=CPU), 6)
    for images in (held, streamed):
        feed = Feed(images, batch_size=8, seed=0, device=cuda)
        assert rows_of(feed, 6) == whole
        assert all(part.is_cuda for part in next(feed.batches()))


def test_unlabelled_batches_have_none(tmp_path: Path):
    np.savez(tmp_path / "a.npz", train_images=np.zeros((4, 6, 6), np.uint8))
    for memory in (None, 0):
        images = open_images(str(tmp_path / "a.npz"), root=None, memory=memory)
        _, labels = next(Feed(images, batch_size=2, seed=0, device=CPU, workers=0).batches())
        assert labels is None


def test_the_global_generator_is_left_alone(data: str):
    before = torch.get_rng_state()
    next(Feed(opened(data, memory=0), batch_size=4, seed=0, device=CPU, workers=0).batches())
    next(Feed(opened(data), batch_size=4, seed=0, device=CPU).batches())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_damaged_image_met_by_a_worker_is_one_line(tmp_path: Path):
    for name in ("a", "b"):
        noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:500])
    images = open_images(str(tmp_path), root=None, memory=0)
    with pytest.raises(InputError, match=r"^image .*b.png must be a whole image file") as caught:
        next(Feed(images, batch_size=2, seed=0, device=CPU, workers=1).batches())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_cut_short_while_it_is_streamed_is_one_line(tmp_path: Path, workers: int):
    np.savez(tmp_path / "a.npz", train_images=np.zeros((9, 8, 8), np.uint8))
    images = open_images(str(tmp_path / "a.npz"), root=None, memory=0)
    (tmp_path / "a.npz").write_bytes(b"")
    with pytest.raises(InputError, match=r"a.npz must stay whole while it is read. Got ") as caught:
        next(Feed(images, batch_size=2, seed=0, device=CPU, workers=workers).batches())
    assert "\n" not in str(caught.value)


def test_batches_that_cannot_be(data: str):
    images = opened(data)
    with pytest.raises(InputError, match=r"at most the number of images \(37\).* Got 38"):
        Feed(images, batch_size=38, seed=0, device=CPU)
    with pytest.raises(InputError, match=r"divisible by the number of processes \(3\). Got 10"):
        Feed(images, batch_size=10, seed=0, device=CPU, world_size=3)
    with pytest.raises(InputError, match=r"batch_size must be at least 1. Got 0"):
        Feed(images, batch_size=0, seed=0, device=CPU)


class _Blocked(torch.utils.data.Dataset):
    """Images whose every pixel is how many of SIGTERM and SIGINT their reader does not get."""

    def __len__(self) -> int:
        return 37

    def __getitem__(self, row: int) -> torch.Tensor:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        count = len(blocked & {signal.SIGTERM, signal.SIGINT})
        return torch.full((3, 6, 6), count, dtype=torch.uint8)


def test_workers_do_not_get_the_signals_that_the_trainer_gets(data: str):
    images = replace(opened(data, memory=0), stream=_Blocked())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for workers, expected in ((2, 2), (0, 0)):
        feed = Feed(images, batch_size=4, seed=0, device=CPU, workers=workers)
        assert rows_of(feed, 3) == [[expected] * 4] * 3
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
