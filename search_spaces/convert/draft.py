"""The translation of a file of another tool, key by key, with the line that each part came from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.search_spaces.file.document import Document, Path, SpecificationError
from raysweep.search_spaces.file.error_messages import shown
from raysweep.search_spaces.file.likely_ranges import likely_range

Handler = Callable[["Draft", Path, Any], None]
"""Takes the value at a path of the foreign file into the draft."""


class Draft:
    """Collects the keys of our format.

    source: the file of another tool. dialect: what messages call its format. folder: where the file
    lies. text: what it says, with its comments.
    """

    def __init__(
        self, source: Document, dialect: str, folder: FilePath = FilePath(), text: str = ""
    ) -> None:
        self.source = source
        self.dialect = dialect
        self.folder = folder
        self.text = text
        self.notes: list[str] = []
        self.data: dict[str, Any] = {}
        self._places: dict[Path, str] = {(): source.place(())}
        self._missing: dict[Path, str] = {}

    def put(self, target: Path, value: Any, origin: Path) -> None:
        """Set a key of ours, such as `("budget", "trials")`; its line is that of `origin` there."""
        self._put(target, value, self.source.place(origin))

    def put_after(self, target: Path, value: Any, known: Path) -> None:
        """Set a key of ours to what follows from `known`, another key of ours."""
        self._put(target, value, self._places[known])

    def _put(self, target: Path, value: Any, place: str) -> None:
        holder: Any = self.data
        for i, part in enumerate(target[:-1]):
            self._places.setdefault(target[: i + 1], place)
            holder = holder.setdefault(part, {})
        holder[target[-1]] = value
        self._places[target] = place

    def param(self, name: str, entry: Any, origin: Path) -> None:
        """Add a parameter or a constant to the space. Raises SpecificationError for a duplicate."""
        if name in self.data.get("space", {}):
            raise self.error(origin, f"duplicate parameter '{name}'")
        if isinstance(entry, str) and likely_range(entry):
            entry = {"value": entry}  # said in the other tool's own words, so it is a constant
        self.put(("space", name), entry, origin)

    def place(self, target: Path) -> str:
        """The line of the foreign file that a key of ours came from."""
        return self._places[target]

    def ask(self, target: Path, why: str, origin: Path) -> None:
        """Leave a key of ours to the user, and say why the file does not give it."""
        self._missing[target] = why
        self.note(origin, f"{why}; {'.'.join(str(part) for part in target)} is to be said")

    def adopt(self, other: Draft) -> None:
        """Take what another draft collected, with its places; what is here already stays."""
        for key, value in other.data.items():
            mine = self.data.get(key, value)
            both = isinstance(value, dict) and isinstance(mine, dict)
            self.data[key] = {**value, **mine} if both else mine
        self._places = {path: place for path, place in other._places.items() if path} | self._places
        self.notes += other.notes

    def note(self, origin: Path, text: str) -> None:
        """Something that the reader of the converted file should know."""
        self.notes.append(f"{self.source.place(origin)}: {text}")

    def error(self, origin: Path, text: str) -> SpecificationError:
        label = ".".join(str(part) for part in origin)
        label = "".join(letter for letter in label if letter.isprintable()).strip()
        return self.source.error(origin, f"{label}: {text}" if label else text)

    def document(self) -> Document:
        return Document(
            self.source.name,
            self.data,
            self._places,
            self.dialect,
            tuple(self.notes),
            self._missing,
        )

    def each(self, path: Path, value: Any, handlers: Mapping[str, Handler]) -> None:
        """Take every key of the mapping at `path`. A key without a handler is an error."""
        for key, inner in self.mapping(path, value).items():
            if key not in handlers:
                raise self.error(
                    (*path, key), f"'{key}' has no equal here{did_you_mean(key, handlers)}"
                )
            if inner is not None:
                handlers[key](self, (*path, key), inner)

    def mapping(self, path: Path, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.error(path, f"expected a mapping, got {shown(value)}")
        return value

    def items(self, path: Path, value: Any) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise self.error(path, f"expected a list, got {shown(value)}")
        return value

    def number(self, path: Path, value: Any, strings: bool = False) -> int | float:
        """A finite number; with `strings`, one in quotes is read, too."""
        if strings and isinstance(value, str):
            value = self._parsed(path, value)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not abs(value) <= sys.float_info.max
        ):
            raise self.error(path, f"expected a number, got {shown(value)}")
        return value

    def whole(self, path: Path, value: Any, strings: bool = False) -> int:
        number = self.number(path, value, strings)
        if number != int(number):
            raise self.error(path, f"expected a whole number, got {shown(value)}")
        return int(number)

    def word(self, path: Path, value: Any, known: Iterable[str] = ()) -> str:
        """A word; one of `known`, if any are given."""
        known = list(known)
        if not isinstance(value, str):
            raise self.error(path, f"expected a word, got {shown(value)}")
        if known and value not in known:
            raise self.error(
                path,
                f"'{value}' has no equal here; expected one of {', '.join(known)}"
                f"{did_you_mean(value, known)}",
            )
        return value

    def _parsed(self, path: Path, text: str) -> int | float:
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            raise self.error(path, f"expected a number, got {shown(text)}") from None


def moved(*target: str | int) -> Handler:
    """Takes a value as it is."""
    return lambda draft, path, value: draft.put(target, value, path)


def noted(why: str) -> Handler:
    """Keeps a key as a note: it says nothing about the search."""
    return lambda draft, path, value: draft.note(path, f"{path[-1]}: {shown(value)} ({why})")


def only(*values: Any) -> Handler:
    """Takes a value that changes nothing here; any other has no equal."""

    def take(draft: Draft, path: Path, value: Any) -> None:
        if value not in values:
            raise draft.error(path, f"{shown(value)} has no equal here")

    return take


def refused(why: str) -> Handler:
    """Refuses a key that the other tool has and raysweep cannot follow."""

    def refuse(draft: Draft, path: Path, value: Any) -> None:
        raise draft.error(path, f"{shown(value)} has no equal here: {why}")

    return refuse


def taken(draft: Draft, path: Path, value: Any) -> None:
    """Takes nothing: the value is read together with its neighbours."""
