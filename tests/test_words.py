"""Module names and public names use the field's words, and not the private ones that they replaced.

CONTRIBUTING.md has the glossary. A word is banned as a whole part of a name: `arm` bans `arm.py`,
`next_arm` and `ArmState`, but not `alarm`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("raysweep", "search_spaces", "schedulers", "tune", "trainables", "results", "benchmarks")
BANNED = {
    "arm", "arms", "blame", "gang", "leash", "gauge", "standing", "standings", "believing",
    "verdict", "contest", "outlook", "resting", "complaint", "complaints", "conductor", "offers",
    "promise", "traces", "meeting", "allowance", "interruption", "merit", "foreseeing",
    "specify", "unjudged", "together", "wrong", "whom",
}  # fmt: skip
PHRASES = {
    "gone_on",
    "go_on",
    "goes_on",
    "in_turn",
    "passed_over",
    "working_copy",
    "once_per_machine",
}
"""Banned as a run of parts: `gone_on` in `has_gone_on`."""
CLASSES = {
    "Loop",
    "Never",
    "Seen",
    "Scales",
    "Process",
    "Told",
    "One",
    "Several",
    "Either",
    "Timed",
}
"""Names of classes that say nothing outside of this project."""
MODULES = {"words", "traces", "bands", "shares", "away", "follow", "join", "loss", "probe", "plan",
           "resolve", "pictures", "board", "team", "attempt", "segments", "meaning", "entries",
           "axis", "at", "ends", "tested", "verify", "confirm", "replay", "auto"}  # fmt: skip
"""Names of modules that have a better one in the glossary."""


def modules() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def public_names(path: Path) -> Iterator[tuple[str, str]]:
    """The names that a module and its classes define publicly, each with "class" or "other"."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            yield "class", node.name
            yield from _names_in(node.body)
        elif isinstance(node, ast.Module):
            yield from _names_in(node.body)


def _names_in(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield "other", node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield "other", node.target.id
        elif isinstance(node, ast.Assign):
            yield from (("other", each.id) for each in node.targets if isinstance(each, ast.Name))


def parts(name: str) -> str:
    """The parts of a name in lower case: `GaussianProcess` becomes gaussian_process."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def is_banned(kind: str, name: str) -> bool:
    spelled = parts(name)
    if kind == "class" and name in CLASSES:
        return True
    if any(f"_{phrase}_" in f"_{spelled}_" for phrase in PHRASES):
        return True
    return not BANNED.isdisjoint(spelled.split("_"))


def found() -> set[str]:
    """Each banned name as `path: name`; the module's own name without one."""
    offending = set()
    for path in modules():
        place = str(path.relative_to(ROOT))
        if path.stem in MODULES or is_banned("module", path.stem):
            offending.add(place)
        for kind, name in public_names(path):
            if not name.startswith("_") and is_banned(kind, name):
                offending.add(f"{place}: {name}")
    return offending


def test_no_module_and_no_public_name_has_a_banned_word() -> None:
    assert sorted(found()) == []
