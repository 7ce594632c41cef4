"""The interface of a program with `@hydra.main`: the keys of its configuration, `name=value`.

The configuration is composed by Hydra itself in the program's process. For a program that cannot be
run, the files are read and merged in the order of their defaults lists.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raysweep.search_spaces.drafting.interface import Interface, Option
from raysweep.search_spaces.drafting.literals import called, keyword, literal
from raysweep.search_spaces.drafting.nested import options_of
from raysweep.search_spaces.drafting.parsers import value_of
from raysweep.search_spaces.drafting.program import Program

SUFFIXES = (".yaml", ".yml")
_SURROUNDINGS = (
    "callbacks",
    "data",
    "datamodule",
    "dataset",
    "debug",
    "env",
    "experiment",
    "extras",
    "hparams_search",
    "local",
    "logger",
    "paths",
    "task",
    "trainer",
)
"""Groups that say where and on what a model is trained, not which model."""
_PACKAGE = re.compile(r"^#\s*@package\s+(\S+)", re.MULTILINE)
_MOST_DEPTH = 12
"""How deep defaults lists may nest: two or three is usual, and a circle has no end."""


def interface_of(data: Mapping[str, Any], words: Sequence[str]) -> Interface:
    """The interface for the configuration that Hydra composed."""
    folder = None
    if data["folder"]:
        folder = Path(data["folder"])
    groups = {key: value for key, value in data["choices"].items() if "/" not in key}
    told = dict(word.split("=", 1) for word in words if "=" in word)
    options = [*_groups(folder, groups), *options_of(data["config"])]
    given = {key.lstrip("+~"): value_of(text) for key, text in told.items()}
    extra = ["hydra.run.dir={folder}"]
    if folder is not None and groups.get("logger", "") in (None, "null") and "logger" not in told:
        extra += [f"logger={name}" for name in _names(folder / "logger") if name == "csv"]
    return Interface(
        library="hydra",
        options=tuple(options),
        style="name=value",
        values="hydra",
        words=(*words, *extra),
        given=given,
        config=data["config"],
        own_folder=True,
    )


def _groups(folder: Path | None, chosen: Mapping[str, Any]) -> Iterator[Option]:
    """The groups of the configuration from which another file may be taken."""
    for group, default in chosen.items():
        if folder is None or group in _SURROUNDINGS:
            continue
        names = _names(folder / group)
        if len(names) > 1 and default in names:
            yield Option(group, "text", default, tuple(names), optional=True, label=group)


def _names(folder: Path) -> list[str]:
    """The configurations that a group's folder has."""
    if not folder.is_dir():
        return []
    return sorted(path.stem for path in folder.iterdir() if path.suffix in SUFFIXES)


def read_files(program: Program, words: Sequence[str]) -> Interface | None:
    """The interface as the files of the configuration say it; None if they are not found."""
    for source in program.sources:
        for call in _decorators(source.tree):
            path, name = (
                literal(keyword(call, "config_path")),
                literal(keyword(call, "config_name")),
            )
            if not isinstance(path, str) or not isinstance(name, str):
                continue
            folder = (source.path.parent / path).resolve()
            chosen: dict[str, Any] = {}
            data = _composed(folder, name, chosen, 0)
            if data:
                return interface_of(
                    {"config": data, "folder": str(folder), "choices": chosen}, words
                )
    return None


def _decorators(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and called(decorator) == "main":
                    yield decorator


def _composed(folder: Path, name: str, chosen: dict[str, Any], depth: int) -> dict[str, Any]:
    """A file of the configuration, merged with those of its defaults list."""
    path = folder / (name if name.endswith(SUFFIXES) else f"{name}.yaml")
    text = _text(path)
    own = {}
    if text:
        own = value_of(text)
    if not isinstance(own, dict) or depth > _MOST_DEPTH:
        return {}
    defaults = own.pop("defaults", [])
    merged: dict[str, Any] = {}
    is_own_last = "_self_" not in (defaults or [])
    for item in defaults or []:
        if item == "_self_":
            merged = _merged(merged, own)
            continue
        group, option = _item(item)
        if group and option:
            chosen.setdefault(group, option)
        if option:
            found = _composed(folder / group, str(option), {}, depth + 1)
            merged = _merged(merged, _placed(folder / group, str(option), group, found))
        elif group:
            chosen.setdefault(group, None)
    if is_own_last:
        return _merged(merged, own)
    return merged


def _item(item: Any) -> tuple[str, Any]:
    """The group and the file that an item of a defaults list names; nothing for an override."""
    if isinstance(item, str):
        return "", item.lstrip("/")
    if isinstance(item, dict) and len(item) == 1:
        group, option = next(iter(item.items()))
        words = str(group).split()
        if "override" in words:
            return "", None
        return words[-1].partition("@")[0].strip("/"), option
    return "", None


def _placed(folder: Path, name: str, group: str, data: dict[str, Any]) -> dict[str, Any]:
    """The content of a group's file where it belongs: under the group's name, or at the top."""
    path = folder / (name if name.endswith(SUFFIXES) else f"{name}.yaml")
    package = _PACKAGE.search(_text(path))
    if not group or (package and package[1] == "_global_"):
        return data
    for part in reversed(group.split("/")):
        data = {part: data}
    return data


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two configurations, of which the second one counts where both say something."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merged(old, value)
        else:
            merged[key] = value
    return merged
