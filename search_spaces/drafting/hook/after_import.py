"""Follows what a program imports, and calls a function with a module once it is imported."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

Action = Callable[[ModuleType], None]
IMPORTING = "importing"
"""The file beside the answer that names the module which is being imported."""
SECONDS = 0.5
"""How often the file is written at most."""


class ImportProgress(MetaPathFinder):
    """A finder that finds nothing, and writes down what is looked for: a sign of progress."""

    def __init__(self, file: Path) -> None:
        self._file, self._written = file, 0.0

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if time.monotonic() - self._written < SECONDS:
            return
        # Whatever fails here, such as a recursion limit of the program's, is no end of its import.
        with contextlib.suppress(Exception):
            self._written = time.monotonic()
            self._file.write_text(name, encoding="utf-8")


class AfterImport(MetaPathFinder):
    """A finder that lets the others find a module, and wraps the loader that they give."""

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self._actions = actions

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._actions:
            return None
        for finder in sys.meta_path:
            spec = None
            if finder is not self:
                spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Wrapped(spec.loader, self._actions[name])
                return spec
        return None


class _Wrapped(Loader):
    """The loader of a module, and what is called after it."""

    def __init__(self, loader: Loader, action: Action) -> None:
        self._loader, self._action = loader, action

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._action(module)

    def __getattr__(self, name: str) -> object:
        """What else a loader offers, such as `get_source` for tracebacks."""
        return getattr(self._loader, name)
