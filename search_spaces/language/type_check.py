"""The static check of expressions: names exist, types match, and a comparison can hold."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.search_spaces.language.expressions import (
    ORDER,
    Expression,
    ExpressionError,
    dotted,
    operands,
    segment,
)
from raysweep.search_spaces.language.params import (
    Choice,
    Float,
    Int,
    Ordinal,
    Param,
    RangeOrValues,
    is_number,
)

Kinds = frozenset[str]
"""What a value may be: `number`, `word`, `truth`, or `other` (a list, a mapping or null)."""

NUMBER, WORD, TRUTH = frozenset(["number"]), frozenset(["word"]), frozenset(["truth"])
_TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_SIGNS = {ast.Lt: "below", ast.LtE: "at most", ast.Gt: "above", ast.GtE: "at least"}
_ARTICLE = {
    "number": "a number",
    "word": "a word",
    "truth": "true or false",
    "other": "a list, a mapping or null",
}


def kind(value: Any) -> str:
    """The kind of a value."""
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, str):
        return "word"
    return "number" if is_number(value) else "other"


def kinds(param: Param) -> Kinds:
    """The kinds of a parameter's values."""
    if isinstance(param, Float | Int):
        return NUMBER
    values = frozenset(kind(value) for value in param.values)
    return values | NUMBER if isinstance(param, RangeOrValues) else values


def check(expression: Expression, known: Mapping[str, Kinds], params: Mapping[str, Param]) -> Kinds:
    """The kinds that an expression's value may have.

    known: the kinds of all names of the space. Raises ExpressionError for an unknown name, a wrong
    type, or a comparison that can never hold.
    """
    return _Checker(expression.text, known, params).kinds(expression.tree)


class _Checker:
    """Walks the tree of an expression."""

    def __init__(self, text: str, known: Mapping[str, Kinds], params: Mapping[str, Param]) -> None:
        self._text = text
        self._known = known
        self._params = params

    def kinds(self, node: ast.AST) -> Kinds:
        if isinstance(node, ast.Constant):
            return frozenset([kind(node.value)])
        name = dotted(node)
        if name is not None:
            return self._name(name)
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.BoolOp) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            return self._all(operands(node), TRUTH)
        return self._all(operands(node), NUMBER)

    def _name(self, name: str) -> Kinds:
        if name not in self._known:
            raise ExpressionError(
                f"unknown name '{name}' in '{self._text}'{did_you_mean(name, self._known)}"
            )
        return self._known[name]

    def _all(self, nodes: list[ast.expr], wanted: Kinds) -> Kinds:
        for node in nodes:
            found = self.kinds(node)
            if not found & wanted:
                text = f"{self._shown(node)} is {_words(found)}; expected {_words(wanted)}"
                raise ExpressionError(f"in '{self._text}', {text}")
        return wanted

    def _compare(self, node: ast.Compare) -> Kinds:
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.Eq | ast.NotEq):
                self._equal(left, right)
            elif isinstance(op, ast.In | ast.NotIn):
                assert isinstance(right, ast.List | ast.Tuple)
                for one in right.elts:
                    self._equal(left, one)
            else:
                self._all([left, right], NUMBER)
                self._ordered(op, left, right)
            left = right
        return TRUTH

    def _equal(self, left: ast.expr, right: ast.expr) -> None:
        ours, theirs = self.kinds(left), self.kinds(right)
        if not ours & theirs:
            text = (
                f"{self._shown(left)} is {_words(ours)} and {self._shown(right)} {_words(theirs)}"
            )
            raise ExpressionError(f"in '{self._text}', {text}; they are never equal")
        for one, other in ((left, right), (right, left)):
            name = dotted(one)
            if name is not None and name in self._params and isinstance(other, ast.Constant):
                check_value(name, self._params[name], other.value)

    def _ordered(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> None:
        """Refuse a comparison of a parameter with a number that holds for none of its values."""
        name, number = dotted(left), right
        if name is None:
            name, number, op = dotted(right), left, _TURNED[type(op)]()
        param = self._params.get(name or "")
        if (
            param is None
            or not isinstance(number, ast.Constant)
            or not isinstance(number.value, int | float)
        ):
            return
        ends = extremes(param)
        if ends and not any(ORDER[type(op)](end, number.value) for end in ends):
            never = f"'{name}' is never {_SIGNS[type(op)]} {number.value}"
            raise ExpressionError(
                f"in '{self._text}', {never}; it is between {ends[0]:g} and {ends[1]:g}"
            )

    def _shown(self, node: ast.expr) -> str:
        return f"'{segment(self._text, node)}'"


def extremes(param: Param) -> tuple[float, float] | None:
    """The least and the greatest value of a parameter; None unless all are numbers."""
    values: list[Any] = (
        list(param.values) if isinstance(param, Choice | Ordinal | RangeOrValues) else []
    )
    if not isinstance(param, Choice | Ordinal):
        values += [_range(param).low, _range(param).high]
    return (min(values), max(values)) if all(map(is_number, values)) else None


def check_value(name: str, param: Param, value: Any) -> None:
    """Raise ExpressionError if a parameter never has the value."""
    forms = [value] if isinstance(value, bool | str) else [value, float(value), int(value)]
    if any(form in param and form == value for form in forms):
        return
    values = [str(one) for one in param.values] if isinstance(param, Choice | Ordinal) else []
    has = (
        f"one of {', '.join(values)}"
        if values
        else f"between {_range(param).low:g} and {_range(param).high:g}"
    )
    raise ExpressionError(f"'{name}' is never {value!r}; it is {has}{did_you_mean(value, values)}")


def _range(param: Param) -> Float | Int:
    inner = param.range if isinstance(param, RangeOrValues) else param
    assert isinstance(inner, Float | Int)
    return inner


def _words(found: Kinds) -> str:
    return " or ".join(_ARTICLE[one] for one in sorted(found))
