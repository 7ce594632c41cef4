"""The code that a sweep trains with: the trainable's file, and the modules that it imports."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from raysweep.references import is_script
from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.import_trainable import split_reference
from raysweep.trainables.runtime.imported_files import follow_imports

INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Source:
    """A trainable's file, the folder from which it imports, and the folder that bounds its code."""

    file: Path
    root: Path
    bound: Path


def digests(trainable: str, root: Path | None = None) -> dict[str, str]:
    """A digest of each file, by its path below the project; {} if the trainable has no source here.

    `root`: the folder from which a script imports, if it is not its own.

    Only what is written as an import counts, and only modules of the same project: the folder of a
    file that is named by its path, else the folder that holds the package. Of an installed package
    only the package itself is looked at.
    """
    source = _source(trainable, root)
    if source is None:
        return {}
    files = {source.file}
    imports = follow_imports(source.file, [source.root], type_checking=True, within=source.bound)
    for found in imports:
        files.update(found.files)
    return {
        path.relative_to(source.root).as_posix(): digest(path.read_bytes())
        for path in sorted(files)
    }


def digest(content: bytes) -> str:
    """Sixteen hexadecimal digits that tell contents apart."""
    return hashlib.sha256(content).hexdigest()[:16]


def _source(trainable: str, folder: Path | None) -> Source | None:
    place = split_reference(trainable)[0]
    if place.endswith(pickled_function.SUFFIX):
        place = str(Path(place).with_name(pickled_function.SOURCE))
    if place.endswith(".py") or is_script(trainable):
        file = Path(place).resolve()
        if not file.is_file():
            return None
        return _bounded(file, folder or file.parent)
    try:
        spec = importlib.util.find_spec(place)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    file = Path(spec.origin).absolute()
    parents_of_root = place.count(".") + (file.name == "__init__.py")
    return _bounded(file, file.parents[parents_of_root])


def _bounded(file: Path, root: Path) -> Source:
    """A file below `root`: of an installed package, the package bounds its code."""
    if any(name in root.parts for name in INSTALLED):
        return Source(file, root, root / file.relative_to(root).parts[0])
    return Source(file, root, root)
