"""Placeholders in texts: `{folder}`, `{lr}`, `{env:HOME}`.

What is in braces is a placeholder if it is a name. All other braces stay as they are, so that JSON
and Hydra's mappings can be written without escapes, and so does `${name}`, which is for a shell or
for OmegaConf. `{{name}}` is the text `{name}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

_NAME = r"(?:env:)?[A-Za-z_][\w.-]*"
_PLACEHOLDER = re.compile(rf"\{{\{{(?P<text>{_NAME})\}}\}}|(?P<dollar>\$?)\{{(?P<name>{_NAME})\}}")
LENGTHS = ("epochs", "steps", "samples", "seconds")
"""The keys of a budget that say how long a trial is. Each is a placeholder if the file has it."""
ALWAYS = ("folder", "seed", "device", "trial", "sweep", "port", "config")
"""The placeholders that every script has."""
ENVIRONMENT = "env:"
"""What the name of an environment variable follows."""


def placeholders(text: str) -> Iterator[tuple[str, int]]:
    """The name of each placeholder of a text, and where it begins."""
    for found in _PLACEHOLDER.finditer(text):
        if found["name"] and not found["dollar"]:
            yield found["name"], found.start()


def dollar_names(text: str) -> list[str]:
    """The names in `${name}`, which are no placeholders."""
    return [found["name"] for found in _PLACEHOLDER.finditer(text) if found["dollar"]]


def fill(text: str, value: Callable[[str], str]) -> str:
    """The text with the value of each placeholder. What `value` raises leaves this function."""

    def filled(found: re.Match[str]) -> str:
        if found["text"]:
            return f"{{{found['text']}}}"
        if found["dollar"]:
            return found[0]
        return value(found["name"])

    return _PLACEHOLDER.sub(filled, text)


def fill_some(text: str, values: Mapping[str, str]) -> str:
    """The text with the values of some placeholders; the others stay, and what is escaped, too."""

    def filled(found: re.Match[str]) -> str:
        if found["dollar"] or found["name"] not in values:
            return found[0]
        return values[found["name"]]

    return _PLACEHOLDER.sub(filled, text)


def escaped(text: str) -> str:
    """A text that `fill` leaves as this text is."""
    return _PLACEHOLDER.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    name = found["name"] or found["text"]
    if found["text"]:
        return f"{{{found[0]}}}"
    return f"{found['dollar']}{{{{{name}}}}}"
