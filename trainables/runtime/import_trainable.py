"""Finds the train function that a reference names.

`my_package.my_module:train` names a function in a module, `path/to/train.py:train` a function in a
file, and `path/to/train.py` (or any other file) a script, which is run as it is.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep.errors import UserError, did_you_mean
from raysweep.finder import NAME, file_module
from raysweep.references import is_script
from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.imported_files import hidden_import, parse
from raysweep.trainables.runtime.recipe_keys import missing_key

SHIPPED = ("cnn", "mlp", "text", "transfer")
"""The trainables that come with raysweep: `cnn:train` is short for `raysweep.trainables.cnn:train`.

A user's own module of such a name is called by its file, `cnn.py:train`, or in its package.
"""


_imported: ContextVar[str] = ContextVar("imported", default="")
"""The reference of the train function that is being imported, if one is."""


class TrainableError(UserError):
    """A trainable that does not exist or does not import, in one line."""


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


def check(reference: str, keys: Collection[str] | None = None) -> None:
    """Raise TrainableError if the module or the function is missing.

    Or if it is a recipe that reads a key of the configuration which is not among `keys`; None if
    these are not known. Only the source is read. Nothing is imported, so that a mistake is found
    without waiting for torch.
    """
    place, name = split_reference(reference)
    if place.endswith(pickled_function.SUFFIX):
        return
    path: Path | None = Path(place)
    if name and not place.endswith(".py"):
        path = _source(place)
    if path is None:
        return
    if not path.is_file():
        raise TrainableError(f"trainable '{reference}': there is no file {place}")
    if not name and path.suffix != ".py":
        return  # its launcher knows the language that it is written in
    try:
        tree = parse(path)
    except (SyntaxError, ValueError) as error:
        shown = str(path)
        if line := getattr(error, "lineno", None):
            shown = f"{path}:{line}"
        raise TrainableError(
            f"trainable '{reference}': {shown} is not valid Python: {error}"
        ) from None
    if not name:
        return
    # A star import may bring any name, so only the import itself can tell.
    names = _names(tree)
    if name not in names and "*" not in names:
        raise TrainableError(
            f"trainable '{reference}': {place} has no '{name}'{_suggestion(name, names)}"
        )
    hidden = hidden_import(path.absolute(), _root(place, path))
    if hidden:
        raise TrainableError(f"trainable '{reference}': {hidden}")
    read = None if keys is None else missing_key(tree, name, keys)
    if keys is not None and read is not None:
        raise TrainableError(
            f"trainable '{reference}': {read.part} reads config['{read.key}'] "
            f"({path.name}:{read.line}), and the space has no '{read.key}'"
            f"{did_you_mean(read.key, keys)}"
        )


def _root(place: str, path: Path) -> Path:
    """The folder from which a train function's module imports what lies beside it."""
    if place.endswith(".py"):
        return path.resolve().parent
    return path.absolute().parents[place.count(".") + (path.name == "__init__.py")]


def load(reference: str) -> tuple[Callable[..., Any], ModuleType]:
    """Import the train function and its module. Raises TrainableError if that fails."""
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
            f"{_rename_advice(error)}"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise TrainableError(
            f"trainable '{reference}': {place} has no function '{name}'"
            f"{_suggestion(name, vars(module))}"
        )
    return function, module


def _module(place: str) -> ModuleType:
    """The module of that name, in that file, or with the functions that were pickled there."""
    if place.endswith(".py"):
        return _from_file(place)
    if place.endswith(pickled_function.SUFFIX):
        return pickled_function.load(Path(place))
    return importlib.import_module(place)


def _rename_advice(error: Exception) -> str:
    """What to do about an import of a user's own module that is called `raysweep`; else ""."""
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == NAME:
        return f"; '{NAME}' is this tool's own package: rename yours"
    return ""


def _script(path: Path) -> tuple[Callable[..., Any], ModuleType]:
    from raysweep.trainables.runtime.script import train as script

    if not path.is_file():
        raise TrainableError(f"trainable: there is no file {path}")
    return partial(script.train, path.resolve()), script


def split_reference(reference: str) -> tuple[str, str]:
    """Split a reference into the module or file and the function, which is "" for a script.

    Raises TrainableError if it is no such reference.
    """
    if is_script(reference):
        return reference, ""
    place, _, name = full_name(reference).rpartition(":")
    if not place or not name.isidentifier():
        raise TrainableError(
            f"trainable '{reference}': expected package.module:function or path/to/file.py:function"
        )
    return place, name


def full_name(reference: str) -> str:
    """The reference with the whole module name of a shipped trainable."""
    short = reference.removeprefix("trainables.")
    if short.partition(":")[0] in SHIPPED:
        return f"raysweep.trainables.{short}"
    return reference


def same_function(reference: str, other: str) -> bool:
    """True if two references name the same file's function, wherever that file lies.

    A sweep that is sent to a cluster has its file in another folder there.
    """
    return full_name(reference).rpartition("/")[2] == full_name(other).rpartition("/")[2]


def _source(module: str) -> Path | None:
    """The source file of a module; None if it is not plain Python, which only workers import.

    Raises TrainableError if there is no such module.
    """
    importlib.invalidate_caches()  # the file may have been written a moment ago
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        # `find_spec` imports the packages on the way, and raises if one of them is no package.
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
    if not spec.origin or not spec.origin.endswith(".py"):
        return None  # an extension module, or a package without `__init__.py`
    return Path(spec.origin)


def _names(tree: ast.Module) -> set[str]:
    """The names that a module defines; `*` among them if it has a star import."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def _suggestion(name: str, names: Iterable[str]) -> str:
    return did_you_mean(name, [found for found in names if not found.startswith("_")])


def _from_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise TrainableError(f"trainable: there is no file {path}")
    importlib.invalidate_caches()  # the file may have been written a moment ago
    name = _module_name(path)
    __import__(name)  # as an import statement does, without importlib's frames in a traceback
    return sys.modules[name]


def _module_name(path: Path) -> str:
    """The name under which a train function's file is imported: its own, if that is free.

    The processes that a train function starts import it under the same name. Its folder comes first
    on the path for imports, as it does for a script. But a file with the name of a module that is
    in use here already, such as `random.py`, must not take that module's place in those processes,
    so its folder comes last.
    """
    name, folder = path.stem, str(path.parent)
    # Removed first: it may be there already, at another place than it should be.
    sys.path[:] = [place for place in sys.path if os.path.realpath(place) != folder]
    loaded = sys.modules.get(name)
    if loaded is not None and _file(loaded) != path and _is_installed(name, loaded):
        sys.path.append(folder)
    else:
        sys.path.insert(0, folder)
    if "." in name or _found(name) != path:
        return file_module(path)
    return name


def _found(name: str) -> Path | None:
    """The file that `import name` imports in this process; None if it is no file."""
    if name in sys.modules:
        return _file(sys.modules[name])
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.has_location or not spec.origin:
        return None
    return Path(spec.origin).resolve()


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file else None


def _is_installed(name: str, module: ModuleType) -> bool:
    """True if a module belongs to Python or to an installed package, not to a user's folder."""
    if name in sys.stdlib_module_names or name == NAME:
        return True
    file, paths = _file(module), sysconfig.get_paths()
    installed = [Path(paths[kind]).resolve() for kind in ("stdlib", "purelib", "platlib")]
    return file is not None and any(file.is_relative_to(folder) for folder in installed)
