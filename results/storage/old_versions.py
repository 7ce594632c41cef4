"""Read what earlier versions of raysweep wrote.

This is the only module that knows of earlier versions. What it cannot translate is refused where
it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

Event = dict[str, Any]

EVENT_KEYS = {"arm": "study"}
"""Keys of a ledger's events that have another name now."""
FILE_NAMES = {"simulation.json": "contest.json"}
"""Files of a run directory that had another name."""
SIMULATION_KEYS = {"verdict": "findings", "standings": "ranking", "progress": "incumbents"}
"""Keys of `simulation.json` that have another name now."""
OLD_SCHEDULERS = {"promotion": "{name: asha, type: promotion}"}
"""Names that schedulers had, and what a specification says now."""
OLD_ASHA_TYPES = {"promotion": "promotion", "asha": "stopping"}
"""The types of the scheduler `asha` by the names that they had as two schedulers."""


NEW_OPTIONS = {"resources": {"mps": False}, "confirm": {"race": False}}
"""Options that earlier versions did not have, with what they did."""
NEW_KEYS = {"memory": "none"}
"""Keys that earlier versions did not have, with what they did."""


def translate_sweep(content: Any) -> Any:
    """The content of a run directory's `sweep.yaml` as this version writes it.

    A scheduler `asha` without a type is of an earlier version, because all options are written.
    """
    if not isinstance(content, dict) or not isinstance(content.get("scheduler"), dict):
        return content
    content = NEW_KEYS | content
    for key, options in NEW_OPTIONS.items():
        if isinstance(content.get(key), dict):
            content = content | {key: options | content[key]}
    searchers = content.get("searcher")
    if isinstance(searchers, list):
        content = content | {"searcher": [_translate_searcher(one) for one in searchers]}
    scheduler = content["scheduler"]
    name = scheduler.get("name")
    if name not in OLD_ASHA_TYPES or "type" in scheduler:
        return content
    return content | {"scheduler": scheduler | {"name": "asha", "type": OLD_ASHA_TYPES[name]}}


def _translate_searcher(searcher: Any) -> Any:
    if isinstance(searcher, dict) and searcher.get("name") == "auto":
        return {"cost": "auto"} | searcher
    return searcher


def translate_event(event: Event) -> Event:
    """An event with the keys that this version gives it."""
    if EVENT_KEYS.keys().isdisjoint(event):  # as nearly always
        return event
    return {EVENT_KEYS.get(key, key): value for key, value in event.items()}


def translate_simulation(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a `simulation.json` with the keys that this version gives it."""
    content = {SIMULATION_KEYS.get(key, key): value for key, value in content.items()}
    bands = content["incumbents"]
    if "horizon" in bands:
        content["incumbents"] = {"budget": bands["horizon"], "searchers": bands["searchers"]}
    return content


def find_file(folder: Path, name: str) -> Path:
    """The path of a file in a run directory, under its old name if only that exists."""
    old_path = folder / FILE_NAMES.get(name, name)
    if old_path.exists() and not (folder / name).exists():
        return old_path
    return folder / name
