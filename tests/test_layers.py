"""The house: imports point down, each heavy dependency has one home, files stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gan_eval

PACKAGE = Path(gan_eval.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
BENCHMARKS = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))

# From the roof down. A room may use those of lower floors, and of its own floor only itself.
FLOORS = (
    {"cli"},
    {"report"},
    {"experiments"},
    {"training", "features"},
    {"models", "data", "visualize", "probes", "metrics", "latent"},
    {"images", "seeding", "records", "devices"},
    {"precision", "files"},
    {"errors"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
HOMES = {
    "click": {"cli"},
    "rich": {"cli"},
    "jinja2": {"report"},
    "pandas": {"report"},
    "lightning_fabric": {"training", "devices"},
    "matplotlib": {"visualize"},
    "sklearn": {"data", "features", "probes"},
    "lmdb": {"data"},
    "safetensors": {"models"},
}
NAMELESS = {"utils", "util", "helpers", "core", "base", "common", "misc"}


def imported(source: str) -> Iterator[str]:
    """Yield the dotted names that `source` imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            if node.module == "gan_eval":
                yield from (f"gan_eval.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room_of(path: Path) -> str:
    """Return the room of a file: its folder, or its own name where it stands on the ground."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def upward(room: str, source: str) -> list[str]:
    """Return the imports of `source`, a file of `room`, that do not point down."""
    wrong = []
    for name in imported(source):
        parts = name.split(".")
        if parts[0] != "gan_eval" or len(parts) < 2 or parts[1] == "__version__":
            continue
        other = parts[1]
        if other != room and FLOOR[other] <= FLOOR[room]:
            wrong.append(name)
    return wrong


def homeless(room: str, source: str) -> list[str]:
    """Return the heavy packages that `source` imports although their home is elsewhere."""
    packages = {name.split(".")[0] for name in imported(source)}
    return sorted(package for package in packages if room not in HOMES.get(package, {room}))


@pytest.mark.parametrize(
    ("room", "line", "found"),
    [
        ("models", "from gan_eval.training.loop import train", ["gan_eval.training.loop"]),
        ("models", "def f():\n    import gan_eval.data.feed", ["gan_eval.data.feed"]),
        ("data", "from gan_eval import cli", ["gan_eval.cli"]),
        ("training", "from gan_eval import seeding", []),
        ("training", "from gan_eval.training.step import Trainer", []),
        ("errors", "from gan_eval.records import versions", ["gan_eval.records"]),
    ],
)
def test_the_walk_finds_what_points_up(room: str, line: str, found: list[str]):
    assert upward(room, line) == found


def test_the_walk_finds_what_is_not_at_home():
    assert homeless("models", "def f():\n    from matplotlib.figure import Figure") == [
        "matplotlib"
    ]
    assert homeless("visualize", "import matplotlib.figure, torch") == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_keeps_to_its_place(path: Path):
    source, room = path.read_text(), room_of(path)
    if room not in ("__init__", "__main__"):
        assert room in FLOOR, f"{room} has no floor in the house"
        assert upward(room, source) == []
        assert homeless(room, source) == []
    assert len(source.splitlines()) <= 300
    assert path.stem not in NAMELESS


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_is_short_and_calls_public_functions_only(path: Path):
    source = path.read_text()
    assert len(source.splitlines()) <= 100
    nodes = list(ast.walk(ast.parse(source)))
    imports = [each for each in nodes if isinstance(each, ast.ImportFrom)]
    attributes = [each for each in nodes if isinstance(each, ast.Attribute)]
    used = [alias.name for each in imports for alias in each.names]
    used += [each.attr for each in attributes if ast.unparse(each.value) != "self"]
    assert [name for name in used if name.startswith("_")] == []


def test_arrays_only_rooms_do_not_even_share_a_floor_with_networks():
    for line in (
        "import gan_eval.models.dcgan",
        "import gan_eval.data",
        "import gan_eval.visualize",
    ):
        for room in ("probes", "metrics", "latent"):
            assert upward(room, line) != []
