"""What is kept of earlier runs: configurations, and where each of them stood among its own.

A parameter of an earlier run is matched with one of this sweep by name, kind and scale. Their
ranges may differ: a value outside of the range lies beyond the unit interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysweep.arrays import FloatArray, IntArray
from raysweep.history import History, Status, Trial
from raysweep.repeats import REPEATS
from raysweep.search_spaces.language.params import (
    Choice,
    Float,
    Int,
    Ordinal,
    Param,
    RangeOrValues,
    is_number,
)
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.rung_quantiles import rung_quantiles

MAX_TRIALS = 100
"""So many trials of a run are kept: half of them the best, the others spread over the ranks."""
LEAST_TRIALS = 10
"""A run with fewer trials that reached a rung tells too little."""
DIGITS = 6
"""Numbers are kept with so many significant digits."""
BEYOND = 1.0
"""A value outside of the range counts as at most so many ranges away from it."""


@dataclass(frozen=True)
class Source:
    """An earlier run, as a sweep with the same parameters remembers it.

    run: its name. kinds: the kind and scale of each matched parameter, by name. values: for each
    trial those of its active parameters, by name. quantiles: the part of all trials of that run
    that were better, in (0, 1]; 1 for a trial that failed.
    """

    run: str
    kinds: Mapping[str, str]
    values: tuple[Mapping[str, Any], ...]
    quantiles: tuple[float, ...]

    def plain(self) -> dict[str, Any]:
        """The same as plain data, as it is written to the ledger."""
        trials = [
            {"config": dict(config), "quantile": quantile}
            for config, quantile in zip(self.values, self.quantiles, strict=True)
        ]
        return {"run": self.run, "params": dict(self.kinds), "trials": trials}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Source:
        """The source that `plain` gave."""
        trials = data["trials"]
        return cls(
            str(data["run"]),
            dict(data["params"]),
            tuple(trial["config"] for trial in trials),
            tuple(float(trial["quantile"]) for trial in trials),
        )


def source_of(run: str, kinds: Mapping[str, str], space: Space, history: History) -> Source | None:
    """What a run with this space and history tells; None if it is too little.

    kinds: of the parameters that are matched. One history holds the trials of all its studies.
    """
    numbers, quantiles = _ranked(history)
    if len(numbers) < LEAST_TRIALS or len(np.unique(quantiles)) < 3:
        return None
    kept = _thinned(quantiles)
    values = []
    for number in numbers[kept].tolist():
        flat = space.flat(history[number].config)
        values.append({name: _kept(flat[name], kinds[name]) for name in kinds if name in flat})
    rounded = tuple(_rounded(quantile) for quantile in quantiles[kept].tolist())
    return Source(run, dict(kinds), tuple(values), rounded)


def merged(trials: Iterable[Trial], levels: tuple[int, ...]) -> History:
    """The trials of all studies of a run in one history. Children of checkpoints are left out."""
    history = History(levels)
    for trial in trials:
        if "parent" in trial.notes or REPEATS in trial.notes:
            continue
        number = len(history)
        history.add(Trial(number, "all", trial.config, trial.seed))
        for report in trial.reports:
            history.record(number, report)
        if trial.status.ended and not trial.status.succeeded:
            history.close(number, Status.FAILED)
    return history


def _ranked(history: History) -> tuple[IntArray, FloatArray]:
    """The trials that reached a rung or failed, and their quantiles; 1 for those that failed."""
    quantiles = rung_quantiles(Dataset.of(Space({}), history))
    failed = np.array(sorted(history.failed), np.int64)
    reached = np.isin(quantiles.numbers, failed, invert=True)
    return (
        np.concatenate([quantiles.numbers[reached], failed]),
        np.concatenate([quantiles.quantile[reached], np.ones(len(failed))]),
    )


def _thinned(quantiles: FloatArray) -> IntArray:
    """The indices of at most MAX_TRIALS quantiles, the best first."""
    order = np.argsort(quantiles, kind="stable")
    if len(order) <= MAX_TRIALS:
        return order
    best, others = order[: MAX_TRIALS // 2], order[MAX_TRIALS // 2 :]
    spread = np.linspace(0, len(others) - 1, MAX_TRIALS - len(best)).astype(np.int64)
    return np.concatenate([best, others[spread]])


def _kept(value: Any, kind: str) -> Any:
    """A value as it is kept; one of a list must stay as it is."""
    return _rounded(value) if isinstance(value, float) and kind.startswith("float") else value


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def matched(space: Space, other: Space) -> dict[str, str]:
    """The kinds of the parameters that two spaces share by name, kind and scale, by name."""
    kinds = {name: kind_of(param) for name, param in other.params.items()}
    return {
        name: kinds[name]
        for name, param in space.params.items()
        if kinds.get(name) == kind_of(param)
    }


def kind_of(param: Param) -> str:
    """The kind and the scale of a parameter, such as `float log`."""
    if isinstance(param, RangeOrValues):
        return kind_of(param.range)
    if isinstance(param, Float | Int):
        scale = {False: "", True: " log", "reverse": " reverse"}[param.log]
        return ("float" if isinstance(param, Float) else "int") + scale
    return "ordinal" if isinstance(param, Ordinal) else "choice"


def position(param: Param, value: Any) -> float:
    """The place of a value on a parameter's unit interval, or beyond it; NaN if it has none."""
    if value in param:
        return param.to_unit(value)
    if isinstance(param, RangeOrValues):
        low, high = param.range.low, param.range.high
        bottom, top = param.to_unit(low), param.to_unit(high)
        return bottom + position(param.range, value) * (top - bottom)
    if isinstance(param, Choice | Ordinal) or not is_number(value):
        return math.nan
    low, high = _on_scale(param.low, param), _on_scale(param.high, param)
    place = _on_scale(value, param)
    if math.isnan(place) or high <= low:
        return math.nan
    return min(max((place - low) / (high - low), -BEYOND), 1.0 + BEYOND)


def _on_scale(value: float, param: Float | Int) -> float:
    """A number on the axis on which its parameter is uniform; NaN if it does not lie there."""
    if param.log == "reverse":
        return -math.log1p(-value) if value < 1 else math.nan
    if param.log:
        return math.log(value) if value > 0 else math.nan
    return float(value)
