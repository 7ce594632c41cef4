"""A small language for conditions, constraints and derived values.

It has comparison, arithmetic, `and or not in` and `min max abs`. Python's parser makes the syntax
tree, but nothing is compiled or evaluated by Python: only the kinds of nodes that are named here
are walked. A dotted name is one name: `model.width >= 2`. An expression that reads an inactive
parameter has no value: a condition fails then, a constraint holds, and a derived value is absent.
"""

from __future__ import annotations

import ast
import keyword
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raysweep.search_spaces.language.params import is_number

Flat = Mapping[str, Any]

LONGEST = 500
"""The most characters of an expression. Far more than a person writes."""
DEEPEST = 60
"""The most levels of nesting, well below those that end Python's recursion."""
MOST_BITS = 1024
"""The most bits of a power of whole numbers. `9 ** 9 ** 9` would fill the memory."""
LANGUAGE = "numbers, 'words', names, comparison, arithmetic, and or not in min max abs"

ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
ORDER: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}


class ExpressionError(ValueError):
    """Text that is not an expression of this language. The message names no file or line."""


class Absent(Exception):
    """A parameter that the expression reads is inactive."""


class Undefined(Exception):
    """The expression has no value: a division by zero, an overflow, or a wrong type."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Raises ExpressionError if the text is not of the language."""

    text: str

    def __post_init__(self) -> None:
        check_form(self.text, self.tree)

    @cached_property
    def tree(self) -> ast.expr:
        return _parse(self.text)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names that the expression reads, in the order of the text."""
        return tuple(dict.fromkeys(_names(self.tree)))

    def value(self, flat: Flat) -> Any:
        """The value for given values of the names. Raises Absent or Undefined if there is none."""
        result = _value(self.tree, flat)
        if isinstance(result, float) and not math.isfinite(result):
            raise Undefined
        return result


@dataclass(frozen=True)
class Condition:
    """Decides whether a parameter is active."""

    expression: Expression

    def __call__(self, flat: Flat) -> bool:
        try:
            return self.expression.value(flat) is True
        except (Absent, Undefined):
            return False


@dataclass(frozen=True)
class Constraint:
    """Decides whether a configuration is allowed.

    A constraint that reads an inactive parameter holds. If it has no value otherwise, it does not.
    """

    expression: Expression

    def __call__(self, flat: Flat) -> bool:
        try:
            return self.expression.value(flat) is True
        except Absent:
            return True
        except Undefined:
            return False


@dataclass(frozen=True)
class Derived:
    """Computes a value from others. Raises Absent if one of these is inactive, or Undefined."""

    expression: Expression

    def __call__(self, flat: Flat) -> Any:
        return self.expression.value(flat)


def _parse(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise ExpressionError(f"longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: ast.expr = _YamlBooleans().visit(ast.parse(_one_line(text), mode="eval").body)
            return tree
    except SyntaxError as error:
        raise ExpressionError(f"'{text}' is not an expression: {error.msg}{_hint(text)}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"'{text}' is not an expression") from None


class _YamlBooleans(ast.NodeTransformer):
    """Makes constants of the names `true` and `false`, as YAML writes them."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in ("true", "false"):
            return node
        return ast.copy_location(ast.Constant(node.id == "true"), node)


def _hint(text: str) -> str:
    """What to write instead of an operator of another language, or of a reserved word."""
    if re.search(r"[^=<>!]=[^=]", text):
        return "; equality is written =="
    if "&&" in text or "||" in text:
        return "; write `and`, `or`"
    taken = next(
        (
            word
            for word in re.findall(r"\w+", text)
            if keyword.iskeyword(word) and word not in ("and", "or", "not", "in")
        ),
        None,
    )
    return f"; the name '{taken}' cannot stand in an expression" if taken else ""


def _one_line(text: str) -> str:
    return text.replace("\n", " ").strip()


def dotted(node: ast.AST) -> str | None:
    """The dotted name that a node stands for, such as `model.width`; None for any other node."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        parent = dotted(node.value)
        return f"{parent}.{node.attr}" if parent else None
    return None


def check_form(text: str, node: ast.AST, depth: int = 0) -> None:
    """Raise ExpressionError if any node of a tree is not of the language."""
    if depth > DEEPEST:
        raise ExpressionError(f"'{text[:40]}...' nests too deeply")
    if not _known(node):
        raise ExpressionError(
            f"'{segment(text, node)}' is not of the language; expected {LANGUAGE}"
        )
    for child in operands(node):
        check_form(text, child, depth + 1)


def segment(text: str, node: ast.AST) -> str:
    """The part of the text that a node stands for."""
    if isinstance(node, ast.expr) and node.end_col_offset is not None:
        return _one_line(text).encode()[node.col_offset : node.end_col_offset].decode()
    return text


def operands(node: ast.AST) -> list[ast.expr]:
    """The nodes whose values a node combines."""
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Compare):
        return [node.left, *(part for one in node.comparators for part in _members(one))]
    return node.args if isinstance(node, ast.Call) else []


def _members(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.List | ast.Tuple) else [node]


def _known(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, bool | int | float | str)
    if isinstance(node, ast.BinOp):
        return type(node.op) in ARITHMETIC or isinstance(node.op, ast.Pow)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not | ast.USub | ast.UAdd)
    if isinstance(node, ast.Compare):
        return not any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops) and _lists_after_in(
            node
        )
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        return (
            name in FUNCTIONS
            and not node.keywords
            and (len(node.args) == 1 if name == "abs" else len(node.args) > 1)
        )
    return isinstance(node, ast.BoolOp) or dotted(node) is not None


def _lists_after_in(node: ast.Compare) -> bool:
    """True if lists are to the right of `in` and nowhere else in a comparison."""
    listed = [isinstance(one, ast.List | ast.Tuple) for one in node.comparators]
    return listed == [isinstance(op, ast.In | ast.NotIn) for op in node.ops]


def _names(node: ast.AST) -> list[str]:
    name = dotted(node)
    return [name] if name else [name for child in operands(node) for name in _names(child)]


def _value(node: ast.AST, flat: Flat) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    name = dotted(node)
    if name is not None:
        if name not in flat:
            raise Absent(name)
        return flat[name]
    if isinstance(node, ast.BoolOp):
        wanted = isinstance(node.op, ast.Or)
        return wanted if any(_value(one, flat) is wanted for one in node.values) else not wanted
    if isinstance(node, ast.Compare):
        return _compare(node, flat)
    try:
        return _number(node, flat)
    except (TypeError, ArithmeticError, ValueError):
        raise Undefined from None


def _number(node: ast.AST, flat: Flat) -> Any:
    values = [_value(one, flat) for one in operands(node)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not values[0]
    if not all(map(is_number, values)):
        raise Undefined
    if isinstance(node, ast.UnaryOp):
        return -values[0] if isinstance(node.op, ast.USub) else values[0]
    if isinstance(node, ast.BinOp):
        return (
            _power(*values) if isinstance(node.op, ast.Pow) else ARITHMETIC[type(node.op)](*values)
        )
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    return FUNCTIONS[node.func.id](*values)


def _power(base: Any, exponent: Any) -> Any:
    if (
        isinstance(base, int)
        and isinstance(exponent, int)
        and base.bit_length() * abs(exponent) > MOST_BITS
    ):
        raise Undefined
    result = base**exponent
    if isinstance(result, complex):
        raise Undefined
    return result


def _compare(node: ast.Compare, flat: Flat) -> bool:
    left = _value(node.left, flat)
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, ast.In | ast.NotIn):
            found = any(alike(left, _value(one, flat)) for one in _members(comparator))
            holds, right = found is isinstance(op, ast.In), None
        else:
            right = _value(comparator, flat)
            holds = _holds(op, left, right)
        if not holds:
            return False
        left = right
    return True


def _holds(op: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(op, ast.Eq | ast.NotEq):
        return alike(left, right) is isinstance(op, ast.Eq)
    if not (is_number(left) and is_number(right)):
        raise Undefined
    return ORDER[type(op)](left, right)


def alike(left: Any, right: Any) -> bool:
    """True if two values are equal; 1 equals 1.0 but not True."""
    return bool(left == right) and isinstance(left, bool) is isinstance(right, bool)
