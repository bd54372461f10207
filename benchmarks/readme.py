"""Write results/README.md, and the results in README.md, from the JSON lines and pictures.

python benchmarks/readme.py
"""

import html
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from gan_eval.records import Record
from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.read import Results, Section, read_results
from gan_eval.report.render import markdown, plain
from gan_eval.report.tables import comparison, scores, shown_lines, shown_scores
from gan_eval.report.values import trained, value_at
from gan_eval.report.verdicts import RULE, counting

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: written by benchmarks/readme.py -->", "<!-- end of results -->"
# What the README shows, where it is there.
STRIP = {
    "figure_2_3_samples/pytorch-examples-on-celeba64-epoch-0030.png": "faces, 30 epochs",
    "figure_2_3_samples/radford2015-svhn-on-cifar10-epoch-0020.png": "CIFAR-10, 20 epochs",
    "figure_7_arithmetic/smile/arithmetic.png": "smiling woman - woman + man",
}
LEGEND = (
    "† quoted from memory of the paper. *Not comparable*: other images, training set, network or "
    "protocol; [the rule](results/README.md). Of several trainings of a network on the same images "
    "the longest; the others are [there](results/README.md) too. Where the paper has no number, a "
    "row holds the first of ours, and how many of them got which verdict."
)
# Sets that most results are of.
STAND_INS = (
    "`svhn10k` is the first 10,000 crops of SVHN's test part, split by photograph into 3,957, "
    "2,021 and 4,022; `celeba64` CelebA 1 to 20,000, the central 148x148 at 64x64, JPEG of quality "
    "92, 18,000 and 2,000; `tiny-imagenet32` the 100,000 training images of Tiny-ImageNet at "
    "32x32, WebP of quality 90. `cifar10` was shuffled once, so that its last 10,000 training "
    "images are others than in the official files. Each is an `.npz` of that name."
)
WIDTH = 260


def longest(records: Sequence[Record]) -> list[Record]:
    """Return the records without those of a network that was trained longer on the same images."""

    def training(record: Record) -> tuple[Any, ...]:
        paths = ("exhibit", "name", "protocol.labels_per_class", "config.features.mirror")
        of = (trained(record, name) for name in ("preset", "trained_on"))
        return (*(value_at(record, path) for path in paths), *of)

    most: dict[tuple[Any, ...], int] = {}
    for record in records:
        steps = trained(record, "steps") or 0
        most[training(record)] = max(steps, most.get(training(record), 0))
    # Weights of others do not say how long they were trained.
    return [each for each in records if trained(each, "steps") in (None, 0, most[training(each)])]


def headlines(results: Results) -> pd.DataFrame:
    """Return the numbers beside the paper's, and each claim with how often which verdict is."""
    parts = []
    for exhibit in EXHIBITS:
        section = results.sections.get(exhibit.folder, Section())
        section = replace(section, records=longest(section.records))
        lines = counting([each for each in comparison(exhibit, section) if each.ours is not None])
        numbers = [line for line in lines if line.paper is not None]
        claims = [line for line in lines if line.paper is None]
        words: dict[str, Counter[str]] = {}
        for line in claims:
            words.setdefault(line.what, Counter())[line.verdict] += 1
        firsts = {line.what: line for line in reversed(claims)}
        shown = shown_lines([*numbers, *(firsts[what] for what in words)])
        shown["verdict"] = [*(line.verdict for line in numbers), *map(_counted, words.values())]
        parts.append(shown.assign(exhibit=exhibit.title))
    return pd.concat(parts)[["exhibit", "number", "of", "paper", "ours", "verdict"]]


def _counted(words: Counter[str]) -> str:
    """Return the one verdict, or how many of each there are; the first's number is shown."""
    several = words.total() > 1
    return ", ".join(f"{n} {word}" if several else word for word, n in words.items())


def block(results: Results) -> str:
    """Return the part of README.md between its two marks."""
    pictures = [
        image(f"results/{path}", text)
        for path, text in STRIP.items()
        if (ROOT / "results" / path).is_file()
    ]
    return "\n".join([BEGIN, "", LEGEND, "", markdown(headlines(results)), *pictures, "", END])


def image(path: str, text: str) -> str:
    """Return a picture by its path from the page."""
    return f'<img src="{quote(path)}" width="{WIDTH}" alt="{html.escape(text)}">'


def page(results: Results) -> str:
    """Return results/README.md: every exhibit's tables and pictures, then those of speed."""
    parts = ["# Results", "Written by `benchmarks/readme.py` from the JSON lines beside it."]
    parts += ["A verdict is", "\n".join(f"* *{word}*: {rule}" for word, rule in RULE)]
    parts += [STAND_INS]
    known = {each.folder for each in EXHIBITS}
    for each in EXHIBITS:
        section = results.sections.get(each.folder, Section())
        parts += [f"## {each.title}: {each.heading}", each.claim]
        parts += [markdown(shown_lines(comparison(each, section))), *_of(section)]
    for name in sorted(results.sections.keys() - known):
        parts += [f"## {name.replace('_', ' ')}", *_of(results.sections[name])]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _of(section: Section) -> Iterator[str]:
    for table in scores(section):
        caption = f"**{plain(table.caption)}**\n\n" if table.caption else ""
        yield f"{caption}{markdown(shown_scores(table.frame))}"
    paths = (path.relative_to(ROOT / "results").as_posix() for path in section.pictures)
    yield "\n".join(image(path, Path(path).stem) for path in paths)


def main() -> None:
    results = read_results(ROOT / "results")
    (ROOT / "results" / "README.md").write_text(page(results))
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(before + block(results) + rest.partition(END)[2])


if __name__ == "__main__":
    main()
