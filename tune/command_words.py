"""A person's command in words, as it would be typed: `set space.lr=1e-4..1e-2`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raysweep.formatting import number, plural
from raysweep.results.storage.inbox import Command
from raysweep.text_limits import shorten, visible

MOST_CHARACTERS = 200
"""The longest command that is shown whole: about two lines of a terminal."""
DIGITS = 6
"""The significant digits of a value."""


def in_words(command: Command) -> str:
    """The command with its arguments, on a line of at most `MOST_CHARACTERS` characters."""
    arguments = dict(command.arguments)
    words = [command.command]
    if "trial" in arguments:
        words.append(str(arguments.pop("trial")))
    for name, value in arguments.items():
        words += _argument(name, value)
    return shorten(" ".join(visible(" ".join(words)).split()), MOST_CHARACTERS)


def _argument(name: str, value: Any) -> Iterator[str]:
    """The words of an argument. Whatever a file in the inbox holds has some."""
    if name == "configurations" and isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], Mapping):
            yield from _values(value[0])
        else:
            yield plural(len(value), "configuration")
    elif name in ("config", "space") and isinstance(value, Mapping):
        yield from _values(value, {"space": "space."}.get(name, ""))
    elif isinstance(value, bool):
        if value:
            yield f"--{name}"
    elif name == "text":
        yield f"'{value}'"
    elif name == "tags" and isinstance(value, list):
        yield from map(str, value)
    elif name == "withdrawn":
        yield str(value)
    elif name == "study":
        yield f"--study {value}"
    else:
        yield f"{name}={_value(value)}"


def _values(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{prefix}{name}={_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_value, value))
    if isinstance(value, float):
        return number(value, DIGITS)
    return str(value)
