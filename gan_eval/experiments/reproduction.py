"""What the script of an exhibit works with: images or their stand-in, trained runs, and time.

A script of `benchmarks/` has one function, `main(asked)`. It asks for images and runs by what they
are; what it cannot have it leaves out by `asked.row`, and the reason is kept.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

from gan_eval.data.registry import data_root, inventory
from gan_eval.devices import resolve_device
from gan_eval.errors import InputError
from gan_eval.experiments.account import use_of
from gan_eval.experiments.features import FeatureSpec, build
from gan_eval.experiments.parts import open_parts
from gan_eval.experiments.study import Watch
from gan_eval.files import read_lines
from gan_eval.models.importers import import_newmu
from gan_eval.models.runs import Run
from gan_eval.probes.protocol import Protocol
from gan_eval.records import as_json
from gan_eval.training.checkpoint import saved_step
from gan_eval.training.config import Request, reopen
from gan_eval.training.job import Job, carry_out, new_job, resumed_job
from gan_eval.training.loop import Habits

# What stands in for a set whose official files are not there; it goes by its own name in records.
STAND_INS = {"svhn": "svhn10k", "imagenet": "tiny-imagenet32", "celeba": "celeba64"}
_RELEASED = {
    "svhn": "svhn_unsup_all_conv_dcgan_100z_gaussian_lr_0.0005_64mb",
    "imagenet32": "imagenet_gan_pretrain_128f_relu_lrelu_7l_3x3_256z",
}
_LOG_EVERY = 200
_SEEDS = 3  # of a training whose luck is measured
# Options that make a run another one; the others say where and for how long it was trained.
_ALIKE = (
    "split", "image_size", "channels", "fit", "limit", "latent_dim", "width", "batch_size",
)  # fmt: skip


class MissingError(InputError):
    """Images, weights or time that a number needs are not there; the message says what to get."""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What an exhibit's script was asked for.

    Attributes:
        out: where records and pictures go.
        runs: the folder of trained runs.
        root: where named data sets are; None reads GAN_EVAL_DATA.
        quick: whether minutes must do.
        seconds: that trainings may take together; None for as long as they need. What is cut short
            goes on the next time.
        spent: seconds that each training took.
        kept: rows that were there of the same weights and were not measured again.
        watch: is told of the progress.
        missing: rows that were left out, and what they need.
    """

    out: Path
    runs: Path
    root: Path | None = None
    quick: bool = False
    seconds: float | None = None
    watch: Watch = lambda what, done, total: None
    missing: list[dict[str, str]] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def common(self) -> dict[str, Any]:
        """Arguments that all experiments take."""
        return {"root": self.root, "out": self.out, "watch": self.watch}

    def data(self, *names: str) -> str:
        """Return the first of `names`, or of what stands in for them, that is there.

        Raises:
            MissingError: none is.
        """
        sets = {row["name"]: row for row in inventory(self.root)}
        wanted = [each for name in names for each in (name, STAND_INS.get(name)) if each]
        for name in wanted:
            if name in sets and sets[name]["found"]:
                return name
        needs = {name: sets[name]["needs"] if name in sets else f"{name}.npz" for name in wanted}
        listed = "; or ".join(f"{name} ({files})" for name, files in needs.items())
        raise MissingError(f"images must be under the data root. Found none of: {listed}.")

    def trained(self, preset: str, data: str, epochs: int, seed: int = 0, **options: Any) -> Run:
        """Return the run of `preset` on `data` that was trained longest, trained on to `epochs`.

        In a hurry a run that is there is taken as it is.

        Args:
            options: fields of `Request`.

        Raises:
            MissingError: there are no weights when time is up.
            InputError: the data are not there, or are others than the run's.
        """
        run = self._longest(preset, data, seed, options)
        if run is not None and _has_weights(run):
            config = run.config()
            wanted = config.steps_of(epochs)
            if self.quick or run.steps() >= wanted:
                return run
        if run is None:
            unlike = {**options, **({"seed": seed} if seed else {})}
            name = f"{preset}-on-{Path(data).stem}" + "".join(
                f"-{option}-{value}".replace("_", "-") for option, value in unlike.items()
            )
            request = Request(
                preset=preset, data=data, root=self.root, epochs=epochs, seed=seed, **options
            )
            job = new_job(_free(self.runs / name), request)
        else:
            later = max(epochs, run.config().recipe.epochs)
            # The device that it was trained on need not be here.
            there = resolve_device("auto")
            job = resumed_job(run.folder, root=self.root, epochs=later, device=there)
        if not job.finished:
            self._train(job, epochs)
        return job.run

    def trained_again(self, preset: str, data: str, epochs: int, **options: Any) -> list[Run]:
        """Return the runs of three seeds that kept their weights of epoch `epochs`, for its spread.

        Those that cannot be had are rows that are left out; in a hurry there are none.
        """
        runs = []
        for seed in () if self.quick else range(_SEEDS):
            with self.row(f"{preset} after {epochs} epochs, seed {seed}"):
                run = self.trained(preset, data, epochs, seed, **options)
                run.steps(epochs)  # which says so if they were not kept
                runs.append(run)
        return runs

    def authors(self, images: str = "svhn") -> Run:
        """Return the run of the weights that the authors released, imported the first time.

        Args:
            images: that they are of, "svhn" or "imagenet32".

        Raises:
            MissingError: they are not there.
        """
        run, root = Run(self.runs / f"authors-{images}"), data_root(self.root)
        if run.exists:
            return run
        folder = f"newmu-{images}"
        if root is None or not (root / folder).is_dir():
            raise MissingError(
                f"The authors' released weights must be in {folder}/ under the data root: "
                f"models/{_RELEASED[images]} of the repository Newmu/dcgan_code."
            )
        return import_newmu(root / folder, run.folder)

    @contextmanager
    def row(self, name: str) -> Iterator[None]:
        """Leave out a row that cannot be had, and keep what it needs."""
        try:
            yield
        except InputError as error:
            self.missing.append({"what": name, "needs": str(error)})

    def _longest(self, preset: str, data: str, seed: int, options: dict[str, Any]) -> Run | None:
        """Return the run on these images that has had the most steps, whatever its folder is."""
        request, options = Request(preset=preset, data=data).to_json(), as_json(options)
        usual = {name: request[name] for name in (*_ALIKE, *options)}
        found = []
        for path in sorted(self.runs.glob("*/config.json")):
            run = Run(path.parent)
            with suppress(InputError):  # of a config that is no run's, or of other images
                config = run.config()
                same = (config.preset, config.data and config.data.name, config.seed)
                asked = {name: config.asked.get(name, wanted) for name, wanted in usual.items()}
                if same != (preset, Path(data).stem, seed) or asked != {**usual, **options}:
                    continue
                reopen(config, self.root)
                if _has_weights(run):
                    found.append((run.steps(), run))
                elif not run.state.exists() or saved_step(run.state) < config.steps:
                    found.append((0, run))  # which is trained on, and writes them
        return max(found, key=lambda each: each[0])[1] if found else None

    def _train(self, job: Job, epochs: int) -> None:
        """Train up to `epochs` or until time is up, whichever comes first."""
        left = None if self.seconds is None else self.seconds - sum(self.spent)
        if left is not None and left <= 0:
            if job.run.generator.exists():
                return
            raise MissingError(
                f"--budget must leave time to train {job.run.folder.name}. Of {self.seconds:.0f} s "
                "nothing was left; allow more."
            )
        started = time.monotonic()
        config = job.config
        wanted = config.steps_of(epochs)
        enough: list[int] = []

        def told(step: int) -> None:
            self.watch(f"training {job.run.folder.name}", step, wanted)
            late = left is not None and time.monotonic() - started > left
            # The run may have been planned to be longer.
            if (late or wanted <= step < config.steps) and not enough:
                enough.append(step)
                signal.raise_signal(signal.SIGTERM)  # stops after this step, everything saved

        stopped = carry_out(job, Habits(log_every=_LOG_EVERY, on_step=told))
        self.spent.append(time.monotonic() - started)
        if stopped and not enough:
            raise SystemExit(128 + stopped)


def _has_weights(run: Run) -> bool:
    return run.generator.exists() and run.discriminator.exists()


def _free(folder: Path) -> Path:
    """Return `folder`, or with a number that is free: a run on other images may have its name."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(path for path in chain([folder], numbered) if not path.exists())


def is_measured(
    folder: Path,
    spec: FeatureSpec,
    protocol: Protocol,
    data: str,
    *,
    root: Path | None = None,
    limit: int | None = None,
) -> bool:
    """Return whether a record in `folder` is of these very features and images, by this protocol.

    Whatever precision the features were computed in.
    """
    parts = open_parts(data, protocol, root=root, limit=limit, **spec.form())
    extractor = build(spec, parts.train, device="cpu", precision="32")
    weights, use = extractor.identity.get("weights_sha256"), use_of(extractor.identity)
    asked = as_json(asdict(protocol))
    images = {"train+validation": parts.known.fingerprint, "test": parts.test.fingerprint}

    def same(line: dict[str, Any]) -> bool:
        parts = (line.get("fingerprints"), line.get("config"))
        prints, config = (each if isinstance(each, dict) else {} for each in parts)
        features = config.get("features")
        return (
            isinstance(features, dict)
            and (line.get("name"), line.get("protocol"), use_of(features))
            == (spec.name, asked, use)
            and {"weights": weights, **images}.items() <= prints.items()
        )

    return any(same(line) for line in read_lines(folder / "records.jsonl"))
