"""The expression language: what it can say, what it refuses, what it does without a value."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raysweep.search_spaces.language.expressions import (
    Absent,
    Condition,
    Constraint,
    Derived,
    Expression,
    ExpressionError,
    Undefined,
)
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal, Param, RangeOrValues
from raysweep.search_spaces.language.type_check import check, kinds

FLAT = {"layers": 2, "lr": 0.1, "optimizer": "sgd", "bias": True, "model.width": 64, "zero": 0}
PARAMS: dict[str, Param] = {
    "layers": Int(1, 4),
    "lr": Float(1e-4, 1.0),
    "optimizer": Choice(("sgd", "adam")),
    "bias": Choice((True, False)),
    "model.width": Ordinal((32, 64, 128)),
    "decay": RangeOrValues((0, "auto"), Float(1e-6, 1e-2)),
}
KNOWN = {name: kinds(param) for name, param in PARAMS.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * layers", 8),
        ("-layers ** 2", -4),
        ("7 // layers", 3),
        ("7 % 4", 3),
        ("7 / 2", 3.5),
        ("model.width * 4", 256),
        ("min(layers, 1, 5) + max(layers, 7) + abs(-3)", 11),
        ("layers >= 2 and optimizer == 'sgd'", True),
        ("layers > 2 or not bias", False),
        ("1 < layers <= 2", True),
        ("1 < layers < 2", False),
        ("optimizer in ['sgd', 'rmsprop']", True),
        ("optimizer not in ('sgd', 'adam')", False),
        ("layers == 2.0", True),
        ("bias == 1", False),
        ("  layers\n  >= 2 ", True),
        ("optimizer == 'adam' or lr < 1", True),
        ("optimizer", "sgd"),
        ("2 ** 10", 1024),
        ("2 ** -1", 0.5),
        ("bias == true and not false", True),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = Expression(text).value(FLAT)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "layers.__class__()",
        "(lambda: 1)()",
        "[x for x in (1, 2)]",
        "f'{layers}'",
        "layers if bias else 1",
        "layers is 2",
        "open('x')",
        "min(layers)",
        "abs(1, 2)",
        "max(*layers)",
        "min(layers, key=abs)",
        "optimizer[0]",
        "[1, 2]",
        "[1] == [1]",
        "layers in 3",
        "layers := 3",
        "1j",
        "None",
        "b'x'",
        "...",
        "layers & 1",
        "~layers",
        "{1: 2}",
    ],
)
def test_what_is_not_of_the_language_is_refused(text: str) -> None:
    with pytest.raises(
        ExpressionError, match=r"is not of the language; expected|is not an expression"
    ):
        Expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "layers >",
        "((",
        "a b",
        "=",
        "import os",
        "a = 3",
        "\x00",
        "x" * 501,
        "-" * 300 + "1",
        "(" * 400,
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "1 / zero",
        "1 % zero",
        "9 ** 9 ** 9 ** 9",
        "2 ** 5000",
        "1e300 * 1e300",
        "(0 - 8) ** 0.5",
        "1e999 - 1e999",
        "optimizer * 3",
        "layers < optimizer",
    ],
)
def test_an_expression_without_a_value(text: str) -> None:
    with pytest.raises(Undefined):
        Expression(text).value(FLAT)


def test_what_an_inactive_parameter_means() -> None:
    about = Expression("momentum > 0.9")
    assert Condition(about)(FLAT) is False
    assert Constraint(about)(FLAT) is True
    with pytest.raises(Absent):
        Derived(about)(FLAT)
    assert Constraint(Expression("1 / zero > 3"))(FLAT) is False
    assert Condition(Expression("1 / zero > 3"))(FLAT) is False
    assert Constraint(Expression("optimizer == 'sgd' or momentum > 0.9"))(FLAT) is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layes > 2", "unknown name 'layes' in 'layes > 2'; did you mean 'layers'?"),
        (
            "model.widht > 2",
            "unknown name 'model.widht' in 'model.widht > 2'; did you mean 'model.width'?",
        ),
        ("optimizer * 2 > 1", "in 'optimizer * 2 > 1', 'optimizer' is a word; expected a number"),
        ("layers and bias", "in 'layers and bias', 'layers' is a number; expected true or false"),
        ("optimizer > 'a'", "in 'optimizer > 'a'', 'optimizer' is a word; expected a number"),
        (
            "optimizer == 3",
            "in 'optimizer == 3', 'optimizer' is a word and '3' a number; they are never equal",
        ),
        (
            "bias == 1",
            "in 'bias == 1', 'bias' is true or false and '1' a number; they are never equal",
        ),
        (
            "optimizer == 'sdg'",
            "'optimizer' is never 'sdg'; it is one of sgd, adam; did you mean 'sgd'?",
        ),
        (
            "'sdg' == optimizer",
            "'optimizer' is never 'sdg'; it is one of sgd, adam; did you mean 'sgd'?",
        ),
        ("layers in [1, 9]", "'layers' is never 9; it is between 1 and 4"),
        ("decay == 3", "'decay' is never 3; it is between 1e-06 and 0.01"),
    ],
)
def test_what_makes_no_sense_in_a_space(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        check(Expression(text), KNOWN, PARAMS)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("decay == 'auto' or decay < 0.001", "truth"),
        ("decay == 0", "truth"),
        ("4 * model.width", "number"),
        ("optimizer", "word"),
        ("lr == 1", "truth"),
        ("layers == 2.0", "truth"),
    ],
)
def test_what_makes_sense(text: str, found: str) -> None:
    assert check(Expression(text), KNOWN, PARAMS) == {found}


def test_an_expression_is_pickled_and_compared_by_its_text() -> None:
    one = Condition(Expression("layers >= 2"))
    assert one(FLAT)
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert again(FLAT)


TOKENS = [
    *FLAT,
    "momentum",
    "1",
    "0",
    "2.5",
    "1e308",
    "'a'",
    "(",
    ")",
    "[",
    "]",
    "+",
    "-",
    "*",
    "/",
    "**",
    "//",
    "%",
    "<",
    "==",
    "!=",
    "in",
    "not",
    "and",
]
TOKENS += [
    "or",
    ",",
    "min",
    "max",
    "abs",
    ".",
    "lambda",
    "is",
    "if",
    "else",
    "'",
    "\\",
    "\n",
    ":=",
    "*",
    "9999999",
]


@given(
    st.one_of(st.text(max_size=60), st.lists(st.sampled_from(TOKENS), max_size=12).map(" ".join))
)
@example("9**9**9**9**9**9")
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    try:
        expression = Expression(text)
    except ExpressionError:
        return
    try:
        assert isinstance(expression.value(FLAT), bool | int | float | str)
    except (Absent, Undefined):
        assert Condition(expression)(FLAT) is False
