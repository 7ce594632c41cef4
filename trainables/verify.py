"""Evaluates an exported model again, in a process that knows nothing else: `python -m trainables.verify ray_results/cnn/best`.

Needs of the train module two functions beside `train`: `build(config)`, which gives the untrained model, and
`evaluate(config, model, split="validation")`, which gives its metrics. Prints one JSON object: `metrics`, or `why` there are none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from trainables.resolve import TrainableError, load


def verify(folder: Path) -> dict[str, Any]:
    """`{"metrics": {...}}` of the model in an export folder, or `{"why": reason}` where it loads but cannot be evaluated."""
    import torch
    from ruamel.yaml import YAML

    state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    config = YAML(typ="safe", pure=True).load(folder / "config.yaml") or {}
    reference = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["trainable"]
    try:
        _, module = load(reference)
    except TrainableError as error:
        return {"why": str(error)}
    missing = [name for name in ("build", "evaluate") if not callable(getattr(module, name, None))]
    if missing:
        return {"why": f"{reference.rpartition(':')[0]} has no {' and no '.join(missing)}"}
    model = module.build(config)
    model.load_state_dict(state)
    return {"metrics": {name: float(value) for name, value in module.evaluate(config, model, split="validation").items()}}


def main() -> None:
    print(json.dumps(verify(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
