"""Evaluates an exported model again, in a process that knows nothing else: `python -m trainables.verify ray_results/cnn/best`.

Needs of the train module two functions beside `train`: `build(config)`, which gives the untrained model, and
`evaluate(config, model, split="validation")`, which gives its metrics. Prints one JSON object: `metrics`, or `why` there are none.

With a second folder the model is drawn there for TensorBoard: its weights, and what the module's `draw(config, model, board)` shows, where
it has one; `undrawn` says what went wrong.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML

from raysweep.trainables.runtime.board import Board
from raysweep.trainables.runtime.import_trainable import TrainableError, load


def verify(folder: Path, drawing: Path | None = None) -> dict[str, Any]:
    """`{"metrics": {...}}` of the model in an export folder, or `{"why": reason}` where it loads but cannot be evaluated."""
    state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    config = YAML(typ="safe", pure=True).load(folder / "config.yaml") or {}
    about = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    reference = about["trainable"]
    try:
        _, module = load(reference)
    except TrainableError as error:
        return {"why": str(error)}
    missing = [name for name in ("build", "evaluate") if not callable(getattr(module, name, None))]
    if missing:
        return {"why": f"{reference.rpartition(':')[0]} has no {' and no '.join(missing)}"}
    model = module.build(config)
    model.load_state_dict(state)
    metrics = {
        name: float(value)
        for name, value in module.evaluate(config, model, split="validation").items()
    }
    return {"metrics": metrics} | (
        _drawn(module, config, model, Board(drawing, hurried=False), about["epoch"])
        if drawing
        else {}
    )


def _drawn(
    module: Any, config: dict[str, Any], model: Any, board: Board, epoch: int
) -> dict[str, str]:
    """Draw; `{"undrawn": why}` where that fails, which is no reason to doubt the model."""
    board.epoch = epoch
    try:
        with contextlib.closing(board):
            board.histograms(model)
            if callable(getattr(module, "draw", None)):
                module.draw(config, model, board)
    except Exception as error:
        return {"undrawn": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
    return {}


def main() -> None:
    print(json.dumps(verify(*map(Path, sys.argv[1:]))))


if __name__ == "__main__":
    main()
