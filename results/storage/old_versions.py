"""What earlier versions of raysweep wrote, in the words of this one.

This is the only module that knows of earlier versions. What it cannot translate is refused where
it is read.
"""

from __future__ import annotations

from typing import Any

Event = dict[str, Any]

EVENT_KEYS = {"arm": "study"}
"""Keys of a ledger's events that have another name now."""


def translate_event(event: Event) -> Event:
    """An event with the keys that this version gives it."""
    return {EVENT_KEYS.get(key, key): value for key, value in event.items()}
