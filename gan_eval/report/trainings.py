"""Which of several trainings of one network is compared with the paper's numbers."""

from collections.abc import Sequence
from typing import Any

from gan_eval.records import Record
from gan_eval.report.values import trained, value_at

# What else tells two numbers apart, beside their trainings.
_SAME = (
    "exhibit", "name", "protocol.labels_per_class", "config.features.mirror",
    "config.data.name", "config.object", "config.target", "config.turn_target",
)  # fmt: skip


def longest(records: Sequence[Record]) -> list[Record]:
    """Return the records without those of a network that was trained longer on the same images."""
    most: dict[tuple[Any, ...], int] = {}
    for record in records:
        most[_of(record)] = max(trained(record, "steps") or 0, most.get(_of(record), 0))
    # Weights of others do not say how long they were trained.
    return [each for each in records if trained(each, "steps") in (None, 0, most[_of(each)])]


def _of(record: Record) -> tuple[Any, ...]:
    network = (trained(record, name) for name in ("preset", "trained_on"))
    what, *_ = str(record.protocol.get("name")).split(",")  # how often, and the like, come behind
    return (what, *(value_at(record, path) for path in _SAME), *network)
