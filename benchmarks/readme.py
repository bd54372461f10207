"""Write results/README.md, and the results in README.md, from the JSON lines and pictures.

python benchmarks/readme.py
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.read import Results, Section, read_results
from gan_eval.report.render import markdown
from gan_eval.report.tables import comparison, scores, shown_lines, shown_scores
from gan_eval.report.verdicts import RULE, Line

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: written by benchmarks/readme.py -->", "<!-- end of results -->"
# What the README shows, where it is there.
STRIP = {
    "figure_2_3_samples/pytorch-examples-on-celeba64-epoch-0030.png": "faces, 30 epochs",
    "figure_2_3_samples/radford2015-svhn-on-cifar10-epoch-0020.png": "CIFAR-10, 20 epochs",
    "figure_7_arithmetic/smile/arithmetic.png": "smiling woman - woman + man",
}
WIDTH = 260


def headlines(results: Results) -> Iterator[tuple[str, Line]]:
    """Yield each exhibit's numbers beside the paper's, or the first score where it shows none."""
    for exhibit in EXHIBITS:
        section = results.sections.get(exhibit.folder, Section())
        ours = [line for line in comparison(exhibit, section) if line.ours is not None]
        for line in [each for each in ours if each.paper is not None] or ours[:1]:
            yield exhibit.title, line


def block(results: Results) -> str:
    """Return the part of README.md between its two marks."""
    found = list(headlines(results))
    shown = shown_lines([line for _, line in found])
    frame = pd.DataFrame({"exhibit": [title for title, _ in found]}).join(
        shown[["number", "of", "paper", "ours", "verdict"]]
    )
    pictures = [
        f'<img src="results/{path}" width="{WIDTH}" alt="{text}">'
        for path, text in STRIP.items()
        if (ROOT / "results" / path).is_file()
    ]
    return "\n".join([BEGIN, "", markdown(frame), *pictures, "", END])


def page(results: Results) -> str:
    """Return results/README.md: every exhibit's tables and pictures, then those of speed."""
    parts = ["# Results", "Written by `benchmarks/readme.py` from the JSON lines beside it."]
    parts += ["A verdict is", "\n".join(f"* *{word}*: {rule}" for word, rule in RULE)]
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
        yield f"**{table.caption}**\n\n{markdown(shown_scores(table.frame))}"
    images = (
        f'<img src="{path.relative_to(ROOT / "results")}" width="{WIDTH}" alt="{path.stem}">'
        for path in section.pictures
    )
    yield "\n".join(images)


def main() -> None:
    results = read_results(ROOT / "results")
    (ROOT / "results" / "README.md").write_text(page(results))
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(before + block(results) + rest.partition(END)[2])


if __name__ == "__main__":
    main()
