"""The training loop: from a run's config to its weights, metrics and sample grids.

Everything random is derived from the seed and the step (see `step`), so a run that was stopped, or
killed, continues from its last state and ends with exactly the weights of an undisturbed one.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from gan_eval.data import Feed, Images
from gan_eval.devices import as_one, gather
from gan_eval.errors import InputError
from gan_eval.files import append_line, write_lines
from gan_eval.images import to_uint8
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Run
from gan_eval.models.sampling import labels_of
from gan_eval.seeding import stream
from gan_eval.training.best import keep_best, save_networks
from gan_eval.training.board import check_board, open_board
from gan_eval.training.checkpoint import is_finite, load_state, save_state
from gan_eval.training.measures import Measure, due, steps_to_measure, take
from gan_eval.training.step import Trainer, Watched
from gan_eval.training.stopping import highest, saving, stop_signals
from gan_eval.visualize.curves import draw_losses
from gan_eval.visualize.grids import write_grid

SAMPLES = 64
# Untrained generators draw one image too: collapse is what is so still, or again, after a while.
_COLLAPSED, _COLLAPSE_AFTER = 0.1, (100, 1000)

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How a run is watched and kept; none of it changes the weights.

    A row of metrics every `log_every` steps and where one of `measures` is due, the state every
    `save_seconds`. `on_row` is called with each row, `on_step` with the number of steps done,
    `warn` with each warning.
    """

    log_every: int = 50
    save_seconds: float = 60.0
    workers: int = 2
    tensorboard: bool = False
    measures: tuple[Measure, ...] = ()
    on_row: Callable[[Row], None] = lambda row: None
    on_step: Callable[[int], None] = lambda step: None
    warn: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        if self.tensorboard:
            check_board()


@dataclass
class _Progress:
    """Where a run stands, and what was last seen of each figure."""

    step: int
    logged: int
    healthy: Tensor
    since: float = field(default_factory=time.perf_counter)
    saved: float = field(default_factory=time.perf_counter)
    seen: Watched = field(default_factory=dict)
    warned: bool = False


def train(
    run: Run, config: RunConfig, images: Images, fabric: Fabric, habits: Habits
) -> int | None:
    """Train until `config.steps`, from the run's last state where there is one.

    Writes metrics, sample grids and checkpoints into the run's folder as it goes.

    Returns:
        None when the run is finished; the number of the signal (SIGINT, SIGTERM) that stopped it,
        after the step was finished and the state saved.

    Raises:
        InputError: the batch is larger than the data, a file of the run is damaged, or a loss is no
            longer a number; the last good state is kept.
    """
    feed = _feed(config, images, fabric, habits)
    trainer = Trainer.start(config, fabric)
    start = load_state(trainer, run.state) if run.state.exists() else 0
    chief, stop = fabric.is_global_zero, 0
    progress = _Progress(start, start, torch.tensor(True, device=fabric.device))
    save = partial(_save, run, trainer, progress)
    batches = feed.batches(start)
    # Held images are whole. What is held is up to the memory of each machine.
    if any(gather(images.stream is not None)):
        batches = saving(batches, fabric, save)

    with (
        closing(batches),  # or workers that read ahead outlive an error
        stop_signals() as stopped,
        open_board(run.folder, start) if habits.tensorboard and chief else nullcontext() as board,
    ):
        with as_one():
            if chief:
                rows = [row for row in run.rows() if row["step"] <= start]
                run.write_config(config)
                write_lines(run.metrics, rows)
                if not run.state.exists():
                    save()  # without one, weights are of a run that was damaged
        for step, (pixels, labels) in zip(range(start, config.steps), batches, strict=False):
            # Do the step, watching it closely where its figures are about to be written.
            watch = _steps_to_log(step, config, habits) <= 2
            watched = trainer.step(step, pixels, labels, watch)
            progress.seen |= watched
            for name in ("d_loss", "g_loss"):
                if name in watched:
                    progress.healthy &= torch.isfinite(watched[name])
            progress.step = step + 1
            last, epoch = progress.step == config.steps, _epoch(progress.step, config)
            kept = progress.step == config.steps_of(epoch) and epoch in config.save_epochs
            habits.on_step(progress.step)

            # Write down how it goes, and keep what must not be lost.
            if _steps_to_log(step, config, habits) == 1:
                _log(run, trainer, progress, habits, board)
            overdue = time.perf_counter() - progress.saved > habits.save_seconds
            # Measuring may take minutes, and a kill meanwhile shall not cost those before it.
            overdue |= not last and bool(due(step + 1, config, habits.measures))
            heard = stopped[0] if stopped else 0
            stop, late = highest(fabric, heard, chief and overdue)
            if kept or late or stop or last:
                with as_one():
                    if chief and (kept or last):
                        _keep(run, trainer, progress, epoch)
                    elif chief and stop:
                        _check(progress, trainer, run)
                        save_networks(run.folder, trainer, progress.step, epoch)
                    if chief:
                        save()
                    # The last row has drawn them already.
                    if chief and not last and (stop or kept):
                        _draw(run, progress)
            if stop and not last:
                break
    fabric.barrier()
    return stop if stop and progress.step < config.steps else None


def _feed(config: RunConfig, images: Images, fabric: Fabric, habits: Habits) -> Feed:
    return Feed(
        images,
        batch_size=config.recipe.batch_size,
        seed=config.seed,
        device=fabric.device,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        workers=habits.workers,
    )


def _log(run: Run, trainer: Trainer, progress: _Progress, habits: Habits, board: Any) -> None:
    """Write the row of the steps since the last one, with what is measured after this step.

    And tell whoever watches.
    """
    config = trainer.config
    with as_one():
        _check(progress, trainer, run)
    row = _row(progress, config)
    with _off_the_clock(progress):
        with as_one():
            measured = take(due(progress.step - 1, config, habits.measures), trainer)
        with as_one():
            if trainer.fabric.is_global_zero:
                row |= measured
                append_line(run.metrics, row)
                habits.on_row(row)
                _warn_of_collapse(row, progress, config, habits)
                for name, value in row.items() if board else ():
                    board.add_scalar(name, value, progress.step)
                if measured or progress.step == config.steps:
                    rows = run.rows()
                    draw_losses(rows, run.folder / "losses.png")
                    keep_best(run, trainer, rows, _epoch(progress.step, config))


def _steps_to_log(step: int, config: RunConfig, habits: Habits) -> int:
    """Return how many steps, this one included, are left until the next row of metrics."""
    until_row = habits.log_every - step % habits.log_every
    until_measures = [steps_to_measure(measure, step, config) for measure in habits.measures]
    return min(until_row, config.steps - step, *until_measures)


@contextmanager
def _off_the_clock(progress: _Progress) -> Iterator[None]:
    """Keep what is done meanwhile, which is no training, out of the rate of training."""
    begun = time.perf_counter()
    yield
    progress.since += time.perf_counter() - begun


def _epoch(step: int, config: RunConfig) -> int:
    """Return the epoch that step number `step` is in, from 1."""
    return -(-max(step - config.recipe.pretrain_steps, 1) // config.steps_per_epoch)


def _check(progress: _Progress, trainer: Trainer, run: Run) -> None:
    """Stop the run when a loss or weight is no longer a number, before anything is overwritten."""
    if bool(progress.healthy) and is_finite(trainer):
        return
    kept = f"the last good state is kept in {run.state}" if run.state.exists() else "none was saved"
    raise InputError(
        f"losses must stay finite. One became NaN or infinite before step {progress.step}; {kept}. "
        "Train anew with --precision 32 or another --seed."
    )


def _row(progress: _Progress, config: RunConfig) -> Row:
    """Return the row of metrics of the steps since the last one.

    A figure that is no number (the ratio of variances where all real images are alike) is left out.
    """
    now = time.perf_counter()
    images = (progress.step - progress.logged) * config.recipe.batch_size
    done = max(progress.step - config.recipe.pretrain_steps, 0)
    figures = {name: float(value) for name, value in sorted(progress.seen.items())}
    row: Row = {
        "step": progress.step,
        "epoch": round(done / config.steps_per_epoch, 4),
        **{name: round(value, 6) for name, value in figures.items() if math.isfinite(value)},
        "images_per_second": round(images / (now - progress.since), 1),
    }
    progress.logged, progress.since = progress.step, now
    return row


def _warn_of_collapse(row: Row, progress: _Progress, config: RunConfig, habits: Habits) -> None:
    """Warn, once, when generated batches vary far less than real ones.

    This sees a generator that draws one image, not one that draws a few different ones.
    """
    least, most = _COLLAPSE_AFTER
    old_enough = row["step"] >= max(least, min(most, config.steps // 4))
    if progress.warned or not old_enough or row.get("diversity", 1.0) >= _COLLAPSED:
        return
    progress.warned = True
    habits.warn(
        f"step {row['step']}: generated images vary {row['diversity']:.2f} times as much as "
        "real ones; the generator may have collapsed. Look at samples/."
    )


def _save(run: Run, trainer: Trainer, progress: _Progress) -> None:
    _check(progress, trainer, run)  # which also waits for the device, on the clock
    with _off_the_clock(progress):
        save_state(trainer, run.state, progress.step)
    progress.saved = time.perf_counter()


def _keep(run: Run, trainer: Trainer, progress: _Progress, epoch: int) -> None:
    """Write the sample grid and both networks, as `epoch` left them."""
    _check(progress, trainer, run)
    with _off_the_clock(progress):
        write_grid(run.grid(epoch), sample_fixed(trainer))
        for folder in (run.checkpoint(epoch), run.folder):
            save_networks(folder, trainer, progress.step, epoch)


def _draw(run: Run, progress: _Progress) -> None:
    """Draw the curves of what was written down so far."""
    rows = run.rows()
    if rows:
        with _off_the_clock(progress):
            draw_losses(rows, run.folder / "losses.png")


@torch.no_grad()
def sample_fixed(trainer: Trainer) -> Tensor:
    """Return uint8 samples at the run's fixed z (and labels in turn), in evaluation mode."""
    network, config = trainer.generator, trainer.config
    z = network.draw(SAMPLES, stream(config.seed, "grid")).to(trainer.fabric.device)
    labels = labels_of(config.generator, SAMPLES)
    network.eval()
    images = network(z, None if labels is None else labels.to(z.device))
    network.train()
    return to_uint8(images, config.generator.scale).cpu()
