"""Appends what is logged to the file of reports that a script has (`RAYSWEEP_REPORTS`)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
"""What launchers call the number of a process. The first that is set counts."""


class Logged:
    """What one run has logged. All its processes may log; the first one reports."""

    def __init__(self) -> None:
        self._file = os.environ.get("RAYSWEEP_REPORTS", "")
        if rank() != 0:
            self._file = ""
        self._names: set[str] = set()
        self.is_finished = False

    def log(self, data: Any, step: Any = None) -> None:
        """Report numbers. A step that the program does not name counts calls, and is left out."""
        if not isinstance(data, Mapping):
            return
        values = numbers(data)
        self._names.update(values)
        position = number(step)
        if position is not None and values:
            values["_step"] = position
        self._write(values)

    def summary(self, data: Mapping[str, Any]) -> None:
        """Report the numbers of a summary that were never logged."""
        values = {name: value for name, value in numbers(data).items() if name not in self._names}
        self._names.update(values)
        self._write({name: value for name, value in values.items() if not name.startswith("_")})

    def _write(self, values: Mapping[str, float]) -> None:
        if values and self._file:
            with open(self._file, "a") as file:
                file.write(json.dumps(values) + "\n")


def rank() -> int:
    """The number of this process among those that train together."""
    for name in RANKS:
        text = os.environ.get(name, "")
        if text.isdigit():
            return int(text)
    return 0


def numbers(data: Mapping[Any, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a mapping. Names of nested ones are joined by a slash; images are left out."""
    found: dict[str, float] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            found.update(numbers(value, f"{prefix}{name}/"))
            continue
        found_number = number(value)
        if found_number is not None:
            found[f"{prefix}{name}"] = found_number
    return found


def number(value: Any) -> float | None:
    """A number, a numpy scalar or a tensor of one element as a number; None for anything else."""
    if callable(getattr(type(value), "item", None)):
        try:
            value = value.item()
        except Exception:  # it has more than one element, or is something of the user's
            return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return (
            value  # a whole number stays one: an epoch that is 0 counts, one that is 0.0 measures
        )
    return None
