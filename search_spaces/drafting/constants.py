"""Programs whose configuration is written in their source.

A program that executes a configurator (it runs the text of `configurator.py`) takes its constants
as options. One with a dataclass, a dict or constants of defaults and no parser takes nothing: what
could be tuned is written down with the lines that the program needs for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from raysweep.search_spaces.drafting.interface import Form, Interface, Kind, Option
from raysweep.search_spaces.drafting.literals import assignments, called, calls, literal
from raysweep.search_spaces.drafting.nested import kind_of
from raysweep.search_spaces.drafting.parsers import given
from raysweep.search_spaces.drafting.program import Program

_DEFAULTS = ("config", "cfg", "args", "params", "hparams", "hyperparams", "hyperparameters", "opts")
"""What a dict of defaults is called, and a dataclass of them ends in."""
_KINDS: dict[str, Kind] = {"int": "int", "float": "float", "bool": "bool", "str": "text"}
TOLD = "RAYSWEEP_CONFIG"
"""The variable with the configuration of a trial."""
_ENVIRONMENT = f'os.environ.get("{TOLD}", "{{}}")'
FEWEST = 2
"""Numbers that a set of defaults has at least; a single one may be anything."""


def read_configurator(program: Program, words: list[str]) -> Interface | None:
    """The interface of a program that executes a configurator after its constants."""
    for call in calls(program.main.tree, "exec"):
        inside = [node for node in ast.walk(call) if isinstance(node, ast.Constant)]
        if any(isinstance(node.value, str) and node.value.endswith(".py") for node in inside):
            line = call.lineno
            options = tuple(
                replace(option, help=_comment(program.main.text, place))
                for option, place in _constants(program.main.tree)
                if place < line and option.kind != "list"
            )
            values, notes = _of_files(program, words)
            options = tuple(
                replace(one, default=values.get(one.name, one.default)) for one in options
            )
            return Interface(
                library="configurator",
                options=options,
                values="python",
                words=tuple(words),
                given=given(options, words),
                notes=tuple(notes),
            )
    return None


def _of_files(program: Program, words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The constants that the files among the words set, and notes on what is not known of them."""
    values: dict[str, Any] = {}
    notes = []
    for word in words:
        if "=" in word or word.startswith("-"):
            continue
        try:
            tree = ast.parse((program.folder / word).read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError, RecursionError):
            notes.append(f"what {word} sets is not known: the defaults are those of the program")
            continue
        for name, node, _ in assignments(tree.body):
            value = literal(node)
            if value is None:
                values.pop(name, None)
                notes.append(f"{word} computes {name}, which is not known here")
            else:
                values[name] = value
    return values, notes


def read_defaults(program: Program) -> Interface | None:
    """What a program without options has as defaults: a dataclass, a dict, or constants."""
    candidates = [
        *_dataclasses(program.main.tree),
        *_dicts(program.main.tree),
        _upper_case(program.main.tree),
    ]
    for options, advice in candidates:
        if sum(option.kind in ("int", "float") for option in options) >= FEWEST:
            is_told = TOLD in program.main.text  # the line was added
            return Interface(
                library="defaults",
                options=tuple(options),
                style="none",
                unread="" if is_told else f"the program takes no options. To let it, {advice}",
            )
    return None


def read_dataclasses(program: Program, words: list[str]) -> Interface | None:
    """The interface of a program that makes options of a dataclass, off its source.

    That is tyro, whose options have dashes and whose booleans have a `--no-` form, or the
    HfArgumentParser and simple-parsing, which keep the names and take a value for a boolean.
    """
    for source in program.sources:
        nodes = [node for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
        classes = {node.name: node for node in nodes}
        for call in calls(source.tree, "cli", "HfArgumentParser", "add_arguments"):
            names = [node.id for node in ast.walk(call) if isinstance(node, ast.Name)]
            fields = [one for name in names if name in classes for one in fields_of(classes[name])]
            if not fields:
                continue
            is_tyro = called(call) == "cli"
            options = tuple(_as_tyro(one) if is_tyro else one for one in fields)
            return Interface(
                library="tyro" if is_tyro else "argparse",
                options=options,
                words=tuple(words),
                given=given(options, words),
            )
    return None


def _as_tyro(option: Option) -> Option:
    name = option.name.replace("_", "-")
    form: Form = "both" if option.kind == "bool" else "value"
    return replace(option, name=name, label=f"--{name}", form=form)


def _comment(text: str, line: int) -> str:
    """The comment at the end of a line, which says what a constant is."""
    return text.splitlines()[line - 1].partition(" #")[2].strip()


def _constants(tree: ast.Module) -> Iterator[tuple[Option, int]]:
    """The module's constants with the lines that set them."""
    for name, node, line in assignments(tree.body):
        value = literal(node)
        if value is not None and not name.startswith("_"):
            yield _option(name, value), line


def _option(name: str, value: Any) -> Option:
    many = isinstance(value, list | dict)
    return Option(name, kind_of(value), value, many=many, label=name, is_typed=False)


def _upper_case(tree: ast.Module) -> tuple[list[Option], str]:
    found = [(option, line) for option, line in _constants(tree) if option.name.isupper()]
    last = max((line for _, line in found), default=1)
    advice = f"add below line {last}: import json, os; globals().update(json.loads({_ENVIRONMENT}))"
    return [option for option, _ in found], advice


def _dicts(tree: ast.Module) -> Iterator[tuple[list[Option], str]]:
    """Dicts of defaults, such as `config = {"lr": 1e-3}` or `config = dict(lr=1e-3)`."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for name, value, line in assignments(body if isinstance(body, list) else []):
            if name.lower().rstrip("_") not in _DEFAULTS and not name.lower().endswith("config"):
                continue
            options = [_option(key, found) for key, found in _entries(value)]
            yield (
                options,
                f"add below line {line}: import json, os; "
                f"{name}.update(json.loads({_ENVIRONMENT}))",
            )


def _entries(node: ast.expr) -> Iterator[tuple[str, Any]]:
    pairs: list[tuple[Any, ast.expr]] = []
    if isinstance(node, ast.Dict):
        keys = [literal(key) for key in node.keys]
        pairs = list(zip(keys, node.values, strict=True))
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("dict", "SimpleNamespace"):
        pairs = [(argument.arg, argument.value) for argument in node.keywords]
    for key, value in pairs:
        found = literal(value)
        if isinstance(key, str) and found is not None:
            yield key, found


def _dataclasses(tree: ast.Module) -> Iterator[tuple[list[Option], str]]:
    """Classes of defaults: dataclasses, and plain classes with a telling name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        marks = {getattr(mark, "id", getattr(mark, "attr", "")) for mark in _bare(node)}
        is_named = any(node.name.lower().endswith(word) for word in _DEFAULTS)
        if "dataclass" in marks or is_named:
            yield (
                fields_of(node),
                f"make the {node.name} with what the trial is given: import json, os; "
                f"{node.name}(**json.loads({_ENVIRONMENT}))",
            )


def fields_of(node: ast.ClassDef) -> list[Option]:
    """The fields of a class with their defaults; the kind of a field is that of its annotation."""
    kinds = {
        statement.target.id: ast.unparse(statement.annotation)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    }
    fields = []
    for name, value, _ in assignments(node.body):
        found = literal(value)
        is_none = isinstance(value, ast.Constant) and value.value is None
        if found is not None or is_none:
            option = _option(name, found)
            kind = _KINDS.get(kinds.get(name, ""))
            fields.append(replace(option, kind=kind or option.kind, is_typed=kind is not None))
    return fields


def _bare(node: ast.ClassDef) -> Iterator[ast.expr]:
    """The decorators of a class, without their arguments."""
    for decorator in node.decorator_list:
        yield decorator.func if isinstance(decorator, ast.Call) else decorator
