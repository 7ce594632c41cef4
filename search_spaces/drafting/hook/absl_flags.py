"""Takes the flags of absl that the program itself defines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from raysweep.search_spaces.drafting.hook.answer import finish, plain, text

_KINDS = {"float": "float", "int": "int", "bool": "bool", "string": "text", "enum": "text"}
_OWN = ("absl", "pyglib")
"""First parts of the names of the modules whose flags every program with absl has."""


def patch(module: ModuleType) -> None:
    """Answer when `app.run` is called."""

    def run(*_: Any, **__: Any) -> None:
        flags = sys.modules["absl.flags"].FLAGS
        options = list(_options(flags))
        finish({"library": "absl", "command": [], "commands": [], "options": options})

    module.run = run  # type: ignore[attr-defined]


def _options(flags: Any) -> Iterator[dict[str, Any]]:
    for module, found in flags.flags_by_module_dict().items():
        if module.split(".")[0] in _OWN:
            continue
        for flag in found:
            kind = _KINDS.get(flag.flag_type().split()[-1], "list")
            yield {
                "names": [f"--{flag.name}"],
                "negative": [],
                "dest": flag.name,
                "form": "value",
                "kind": kind,
                "function": "",
                "default": plain(flag.default),
                "choices": [
                    plain(value) for value in getattr(flag.parser, "enum_values", None) or []
                ],
                "low": plain(getattr(flag.parser, "lower_bound", None)),
                "high": plain(getattr(flag.parser, "upper_bound", None)),
                "required": bool(getattr(flag, "required", False)),
                "many": kind == "list",
                "help": text(flag.help),
                "group": "",
            }
