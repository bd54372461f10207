"""Which of several trainings of one network is compared with the paper's numbers."""

import json
from collections.abc import Sequence

from gan_eval.records import Record
from gan_eval.report.values import changed, steps_of, trained, value_at

# What else tells two numbers apart, beside their trainings.
_SAME = (
    "exhibit", "name", "quick", "protocol.labels_per_class", "config.data.name", "config.layer",
    "config.features.layers", "config.features.pool", "config.features.batch_norm",
    "config.features.mirror", "config.features.shifts", "config.object", "config.target",
    "config.turn_target",
)  # fmt: skip


def longest(records: Sequence[Record]) -> list[Record]:
    """Return the records without those of a network that was trained longer on the same images."""
    trainings = [(_of(each), trained(each, "images"), steps_of(each)) for each in records]

    def surpassed(of: str, images: int | None, steps: int) -> bool:
        # Weights of others do not say for how long, and old records not on how many images.
        return steps > 0 and any(
            key == of and (n == images or None in (n, images)) and more > steps
            for key, n, more in trainings
        )

    each_with = zip(records, trainings, strict=True)
    return [record for record, training in each_with if not surpassed(*training)]


def _of(record: Record) -> str:
    network = [trained(record, name) for name in ("preset", "trained_on")]
    what, *_ = str(record.protocol.get("name")).split(",")  # how often, and the like, come behind
    asked = [*network, changed(record)]
    return json.dumps([what, *(value_at(record, path) for path in _SAME), *asked])
