"""From `"my_package.my_module:train"` or `"path/to/train.py:train"` to the function; `"path/to/train.py"` is a script, run as it is."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep.errors import UserError
from raysweep.finder import NAME, file_module
from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.imported_files import hidden_import, parsed

SHIPPED = ("cnn", "mlp", "text", "transfer")
"""The trainables that come with raysweep: `cnn:train` is short for `raysweep.trainables.cnn:train`.

A user's own module of such a name is called by its file, `cnn.py:train`, or in its package.
"""


_imported: ContextVar[str] = ContextVar("imported", default="")
"""The reference of the train function that is being imported, if one is."""


class TrainableError(UserError):
    """A trainable that is not there, in one line."""


def check_not_importing() -> None:
    """Raise TrainableError if a train function's file is being imported: it would start a sweep.

    A trial's process imports the file of its train function. A sweep that starts there would start
    trials that import the file again, and so on.
    """
    if reference := _imported.get():
        raise TrainableError(
            f"{reference.rpartition(':')[0]} starts a sweep when a trial imports it: put that "
            'under `if __name__ == "__main__":`'
        )


@contextmanager
def _importing(reference: str) -> Iterator[None]:
    token = _imported.set(reference)
    try:
        yield
    finally:
        _imported.reset(token)


def check(reference: str) -> None:
    """Raise TrainableError where the module or the function is missing. Reads the source only: nothing is imported, no torch waited for."""
    place, name = split_reference(reference)
    if place.endswith(pickled_function.SUFFIX):
        return
    path = Path(place) if place.endswith(".py") else _source(place)
    if path is None:
        return
    if not path.is_file():
        raise TrainableError(f"trainable '{reference}': there is no file {place}")
    try:
        tree = parsed(path)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise TrainableError(
            f"trainable '{reference}': {path}{line} is not valid Python: {error}"
        ) from None
    names = _names(tree)
    if name and name not in names and "*" not in names:
        raise TrainableError(
            f"trainable '{reference}': {place} has no '{name}'{_suggestion(name, names)}"
        )
    if name and (found := hidden_import(path.absolute(), _root(place, path))):
        raise TrainableError(f"trainable '{reference}': {found}")


def _root(place: str, path: Path) -> Path:
    """The folder from which a file, or a module that lies in it, imports what is beside it."""
    if place.endswith(".py"):
        return path.resolve().parent
    return path.absolute().parents[place.count(".") + (path.name == "__init__.py")]


def load(reference: str) -> tuple[Callable[..., Any], ModuleType]:
    """The train function and its module. TrainableError where it is not there or does not import."""
    place, name = split_reference(reference)
    if not name:
        return _script(Path(place))
    try:
        with _importing(reference):
            module = _module(place)
    except TrainableError:
        raise
    except Exception as error:
        raise TrainableError(
            f"trainable '{reference}' does not import: {type(error).__name__}: {error}"
            f"{_taken(error)}"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise TrainableError(
            f"trainable '{reference}': {place} has no function '{name}'{_suggestion(name, vars(module))}"
        )
    return function, module


def _module(place: str) -> ModuleType:
    """The module of that name, in that file, or with the functions that were pickled there."""
    if place.endswith(".py"):
        return _from_file(Path(place))
    if place.endswith(pickled_function.SUFFIX):
        return pickled_function.load(Path(place))
    return importlib.import_module(place)


def _taken(error: Exception) -> str:
    """What to do about an import of a user's own module that is called `raysweep`."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    return f"; '{NAME}' is this tool's own package: rename yours" if name == NAME else ""


def _script(path: Path) -> tuple[Callable[..., Any], ModuleType]:
    from raysweep.trainables.runtime import script

    if not path.is_file():
        raise TrainableError(f"trainable: there is no file {path}")
    return partial(script.train, path.resolve()), script


def split_reference(reference: str) -> tuple[str, str]:
    """The module or file, and the function in it; "" for a script. TrainableError if it is neither."""
    if reference.endswith(".py"):
        return reference, ""
    place, _, name = full_name(reference).rpartition(":")
    if not place or not name.isidentifier():
        raise TrainableError(
            f"trainable '{reference}': expected package.module:function or path/to/file.py:function"
        )
    return place, name


def full_name(reference: str) -> str:
    """The reference with a shipped trainable's module written out."""
    short = reference.removeprefix("trainables.")
    return f"raysweep.trainables.{short}" if short.partition(":")[0] in SHIPPED else reference


def _source(module: str) -> Path | None:
    """The source file of a module; None where it is not plain Python. Importing it is left to the workers."""
    importlib.invalidate_caches()  # the file may have been written a moment ago
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        spec = None
    if spec is None and module.partition(".")[0] == NAME:
        raise TrainableError(
            f"trainable: raysweep has no module '{module}'; if it is yours, rename your package, "
            "or name its file, path/to/file.py:function"
        )
    if spec is None:
        raise TrainableError(
            f"trainable: there is no module '{module}'; is its project on the Python path?"
        )
    return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None


def _names(tree: ast.Module) -> set[str]:
    """What a module defines at its top level, `*` for a star import."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def _suggestion(name: str, names: Any) -> str:
    near = difflib.get_close_matches(name, [one for one in names if not one.startswith("_")], n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _from_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise TrainableError(f"trainable: there is no file {path}")
    importlib.invalidate_caches()  # the file may have been written a moment ago
    name = _module_name(path)
    __import__(name)  # as an import statement does, without importlib's frames in a traceback
    return sys.modules[name]


def _module_name(path: Path) -> str:
    """The name under which a train function's file is imported, here and in the processes that it starts: its own, if that is free.

    Its folder comes first on the path for imports, as it does for a script. But a file that is called as a module that is in use here
    already, such as `random.py`, must not take that module's place in those processes: its folder comes last.
    """
    name, folder = path.stem, str(path.parent)
    sys.path[:] = [place for place in sys.path if os.path.realpath(place) != folder]
    loaded = sys.modules.get(name)
    if loaded is not None and _file(loaded) != path and _is_installed(name, loaded):
        sys.path.append(folder)
    else:
        sys.path.insert(0, folder)
    return name if "." not in name and _found(name) == path else file_module(path)


def _found(name: str) -> Path | None:
    """The file that `import name` gives in this process."""
    if name == NAME or name in sys.modules:
        return _file(sys.modules[name]) if name in sys.modules else None
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).resolve() if spec and spec.has_location and spec.origin else None


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file else None


def _is_installed(name: str, module: ModuleType) -> bool:
    """Whether a module belongs to Python, or to a package that was installed, and not to a user's own folder."""
    if name in sys.stdlib_module_names or name == NAME:
        return True
    file, paths = _file(module), sysconfig.get_paths()
    installed = [Path(paths[kind]).resolve() for kind in ("stdlib", "purelib", "platlib")]
    return file is not None and any(file.is_relative_to(folder) for folder in installed)
