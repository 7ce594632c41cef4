"""Evaluates a trained model: an export in a fresh process, or the best epoch on the test split.

Both need two functions of the train module beside `train`: `build(config)`, which gives the
untrained model, and `evaluate(config, model, split="validation")`, which gives its metrics.

As a program (`python -m raysweep.trainables.runtime.evaluate ray_results/cnn/best`) it prints one
JSON object: `metrics`, or `why` there are none. With a second folder the model is also drawn there
for TensorBoard: its weights, and what the module's `draw(config, model, board)` shows, if it has
that function. `undrawn` says what went wrong with the drawing.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

# Imported here and not where they are used: as a program, this module is imported before Python
# finds what lies in the current folder, where a user's own `random.py` would break torch's import.
import torch
from ruamel.yaml import YAML

from raysweep.errors import first_line
from raysweep.trainables.runtime import checkpoint
from raysweep.trainables.runtime.import_trainable import TrainableError, load
from raysweep.trainables.runtime.tensorboard import Board


def evaluate_export(folder: Path, drawing: Path | None = None) -> dict[str, Any]:
    """`{"metrics": {...}}` of the model in an export folder.

    `{"why": reason}` if its trainable does not import or lacks a function; what `build` and
    `evaluate` raise is raised.
    """
    state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    config = YAML(typ="safe", pure=True).load(folder / "config.yaml") or {}
    about = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    reference = about["trainable"]
    try:
        _, module = load(reference)
    except TrainableError as error:
        return {"why": str(error)}
    missing = missing_functions(module)
    if missing:
        return {"why": f"{reference.rpartition(':')[0]} has no {missing}"}
    model = module.build(config)
    model.load_state_dict(state)
    result: dict[str, Any] = {"metrics": _metrics(module, config, model, "validation")}
    if drawing is not None:
        board = Board(drawing, hurried=False)
        result |= _draw(module, config, model, board, about["epoch"])
    return result


def evaluate_on_test_split(
    folder: Path, module: ModuleType, config: dict[str, Any], device: str
) -> dict[str, Any]:
    """`{"test": metrics}` of the best epoch in a trial's folder, or `{"untested": reason}`.

    No selection has seen the test split. Called after a training whose job asks for it.
    """
    missing = missing_functions(module)
    if missing:
        return {"untested": f"{module.__name__} has no {missing}"}
    try:
        content = checkpoint.load(folder / checkpoint.BEST)
        model = module.build(config).to(device)
        model.load_state_dict(content["model_state_dict"])
        return {"test": _metrics(module, config, model, "test")}
    except Exception as error:
        return {"untested": _in_one_line(error)}


def missing_functions(module: ModuleType) -> str:
    """What a train module lacks for an evaluation: `build`, `evaluate`, `build and no evaluate`."""
    names = ("build", "evaluate")
    return " and no ".join(name for name in names if not callable(getattr(module, name, None)))


def _metrics(
    module: ModuleType, config: dict[str, Any], model: Any, split: str
) -> dict[str, float]:
    metrics = module.evaluate(config, model, split=split)
    return {name: float(value) for name, value in metrics.items()}


def _draw(
    module: ModuleType, config: dict[str, Any], model: Any, board: Board, epoch: int
) -> dict[str, str]:
    """Draw a model. `{"undrawn": why}` if that fails, which is no reason to doubt the model."""
    board.epoch = epoch
    try:
        with contextlib.closing(board):
            board.histograms(model)
            if callable(getattr(module, "draw", None)):
                module.draw(config, model, board)
    except Exception as error:
        return {"undrawn": _in_one_line(error)}
    return {}


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def main() -> None:
    print(json.dumps(evaluate_export(*map(Path, sys.argv[1:]))))


if __name__ == "__main__":
    main()
