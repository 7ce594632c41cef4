"""Programs that read their configuration from a YAML, JSON or TOML file.

The file is named by an option (`--config config.yaml`), by a word (`sys.argv[1]`) or in the program
itself (`yaml.safe_load(open("config.yaml"))`). In the first two cases each trial is given the path
of a file of its own there; in the third it runs in a folder of its own, in which the file has that
name.
"""

from __future__ import annotations

import ast
import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from raysweep.search_spaces.drafting.interface import Interface
from raysweep.search_spaces.drafting.literals import calls
from raysweep.search_spaces.drafting.nested import options_of
from raysweep.search_spaces.drafting.parsers import value_of
from raysweep.search_spaces.drafting.program import Program

PLACE = "{config_file}"
"""The placeholder for the path of a trial's own file."""
SUFFIXES = (".yaml", ".yml", ".json", ".toml")
_READERS = ("load", "safe_load", "full_load", "loads", "open", "read_text", "load_config", "Path")
"""What a program calls with the name of a file that it reads, or with what has that name."""


def named_by_option(program: Program, interface: Interface) -> Interface | None:
    """The interface with the content of the file that an option has for its default, or is given.

    None if no option names a file that exists.
    """
    for option in interface.options:
        name = interface.given.get(option.name, option.default)
        found = None
        if option.name and option.writable:
            found = _file(program, name)
        if found is None:
            continue
        data = read(found)
        if data:
            told = {one.name for one in interface.options}
            inside = tuple(one for one in options_of(data) if one.name not in told)
            return replace(
                interface,
                options=inside,
                style="none",
                words=_without(interface.words, option.name),
                config_file={
                    "name": found.name,
                    "template": str(found),
                    "option": f"--{option.name}",
                },
                config=data,
            )
    return None


def named_by_word(
    program: Program, words: list[str], interface: Interface | None = None
) -> Interface | None:
    """The interface with the content of the file that a word without an option names.

    interface: what the program's parser says. Without one, the program reads `sys.argv` itself, and
    a file that its source names is taken for the word that is missing. None if there is no file.
    """
    if interface is not None:
        is_read = any(not option.name for option in interface.options)
    else:
        is_read = "sys.argv" in program.main.text
    if not is_read:
        return None
    told, found = list(words), None
    for place, word in enumerate(words):
        is_value = interface is not None and words[:place][-1:] and words[place - 1][:1] == "-"
        if not is_value and (found := _file(program, word)) is not None:
            told[place] = PLACE
            break
    if found is None and interface is None:
        found, told = _by_default(program), [*words, PLACE]
    data = read(found) if found is not None else {}
    if found is None or not data:
        return None
    return replace(
        interface or Interface(library=found.name),
        options=tuple(options_of(data)),
        style="none",
        words=tuple(told),
        config_file={"name": found.name, "template": str(found)},
        config=data,
    )


def _by_default(program: Program) -> Path | None:
    """The first file with a configuration that the source of the program names."""
    for node in ast.walk(program.main.tree):
        if isinstance(node, ast.Constant) and (found := _file(program, node.value)) is not None:
            return found
    return None


def _without(words: tuple[str, ...], name: str) -> tuple[str, ...]:
    """The words without an option and its value."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.lstrip("-").partition("=")[0] == name and word.startswith("-"):
            skip = "=" not in word
        else:
            kept.append(word)
    return tuple(kept)


def named_in_source(program: Program) -> Interface | None:
    """The interface of a program that opens a file by a name that it has written in it."""
    for source in program.sources:
        for name, is_beside in _names(source.tree):
            found = _file(program, name)
            data = {}
            if found is not None:
                data = read(found)
            if found is None or not data:
                continue
            interface = Interface(
                library=found.name, options=tuple(options_of(data)), style="none", config=data
            )
            if is_beside:
                return replace(
                    interface,
                    unread=f"the program reads {name} from its own folder, whatever it is told; "
                    "let it take the path from an option or from RAYSWEEP_CONFIG",
                )
            place = {"name": name, "template": str(found)}
            return replace(interface, config_file=place, folder="{folder}", own_folder=True)
    return None


def _names(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """The names of files that a program reads, and whether they are sought beside its own file."""
    for call in calls(tree, *_READERS):
        inside = list(ast.walk(call))
        is_beside = any(isinstance(node, ast.Name) and node.id == "__file__" for node in inside)
        for node in inside:
            name = None
            if isinstance(node, ast.Constant):
                name = node.value
            if isinstance(name, str) and name.endswith(SUFFIXES):
                yield name, is_beside


def _file(program: Program, name: Any) -> Path | None:
    """A file with a configuration, from the program's folder; None if there is none."""
    if not isinstance(name, str) or not name.endswith(SUFFIXES):
        return None
    try:
        path = Path(os.path.abspath(program.folder / name))
        if path.is_file():
            return path
        return None
    except (OSError, ValueError):
        return None


def read(path: Path) -> dict[str, Any]:
    """The content of a file with a configuration; nothing if it is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            data: Any = tomllib.loads(text)
        elif path.suffix == ".json":
            data = json.loads(text)
        else:
            data = value_of(text)
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        return {}
    return data
