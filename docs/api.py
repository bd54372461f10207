"""Write docs/api.md: every public name, and the first sentence of what it says of itself.

python docs/api.py
"""

import importlib
import inspect
import re
from pathlib import Path

from gan_eval.files import write_bytes

PAGE = Path(__file__).parent / "api.md"
MODULES = (
    "gan_eval",
    "gan_eval.data",
    "gan_eval.metrics",
    "gan_eval.models.importers",
    "gan_eval.probes",
)
# Constants say nothing of themselves; the modules that they are all about do.
_CONSTANTS = {"PRESETS": "gan_eval.models.presets", "DATA_NAMES": "gan_eval.data.registry"}


def sentence(value: object) -> str:
    """Return the first sentence of the docstring of `value`, in one line."""
    paragraph = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph)[0]


def page() -> str:
    """Return the page as the package stands."""
    parts = [
        "# Public names",
        "`help(NAME)` in Python says the rest. Written by `python docs/api.py`.",
    ]
    for module in MODULES:
        package = importlib.import_module(module)
        rows = [
            f"| `{name}` | {sentence(_spoken_for(package, name))} |" for name in package.__all__
        ]
        parts += [
            f"## {module}\n{sentence(package)}",
            "\n".join(["| name | |", "|---|---|", *rows]),
        ]
    return "\n\n".join(parts) + "\n"


def _spoken_for(package: object, name: str) -> object:
    home = _CONSTANTS.get(name)
    return importlib.import_module(home) if home else getattr(package, name)


if __name__ == "__main__":
    write_bytes(PAGE, page().encode())
