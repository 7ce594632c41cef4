"""What `--param NAME=VALUES` of the command line means, as an entry of the space.

| words | entry |
| --- | --- |
| `lr=1e-5..1e-1:log` | a float on a log scale; both ends are included |
| `layers=2..8`, `width=16..256:16` | an int, with steps |
| `batch-size=32,64,128` | an ordinal: numbers have an order |
| `act=relu,gelu` | a choice |
| `decay=0,1e-6..1e-2:log` | a range, or a value outside of it |
| `seed=1` | a constant |
| `m={float: [0, 0.9], when: {opt: sgd}}` | as in the file |

Values are those of YAML 1.2: `true` is a boolean, `"1"` in quotes is a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from raysweep.errors import UserError, did_you_mean
from raysweep.search_spaces.file.document import SpecificationError, parse
from raysweep.search_spaces.file.error_messages import message
from raysweep.search_spaces.file.likely_ranges import likely_range
from raysweep.search_spaces.file.param_specs import KINDS, Entry
from raysweep.search_spaces.language.params import EXACT, is_number, same

_RANGE = re.compile(r"(?P<low>.*?[^./]|)\.\.(?P<high>[^./].*|\.\d.*|)", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?")
_SUFFIX = re.compile(r":(?P<word>[A-Za-z]+|[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*$")
_NAME = re.compile(r"[^\s=:{}\[\],\"']+")
WORDS = ("log", "reverse", "choice", "ordinal")
"""What may follow the values behind a colon, besides the step of a range."""
EXAMPLES = "lr=1e-5..1e-1:log, layers=2..8, batch-size=32,64,128 or act=relu,gelu"
_ENTRY: TypeAdapter[Any] = TypeAdapter(Entry)


class ParamError(UserError):
    """A `--param` that means nothing, in one line that quotes it."""


@dataclass(frozen=True)
class Words:
    """A `--param` as it was typed.

    suffixes: what stands behind its values, after colons. kind: that of the program's option.
    """

    typed: str
    name: str
    values: str
    suffixes: tuple[str, ...]
    kind: str = ""

    def error(self, text: str) -> ParamError:
        return ParamError(f"--param '{self.typed}': {text}")


def name_of(typed: str) -> str:
    """The name in a `--param`. Raises ParamError."""
    return _split(typed).name


def entry_of(typed: str, kind: str = "") -> Any:
    """The entry of a `--param`. Raises ParamError.

    kind: `int` or `float` if the program says so of the option; otherwise a range is of whole
    numbers if both ends are written as such.
    """
    words = replace(_split(typed), kind=kind)
    _check_text(words, words.values)
    if words.values.startswith("{") and not words.suffixes:
        entry = _value(words, words.values)
    else:
        entry = _entry(words)
    return _checked(words, entry)


def _split(typed: str) -> Words:
    name, equals, values = typed.partition("=")
    name = name.strip().lstrip("-")
    if not equals or not name:
        raise ParamError(f"--param '{typed}': expected NAME=VALUES, as in {EXAMPLES}")
    if not _NAME.fullmatch(name):
        raise ParamError(f"--param '{typed}': '{name}' is no name; expected one such as {EXAMPLES}")
    suffixes: list[str] = []
    rest = values.strip()
    while (found := _SUFFIX.search(rest)) and _is_suffix(rest[: found.start()], found["word"]):
        suffixes.insert(0, found["word"])
        rest = rest[: found.start()].rstrip()
    if not rest:
        raise ParamError(
            f"--param '{typed}': there is no value after '='; expected values, as in {EXAMPLES}"
        )
    return Words(typed, name, rest, tuple(suffixes))


def _is_suffix(before: str, word: str) -> bool:
    """True if a word behind a colon says something about values, and is no part of a value.

    `http://host:8000` and `cuda:0` are values; a range is none without its suffixes.
    """
    if before.rstrip()[-1:] in ("}", "]") and before.startswith("{"):
        return False
    parts = _parts(before)
    if any(_bounds(part.rpartition(":")[0] or part) for part in parts) or any(map(_bounds, parts)):
        return True
    return word in WORDS or (len(parts) > 1 and bool(did_you_mean(word, WORDS)))


def _entry(words: Words) -> Any:
    parts = _parts(words.values)
    ranges = [part for part in parts if _bounds(part)]
    if len(ranges) > 1:
        raise words.error(
            f"'{ranges[0]}' and '{ranges[1]}' are two ranges; expected one, as in lr=1e-5..1e-1:log"
        )
    for part in parts if len(parts) > 1 else ():
        _check_text(words, part)
    others = [_value(words, part) for part in parts if part not in ranges]
    if ranges:
        return _range(words, ranges[0], others)
    return _listed(words, others)


def _parts(values: str) -> list[str]:
    """The values between the commas that stand outside of quotes and brackets."""
    parts, depth, quote = [""], 0, ""
    for letter in values:
        if quote:
            if letter == quote:
                quote = ""
        elif letter in "\"'":
            quote = letter
        if not quote:
            depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _bounds(part: str) -> tuple[str, str] | None:
    """The ends of a range, as text; None for a value, such as `../data`.

    An end that is missing or is no number is told later, if the other one is a number.
    """
    found = _RANGE.fullmatch(part)
    if found is None:
        return None
    low, high = found["low"].strip(), found["high"].strip()
    if _NUMBER.fullmatch(low) or _NUMBER.fullmatch(high):
        return low, high
    return None


def _range(words: Words, text: str, others: list[Any]) -> dict[str, Any]:
    low_text, high_text = _bounds(text) or ("", "")
    low, high = _end(words, text, low_text, "first"), _end(words, text, high_text, "last")
    if low > high:
        raise words.error(f"'{text}' counts down; expected {high_text}..{low_text}")
    if low == high:
        raise words.error(f"'{text}' is one value; expected {words.name}={low_text}")
    options: dict[str, Any] = {}
    for suffix in words.suffixes:
        options |= _range_option(words, text, suffix)
    number: type[int] | type[float] = float
    if _is_whole(words, text, [low, high, options.get("step", 0)]):
        number = int
    entry: dict[str, Any] = {number.__name__: [number(low), number(high)]} | options
    if "step" in options:
        entry["step"] = number(options["step"])
    if others:
        entry["or"] = others
    return entry


def _is_whole(words: Words, text: str, numbers: list[int | float]) -> bool:
    """True for a range of whole numbers."""
    if words.kind == "float" or "reverse" in words.suffixes:
        return False
    if words.kind == "int":
        if all(float(number).is_integer() for number in numbers):
            return True
        raise words.error(
            f"'{text}' has fractions, and the program's option takes whole numbers; expected a "
            f"range such as {words.name}=2..8"
        )
    whole = all(isinstance(number, int) for number in numbers)
    if whole and numbers[:2] == [0, 1] and not words.suffixes:
        raise words.error(
            f"'{text}' may be meant as any number or as 0 and 1; expected {words.name}=0.0..1.0, "
            f"or {words.name}=0,1"
        )
    return whole


def _end(words: Words, text: str, end: str, which: str) -> int | float:
    """An end of a range as a number: an int if it is written as such."""
    if not _NUMBER.fullmatch(end):
        if end:
            found = f"'{end}' is no number"
        else:
            found = f"the {which} value is missing"
        raise words.error(
            f"in '{text}' {found}; expected a range such as {words.name}=1e-5..1e-1:log or "
            f"{words.name}=2..8, and quotes for a text: {words.name}='\"{text}\"'"
        )
    return _number(end)


def _number(text: str) -> int | float:
    text = text.replace("_", "")
    if text.lstrip("+-").isdecimal():
        return int(text)
    return float(text)


def _range_option(words: Words, text: str, suffix: str) -> dict[str, Any]:
    if suffix == "log":
        return {"log": True}
    if suffix == "reverse":
        return {"log": "reverse"}
    if _NUMBER.fullmatch(suffix):
        return {"step": _number(suffix)}
    raise words.error(
        f"':{suffix}' is not known behind a range; expected {text}:log, {text}:reverse (a log "
        f"scale of the distance to 1) or a step, as in 16..256:16{did_you_mean(suffix, WORDS)}"
    )


def _listed(words: Words, values: list[Any]) -> Any:
    """A constant, or values to choose from. Numbers have an order, unless `:choice` says no."""
    kinds = [suffix for suffix in words.suffixes if suffix in ("choice", "ordinal")]
    unknown = [suffix for suffix in words.suffixes if suffix not in kinds]
    if unknown:
        raise words.error(
            f"':{unknown[0]}' is for a range; expected two ends, as in {words.name}=1e-5..1e-1:log"
            if unknown[0] in WORDS
            else f"':{unknown[0]}' is not known behind values; expected :choice or :ordinal"
            f"{did_you_mean(unknown[0], WORDS)}"
        )
    if len(values) == 1 and not kinds:
        (value,) = values
        if isinstance(value, str) and likely_range(value):
            return {"value": value}  # it stood in quotes
        return value if isinstance(value, bool | int | float | str) else {"value": value}
    twice = [one for number, one in enumerate(values) if any(same(one, x) for x in values[:number])]
    if twice:
        raise words.error(f"the value {twice[0]!r} stands twice; expected each once")
    if kinds[-1:] == ["choice"] or not (kinds or all(map(is_number, values))):
        return {"choice": values}
    if all(map(is_number, values)):
        values = sorted(values)
    return {"ordinal": values}


def _check_text(words: Words, text: str) -> None:
    """Raise ParamError if a text looks like a range that is written in another way."""
    likely = None if _bounds(text) else likely_range(text)
    if likely is not None:
        meant = words.values.replace(text, likely.words)
        raise words.error(
            f"'{text}' would be a text; expected {words.name}={meant}, and quotes if the text is "
            f"meant: {words.name}='\"{text}\"'"
        )


def _value(words: Words, text: str) -> Any:
    """A value as YAML reads it."""
    if not text:
        raise words.error(
            f"a value between commas is missing; expected values, as in {EXAMPLES}, "
            f'and "" in quotes for an empty text'
        )
    try:
        value = parse(text, "value").data
        if words.kind == "float" and type(value) is int and abs(value) <= EXACT:
            return float(value)  # some programs compare the type with that of their default
        return value
    except SpecificationError as error:
        reason = str(error).partition(": ")[2]
        raise words.error(f"'{text}' is no value ({reason}); expected {EXAMPLES}") from None


def _checked(words: Words, entry: Any) -> Any:
    """The entry itself, if the file would take it."""
    if isinstance(entry, Mapping) and not any(kind in entry for kind in KINDS):
        for key in entry:
            if hint := did_you_mean(key, KINDS):
                raise words.error(f"'{key}' is no kind of parameter{hint}")
        return {"value": entry}
    try:
        _ENTRY.validate_python(entry)
    except ValidationError as error:
        found = list(error.errors(include_url=False))
        raise words.error(message(found, ("space", words.name))) from None
    return entry
