"""Values that are written out in Python source, read without evaluating it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

_LARGEST_EXPONENT = 64
"""Of a power that is computed: enough for `2**20` and `10**-4`."""


def literal(node: ast.expr | None) -> Any:
    """The value of a literal, or of arithmetic between numbers; None for anything else."""
    if node is None:
        return None
    if isinstance(node, ast.BinOp):
        return _computed(node)
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(value, tuple):
        return list(value)
    return value


def _computed(node: ast.BinOp) -> int | float | None:
    """`5 * 8`, `1 / 4`, `2**14`; None if a side is no number."""
    left, right = literal(node.left), literal(node.right)
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        return None
    try:
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            return left / right
        if isinstance(node.op, ast.FloorDiv):
            return left // right
        if isinstance(node.op, ast.Pow) and abs(right) <= _LARGEST_EXPONENT:
            power: int | float = left**right
            return power
    except (ArithmeticError, ValueError):
        return None
    return None


def assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr, int]]:
    """The names that statements set, with the expressions and their lines."""
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value, node.lineno
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value, node.lineno


def calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    """The calls of a function or a method by the last part of its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in names:
            yield node


def called(call: ast.Call) -> str:
    """The last part of what is called: `load` for a call of `yaml.load`."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    if isinstance(call.func, ast.Name):
        return call.func.id
    return ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The expression of a keyword argument; None without it."""
    for argument in call.keywords:
        if argument.arg == name:
            return argument.value
    return None
