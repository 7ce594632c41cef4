"""What `--param NAME=VALUES` means, and what is said about one that means nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from raysweep.search_spaces.drafting.param_words import ParamError, entry_of, name_of
from raysweep.search_spaces.file.param_specs import Entry
from raysweep.search_spaces.language.params import same


@pytest.mark.parametrize(
    ("values", "entry"),
    [
        ("1e-5..1e-1:log", {"float": [1e-5, 0.1], "log": True}),
        ("0.0..0.5", {"float": [0.0, 0.5]}),
        ("0.0..0.5:0.1", {"float": [0.0, 0.5], "step": 0.1}),
        (".1...5", {"float": [0.1, 0.5]}),
        ("-1..-0.5", {"float": [-1.0, -0.5]}),
        ("1e3..1e5:log", {"float": [1e3, 1e5], "log": True}),
        ("2..8", {"int": [2, 8]}),
        ("2 .. 8", {"int": [2, 8]}),
        ("1_000..2_000", {"int": [1000, 2000]}),
        ("16..256:16", {"int": [16, 256], "step": 16}),
        ("16..1024:log", {"int": [16, 1024], "log": True}),
        ("16..1024:16:log", {"int": [16, 1024], "step": 16, "log": True}),
        ("0.5..0.99:reverse", {"float": [0.5, 0.99], "log": "reverse"}),
        ("0,1e-6..1e-2:log", {"float": [1e-6, 1e-2], "log": True, "or": [0]}),
        ("32,64,128", {"ordinal": [32, 64, 128]}),
        ("128,32,64", {"ordinal": [32, 64, 128]}),
        ("1,2,3:choice", {"choice": [1, 2, 3]}),
        ("small,large:ordinal", {"ordinal": ["small", "large"]}),
        ("relu,gelu", {"choice": ["relu", "gelu"]}),
        ("true,false", {"choice": [True, False]}),
        ("null,0.1", {"choice": [None, 0.1]}),
        ('"1","2"', {"choice": ["1", "2"]}),
        ('"a,b",c', {"choice": ["a,b", "c"]}),
        ("[64, 64],[128]", {"choice": [[64, 64], [128]]}),
        ("1", 1),
        ("true", True),
        ("relu", "relu"),
        ("[64, 64]", {"value": [64, 64]}),
        ("../data", "../data"),
        ("../data,../other", {"choice": ["../data", "../other"]}),
        ("/a/b..c", "/a/b..c"),
        ("cuda:0", "cuda:0"),
        ("cuda:0,cuda:1", {"choice": ["cuda:0", "cuda:1"]}),
        ("http://host:8000/x", "http://host:8000/x"),
        ("12:30", "12:30"),
        ('"1..2"', {"value": "1..2"}),
        ('"1e-4-1.0"', {"value": "1e-4-1.0"}),
        ("2024-01", "2024-01"),
        ("{float: [0, 0.9], when: {opt: sgd}}", {"float": [0, 0.9], "when": {"opt": "sgd"}}),
        ("{a: 1}", {"value": {"a": 1}}),
    ],
)
def test_what_values_mean(values: str, entry: Any) -> None:
    assert entry_of(f"x={values}") == entry
    assert type(entry_of(f"x={values}")) is type(entry)
    TypeAdapter(Entry).validate_python(entry)


@pytest.mark.parametrize(
    ("typed", "kind", "entry"),
    [
        ("x=1..5", "float", {"float": [1.0, 5.0]}),
        ("x=0..1", "float", {"float": [0.0, 1.0]}),
        ("x=0..1", "int", {"int": [0, 1]}),
        ("x=1e3..1e5:log", "int", {"int": [1000, 100000], "log": True}),
    ],
)
def test_the_programs_own_kind_decides_over_the_way_of_writing(
    typed: str, kind: str, entry: Any
) -> None:
    assert entry_of(typed, kind) == entry


def test_names_may_nest_and_have_dashes() -> None:
    assert name_of("--learning-rate=1") == "learning-rate"
    assert name_of("model.optimizer.lr=1..2") == "model.optimizer.lr"


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("x", "--param 'x': expected NAME=VALUES, as in lr=1e-5..1e-1:log"),
        ("=3", "--param '=3': expected NAME=VALUES"),
        ("x y=3", "'x y' is no name"),
        ("x=", "there is no value after '='"),
        ("x=1,,2", "a value between commas is missing"),
        ("x=1..", "in '1..' the last value is missing; expected a range such as x=1e-5..1e-1:log"),
        ("x=..5", "in '..5' the first value is missing"),
        ("x=1e-5..le-1", "in '1e-5..le-1' 'le-1' is no number"),
        ("x=5..1", "'5..1' counts down; expected 1..5"),
        ("x=5..5", "'5..5' is one value; expected x=5"),
        (
            "x=0..1",
            "'0..1' may be meant as any number or as 0 and 1; expected x=0.0..1.0, or x=0,1",
        ),
        ("x=1..5:lgo", "':lgo' is not known behind a range"),
        ("x=1..5:lgo", "did you mean 'log'?"),
        ("x=a,b:choise", "did you mean 'choice'?"),
        ("x=a:log", "':log' is for a range; expected two ends"),
        ("x=1,1", "the value 1 stands twice"),
        ("x=1..2,3..4", "'1..2' and '3..4' are two ranges"),
        ("x=[1", "'[1' is no value"),
        ("x={flaot: [0, 1]}", "'flaot' is no kind of parameter; did you mean 'float'?"),
        ("x=0..5:log", "a log range must lie above zero"),
        ("x=0..0.5:0.2", "step 0.2 from 0 misses the upper bound 0.5; 0.4 or 0.6 would do"),
        ("x=0.5..1:reverse", "a reverse log range must lie in 0 to 1, without 1"),
        ("x=1e-4-1.0", "'1e-4-1.0' would be a text; expected x=1e-4..1.0:log, and quotes if the"),
        ("x=2-8", "expected x=2..8, and quotes if the text is meant: x='\"2-8\"'"),
        ("x=0,1e-6-1e-2", "'1e-6-1e-2' would be a text; expected x=0,1e-6..1e-2:log, and"),
        ("x=uniform(0, 1)", "'uniform(0, 1)' would be a text; expected x=0..1.0, and quotes"),
        ("x={float: [0, 1], log: true}", "a log range must lie above zero"),
    ],
)
def test_a_mistake_is_one_line_that_quotes_what_was_typed(typed: str, line: str) -> None:
    with pytest.raises(ParamError) as raised:
        entry_of(typed)
    assert line in str(raised.value)
    assert str(raised.value).startswith(f"--param '{typed}': ")
    assert "\n" not in str(raised.value)


def test_fractions_for_a_whole_number_are_refused() -> None:
    with pytest.raises(ParamError, match=r"'0\.5\.\.2' has fractions"):
        entry_of("x=0.5..2", "int")


@given(
    st.text(alphabet="01.,:-e+[]{}\"'axlog ", max_size=20), st.sampled_from(["", "int", "float"])
)
def test_any_text_is_an_entry_of_the_file_or_one_line(values: str, kind: str) -> None:
    said = ""
    try:
        TypeAdapter(Entry).validate_python(entry_of(f"x={values}", kind))
    except ParamError as error:
        said = str(error)
    assert "\n" not in said


def test_whole_numbers_of_an_option_that_takes_floats_are_floats() -> None:
    assert same(entry_of("wd=0", "float"), 0.0)
    assert same(entry_of("wd=0,1", "float"), {"ordinal": [0.0, 1.0]})
    assert same(entry_of("wd=0,1e-6..1e-2:log", "float")["or"], [0.0])
    assert same(entry_of("depth=2", "int"), 2)
