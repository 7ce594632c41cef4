"""Takes the options of a parser of argparse, or of a library that builds on argparse or copies it.

That is argparse itself, simple-parsing, HfArgumentParser, Tap and ConfigArgParse, which all come to
`ArgumentParser.parse_known_args`; tyro, which has a copy of argparse; and jsonargparse with
LightningCLI, which has a parser of its own with the same kind of actions.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

from raysweep.search_spaces.drafting.hook.answer import finish, plain, text, write
from raysweep.search_spaces.drafting.hook.commands import chosen

_LISTS = re.compile(r"(typing\.)?(list|tuple|dict|List|Tuple|Dict|Sequence)\b")
_SHOWN_DEFAULT = re.compile(r"\(default: (.*?)\)\s*$")
_IGNORED = ("_HelpAction", "_VersionAction", "ActionConfigFile", "_ActionPrintConfig")
_IGNORED_PARTS = ("HelpClassPath", "ConfigLoad", "ActionFail")
_LAST = ("parse_args", "parse_args_into_dataclasses", "parse_intermixed_args")
"""What a program calls for the last time, in the libraries' own code."""
_LIBRARIES = tuple(sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib"))
_KINDS = {
    "int": "int",
    "float": "float",
    "str": "text",
    "bool": "bool",
    "INT": "int",
    "FLOAT": "float",
    "STR": "text",
    "{True,False}": "bool",
    "{true,false}": "bool",
}
"""Kinds of values by what a parser calls them: a function, a type, or a placeholder in its help."""


def patch_argparse() -> None:
    """Answer when the standard library's parser is asked to parse."""
    argparse.ArgumentParser.parse_known_args = _watched(  # type: ignore[method-assign]
        argparse.ArgumentParser.parse_known_args, "argparse"
    )


def patch_copy(module: ModuleType) -> None:
    """The same for tyro's copy of argparse."""
    kind = module.ArgumentParser
    kind.parse_known_args = _watched(kind.parse_known_args, "tyro")


def patch_jsonargparse(module: ModuleType) -> None:
    """The same for the parser of jsonargparse."""

    def parse_args(self: Any, args: Any = None, *_: Any, **__: Any) -> Any:
        finish(describe(self, _words(args)) | {"library": "jsonargparse"})

    module.ArgumentParser.parse_args = parse_args


def _watched(original: Callable[..., Any], library: str) -> Callable[..., Any]:
    """`parse_known_args`, which answers first, and goes on only if a second parser follows.

    A program may first read the name of a configuration file with a small parser, then everything
    with another.
    """

    def parse_known_args(self: Any, args: Any = None, *rest: Any, **named: Any) -> Any:
        answer = describe(self, _words(args)) | {"library": library}
        if _is_last():
            finish(answer)
        write(answer)
        return original(self, args, *rest, **named)

    return parse_known_args


def _is_last() -> bool:
    """True unless the function of the program that called the parser calls `parse_args` later.

    What a library calls `parse_known_args` for is not seen here: it gives everything to it.
    """
    frame = sys._getframe(2)
    while frame.f_back is not None and _is_library(frame.f_code.co_filename):
        if frame.f_code.co_name in _LAST:
            return True
        frame = frame.f_back
    return "parse_args" not in frame.f_code.co_names


def _is_library(file: str) -> bool:
    return any(file.startswith(folder) for folder in _LIBRARIES)


def _words(args: Any) -> list[str]:
    """The words that are parsed: those that are given, or those of the command line."""
    if args is None:
        return sys.argv[1:]
    return [str(word) for word in args]


def describe(parser: Any, words: list[str]) -> dict[str, Any]:
    """The options of a parser, or of the command among its words."""
    path: list[str] = []
    while True:
        commands = _commands(parser)
        if not commands:
            return {"command": path, "commands": [], "options": list(_options(parser))}
        word = chosen(list(commands), words)
        if word is None:
            return {"command": path, "commands": list(commands), "options": []}
        path.append(word)
        if word in words:
            words = words[words.index(word) + 1 :]
        parser = commands[word]


def _commands(parser: Any) -> dict[str, Any]:
    """The parsers of a parser's commands, such as `fit` and `test`."""
    for action in parser._actions:
        name = type(action).__name__
        if ("SubParsers" in name or "SubCommands" in name) and isinstance(action.choices, dict):
            return {str(key): value for key, value in action.choices.items()}
    return {}


def _options(parser: Any) -> Iterator[dict[str, Any]]:
    groups = {
        id(action): text(group.title)
        for group in parser._action_groups
        for action in group._group_actions
    }
    for action in parser._actions:
        name = type(action).__name__
        if name not in _IGNORED and not any(part in name for part in _IGNORED_PARTS):
            yield _option(action) | {"group": groups.get(id(action), "")}


def _option(action: Any) -> dict[str, Any]:
    default = _default(action)
    kind, choices = _kind(action, default), _choices(action)
    form, negative = _form(action, default)
    return {
        "names": [name for name in action.option_strings if name not in negative],
        "negative": negative,
        "dest": str(action.dest),
        "form": form,
        "kind": "bool" if form != "value" else kind,
        "function": getattr(action.type, "__name__", ""),
        "default": default,
        "choices": choices,
        "required": _is_required(action),
        "many": action.nargs not in (None, "?", 0, 1) or kind == "list",
        "help": text(action.help),
    }


def _is_required(action: Any) -> bool:
    if action.option_strings:
        return bool(action.required)
    return action.nargs not in ("?", "*", 0) and action.default is None


def _form(action: Any, default: Any) -> tuple[str, list[str]]:
    """How a boolean is written: `--name`, `--name` and `--no-name`, or with a value.

    With it come the option strings that say no.
    """
    name = type(action).__name__
    if "BooleanOptional" in name:
        negative = [
            option
            for option in action.option_strings
            if option.startswith("--no") and len(option) > min(map(len, action.option_strings))
        ]
        # simple-parsing takes a value there, too, and its negative form has no dash.
        if action.nargs == "?":
            return "value", negative
        return "both", negative
    if action.nargs == 0 and isinstance(action.const, bool):
        return "flag", []
    return "value", []


def _default(action: Any) -> Any:
    """The default; for tyro, which keeps it elsewhere, the text that the help shows."""
    if action.default == argparse.SUPPRESS or "MISSING" in repr(action.default):
        found = _SHOWN_DEFAULT.search(action.help or "")
        if found:
            return _literal(found[1])
        return None
    if type(action).__name__ == "_StoreFalseAction":
        return False  # of the flag itself: it is not given
    return plain(action.default)


def _literal(shown: str) -> Any:
    try:
        return plain(ast.literal_eval(shown))
    except (ValueError, SyntaxError):
        return shown


def _kind(action: Any, default: Any) -> str:
    """The kind of an option's value: float, int, text, bool, list or other."""
    hint = getattr(action, "_typehint", None)
    for told in (action.type, hint, action.metavar):
        name = _type_name(told)
        if _LISTS.match(name) or isinstance(default, list):
            return "list"
        for part in re.findall(r"\{True,False\}|\{true,false\}|\w+", name)[:4]:
            if part in _KINDS:
                return _KINDS[part]
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "text")):
        if isinstance(default, kind):
            return name
    if action.type is None and hint is None:
        return "text"
    return "other"


def _type_name(told: Any) -> str:
    """What a type is called: `int`, `typing.Optional[int]`, or the placeholder in the help."""
    if isinstance(told, str):
        return told
    if isinstance(told, type | FunctionType):
        return told.__name__
    return str(told)


def _choices(action: Any) -> list[Any]:
    """The choices of an option; those of a `Literal` or an enumeration for jsonargparse."""
    hint: Any = getattr(action, "_typehint", None)
    if str(hint).startswith("typing.Literal"):
        return [plain(value) for value in hint.__args__]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [member.name for member in hint]
    return [plain(choice) for choice in action.choices or []]
