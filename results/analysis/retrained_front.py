"""The front of a run after its members were trained again with fresh seeds (`confirm`).

A trial is on a front by the luck of its training too. So each objective and each limited metric has
a mean over the fresh seeds with its interval, and each finalist a number of seeds in which no other
finalist was better in all objectives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.formatting import number, plural
from raysweep.fronts import front
from raysweep.objectives import Objectives
from raysweep.results.analysis import statistics
from raysweep.results.analysis.retraining import RetrainingResult, retraining_results
from raysweep.results.storage.run_directory import RunDirectory


@dataclass(frozen=True)
class RetrainedPoint:
    """A finalist with the means of its metrics over its retrainings.

    intervals: by metric, low and high. is_on_front: its means keep the limits, and those of no
    other finalist beat them. seeds_on_front: of `seeds` that all finalists have, in how many that
    is true of the single trainings. seeds_kept: retrainings, of all `retrainings`, that keep the
    limits.
    """

    trial: str
    means: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    retrainings: int
    is_on_front: bool
    seeds_on_front: int
    seeds: int
    seeds_kept: int


def retrained_front(run: RunDirectory) -> list[RetrainedPoint]:
    """The finalists of a run with several objectives that were trained again; [] without."""
    results = retraining_results(run)
    if run.objectives is None or not run.has_front or not results:
        return []
    objectives = run.objectives
    means = [_means(result, objectives) for result in results]
    of_means = _on_front(means, objectives)
    shared = sorted(set.intersection(*(set(result.reported) for result in results)))
    by_seed = [_on_front([one.reported[seed] for one in results], objectives) for seed in shared]
    return [
        RetrainedPoint(
            result.trial,
            means[i],
            _intervals(result, objectives),
            len(result.reported),
            i in of_means,
            sum(i in found for found in by_seed),
            len(shared),
            sum(_keeps(metrics, objectives) for metrics in result.reported.values()),
        )
        for i, result in enumerate(results)
    ]


def front_findings(run: RunDirectory) -> list[str]:
    """What the retrainings show of the front, in sentences; [] without them."""
    points = retrained_front(run)
    if run.objectives is None or not points:
        return []
    kept = [point.trial for point in points if point.is_on_front]
    first = f"of {plural(len(points), 'finalist')}, by their means over fresh seeds, "
    first += f"{', '.join(kept)} on the front" if kept else "none keeps the limits"
    return [first, *(_finding(point, run.objectives) for point in points)]


def _finding(point: RetrainedPoint, objectives: Objectives) -> str:
    values = []
    for name in objectives.names:
        low, high = point.intervals[name]
        values.append(f"{name} {number(point.means[name])} ({number(low)} … {number(high)})")
    kind = statistics.interval_name(point.retrainings)
    seeds = f"{plural(point.retrainings, 'fresh seed')}, each with its {kind}"
    line = f"{point.trial}: {', '.join(values)} over {seeds}"
    if point.seeds > 1:
        line += f"; on the front in {point.seeds_on_front} of {plural(point.seeds, 'seed')}"
    if objectives.limits and point.seeds_kept < point.retrainings:
        line += f"; {point.seeds_kept} of {point.retrainings} keep the limits"
    return line


def _means(result: RetrainingResult, objectives: Objectives) -> dict[str, float]:
    return {name: float(np.mean(_values(result, name))) for name in objectives.names}


def _intervals(result: RetrainingResult, objectives: Objectives) -> dict[str, tuple[float, float]]:
    found = {}
    for name in objectives.names:
        low, high = statistics.interval(np.array(_values(result, name)))
        found[name] = (float(low), float(high))
    return found


def _values(result: RetrainingResult, name: str) -> list[float]:
    return [metrics[name] for metrics in result.reported.values()]


def _keeps(metrics: Mapping[str, float], objectives: Objectives) -> bool:
    return all(excess <= 0 for excess in objectives.excesses(metrics))


def _on_front(points: Sequence[Mapping[str, float]], objectives: Objectives) -> set[int]:
    """The indices of those that keep the limits and that no other of them dominates."""
    kept = [i for i, metrics in enumerate(points) if _keeps(metrics, objectives)]
    return {kept[i] for i in front([objectives.losses(points[i]) for i in kept])}
