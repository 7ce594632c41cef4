"""Components that a user writes or installs: searchers, schedulers, callbacks and executors.

A YAML file names a component in one of three ways: by the short name of a class that raysweep
ships, by a short name that an installed package registers as an entry point (in the group
`raysweep.searchers`, `raysweep.schedulers`, `raysweep.callbacks` or `raysweep.executors`), or by
the place of its class, `package.module:Class` or `path/to/file.py:Class`.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep.errors import UserError, did_you_mean, first_line
from raysweep.finder import file_module, install


class PluginError(UserError):
    """A component that cannot be found, imported or used. The message is one line."""


@dataclass(frozen=True)
class Seam:
    """A kind of component, and the methods that each class of this kind must have."""

    name: str
    methods: tuple[str, ...]

    @property
    def group(self) -> str:
        """The entry point group in which installed packages register classes of this kind."""
        return f"raysweep.{self.name}s"


SEARCHER = Seam("searcher", ("suggest",))
SCHEDULER = Seam("scheduler", ("levels", "decide", "promote"))
CALLBACK = Seam("callback", ("on_event",))
EXECUTOR = Seam("executor", ("run",))


@dataclass(frozen=True)
class Component:
    """A class that a file names.

    `reference` names it in every folder: a file's path is absolute. `label` is a name for it that
    is safe in file names; a study is called by it.
    """

    kind: type[Any]
    reference: str
    label: str


def shipped(package: str, seam: Seam) -> dict[str, type[Any]]:
    """The components that the modules of a package define, by their short names.

    A component is a dataclass with the methods of the seam. Its short name is its attribute
    `short_name` if it has one, else the name of its class in lower case.
    """
    found: dict[str, type[Any]] = {}
    for info in pkgutil.iter_modules(sys.modules[package].__path__):
        module = importlib.import_module(f"{package}.{info.name}")
        for kind in vars(module).values():
            # A class that the module merely imports belongs to another module.
            if _is_component(kind, seam) and kind.__module__ == module.__name__:
                found[getattr(kind, "short_name", kind.__name__.lower())] = kind
    return found


def _is_component(kind: object, seam: Seam) -> bool:
    return (
        inspect.isclass(kind)
        and dataclasses.is_dataclass(kind)
        and all(hasattr(kind, method) for method in seam.methods)
    )


def find_component(
    seam: Seam, name: str, known: Mapping[str, type[Any]], folders: Iterable[Path] = ()
) -> Component:
    """The component that a file names.

    `known`: the shipped ones by their short names. `folders`: where a file with a relative path is
    looked for. Raises PluginError if there is no such component or it cannot be used.
    """
    if name in known:
        return Component(known[name], name, name)
    # Before the entry points: a reference is never a short name, and reading them takes a while.
    if ":" in name:
        return _referenced(seam, name, folders)
    registered = {point.name: point for point in entry_points(group=seam.group)}
    if name in registered:
        return Component(_registered(seam, registered[name]), name, _label(name))
    names = {*known, *registered}
    if not names:
        raise PluginError(
            f"{seam.name} '{name}': expected package.module:Class or path/to/file.py:Class"
        )
    raise PluginError(
        f"unknown {seam.name} '{name}'; expected one of {', '.join(sorted(names))}"
        f"{did_you_mean(name, names)}"
    )


def _referenced(seam: Seam, name: str, folders: Iterable[Path]) -> Component:
    """The class at `package.module:Class` or `path/to/file.py:Class`."""
    place, _, attribute = name.rpartition(":")
    if not place or not attribute.isidentifier():
        raise PluginError(
            f"{seam.name} '{name}': expected package.module:Class or path/to/file.py:Class"
        )
    if place.endswith(".py"):
        place = str(_existing(seam, name, place, folders))
    try:
        module = _module(place)
    except Exception as error:  # a module may raise anything when it is imported
        raise PluginError(
            f"{seam.name} '{name}' does not import: {type(error).__name__}: {first_line(error)}"
        ) from error
    kind = getattr(module, attribute, None)
    if kind is None:
        near = [known for known, value in vars(module).items() if _is_component(value, seam)]
        raise PluginError(
            f"{seam.name} '{name}': there is no class '{attribute}' in {place}"
            f"{did_you_mean(attribute, near)}"
        )
    return Component(_usable(seam, name, kind), f"{place}:{attribute}", _label(attribute))


def _existing(seam: Seam, name: str, place: str, folders: Iterable[Path]) -> Path:
    """The absolute path of a file, which is looked for in each of the folders."""
    for folder in folders:
        if (folder / place).is_file():
            return (folder / place).resolve()
    if Path(place).is_absolute() and Path(place).is_file():
        return Path(place).resolve()
    raise PluginError(
        f"{seam.name} '{name}': there is no file '{place}' beside the specification, "
        "nor in the current folder"
    )


def _module(place: str) -> ModuleType:
    """Import a module, or a file by its absolute path.

    The current folder, or the file's own, comes last on the path for imports, so that it takes the
    place of no installed module.
    """
    importlib.invalidate_caches()  # the file may have been written a moment ago
    name, folder = place, Path.cwd()
    if place.endswith(".py"):
        install()
        name, folder = file_module(Path(place)), Path(place).parent
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return importlib.import_module(name)


def _registered(seam: Seam, point: EntryPoint) -> type[Any]:
    """The class that an installed package registered."""
    try:
        kind = point.load()
    except Exception as error:  # as above
        raise PluginError(
            f"{seam.name} {point.name} ({point.value}) does not import: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    return _usable(seam, point.name, kind)


def _usable(seam: Seam, name: str, kind: Any) -> type[Any]:
    """The class itself. Raises PluginError if it is not a component of this kind."""
    if not inspect.isclass(kind) or not dataclasses.is_dataclass(kind):
        # Fields are how the options of a file find their names, types and defaults.
        raise PluginError(
            f"{seam.name} '{name}': expected a dataclass, whose fields are the options"
        )
    missing = [method for method in seam.methods if not callable(getattr(kind, method, None))]
    if missing:
        raise PluginError(f"{seam.name} '{name}': the class has no method '{missing[0]}'")
    return kind


def _label(name: str) -> str:
    """A name in lower case that holds letters, digits and underscores only."""
    return re.sub(r"\W", "_", name.lower())
