"""Hyperparameter tuning for PyTorch on Ray.

    import raysweep as rs

    sweep = rs.Sweep(
        trainable="train.py:train",
        space={"lr": rs.Float(1e-4, 1.0, log=True), "width": rs.Int(16, 256, log=True)},
        metric="val_accuracy",
        budget={"trials": 20, "epochs": 9},
    )
    run = sweep.run()
    run.best.config

`Study` is for a training loop of your own, and `load` reads a run directory. `config` and `report`
are for a script that a sweep runs. A `Recipe` is a train function in parts, of which several trials
can be trained as one. Importing this package loads neither Ray nor torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from raysweep.errors import UserError
from raysweep.finder import install

if TYPE_CHECKING:
    from raysweep.integrations.script import config, report
    from raysweep.results import load
    from raysweep.search_spaces.file.python_form import Choice, Float, Int, Ordinal
    from raysweep.trainables.fused.recipe import Recipe
    from raysweep.trainables.runtime.run import Run
    from raysweep.tune.api import Sweep
    from raysweep.tune.study import Study

__all__ = [
    "Choice",
    "Float",
    "Int",
    "Ordinal",
    "Recipe",
    "Run",
    "Study",
    "Sweep",
    "UserError",
    "config",
    "load",
    "report",
]

_HOMES = {
    "Choice": "raysweep.search_spaces.file.python_form",
    "Float": "raysweep.search_spaces.file.python_form",
    "Int": "raysweep.search_spaces.file.python_form",
    "Ordinal": "raysweep.search_spaces.file.python_form",
    "Recipe": "raysweep.trainables.fused.recipe",
    "Run": "raysweep.trainables.runtime.run",
    "Study": "raysweep.tune.study",
    "Sweep": "raysweep.tune.api",
    "config": "raysweep.integrations.script",
    "load": "raysweep.results",
    "report": "raysweep.integrations.script",
}
"""The module of each public name. It is imported when the name is first used."""

# Here, so that every process that has imported raysweep can import a train function's file.
install()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
