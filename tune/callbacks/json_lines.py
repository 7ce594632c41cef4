"""Events as JSON lines, for another program: `--json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TextIO

from raysweep.history import Event
from raysweep.tune.callbacks.base import Observer
from raysweep.tune.controller import SweepController


class JsonLines(Observer):
    """Prints one JSON object per event. Non-finite numbers are null."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def on_event(self, event: Event, controller: SweepController) -> None:
        print(json.dumps(_finite(event), allow_nan=False), file=self._out, flush=True)

    def say(self, line: str) -> None:
        print(json.dumps({"event": "message", "text": line}), file=self._out, flush=True)

    def close(self, controller: SweepController) -> None:
        self._out.flush()


def _finite(value: Any) -> Any:
    """The value with None in place of every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
