"""The code that a sweep trains with: the trainable's file, and the modules beside it that it imports."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.import_trainable import split_reference

INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Source:
    """A file, the folder from which its modules are imported, and the folder that bounds what is looked at."""

    file: Path
    root: Path
    bound: Path


def digests(trainable: str) -> dict[str, str]:
    """A digest of each file, by its path below the project; {} if the trainable has no source here.

    Only what is written as an import counts, and only modules of the same project: the folder of a
    file that is named by its path, else the folder that holds the package. Of an installed package
    only the package itself is looked at.
    """
    source = _source(trainable)
    if source is None:
        return {}
    found, waiting = {source.file}, [source.file]
    while waiting:
        new = set(_beside(waiting.pop(), source)) - found
        found |= new
        waiting += new
    return {
        path.relative_to(source.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted(found)
    }


def _source(trainable: str) -> Source | None:
    place = split_reference(trainable)[0]
    if place.endswith(pickled_function.SUFFIX):
        place = str(Path(place).with_name(pickled_function.SOURCE))
    if place.endswith(".py"):
        file = Path(place).resolve()
        return Source(file, file.parent, file.parent) if file.is_file() else None
    try:
        spec = importlib.util.find_spec(place)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    file = Path(spec.origin).absolute()
    package = file.parent if file.name == "__init__.py" else file
    root = package.parents[place.count(".")]
    installed = any(name in root.parts for name in INSTALLED)
    return Source(file, root, root / place.split(".")[0] if installed else root)


def _beside(file: Path, source: Source) -> Iterator[Path]:
    """The files of the same project that a file imports."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # whoever imports it says what is wrong
    for node in ast.walk(tree):
        for folder, name in _imported(node, file, source.root):
            for path in _files(folder, name):
                if path.is_relative_to(source.bound):
                    yield path


def _imported(node: ast.AST, file: Path, root: Path) -> Iterator[tuple[Path, str]]:
    """What an import statement may mean: a dotted name below a folder."""
    if isinstance(node, ast.Import):
        yield from ((root, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        folder = file.parents[node.level - 1] if node.level else root
        module = node.module or ""
        yield folder, module
        yield from ((folder, f"{module}.{alias.name}".lstrip(".")) for alias in node.names)


def _files(folder: Path, name: str) -> Iterator[Path]:
    """The files that importing a dotted name runs: those of its packages, and its own."""
    place = folder
    for part in filter(None, name.split(".")):
        place = place / part
        for path in (place.with_name(f"{part}.py"), place / "__init__.py"):
            if path.is_file():
                yield path.absolute()
