"""What lies in a record: its numbers by their paths, and what it is of in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gan_eval.records import Record

_OPTIONS = ("image_size", "channels", "latent_dim", "classes", "width", "batch_size")


def value_at(record: Record, path: str) -> Any:
    """Return what lies at a dotted path of a record, as "result.turn.rates.8"; None for nothing."""
    name, *rest = path.split(".")
    current = getattr(record, name)
    for part in rest:
        if isinstance(current, Mapping):
            current = current.get(part)
        elif isinstance(current, Sequence) and part.isdecimal() and int(part) < len(current):
            current = current[int(part)]
        else:
            return None
    return current


def number_at(record: Record, path: str, at: int | None = None) -> float | None:
    """Return the number at a dotted path; None for anything else.

    Args:
        at: a number of samples, where the path leads to a curve: that of its point.
    """
    value = value_at(record, path) if at is None else dict(curve_at(record, path)).get(at)
    return value if is_number(value) else None


def is_number(value: Any) -> bool:
    """Return whether this is a number, as JSON has them."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def curve_at(record: Record, path: str) -> list[tuple[float, float]]:
    """Return the points at a dotted path; none where there is something else."""
    value = value_at(record, path)
    points = value if isinstance(value, list) else []
    return _plotted(each for each in points if isinstance(each, list | tuple) and len(each) == 2)


def curve_of(xs: Any, ys: Any) -> list[tuple[float, float]]:
    """Return the points whose coordinates two lists hold; none where one is something else."""
    lists = all(isinstance(each, list | tuple) for each in (xs, ys))
    return _plotted(zip(xs, ys, strict=False)) if lists else []


def _plotted(pairs: Iterable[Sequence[Any]]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in pairs if is_number(x) and is_number(y)]


def changed(record: Record) -> list[str]:
    """Return which options made a network or its training another one than the published."""
    return [text for text in record.deviations if text.split(" ")[0] in _OPTIONS]


def trained(record: Record, what: str) -> Any:
    """Return what a record says of the run it is of: its "run", "epoch", "preset" and so on."""
    places = ("config.trained", "config.fake.trained")
    found = (value_at(record, f"{place}.{what}") for place in places)
    return next((value for value in found if value is not None), None)


def steps_of(record: Record) -> int:
    """Return for how many steps what a record is of was trained; 0 where it does not say."""
    steps = trained(record, "steps")
    return steps if type(steps) is int else 0


def subject(record: Record) -> str:
    """Return what a record is of: name, run, how long it was trained, and what was asked for.

    And the seed of what was drawn to measure it, unless it is 0.
    """
    run, epoch, steps = trained(record, "run"), trained(record, "epoch"), steps_of(record)
    asked = (value_at(record, f"config.{name}") for name in ("target", "turn_target", "object"))
    maps = value_at(record, "config.features.maps")
    width = number_at(record, "result.feature_width") if record.name == "random-disc" else None
    parts = [
        f"{record.name} of {run}" if run and run != record.name else record.name,
        *([f"epoch {epoch}"] if epoch is not None else []),
        *([f"{steps:,} steps"] if steps else []),
        *([f"{maps} maps"] if maps else []),
        *([f"{width:,.0f} features"] if width else []),
        *views_of(record),
        *(str(each) for each in asked if each),
        *([f"seed {record.seed}"] if record.seed else []),
    ]
    return ", ".join(parts) + (" (quick run)" if record.quick else "")


def views_of(record: Record) -> list[str]:
    """Return in words of which views of an image features are, unless of it alone."""
    shifts = value_at(record, "config.features.shifts")
    if isinstance(shifts, list) and shifts:
        return [f"shifts {' '.join(map(str, shifts))}"]
    return ["mirror"] if value_at(record, "config.features.mirror") else []


def described(record: Record) -> str:
    """Return the subject of a record with its data, and its protocol where there are several."""
    data = value_at(record, "config.data.name")
    protocol = record.protocol.get("name") if record.exhibit == "classify" else None
    return subject(record) + f" on {data}" * bool(data) + f" by {protocol}" * bool(protocol)
