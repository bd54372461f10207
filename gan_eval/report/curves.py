"""The curves of a section's records, as panels: what changed while something else was changed."""

import json
from collections.abc import Sequence

from gan_eval.records import Record
from gan_eval.report.paper import PUBLISHED
from gan_eval.report.values import (
    curve_at,
    curve_of,
    is_number,
    number_at,
    subject,
    trained,
    value_at,
)
from gan_eval.report.verdicts import holds
from gan_eval.visualize.series import Panel

Points = Sequence[tuple[float, float]]


def panels_of(records: Sequence[Record]) -> list[Panel]:
    """Return a panel for each kind of curve, and each protocol and data set that it is of."""
    found: dict[str, list[Record]] = {}
    for record in records:
        data = value_at(record, "config.data.name")
        protocol = str(record.protocol.get("name"))
        found.setdefault(f"{protocol}, on {data}" if data else protocol, []).append(record)
    panels = [
        make(title, some)
        for title, some in found.items()
        for make in (_validation, _samples, _turn)
    ]
    return [*(panel for panel in panels if panel.lines), *_epochs(records)]


def _validation(title: str, records: Sequence[Record]) -> Panel:
    lines = _lines(records, "protocol.c_grid", "result.validation_means")
    title = f"choice of C\n{title}"
    return Panel(title=title, x="C", y="validation error", lines=lines, log=True)


def _samples(title: str, records: Sequence[Record]) -> Panel:
    lines: dict[str, Points] = {subject(each): curve_at(each, "result.curve") for each in records}
    for each in records:
        for name in each.controls:  # the first of each: those of other runs look alike
            points = curve_at(each, f"controls.{name}.curve")
            lines[f"control: {name}"] = lines.get(f"control: {name}") or points
    lines = {name: points for name, points in lines.items() if points}
    paper = [
        (float(each.at), each.value)
        for each in PUBLISHED
        if each.at is not None and any(holds(each, record) for record in records)
    ]
    if lines and paper:
        lines["paper"] = paper
    return Panel(
        title=f"nearest neighbour\n{title}", x="samples", y="test error", lines=lines, log=True
    )


def _turn(title: str, records: Sequence[Record]) -> Panel:
    lines = _lines(records, "result.turn.steps", "result.turn.rates")
    title = f"the turn\n{title}"
    return Panel(title=title, x="turn vectors added", y="share that shows its end", lines=lines)


def _epochs(records: Sequence[Record]) -> list[Panel]:
    """Return Fréchet distances over the kept epochs of runs, a panel for each protocol."""
    groups: dict[str, dict[str, list[tuple[float, float]]]] = {}
    titles = {}
    for each in records:
        distance, epoch = number_at(each, "result.fid"), trained(each, "epoch")
        if distance is not None and is_number(epoch):
            # The same name may stand for an extractor that was trained on in between.
            protocol = json.dumps(each.protocol, sort_keys=True) + str(each.quick)
            titles[protocol] = each.protocol.get("name")
            lines = groups.setdefault(protocol, {})
            lines.setdefault(each.name, []).append((epoch, distance))
    return [
        Panel(
            title=f"Fréchet distance while training\n{titles[protocol]}",
            x="epoch",
            y="Fréchet distance",
            lines={name: sorted(points) for name, points in lines.items()},
        )
        for protocol, lines in groups.items()
    ]


def _lines(records: Sequence[Record], x: str, y: str) -> dict[str, Points]:
    """Return the curve of each record, whose coordinates are lists at two dotted paths."""
    found = {subject(each): curve_of(value_at(each, x), value_at(each, y)) for each in records}
    return {name: points for name, points in found.items() if points}
