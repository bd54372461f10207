"""Sums of concepts: who stands for one, what a sum should show, and in how many it does."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_eval.data import open_images
from gan_eval.errors import InputError
from gan_eval.experiments import arithmetic as module
from gan_eval.experiments.arithmetic import _advice, _exemplars, arithmetic
from gan_eval.experiments.drawing import Drawing
from gan_eval.experiments.exemplars import (
    Choices,
    goals_of,
    parse_concept,
    parse_wanted,
    pick,
    read_choices,
    spell,
    target_of,
)
from gan_eval.experiments.panel import Panel
from gan_eval.experiments.sums import (
    draw_triples,
    really_shows,
    seen_in_real,
    success,
    sum_images,
    trusted,
    turn_rates,
    turn_vector,
)
from gan_eval.metrics.intervals import wilson_interval
from gan_eval.seeding import stream


class Signs(torch.nn.Module):
    """z (n, 8) -> images of 2 pixels, bright where z_0 and where z_1 are large."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(scale="tanh", classes=0)
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, 8, generator=generator) * 2 - 1

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return torch.tanh(3 * z[:, :2]).view(-1, 1, 1, 2)


class Bare(Signs):
    """z (n, 8) -> images of 8 pixels that are z, from -4 (black) to 4 (white)."""

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return (z / 4).view(-1, 1, 1, 8)


def shown(images: Tensor) -> Tensor:
    """Return the z (n, 8) that images of `Bare` show, to 1/60."""
    return images.flatten(1) / 127.5 * 4 - 4


def judge(place: int) -> Any:
    return SimpleNamespace(decide=lambda images: images[:, 0, 0, place] > 127)


DRAWING: Any = Drawing(network=Signs(), label=None)  # type: ignore[arg-type]
BARE: Any = Drawing(network=Bare(), label=None)  # type: ignore[arg-type]
JUDGES: Any = {"first": judge(0), "second": judge(1)}


def pool(first: float, second: float, n: int = 12) -> Tensor:
    z = DRAWING.network.draw(n, torch.Generator().manual_seed(int(10 * first + second)))
    z[:, 0], z[:, 1] = z[:, 0] * 0.1 + first, z[:, 1] * 0.1 + second
    return z


POOLS = {"a": pool(0.6, -0.6), "b": pool(-0.6, -0.6), "c": pool(-0.6, 0.6)}


def test_sums_succeed_where_the_generator_is_linear_and_random_directions_do_not():
    found = sum_images(DRAWING, POOLS, 150, 0)
    rates = {n: success(JUDGES, {"first": True, "second": True}, x) for n, x in found.items()}
    assert rates["result"]["success_rate"] == rates["result"]["high"] == 1
    assert 0.97 < rates["result"]["low"] < 1
    assert 0 < rates["random_direction"]["success_rate"] < 0.4
    # Of few exemplars several triples begin with the same three.
    trials = {name: each["trials"] for name, each in rates.items()}
    assert 100 < trials.pop("single_exemplar") < 150
    assert {*trials.values()} == {150}
    assert rates.keys() == {"result", "single_exemplar", "pixel_arithmetic", "random_direction"}
    # The opposite goal fails in all: what is asked for counts, not that something is seen.
    assert success(JUDGES, {"first": False, "second": True}, found["result"])["success_rate"] == 0


def test_pixel_arithmetic_is_of_images_and_single_exemplars_are_the_first_of_each_triple():
    found = sum_images(DRAWING, POOLS, 20, 0)
    places = draw_triples((12, 12, 12), 20, 0)
    z = {term: POOLS[term][places[:, i]] for i, term in enumerate("abc")}
    images = {t: DRAWING.floats(x.flatten(0, 1)).view(len(x), 3, 2).mean(1) for t, x in z.items()}
    pixels = ((images["a"] - images["b"] + images["c"]).clamp(-1, 1) + 1) * 127.5
    assert (found["pixel_arithmetic"].view(-1, 2) - pixels).abs().max() <= 0.51
    single = DRAWING.images(z["a"][:, 0] - z["b"][:, 0] + z["c"][:, 0])
    assert torch.equal(found["single_exemplar"], single)


def test_a_random_direction_leads_as_far_from_c_as_a_is_from_b():
    found = sum_images(BARE, POOLS, 20, 0)
    places = draw_triples((12, 12, 12), 20, 0)
    a, b, c = (POOLS[term][places[:, i]].mean(1) for i, term in enumerate("abc"))
    moved = shown(found["random_direction"]) - c
    torch.testing.assert_close(moved.norm(dim=1), (a - b).norm(dim=1), rtol=0.03, atol=0)


@pytest.mark.parametrize(
    ("there", "laid", "success_rate"), [(False, False, 0), (True, False, 1), (True, True, 0)]
)
def test_who_judges_did_not_pick(untrained, tmp_path, monkeypatch, there, laid, success_rate):
    def who(says: bool) -> Any:
        """See more in what is brighter, and decide as it `says` of all images."""
        return SimpleNamespace(
            scores=lambda images: images.float().mean((1, 2, 3)) - images.float().mean(),
            decide=lambda images: torch.full((len(images),), says),
            to_json=dict,
        )

    digits = open_images("digits", root=None, limit=40)
    there_or_not = torch.arange(40)[:, None] < 20
    real = replace(
        digits, labels=None, class_names=(), attribute_names=("x",), attributes=there_or_not
    )
    panel = Panel(
        images=real,
        unjudged=real,
        pickers={"x": who(not there)},
        judges={"x": who(there)},
        overlay=SimpleNamespace(  # sees them in the 20 sums, and not in the samples of c
            decide=lambda images: torch.full((len(images),), laid and len(images) == 20),
            to_json=dict,
        ),
    )
    wanted = []

    def opened(*_: Any, overlay: bool, **__: Any) -> Panel:
        wanted.append(overlay)
        return panel if overlay else replace(panel, overlay=None)

    monkeypatch.setattr(module, "open_panel", opened)
    run, asked = untrained(tmp_path / "run", gain=5), {"a": "x", "b": "-x", "c": "x"}
    record = arithmetic(run, asked, n=100, trials=20, device="cpu", out=tmp_path / "out").record
    assert (record.result["success_rate"], record.result["trials"]) == (success_rate, 20)
    assert (record.result["seen"], record.result["overlaid"]) == (there, laid)
    assert record.config["overlaid_samples"] == 0
    rates = {"hits": success_rate, "false_alarms": success_rate}
    assert record.config["target_in_real"] == rates
    # Nobody looks for overlays in a turn.
    arithmetic(run, {"from": "x", "to": "-x"}, n=100, device="cpu", out=tmp_path / "turn")
    assert wanted == [True, False]


@pytest.mark.parametrize("laid", [20, 21])
def test_a_judge_that_takes_samples_for_overlays_is_not_asked(laid):
    z, overlay = -torch.ones(100, 8), judge(1)
    z[:laid, 1] = 1
    asked, share, said = trusted(DRAWING, {"c": z}, overlay)
    assert share == laid / 100
    assert asked == (overlay if laid == 20 else None)
    assert len(said) == (laid == 21)
    assert all("21 % of single samples are taken for overlays" in each for each in said)
    assert trusted(DRAWING, {"c": z}, None) == (None, None, ())


def test_few_sums_are_advised_on():
    assert _advice(1, 200)[0].startswith("1 different sums can be made")
    assert _advice(100, 200) == _advice(7, 7) == _advice(0, 200) == ()


def test_a_caption_names_the_samples_that_are_drawn():
    asked = {"a": "3,17,40,55", "b": "smiling,-male"}
    captions = [_exemplars(DRAWING, name, POOLS[name][:3], asked)[0] for name in asked]
    assert captions == ["a: 3,17,40, then the mean", "b: smiling,-male, then the mean"]


def test_triples_are_different_sums_of_different_samples():
    drawn = draw_triples((4, 5, 6), 300, 0)
    assert (drawn.sort(2).values.diff(dim=2) > 0).all()
    assert drawn.amax((0, 2)).tolist() == [3, 4, 5]
    sums = {str(each.sort(1).values.tolist()) for each in drawn}
    assert len(sums) == len(drawn) <= 4 * 10 * 20
    assert torch.equal(drawn, draw_triples((4, 5, 6), 300, 0))
    # As many as were asked for, and otherwise all that there are.
    assert len(drawn) == 300
    assert len(draw_triples((5, 5, 3), 200, 0)) == 100
    assert len(draw_triples((3, 3, 3), 300, 0)) == 1


def test_nobody_knows_nothing_is_counted():
    numbers = ("success_rate", "low", "high", "seen", "overlaid")
    nothing = {**dict.fromkeys(numbers), "trials": 0}
    assert success({}, {}, torch.zeros(3, 1, 1, 2)) == success({}, {"first": True}, None) == nothing


def test_an_overlay_is_no_success():
    """Of ten images seven show the goal, and of these three are overlays, and one other is."""
    there = torch.tensor([1, 1, 1, 1, 1, 1, 1, 0, 0, 0])
    laid = torch.tensor([1, 1, 1, 0, 0, 0, 0, 1, 0, 0])
    images = 255 * torch.stack([there, laid], 1).view(10, 1, 1, 2)
    found = success(JUDGES, {"first": True}, images, judge(1))
    assert (found["success_rate"], found["seen"], found["overlaid"]) == (0.4, 0.7, 0.4)
    assert (found["low"], found["high"]) == wilson_interval(4, 10)
    alone = success(JUDGES, {"first": True}, images)
    assert (alone["success_rate"], alone["seen"], alone["overlaid"]) == (0.7, 0.7, None)


def test_judges_are_judged_by_real_images():
    # Of four images with both, one is seen as that; of four without, two are.
    pixels = torch.tensor([[255, 0], [0, 255], [0, 0], [255, 255], *[[255, 255], [0, 9]] * 2])
    names, there = ("first", "second"), torch.tensor([[True, True]] * 4 + [[True, False]] * 4)
    images = replace(
        open_images("digits", root=None), pixels=pixels.to(torch.uint8).view(8, 1, 1, 2),
        labels=None, class_names=(), attribute_names=names, attributes=there,
    )  # fmt: skip
    goal = {"first": True, "second": True}
    assert really_shows(images, goal).tolist() == [True] * 4 + [False] * 4
    assert seen_in_real(JUDGES, goal, images) == {"hits": 0.25, "false_alarms": 0.5}
    # What would be no success counts for neither: those that are bright on the right.
    assert seen_in_real(JUDGES, goal, images, judge(1)) == {"hits": 0, "false_alarms": 0}
    nobody = {"first": False, "second": True}
    assert seen_in_real(JUDGES, nobody, images) == {"hits": None, "false_alarms": 0.125}
    assert seen_in_real(JUDGES, {}, images) == seen_in_real({}, goal, None)


def test_a_turn_leads_from_one_end_to_the_other():
    pools = {"from": pool(-0.6, 0.0), "to": pool(0.6, 0.0)}
    assert float(turn_vector(pools)[0]) == pytest.approx(1.2, abs=0.15)
    turned = turn_rates(DRAWING, pools, JUDGES, {"first": True}, 0)
    found, control = turned["result"], turned["random_direction"]
    assert found is not None
    assert control is not None
    assert found["steps"] == [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1]
    assert found["rates"] == sorted(found["rates"])
    assert (found["rates"][0], found["rates"][-1]) == (0, 1)
    assert 0.3 < found["rates"][4] < 0.7  # the samples as they are
    assert control["rates"][4] == found["rates"][4]
    assert 0.3 < control["rates"][-1] < 0.7  # as far, but nowhere in particular
    assert len({*control["rates"]}) > 1
    assert set(turn_rates(DRAWING, pools, JUDGES, {}, 0).values()) == {None}


def test_a_turn_leads_as_far_as_its_best_four_exemplars_lie_apart_and_so_does_the_control():
    start, end = torch.zeros(9, 8), torch.zeros(9, 8)
    end[:4, 0], end[4:, 0] = 1.5, 50
    seen: list[Tensor] = []

    def decide(images: Tensor) -> Tensor:
        seen.append(shown(images).view(100, 9, 8))
        return torch.ones(len(images), dtype=torch.bool)

    judges: Any = {"x": SimpleNamespace(decide=decide)}
    turn_rates(BARE, {"from": start, "to": end}, judges, {"x": True}, 0)
    result, control = (z[:, -1] - z[:, 4] for z in seen)
    torch.testing.assert_close(result, end[:1].expand(100, -1), rtol=0, atol=0.05)
    torch.testing.assert_close(control.norm(dim=1), result.norm(dim=1), rtol=0.06, atol=0)


@pytest.mark.parametrize(
    ("a", "b", "c", "expected"),
    [
        # The paper's two: a smiling man, and a woman with glasses.
        ("smiling,-male", "-smiling,-male", "-smiling,male", "smiling,male"),
        ("male,glasses", "male,-glasses", "-male,-glasses", "-male,glasses"),
        ("smiling", "-smiling", "male", "smiling,male"),
        ("-smiling", "smiling", "smiling", "-smiling"),
        ("smiling,male", "-smiling,male", "-smiling", "smiling"),
        # Glasses are taken away from some, and were on others: nobody knows.
        ("male", "male,glasses", "-male,glasses", "-male"),
    ],
)
def test_a_sum_should_show_what_it_adds(a, b, c, expected):
    found = target_of(parse_wanted(a), parse_wanted(b), parse_wanted(c))
    assert found == parse_wanted(expected)
    assert goals_of({"a": a, "b": b, "c": c}, None) == (found, {})
    assert parse_wanted(spell(found) or "") == found


def test_goals_are_what_words_say():
    asked = {
        "a": "1,2,3",
        "b": "4,5,6",
        "c": "7,8,9",
        "from": "-smiling,male",
        "to": "smiling,male",
    }
    assert goals_of(asked, None) == ({}, {"smiling": True})
    assert goals_of(asked, "-young")[0] == {"young": False}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("1,2,64", "a must be numbers of samples, from 0 to 63. Got 64"),
        ("-1,2,3", "from 0 to 63. Got -1"),
        ("1,2,1", "a must be different samples. Got 1,2,1; name each once"),
        ("1,2", "a must have at least 3 samples, which are averaged. Got 2 of '1,2'"),
        ("3,17,x", "numbers of samples, as 3,17,40, or attributes.* Got '3,17,x', of both kinds"),
        ("smiling,-smiling", "attributes must be named once each. Got 'smiling,-smiling'"),
    ],
)
def test_numbers_that_are_refused(words, message):
    with pytest.raises(InputError, match=message):
        parse_concept("a", words, 64)
    assert parse_concept("a", "3, 17,40", 64) == (3, 17, 40)
    assert parse_concept("a", "class 3,-x", 64) == {"class 3": True, "x": False}
    wanted = {"tench, fish": False, "-minus": True, "back\\slash": True, "bo\\,th\\": False}
    assert parse_wanted(spell(wanted) or "") == wanted
    assert parse_concept("a", r"tench\, fish,-\-minus", 64) == {
        "tench, fish": True,
        "-minus": False,
    }
    assert parse_wanted("E\u0301te\u0301") == {"\u00c9t\u00e9": True}


def test_the_surest_samples_stand_for_a_concept():
    scores = {
        "smiling": torch.tensor([0.1, 3.0, 2.0, -1.0, 1.0]),
        "male": torch.tensor([-20.0, -5.0, -30.0, -40.0, 10.0]),
    }
    wanted = parse_wanted("smiling,-male")
    # 1 smiles most, but may be a man: the less sure of both counts, each in its own deviations.
    assert pick("a", "smiling,-male", wanted, scores) == (2, 1, 0)
    with pytest.raises(
        InputError, match=r"a must have at least 3 samples.* Got 1 of 'smiling,male'"
    ):
        pick("a", "smiling,male", parse_wanted("smiling,male"), scores)


def test_of_many_the_surest_fifty_stand_for_a_concept():
    scores = torch.rand(80, generator=stream(0, "scores")) + 0.1
    picked = pick("a", "smiling", parse_wanted("smiling"), {"smiling": scores})
    assert list(picked) == scores.argsort(descending=True)[:50].tolist()


def test_choices_are_read_again_for_the_same_samples_only(tmp_path):
    about: dict[str, Any] = {"seed": 3, "label": None, "weights": "abc"}
    choices = Choices(samples={"a": (1, 2, 3)}, asked={"a": "1,2,3"}, target="x", **about)
    path = tmp_path / "choices.json"
    path.write_text(json.dumps(choices.to_json()))
    assert read_choices(path, **about) == choices
    for name, value in (("seed", 4), ("label", 1), ("weights", "abd")):
        with pytest.raises(InputError, match=f"--choices must be of the same samples.* has {name}"):
            read_choices(path, **{**about, name: value})
    others = ({"samples": {"d": [1]}}, {"n": "abc"}, {"n": None})
    damaged = [json.dumps({**choices.to_json(), **other}) for other in others]
    for text in ("{", "[]", "{}", "x", "[" * 100_000, *damaged):
        path.write_text(text)
        with pytest.raises(InputError, match="must be a file that `gan-eval arithmetic` wrote"):
            read_choices(path, **about)
