"""What the READMEs say of the results is what the results say."""

import importlib.util
import re
from pathlib import Path

import pytest

from gan_eval.report.read import read_results

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


def test_the_block_holds_every_number_beside_the_papers(readme):
    found = readme.headlines(read_results(ROOT / "results"))
    assert ("Table 2", "22.48 %") in list(zip(found["exhibit"], found["paper"], strict=True))
    assert "–" not in set(found["ours"])
    (verdicts,) = found["verdict"][found["exhibit"] == "Figure 7"]
    assert sum(map(int, re.findall(r"\d+", verdicts))) == 2  # of both concepts
