"""Keys that a tool takes in two spellings: `max_trial_count` and `maxTrialCount`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raysweep.search_spaces.file.document import Document, Path


def camel(key: str) -> str:
    """`max_trial_count` as `maxTrialCount`."""
    first, *others = key.split("_")
    if not first or not others:
        return key
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def in_camel_case(document: Document, kept: frozenset[str] = frozenset()) -> Document:
    """The file with its keys in camel case, but for what lies in the mappings named `kept`.

    Raises SpecificationError if two keys become the same.
    """
    places = {_renamed(path, kept): place for path, place in document.places.items()}
    return replace(document, data=_data(document, (), document.data, kept), places=places)


def _renamed(path: Path, kept: frozenset[str]) -> Path:
    renamed: list[str | int] = []
    for i, key in enumerate(path):
        if i and renamed[-1] in kept:
            return (*renamed, *path[i:])
        renamed.append(camel(key) if isinstance(key, str) else key)
    return tuple(renamed)


def _data(document: Document, path: Path, data: Any, kept: frozenset[str]) -> Any:
    if isinstance(data, list):
        return [_data(document, (*path, i), one, kept) for i, one in enumerate(data)]
    if not isinstance(data, dict):
        return data
    renamed: dict[str, Any] = {}
    for key, value in data.items():
        name = camel(key)
        if name in renamed:
            raise document.error((*path, key), f"{key}: '{name}' says the same")
        inner = value if name in kept else _data(document, (*path, key), value, kept)
        renamed[name] = inner
    return renamed
