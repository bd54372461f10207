"""Two processes agree bit for bit, and resume as one does.

Two processes do not end with the weights of one: each normalises over its own half of the batch,
as data-parallel training without synchronised batch norm does. What must hold is that gradients
are the mean over the processes, that all processes keep equal weights, and that resume is exact.
Running statistics differ between processes (the first one's are saved); no update reads them.
"""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from nursery import Nursery
from PIL import Image

from gan_eval.data import Feed, open_images
from gan_eval.errors import InputError
from gan_eval.files import read_lines
from gan_eval.models.runs import Run
from gan_eval.models.weights import load_tensors
from gan_eval.training.checkpoint import saved_step

_SCRIPT = """
import dataclasses, sys
from pathlib import Path

import torch
from gan_eval.models.runs import Run
from gan_eval.training.config import Request, resolve
from gan_eval.devices import make_fabric
from gan_eval.training.loop import Habits, train
from gan_eval.training.step import Trainer

torch.set_num_threads(1)
folder = Path(sys.argv[1])
request = Request(
    preset="bubbliiiing", width=2, image_size=16, data="digits", limit=64, batch_size=16,
    steps=6, device="cpu", precision="32",
)
config, images = resolve(request, world_size=2)
fabric = make_fabric("cpu", "32")
rank, habits = fabric.global_rank, Habits(log_every=2, save_seconds=0)
ended = []
start = Trainer.start

def keep(cls, config, fabric):
    ended.append(start.__func__(cls, config, fabric))
    return ended[-1]

Trainer.start = classmethod(keep)
train(Run(folder / "straight"), config, images, fabric, habits)
train(Run(folder / "stopped"), dataclasses.replace(config, steps=3), images, fabric, habits)
train(Run(folder / "stopped"), config, images, fabric, habits)
straight, _, resumed = ended

def values(trainer):
    return {
        f"{kind}/{name}": value.detach().clone()
        for kind in ("generator", "discriminator")
        for name, value in getattr(trainer, kind).named_parameters()
    }

# One more step, watched: the gradients that were used, and those of this process alone.
pixels = images.take(range(16))[rank * 8 : rank * 8 + 8]
trainer = start.__func__(Trainer, config, fabric)
alone = []
backward = fabric.backward

def note(loss):
    backward(loss)
    network = (trainer.discriminator, trainer.generator)[len(alone)]
    alone.append({name: p.grad.clone() for name, p in network.named_parameters()})

# Instances of Fabric take attributes: the spy sees gradients before they are averaged.
fabric.backward = note
latents = []
trainer.generator.register_forward_pre_hook(lambda network, given: latents.append(given[0].clone()))
trainer.step(0, pixels, None, False)
used = [
    {name: p.grad.clone() for name, p in network.named_parameters()}
    for network in (trainer.discriminator, trainer.generator)
]
torch.save(
    {
        "straight": values(straight), "resumed": values(resumed),
        "alone": alone, "used": used, "latents": latents,
        "running": straight.generator.blocks[0].norm.running_mean.clone(),
    },
    folder / f"rank-{rank}.pt",
)
fabric.barrier()
"""


def _torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node", "2", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.fixture(scope="module")
def ranks(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    folder = tmp_path_factory.mktemp("distributed")
    nursery.succeed(folder, program=_SCRIPT, ranks=2)
    return folder, [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]


def _all_equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_both_processes_hold_the_same_weights(ranks: tuple[Path, list[dict]]):
    folder, (first, second) = ranks
    assert _all_equal(first["straight"], second["straight"])
    saved, _ = load_tensors(Run(folder / "straight").state)
    assert all(torch.equal(saved[name], value) for name, value in first["straight"].items())


def test_processes_saw_different_images_and_latents(ranks: tuple[Path, list[dict]]):
    _, (first, second) = ranks
    for one, other in zip(first["latents"], second["latents"], strict=True):
        assert one.shape == other.shape == (8, 100)
        assert not torch.equal(one, other)
    assert not torch.equal(first["running"], second["running"])


def test_gradients_are_the_mean_over_the_processes(ranks: tuple[Path, list[dict]]):
    _, (first, second) = ranks
    assert len(first["used"]) == 2  # D's and G's
    for network in (0, 1):
        assert _all_equal(first["used"][network], second["used"][network])
        alone = [rank["alone"][network] for rank in (first, second)]
        assert not _all_equal(*alone)
        for name, used in first["used"][network].items():
            mean = (alone[0][name].double() + alone[1][name].double()) / 2
            torch.testing.assert_close(used.double(), mean, rtol=1e-5, atol=1e-8)


def test_stopped_processes_continue_bit_for_bit(ranks: tuple[Path, list[dict]]):
    folder, both = ranks
    for rank in both:
        assert _all_equal(rank["straight"], rank["resumed"])
    one, other = (Run(folder / name) for name in ("straight", "stopped"))
    assert one.state.read_bytes() == other.state.read_bytes()
    assert [row["step"] for row in read_lines(one.metrics)] == [2, 4, 6]


def test_command_trains_on_two_processes(tmp_path: Path):
    run = Run(tmp_path / "run")
    command = "-m gan_eval train --preset bubbliiiing --width 2 --image-size 16 --data digits "
    command += (
        f"--limit 64 --batch-size 16 --steps 4 --device cpu --precision 32 --out {run.folder}"
    )
    ended = _torchrun(*command.split())
    assert ended.returncode == 0, ended.stderr
    assert saved_step(run.state) == 4
    assert run.config().world_size == 2
    # Said once, not by every process.
    assert ended.stderr.count("bubbliiiing on digits") == 1


def test_batch_that_the_processes_cannot_share_is_refused():
    images = open_images("digits", root=None, limit=32)
    cpu = torch.device("cpu")
    with pytest.raises(InputError, match=r"batch_size must be divisible by .*\(2\)\. Got 15"):
        Feed(images, batch_size=15, seed=0, device=cpu, rank=0, world_size=2)


_STREAMED = """
import gan_eval.training.config as config

config.memory_for_images = lambda device: 0  # so that they are streamed
from gan_eval.cli import main
main()
"""


def test_an_image_that_one_process_cannot_read_stops_both_after_the_state_is_saved(
    nursery: Nursery, tmp_path: Path
):
    folder, run = tmp_path / "images", Run(tmp_path / "run")
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 8, 8), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    # One of the images that the second process reads for the third step.
    images = open_images(str(folder), root=None, size=16, memory=0)
    feed = Feed(images, batch_size=8, seed=0, device=torch.device("cpu"), rank=1, world_size=2)
    row = int(list(islice(feed._rows(0), 3))[2][0])
    broken = folder / f"{row:02}.png"
    broken.write_bytes(broken.read_bytes()[:60])
    words = "train --preset bubbliiiing --width 2 --image-size 16 --batch-size 8 --steps 6 "
    words += f"--workers 0 --device cpu --precision 32 --data {folder} --out {run.folder}"
    ended = nursery.do(*words.split(), program=_STREAMED, ranks=2)
    assert ended.codes == [2, 2], ended.err  # no RuntimeError of one that still waits
    assert f"{broken.name} must be a whole image file" in ended.err
    assert "What was trained is saved" in ended.err
    assert saved_step(run.state) == 2


_SPOILED = """
import sys

import torch
from gan_eval.training import loop

cause = sys.argv.pop(1)
step, save_state = loop.Trainer.step, loop.save_state
append_line = loop.append_line

def spoiled(self, number, *rest):
    if number == 2 and cause == "nan" and self.fabric.is_global_zero:
        with torch.no_grad():
            self.discriminator.blocks[0].bias += float("nan")
    return step(self, number, *rest)

def full(trainer, path, number):
    if number and cause == "full":
        raise OSError(28, "No space left on device", str(path))
    save_state(trainer, path, number)

def out_of_memory(path, row):
    if cause == "memory":
        raise RuntimeError("CUDA error: out of memory")
    append_line(path, row)

loop.Trainer.step, loop.save_state, loop.append_line = spoiled, full, out_of_memory
from gan_eval.cli import main
main()
"""


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("nan", "losses must stay finite"),
        ("full", "disk space must be left"),
        ("memory", "memory must suffice"),
    ],
)
def test_what_only_the_first_process_sees_ends_both_in_one_sentence(
    nursery: Nursery, tmp_path: Path, cause: str, told: str
):
    words = "train --preset bubbliiiing --width 2 --image-size 16 --batch-size 8 --steps 6 "
    words += f"--limit 32 --device cpu --precision 32 --data digits --out {tmp_path / 'run'}"
    ended = nursery.do(cause, *words.split(), program=_SPOILED, ranks=2)
    assert ended.codes == [2, 2], ended.err  # no RuntimeError of one that still waits
    assert told in ended.err
    kept = 4 if cause == "memory" else 0  # an epoch is whole before the first row is written
    assert saved_step(Run(tmp_path / "run").state) == kept


def test_a_store_that_is_none_ends_both_in_one_sentence(tmp_path: Path):
    (tmp_path / "store").write_text("a file")
    words = "-m -- gan_eval classify --data digits --features pixels --labels-per-class 5 --draws 2"
    ended = _torchrun(*words.split(), "--store", str(tmp_path / "store"), "--out", str(tmp_path))
    assert ended.stderr.count("store must be usable") == 2
    assert "exitcode  : 2" in ended.stderr
    assert "Connection closed by peer" not in ended.stderr
