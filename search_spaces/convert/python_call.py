"""Calls written as Python in a text, such as `loguniform(1e-5, 1.0)`, read without evaluation."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any

MOST_LETTERS = 10_000
"""The longest text that is read; a list of values is far shorter."""


class CallError(ValueError):
    """A text that is no call of a name with plain values."""


@dataclass(frozen=True)
class PythonCall:
    """A function's name, with its dots, and its arguments."""

    name: str
    arguments: list[Any]
    named: dict[str, Any]

    def bound(self, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
        """The arguments by their names, in the order of a signature. Raises CallError."""
        if len(self.arguments) > len(names) + len(optional):
            raise CallError(f"{self.name} takes {len(names) + len(optional)} arguments at most")
        found = dict(zip((*names, *optional), self.arguments, strict=False))
        for name, value in self.named.items():
            if name in found or name not in (*names, *optional):
                raise CallError(f"{self.name} does not take {name} here")
            found[name] = value
        missing = [name for name in names if name not in found]
        if missing:
            raise CallError(f"{self.name} needs {' and '.join(missing)}")
        return found


def parse(text: str) -> PythonCall:
    """Read a text that is one call. Raises CallError."""
    node = expression(text)
    if not isinstance(node, ast.Call):
        raise CallError("it is no call of a function")
    return call(node)


def expression(text: str) -> ast.expr:
    """The syntax tree of a text. Raises CallError."""
    if len(text) > MOST_LETTERS:
        raise CallError(f"it has more than {MOST_LETTERS:,} letters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CallError("it is no expression of Python") from None


def call(node: ast.Call) -> PythonCall:
    """A call whose arguments are plain values. Raises CallError."""
    named: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise CallError("arguments behind ** are not read")
        named[keyword.arg] = literal(keyword.value)
    return PythonCall(dotted(node.func), [literal(one) for one in node.args], named)


def dotted(node: ast.expr) -> str:
    """A name with its dots, such as `tune.choice`. Raises CallError."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    raise CallError("it calls what is no name")


def literal(node: ast.expr) -> Any:
    """A number, a word, true, false, null, or lists and mappings of these. Raises CallError."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError, SyntaxError):
        raise CallError(f"'{ast.unparse(node)[:40]}' is no plain value") from None
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str | int | float | bool) for key in value):
            raise CallError("a key is neither a word nor a number")
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise CallError(f"{value} is not finite")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CallError(f"a {type(value).__name__} is no plain value")
