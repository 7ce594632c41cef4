"""A nested configuration as options with dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raysweep.search_spaces.drafting.interface import Kind, Option

MISSING = "???"
"""What OmegaConf writes for a value that has to be given."""


def options_of(data: Mapping[str, Any], prefix: str = "") -> Iterator[Option]:
    """The scalars and lists of a configuration.

    Left out is what has another value elsewhere (`${...}`) and what names Python objects.
    """
    for key, value in data.items():
        name = f"{prefix}{key}"
        if str(key).startswith("_"):
            continue
        if isinstance(value, Mapping):
            yield from options_of(value, f"{name}.")
        elif not (isinstance(value, str) and "${" in value):
            yield Option(
                name=name,
                kind=kind_of(value),
                default=None if value == MISSING else value,
                required=isinstance(value, str) and value == MISSING,
                many=isinstance(value, list),
                label=name,
                is_typed=False,
            )


def kind_of(value: Any) -> Kind:
    """The kind of a value that a program has as its default."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "list"
    return "other"
