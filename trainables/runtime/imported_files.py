"""What a train function's file imports, read from its source: a user's own `raysweep` is hidden by ours."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raysweep.finder import NAME, PACKAGE, users_raysweep


def hidden_import(path: Path, root: Path) -> str | None:
    """One line that says what is wrong if a train function's file imports a user's own `raysweep`.

    The files that it imports from its own folders count too: `root`, from which its imports start,
    and the current one.
    """
    folders = [root, Path.cwd()]
    hidden = users_raysweep([*folders, *sys.path], excluded=path)
    if hidden is None or path.is_relative_to(PACKAGE):
        return None
    for found in _reached(path, folders):
        if found.top == NAME:
            return (
                f"{found.file}:{found.line} imports '{found.name}', and this tool's own package "
                f"'{NAME}' hides {hidden}: rename that file or folder"
            )
    return None


@dataclass(frozen=True)
class Import:
    """A module that a file imports, or a name in a module: `a.b` for `import a.b` and for `from a import b`."""

    file: Path
    line: int
    name: str

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


def _reached(start: Path, folders: list[Path]) -> Iterator[Import]:
    """All imports of a file, and of the files in `folders` that it imports, of those that they import, and so on."""
    waiting, seen = [start], {start}
    while waiting:
        file = waiting.pop()
        for one, files in _imports(file, folders):
            yield one
            fresh = [found for found in files if found not in seen]
            seen.update(fresh)
            waiting += fresh


def _imports(file: Path, folders: list[Path]) -> Iterator[tuple[Import, list[Path]]]:
    """The imports of a file, each with the files in `folders` that it runs. Relative ones are named `.`; no package of ours hides them."""
    try:
        tree = parsed(file)
    except (OSError, SyntaxError, ValueError):
        return  # the import itself will tell
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name), _files(alias.name, folders)
        elif isinstance(node, ast.ImportFrom):
            starts = [file.parents[node.level - 1]] if node.level else folders
            dots = "." if node.level else ""
            for alias in node.names:
                name = f"{node.module}.{alias.name}" if node.module else alias.name
                yield Import(file, node.lineno, dots + name), _files(name, starts)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """What may run: all but `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)):
            yield child
            yield from _executed(child)


def _files(name: str, folders: list[Path]) -> list[Path]:
    """The files that an import of `a.b.c` runs: of the packages `a` and `a.b`, and of the module.

    `c` may be no module but a name in `a.b`.
    """
    parts = name.split(".")
    for folder in folders:
        files = [_source(folder.joinpath(*parts[: i + 1])) for i in range(len(parts))]
        if any(files):
            return [file.resolve() for file in files if file]
    return []


def _source(place: Path) -> Path | None:
    """The file of the package or module at `place`, a path without ending."""
    for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if file.is_file():
            return file
    return None


def parsed(path: Path) -> ast.Module:
    """A Python file as Python reads it, a byte order mark or a coding line included. SyntaxError or ValueError if it is none."""
    return ast.parse(path.read_bytes(), str(path))
