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
KERNEL = {"raysweep"} | {f"raysweep.{path.stem}" for path in (ROOT / "raysweep").glob("*.py")}
RUN = {"raysweep.trainables.runtime.run", "raysweep.trainables.runtime.tensorboard"}
"""What a train function may know of the runtime: its `run`, and the board of that."""
ALLOWED = {
    "raysweep": {"raysweep.tune.cli.app"},
    "raysweep.__init__": {
        "raysweep.integrations.script",
        "raysweep.results",
        "raysweep.search_spaces.file.python_form",
        "raysweep.trainables.fused.recipe",
        "raysweep.trainables.runtime.run",
        "raysweep.tune.api",
        "raysweep.tune.study",
    },
    "raysweep.testing": {"raysweep"},
    "raysweep.integrations": {
        "raysweep.integrations",
        "raysweep.trainables.runtime.checkpoint",
        "raysweep.trainables.runtime.run",
    },
    "search_spaces": set(),
    "search_spaces.language": {"raysweep.search_spaces.language"},
    "search_spaces.file": {"raysweep.search_spaces.language", "raysweep.search_spaces.file"},
    "search_spaces.convert": {"raysweep.search_spaces"},
    # The probe ends a user's program as a trial's process does: with what it started.
    "search_spaces.drafting": {
        "raysweep.search_spaces",
        "raysweep.trainables.runtime.kill_with_parent",
    },
    "schedulers": {"raysweep.schedulers"},
    "results": {"raysweep.results.run", "raysweep.results.storage"},
    "results.environment": set(),
    "results.storage": {"raysweep.results.storage"},
    "results.analysis": {"raysweep.results.storage", "raysweep.results.analysis"},
    "results.views": {
        "raysweep.results.storage",
        "raysweep.results.analysis",
        "raysweep.results.views",
    },
    "results.export": {
        "raysweep.results.storage",
        "raysweep.results.analysis",
        "raysweep.results.views",
    },
    "results.run": {"raysweep.results", "raysweep.tune.steer", "raysweep.tune.widget"},
    "trainables": {"raysweep.trainables.common", "raysweep.trainables.fused.recipe", *RUN},
    "trainables.common": {"raysweep.trainables.common", *RUN},
    "trainables.fused": {
        "raysweep.trainables.common",
        "raysweep.trainables.fused",
        "raysweep.trainables.runtime.checkpoint",
        *RUN,
    },
    "trainables.runtime": {"raysweep.trainables.runtime"},
    "tune": {f"raysweep.{room}" for room in ROOMS[1:]},
}
"""What a room may import of ours, besides the kernel, `raysweep/*.py`. The longest name counts."""
RAY = ("tune/executors/ray/", "tune/cluster/")
TORCH = ("trainables/", "results/export.py", "raysweep/integrations/")
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
    "optuna",
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


def prefixes(name: str) -> list[str]:
    """`a.b.c`, `a.b` and `a` of `a.b.c`."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    room = next(
        name for name in prefixes(".".join(path.relative_to(ROOT).parts)) if name in ALLOWED
    )
    for name in imports(path):
        assert name.split(".")[0] not in ROOMS[1:], f"{place} imports {name}"
        if name.split(".")[0] == "raysweep":
            ours = name in KERNEL or ALLOWED[room] & set(prefixes(name))
            assert ours, f"{place} imports {name}"
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
        "import sys\nfrom raysweep.tune.cli.app import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"
