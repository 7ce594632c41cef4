"""The `command` of a W&B sweep: what starts a run, and what stands for the parameters in it.

Its agent replaces a word that is a macro as a whole, and `${envvar:NAME}` anywhere; no shell runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from raysweep.placeholders import escaped
from raysweep.search_spaces.convert import command, shell
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path

_ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]+)\}")
_MACRO = re.compile(r"\$\{[^{}]*\}")
OPTIONS: dict[str, dict[str, Any]] = {
    "${args}": {},
    "${args_no_boolean_flags}": {"flags": True},
    "${args_no_equals}": {"options": "--name value"},
    "${args_no_hyphens}": {"options": "name=value"},
    "${args_append_hydra}": {"options": "name=value"},
    "${args_override_hydra}": {"options": "name=value"},
}
"""What stands for the parameters in a command, as our `script:` section says it."""
_BEFORE_NAMES = {"${args_append_hydra}": "+", "${args_override_hydra}": "++"}
_AS_JSON = {"${args_json}": "{config}", "${args_json_file}": "{config_file}"}
JSON_FILE = "args.json"


def take(draft: Draft, path: Path, value: Any) -> None:
    """Take the command. Its options are completed by `passed`, when all parameters are known."""
    words = list(_replaced(draft, path, value))
    macros = [word for word in words if word in OPTIONS or word in _AS_JSON]
    if len(macros) > 1:
        raise draft.error(path, f"the parameters stand in it twice: {' and '.join(macros)}")
    rest = command.take(draft, path, shell.simple(draft, path, words))
    if not macros:
        _take_arguments(draft, path, rest, [])
        command.unpassed(draft, path, "wandb.config")
        return
    if macros[0] not in rest:
        raise draft.error(path, f"{macros[0]} stands before the script, where it has no equal here")
    place = rest.index(macros[0])
    if macros[0] in _AS_JSON:
        _check_nested(draft, path, macros[0])
        rest[place] = _AS_JSON[macros[0]]
        _take_arguments(draft, path, rest, [])
        draft.put(("script", "options"), "none", path)
        if macros[0] == "${args_json_file}":
            draft.put(("script", "config_file"), {"name": JSON_FILE}, path)
        return
    _take_arguments(draft, path, rest[:place], rest[place + 1 :])
    for key, said in OPTIONS[macros[0]].items():
        draft.put(("script", key), said, path)


def passed(draft: Draft) -> None:
    """How the parameters' values are written on the command line: as Python shows them."""
    section = draft.data.get("script", {})
    if section.get("options") == "none":
        return
    _note_whole_mappings(draft)
    for name, entry in draft.data.get("space", {}).items():
        values = list(_values(entry))
        origin = draft.place(("space", name))
        if any(value is None for value in values):
            draft.notes.append(f"{origin}: {name} may be null, which is None there; left out here")
        odd = [value for value in values if isinstance(value, list | dict | bool)]
        if odd and not (section.get("flags") and all(isinstance(one, bool) for one in odd)):
            draft.put_after(("script", "values"), "python", ("space", name))
    macro = _macro(draft)
    if macro in _BEFORE_NAMES:
        for name in draft.data.get("space", {}):
            draft.put_after(("script", "names", name), _BEFORE_NAMES[macro] + name, ("space", name))
    _note_overridden(draft)


def _replaced(draft: Draft, path: Path, value: Any) -> Iterator[str]:
    """The words of a command, but for those that stand for the parameters."""
    program = draft.source.data.get("program")
    for item in draft.items(path, value):
        word = str(item)
        if word in OPTIONS or word in _AS_JSON:
            yield word
        elif word == "${env}":
            yield "env"
        elif word == "${interpreter}":
            yield "python"
        elif word == "${program}" and isinstance(program, str):
            yield program
        elif _MACRO.fullmatch(word) and not _ENVIRONMENT.fullmatch(word):
            draft.note(path, f"{word} is left out, as the agent there does: it knows no such macro")
        else:
            yield _with_variables(word)


def _with_variables(word: str) -> str:
    pieces, end = [], 0
    for found in _ENVIRONMENT.finditer(word):
        pieces += [escaped(word[end : found.start()]), f"{{env:{found[1]}}}"]
        end = found.end()
    return "".join([*pieces, escaped(word[end:])])


def _take_arguments(draft: Draft, path: Path, before: list[str], after: list[str]) -> None:
    command.take_words(draft, path, before)
    command.take_words(draft, path, after, "after")


def _check_nested(draft: Draft, path: Path, macro: str) -> None:
    """Refuse a name with a dot: in the JSON there it is a key, and here a mapping."""
    for name in draft.source.data.get("parameters") or {}:
        if "." in str(name):
            raise draft.error(
                path, f"{macro} has the key '{name}' there; here names with dots nest"
            )


def _note_whole_mappings(draft: Draft) -> None:
    section = draft.data.get("script", {})
    dashes = "" if section.get("options") == "name=value" else "--"
    for name, rule in (draft.source.data["parameters"] or {}).items():
        if "parameters" in rule:
            one = f"{name} is one option there, {dashes}{name}={{...}}"
            draft.note(("parameters", name), f"{one}; here each of its parameters is one")
    for name, entry in draft.data.get("space", {}).items():
        if any(isinstance(value, dict) for value in _values(entry)):
            one = f"{name} is one option there, {dashes}{name}={{...}}"
            draft.notes.append(
                f"{draft.place(('space', name))}: {one}; here each of its keys is one"
            )


def _values(entry: Any) -> Iterator[Any]:
    """The values that an entry of the space lists."""
    if not isinstance(entry, dict):
        yield entry
    elif "value" in entry:
        yield entry["value"]
    else:
        yield from entry.get("choice", [])


def _macro(draft: Draft) -> str:
    """What stands for the parameters in the command; "" if nothing does."""
    words = [str(one) for one in draft.source.data.get("command") or []]
    return next((word for word in words if word in OPTIONS), "")


def _note_overridden(draft: Draft) -> None:
    """Say which fixed argument takes the place of a parameter, there and here."""
    for word in draft.data.get("script", {}).get("after", []):
        name = word.lstrip("-+").partition("=")[0]
        if name in draft.data.get("space", {}):
            draft.note(
                ("command",), f"'{word}' takes the place of the parameter '{name}', there and here"
            )
