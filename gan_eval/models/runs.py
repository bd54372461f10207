"""A run: the folder in which a trained network lives, with everything that says what it is.

config.json  generator.safetensors  discriminator.safetensors  metrics.jsonl  losses.png
samples/epoch-0001.png …   checkpoints/epoch-0001/{generator,discriminator}.safetensors
checkpoints/best/{generator,discriminator}.safetensors, best.json   resume/state.safetensors

A run that was imported holds the first three only, or without one of the two networks.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from gan_eval.errors import InputError, one_line
from gan_eval.files import StrPath, expanded, is_figure, parse_json, read_lines, write_json
from gan_eval.models.dcgan import Discriminator, Generator
from gan_eval.models.run_config import FORMAT, ImportConfig, RunConfig
from gan_eval.models.weights import load_network, read_about

_Network = TypeVar("_Network", Generator, Discriminator)
# A kept one, by its number, or the best of those that were measured while training.
Epoch = int | Literal["best"]
_KEPT = re.compile(r"epoch-([0-9]{4,})")  # and not a copy that somebody made of it


@dataclass(frozen=True, init=False)
class Run:
    """The paths in a run's folder and, where it has been started, its config."""

    folder: Path

    def __init__(self, folder: StrPath) -> None:
        object.__setattr__(self, "folder", expanded(folder))

    @property
    def generator(self) -> Path:
        return self.folder / "generator.safetensors"

    @property
    def discriminator(self) -> Path:
        return self.folder / "discriminator.safetensors"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of metrics.jsonl, without figures that are null; [] without such a file.

        Raises:
            InputError: a line is no row of metrics.
        """
        rows = []
        for line in read_lines(self.metrics):
            row = {name: value for name, value in line.items() if value is not None}
            after_steps = type(row.get("step")) is int and "epoch" in row
            if not (after_steps and all(map(is_figure, row.values()))):
                raise InputError(
                    f"{self.metrics} must hold finite numbers, with step and epoch in every row. "
                    f"Got {json.dumps(line)[:80]}; remove that line."
                )
            rows.append(row)
        return rows

    @property
    def state(self) -> Path:
        return self.folder / "resume" / "state.safetensors"

    def grid(self, epoch: int) -> Path:
        """Return where the sample grid of `epoch` lies."""
        return self.folder / "samples" / f"epoch-{epoch:04d}.png"

    def checkpoint(self, epoch: Epoch) -> Path:
        """Return the folder of the networks kept after `epoch`."""
        name = epoch if epoch == "best" else f"epoch-{epoch:04d}"
        return self.folder / "checkpoints" / name

    def best(self) -> dict[str, Any] | None:
        """Return the best of the epochs that were measured, why it is and its row of metrics.

        Raises:
            InputError: best.json is damaged.
        """
        path = self.checkpoint("best") / "best.json"
        if not path.is_file():
            return None
        try:
            best: dict[str, Any] = parse_json(path.read_bytes())
            whole = type(best["epoch"]) is int and isinstance(best["rule"], str)
        except (ValueError, TypeError, KeyError):
            whole = False
        if not whole:
            raise InputError(
                f"{path} must say which epoch was the best, and by which rule. It does not; "
                "restore it from a copy."
            )
        return best

    def number(self, epoch: Epoch | None) -> int | None:
        """Return `epoch` as a number, also the best; None stays.

        Raises:
            InputError: no epoch was measured.
        """
        if epoch != "best":
            return epoch
        best = self.best()
        if best is None:
            raise InputError(
                f"epoch best must have been measured while training. No epoch of run {self.folder} "
                "was; name one that was kept, or train with --score-every or --probe-every."
            )
        return int(best["epoch"])

    def steps(self, epoch: Epoch | None = None) -> int:
        """Return the steps after which the weights of `epoch`, or the newest, were written.

        0 of weights that were imported.

        Raises:
            InputError: the weights are missing, or say otherwise.
        """
        config = self.config()
        if config.imported:
            return 0
        newest = self.generator if self.generator.is_file() else self.discriminator
        path = self._weights(newest, epoch, None)
        about: dict[str, Any] = read_about(path)
        try:
            return int(about.get("step", config.steps))
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(
                f"weights file {path} must say its step. Got {about['step']!r}; restore it."
            ) from error

    def kept(self, network: str) -> list[int]:
        """Return the epochs of which a network, "generator" or "discriminator", was kept."""
        folders = (self.folder / "checkpoints").glob(f"*/{network}.safetensors")
        found = (_KEPT.fullmatch(path.parent.name) for path in folders)
        return sorted(int(match[1]) for match in found if match)

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return (self.folder / "config.json").is_file()

    def write_config(self, config: RunConfig) -> None:
        """Write config.json."""
        write_json(self.folder / "config.json", config.to_json())

    def config(self) -> RunConfig:
        """Return the run's config.

        Raises:
            InputError: the folder holds no run, or one that this version does not read.
        """
        path = self.folder / "config.json"
        if not path.is_file():
            raise InputError(
                f"run {self.folder} must be a folder with config.json, as `gan-eval train` makes. "
                "Found none; check the path."
            )
        try:
            return RunConfig.from_json(parse_json(path.read_bytes()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{path} must be a run's config of format {FORMAT}. Got one that is not "
                f"({type(error).__name__}: {one_line(error)}); restore it, or train again."
            ) from error

    def load_generator(self, epoch: Epoch | None = None) -> Generator:
        """Return the trained generator in evaluation mode, of `epoch` or the newest.

        Raises:
            InputError: the run has none, or none of that epoch.
        """
        return self._load(Generator(self.config().generator), self.generator, epoch)

    def load_discriminator(self, epoch: Epoch | None = None) -> Discriminator:
        """Return the trained discriminator in evaluation mode, of `epoch` or the newest.

        Raises:
            InputError: the run has none, or none of that epoch.
        """
        return self._load(Discriminator(self.config().discriminator), self.discriminator, epoch)

    def _load(self, network: _Network, newest: Path, epoch: Epoch | None) -> _Network:
        load_network(self._weights(newest, epoch, self.config().imported), network)
        return network.eval()

    def _weights(self, newest: Path, epoch: Epoch | None, imported: ImportConfig | None) -> Path:
        if imported and newest.stem not in imported.networks:
            raise InputError(
                f"run {self.folder} has no {newest.stem}: the files that it was imported from held "
                f"the {imported.networks[0]} only. Name a run that has one."
            )
        if imported and epoch is not None:
            raise InputError(
                f"epoch is for runs trained here: run {self.folder} was imported and has one set "
                f"of weights. Got {epoch}; leave it out."
            )
        self.number(epoch)
        if epoch is None:
            return newest
        path = self.checkpoint(epoch) / newest.name
        if not path.is_file():
            kept = ", ".join(map(str, self.kept(newest.stem)))
            raise InputError(
                f"epoch of run {self.folder} must be one that was kept: {kept or 'none was'}. Got "
                f"{epoch}; leave it out for the newest weights."
            )
        return path


def new_run(folder: StrPath) -> Run:
    """Return the run that is to be made in `folder`, which must be free.

    Raises:
        InputError: the folder holds a run or anything else.
    """
    run = Run(folder)
    if run.exists:
        raise InputError(
            f"--out must not hold a run already. {folder} does; pass another folder, or go on "
            "training it with `gan-eval train --resume`."
        )
    # Hidden files do not count: a run killed while its config was written leaves one.
    there = run.folder
    if there.exists() and (not there.is_dir() or any(there.glob("[!.]*"))):
        raise InputError(
            f"--out must be a new or empty folder. {folder} is neither; pass another folder."
        )
    return run
