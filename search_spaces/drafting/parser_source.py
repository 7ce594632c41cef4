"""Reads the options of argparse and click off a program's source, for one that cannot be run."""

from __future__ import annotations

import ast
from typing import Any

from raysweep.search_spaces.drafting.interface import Interface
from raysweep.search_spaces.drafting.literals import literal
from raysweep.search_spaces.drafting.parsers import interface_of
from raysweep.search_spaces.drafting.program import Program

_KINDS = {"int": "int", "float": "float", "str": "text", "bool": "bool"}
_CALLS = ("add_argument", "option", "argument")
_FLAGS = {"store_true": False, "store_false": False}


def read_source(program: Program, words: list[str]) -> Interface | None:
    """The interface as the calls of `add_argument` and `click.option` say it; None without any."""
    records = [
        record
        for source in program.sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and (record := _record(node)) is not None
    ]
    if not records:
        return None
    data = {"library": "argparse", "command": [], "commands": [], "options": records}
    return interface_of(program.shown, data, words)


def _record(call: ast.Call) -> dict[str, Any] | None:
    """What the program would have answered for an option, as far as it is written out."""
    if getattr(call.func, "attr", "") not in _CALLS:
        return None
    names = [text for argument in call.args if isinstance(text := literal(argument), str)]
    if not names or not all(name.startswith("-") for name in names):
        return None
    said = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    action = literal(said.get("action"))
    default = literal(said.get("default"))
    form = "value"
    if action in _FLAGS or literal(said.get("is_flag")) is True:
        form, default = "flag", bool(default) and action != "store_false"
    if getattr(said.get("action"), "attr", "") == "BooleanOptionalAction" or "/" in names[-1]:
        form = "both"
    if action in ("append", "count", "help", "version"):
        return None
    name = getattr(said.get("type"), "id", "")
    nargs = literal(said.get("nargs"))
    choices = literal(said.get("choices"))
    return {
        "names": [part.split("/")[0] for part in names],
        "negative": _negative(names[-1]) if form == "both" else [],
        "dest": names[-1].split("/")[0].lstrip("-"),
        "form": form,
        "kind": "bool" if form != "value" else _kind(name, default),
        "function": name,
        "default": default,
        "choices": choices if isinstance(choices, list) else [],
        "required": literal(said.get("required")) is True,
        "many": nargs not in (None, "?"),
        "help": str(literal(said.get("help")) or ""),
    }


def _negative(name: str) -> list[str]:
    """The form of a flag that says no: the second half of `--a/--b`, else `--no-a`."""
    first, slash, second = name.partition("/")
    if slash:
        return [second]
    return [f"--no-{first.lstrip('-')}"]


def _kind(name: str, default: Any) -> str:
    for kind, known in ((bool, "bool"), (int, "int"), (float, "float"), (list, "list")):
        if name not in _KINDS and isinstance(default, kind):
            return known
    return _KINDS.get(name, "other" if name else "text")
