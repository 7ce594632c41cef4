"""A training program as text: its syntax tree, and the files of its own that it imports."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from raysweep.errors import UserError

MOST_FILES = 200
"""The most files of a project that are read: enough for any program, and under a second."""
MOST_BYTES = 1_000_000
"""The largest file that is read. A program is written by hand, and smaller."""
PARENTS = 3
"""How many folders above the program's own may hold its packages, as in `project/src/train.py`."""
MODULE = "-m "
"""What stands before the name of a module that Python runs."""
_EXPECTED = "expected a Python file such as train.py"


class ProgramError(UserError):
    """A program that cannot be drafted from, in one line."""


class NothingFound(ProgramError):
    """A program that shows nothing of what it can be told."""


@dataclass(frozen=True)
class Source:
    """A file of the program with its syntax tree."""

    path: Path
    text: str
    tree: ast.Module


@dataclass(frozen=True)
class Program:
    """A training program.

    shown: what the user typed, a path or `-m package.module`. module: the module that Python runs;
    "" for a file.
    """

    shown: str
    main: Source
    module: str = ""

    @property
    def path(self) -> Path:
        return self.main.path

    @property
    def folder(self) -> Path:
        """The folder that the program runs in: its own, or that of a module's outermost package."""
        if not self.module:
            return self.path.parent
        levels = self.module.count(".") + (self.path.name == "__main__.py")
        return self.path.parents[levels]

    @cached_property
    def sources(self) -> list[Source]:
        """The program's file, then the files of its project that it imports, each once."""
        found = {self.path: self.main}
        waiting = [self.main]
        while waiting and len(found) < MOST_FILES:
            for path in self._imported(waiting.pop(0)):
                source = None
                if path not in found:
                    source = _readable(path)
                if source is not None:
                    found[path] = source
                    waiting.append(source)
        return list(found.values())

    @cached_property
    def imports(self) -> set[str]:
        """The first parts of the names of all modules that the program's files import."""
        return {
            name.split(".")[0] for source in self.sources for name in imported_names(source.tree)
        }

    def shown_place(self, source: Source, line: int) -> str:
        """A line of one of the files, for a comment."""
        if source.path.is_relative_to(self.folder):
            return f"{source.path.relative_to(self.folder)}:{line}"
        return f"{source.path.name}:{line}"

    def _imported(self, source: Source) -> Iterator[Path]:
        roots = [source.path.parent, *[self.folder, *self.folder.parents][: PARENTS + 1]]
        for name in imported_names(source.tree):
            for root in roots:
                stem = root.joinpath(*name.split("."))
                found = [stem.parent / f"{stem.name}.py", stem / "__init__.py"]
                existing = [path for path in found if path.is_file()]
                if existing:
                    yield existing[0]
                    break


def is_program(name: str) -> bool:
    """True for what is run as a program: a file, or a module as in `python -m`."""
    return name.endswith(".py") or name.startswith(MODULE)


def read_program(name: str) -> Program:
    """Read a program. Raises ProgramError if it is no file with valid Python."""
    module = ""
    path = Path(name)
    if name.startswith(MODULE):
        module = name.removeprefix(MODULE).strip()
        path = _module_file(module)
    if path.is_dir():
        raise ProgramError(f"{name}: is a directory; {_EXPECTED}")
    if not path.is_file():
        raise ProgramError(
            f"{name}: there is no such file; expected a Python file such as train.py"
        )
    if path.suffix != ".py":
        raise ProgramError(f"{name}: {_EXPECTED}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        place = name
        if line:
            place = f"{name}:{line}"
        reason = getattr(error, "msg", str(error))
        raise ProgramError(f"{place}: not valid Python: {reason}") from None
    except OSError as error:
        raise ProgramError(f"{name}: cannot be read: {error.strerror}") from None
    # Not resolved: a link to a project is what its user sees, and works on every machine.
    return Program(name, Source(Path(os.path.abspath(path)), text, tree), module)


def _module_file(module: str) -> Path:
    """The file of a module of the current folder. Raises ProgramError if there is none."""
    stem = Path(*module.split("."))
    for path in (stem / "__main__.py", stem.parent / f"{stem.name}.py"):
        if path.is_file():
            return path
    raise ProgramError(
        f"-m {module}: there is no {stem}.py in this folder; expected the name of a module, as in "
        "-m package.train"
    )


def imported_names(tree: ast.Module) -> Iterator[str]:
    """The modules that a file imports, and for `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if base:
                yield base
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _readable(path: Path) -> Source | None:
    """A file of the project; None if it is too large, or no Python that this version reads."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        text = path.read_bytes().decode("utf-8-sig")
        return Source(path, text, ast.parse(text))
    except (OSError, ValueError, SyntaxError, RecursionError):
        return None
