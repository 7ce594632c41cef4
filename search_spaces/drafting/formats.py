"""The texts that a program prints, with holes where it puts values in, off its syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from string import Formatter

from raysweep.search_spaces.drafting.literals import called

PRINTS = (
    "print",
    "info",
    "warning",
    "debug",
    "log",
    "write",
    "echo",
    "secho",
    "print_log",
    "log_print",
    "set_description",
    "set_postfix_str",
    "logging",
    "logger",
)
"""Functions and methods that print their first argument, or all of them."""
_PERCENT = re.compile(
    r"%(?:\((?P<key>\w+)\))?[-+ #0]*(?:\d+|\*)?(?:\.\d+)?(?P<kind>[diufFeEgGsr%])"
)

_BATCHES = re.compile(r"loader|batch(?!es_per|_size)|\b\w*_?dl\b|(train|data)_?iter(ator)?\b")
"""What a loop goes through, or calls its variable, if it goes through batches."""


@dataclass(frozen=True)
class Hole:
    """A place where a value is put into a text. expression: the value; None if it is not known."""

    expression: ast.expr | None = None


Piece = str | Hole


@dataclass(frozen=True)
class Line:
    """A line that a program prints.

    function: the function that prints it; "" outside of any. tests: the conditions under which its
    loop prints it. of_batch: its loop goes through batches.
    """

    pieces: tuple[Piece, ...]
    number: int
    function: str
    tests: tuple[ast.expr, ...] = ()
    of_batch: bool = False


def lines(tree: ast.Module) -> Iterator[Line]:
    """Every line with a hole that the calls of a file print."""
    for call, place in _calls(tree, _Place()):
        if called(call) not in PRINTS or not call.args:
            continue
        for pieces in _split(_printed(call)):
            if any(isinstance(piece, Hole) for piece in pieces):
                line = Line(tuple(pieces), call.lineno, place.function, place.tests, place.of_batch)
                yield line


@dataclass(frozen=True)
class _Place:
    """Where a call is made, as a `Line` has it."""

    function: str = ""
    tests: tuple[ast.expr, ...] = ()
    of_batch: bool = False


def _calls(node: ast.AST, place: _Place) -> Iterator[tuple[ast.Call, _Place]]:
    """All calls, each with where it is made."""
    for child in ast.iter_child_nodes(node):
        inner = place
        if isinstance(child, ast.FunctionDef):
            inner = _Place(child.name)
        elif isinstance(child, ast.For):
            inner = _Place(place.function, of_batch=_goes_through_batches(child, place.of_batch))
        elif isinstance(child, ast.While):
            inner = _Place(place.function)
        elif isinstance(child, ast.If):
            inner = replace(place, tests=(*place.tests, child.test))
        if isinstance(child, ast.Call):
            yield child, inner
        yield from _calls(child, inner)


def _goes_through_batches(loop: ast.For, outer: bool) -> bool:
    """True for `for images, labels in train_loader`. outer: the loop around it does so."""
    text = f"{ast.unparse(loop.target)} in {ast.unparse(loop.iter)}".lower()
    return "epoch" not in text and (outer or bool(_BATCHES.search(text)))


def _printed(call: ast.Call) -> list[Piece]:
    """What a call prints: all arguments of `print`, the first of a logger with those it formats."""
    if called(call) != "print":
        first = call.args[0]
        if isinstance(first, ast.Dict):
            return []  # it is logged, not printed
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and call.args[1:]:
            return list(_percent(first.value, call.args[1:]))
        return pieces_of(first)
    pieces: list[Piece] = []
    for number, argument in enumerate(call.args):
        pieces += [" "] if number else []
        pieces += pieces_of(argument)
    return pieces


def pieces_of(node: ast.expr) -> list[Piece]:
    """A text expression as its literal parts and its holes; any other one is a hole."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.Dict):
        return list(_dict(node))
    if isinstance(node, ast.JoinedStr):
        return [piece for value in node.values for piece in _joined(value)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _is_text(node):
        return [*pieces_of(node.left), *pieces_of(node.right)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _text(node.left):
        if isinstance(node.right, ast.Tuple):
            values = node.right.elts
        else:
            values = [node.right]
        return list(_percent(_text(node.left), values))
    template = _template(node)
    if isinstance(node, ast.Call) and template:
        return list(_formatted(template, node))
    if isinstance(node, ast.Call) and called(node) in ("str", "repr", "round") and node.args:
        return [Hole(node.args[0])]
    return [Hole(node)]


def _dict(node: ast.Dict) -> Iterator[Piece]:
    """A dict as Python prints it."""
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant):
            yield f"{key.value!r}: "
            yield Hole(value)
            yield ", "


def _is_text(node: ast.expr) -> bool:
    """True for a sum that joins texts."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _is_text(node.left) or _is_text(node.right)
    return bool(_text(node) or _template(node)) or isinstance(node, ast.JoinedStr)


def _template(node: ast.expr) -> str:
    """The text of `"...".format(...)`; "" for any other expression."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "format":
            return _text(node.func.value)
        return ""
    return ""


def _text(node: ast.expr) -> str:
    """The text of a literal; "" for any other expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ""


def _joined(value: ast.expr) -> list[Piece]:
    if isinstance(value, ast.FormattedValue):
        return [Hole(value.value)]
    return pieces_of(value)


def _formatted(text: str, call: ast.Call) -> Iterator[Piece]:
    """The pieces of `text.format(...)`."""
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    number = 0
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return
    for literal, field, _, _ in parts:
        if literal:
            yield literal
        if field is None:
            continue
        first = re.split(r"[.\[]", field)[0]
        if not first:
            first, number = str(number), number + 1
        if first.isdecimal():
            found = None
            if int(first) < len(call.args):
                found = call.args[int(first)]
        else:
            found = named.get(first) or ast.Name(id=first)
        rest = ""
        if field.startswith(first):
            rest = field[len(first) :]
        yield Hole(ast.Attribute(found, rest[1:]) if found and rest.startswith(".") else found)


def _percent(text: str, values: Sequence[ast.expr]) -> Iterator[Piece]:
    """The pieces of `text % values`."""
    end, number = 0, 0
    for found in _PERCENT.finditer(text):
        if text[end : found.start()]:
            yield text[end : found.start()]
        end = found.end()
        if found["kind"] == "%":
            yield "%"
            continue
        yield Hole(values[number] if number < len(values) and not found["key"] else None)
        number += 1
    if text[end:]:
        yield text[end:]


def _split(pieces: list[Piece]) -> list[list[Piece]]:
    """The pieces of each line; neighbouring literals are joined."""
    found: list[list[Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, Hole):
            found[-1].append(piece)
            continue
        for number, part in enumerate(re.split(r"[\r\n]", piece)):
            if number:
                found.append([])
            last = None
            if found[-1]:
                last = found[-1][-1]
            if isinstance(last, str):
                found[-1][-1] = last + part
            elif part:
                found[-1].append(part)
    return found


def name_of(hole: Hole) -> str:
    """What the program calls the value of a hole: `val_loss` for `val_loss.item()`; else ""."""
    node = hole.expression
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        node = node.func.value
    if isinstance(node, ast.Call) and len(node.args) >= 1:
        node = node.args[0]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        sides = [side for side in (node.left, node.right) if not isinstance(side, ast.Constant)]
        node = None
        if len(sides) == 1:
            node = sides[0]
    if isinstance(node, ast.Attribute) and node.attr in (
        "avg",
        "val",
        "item",
        "value",
        "global_avg",
    ):
        node = node.value
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return ""
