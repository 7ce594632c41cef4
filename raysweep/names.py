"""The names of raysweep's packages, and where Python finds them: in the folder that this package lies in, and nowhere else.

A train function's file may get a name here as well (`file_module`): the one under which every process can import it when its own
name is taken.
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

NAMES = ("raysweep", "results", "schedulers", "search_spaces", "trainables", "tune")
ROOT = Path(__file__).resolve().parent.parent
START = Path(__file__).resolve().with_name("start.py")
FILE = "raysweep.file"
"""What the name of a module begins with that is imported by the path of its file."""


class Finder(MetaPathFinder):
    """Finds raysweep's packages in `ROOT`, and modules that are named by the path of their file."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname in NAMES:
            return PathFinder.find_spec(fullname, [str(ROOT)])
        if fullname.startswith(f"{FILE}_"):
            return spec_from_file_location(fullname, _path(fullname))
        return None


def pin() -> None:
    """Have this process take raysweep's packages from `ROOT`. ImportError if it has taken one from elsewhere already."""
    for name in NAMES:
        module = sys.modules.get(name)
        if module is not None and not is_ours(name, module):
            raise ImportError(
                f"'{name}' is {_place(module)} in this process, and raysweep has a package of that name: "
                "rename yours, or import raysweep's first"
            )
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


def is_ours(name: str, module: ModuleType) -> bool:
    """Whether the module of that name is raysweep's package."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(ROOT / name)


def _place(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or str(getattr(module, "__path__", "built in"))


def elsewhere(name: str, folders: Iterable[str | Path], apart: Path | None = None) -> Path | None:
    """The file that `import name` would give without raysweep: the first in `folders`, a package's `__init__.py` included.

    `apart`: a file that does not count, because it cannot mean itself. None if there is no such file, or if raysweep's own comes first,
    or another copy of it.
    """
    for folder in folders:
        spec = PathFinder.find_spec(name, [str(folder)])
        if spec is not None and spec.has_location and spec.origin is not None:
            found = Path(spec.origin).resolve()
            if found != apart:
                is_copy = (found.parent.parent / "raysweep" / START.name).is_file()
                return None if found.is_relative_to(ROOT / name) or is_copy else found
    return None


def file_module(path: Path) -> str:
    """A name under which any process that has imported `raysweep` can import the file at an absolute path.

    It holds the path itself, so that a process started by spawn or forkserver needs to be told nothing else, and it is an identifier,
    as TorchScript wants it.
    """
    return FILE + re.sub(
        rb"[^A-Za-z0-9]", lambda found: b"_%02x" % found[0][0], str(path).encode()
    ).decode("ascii")


def _path(name: str) -> str:
    """The path in a name that `file_module` made."""
    coded = name.removeprefix(FILE).encode()
    return re.sub(rb"_(..)", lambda found: bytes([int(found[1], 16)]), coded).decode()


def program(module: str, *arguments: str) -> list[str]:
    """The command that runs a module's `main` in a process of its own, as `python -m` would, but for names in the current folder."""
    return [sys.executable, str(START), module, *arguments]
