"""Features are computed once, and are the same bytes whoever made them and whatever interfered.

As a script this file is the programs that are killed, run two at a time, or share the work.
"""

import errno
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_eval.data import Images, open_images
from gan_eval.data.images_set import fingerprint_pixels
from gan_eval.devices import make_fabric, processes
from gan_eval.errors import InputError
from gan_eval.features import array_file, store
from gan_eval.features.discriminator import DiscriminatorFeatures, random_discriminator
from gan_eval.features.store import default_store, extract
from gan_eval.features.views import Shifted
from gan_eval.models.config import DiscriminatorConfig, Layer, Norm
from gan_eval.seeding import stream

CHUNK, BATCH = 8, 4


def images(n: int = 30, seed: int = 0, side: int = 8) -> Images:
    pixels = torch.randint(256, (n, 1, side, side), generator=stream(seed), dtype=torch.uint8)
    return Images(
        name="noise",
        split="train",
        source="drawn",
        pixels=pixels,
        stream=None,
        labels=None,
        class_names=(),
        attributes=None,
        attribute_names=(),
        native=None,
        fit=None,
        notes=(),
        fingerprint=fingerprint_pixels(pixels, None),
    )


FEW = images(10)


class Counted:
    """The first pixels of an image, times a factor; counts what it was asked for."""

    name = "counted"

    def __init__(self, factor: float = 1.0, seconds: float = 0.0, **identity: Any) -> None:
        self.width, self.identity = 6, {"extractor": "counted", "factor": factor, **identity}
        self.prepared, self.batches = 0, list[int]()
        self._factor, self._seconds = factor, seconds

    def prepare(self) -> None:
        self.prepared += 1

    def __call__(self, batch: Tensor) -> Tensor:
        assert self.prepared
        time.sleep(self._seconds)
        self.batches.append(len(batch))
        return batch.flatten(1)[:, :6].float() * self._factor


def made(folder: Path, extractor: Any = None, given: Images | None = None, **options: Any) -> Any:
    options = {"batch_size": BATCH, **options}
    return extract(extractor or Counted(), given or images(), store=folder, **options)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*"))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_CHUNK", CHUNK)


def test_rows_are_the_extractors_in_order_and_cannot_be_written_to(tmp_path: Path):
    rows = made(tmp_path)
    assert isinstance(rows, np.memmap)
    assert rows.dtype == np.float16
    assert np.array_equal(rows, images().take(range(30)).flatten(1)[:, :6].numpy())
    with pytest.raises(ValueError, match="read-only"):
        rows[0, 0] = 1


def test_the_record_says_what_the_rows_are(tmp_path: Path):
    made(tmp_path)
    (path,) = tmp_path.glob("*.npy")
    assert visible(tmp_path) == [f"{path.stem}.json", path.name]
    assert len(path.stem) == 32
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["identity"] == {"extractor": "counted", "factor": 1.0}
    assert record["images"] == images().fingerprint
    assert (record["n"], record["dtype"]) == (30, "float16")
    assert "torch" in record["versions"]


def test_float32_keeps_what_float16_rounds(tmp_path: Path):
    exact, rounded = (
        made(tmp_path, Counted(1 / 3), dtype=dtype) for dtype in ("float32", "float16")
    )
    assert exact.dtype == np.float32
    assert np.array_equal(exact.astype(np.float16), rounded)
    assert not np.array_equal(exact, rounded)


def test_finished_features_are_neither_computed_nor_prepared_again(tmp_path: Path):
    first, again = Counted(), Counted()
    rows = made(tmp_path, first)
    assert (first.prepared, first.batches) == (1, [4, 4, 4, 4, 4, 4, 4, 2])
    assert np.array_equal(made(tmp_path, again), rows)
    # Batches change no row here, so another size is no reason to begin anew.
    made(tmp_path, again, batch_size=7)
    assert (again.prepared, again.batches) == (0, [])


def test_whatever_changes_a_row_changes_the_key(tmp_path: Path):
    cases: list[Callable[[], Any]] = [
        lambda: made(tmp_path),
        lambda: made(tmp_path, Counted(2.0)),
        lambda: made(tmp_path, Counted(pool=4)),
        lambda: made(tmp_path, Counted(statistics_of="pixels-sha256:0")),
        lambda: made(tmp_path, given=images(29)),
        lambda: made(tmp_path, given=images(seed=1)),
        lambda: made(tmp_path, dtype="float32"),
        lambda: made(tmp_path, Counted(depends_on_batch=True)),
        lambda: made(tmp_path, Counted(depends_on_batch=True), batch_size=2),
    ]
    for number, case in enumerate(cases, 1):
        case()
        case()
        assert len(list(tmp_path.glob("*.npy"))) == number


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_streamed_images_that_were_changed_have_new_features(tmp_path: Path, kind: str):
    def opened(value: int) -> Images:
        pixels = np.zeros((1001, 8, 8), np.uint8)
        pixels[1] = value  # which the fingerprint does not look at
        data = tmp_path / "data"
        if kind == "npz":
            np.savez(data.with_suffix(".npz"), train_images=pixels)
            return open_images(f"{data}.npz", root=None, memory=0)
        data.mkdir(exist_ok=True)
        for row, image in enumerate(pixels[:201]):
            Image.fromarray(image).save(data / f"{row:04}.bmp")
        return open_images(str(data), root=None, memory=0)

    before, first = made(tmp_path / "store", given=opened(0)), opened(0)
    again = opened(7)
    assert first.fingerprint == again.fingerprint
    assert before[1, 0] == 0
    assert made(tmp_path / "store", given=again)[1, 0] == 7


def test_the_first_of_several_processes_says_where_rows_are(monkeypatch: pytest.MonkeyPatch):
    mine = {"identity": {"x": 1, "train": "a"}, "images": "names-sha256:1 s", "n": 3}
    first = {"identity": {"x": 1, "train": "b"}, "images": "pixels-sha256:2", "n": 3}
    monkeypatch.setattr(store, "gather", lambda value: [first, value])
    assert store._agreed(mine) == first
    with pytest.raises(InputError, match=r"process 1 differ from the first one's"):
        store._agreed({**mine, "identity": {"x": 2}})


def test_progress_counts_rows_to_the_end(tmp_path: Path):
    seen: list[int] = []
    made(tmp_path, progress=seen.append)
    assert seen == [4, 8, 12, 16, 20, 24, 28, 30]


class Interrupted(Counted):
    """Fails, as a signal would, in a chunk that is not the first."""

    def __call__(self, batch: Tensor) -> Tensor:
        if len(self.batches) == 5:
            raise KeyboardInterrupt
        return super().__call__(batch)


def test_only_chunks_that_are_missing_are_computed(tmp_path: Path):
    undisturbed = made(tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, Interrupted())
    (unfinished,) = tmp_path.glob("*.unfinished.npy")
    assert np.load(unfinished, mmap_mode="r").shape == (30, 6)
    rest, seen = Counted(), list[int]()
    assert np.array_equal(made(tmp_path, rest, progress=seen.append), undisturbed)
    assert rest.batches == [4, 4, 4, 2]
    assert seen == [20, 24, 28, 30]
    assert not list(tmp_path.glob("*.unfinished.npy"))


def test_other_chunks_are_begun_anew(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, Interrupted())
    rest = Counted()
    assert np.array_equal(made(tmp_path, rest, batch_size=5), made(tmp_path / "other"))
    assert rest.batches == [5] * 6


def test_file_cut_short_is_made_again(tmp_path: Path):
    rows = np.array(made(tmp_path))
    (path,) = tmp_path.glob("*.npy")
    os.truncate(path, 200)
    assert np.array_equal(made(tmp_path), rows)


def test_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(file: int, offset: int, size: int) -> None:
        assert size == 128 + 30 * 6 * 2
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(array_file.os, "posix_fallocate", full, raising=False)
    extractor = Counted()
    with pytest.raises(OSError, match=r"No space left on device for 0\.00 GiB") as raised:
        made(tmp_path, extractor)
    assert raised.value.errno == errno.ENOSPC
    assert visible(tmp_path) == extractor.batches == []


def test_values_that_float16_cannot_hold_are_refused(tmp_path: Path):
    given = images()
    assert given.pixels is not None
    given.pixels[17, 0, 0, 0] = 255
    with pytest.raises(InputError, match=r"'counted' must be at most 65,504.*float32"):
        made(tmp_path, Counted(-257.0), given)
    assert visible(tmp_path) == []
    assert made(tmp_path, Counted(-257.0), given, dtype="float32").min() == -257 * 255


def test_rows_that_float16_makes_nothing_of_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"'counted' must not all be too small .*: 3e-08 at most"):
        made(tmp_path, Counted(1e-10))
    assert visible(tmp_path) == []
    assert made(tmp_path, Counted(1e-10), dtype="float32").max() > 0


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(factor: float, tmp_path: Path):
    class Spoiled(Counted):
        def __call__(self, batch: Tensor) -> Tensor:
            rows = super().__call__(batch)
            rows[1:2, 3] = factor if len(self.batches) == 4 else 0
            return rows

    with pytest.raises(InputError, match=r"'counted' must be finite. Those of row 13 are not"):
        made(tmp_path, Spoiled())
    assert visible(tmp_path) == []


def test_batches_of_nothing_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"batch_size must be at least 1\. Got 0"):
        made(tmp_path, batch_size=0)


def test_the_store_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GAN_EVAL_STORE", "/somewhere/else")
    assert default_store() == Path("/somewhere/else")
    monkeypatch.delenv("GAN_EVAL_STORE")
    assert default_store() == Path.home() / ".cache/gan_eval/features"


_PROGRAM = f"import runpy; runpy.run_path({__file__!r}, run_name='__main__')"


def child(work: Callable[[], object]) -> int:
    """Do `work` in a process of its own; return its number."""
    number = os.fork()
    if number == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return number


def ended(number: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def test_kill_at_any_line_changes_no_byte(nursery: Any, tmp_path: Path):
    nursery.succeed("kill_at_every_line", tmp_path, program=_PROGRAM)


def kill_at_every_line(folder: Path) -> None:
    """Kill the program before each line that it executes in the store, and then let it finish."""
    undisturbed = bytes_of(folder, FEW)
    lines, status, seen = 0, -signal.SIGKILL, set[str]()
    while status == -signal.SIGKILL:
        where = folder / str(lines)
        status = ended(child(partial(make_until, lines, where)))
        lines += 1
        left = state(where)
        if left in seen:  # and so is what follows from it
            continue
        seen.add(left)
        for path in where.glob("?" * 32 + ".npy"):
            assert path.read_bytes() == undisturbed
        assert ended(child(partial(made, where, given=FEW))) == 0
        (path,) = where.glob("*.npy")
        assert path.read_bytes() == undisturbed
        assert visible(where) == [f"{path.stem}.json", path.name]
        assert len(list(where.iterdir())) == 3  # and the lock
    assert status == 0
    assert lines > 100
    assert len(seen) > 8


def state(folder: Path) -> str:
    """Return names and contents of the files in `folder`, without what is drawn at random."""
    files = sorted(folder.iterdir()) if folder.exists() else []
    return repr([(path.name.split(".")[:3], path.read_bytes()) for path in files])


def make_until(lines: int, where: Path) -> None:
    """Make features, and die after that many lines of the store's files, each counted twice."""
    left, met = lines, Counter[tuple[str, int]]()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in (array_file.__file__, store.__file__):
            return None
        place = (frame.f_code.co_filename, frame.f_lineno)
        met[place] += event == "line"
        left -= event == "line" and met[place] <= 2
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    made(where, given=FEW)


def bytes_of(folder: Path, given: Images) -> bytes:
    """Return the file that an undisturbed program makes."""
    made(folder / "undisturbed", given=given)
    (path,) = (folder / "undisturbed").glob("*.npy")
    return path.read_bytes()


def test_program_killed_again_and_again_goes_on_where_it_was(nursery: Any, tmp_path: Path):
    nursery.succeed("kill_at_random", tmp_path, program=_PROGRAM)


def kill_at_random(folder: Path) -> None:
    dice, given, kept = random.Random(0), images(400), 0
    undisturbed, where = bytes_of(folder, given), folder / "killed"
    for _ in range(12):
        process = child(lambda: made(where, Counted(seconds=0.002), given))
        time.sleep(dice.uniform(0, 0.04))
        os.kill(process, signal.SIGKILL)
        assert ended(process) == -signal.SIGKILL
        # Not those of a file that was not yet whole.
        for marks in where.glob("[!.]*.done"):
            before, kept = kept, marks.read_bytes()[8:].count(1)
            assert kept >= before
    assert 0 < kept < 50
    rest = Counted()
    made(where, rest, given)
    assert len(rest.batches) == 2 * (50 - kept)
    (path,) = where.glob("*.npy")
    assert path.read_bytes() == undisturbed


def test_two_programs_at_once_compute_each_row_once(nursery: Any, tmp_path: Path):
    nursery.succeed("two_at_once", tmp_path, program=_PROGRAM)


def two_at_once(folder: Path) -> None:
    def work() -> None:
        extractor = Counted(seconds=0.005)
        rows = made(folder / "store", extractor)
        (folder / str(os.getpid())).write_text(f"{len(extractor.batches)} {rows.sum(dtype=float)}")

    both = [child(work) for _ in range(2)]
    assert [ended(each) for each in both] == [0, 0]
    said = sorted((folder / str(each)).read_text().split() for each in both)
    assert [count for count, _ in said] == ["0", "8"]
    assert said[0][1] == said[1][1]


def test_two_processes_that_share_the_work_make_the_bytes_of_one(nursery: Any, tmp_path: Path):
    """Batch-norm statistics, of three batches of which one is not full, and shifts included."""
    nursery.succeed("share", tmp_path, program=_PROGRAM, ranks=2)
    share(tmp_path / "alone")
    (one,), (two,) = (folder.glob("*.npy") for folder in (tmp_path / "alone", tmp_path))
    assert one.name == two.name
    assert one.read_bytes() == two.read_bytes()
    assert visible(tmp_path / "alone") == [each for each in visible(tmp_path) if each != "alone"]


def share(folder: Path) -> None:
    conv = Layer(kind="conv", width=5, activation="leaky_relu")
    logit = Layer(kind="dense", width=1, norm="none", activation="none")
    config = DiscriminatorConfig(
        image_size=16, channels=1, layers=(conv, conv, logit), norm=Norm(), bias=False
    )
    if "WORLD_SIZE" in os.environ:
        make_fabric("cpu")
        assert processes() == (int(os.environ["RANK"]), 2)
    given = images(300, side=16)
    batches = 0

    class Counted(DiscriminatorFeatures):
        def __call__(self, images: Tensor) -> Tensor:
            nonlocal batches
            batches += 1
            return super().__call__(images)

    extractor = Counted(random_discriminator(config, 0), "tanh", train=given)
    assert made(folder, Shifted(extractor, [3]), given).shape == (300, 160)
    assert batches == 18 * {1: 75, 2: [38, 37][processes()[0]]}[processes()[1]]


if __name__ == "__main__":
    torch.set_num_threads(1)
    store._CHUNK = CHUNK
    store.versions = dict  # looking them up takes longer than all the rest
    globals()[sys.argv[1]](Path(sys.argv[2]))
