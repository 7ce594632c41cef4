"""Texts that look like a range or a distribution, and what was probably meant by them.

A plain text in the space is a constant. So `lr: loguniform(1e-4, 1e-1)`, from which other tools
would draw, would give every trial that text. Such a text is refused; `{value: ...}` says that it is
meant as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.search_spaces.file.document import Document

_END = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
NUMBER = re.compile(_END)
"""A number as people write it."""
_RANGE = re.compile(
    rf"\s*(?P<low>{_END})\s*(?:-|–|—|~|\.\.+|\bto\b)\s*(?P<high>{_END})\s*"
    r"(?::(?P<option>log|reverse|\d[\d.]*)\s*)?"
)
_CALL = re.compile(r"\s*(?:[\w.]*[.~])?(?P<name>\w+)\s*\((?P<words>.*)\)\s*", re.DOTALL)
_LIST = re.compile(r"\[(?P<values>[^\[\]]+)\]")
_ARGUMENT = re.compile(r"[A-Za-z_]\w*\s*=\s*")
_LOG = re.compile(r"log\s*=\s*true|log-?uniform", re.IGNORECASE)
_BEGINS_WITH_ZERO = re.compile(r"0\d+")

CALLS = {
    "float": "float real interval uniform quniform uniformfloat suggestfloat loguniform qloguniform"
    " loguniformvalues normal qnormal lognormal randn linspace logspace",
    "int": "int integer range randint qrandint lograndint uniformint uniforminteger suggestint",
    "choice": "choice gridsearch categorical suggestcategorical",
    "ordinal": "ordinal",
}
"""What tools call a distribution, in lower case and without `_`, by our kind of parameter."""
KIND_OF = {name: kind for kind, names in CALLS.items() for name in names.split()}
NO_ENDS = ("norm", "randn", "logspace")
"""Parts of the names of those whose numbers are not the ends of a range."""
DECADES = 1000.0
"""The ratio of its ends from which on a range is probably meant to be on a log scale."""


@dataclass(frozen=True)
class LikelyRange:
    """What a text probably means.

    parts: the ends of a range, or the values to choose from, as they are written. option: `log`,
    `reverse`, a step, or "".
    """

    kind: str
    parts: tuple[str, ...]
    option: str = ""

    @property
    def entry(self) -> str:
        """The entry as a file has it."""
        known = {"": "", "log": ", log: true", "reverse": ", log: reverse"}
        option = known.get(self.option, f", step: {self.option}")
        return f"{{{self.kind}: [{', '.join(self.parts)}]{option}}}"

    @property
    def words(self) -> str:
        """The values as `--param` takes them."""
        if self.kind in ("choice", "ordinal"):
            return ",".join(self.parts)
        low, high = self.parts
        if self.kind == "float" and _is_whole(low) and _is_whole(high):
            high += ".0"  # else it would be a range of whole numbers
        return f"{low}..{high}" + (f":{self.option}" if self.option else "")


def likely_range(text: str) -> LikelyRange | None:
    """What a text probably means; None if it is an ordinary one, such as `adam` or `2024-01-31`."""
    if found := _RANGE.fullmatch(text):
        return _between(found["low"], found["high"], found["option"] or "", text)
    found = _CALL.fullmatch(text)
    if found is None or "," not in found["words"]:
        return None
    name = found["name"].lower().replace("_", "")
    kind = KIND_OF.get(name)
    if kind in ("choice", "ordinal"):
        return LikelyRange(kind, _values(found["words"]))
    return None if kind is None else _drawn(kind, name, found["words"], text)


def _between(low: str, high: str, option: str, text: str) -> LikelyRange | None:
    """The range between two ends; None for what may be a date or a version, such as `2024-01`."""
    is_whole = _is_whole(low) and _is_whole(high)
    counts_up = float(low) < float(high)
    if float(low) == float(high) or any(map(_BEGINS_WITH_ZERO.fullmatch, (low, high))):
        return None
    if is_whole and not counts_up and text == f"{low}-{high}":
        return None
    low, high = (low, high) if counts_up else (high, low)
    if not option and 0 < float(low) * DECADES <= float(high):
        option = "log"
    kind = "int" if is_whole and option != "reverse" else "float"
    return LikelyRange(kind, (low, high), option)


def _drawn(kind: str, name: str, words: str, text: str) -> LikelyRange:
    """The range that a call of another tool draws from, as far as the call says its ends."""
    option = "log" if name.startswith(("log", "qlog")) or _LOG.search(words) else ""
    numbers = [part for part in _values(words) if NUMBER.fullmatch(part)]
    has_ends = len(numbers) > 1 and not any(part in name for part in NO_ENDS)
    if option and "hp." in text:
        has_ends = False  # hyperopt's are exponents
    if not has_ends or float(numbers[0]) >= float(numbers[1]):
        return LikelyRange(kind, ("low", "high"), option)
    low, high = numbers[:2]
    if not (_is_whole(low) and _is_whole(high)):
        kind = "float"
    return LikelyRange(kind, (low, high), option if float(low) > 0 else "")


def likely_entry(entry: Mapping[str, Any]) -> str:
    """The entry that another tool's mapping probably means; "" if there is no guess.

    `{uniform: [0, 1]}`, `{min: 0, max: 1}` and `{values: [1, 2]}` are such mappings.
    """
    values = next((entry[key] for key in ("values", "choices", "options") if key in entry), None)
    if isinstance(values, list):
        return LikelyRange("choice", tuple(map(str, values))).entry
    words = [str(entry.get(key)) for key in ("type", "distribution", "kind")]
    log = any("log" in word.lower() for word in (*words, *entry)) and entry.get("log") is not False
    for low, high in (("min", "max"), ("low", "high"), ("lower", "upper")):
        if low in entry and high in entry:
            ends = [entry[low], entry[high]]
            return _entry("float" if ends == [0, 1] else "int", ends, log)
    for name, ends in entry.items():
        kind = KIND_OF.get(name.lower().replace("_", ""))
        if kind in ("float", "int") and isinstance(ends, list) and len(ends) == 2:
            return _entry(str(kind) if name != "range" else "float", ends, log)
        if kind in ("choice", "ordinal") and isinstance(ends, list):
            return LikelyRange(kind, tuple(map(str, ends))).entry
    return ""


def _entry(kind: str, ends: list[Any], log: bool) -> str:
    """The entry of a range; of real numbers unless both ends are whole."""
    if not all(isinstance(end, int) for end in ends):
        kind = "float"
    return LikelyRange(kind, (str(ends[0]), str(ends[1])), "log" if log else "").entry


def _is_whole(end: str) -> bool:
    return end.lstrip("+-").isdecimal()


def _values(words: str) -> tuple[str, ...]:
    """The values of a list in the words of a call, else its arguments without their names."""
    found = _LIST.search(words)
    parts = (found["values"] if found else words.strip("()")).split(",")
    return tuple(_ARGUMENT.sub("", part.strip()) for part in parts if part.strip())


def check_texts(entries: Mapping[str, Any], document: Document) -> None:
    """Raise SpecificationError if a plain text of the space looks like a range."""
    for name, entry in entries.items():
        likely = likely_range(entry) if isinstance(entry, str) else None
        if likely is None:
            continue
        path = ("space", name)
        label = "" if document.place(path).startswith("--set ") else f"space.{name}: "
        raise document.error(
            path,
            f"{label}'{entry}' is a text, the same for every trial; expected {likely.entry}, or "
            f"{{value: '{entry}'}} if the text itself is meant",
        )
