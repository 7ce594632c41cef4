"""Takes the options of a command of click, or of typer, which has a copy of click since 0.29."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from raysweep.search_spaces.drafting.hook.answer import finish, plain, text
from raysweep.search_spaces.drafting.hook.commands import chosen

_COMMANDS = ("BaseCommand", "Command", "Group", "TyperCommand", "TyperGroup")
_KINDS = {"float": "float", "integer": "int", "int": "int", "boolean": "bool", "bool": "bool"}
_IGNORED = ("help", "version", "install_completion", "show_completion")


def patch(module: ModuleType) -> None:
    """Answer when a command of this module is called."""

    def main(self: Any, args: Any = None, *_: Any, **__: Any) -> Any:
        if args is None:
            words = sys.argv[1:]
        else:
            words = [str(word) for word in args]
        finish(describe(self, words) | {"library": "click"})

    for name in _COMMANDS:
        if hasattr(module, name):
            getattr(module, name).main = main


def describe(command: Any, words: list[str]) -> dict[str, Any]:
    """The options of a command, or of the command inside of its group that the words name."""
    path: list[str] = []
    while getattr(command, "commands", None):
        word = chosen(list(command.commands), words)
        if word is None:
            return {"command": path, "commands": list(command.commands), "options": []}
        path.append(word)
        command = command.commands[word]
    return {"command": path, "commands": [], "options": list(_options(command))}


def _options(command: Any) -> Iterator[dict[str, Any]]:
    for parameter in command.params:
        if parameter.name not in _IGNORED:
            yield _option(parameter)


def _option(parameter: Any) -> dict[str, Any]:
    is_option = parameter.param_type_name == "option"
    form = "value"
    if getattr(parameter, "is_flag", False):
        form = "flag"
        if parameter.secondary_opts:
            form = "both"
    kind, choices = _kind(parameter)
    own = getattr(parameter, "type", parameter)
    return {
        "names": list(parameter.opts) if is_option else [],
        "negative": list(parameter.secondary_opts),
        "dest": parameter.name,
        "form": form,
        "kind": "bool" if form != "value" else kind,
        "function": "",
        "default": _default(parameter, form),
        "choices": choices,
        "low": plain(getattr(own, "min", None)),
        "high": plain(getattr(own, "max", None)),
        "required": bool(parameter.required),
        "many": bool(parameter.multiple) or parameter.nargs != 1,
        "help": text(getattr(parameter, "help", "")),
        "group": "",
    }


def _default(parameter: Any, form: str) -> Any:
    value = parameter.default
    if form == "flag" and not isinstance(value, bool):
        return False  # a flag without a default is not set
    if callable(value):
        return None
    return plain(value)


def _kind(parameter: Any) -> tuple[str, list[Any]]:
    """The kind of the values, and the choices among them."""
    descriptor = getattr(parameter, "type_descriptor", None)  # typer's own
    if descriptor is not None:
        annotation = descriptor.annotation
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return "text", [plain(member) for member in annotation]
        literals = getattr(annotation, "__args__", ())
        if "Literal" in str(annotation):
            return "text", [plain(value) for value in literals]
        return _KINDS.get(getattr(annotation, "__name__", ""), "text"), []
    own = parameter.type
    choices = [plain(getattr(choice, "value", choice)) for choice in getattr(own, "choices", ())]
    return _KINDS.get(str(own.name).split()[0], "text"), choices
