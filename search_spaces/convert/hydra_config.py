"""Where a Hydra file lies among its project's configuration, and what its defaults choose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice, takewhile
from pathlib import Path as FilePath
from typing import Any

from raysweep.search_spaces.convert.draft import Draft

_ROOTS = re.compile(r"\.?(?:hydra_?)?(?:conf|config|cfg)s?", re.IGNORECASE)
"""What projects call the folder of their configuration."""
_PACKAGE = re.compile(r"#\s*@package\s+\S+")
_ENTRY = re.compile(r"(?:optional\s+|override\s+)*(/?)([^@]*)(@.*)?")
_SWEEPER = re.compile(r"^\s*-\s*(?:override\s+)?/?hydra/sweeper\s*:\s*(\w+)", re.MULTILINE)
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
MOST_LEVELS = 6
"""How many folders above the file may be the one of the configuration."""
MOST_FILES = 100
"""How many files of a folder are searched for the name of a group."""


@dataclass(frozen=True)
class Default:
    """An entry of a `defaults` list. `absolute`: with a slash before the group."""

    group: str
    option: Any
    absolute: bool
    index: int


def defaults(draft: Draft) -> Iterator[Default]:
    """The entries of the `defaults` list that choose an option of a group."""
    found = draft.source.data.get("defaults")
    for i, one in enumerate(found if isinstance(found, list) else []):
        if isinstance(one, dict):
            for key, option in one.items():
                match = _ENTRY.fullmatch(key)
                if match:
                    yield Default(match.group(2), option, bool(match.group(1)), i)
        elif isinstance(one, str) and one != "_self_":
            yield Default("", one, one.startswith("/"), i)


def filled(data: dict[str, Any], value: Any) -> Any:
    """A value of the file in which references to scalars of the same file are filled in."""
    if isinstance(value, dict):
        return {key: filled(data, one) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(data, one) for one in value]
    if not isinstance(value, str):
        return value
    alone = _REFERENCE.fullmatch(value)
    if alone:
        return _referred(data, alone)
    return _REFERENCE.sub(lambda found: str(_referred(data, found)), value)


def _referred(data: dict[str, Any], found: re.Match[str]) -> Any:
    """The scalar of the file that is referred to; the reference itself if it has none."""
    target: Any = data
    for part in found.group(1).split("."):
        target = target.get(part) if isinstance(target, dict) else None
    if target is None or isinstance(target, dict | list) or "${" in str(target):
        return found.group()
    return target


@dataclass(frozen=True)
class Selection:
    """How a file is chosen on the command line: the option of a group.

    root: the folder of the configuration, if it is found. declared: whether a file there names the
    group in its defaults, so that no `+` is needed.
    """

    group: str
    option: str
    root: FilePath | None
    declared: bool

    @property
    def word(self) -> str:
        return f"{'' if self.declared else '+'}{self.group}={self.option}"


def is_option(draft: Draft) -> bool:
    """Whether a file is the option of a group, not the one that the script names itself."""
    comments = takewhile(
        lambda line: line.startswith(("#", "---")) or not line,
        (line.strip() for line in draft.text.splitlines()),
    )
    return any(_PACKAGE.match(line) for line in comments) or any(
        one.absolute for one in defaults(draft)
    )


def selection(draft: Draft) -> Selection:
    """How the script is told to take this file."""
    path, root = _path(draft), root_of(draft)
    folders = list(path.parents)[1:MOST_LEVELS]
    for folder in folders[: folders.index(root) + 1] if root in folders else folders:
        parts = path.with_suffix("").relative_to(folder).parts
        for i in range(len(parts) - 1, 0, -1):
            group, option = "/".join(parts[:i]), "/".join(parts[i:])
            if _declares(folder, group):
                return Selection(group, option, folder, True)
    if root is None or root == path.parent:
        return Selection(path.parent.name, path.stem, None, False)
    return Selection(path.parent.relative_to(root).as_posix(), path.stem, root, False)


def root_of(draft: Draft) -> FilePath | None:
    """The nearest folder above the file that is called as those of configurations are."""
    folders = list(_path(draft).parents)[:MOST_LEVELS]
    return next((one for one in folders if _ROOTS.fullmatch(one.name)), None)


def sweeper_of_project(draft: Draft) -> str | None:
    """The sweeper that the project's own configuration names, if all that name it agree."""
    root = selection(draft).root or root_of(draft)
    found = {match.group(1) for text in _texts(root) for match in _SWEEPER.finditer(text)}
    return found.pop() if len(found) == 1 else None


def options(draft: Draft, group: str, include: list[str], exclude: list[str]) -> list[str]:
    """The options of a group beside the file whose names fit the patterns, sorted."""
    root = selection(draft).root or root_of(draft) or _path(draft).parent
    names = sorted(file.stem for file in (root / group).glob("*.yaml"))
    return [
        name
        for name in names
        if any(fnmatch(name, pattern) for pattern in include)
        and not any(fnmatch(name, pattern) for pattern in exclude)
    ]


def _path(draft: Draft) -> FilePath:
    return (draft.folder / FilePath(draft.source.name).name).absolute()


def _declares(root: FilePath, group: str) -> bool:
    """Whether a file of a folder has the group among its defaults."""
    entry = re.compile(
        rf"^\s*-\s*(?:optional\s+|override\s+)*/?{re.escape(group)}(?:@\S*)?\s*:", re.MULTILINE
    )
    return any(entry.search(text) for text in _texts(root))


def _texts(folder: FilePath | None) -> Iterator[str]:
    """The texts of the YAML files that lie right in a folder."""
    for file in islice(folder.glob("*.yaml") if folder else (), MOST_FILES):
        with suppress(OSError):
            yield file.read_text(encoding="utf-8", errors="replace")
