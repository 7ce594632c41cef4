"""From the command that starts a trial elsewhere to our `trainable:` and `script:` sections."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path

_PYTHON = re.compile(r"python[\d.]*")
_OPTION = re.compile(r"(?:--)?([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_FILLED_IN = re.compile(r"\$[\w{(]")
_SHELL = re.compile(r"[;<>|&()]+")
LENGTHS = {"epoch", "epochs", "nepochs", "nbepochs", "numepochs", "maxepochs", "totalepochs"}
LENGTHS |= {"trainepochs", "trainingepochs", "numtrainepochs"}
"""What scripts call their number of epochs, without `_` and `-`."""


def program(words: list[str]) -> list[str]:
    """The script and its arguments, if the words are `python train.py ...`; nothing otherwise."""
    rest = [word for word in words[1:2] if word != "-u"] + words[2:]
    interpreter = PurePosixPath(words[0]).name if words else ""
    return rest if rest and _PYTHON.fullmatch(interpreter) and rest[0].endswith(".py") else []


def script(draft: Draft, path: Path, words: list[str], folder: str = "") -> list[str]:
    """Take `python train.py` as the trainable `train.py`, and return its arguments."""
    found = program(words)
    if not found:
        text = f"'{' '.join(words)}' has no equal here"
        raise draft.error(path, f"{text}; expected `python train.py`, its arguments behind it")
    draft.put(("trainable",), str(PurePosixPath(folder) / found[0]), path)
    return found[1:]


def arguments(draft: Draft, path: Path, words: list[str]) -> None:
    """Take fixed arguments as they are; an error for one that something else fills in."""
    for word in words:
        if _FILLED_IN.search(word) or _SHELL.fullmatch(word):
            raise draft.error(
                path, f"the argument '{word}' has no equal here; expected fixed words"
            )
    if words:
        draft.put(("script", "arguments"), words, path)


def unpassed(draft: Draft, path: Path, tool: str) -> None:
    """Say that a script gets no options there: it asks the tool for its parameters."""
    draft.put(("script", "options"), "none", path)
    draft.note(
        path,
        f"the script gets no options there, for it asks {tool}; "
        "here it finds its parameters in RAYSWEEP_CONFIG, as JSON",
    )


def length(draft: Draft) -> None:
    """Take the epochs that the script is told as a trial's length, if the file gives no other."""
    if "epochs" in draft.data.get("budget", {}):
        return
    found = dict(_lengths(draft))
    if len(set(found.values())) == 1:
        name, epochs = next(iter(found.items()))
        known = ("space", name)
        if name not in draft.data.get("space", {}):
            known = ("script", "arguments")
        draft.put_after(("budget", "epochs"), epochs, known)
        draft.notes.append(f"{draft.place(known)}: {name} is taken as the length of a trial")


def _lengths(draft: Draft) -> Iterable[tuple[str, int]]:
    """The constants and fixed arguments that say a number of epochs."""
    for name, value in draft.data.get("space", {}).items():
        if _says_length(name) and isinstance(value, int) and value > 0 and value is not True:
            yield name, value
    words = draft.data.get("script", {}).get("arguments", [])
    for word, following in pairwise([*words, ""]):
        option = _OPTION.fullmatch(word)
        name, text = (option.group(1), option.group(2)) if option else (word, following)
        if (
            (option or word.startswith("--"))
            and _says_length(name)
            and re.fullmatch("[1-9][0-9]*", text)
        ):
            yield name.lstrip("-"), int(text)


def _says_length(name: str) -> bool:
    return re.sub("[_-]", "", name.rpartition(".")[2]).lower() in LENGTHS


def separate_groups(draft: Draft) -> None:
    """Call a parameter otherwise that others lie in, as `optimizer.lr` does in `optimizer`.

    Its option keeps its name.
    """
    for name in list(draft.data.get("space", {})):
        members = [one for one in draft.data["space"] if one.startswith(f"{name}.")]
        if not members:
            continue
        new = f"{name}_group"
        while new in draft.data["space"]:
            new += "_"
        draft.rename(name, new)
        draft.notes.append(
            f"{draft.place(('space', new))}: {name} has members ({members[0]}), "
            f"so it is called {new} here"
        )
        section: dict[str, Any] = draft.data.get("script", {})
        if section.get("options") != "none":
            option = section.get("names", {}).pop(name, name)
            draft.put_after(("script", "names", new), option, ("space", new))


def split(draft: Draft, path: Path, text: str) -> list[str]:
    """The words of a shell's command; what only a shell understands is a word of its own."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        raise draft.error(path, f"'{text}' is no command") from None
