"""The pages say what is so: their Python runs, the list of public names is that of the package."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import gan_eval
from gan_eval.models import presets
from gan_eval.report.exhibits import EXHIBITS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LONGEST = 30


def blocks(page: Path) -> list[str]:
    """Return the Python that a page shows, in order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def run(page: Path) -> dict[str, Any]:
    """Run what a page shows, as one program, and return what it leaves."""
    names: dict[str, Any] = {"__name__": page.stem}
    for number, block in enumerate(blocks(page), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    return names


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAN_EVAL_DATA", raising=False)


def test_every_page_with_python_is_run():
    assert {page.name for page in PAGES if blocks(page)} == {"README.md", "extending.md"}


def test_the_readme_trains_draws_and_looks_inside():
    left = run(ROOT / "README.md")
    widths = [layer.width for layer in left["job"].config.discriminator.layers]
    assert left["maps"].shape == (len(left["images"]), widths[-1])
    assert left["images"].shape[1:] == (1, 32, 32)
    frames = [table.frame for table in gan_eval.tables(left["found"])]
    assert [list(frame["of"]) for frame in frames] == [["disc of digits, 22 steps"], ["pixels"]]
    assert all(0 < frame["error_mean"][0] < 0.5 for frame in frames)  # chance is 0.9


def test_what_extending_shows_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(presets, "PRESETS", dict(presets.PRESETS))
    left = run(ROOT / "docs" / "extending.md")
    assert left["job"].config.discriminator.feature_width() == 16 * (32 + 64 + 128)
    assert [la.width for la in left["job"].config.generator.layers] == [128, 64, 32, 1]
    assert left["mine"].attribute_names == ("odd", "large")
    assert (len(left["mine"]), left["mine"].size, left["mine"].num_classes) == (1500, 32, 10)
    assert left["small"].take([0]).shape == (1, 3, 16, 16)
    assert len(left["small"]) == 100
    assert left["x"].shape == (1437, 16)
    assert left["error"] < 0.3  # chance is 0.9
    assert left["distance"] > 0
    assert left["shares"].precision > 0.5
    assert left["result"].error_mean < 0.3
    assert len(left["result"].errors) == 5


def test_examples_are_short():
    for block in blocks(ROOT / "docs" / "extending.md"):
        assert len([line for line in block.splitlines() if line.strip()]) < LONGEST


def test_public_names_are_listed_as_they_are():
    listed = runpy.run_path(str(ROOT / "docs" / "api.py"))
    assert listed["PAGE"].read_text() == listed["page"](), "run python docs/api.py"


def test_every_public_name_says_what_it_is():
    empty = re.findall(r"^\| `(\w+)` \|  \|$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert empty == []


def test_every_exhibit_has_a_page_of_one_form():
    folder = ROOT / "docs" / "exhibits"
    assert {page.stem for page in folder.iterdir()} == {each.folder for each in EXHIBITS}
    for page in folder.iterdir():
        headings = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
        assert headings[:4] == [
            "What the paper claims", "What is measured", "How to read it", "On your own data",
        ]  # fmt: skip
        assert headings[4].startswith("What differs from ")
        assert len(page.read_text().splitlines()) <= 60


def test_the_index_names_every_page():
    folder = ROOT / "docs"
    text = (folder / "README.md").read_text()
    pages = {str(page.relative_to(folder)) for page in folder.rglob("*.md")} - {"README.md"}
    assert {link for link in re.findall(r"\]\(([^)]+\.md)\)", text) if "//" not in link} == pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    links = re.findall(r'(?:\]\(|src=")([^)"#]+)', page.read_text())
    missing = [to for to in links if "//" not in to and not (page.parent / to).exists()]
    assert missing == []


def test_the_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [gan_eval.__version__]


def test_the_readme_is_short():
    # Without the table that is made of the results.
    before, _, rest = (ROOT / "README.md").read_text().partition("<!-- results:")
    assert len((before + rest.partition("<!-- end of results -->")[2]).split()) <= 700
