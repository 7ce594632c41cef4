"""A command of a shell, as far as it can be said without one: what is run, where, and with what."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from raysweep.placeholders import escaped
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_OPERATOR = re.compile(r"[;<>|&()]+")
_SUBSTITUTED = re.compile(r"[`]|\$\(|\$[@*#?!0-9]|\$\{[^}]*[:#%/]")
"""What only a shell can replace: a command's output, its own arguments, edited variables."""
SHELLS = ("sh", "bash", "/bin/sh", "/bin/bash")


@dataclass
class Command:
    """A command: its words, the folder that it is run in, and the variables that are set for it.

    In the words and the values, `{env:NAME}` stands for a variable, and braces that mean
    themselves are escaped.
    """

    words: list[str] = field(default_factory=list)
    folder: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def parse(draft: Draft, path: Path, text: str, folder: str = "") -> Command:
    """`cd here && export A=b; A=b python train.py` as a command.

    Raises SpecificationError for what only a shell understands.
    """
    found = Command(folder=folder)
    parts = _parts(draft, path, text)
    for number, words in enumerate(parts):
        rest = _assigned(found, words)
        if words[:1] == ["export"]:
            rest = _assigned(found, words[1:])
        if rest[:1] == ["cd"] and len(rest) == 2:
            found.folder = str(PurePosixPath(found.folder) / rest[1])
        elif rest and number == len(parts) - 1:
            found.words = [_with_variables(draft, path, word) for word in rest]
        elif rest:
            raise draft.error(path, f"'{' '.join(rest)}' is a command of its own; expected one")
    found.environment = {
        name: _with_variables(draft, path, value) for name, value in found.environment.items()
    }
    return found


def simple(draft: Draft, path: Path, words: list[str], folder: str = "") -> Command:
    """The command of words that no shell sees. Of `sh -c TEXT`, the text is the command."""
    if words and words[0] in SHELLS and words[1:2] in (["-c"], ["-ec"], ["-xc"]):
        if len(words) != 3:
            raise draft.error(path, f"what follows the command of {words[0]} -c has no equal here")
        return parse(draft, path, words[2], folder)
    found = Command(folder=folder)
    rest = [word for i, word in enumerate(words) if i or word not in ("env", "/usr/bin/env")]
    found.words = _assigned(found, rest) if rest != words else list(words)
    return found


def _assigned(found: Command, words: list[str]) -> list[str]:
    """Take the assignments before a command, and return what follows them."""
    for number, word in enumerate(words):
        assignment = _ASSIGNMENT.fullmatch(word)
        if assignment is None:
            return words[number:]
        found.environment[assignment[1]] = assignment[2]
    return []


def lexer(text: str) -> shlex.shlex:
    """Divides text as a shell does. Its operators are words of their own."""
    divided = shlex.shlex(text, posix=True, punctuation_chars=True)
    divided.whitespace_split, divided.commenters = True, ""
    return divided


def _parts(draft: Draft, path: Path, text: str) -> list[list[str]]:
    """The words of each command of a sequence."""
    try:
        words = list(lexer(text.replace("\\\n", " ").strip()))
    except ValueError:
        raise draft.error(path, f"'{text}' is no command") from None
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", ";"):
            parts.append([])
        elif _OPERATOR.fullmatch(word):
            raise draft.error(path, f"'{word}' has no equal here, where no shell runs")
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def _with_variables(draft: Draft, path: Path, word: str) -> str:
    if _SUBSTITUTED.search(word):
        raise draft.error(path, f"'{word}' has no equal here, where no shell runs")
    pieces, end = [], 0
    for found in _VARIABLE.finditer(word):
        pieces += [escaped(word[end : found.start()]), f"{{env:{found[1] or found[2]}}}"]
        end = found.end()
    return "".join([*pieces, escaped(word[end:])])
