"""A made-up run folder: what a sweep would have left behind, written through the ledger itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysweep.results.storage.ledger import Ledger

BEGAN = 1_700_000_000.0
WHERE = {"node": "here", "device": "cpu", "pid": 1}


@dataclass
class Story:
    """One trial: its metric by epoch, and how it ended (`running`: it has not)."""

    study: str
    values: list[float]
    config: dict[str, Any] = field(default_factory=dict)
    status: str = "completed"
    reason: str = ""


def write_run(
    folder: Path,
    stories: list[Story],
    *,
    goal: str = "maximize",
    seeds: int = 1,
    epochs: int = 3,
    **sweep: Any,
) -> Path:
    """Write `sweep.yaml` and a ledger of these stories, one after another, an epoch per second."""
    from ruamel.yaml import YAML

    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "trainable": "trainables.cnn:train",
        "metric": {"name": "acc", "goal": goal},
        "seed": 7,
        "seeds": seeds,
    }
    YAML(typ="safe", pure=True).dump(
        content | {"budget": {"epochs": epochs}, "space": {}} | sweep, folder / "sweep.yaml"
    )
    ledger, clock = Ledger(folder), BEGAN
    counts: dict[str, int] = {}
    for story in stories:
        number = counts[story.study] = counts.get(story.study, -1) + 1
        name = f"{story.study}-{number}"
        ledger.append(
            {
                "event": "proposed",
                "study": story.study,
                "number": number,
                "config": story.config,
                "seed": 11,
                "time": clock,
            }
        )
        ledger.append({"event": "started", "trial": name, "time": clock})
        for epoch, value in enumerate(story.values, 1):
            clock += 1.0
            loss = math.inf if math.isnan(value) else (-value if goal == "maximize" else value)
            report = {
                "epoch": epoch,
                "loss": loss,
                "metrics": {"acc": value},
                "seconds": float(epoch),
            }
            ledger.append(
                {"event": "reported", "trial": name, **report, "time": clock, "notes": WHERE}
            )
        if story.status != "running":
            ledger.append(
                {
                    "event": "ended",
                    "trial": name,
                    "status": story.status,
                    "reason": story.reason,
                    "time": clock,
                }
            )
    ledger.close()
    return folder
