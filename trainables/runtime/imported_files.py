"""Follows the imports of a user's file by reading its source. Nothing is imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.finder import NAME, PACKAGE, users_raysweep


@dataclass(frozen=True)
class Import:
    """A module that a file imports, or a name in a module.

    `name` is `a.b` for `import a.b` and for `from a import b`. A relative import has a leading dot.
    `files` are those that the import runs in the folders that are searched: of the packages on the
    way and of the module. `()` if the module lies elsewhere.
    """

    file: Path
    line: int
    name: str
    files: tuple[Path, ...]


def hidden_import(path: Path, root: Path) -> str | None:
    """One line that says what is wrong if a train function's file imports a user's own `raysweep`.

    The files that it imports from the user's own folders count too: `root`, from which its imports
    start, and the current folder. None if nothing is wrong.
    """
    folders = [root, Path.cwd()]
    hidden = users_raysweep([*folders, *sys.path], excluded=path)
    if hidden is None or path.is_relative_to(PACKAGE):
        return None
    for found in follow_imports(path, folders, type_checking=False):
        if found.name.partition(".")[0] == NAME:
            return (
                f"{found.file}:{found.line} imports '{found.name}', and this tool's own package "
                f"'{NAME}' hides {hidden}: rename that file or folder"
            )
    return None


def follow_imports(
    start: Path, folders: Sequence[Path], *, type_checking: bool, within: Path | None = None
) -> Iterator[Import]:
    """All imports of a file, of the files in `folders` that these run, of their imports, and so on.

    `type_checking`: also what is imported under `if TYPE_CHECKING`. `within`: only files in this
    folder are named and followed.
    """
    waiting, seen = [start], {start.resolve()}
    while waiting:
        for found in _imports(waiting.pop(), folders, type_checking, within):
            yield found
            for file in found.files:
                if file.resolve() not in seen:
                    seen.add(file.resolve())
                    waiting.append(file)


def parse(path: Path) -> ast.Module:
    """Parse a file as Python reads it, with a byte order mark or a coding line.

    Raises SyntaxError or ValueError if it is not valid Python.
    """
    return ast.parse(path.read_bytes(), str(path))


def _imports(
    file: Path, folders: Sequence[Path], type_checking: bool, within: Path | None
) -> Iterator[Import]:
    try:
        tree = parse(file)
    except (OSError, SyntaxError, ValueError):
        return  # the import itself will say what is wrong
    for node in _statements(tree, type_checking):
        for name, starts in _imported_names(node, file, folders):
            files = _files(name.removeprefix("."), starts)
            yield Import(
                file,
                getattr(node, "lineno", 0),
                name,
                tuple(path for path in files if within is None or path.is_relative_to(within)),
            )


def _imported_names(
    node: ast.AST, file: Path, folders: Sequence[Path]
) -> Iterator[tuple[str, Sequence[Path]]]:
    """The names that an import statement imports, and the folders in which each is searched."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, folders
    elif isinstance(node, ast.ImportFrom):
        prefix = f"{node.module}." if node.module else ""
        for alias in node.names:
            if node.level:
                yield f".{prefix}{alias.name}", [file.parents[node.level - 1]]
            else:
                yield prefix + alias.name, folders


def _statements(node: ast.AST, type_checking: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        if type_checking or not for_types:
            yield child
            yield from _statements(child, type_checking)


def _files(name: str, folders: Sequence[Path]) -> list[Path]:
    """The files that an import of `a.b.c` runs: of the packages `a` and `a.b`, and of the module.

    `c` may be a name in `a.b` instead of a module. The first folder that has any of them counts,
    as on the path for imports.
    """
    parts = name.split(".")
    for folder in folders:
        places = [folder.joinpath(*parts[: i + 1]) for i in range(len(parts))]
        files = [file for place in places if (file := _source(place)) is not None]
        if files:
            return files
    return []


def _source(place: Path) -> Path | None:
    """The file of the package or module at `place`, a path without ending."""
    for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if file.is_file():
            return file.absolute()
    return None
