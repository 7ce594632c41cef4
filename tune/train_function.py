"""From a function in Python to the reference that workers load it by.

A function that a module or a file defines is named by its place, as in YAML. A function of the
script itself is named by the script's file. A function that no import can reach, of a notebook cell
or of another function, travels by value.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep.errors import UserError, first_line
from raysweep.finder import FILE_PREFIX
from raysweep.trainables.runtime import pickled_function


class FunctionError(UserError):
    """A train function that cannot be sent to workers."""


@dataclass(frozen=True)
class TrainFunction:
    """A train function: its `reference`, and what the run directory needs if it is by value.

    `content` is the pickled function, b"" if it is not by value; `source` is its text.
    """

    reference: str
    content: bytes = b""
    source: str = ""

    def written(self, folder: Path) -> str:
        """Write the function into a run directory if it is by value, and return its reference."""
        if not self.content:
            return self.reference
        path = pickled_function.write(folder, self.content, self.source)
        return f"{path.resolve()}:{self.reference.rpartition(':')[2]}"


def train_function(trainable: Callable[..., Any] | str) -> TrainFunction:
    """How workers load a train function. Raises FunctionError if it cannot be pickled."""
    if isinstance(trainable, str):
        return TrainFunction(trainable)
    if not callable(trainable):
        raise FunctionError(
            f"trainable: expected a function or its reference, got {type(trainable).__name__}"
        )
    if found := reference_of(trainable):
        return TrainFunction(found)
    try:
        content = pickled_function.dumps(trainable, str(main_folder()))
    except Exception as error:
        raise FunctionError(
            "trainable: the function cannot be sent to workers: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    return TrainFunction(
        f"{pickled_function.NAME}:train", content, pickled_function.source_of(trainable)
    )


def main_folder() -> Path:
    """The folder of the running script; in a notebook or a shell, the current folder."""
    file = _main_file()
    return file.parent if file is not None else Path.cwd()


def main_name() -> str:
    """The name of the running script without its ending; in a notebook or a shell, `sweep`."""
    file = _main_file()
    return file.stem if file is not None else "sweep"


def _main_file() -> Path | None:
    """The running script; None in a notebook or a shell."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return Path(file).resolve() if file and file.endswith(".py") else None


def reference_of(thing: Any) -> str | None:
    """`package.module:name` or `path/to/file.py:name` of a function, a class or a recipe.

    None if no import finds it.
    """
    # A recipe is an object. It lies in the module of its parts.
    named = thing if hasattr(thing, "__name__") else getattr(thing, "build", thing)
    module = sys.modules.get(getattr(named, "__module__", ""))
    name = getattr(thing, "__name__", "")
    if module is not None and not name:
        name = "".join([found for found, held in vars(module).items() if held is thing][:1])
    if module is None or getattr(module, name, None) is not thing:
        return None
    file = str(getattr(module, "__file__", None) or "")
    is_file = bool(file) and _is_defined_in(named, file)
    if module.__name__ == "__main__":
        return _in_main(module, file, name) if is_file else None
    if is_file and (module.__name__.startswith(FILE_PREFIX) or _is_loose(module)):
        return f"{Path(file).resolve()}:{name}"
    return f"{module.__name__}:{name}"


def _in_main(module: ModuleType, file: str, name: str) -> str:
    """The reference of what the running script defines; `python -m package.module` has a module."""
    spec = getattr(module, "__spec__", None)
    if spec is not None and "." in spec.name and not spec.name.endswith("__main__"):
        return f"{spec.name}:{name}"
    return f"{Path(file).resolve()}:{name}"


def _is_defined_in(thing: Any, file: str) -> bool:
    """True if the source of a function or class is in that file, and not in a notebook cell."""
    try:
        return os.path.realpath(inspect.getfile(thing)) == os.path.realpath(file)
    except (OSError, TypeError):
        return False


def _is_loose(module: ModuleType) -> bool:
    """True for a module of the user's that lies in no package: it is found by its file alone."""
    file = Path(str(module.__file__))
    return not module.__package__ and not any(
        part in ("site-packages", "dist-packages") for part in file.parts
    )
