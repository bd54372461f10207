"""Every command that the README, the pages and the help texts show does what it is shown for.

Each is typed as it stands, in a folder where what it names is there in small: runs of a few steps,
named data of a few hundred digits, photographs, released weights. `MORE` is typed behind it, so
that it takes no longer than it must. What names anything else fails.
"""

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import gan_eval
from gan_eval.cli import cli
from gan_eval.models.runs import Run
from gan_eval.report.exhibits import EXHIBITS
from gan_eval.training.job import Job

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What is typed behind commands that begin so, by the longest beginning; click takes the last of an
# option that is there twice.
MORE = {
    "arithmetic": "--n 300 --trials 10 --data celeba --precision 32",
    "classify": "--labels-per-class 5 --draws 2 --c-grid 1e-3 --maps 20 --precision 32",
    "compare": "",
    "data": "",
    "dedup": "",
    "dropout": "--precision 32",
    "filters": "--n 4 --precision 32",
    "import": "",
    "interpolate": "--frames 3",
    "neighbors": "--samples 300 --precision 32",
    "presets": "",
    "quickstart": "",
    "report": "",
    "sample": "--n 8",
    "score": "--extractor pixels --n 50 --kid-subset-size 20",
    "score runs/": "--extractor disc --n 50 --kid-subset-size 20",
    "train": "--epochs 1 --limit 2 --batch-size 2 --precision 32",
    "train --out": "--epochs 6",  # resumed
}
# No option makes these short: an autoencoder of 1,000 steps, 50 epochs of digits, a large network.
SLOW = ("dedup", "quickstart", "train --preset carpedm20 --data my-photos/ --image-size")
# What is parsed and not run, and why.
PARSED = {
    "torchrun": "processes are started by test_classify_command and test_score_command",
    "benchmark": "it trains whatever is missing, for hours",
}
# Runs of other presets than `radford2015-svhn`.
CONDITIONAL = ("runs/mnist",)


def shown(lines: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command among `lines`, without its comment."""
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if re.match(r"\s*(gan-eval|torchrun) ", line):
            yield tuple(shlex.split(line, comments=True))


def fenced(page: Path) -> list[str]:
    """Return the lines of a page's blocks of code that are in no language."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line for language, block in blocks if not language for line in block.splitlines()]


def commands(group: click.Group) -> Iterator[click.Command]:
    """Yield a group and all of its commands."""
    yield group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from commands(command) if isinstance(command, click.Group) else [command]


def documented() -> list[tuple[str, ...]]:
    """Return every command that is shown, once."""
    found = [words for page in PAGES for words in shown(fenced(page))]
    for command in commands(cli):
        found += shown((command.help or "").splitlines())
    return list(dict.fromkeys(found))


def behind_launcher(words: tuple[str, ...]) -> list[str]:
    """Return what follows `gan-eval`, or `gan_eval` under torchrun."""
    name = "gan_eval" if words[0] == "torchrun" else "gan-eval"
    return list(words[words.index(name) + 1 :])


def why_parsed(words: tuple[str, ...]) -> str | None:
    return PARSED.get(words[0]) or PARSED.get(words[1])


def shape(words: tuple[str, ...]) -> str:
    """Return a command without what it calls its run and without numbers."""
    return re.sub(r"runs/\w+|\d+", "", " ".join(words))


def marked(found: list[tuple[str, ...]]) -> Iterator[Any]:
    """Yield commands as parameters; one that is like an earlier one is slow too."""
    seen: set[str] = set()
    for words in found:
        slow = " ".join(words[1:]).startswith(SLOW) or shape(words) in seen
        seen.add(shape(words))
        yield pytest.param(words, id=" ".join(words), marks=[pytest.mark.slow] if slow else [])


RUN = [words for words in documented() if not why_parsed(words)]
READ = [words for words in documented() if why_parsed(words)]


def save_photos(folder: Path, pixels: np.ndarray) -> None:
    folder.mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number}.png")


def save_sets(folder: Path, samples: np.ndarray) -> None:
    """Save digits under the names of larger sets, and samples, which have attributes, as celeba.

    Of samples, because a generator of a few steps draws nothing like real images, so that none
    would have an attribute. What smiles is brighter above than below, and so on.
    """
    folder.mkdir()
    digits = gan_eval.open_images("digits", root=None)
    assert digits.pixels is not None
    assert digits.labels is not None
    images, labels = digits.pixels[:, 0].numpy(), digits.labels.numpy()
    parts: dict[str, Any] = {}
    for split, rows in (("train", slice(0, 300)), ("test", slice(300, 400))):
        parts |= {f"{split}_images": images[rows], f"{split}_labels": labels[rows]}
    for name in ("cifar10", "mnist", "svhn"):
        np.savez(folder / f"{name}.npz", **parts)
    half = samples.shape[1] // 2
    evidence = {
        "Smiling": samples[:, :half].mean((1, 2)) - samples[:, half:].mean((1, 2)),
        "Male": samples[:, :, :half].mean((1, 2)) - samples[:, :, half:].mean((1, 2)),
        "Eyeglasses": samples[:, half // 2 : -half // 2].mean((1, 2)),
    }
    there = np.stack([each > np.median(each) for each in evidence.values()], 1)
    names = np.array(list(evidence))
    np.savez(
        folder / "celeba.npz", train_images=samples, train_attributes=there, attribute_names=names
    )


def save_authors_arrays(folder: Path) -> None:
    """Save what the authors released of a discriminator; with a generator it would take longer."""
    shapes = [(64, 3, 5, 5), (128, 64, 5, 5), (128,), (128,)]
    shapes += [(256, 128, 5, 5), (256,), (256,), (4096, 1)]
    folder.mkdir(parents=True)
    for number, shape in enumerate(shapes, 1):
        array = np.full(shape, 0.01, np.float32)
        np.save(folder / f"200_discrim_params.jl_{number:02d}.npy", array)


def save_example_networks(folder: Path) -> None:
    """Save the state dicts of the DCGAN of pytorch/examples, two maps wide."""
    down, up = nn.Sequential(), nn.Sequential()
    for before, after in ((3, 2), (2, 4), (4, 8), (8, 16), (16, 1)):
        down.append(nn.Conv2d(before, after, 4, bias=False))
        down.extend([nn.BatchNorm2d(after)] if after > 2 else [])
        down.append(nn.LeakyReLU())
    for before, after in ((100, 16), (16, 8), (8, 4), (4, 2), (2, 3)):
        up.append(nn.ConvTranspose2d(before, after, 4, bias=False))
        up.extend([nn.BatchNorm2d(after), nn.ReLU()] if after != 3 else [])
    for name, network in (("netG", up), ("netD", down)):
        state = {f"main.{key}": tensor for key, tensor in network.state_dict().items()}
        torch.save(state, folder / f"{name}.pth")


@pytest.fixture(scope="module")
def shelf(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of all that commands name: runs as "plain" and "conditional", and files."""
    shelf = tmp_path_factory.mktemp("shelf")
    for name, preset in (("plain", "radford2015-svhn"), ("conditional", "radford2015-mnist")):
        config, images = tiny(preset, steps=25)
        run = Run(shelf / name)
        config = replace(config, save_epochs=(1, 5))
        gan_eval.carry_out(Job(run=run, config=config, images=images))
        few = gan_eval.choose_protocol(labels_per_class=2, draws=1, c_grid=[1e-3])
        pixels = gan_eval.features_of(["pixels"], [])
        gan_eval.classify(pixels, "digits", few, store=shelf / "store", out=run.folder)
    network = Run(shelf / "plain").load_generator()
    drawn = torch.cat([images for images, _ in gan_eval.generate(network, 400, seed=1)])
    samples = drawn[:, 0].numpy()
    save_sets(shelf / "data", samples)
    files = shelf / "files"
    files.mkdir()
    for name in ("my-photos", "photos", "samples"):
        save_photos(files / name, samples[:40])
    np.savez(files / "photos.npz", train_images=samples[:40])
    (files / "windows.json").write_text('[{"z": 3, "box": [4, 4, 20, 20]}]')
    save_authors_arrays(files / "newmu-svhn")
    save_example_networks(files)
    shutil.copytree(shelf / "plain", files / "results")
    return shelf


def named_runs(words: list[str]) -> set[str]:
    """Return the runs that a command reads; of `--out` it makes one, unless it is resumed."""
    made = {after for before, after in pairwise(words) if before == "--out"}
    runs = {word.removeprefix("disc:") for word in words if "runs/" in word}
    return runs if "--resume" in words else runs - made


def more(words: list[str]) -> list[str]:
    """Return what is typed behind a command; one whose name has no entry fails."""
    text = " ".join(words)
    known = [beginning for beginning in MORE if text.startswith(beginning)]
    assert known, f"{text} is documented, and MORE does not say how to make it short"
    return MORE[max(known, key=len)].split()


@pytest.fixture
def here(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return the maker of a folder in which a command has all it names: it gives the words."""
    monkeypatch.setenv("GAN_EVAL_DATA", str(shelf / "data"))
    monkeypatch.setenv("GAN_EVAL_STORE", str(shelf / "store"))
    monkeypatch.setenv("HOME", str(shelf))
    monkeypatch.chdir(tmp_path)

    def make(words: tuple[str, ...]) -> list[str]:
        typed = behind_launcher(words)
        for path in (shelf / "files").iterdir():
            (tmp_path / path.name).symlink_to(path)
        for run in named_runs(typed):
            kind = "conditional" if run in CONDITIONAL else "plain"
            shutil.copytree(shelf / kind, tmp_path / run)
        return [str(Path(word).expanduser()) if word[0] == "~" else word for word in typed]

    return make


@pytest.mark.parametrize("words", [*marked(RUN)])
def test_a_command_that_is_shown_runs(words, call, capsys, here):
    typed = here(words)
    assert call(*typed, *more(typed)) == 0, capsys.readouterr().err


@pytest.mark.parametrize("words", READ, ids=" ".join)
def test_a_command_that_is_shown_and_takes_long_is_parsed(words):
    name, *rest = behind_launcher(words)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    asked = command.make_context(name, rest).params
    if name == "benchmark":
        assert {*asked["names"]} <= {exhibit.folder for exhibit in EXHIBITS}


def test_commands_are_found_wherever_they_are_shown():
    assert {words[1] for words in RUN} == {beginning.split()[0] for beginning in MORE}
    assert ("gan-eval", "interpolate", "runs/faces") in RUN  # of the README, less its comment
    assert ("gan-eval", "dedup", "cifar10", "--radius", "0") in RUN  # of a help text
    text = ["  gan-eval a \\", "     --b 'c d'  # e", "prose gan-eval f"]
    assert list(shown(text)) == [("gan-eval", "a", "--b", "c d")]


def test_what_is_mentioned_in_passing_exists():
    known = {command.name: command for command in commands(cli)}
    texts = [page.read_text() for page in PAGES]
    texts += [command.help or "" for command in known.values()]
    mentioned = [words for text in texts for words in re.findall(r"`gan-eval ([^`]+)`", text)]
    assert "presets" in mentioned
    for words in mentioned:
        name, *rest = words.split()
        command = known["cli" if name == "--help" else name]
        options = {text for each in command.params for text in each.opts} | {"--help"}
        assert {word for word in rest if word.startswith("--")} <= options, words


def test_targets_of_make_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {line.split()[1] for page in PAGES for line in fenced(page) if line.startswith("make ")}
    assert {"quickstart", "test"} <= shown <= targets
