"""From a command whose words a tool fills in, such as `--lr={{ lr }}`, to our `script:` section."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.search_spaces.convert import command
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path


@dataclass(frozen=True)
class Passed:
    """An option that a parameter fills in. `form`: as our `script:` section has it."""

    option: str
    parameter: str
    form: str


def split(words: Iterable[str], placeholder: re.Pattern[str]) -> tuple[list[Passed], list[str]]:
    """The options that a parameter fills in, and the words that are fixed.

    placeholder: what stands for a parameter; its group `name` is the parameter's.
    """
    assigned = re.compile(rf"(--)?([A-Za-z_][\w./-]*)={placeholder.pattern}")
    passed: list[Passed] = []
    fixed: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        whole, alone = assigned.fullmatch(word), placeholder.fullmatch(left[0]) if left else None
        if whole:
            form = f"{whole.group(1) or ''}name=value"
            passed.append(Passed(whole.group(2), whole.group("name"), form))
        elif alone and word.startswith("--") and "=" not in word:
            passed.append(Passed(word[2:], alone.group("name"), "--name value"))
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
    command.arguments(draft, path, fixed)
    names: dict[str, str] = {}
    for one in passed:
        if one.parameter not in draft.data.get("space", {}):
            raise draft.error(path, f"'{one.parameter}' is none of the parameters")
        if one.parameter in names:
            raise draft.error(path, f"the parameter '{one.parameter}' is passed twice")
        names[one.parameter] = one.option
    as_python_shows(draft)
    forms = sorted({one.form for one in passed})
    if len(forms) > 1:
        raise draft.error(path, f"options of two forms have no equal here: {' and '.join(forms)}")
    if not names:
        draft.put(("script", "options"), "none", path)
        draft.note(path, "no parameter is passed to the script there, nor here")
        return
    if forms != ["--name=value"]:
        draft.put(("script", "options"), forms[0], path)
    for name in draft.data["space"]:
        if name not in names:
            draft.note(path, f"{name} is not passed to the script there, nor here")
        if names.get(name) != name:
            draft.put(("script", "names", name), names.get(name), path)
