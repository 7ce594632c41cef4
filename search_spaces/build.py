"""From the models of a specification to the space that is drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.document import Document
from search_spaces.params import Choice, Float, Int, Ordinal, Param
from search_spaces.space import Space
from search_spaces.spec import ChoiceSpec, FloatSpec, IntSpec, OrdinalSpec


def space(entries: Mapping[str, Any], document: Document) -> Space:
    """The space of a file's `space:` section. Raises SpecificationError where names are in each other's way."""
    check_names(entries, document)
    params = {name: param(entry) for name, entry in entries.items() if not is_constant(entry)}
    constants = {name: entry for name, entry in entries.items() if is_constant(entry)}
    return Space(params=params, constants=constants)


def is_constant(entry: Any) -> bool:
    return isinstance(entry, bool | int | float | str)


def param(entry: FloatSpec | IntSpec | OrdinalSpec | ChoiceSpec) -> Param:
    if isinstance(entry, FloatSpec):
        return Float(*entry.bounds, log=entry.log, step=entry.step, points=entry.points)
    if isinstance(entry, IntSpec):
        return Int(*entry.bounds, log=entry.log, step=entry.step, points=entry.points)
    if isinstance(entry, OrdinalSpec):
        return Ordinal(tuple(entry.values), points=entry.points)
    return Choice(tuple(entry.values))


def check_names(entries: Mapping[str, Any], document: Document) -> None:
    """Dotted names nest, so `model` cannot have a value of its own beside `model.width`."""
    for name in entries:
        parts = name.split(".")
        if "" in parts:
            raise document.error(("space", name), f"space.{name}: a name must not be empty, nor begin or end with a dot")
        for length in range(1, len(parts)):
            parent = ".".join(parts[:length])
            if parent in entries:
                raise document.error(("space", name), f"space.{name}: '{parent}' has a value of its own, so nothing can lie inside it")
