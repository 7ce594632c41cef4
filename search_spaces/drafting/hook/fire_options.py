"""Takes the options of a function or a class that Fire makes a command line of."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from raysweep.search_spaces.drafting.hook.answer import finish, plain
from raysweep.search_spaces.drafting.hook.commands import chosen


def patch(module: ModuleType) -> None:
    """Answer when Fire is called."""

    def fire(component: Any = None, *_: Any, **__: Any) -> Any:
        if component is None:
            component = _functions(sys.modules["__main__"])
        finish(describe(component, sys.argv[1:]) | {"library": "fire"})

    module.Fire = fire  # type: ignore[attr-defined]


def describe(component: Any, words: list[str]) -> dict[str, Any]:
    """The options of a function, or of the command that the words name."""
    path: list[str] = []
    while not inspect.isroutine(component):
        commands = _commands(component)
        word = chosen(list(commands), words)
        if word is None and inspect.isclass(component) and not commands:
            break  # the class itself, whose options are those of its constructor
        if word is None:
            return {"command": path, "commands": list(commands), "options": []}
        path.append(word)
        component = commands[word]
    return {"command": path, "commands": [], "options": list(_options(component))}


def _commands(component: Any) -> dict[str, Any]:
    if isinstance(component, dict):
        return {str(name): value for name, value in component.items() if callable(value)}
    members = inspect.getmembers(component, inspect.isroutine)
    return {name: member for name, member in members if not name.startswith("_")}


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions that a module defines itself."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }


def _options(function: Any) -> Iterator[dict[str, Any]]:
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = None
        if parameter.default is not parameter.empty:
            default = plain(parameter.default)
        yield {
            "names": [f"--{name}"],
            "negative": [],
            "dest": name,
            "form": "value",
            "kind": _kind(parameter.annotation, default),
            "function": "",
            "default": default,
            "choices": [],
            "required": parameter.default is parameter.empty,
            "many": isinstance(default, list),
            "help": "",
            "group": "",
        }


def _kind(annotation: Any, default: Any) -> str:
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "text")):
        if annotation is kind or annotation == kind.__name__ or isinstance(default, kind):
            return name
    if isinstance(default, list):
        return "list"
    return "other"
