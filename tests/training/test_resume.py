"""A run that was stopped, or killed, ends with exactly the bytes of an undisturbed one."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from nursery import Nursery

from gan_eval.data import Images
from gan_eval.errors import InputError
from gan_eval.files import read_lines
from gan_eval.models.dcgan import Generator
from gan_eval.models.recipe import Schedule
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Run
from gan_eval.models.weights import load_tensors, save_tensors
from gan_eval.training import loop
from gan_eval.training.checkpoint import saved_step
from gan_eval.training.config import extend
from gan_eval.training.loop import Habits, train
from gan_eval.training.step import Trainer

Tiny = Callable[..., tuple[RunConfig, Images]]
Made = tuple[RunConfig, Images]

QUICK = Habits(log_every=2, save_seconds=0.0)

RECIPES: dict[str, dict[str, Any]] = {
    "alternate": {"preset": "radford2015-svhn"},
    "joint, G twice": {"preset": "sthalles"},
    "pre-training": {"preset": "cs231n-mnist", "pretrain_steps": 3},
    "conditional": {"preset": "carpedm20-mnist"},
    "conditional, alternate": {"preset": "radford2015-mnist"},
    "cosine": {
        "preset": "bubbliiiing",
        "schedule": Schedule(shape="cosine", end=2, floor=0.01),
    },
}


def _train(run: Run, made: Made, fabric: Fabric, habits: Habits = QUICK) -> int | None:
    return train(run, made[0], made[1], fabric, habits)


def _files(run: Run) -> dict[str, bytes]:
    """Return the bytes of everything that training determines."""
    return {
        str(path.relative_to(run.folder)): path.read_bytes()
        for path in sorted(run.folder.rglob("*"))
        if path.suffix in (".safetensors", ".png") and path.name != "losses.png"
    }


def _rows(run: Run) -> list[dict[str, Any]]:
    """Return the rows of metrics without what a clock says."""
    return [
        {name: value for name, value in row.items() if name != "images_per_second"}
        for row in read_lines(run.metrics)
    ]


@pytest.mark.parametrize("stop", [1, 2, 5])
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_stopped_run_continues_bit_for_bit(
    name: str, stop: int, tiny: Tiny, fabric: Fabric, tmp_path: Path
):
    # An epoch is 5 steps: runs stop in an epoch, at its end, and in pre-training.
    config, images = tiny(**RECIPES[name], steps=8)
    straight, stopped = Run(tmp_path / "straight"), Run(tmp_path / "stopped")
    _train(straight, (config, images), fabric)
    halt = Habits(log_every=2, on_step=_stop_at({stop}, signal.SIGTERM))
    assert _train(stopped, (config, images), fabric, halt) == signal.SIGTERM
    assert saved_step(stopped.state) == stop
    _train(stopped, (config, images), fabric)
    one, other = load_tensors(straight.state), load_tensors(stopped.state)
    assert one[1] == other[1] == {"step": 8, "tensors": len(one[0])}
    assert one[0].keys() == other[0].keys()
    for key, tensor in one[0].items():
        assert torch.equal(tensor, other[0][key]), key
    assert any(key.endswith("exp_avg_sq") for key in one[0])
    for path in (straight.generator, straight.discriminator):
        assert (stopped.folder / path.name).read_bytes() == path.read_bytes()


def _stop_at(steps: set[int], number: int) -> Callable[[int], None]:
    """Send this process the signal once each of `steps` is done."""
    left = set(steps)

    def on_step(done: int) -> None:
        if done in left:
            left.remove(done)
            os.kill(os.getpid(), number)

    return on_step


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_after_a_whole_step_and_all_is_kept(
    number: signal.Signals, tiny: Tiny, fabric: Fabric, tmp_path: Path
):
    made = tiny("sthalles", steps=9)
    straight, stopped = Run(tmp_path / "straight"), Run(tmp_path / "stopped")
    assert _train(straight, made, fabric) is None
    before = signal.getsignal(number)
    # Saved by the signal alone: no other save is due.
    habits = Habits(log_every=2, save_seconds=1e9, on_step=_stop_at({3, 6}, number))
    for done in (3, 6):
        assert _train(stopped, made, fabric, habits) == number
        assert saved_step(stopped.state) == done
        assert (stopped.folder / "losses.png").stat().st_size > 0
        (stopped.folder / "losses.png").unlink()
        assert signal.getsignal(number) == before
    assert _train(stopped, made, fabric, habits) is None
    assert _files(stopped) == _files(straight)
    assert [row["step"] for row in _rows(stopped)] == [2, 4, 6, 8, 9]
    assert _rows(stopped) == _rows(straight)


def test_rows_after_the_last_state_are_written_once(tiny: Tiny, fabric: Fabric, tmp_path: Path):
    made = tiny("sthalles", steps=9)
    run = Run(tmp_path / "run")

    class Killed(BaseException):
        pass

    def on_step(done: int) -> None:
        if done == 5:
            raise Killed

    with pytest.raises(Killed):
        _train(run, made, fabric, Habits(log_every=1, save_seconds=1e9, on_step=on_step))
    # Only the start was saved: all rows are of steps that will be done again. One was cut short.
    assert saved_step(run.state) == 0
    with run.metrics.open("a") as file:
        file.write('{"step": 5, "d_l')
    _train(run, made, fabric, Habits(log_every=1))
    assert [row["step"] for row in _rows(run)] == list(range(1, 10))


def test_a_state_that_lacks_tensors_is_refused_and_the_run_stays_as_it_is(
    tiny: Tiny, fabric: Fabric, tmp_path: Path
):
    config, images = tiny("bubbliiiing", steps=4)
    run = Run(tmp_path / "run")
    _train(run, (config, images), fabric)
    tensors, about = load_tensors(run.state)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("adam_")}
    save_tensors(run.state, kept, about)
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=rf"must hold {len(tensors)} tensors. Got {len(kept)}"):
        _train(run, (replace(config, steps=8), images), fabric)
    save_tensors(run.state, tensors, about)
    for line, match in (
        ("garbage", "a JSON object in every line"),
        ('{"d_loss": 1}', 'step and epoch in every row. Got {"d_loss": 1}; remove that line'),
    ):
        run.metrics.write_text(f"{line}\n")
        with pytest.raises(InputError, match=match):
            _train(run, (replace(config, steps=8), images), fabric)
    run.metrics.write_bytes(before[run.metrics])
    del before[run.state]  # which the test itself has changed
    assert {path: path.read_bytes() for path in before} == before


def test_training_on_is_training_longer(tiny: Tiny, fabric: Fabric, tmp_path: Path):
    config, images = tiny("bubbliiiing", steps=10)
    straight, longer = Run(tmp_path / "straight"), Run(tmp_path / "longer")
    _train(straight, (config, images), fabric)
    for steps in (4, 5, 10):
        _train(longer, (replace(config, steps=steps), images), fabric)
    assert load_tensors(longer.state)[0].keys() == load_tensors(straight.state)[0].keys()
    assert longer.state.read_bytes() == straight.state.read_bytes()


def test_finished_run_is_left_as_it_is(tiny: Tiny, fabric: Fabric, folder: Path):
    made, run = tiny("sthalles", steps=4), Run(folder)
    _train(run, made, fabric)
    before = _files(run)
    assert _train(run, made, fabric) is None
    assert _files(run) == before
    assert [row["step"] for row in _rows(run)] == [2, 4]


def test_how_often_things_are_written_changes_no_weight(tiny: Tiny, fabric: Fabric, tmp_path: Path):
    made = tiny("radford2015-svhn", steps=7)
    one, other = Run(tmp_path / "one"), Run(tmp_path / "other")
    _train(one, made, fabric, Habits(log_every=1, save_seconds=0))
    _train(other, made, fabric, Habits(log_every=100, save_seconds=1e9))
    assert one.state.read_bytes() == other.state.read_bytes()


def test_the_state_is_saved_when_it_is_due_and_with_kept_epochs(
    tiny: Tiny, fabric: Fabric, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    config, images = tiny("radford2015-svhn", steps=17)
    saved, save = [], loop._save
    monkeypatch.setattr(
        loop, "_save", lambda run, trainer, at: (saved.append(at.step), save(run, trainer, at))
    )
    config = replace(config, save_epochs=(2,))
    _train(Run(folder), (config, images), fabric, Habits(save_seconds=1e9))
    assert saved == [0, 10, 17]  # of 5 steps an epoch


def _state(run: Run) -> dict[str, torch.Tensor]:
    return load_tensors(run.state)[0]


@pytest.mark.parametrize("log_every", [1, 100])
def test_nan_stops_the_run_and_keeps_the_last_good_state(
    log_every: int, tiny: Tiny, fabric: Fabric, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    made, run = tiny("sthalles", steps=40), Run(folder)
    step = Trainer.step

    def spoiled(self: Trainer, number: int, *rest: Any) -> Any:
        if number == 12:
            with torch.no_grad():
                self.generator.blocks[0].weight[0, 0] = float("nan")
        return step(self, number, *rest)

    monkeypatch.setattr(Trainer, "step", spoiled)
    with pytest.raises(InputError, match=r"losses must stay finite.*last good state is kept in"):
        _train(run, made, fabric, Habits(log_every=log_every, save_seconds=0))
    assert saved_step(run.state) == 12
    assert all(bool(tensor.isfinite().all()) for tensor in _state(run).values())
    newest = load_tensors(run.generator)[0]  # of epoch 1
    assert all(bool(tensor.isfinite().all()) for tensor in newest.values())
    # Without the cause the run goes on from there.
    monkeypatch.undo()
    _train(run, made, fabric)
    assert saved_step(run.state) == 40


def test_rate_that_diverges_ends_in_one_sentence(tiny: Tiny, fabric: Fabric, folder: Path):
    config, images = tiny("sthalles", steps=40)
    adam = replace(config.recipe.generator, lr=1e30)
    recipe = replace(config.recipe, generator=adam, discriminator=adam)
    with pytest.raises(InputError, match="losses must stay finite"):
        _train(Run(folder), (replace(config, recipe=recipe), images), fabric)


def test_images_that_are_all_alike_can_be_trained_on(tiny: Tiny, fabric: Fabric, folder: Path):
    """Real images without variance leave the ratio of variances undefined, not the run broken."""
    config, images = tiny("sthalles", steps=4)
    assert images.pixels is not None
    flat = replace(images, pixels=torch.zeros_like(images.pixels))
    assert _train(Run(folder), (config, flat), fabric) is None
    for row in read_lines(Run(folder).metrics):
        assert all(isinstance(value, int | float) for value in row.values())


@pytest.fixture
def kept(tiny: Tiny, fabric: Fabric, folder: Path) -> tuple[Run, Made]:
    run, made = Run(folder), tiny("sthalles", steps=3)
    _train(run, made, fabric)
    return run, (replace(made[0], steps=6), made[1])


@pytest.mark.parametrize("left", [0, 5, 0.3, -1])
def test_state_cut_short_is_refused(kept: tuple[Run, Made], left: float, fabric: Fabric):
    run, made = kept
    whole = run.state.read_bytes()
    run.state.write_bytes(whole[: int(len(whole) * left) if isinstance(left, float) else left])
    before = _files(run)
    with pytest.raises(InputError, match=r"state\.safetensors must be a whole safetensors file"):
        _train(run, made, fabric)
    assert _files(run) == before


def test_state_of_another_network_is_refused(kept: tuple[Run, Made], tiny: Tiny, fabric: Fabric):
    run, _ = kept
    before = _files(run)
    with pytest.raises(InputError, match=r"in weights file .*state\.safetensors must have shape"):
        _train(run, tiny("cs231n-mnist", steps=6), fabric)
    assert _files(run) == before


def test_moments_of_a_wrong_shape_or_missing_are_refused(kept: tuple[Run, Made], fabric: Fabric):
    from gan_eval.models.weights import save_tensors

    run, made = kept
    tensors, about = load_tensors(run.state)
    key = "adam_g/0.exp_avg"
    save_tensors(run.state, {**tensors, key: torch.zeros(1)}, about)
    with pytest.raises(InputError, match=r"must hold a step and Adam moments of shape"):
        _train(run, made, fabric)
    # As a file of an earlier version, which does not say how many there are.
    fewer = {k: v for k, v in tensors.items() if k != key}
    save_tensors(run.state, fewer, {"step": about["step"]})
    with pytest.raises(InputError, match=r"must hold a step and Adam moments of shape"):
        _train(run, made, fabric)
    for about in ({}, {"step": True}, {"step": -5}):
        save_tensors(run.state, tensors, about)
        with pytest.raises(InputError, match=r"state\.safetensors must say its step"):
            _train(run, made, fabric)
    save_tensors(run.state, tensors, {"step": 10**12})
    with pytest.raises(InputError, match=r"state\.safetensors must be of \d+ steps at most"):
        _train(run, made, fabric)


STEPS = 60
_NEW = (
    "train --preset bubbliiiing --width 2 --image-size 16 --data digits --limit 128 "
    f"--batch-size 16 --steps {STEPS} --save-seconds 0 --log-every 5 --device cpu --precision 32"
).split()


@pytest.fixture(scope="module")
def undisturbed(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("undisturbed") / "run")
    nursery.succeed(*_NEW, "--out", run.folder)
    return run


def _read_everything(run: Run) -> None:
    """Read every file of a run that has its final name: whole, whatever happened."""
    for path in run.folder.rglob("*"):
        if path.name.startswith(".") or path.is_dir():
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            list(read_lines(path))
        elif path.suffix == ".safetensors":
            load_tensors(path)
        elif path.suffix == ".png":
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def _kill_when(process: int, run: Run, step: int, delay: float) -> None:
    """Kill the process `delay` seconds after the state says that `step` steps are done.

    Until then read the run's files again and again, as somebody who watches it would.
    """
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if run.exists:
            run.config()
        if run.state.exists() and saved_step(run.state) >= step:
            break
        if step < 0 and run.folder.exists():
            break
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)


def _survives(
    nursery: Nursery, undisturbed: Run, run: Run, moments: list[int], dice: random.Random
):
    command, kills = (*_NEW, "--resume", "--out", run.folder), 0
    for step in moments:
        (process,) = nursery.start(*command)
        _kill_when(process, run, step, dice.uniform(0, 0.02))
        ended = nursery.wait()
        kills += ended.code == -signal.SIGKILL
        assert ended.code in (-signal.SIGKILL, 0), ended.err
        _read_everything(run)
    nursery.succeed(*command)
    assert _files(run) == _files(undisturbed)
    assert _rows(run) == _rows(undisturbed)
    assert [row["step"] for row in _rows(run)] == list(range(5, STEPS + 1, 5))
    names = {path.relative_to(run.folder) for path in run.folder.rglob("*")}
    assert names == {path.relative_to(undisturbed.folder) for path in undisturbed.folder.rglob("*")}
    return kills


def test_killed_run_ends_as_an_undisturbed_one(nursery: Nursery, undisturbed: Run, folder: Path):
    moments = [-1, 17, 41]  # before the first state, inside an epoch, in another
    assert _survives(nursery, undisturbed, Run(folder), moments, random.Random(0)) == 3


def test_run_killed_dozens_of_times_ends_as_an_undisturbed_one(
    nursery: Nursery, undisturbed: Run, folder: Path
):
    dice = random.Random(1)
    moments = [-1, -1, *sorted(dice.randrange(1, STEPS - 3) for _ in range(28))]
    assert _survives(nursery, undisturbed, Run(folder), moments, dice) >= 20


def test_leftovers_of_killed_writes_are_swept_away(
    nursery: Nursery, undisturbed: Run, folder: Path
):
    """A kill between making a temporary file and renaming it, at each place where one is made."""
    run = Run(folder)
    nursery.succeed(*_NEW, "--resume", "--out", folder, "--steps", 20)
    for path in (run.state, run.generator, run.metrics, folder / "config.json", run.grid(1)):
        (path.parent / f".unfinished.{path.stem}.abcd1234{path.suffix}").write_bytes(b"half")
    mine = folder / ".notes"
    mine.write_text("kept")
    nursery.succeed("train", "--out", folder, "--resume", "--steps", STEPS)
    assert not list(folder.rglob(".unfinished*"))
    assert mine.read_text() == "kept"


def test_kill_while_the_config_is_first_written_leaves_a_folder_that_can_be_used(
    nursery: Nursery, folder: Path
):
    folder.mkdir()
    (folder / ".unfinished.config.abcd1234.json").write_text('{"preset": "bubb')
    nursery.succeed(*_NEW, "--resume", "--out", folder, "--steps", 2)
    assert not list(folder.rglob(".unfinished*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signalled_command_says_how_to_resume(
    number: signal.Signals, nursery: Nursery, undisturbed: Run, folder: Path
):
    run = Run(folder)
    (process,) = nursery.start(*_NEW, "--out", folder)
    while not run.state.exists():
        time.sleep(0.001)
    os.kill(process, number)
    ended = nursery.wait()
    assert ended.code == 128 + number
    assert f"gan-eval train --out {folder} --resume" in ended.err
    assert 0 < saved_step(run.state) < STEPS
    # Exactly what it said to type.
    nursery.succeed("train", "--out", folder, "--resume", "--log-every", 5)
    assert _files(run) == _files(undisturbed)
    assert _rows(run) == _rows(undisturbed)


def test_finished_command_says_so(nursery: Nursery, undisturbed: Run):
    before = {path: path.read_bytes() for path in undisturbed.folder.rglob("*") if path.is_file()}
    ended = nursery.succeed("train", "--out", undisturbed.folder, "--resume")
    assert f"finished: all {STEPS} steps are done" in ended.out + ended.err
    after = {path: path.read_bytes() for path in undisturbed.folder.rglob("*") if path.is_file()}
    assert before == after


def test_networks_of_a_run_load_as_they_were_trained(undisturbed: Run):
    network = undisturbed.load_generator()
    assert isinstance(network, Generator)
    saved = _state(undisturbed)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, saved[f"generator/{name}"])


def test_a_published_length_stays_a_deviation_of_a_run_that_is_trained_on(tiny: Any):
    config, _ = tiny("cs231n-mnist")
    published = [text for text in config.deviations if text.startswith("trained for")]
    assert len(published) == 1
    once, twice = extend(config, 90, None), extend(extend(config, 90, None), 95, None)
    lengths = [
        [text for text in each.deviations if text.startswith("trained for")]
        for each in (once, twice)
    ]
    assert lengths == [
        [*published, f"trained for {epochs} epochs instead of 84 epochs"] for epochs in (90, 95)
    ]
