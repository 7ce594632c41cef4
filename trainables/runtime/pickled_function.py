"""A train function that lies in no file, kept by value in the run directory: `train_function.pkl`.

A function of a notebook cell, an interactive session or another function cannot be imported by a
worker, so cloudpickle writes its code and what it uses. Loading such a file runs the code in it. It
is trusted as the `.py` file of a train function is: load run directories of people whose code you
would run.

What is written: the folder from which its imports are found, and by their names the train function
and the functions of its module that raysweep calls besides (`OTHERS`).
"""

from __future__ import annotations

import inspect
import os
import pickle
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep.files import atomic_write

SUFFIX = ".pkl"
NAME = f"train_function{SUFFIX}"
SOURCE = "train_function.py"
"""The source of the function beside its pickle: to be read, and to see whether it changed."""
OTHERS = ("build", "evaluate", "draw", "preload", "prepare_data")
"""What raysweep looks for in the module of a train function."""


def dumps(function: Callable[..., Any], folder: str) -> bytes:
    """A train function by value, with the others of its module. Raises what cloudpickle raises."""
    import cloudpickle

    around: Mapping[str, Any] = getattr(function, "__globals__", {})
    others = {name: around[name] for name in OTHERS if callable(around.get(name))}
    content = cloudpickle.dumps({**others, "train": function})
    return pickle.dumps({"folder": folder, "functions": content})


def source_of(function: Callable[..., Any]) -> str:
    """The text of a function; "" if there is none, as in a plain interactive session."""
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return ""


def write(folder: Path, content: bytes, source: str) -> Path:
    """Write a pickled function into a run directory. Returns its path."""
    path = folder / NAME
    atomic_write(path, content)
    atomic_write(folder / SOURCE, source)
    return path


def read(folder: Path) -> tuple[bytes, str] | None:
    """What `write` wrote into a run directory; None if it holds no pickled function."""
    if not (folder / NAME).is_file():
        return None
    return (folder / NAME).read_bytes(), (folder / SOURCE).read_text(encoding="utf-8")


def load(path: Path) -> ModuleType:
    """A module with the functions of a file that `write` wrote: `train`, and some of `OTHERS`.

    Runs the code in the file. Raises whatever that code raises.
    """
    saved = pickle.loads(path.read_bytes())
    if os.path.isdir(saved["folder"]) and saved["folder"] not in sys.path:
        sys.path.insert(0, saved["folder"])
    module = ModuleType("train_function")
    vars(module).update(pickle.loads(saved["functions"]))
    return module
