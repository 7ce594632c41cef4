"""Metrics that a program writes as columns of a CSV file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from raysweep.search_spaces.drafting.literals import assignments, called, calls, keyword, literal
from raysweep.search_spaces.drafting.program import Source

_VALIDATES = ("valid", "eval", "test")
"""Parts of the names of functions whose results `update_summary` writes."""


@dataclass(frozen=True)
class Column:
    """A column. file: the name of the file without its folders."""

    name: str
    file: str
    line: int


def csv_metrics(source: Source) -> Iterator[Column]:
    """The columns of the files that `csv.DictWriter` and timm's `update_summary` write."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.Module):
            yield from _written(node)
    for call in calls(source.tree, "update_summary"):
        file = _file(call)
        if file:
            for name in dict.fromkeys(_results(source.tree)):
                yield Column(f"eval_{name}", file, call.lineno)


def _written(node: ast.FunctionDef | ast.Module) -> Iterator[Column]:
    """The columns that a function writes, if it names a single file."""
    file = _file(node)
    for call in calls(node, "DictWriter") if file else ():
        fields = keyword(call, "fieldnames") or (call.args[1] if len(call.args) > 1 else None)
        for name in _names(fields, node):
            yield Column(name, file, call.lineno)


def _file(node: ast.AST) -> str:
    """The name of the only CSV file that is written out in a part of the source."""
    found = {
        PurePosixPath(part.value).name
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
        if part.value.endswith(".csv") and not set(part.value) & set("*?[]{}%\n")
    }
    if len(found) == 1:
        return found.pop()
    return ""


def _names(fields: ast.expr | None, within: ast.AST) -> list[str]:
    """The columns that are listed, or that are the keys of the dict whose `keys()` these are."""
    listed = literal(fields)
    if isinstance(listed, list):
        return [name for name in listed if isinstance(name, str)]
    variable = ""
    if fields is not None:
        variable = next((part.id for part in ast.walk(fields) if isinstance(part, ast.Name)), "")
    for node in ast.walk(within):
        body = getattr(node, "body", None)
        for name, value, _ in assignments(body if isinstance(body, list) else []):
            if name == variable:
                return list(_keys(value))
    return []


def _results(tree: ast.Module) -> Iterator[str]:
    """The names in what the functions that validate return."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(part in node.name for part in _VALIDATES):
            for statement in ast.walk(node):
                if isinstance(statement, ast.Assign | ast.Return) and statement.value is not None:
                    yield from _keys(statement.value)


def _keys(node: ast.expr) -> Iterator[str]:
    """The keys of `{...}`, `dict(a=...)` and `OrderedDict([("a", ...)])`."""
    keys: list[ast.expr | None] = []
    if isinstance(node, ast.Dict):
        keys = list(node.keys)
    elif isinstance(node, ast.Call) and called(node) in ("dict", "OrderedDict"):
        yield from (argument.arg for argument in node.keywords if argument.arg)
        pairs = [pair for part in node.args for pair in getattr(part, "elts", ())]
        keys = [pair.elts[0] for pair in pairs if isinstance(pair, ast.Tuple) and pair.elts]
    yield from (name for key in keys if isinstance(name := literal(key), str))
