"""What a trained model is worth on the test split, which no selection has seen. Called after a training whose job says so.

Needs of the train module what an export needs (`trainables/runtime/evaluate.py`): `build(config)`
and `evaluate(config, model, split="test")`.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep.trainables.runtime.checkpoint import BEST, load


def tested(folder: Path, module: ModuleType, config: dict[str, Any], device: str) -> dict[str, Any]:
    """`{"test": metrics}` of the best epoch in a trial's folder, or `{"untested": reason}`."""
    missing = [name for name in ("build", "evaluate") if not callable(getattr(module, name, None))]
    if missing:
        return {"untested": f"{module.__name__} has no {' and no '.join(missing)}"}
    try:
        content = load(folder / BEST)
        model = module.build(config).to(device)
        model.load_state_dict(content["model_state_dict"])
        metrics = module.evaluate(config, model, split="test")
        return {"test": {name: float(value) for name, value in metrics.items()}}
    except Exception as error:
        return {"untested": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
