"""Write results/README.md, and the results in README.md, from the JSON lines and pictures.

python benchmarks/readme.py
"""

import html
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.headlines import headlines
from gan_eval.report.read import Results, Section, read_results
from gan_eval.report.render import markdown, plain
from gan_eval.report.tables import comparison, scores, shown_lines, shown_scores
from gan_eval.report.verdicts import NOTE, RULE

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: written by benchmarks/readme.py -->", "<!-- end of results -->"
# What the README shows, where it is there.
STRIP = {
    "figure_2_3_samples/pytorch-examples-on-celeba64-epoch-0030.png": "faces, 30 epochs",
    "figure_2_3_samples/radford2015-svhn-on-cifar10-epoch-0020.png": "CIFAR-10, 20 epochs",
    "figure_7_arithmetic/smile/arithmetic.png": "smiling woman - woman + man",
}
LEGEND = (
    "† quoted from memory of the paper. ±: 1.96 standard deviations over draws of labels, not over "
    "trainings (the paper's as printed). *Not comparable*: other images, training set, network or "
    "protocol; [the rule](results/README.md). Of several trainings of a network on the same images "
    "the longest; the others are [there](results/README.md) too. Where the paper has no number, a "
    "row holds the first of ours, and counts the verdicts of all of them."
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
    parts += [NOTE, STAND_INS]
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
