"""Imports wandb: the installed one with a patch, or a stand-in for a program that needs it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from types import FrameType, ModuleType
from typing import Any

INSTALLED = ("site-packages", "dist-packages")
FIND_SPEC = ("<frozen importlib.util>", os.path.join("importlib", "util.py"))
"""Where `importlib.util.find_spec` is, in Python from 3.11 on and before."""
STAND_IN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "raysweep_wandb_stand_in.py")


def find(finder: Any, name: str, path: Any, target: Any) -> Any:
    """The spec of wandb or of a module of it; None if the other finders find what there is."""
    if name != "wandb":
        if not getattr(sys.modules.get("wandb"), "IS_STAND_IN", False):
            return None
        part: Any = _PartLoader()
        return importlib.machinery.ModuleSpec(name, part, is_package=True)
    spec = _found(finder, name, path, target)
    if spec is not None and spec.loader is not None and spec.origin is not None:
        spec.loader = _PatchingLoader(spec.loader)
        return spec
    # The folder `wandb`, which W&B makes for its runs, is found too: a package without a file.
    if _must_be_there():
        return importlib.util.spec_from_file_location(
            "wandb", STAND_IN, submodule_search_locations=[]
        )
    return None


def _found(finder: Any, name: str, path: Any, target: Any) -> Any:
    for other in sys.meta_path:
        find_spec = getattr(other, "find_spec", None)
        if other is not finder and find_spec is not None:
            spec = find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


class _PatchingLoader:
    """Loads a module as its own loader does, and patches it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        import raysweep_wandb_patch

        raysweep_wandb_patch.prepare()
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        raysweep_wandb_patch.patch(module)


class _PartLoader:
    """Loads a part of the stand-in, such as `wandb.integration`, which has whatever is asked."""

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, "__getattr__", sys.modules["wandb"].__getattr__)  # noqa: B010


def _must_be_there() -> bool:
    """True if the program itself imports wandb, and cannot go on without.

    A library that looks whether wandb is installed, and a program that catches the ImportError,
    should find that it is not.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_machinery(frame):
        if frame.f_code.co_filename.endswith(FIND_SPEC):
            return False  # it only asks
        frame = frame.f_back
    if frame is None:
        return False
    file = os.path.abspath(frame.f_code.co_filename)
    if any(part in INSTALLED for part in file.split(os.sep)) or _is_standard(file):
        return False
    return not _is_guarded(file, frame.f_lineno)


def _is_machinery(frame: FrameType) -> bool:
    """True for the frames of the import itself."""
    file = frame.f_code.co_filename
    return (
        file.startswith("<frozen importlib")
        or os.path.basename(os.path.dirname(file)) == "importlib"
        or os.path.dirname(os.path.abspath(file)) == os.path.dirname(STAND_IN)
    )


def _is_standard(file: str) -> bool:
    return file.startswith(os.path.dirname(os.__file__) + os.sep)


def _is_guarded(file: str, line: int) -> bool:
    """True if an import stands in a `try` that catches the ImportError."""
    import ast

    try:
        with open(file, "rb") as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):  # a program that is not a file
        return False
    return any(
        isinstance(node, ast.Try)
        and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0)
        and any(_catches(handler.type) for handler in node.handlers)
        for node in ast.walk(tree)
    )


def _catches(kind: Any) -> bool:
    """True if a handler for this type of exception catches an ImportError."""
    import ast

    if kind is None:
        return True
    if isinstance(kind, ast.Tuple):
        return any(_catches(part) for part in kind.elts)
    name = getattr(kind, "id", "")
    return name in ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
