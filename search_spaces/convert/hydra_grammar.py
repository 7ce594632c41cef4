"""The values of Hydra's command line (hydra.cc, "Extended override syntax"), without evaluation.

`choice(a, 'b, c', [1, 2])` becomes a `Call`; which functions there are is not known here. Scalars
are read as Hydra reads them: `1e-3` and `True` are no strings, `007` and `10k` are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

Element = Any
"""None, a bool, int, float, str, Quoted, Call, or a list or dict of these."""

MOST_NESTED = 20
"""How deep lists, mappings and calls may lie in each other."""
_FUNCTION = re.compile(r"([A-Za-z_][\w-]*)[ \t]?\([ \t]*", re.ASCII)
_ARGUMENT_NAME = re.compile(r"([A-Za-z_][\w-]*)[ \t]*=[ \t]*", re.ASCII)
_DIGITS = r"(?:0|[1-9](?:_?[0-9])*)"
_POINT = rf"(?:{_DIGITS}?\.[0-9](?:_?[0-9])*|{_DIGITS}\.)"
_INT = re.compile(rf"[+-]?{_DIGITS}")
_FLOAT = re.compile(
    rf"[+-]?(?:{_POINT}|(?:{_POINT}|{_DIGITS})[eE][+-]?[0-9](?:_?[0-9])*|inf|nan)", re.IGNORECASE
)
_ESCAPED = "\\()[]{}:=, \t"
"""What a backslash may stand before outside of quotes."""
_PLAIN = re.compile(r"[\w/\-\\+.$%*@?|: \t]", re.ASCII)
"""What a word without quotes is made of."""
_INTERPOLATION = re.compile(r"\$\{[^}]+\}")


class GrammarError(ValueError):
    """A text that Hydra cannot read, either."""


@dataclass(frozen=True)
class Quoted:
    """A word in quotes. `source`: as it is written, with them."""

    text: str
    source: str


@dataclass(frozen=True)
class Call:
    """A function's name with its arguments."""

    name: str
    arguments: list[Element]
    named: dict[str, Element] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """Several values with commas between them: `1e-3,1e-4`."""

    values: list[Element]


def parse(text: str) -> Element | Listed:
    """What a value says. Raises GrammarError."""
    return _Parser(text).value()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def value(self) -> Element | Listed:
        if not self._text.strip(" \t"):
            return ""
        elements = [self._element()]
        while self._taken(","):
            elements.append(self._element())
        if self._at < len(self._text):
            raise self._unexpected()
        return elements[0] if len(elements) == 1 else Listed(elements)

    def _element(self) -> Element:
        self._space()
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise GrammarError(f"more than {MOST_NESTED} levels in each other")
        element = self._compound() if self._at < len(self._text) else self._primitive()
        self._depth -= 1
        self._space()
        return element

    def _compound(self) -> Element:
        function = _FUNCTION.match(self._text, self._at)
        if function:
            self._at = function.end()
            return self._call(function.group(1))
        if self._taken("["):
            return self._items("]")
        if self._taken("{"):
            return self._mapping()
        if self._text[self._at] in "'\"":
            return self._quoted()
        return self._primitive()

    def _call(self, name: str) -> Call:
        arguments: list[Element] = []
        named: dict[str, Element] = {}
        self._space()
        while not self._taken(")"):
            if (arguments or named) and not self._taken(","):
                raise self._unexpected()
            self._space()
            key = _ARGUMENT_NAME.match(self._text, self._at)
            if key:
                self._at = key.end()
                named[key.group(1)] = self._element()
            elif named:
                raise GrammarError("an argument without a name follows one with a name")
            else:
                arguments.append(self._element())
        return Call(name, arguments, named)

    def _items(self, end: str) -> list[Element]:
        items: list[Element] = []
        self._space()
        while not self._taken(end):
            if items and not self._taken(","):
                raise self._unexpected()
            items.append(self._element())
        return items

    def _mapping(self) -> dict[Any, Element]:
        mapping: dict[Any, Element] = {}
        self._space()
        while not self._taken("}"):
            if mapping and not self._taken(","):
                raise self._unexpected()
            self._space()
            key = self._primitive(ends=",()[]{}=:")
            if not self._taken(":"):
                raise self._unexpected()
            mapping[key] = self._element()
        return mapping

    def _quoted(self) -> Quoted:
        quote, start = self._text[self._at], self._at
        pattern = re.compile(rf"{quote}((?:\\\\)*|.*?[^\\](?:\\\\)*){quote}", re.DOTALL)
        found = pattern.match(self._text, start)
        if found is None:
            raise GrammarError(f"the quote {quote} has no end")
        self._at = found.end()
        # Backslashes count only before a quote: each two stand for one, and one hides the quote.
        inner = re.sub(rf"(\\+)({quote})", _unescaped, found.group(1) + quote)[:-1]
        return Quoted(inner, found.group())

    def _primitive(self, ends: str = ",()[]{}=") -> Element:
        text, escaped = "", False
        while self._at < len(self._text) and self._text[self._at] not in ends:
            following = self._text[self._at + 1 : self._at + 2]
            interpolation = _INTERPOLATION.match(self._text, self._at)
            if interpolation:
                text += interpolation.group()
                self._at = interpolation.end()
            elif self._text[self._at] == "\\" and following and following in _ESCAPED:
                # A mark keeps an escaped space at the end from being stripped.
                text, escaped = f"{text}\0{following}", True
                self._at += 2
            elif _PLAIN.match(self._text[self._at]):
                text += self._text[self._at]
                self._at += 1
            else:
                raise self._unexpected()
        text = re.sub(r"(?<!\0)[ \t]+$", "", text.lstrip(" \t")).replace("\0", "")
        if not text:
            raise self._unexpected()
        return text if escaped else scalar(text)

    def _taken(self, letter: str) -> bool:
        """Whether the next letter is this one, which is then passed."""
        if self._text[self._at : self._at + 1] != letter:
            return False
        self._at += 1
        self._space()
        return True

    def _space(self) -> None:
        while self._text[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1

    def _unexpected(self) -> GrammarError:
        rest = self._text[self._at : self._at + 10]
        return GrammarError(f"unexpected '{rest}'" if rest else "it ends too early")


def _unescaped(found: re.Match[str]) -> str:
    backslashes, quote = found.groups()
    hidden = quote if len(backslashes) % 2 else ""
    end = quote if not len(backslashes) % 2 else ""
    return "\\" * (len(backslashes) // 2) + hidden + end


def scalar(text: str) -> bool | int | float | str | None:
    """A word without quotes as the number, the boolean or the null that it is there."""
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return None if text.lower() == "null" else text


def written(value: Element) -> str:
    """A value as Hydra reads it, for a command line."""
    if isinstance(value, Quoted):
        return value.source
    if isinstance(value, list):
        return f"[{','.join(written(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{written(key)}:{written(one)}' for key, one in value.items())}}}"
    if isinstance(value, str):
        return re.sub(rf"[{re.escape(_ESCAPED)}]", lambda found: f"\\{found.group()}", value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
