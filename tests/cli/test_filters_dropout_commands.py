"""`gan-eval filters` and `gan-eval dropout` as a user meets them."""

import json
from pathlib import Path

import pytest

from gan_eval.features.discriminator import random_discriminator
from gan_eval.files import read_lines
from gan_eval.models.dcgan import Generator, initialise
from gan_eval.models.runs import Run
from gan_eval.models.weights import save_network, weights_sha256
from gan_eval.seeding import stream


@pytest.fixture
def run(untrained, tmp_path, monkeypatch) -> Path:
    run = untrained(tmp_path / "tiny")
    monkeypatch.setattr("gan_eval.experiments.ablation.SCORED", 20)
    monkeypatch.chdir(tmp_path)
    return run.folder


@pytest.fixture
def boxes(tmp_path) -> Path:
    path = tmp_path / "boxes.json"
    path.write_text('[{"z": 3, "box": [8, 8, 24, 20]}, {"z": 0, "box": [4, 4, 20, 20]}]')
    return path


def test_json_is_the_record_and_its_files(call, capsys, run, boxes):
    for command, controls in (
        (("filters", run), {"untrained"}),
        (("dropout", run, "--boxes", boxes), {"random_maps", "negative_maps"}),
    ):
        assert call(*command, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert document["exhibit"] == command[0]
        assert document["controls"].keys() == controls
        for control in document["controls"].values():
            assert control.keys() == document["result"].keys()
        assert all(Path(file).is_absolute() and Path(file).is_file() for file in document["files"])
        # The run's folder is where they go, unless another is named.
        assert {Path(file).parent for file in document["files"]} == {run}
        *_, line = read_lines(run / "records.jsonl")
        assert line == {
            name: value for name, value in document.items() if not name.endswith("files")
        }


def test_weights_are_those_of_the_epoch_that_was_asked_for(call, capsys, run, boxes):
    opened, config = Run(run), Run(run).config()
    for epoch, seed in ((None, 1), (1, 2)):
        kept = opened.checkpoint(epoch) if epoch else opened.folder
        generator = Generator(config.generator)
        initialise(generator, stream(seed, "init"))
        save_network(kept / "generator.safetensors", generator, {"step": "1"})
        discriminator = random_discriminator(config.discriminator, seed)
        save_network(kept / "discriminator.safetensors", discriminator, {"step": "1"})
        used = {"filters": discriminator, "dropout": generator}
        for command in (("filters", run), ("dropout", run, "--boxes", boxes)):
            assert call(*command, "--json", *(("--epoch", epoch) if epoch else ())) == 0
            document = json.loads(capsys.readouterr().out)
            assert document["config"]["trained"]["epoch"] == epoch
            assert document["fingerprints"]["weights"] == weights_sha256(used[command[0]])


def test_tables_have_a_row_for_each_control(call, capsys, run, boxes, tmp_path):
    rows = {
        ("filters", run): ["trained", "untrained"],
        ("dropout", run, "--boxes", boxes): ["of positive weight", "random maps", "negative maps"],
    }
    for command, names in rows.items():
        assert call(*command, "--out", tmp_path / "out") == 0
        streams = capsys.readouterr()
        lines = [line.split("│") for line in streams.out.splitlines() if line.startswith("│")]
        assert [line[1].strip() for line in lines] == names
        assert f"Written: {tmp_path / 'out'}" in streams.err
    assert len(list(read_lines(tmp_path / "out" / "records.jsonl"))) == 2
    assert not (run / "records.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("filters", "nowhere"), "run nowhere must be a folder with config.json"),
        (("filters", "tiny", "--layer", 9), "layer must be one of D's convolutions: 1 ("),
        (("filters", "tiny", "--data", "digitz"), "Did you mean 'digits'?"),
        (("dropout", "tiny"), "--boxes FILE or --object ATTRIBUTE. Got neither"),
        (("dropout", "tiny", "--boxes", "missing.json"), "No such file"),
        (("dropout", "tiny", "--boxes", "boxes.json", "--layer", 9), "layer must be one of G's"),
        (("dropout", "tiny", "--object", "clas 3"), "Did you mean 'class 3'?"),
    ],
)
def test_mistakes_end_with_one_line_and_write_nothing(
    refused, run, boxes, tmp_path, arguments, message
):
    before = sorted(tmp_path.rglob("*"))
    assert message in refused(*arguments)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_layer_by_another_name_gets_the_list_of_layers(refused, run):
    assert "one of D's convolutions: 1 (" in refused("filters", run, "--layer", "conv2")
    assert "one of G's with maps: 1 (" in refused("dropout", run, "--boxes", "b", "--layer", "c")
