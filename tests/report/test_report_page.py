"""The page and the tables: all of the results, nothing of the day, no markup from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gan_eval.errors import InputError
from gan_eval.files import append_line
from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.page import report

EVIL = "<script>alert('x')</script> & | \\input{x} $y$ ![i](http://x.invalid/x.png) **b** _c_"


class Outline(HTMLParser):
    """What is in a page: headings, tags, addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "h2":
            self.headings.append(data.strip())


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_exhibit_has_its_section_and_nothing_is_loaded(results, classified):
    curve = {"validation_means": [0.3, 0.25, 0.28]}
    records = [classified(data="svhn10k", result=curve), classified("pixels")]
    folder = results(table_2_svhn=records)
    Image.new("RGB", (40, 30), "red").save(folder / "table_2_svhn" / "confusion.png")
    report(folder)
    page = (folder / "report.html").read_text()
    outline = Outline(page)
    titles = [f"{each.title} — {each.heading}" for each in EXHIBITS]
    assert [text for text in outline.headings if text][1:] == titles
    anchors = {f"#{each.folder}" for each in EXHIBITS}
    others = set(outline.addresses) - anchors
    assert len(others) == 2  # the picture, and the curve of the choice of C
    assert all(address.startswith("data:image/") for address in others)
    assert not {"script", "link", "iframe"} & set(outline.tags)
    assert "svhn10k, not svhn" in page
    assert page.count("not run") > 10


def test_pictures_say_what_they_show(results, classified):
    folder = results(table_2_svhn=[classified()])
    for name in ("faces-epoch-0012", "dropout-hat-layer-3", "of my own"):
        Image.new("L", (8, 8)).save(folder / "table_2_svhn" / f"{name}.png")
    report(folder)
    page = (folder / "report.html").read_text()
    assert 'alt="Samples at the same z after epoch 12."' in page
    assert 'alt="Samples in which the object is seen, above the same z without' in page
    assert 'alt="of my own"' in page


def test_the_same_results_give_the_same_bytes(results, classified):
    folder = results(table_2_svhn=[classified()])
    report(folder)
    before = tree(folder)
    report(folder)
    assert tree(folder) == before
    assert "tables/table_2_svhn.csv" in before


def test_no_text_of_a_record_or_a_path_is_markup(results, classified):
    nested = {
        "trained": {"run": EVIL, "preset": EVIL, "trained_on": EVIL},
        "data": {"name": EVIL},
        EVIL: EVIL,
    }
    record = classified(
        result={"validation_means": [0.3, 0.25, 0.28]},
        config=nested,
        controls={EVIL: 0.5},
        deviations=(EVIL,),
        advice=(EVIL,),
        protocol={"name": EVIL, "version": 1, "c_grid": [1e-4, 1e-3, 1e-2]},
    )
    folder = results(table_2_svhn=[record, classified(f"disc {EVIL}")])
    append_line(folder / "speed_<script>" / "speed.jsonl", {"name": EVIL, "<script>|": EVIL})
    Image.new("L", (8, 8)).save(folder / "table_2_svhn" / "a <script>.png")
    report(folder)
    assert "script" not in Outline((folder / "report.html").read_text()).tags
    for path in (folder / "tables").glob("*.md"):
        assert "<script" not in path.read_text()
        assert all(text not in path.read_text() for text in ("![i]", "**b**", " _c_"))
        widths = {
            len(re.findall(r"(?<!\\)\|", line))
            for line in path.read_text().split("\n\n")[-1].splitlines()
        }
        assert len(widths) == 1, path
    for path in (folder / "tables").glob("*.tex"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("%")]
        assert all(r"\input{" not in line for line in lines)


def test_csv_holds_the_numbers_as_they_are(results, classified):
    folder = results(table_2_svhn=[classified()])
    report(folder)
    frame = pd.read_csv(folder / "tables" / "table_2_svhn.csv").set_index("what")
    row = frame.loc["DCGAN + L2-SVM, 100 labels per class: error"]
    assert (row["paper"], row["ours"], row["verdict"]) == (0.2248, 0.21, "reached")
    shown = (folder / "tables" / "table_2_svhn.md").read_text().splitlines()[2]
    assert "| 22.48 % | 21.0 ± 0.8 % | -1.48 | reached |" in shown


def test_rows_of_unlike_protocols_stand_in_tables_of_their_own(results, classified):
    def scored(name: str, fid: float, n: int) -> object:
        return classified(
            name,
            exhibit="score",
            protocol={"name": f"{n} images", "n_fake": n},
            result={"fid": fid, "n_fake": n, "extractor": "pixels"},
            fingerprints={"real": "same", "fake": name},
        )

    records = [scored("worse", 9.0, 100), scored("better", 8.0, 100), scored("few", 1.0, 50)]
    folder = results(fid=records)
    report(folder)
    parts = (folder / "tables" / "fid_scores.md").read_text().split("**")
    assert [parts[1], parts[3]] == ["100 images, on svhn", "50 images, on svhn"]
    assert re.findall(r"^\| (better|worse|few)", parts[2], re.MULTILINE) == ["better", "worse"]
    assert re.findall(r"^\| (better|worse|few)", parts[4], re.MULTILINE) == ["few"]


@pytest.mark.parametrize(
    ("value", "cells"),
    [
        ([{"a": [1]}], {"x": '[{"a": [1]}]'}),
        ([{}], {"x": "[{}]"}),
        ([1, "b"], {"x": '[1, "b"]'}),
        (["a word that is too long for a cell"] * 2, {}),
        ([{"a": "b", "c": 2}], {"x: b: c": "2"}),
    ],
)
def test_a_cell_that_nothing_is_known_of_is_json(tmp_path, value, cells):
    append_line(tmp_path / "speed" / "speed.jsonl", {"benchmark": "b", "seconds": 1, "x": value})
    report(tmp_path)
    (row,) = pd.read_csv(tmp_path / "tables" / "speed_scores.csv", dtype=str).to_dict("records")
    assert row == {"seconds": "1", "table": "b", **cells}


def test_a_hurried_line_of_a_script_does_not_replace_a_full_one(tmp_path):
    for line in ({"seconds": 8}, {"seconds": 9}, {"seconds": 1, "quick": True}):
        append_line(tmp_path / "speed" / "speed.jsonl", {"benchmark": "b", "name": "svm", **line})
    report(tmp_path)
    assert pd.read_csv(tmp_path / "tables" / "speed_scores.csv")["seconds"].tolist() == [9, 1]


def test_lines_of_a_run_that_was_trained_on_stand_beside_the_older_ones(tmp_path):
    for steps in (100, 200):
        line = {"benchmark": "ablation", "name": "all layers", "run": "a", "steps": steps}
        append_line(tmp_path / "ablation" / "ablation.jsonl", line)
    report(tmp_path)
    table = pd.read_csv(tmp_path / "tables" / "ablation_scores.csv")
    assert table["steps"].tolist() == [100, 200]


def test_the_caption_names_the_subsets_of_the_kernel_distance(results, classified):
    protocols = [{"name": "p", "kid_subset_size": size} for size in (1000, 200, "x")]
    records = [
        classified("a", exhibit="score", protocol=each, result={"fid": 8.0}) for each in protocols
    ]
    folder = results(fid=records)
    report(folder)
    tables = pd.read_csv(folder / "tables" / "fid_scores.csv")["table"]
    captions = ["p, KID by subsets of 1,000", "p, KID by subsets of 200", "p"]
    assert [text.removesuffix(", on svhn") for text in tables] == captions


@pytest.mark.parametrize(
    "changed",
    [
        {"protocol": {"name": "authors-svhn", "c_grid": 5}, "result": {"validation_means": [0.3]}},
        {"result": {"validation_means": [0.3, None, "x"]}},
        {"result": {"validation_means": 5}},
        {"result": {"turn": 5}, "controls": {"pixels": 0.3}},
        {"result": {"turn": {"steps": ["x", 0], "rates": [0.1, None]}}},
        {"result": {"fid": 5}, "config": {"trained": {"epoch": {"of": 1}}}},
    ],
)
def test_what_is_no_number_where_one_should_be_is_passed_over(results, classified, changed):
    folder = results(table_2_svhn=[classified(**changed)])
    report(folder)
    assert "21.0 ± 0.8 %" in (folder / "report.html").read_text()


def test_scores_that_are_no_numbers_come_last_as_json(results, classified):
    protocol = {"name": "p"}
    records = [
        classified(name, exhibit="score", protocol=protocol, result={"fid": fid},
                   config={"real": {"size": 32}}, fingerprints={"real": "same", "fake": name})
        for name, fid in (("odd", ["a"]), ("good", 8.0))
    ]  # fmt: skip
    report(results(fid=records))
    lines = (results() / "tables" / "fid_scores.md").read_text().splitlines()
    assert lines[-2:] == ["| good | 8 |", r'| odd | \["a"\] |']


def test_a_replaced_record_stays_in_the_provenance(results, classified):
    old = classified(result={"error_mean": 0.123456})
    folder = results(table_2_svhn=[old, classified(time="2026-02-01T00:00:00+00:00")])
    report(folder)
    page = (folder / "report.html").read_text()
    assert page.count("0.123456") == 1
    assert "replaced by a newer one" in page


def test_a_picture_that_is_none_is_named_and_nothing_is_written(results, classified):
    folder = results(table_2_svhn=[classified()])
    (folder / "table_2_svhn" / "broken.png").write_bytes(b"no PNG")
    before = tree(folder)
    with pytest.raises(InputError, match=r"broken.png must be a PNG. Got a file that is none"):
        report(folder)
    assert tree(folder) == before


def test_a_picture_that_is_too_long_for_a_webp_is_shown_all_the_same(results, classified):
    folder = results(table_2_svhn=[classified()])
    Image.new("L", (16_384, 1)).save(folder / "table_2_svhn" / "long.png")
    report(folder)
    assert 'width="16384"' in (folder / "report.html").read_text()


def test_a_picture_with_a_text_that_unpacks_to_too_much_is_named(results, classified):
    folder = results(table_2_svhn=[classified()])
    info = PngInfo()
    info.add_text("a", "a" * 2_000_000, zip=True)
    Image.new("L", (9, 9)).save(folder / "table_2_svhn" / "long.png", pnginfo=info)
    with pytest.raises(InputError, match=r"long\.png must be a PNG. Got a file that is none"):
        report(folder)


def test_names_of_folders_and_pictures_need_not_be_text(results, classified):
    folder = results(table_2_svhn=[classified()], **{"odd\udcff": [classified()]})
    Image.new("L", (9, 9)).save(folder / "odd\udcff" / "walk\udcff.png")
    report(folder)
    assert "walk?" in (folder / "report.html").read_text()


def test_a_disk_that_fills_leaves_the_old_page_whole(results, classified, monkeypatch):
    import errno
    import os

    folder = results(table_2_svhn=[classified()])
    report(folder)
    page = (folder / "report.html").read_bytes()
    report_again = [classified(time="2026-02-01T00:00:00+00:00")]
    results(table_2_svhn=report_again)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        report(folder)
    assert (folder / "report.html").read_bytes() == page
    assert not list(folder.rglob(".unfinished*"))
