"""How a process finds `raysweep` and a train function's file.

All of raysweep is one package, so that a user's own `tune.py` or `results/` never gets in its way.
What is left is a user's own `raysweep.py`: `start.py` lets a process find ours all the same.
A train function's file gets a module name here (`file_module`) under which every process can
import it if its own name is taken.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

NAME = "raysweep"
PACKAGE = Path(__file__).absolute().parent
START = PACKAGE / "start.py"
FILE_PREFIX = "raysweep.file"
"""First part of the name of a module that is imported by the path of its file."""


class FileFinder(MetaPathFinder):
    """Finds modules that are named by the path of their file."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.startswith(f"{FILE_PREFIX}_"):
            return spec_from_file_location(fullname, _path(fullname))
        return None


def install() -> None:
    """Let this process import modules that are named by the path of their file."""
    if not any(isinstance(finder, FileFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, FileFinder())


def users_raysweep(folders: Iterable[str | Path], excluded: Path | None = None) -> Path | None:
    """The first file or package of a user's own in `folders` that is called `raysweep`.

    None if there is none, or if raysweep itself or another copy of it comes first. `excluded` is a
    file that does not count, because it cannot mean itself.
    """
    for folder in folders:
        # `importlib.util.find_spec` would answer from `sys.modules`, where ours already is.
        spec = PathFinder.find_spec(NAME, [str(folder)])
        # A folder without `__init__.py` has no location, and hides nothing.
        if spec is not None and spec.has_location and spec.origin is not None:
            found = Path(spec.origin).resolve()
            if excluded is not None and found == excluded.resolve():
                continue
            if _is_ours(found):
                return None
            return found
    return None


def _is_ours(found: Path) -> bool:
    """True if a file is the `__init__.py` of raysweep, or of another copy of it."""
    return found.parent.name == NAME and (found.parent / START.name).is_file()


def file_module(path: Path) -> str:
    """A name under which any process that has imported `raysweep` can import a file.

    It holds the absolute path itself, so that a process started by spawn or forkserver needs to be
    told nothing else, and it is an identifier, as TorchScript wants it.
    """
    return FILE_PREFIX + re.sub(
        rb"[^A-Za-z0-9]", lambda found: b"_%02x" % found[0][0], str(path).encode()
    ).decode("ascii")


def _path(name: str) -> str:
    """The path in a name that `file_module` made."""
    coded = name.removeprefix(FILE_PREFIX).encode()
    return re.sub(rb"_(..)", lambda found: bytes([int(found[1], 16)]), coded).decode()


def program(module: str, *arguments: str) -> list[str]:
    """The command that runs a module's `main` in a process of its own, like `python -m`.

    Unlike there, nothing in the current folder is taken for raysweep.
    """
    return [sys.executable, str(START), module, *arguments]
