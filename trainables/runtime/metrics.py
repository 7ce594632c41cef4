"""The metrics of a report, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Metrics = dict[str, float]


class ReportError(ValueError):
    """A report that cannot be used: the objective is missing, or a value is not a number."""


def clean_metrics(metrics: Mapping[str, Any], objective: str | None) -> Metrics:
    """Metrics as plain floats.

    Raises ReportError, which names what was reported, if the objective is missing or a value is not
    a number.
    """
    if objective is not None and objective not in metrics:
        names = ", ".join(sorted(metrics)) or "nothing"
        raise ReportError(f"the metric '{objective}' was not reported; reported: {names}")
    return {name: _number(name, value) for name, value in metrics.items()}


def _number(name: str, value: Any) -> float:
    item = getattr(value, "item", None)
    if callable(item):
        try:
            value = item()
        except (ValueError, RuntimeError):
            raise ReportError(
                f"the metric '{name}' has more than one element; report a mean or another number"
            ) from None
    if isinstance(value, bool | int | float):
        return float(value)
    raise ReportError(
        f"the metric '{name}' is {value!r}, a {type(value).__name__}; expected a number"
    )
