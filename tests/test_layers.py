"""The architecture's guard: who may import whom, and what `--help` must not wait for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("raysweep", "search_spaces", "schedulers", "tune", "trainables", "results")
NAMES = {"raysweep", "raysweep.names"}
ALLOWED = {
    "raysweep": {"raysweep", "tune.cli"},
    "search_spaces": {"search_spaces"},
    "results": {"results", "trainables.text_limits"} | NAMES,
    "schedulers": {"schedulers", "results.history"},
    "trainables": {"trainables"} | NAMES,
    "tune": set(ROOMS),
}
RAY = ("tune/engine/", "tune/check_cluster.py", "tune/preflight.py", "tune/jobs.py")
TORCH = ("trainables/", "results/export.py")
HEAVY = (
    "ray",
    "torch",
    "torchvision",
    "hyperopt",
    "hpbandster",
    "ConfigSpace",
    "statsmodels",
    "sklearn",
    "pandas",
    "plotly",
    "scipy",
)


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path: Path, top_only: bool = False) -> Iterator[str]:
    """The modules that a file imports; `top_only`: when it is itself imported."""
    tree = ast.parse(path.read_text())
    for node in walk_top(tree) if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def walk_top(node: ast.AST) -> Iterator[ast.AST]:
    """What runs on import: not function bodies, not `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from walk_top(child)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    allowed = ALLOWED[place.split("/")[0]]
    for name in imports(path):
        if name.split(".")[0] in ROOMS:
            assert name.split(".")[0] in allowed or name in allowed, f"{place} imports {name}"
        if name.split(".")[0] == "ray":
            assert place.startswith(RAY), f"{place} imports {name}"
        if name.split(".")[0] in ("torch", "torchvision"):
            assert place.startswith(TORCH), f"{place} imports {name}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["run", "--space", "cnn.yaml", "--dry-run"],
        ["run", "--space", "no.yaml"],
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom tune.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"
