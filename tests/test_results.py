"""What the READMEs say of the results is what the results say."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gan_eval.records import Record
from gan_eval.report.exhibits import EXHIBITS
from gan_eval.report.headlines import headlines
from gan_eval.report.read import read_results
from gan_eval.report.tables import comparison
from gan_eval.report.trainings import longest
from gan_eval.report.values import trained

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def readme():
    spec = importlib.util.spec_from_file_location("readme", ROOT / "benchmarks" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readmes_are_not_stale(readme):
    results = read_results(ROOT / "results")
    assert (ROOT / "results" / "README.md").read_text() == readme.page(results)
    assert readme.block(results) in (ROOT / "README.md").read_text()


def test_the_block_holds_every_number_beside_the_papers():
    results = read_results(ROOT / "results")
    found = headlines(results)
    everything = {line.what for each in EXHIBITS if each.folder in results.sections
                  for line in comparison(each, results.sections[each.folder])
                  if line.ours is not None}  # fmt: skip
    assert set(found["number"]) == everything
    assert ("Table 2", "22.48 %") in list(zip(found["exhibit"], found["paper"], strict=True))
    assert "–" not in set(found["ours"])
    for verdicts in found["verdict"][found["exhibit"] == "Figure 7"]:
        assert (
            sum(map(int, re.findall(r"\d+", verdicts))) == 6
        )  # of both concepts, from three seeds


def test_of_several_trainings_of_a_network_the_block_shows_the_longest():
    records = read_results(ROOT / "results").sections["table_3_mnist"].records
    shown = longest(records)
    for images in (50_000, 60_000):
        steps, all_steps = (
            {trained(each, "steps") for each in some if trained(each, "images") == images}
            for some in (shown, records)
        )
        assert steps == {*sorted(all_steps)[-1:]}
    assert len(shown) < len(records)
    # Controls that nobody trained, and imported weights, stay.
    for folder in ("table_1_cifar10", "table_2_svhn"):
        records = read_results(ROOT / "results").sections[folder].records
        kept = {id(each) for each in longest(records)}
        assert all(each.config["trained"].get("steps") for each in records if id(each) not in kept)


def test_a_longer_training_does_not_hide_another_use_of_the_shorter_one():
    records = read_results(ROOT / "results").sections["table_1_cifar10"].records
    long, short = (
        next(each for each in records if each.name == "disc" and trained(each, "steps") == steps)
        for steps in (39_050, 15_620)
    )
    assert longest([long, short]) == [long]
    features = {**long.config["features"], "pool": "max 2x2"}
    other = replace(long, config={**long.config, "features": features})
    assert longest([other, short]) == [other, short]
    assert longest([replace(long, quick=True), short]) == [replace(long, quick=True), short]
    fewer = replace(long, config=copied(long, images=40_000))
    known = replace(short, config=copied(short, images=50_000))
    assert longest([fewer, known]) == [fewer, known]
    assert trained(short, "images") is None  # as of old records
    assert longest([long, fewer, short]) == [long, fewer]


def copied(record: Record, **trained: Any) -> dict[str, Any]:
    """Return a record's config with other values of what it says of its training."""
    return {**record.config, "trained": {**record.config["trained"], **trained}}
