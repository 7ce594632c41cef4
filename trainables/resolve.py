"""From `"my_package.my_module:train"` or `"path/to/train.py:train"` to the function; `"path/to/train.py"` is a script, run as it is."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any


class TrainableError(ValueError):
    """A trainable that is not there, in one line."""


def check(reference: str) -> None:
    """Raise TrainableError where the module or the function is missing. Reads the source only: nothing is imported, no torch waited for."""
    place, name = _split(reference)
    path = Path(place) if place.endswith(".py") else _source(place)
    if path is None:
        return
    if not path.is_file():
        raise TrainableError(f"trainable '{reference}': there is no file {place}")
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        raise TrainableError(
            f"trainable '{reference}': {path}{line} is not valid Python: {error}"
        ) from None
    names = _names(tree)
    if name and name not in names and "*" not in names:
        raise TrainableError(
            f"trainable '{reference}': {place} has no '{name}'{_suggestion(name, names)}"
        )


def load(reference: str) -> tuple[Callable[..., Any], ModuleType]:
    """The train function and its module. TrainableError where it is not there or does not import."""
    place, name = _split(reference)
    if not name:
        return _script(Path(place))
    try:
        module = (
            _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        )
    except TrainableError:
        raise
    except Exception as error:
        raise TrainableError(
            f"trainable '{reference}' does not import: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise TrainableError(
            f"trainable '{reference}': {place} has no function '{name}'{_suggestion(name, vars(module))}"
        )
    return function, module


def _script(path: Path) -> tuple[Callable[..., Any], ModuleType]:
    from trainables import script

    if not path.is_file():
        raise TrainableError(f"trainable: there is no file {path}")
    return partial(script.train, path.resolve()), script


def _split(reference: str) -> tuple[str, str]:
    """The module or file, and the function in it; "" for a script."""
    if reference.endswith(".py"):
        return reference, ""
    place, _, name = reference.rpartition(":")
    if not place or not name.isidentifier():
        raise TrainableError(
            f"trainable '{reference}': expected package.module:function or path/to/file.py:function"
        )
    return place, name


def _source(module: str) -> Path | None:
    """The source file of a module; None where it is not plain Python. Importing it is left to the workers."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        spec = None
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
    name = f"_raysweep_{path.stem}_{abs(hash(str(path))):x}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise TrainableError(f"trainable: there is no file {path}")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
