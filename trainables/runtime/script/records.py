"""What a script says at once, whatever it says it with: numbers by name, and a position."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from raysweep.report_interval import Unit
from raysweep.text_limits import visible

POSITIONS: Mapping[Unit, tuple[str, ...]] = {
    "epochs": ("epoch", "train/epoch"),
    "steps": (
        "step",
        "global_step",
        "train/global_step",
        "trainer/global_step",
        "steps",
        "iteration",
        "iter",
        "_step",
    ),
    "samples": ("samples", "n_samples", "num_samples", "sample"),
    "seconds": (),
}
"""What loggers call the position in each unit, in whatever case. The first that is there counts."""
INTERNAL = ("_step", "_runtime", "_timestamp", "_wandb")
"""What W&B adds to everything that is logged. It is no metric of the user's."""
FRACTIONAL = ("eval_runtime", "train_runtime")
"""Marks of transformers' Trainer, whose epochs are amounts: epoch 0 is before the first step."""
NAME_CHARACTERS = 200
"""The longest name of a metric, as the driver accepts it."""
MOST_METRICS = 200
"""The most numbers that are kept of what is said at once. Each is a column of the tables."""
MOST_NESTED = 8
"""How deep numbers are looked for in nested mappings."""
TEXT_CHARACTERS = 64
"""The longest text that is read as a number."""


@dataclass(frozen=True, slots=True)
class Record:
    """Numbers that a script said at once.

    `position`: where the script was, in the unit of the budget; None if it did not say.
    `counted`: the position is a whole number of epochs, and may count them from 0.
    `firm`: False for the state of a progress bar, which the next state may overwrite.
    `problem`: why the metric, which was said, cannot be used.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    position: float | None = None
    counted: bool = False
    firm: bool = True
    problem: str = ""


def record_of(
    values: Mapping[str, Any],
    metric: str | None,
    unit: Unit,
    *,
    step: float | None = None,
    firm: bool = True,
) -> Record:
    """The record of a mapping such as a JSON object, a row of a table, or a pattern's groups.

    A nested mapping `{"val": {"loss": 1}}` gives `val/loss`. `step` is the position if the mapping
    names none, whatever the unit.
    """
    flat = dict(islice(_flat(values), MOST_METRICS))
    numbers = ((name, number_of(value)) for name, value in flat.items())
    metrics = {name: number for name, number in numbers if number is not None}
    position, counted = _position(flat, metrics, unit)
    if position is None and step is not None and unit != "seconds":
        position, counted = step, unit == "epochs"
    for name in INTERNAL:
        metrics.pop(name, None)
    problem = ""
    named = find_metric(flat, metric)
    if metric is not None and named is not None:
        if named in metrics:
            metrics[metric] = metrics.pop(named)
        else:
            kind = type(flat[named]).__name__
            shown = f"{flat[named]!r:.60}"
            problem = visible(f"the metric '{metric}' is {shown}, a {kind}; expected a number")
    return Record(metrics, position, counted, firm, problem)


def _position(
    flat: Mapping[str, Any], metrics: dict[str, float], unit: Unit
) -> tuple[float | None, bool]:
    """The position, which is taken out of the metrics, and whether it counts epochs."""
    key = position_key(metrics, unit)
    if key is None or not math.isfinite(metrics[key]):
        return None, False
    is_amount = any(name in flat for name in FRACTIONAL)
    counted = unit == "epochs" and is_whole(flat[key]) and not is_amount
    return metrics.pop(key), counted


def find_metric(names: Mapping[str, Any], metric: str | None) -> str | None:
    """The name under which the metric is there; None if it is not.

    A name with another separator is the same: `val.loss` is `val/loss`, and `val_loss`, which is
    how the group of a pattern must be called.
    """
    if metric is None or metric in names:
        return metric
    wanted = _separated(metric)
    return next((name for name in names if _separated(name) == wanted), None)


def _separated(name: str) -> str:
    return re.sub(r"\W", "_", name)


def position_key(names: Mapping[str, Any], unit: Unit) -> str | None:
    """The name of the position in this unit; None if none is there."""
    by_lower = {name.lower(): name for name in names}
    return next((by_lower[name] for name in POSITIONS[unit] if name in by_lower), None)


def number_of(value: Any) -> float | None:
    """A value as a number, also if it is written as text; None if it is no number."""
    if isinstance(value, str):
        if len(value) > TEXT_CHARACTERS:
            return None
        value = value.strip()
    elif not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:  # a whole number beyond the largest float
        return math.inf if value > 0 else -math.inf


def is_whole(value: Any) -> bool:
    """True for a whole number, also as text; 1.0 is none, because it may be an amount."""
    if isinstance(value, str):
        return value.strip().isdecimal()
    return isinstance(value, int) and not isinstance(value, bool)


def _flat(values: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The values with the names of nested ones joined by a slash."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            if depth < MOST_NESTED:
                yield from _flat(value, f"{name}/", depth + 1)
        elif isinstance(value, str | int | float):
            yield visible(name)[:NAME_CHARACTERS], value
