"""How a configuration reaches a script: real parsers read back what a command line says."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import click
import pytest
import tyro
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.values import text as written

NUMBERS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
ODD = ["", " ", "a b", "é", "日本", "it's", 'say "x"', "$HOME", "a,b", "x=y", "--x", "-1e-05", "*"]
TEXT = st.sampled_from(ODD) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8
)
PLAIN = st.text("abz é'\"$", min_size=1, max_size=4)
"""Text without a comma or a dash, for the elements of lists."""
READ: dict[str, Callable[[str], Any]] = {"json": json.loads, "python": ast.literal_eval}


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """A configuration with a value of each type; the text and the lists may be null."""
    return {
        "lr": draw(NUMBERS),
        "outer": {"inner": {"on": draw(st.booleans())}},
        "nesterov": draw(st.booleans()),
        "name": draw(st.none() | TEXT),
        "layers": draw(st.none() | st.lists(NUMBERS, max_size=3)),
        "words": draw(st.lists(PLAIN, max_size=3)),
    }


def as_element(text: str) -> Any:
    return json.loads(text)


def argparse_reader(how: CommandLine) -> argparse.ArgumentParser:
    """A parser as a script that is called so would have."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    read = READ[how.values]
    parser.add_argument("--lr", type=read)
    parser.add_argument("--name")
    for name in ("--nesterov", "--outer.inner.on"):
        if how.negated_flags is True:
            parser.add_argument(name, action="store_true")
            outer, dot, last = name.removeprefix("--").rpartition(".")
            parser.add_argument(
                f"--{outer}{dot}no-{last}", dest=name.removeprefix("--"), action="store_false"
            )
        elif how.flags is True:
            parser.add_argument(name, action="store_true")
        else:
            parser.add_argument(name, type=read)
    for name, element in (("--layers", as_element), ("--words", str)):
        if how.lists == "words":
            parser.add_argument(name, type=element, nargs="*")
        elif how.lists == "repeat":
            parser.add_argument(name, type=element, action="append")
        elif how.lists == "commas":
            parser.add_argument(name, type=comma_separated(element))
        else:
            parser.add_argument(name, type=read)
    return parser


def comma_separated(element: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    return lambda text: [element(part) for part in text.split(",")] if text else []


def flat(config: dict[str, Any]) -> dict[str, Any]:
    return config | {"outer.inner.on": config["outer"]["inner"]["on"]}


@pytest.mark.parametrize("options", ["--name=value", "--name value"])
@settings(max_examples=200, deadline=None)
@given(
    config=configurations(),
    values=st.sampled_from(["json", "python"]),
    lists=st.sampled_from(["value", "words", "commas", "repeat"]),
    flags=st.sampled_from([{}, {"flags": True}, {"negated_flags": True}]),
)
def test_argparse_reads_the_configuration_back(
    options: Any, values: Any, lists: Any, flags: dict[str, Any], config: dict[str, Any]
) -> None:
    how = CommandLine(options=options, values=values, lists=lists, **flags)
    if options == "--name value":
        # argparse takes any second word that begins with a dash for an option, but for a number.
        assume(not (config["name"] or "").startswith("-"))
        assume(lists != "commas" or not str(config["layers"]).startswith("[-"))
    said = vars(argparse_reader(how).parse_args(how.words(config)))
    wanted = flat(config)
    for name in ("lr", "nesterov", "outer.inner.on", "name"):
        assert said[name] == wanted[name], name
        assert type(said[name]) is type(wanted[name])
    for name in ("layers", "words"):
        # Without an element there is no word to repeat, so that an empty list is left out.
        if lists == "repeat":
            assert (said[name] or []) == (wanted[name] or []), name
        else:
            assert said[name] == wanted[name], name


@settings(max_examples=100, deadline=None)
@given(config=configurations())
def test_click_reads_the_configuration_back(config: dict[str, Any]) -> None:
    seen: dict[str, Any] = {}

    @click.command()
    @click.option("--learning-rate", type=float)
    @click.option("--nesterov/--no-nesterov", default=None)
    @click.option("--name")
    @click.option("--layer", type=float, multiple=True)
    @click.option("--on", is_flag=True)
    def main(**options: Any) -> None:
        seen.update(options)

    how = CommandLine(
        lists="repeat",
        negated_flags=["nesterov"],
        flags=["outer.inner.on"],
        names={
            "lr": "learning-rate",
            "layers": "layer",
            "outer.inner.on": "on",
            "words": None,
        },
    )
    main.main(how.words(config), standalone_mode=False)
    assert seen == {
        "learning_rate": float(config["lr"]),
        "nesterov": config["nesterov"],
        "name": config["name"],
        "layer": tuple(float(layer) for layer in config["layers"] or ()),
        "on": config["outer"]["inner"]["on"],
    }


@dataclasses.dataclass
class Inner:
    on: bool = True


@dataclasses.dataclass
class Outer:
    inner: Inner


@dataclasses.dataclass
class Options:
    """What a script on tyro declares."""

    lr: float
    outer: Outer
    nesterov: bool = False
    name: str | None = None
    layers: list[float] | None = None
    words: list[str] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize("options", ["--name=value", "--name value"])
@settings(max_examples=25, deadline=None)
@given(config=configurations())
def test_tyro_reads_the_configuration_back(options: Any, config: dict[str, Any]) -> None:
    assume(config["layers"] != [])  # tyro wants an element
    if options == "--name value":
        assume(not (config["name"] or "").startswith("-"))
    assume(config["name"] != "None")
    how = CommandLine(options=options, lists="words", negated_flags=True)
    said = tyro.cli(Options, args=how.words(config))
    assert dataclasses.asdict(said) == config


@settings(max_examples=300, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXT | st.text("ab'\"\\,=:[]{}() 1e-._/~!@#%^&*+|"),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    )
)
def test_hydra_reads_a_value_back(value: Any) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = CommandLine(options="name=value", values="hydra").words({"a": {"b": value}})
    override = OverridesParser.create().parse_override(words[0])
    assert override.key_or_group == "a.b"
    assert repr(without_quotes(override.value())) == repr(value)


def without_quotes(value: Any) -> Any:
    """A value of Hydra's, with quoted text as text."""
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, QuotedString):
        return value.text
    return [without_quotes(part) for part in value] if isinstance(value, list) else value


def test_hydra_gets_plain_text_without_quotes() -> None:
    assert [written(value, "hydra") for value in ("adam", "a/b.c", "", "true", "1e-3", "a b")] == [
        "adam",
        "a/b.c",
        "''",
        "'true'",
        "'1e-3'",
        "'a b'",
    ]
    assert written([{"kind": "x y"}], "hydra") == "[{kind:'x y'}]"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"after": ("trainer=cpu",), "arguments": ("fit",)}, ["fit", "--lr=-1e-05", "trainer=cpu"]),
        ({"arguments": ("{lr}", "{{lr}}", "${lr}", '{"a": {"b": 1}}')}, [
            "-1e-05", "{lr}", "${lr}", '{"a": {"b": 1}}', "--lr=-1e-05",
        ]),
        ({"options": "--name value"}, ["--lr", "-0.00001"]),
        ({"options": "none", "arguments": ("--lr", "{lr}")}, ["--lr", "-1e-05"]),
        ({"names": {"lr": "+lr"}, "options": "name=value"}, ["+lr=-1e-05"]),
        ({"lengths": {"epochs": 9}, "after": ("-n{epochs}",)}, ["--lr=-1e-05", "-n9"]),
    ],
)  # fmt: skip
def test_fixed_words_and_placeholders(said: dict[str, Any], words: list[str]) -> None:
    assert CommandLine(**said).words({"lr": -1e-5}) == words


def test_a_kind_of_flag_that_names_the_parameter_counts_first() -> None:
    config = {"a": False, "b": False, "c": {"d": False}, "e": 0}
    some = CommandLine(flags=True, negated_flags=["b", "c.d"])
    assert some.words(config) == ["--no-b", "--c.no-d", "--e=0"]
    others = CommandLine(negated_flags=True, flags=["b"])
    assert others.words(config) == ["--no-a", "--c.no-d", "--e=0"]
    assert CommandLine(flags=["a"]).words(config) == ["--b=false", "--c.d=false", "--e=0"]
