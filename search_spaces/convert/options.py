"""From a command whose words a tool fills in, such as `--lr={{ lr }}`, to our `script:` section."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from raysweep.placeholders import ALWAYS, LENGTHS, escaped
from raysweep.search_spaces.convert import command, shell
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path


@dataclass(frozen=True)
class Passed:
    """An option that a parameter fills in. `form`: as our `script:` section has it."""

    option: str
    parameter: str
    form: str


MARK = re.compile("⟨([^⟨⟩]*)⟩")
"""What stands for a parameter while words are divided. Messages may show it."""
_PASSED = re.compile(rf"(--)?([A-Za-z_][\w./-]*)={MARK.pattern}")


def mark(name: str) -> str:
    return f"⟨{name}⟩"


def take(draft: Draft, path: Path, found: shell.Command) -> None:
    """Take the script of a command in whose words parameters are marked.

    Where they are the values of options, our `script:` section says which; else the words are taken
    as they are, with our placeholders.
    """
    words = command.take(draft, path, found)
    as_python_shows(draft)
    passed, fixed = split(words)
    names = [name for word in words for name in MARK.findall(word)]
    _check(draft, path, names)
    plain = len(set(names)) == len(names) and len({one.form for one in passed}) <= 1
    if plain and not any(MARK.search(word) for word in fixed):
        say(draft, path, passed, fixed)
    else:
        _in_order(draft, path, words, names)


def _check(draft: Draft, path: Path, names: list[str]) -> None:
    for name in names:
        if name not in draft.data.get("space", {}):
            raise draft.error(path, f"'{name}' is none of the parameters")


def _in_order(draft: Draft, path: Path, words: list[str], names: list[str]) -> None:
    """The words as they are, with a placeholder of ours for each mark."""
    draft.put(("script", "options"), "none", path)
    placed = {name: _placed(draft, name) for name in names}
    filled = [MARK.sub(lambda found: placed[found[1]], word) for word in words]
    command.take_words(draft, path, filled)
    _say_unpassed(draft, path, names)


def _placed(draft: Draft, name: str) -> str:
    """The placeholder of a parameter; the value of a constant whose name means something else."""
    entry = draft.data["space"][name]
    if name in (*ALWAYS, *LENGTHS) and not isinstance(entry, dict):
        return escaped(str(entry))
    return f"{{{name}}}"


def _say_unpassed(draft: Draft, path: Path, names: Collection[str]) -> None:
    for name in draft.data["space"]:
        if name not in names:
            draft.note(path, f"{name} is not passed to the script there, nor here")


def split(words: Iterable[str]) -> tuple[list[Passed], list[str]]:
    """The options that a parameter fills in, and the other words."""
    passed: list[Passed] = []
    fixed: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        whole, alone = _PASSED.fullmatch(word), MARK.fullmatch(left[0]) if left else None
        if whole:
            passed.append(Passed(whole[2], whole[3], f"{whole[1] or ''}name=value"))
        elif alone and re.fullmatch("--[A-Za-z_][^=]*", word):
            passed.append(Passed(word[2:], alone[1], "--name value"))
            left.pop(0)
        else:
            fixed.append(word)
    return passed, fixed


def as_python_shows(draft: Draft) -> None:
    """Have values written as Python shows them, `True` and `[1, 2]`, if that makes a difference."""
    for name, entry in draft.data.get("space", {}).items():
        given = [entry]
        if isinstance(entry, dict):
            given = entry.get("choice") or entry.get("ordinal") or [entry.get("value", 0)]
        if any(one is None for one in given):
            text = f"{name} may be null, written None there; its option is left out here"
            draft.notes.append(f"{draft.place(('space', name))}: {text}")
        if any(isinstance(one, bool | list) for one in given):
            draft.put_after(("script", "values"), "python", ("space", name))


def say(draft: Draft, path: Path, passed: list[Passed], fixed: list[str]) -> None:
    """Say the fixed words, the form of the options, and those not called as their parameters."""
    command.take_words(draft, path, fixed)
    names = {one.parameter: one.option for one in passed}
    if not names:
        draft.put(("script", "options"), "none", path)
        draft.note(path, "no parameter is passed to the script there, nor here")
        return
    if passed[0].form != "--name=value":
        draft.put(("script", "options"), passed[0].form, path)
    _say_unpassed(draft, path, names)
    for name in draft.data["space"]:
        if names.get(name) != name:
            draft.put(("script", "names", name), names.get(name), path)
