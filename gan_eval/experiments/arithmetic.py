"""Vector arithmetic: is smiling woman - neutral woman + neutral man a smiling man?

Radford, Metz & Chintala 2015, section 6.3.2, Figures 7 and 8; `gan_eval.latent.arithmetic` has the
sums. The paper shows a few sums of exemplars chosen by eye. Here many random triples are drawn from
the samples that stand for a, b and c, and classifiers that had no part in choosing them say in how
many results they see what should be there, and no overlay of images
(`gan_eval.experiments.overlays`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import index
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.experiments.drawing import MOST_SAMPLES, Drawing, open_drawing
from gan_eval.experiments.exemplars import (
    AVERAGED,
    Choices,
    Wanted,
    check_numbers,
    goals_of,
    is_numbers,
    parse_concept,
    pick,
    read_choices,
    spell,
)
from gan_eval.experiments.panel import Classifiers, open_panel
from gan_eval.experiments.study import Watch, at_work, begin
from gan_eval.experiments.sums import (
    CONTROLS,
    STEPS,
    TERMS,
    Pools,
    seen_in_real,
    success,
    sum_images,
    trusted,
    turn_rates,
    turn_vector,
    unseen,
)
from gan_eval.files import StrPath, write_json
from gan_eval.images import to_uint8
from gan_eval.latent.arithmetic import along, combine, neighbours
from gan_eval.models.runs import Epoch, Run
from gan_eval.models.weights import weights_sha256
from gan_eval.records import Written, append_record
from gan_eval.seeding import stream
from gan_eval.visualize.grids import strips, write_picture

_NEIGHBOURS = 8
_FEW_TRIALS = 100
_TURNED = 6  # samples whose turn is drawn


@at_work()
def arithmetic(
    run: Run,
    asked: Mapping[str, str | Sequence[int] | NDArray[Any]],
    data: StrPath | None = None,
    *,
    target: str | None = None,
    choices: StrPath | None = None,
    n: int = 2000,
    trials: int = 200,
    root: StrPath | None = None,
    label: int | None = None,
    epoch: Epoch | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    out: StrPath | None = None,
    watch: Watch = lambda what, done, total: None,
) -> Written:
    """Draw a - b + c and a turn in a run's Z, and count in how many random sums it succeeds.

    `result` and each of `controls` hold `success_rate`, the share of sums that show the target and
    are no overlays, the ends `low` and `high` of its 95 % Wilson interval, `trials`, different sums
    of three random samples each, and the shares that are `seen` to show the target and to be
    `overlaid` (None where nobody looks for overlays); None and 0 where nobody knows what to see.
    `result` also holds `turn`: the shares of samples that show what the turn leads to, after each
    step, and so does the control of a random direction; None unless its ends are attributes.

    Args:
        run: with a generator.
        asked: what "a", "b" and "c" are, and "from" and "to" of a turn: numbers of samples, as
            [3, 17, 40] or "3,17,40", or attributes, see `gan_eval.experiments.exemplars`. The sum
            or the turn may be missing.
        data: labelled images, as `open_images` takes them; None for the run's own.
        target: attributes that a - b + c is to have; None for what a, b and c say.
        choices: a file of an earlier call, in place of `asked` and `target`.
        n: samples that attributes are looked for in, and that numbers are below.
        trials: at most; fewer where there are not as many different sums.
        root: where named data sets are.
        label: of a conditional generator; None for the first that it was trained with.
        epoch: a kept one of the generator, None for its newest weights.
        seed: of samples, trials, noise and the classifiers' images.
        device: "auto", "cuda", "mps" or "cpu".
        precision: of the classifiers' networks; the generator computes in float32.
        out: where record, choices and pictures go; None takes the run's folder.
        watch: is told of the progress.

    Raises:
        InputError: what was asked for cannot be had; nothing was written.
    """
    study = begin(out, run, seed=seed, device=device, precision=precision, watch=watch)
    _check_n(n)
    drawing = open_drawing(run, epoch=epoch, label=label, device=study.device)
    words = {
        name: given if isinstance(given, str) else ",".join(str(index(each)) for each in given)
        for name, given in asked.items()
    }
    chosen = _chosen(drawing, words, target, choices, n, seed)
    concepts: Mapping[str, tuple[int, ...] | Wanted] = chosen.samples or {
        name: parse_concept(name, words, n) for name, words in chosen.asked.items()
    }
    goal, turn_goal = goals_of(chosen.asked, chosen.target)
    panel = open_panel(
        run,
        data,
        [name for each in concepts.values() if isinstance(each, Mapping) for name in each],
        [*goal, *turn_goal],
        study=study,
        root=root,
        overlay=bool(goal),
    )
    chosen = replace(chosen, samples=_numbers(drawing, concepts, chosen, panel.pickers))
    z = drawing.points(1 + max(map(max, chosen.samples.values())), seed)
    pools = {name: z[list(rows)] for name, rows in chosen.samples.items()}
    counted = sum_images(drawing, pools, trials, seed) if goal and "a" in pools else {}
    overlay, laid, distrust = trusted(drawing, pools, panel.overlay)
    rates = {
        name: success(panel.judges, goal, counted.get(name), overlay)
        for name in ("result", *CONTROLS)
    }
    for name, turned in turn_rates(drawing, pools, panel.judges, turn_goal, seed).items():
        rates[name]["turn"] = turned
    drawn_from = drawing.describe(run, epoch)
    record = study.record(
        exhibit="arithmetic",
        name="generator",
        protocol={"name": f"sums of 3, at most {trials} trials", "version": 3, "samples": chosen.n},
        config={
            **drawn_from,
            **panel.describe(),
            "target": spell(goal),
            "turn_target": spell(turn_goal),
            "target_in_real": seen_in_real(panel.judges, goal, panel.unjudged, overlay),
            "overlaid_samples": laid,
            "turn_target_in_real": seen_in_real(panel.judges, turn_goal, panel.unjudged),
            "choices": chosen.to_json(),
        },
        result=rates.pop("result"),
        controls=rates,
        advice=(
            *_advice(len(counted.get("result", ())), trials),
            *unseen(panel.images, goal),
            *distrust,
        ),
        fingerprints={"data": panel.images and panel.images.fingerprint, "weights": chosen.weights},
    )
    files = [
        study.folder / "arithmetic-choices.json",
        *_draw(study.folder, drawing, pools, chosen.asked, seed),
    ]
    write_json(files[0], chosen.to_json())
    return Written(record=record, files=(append_record(study.folder, record), *files))


def _advice(counted: int, trials: int) -> tuple[str, ...]:
    if not 0 < counted < min(trials, _FEW_TRIALS):
        return ()
    return (
        f"{counted} different sums can be made of so few exemplars, and the success rate says "
        "little; name five or more for each of a, b and c, or attributes.",
    )


def _chosen(
    drawing: Drawing,
    asked: Mapping[str, str],
    target: str | None,
    choices: StrPath | None,
    n: int,
    seed: int,
) -> Choices:
    """Return the choices of a file, or those that are yet to be made, without samples."""
    about: dict[str, Any] = {
        "seed": seed,
        "label": drawing.label,
        "weights": weights_sha256(drawing.network),
    }
    if choices is None:
        found = Choices(samples={}, asked=asked, target=target, n=n, **about)
    elif asked or target is not None:
        raise InputError(
            f"--choices holds exemplars and target. Got {', '.join(asked) or '--target'} too; "
            "leave one of them out."
        )
    else:
        found = read_choices(choices, **about)
    _check_n(found.n)
    _check_complete(found.asked, found.target)
    for name, numbers in found.samples.items():
        check_numbers(name, numbers, found.n)
    return found


def _check_n(n: int) -> None:
    if not 1 <= n <= MOST_SAMPLES:
        raise InputError(f"n must be from 1 to {MOST_SAMPLES}, samples to choose of. Got {n}.")


def _check_complete(asked: Mapping[str, str], target: str | None) -> None:
    if target is not None and "a" not in asked:
        raise InputError(f"--target is of --a, --b and --c. Got {target} without them.")
    if set(asked) not in ({*TERMS}, AVERAGED.keys() - TERMS, {*AVERAGED}):
        raise InputError(
            "--a, --b and --c must be given together, or --turn FROM:TO, or --choices FILE. Got "
            f"{', '.join(asked) or 'none'}; pass numbers of samples or attributes for each."
        )


def _numbers(
    drawing: Drawing,
    concepts: Mapping[str, tuple[int, ...] | Wanted],
    chosen: Choices,
    pickers: Classifiers,
) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the samples that stand for each concept."""
    if pickers:
        images = drawing.images(drawing.points(chosen.n, chosen.seed))
    scores = {name: picker.scores(images) for name, picker in pickers.items()}
    return {
        name: pick(name, chosen.asked[name], each, scores) if isinstance(each, Mapping) else each
        for name, each in concepts.items()
    }


def _draw(
    folder: Path, drawing: Drawing, pools: Pools, asked: Mapping[str, str], seed: int
) -> list[Path]:
    """Draw the sum of the best exemplars, and the turn of random samples."""
    rows = {
        "arithmetic.png": _sum_rows(drawing, pools, asked, seed) if "a" in pools else [],
        "arithmetic-turn.png": _turn_rows(drawing, pools, asked, seed) if "to" in pools else [],
    }
    files = [folder / name for name, captioned in rows.items() if captioned]
    for path in files:
        write_picture(path, strips(rows[path.name]))
    return files


def _sum_rows(
    drawing: Drawing, pools: Pools, asked: Mapping[str, str], seed: int
) -> list[tuple[str, Tensor]]:
    best = [pools[term][: AVERAGED[term]] for term in TERMS]
    z = combine(*best)
    around = neighbours(z, _NEIGHBOURS, stream(seed, "arithmetic", "neighbours"))
    pixels = combine(*(drawing.floats(each).flatten(1) for each in best))
    shape = (1, *drawing.floats(z[None]).shape[1:])
    return [
        *(_exemplars(drawing, term, each, asked) for term, each in zip(TERMS, best, strict=True)),
        ("a - b + c, then neighbours at ±0.25", drawing.images(torch.cat([z[None], around]))),
        (
            "a - b + c of single exemplars",
            drawing.images(combine(*(each[:, None] for each in best))),
        ),
        ("a - b + c of pixels", to_uint8(pixels.reshape(shape), drawing.network.config.scale)),
    ]


def _turn_rows(
    drawing: Drawing, pools: Pools, asked: Mapping[str, str], seed: int
) -> list[tuple[str, Tensor]]:
    ends = [
        _exemplars(drawing, name, pools[name][: AVERAGED[name]], asked) for name in ("from", "to")
    ]
    z = drawing.network.draw(_TURNED, stream(seed, "arithmetic", "turned"))
    turned = along(z, turn_vector(pools), STEPS)
    caption = f"{STEPS[0]:+g} to {STEPS[-1]:+g} of the turn from random sample"
    return [*ends, *((f"{caption} {i}", drawing.images(x)) for i, x in enumerate(turned, 1))]


def _exemplars(
    drawing: Drawing, name: str, z: Tensor, asked: Mapping[str, str]
) -> tuple[str, Tensor]:
    """Return exemplars, then the image of their mean."""
    images = drawing.images(torch.cat([z, z.mean(0, keepdim=True)]))
    words = asked[name]
    shown = ",".join(words.split(",")[: len(z)]) if is_numbers(words) else words
    return f"{name}: {shown}, then the mean", images
