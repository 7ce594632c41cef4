"""Searchers side by side: who is ahead, by how much, how sure that is, and how many seeds it would take where it is not.

A searcher is judged by the best loss that its studies have found when each has spent as much as the one that spent least (`horizon`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from raysweep.results.analysis import statistics
from raysweep.results.analysis.incumbents import Trace, Unit, ceiling, horizon, places, traces
from raysweep.results.analysis.statistics import PValue
from raysweep.results.storage.run_directory import RunDirectory, RunError

Array = np.ndarray[Any, np.dtype[np.float64]]
LEVEL = 0.05
BASELINE = "random"


@dataclass(frozen=True)
class Pair:
    """Two searchers, the one with the less mean loss first. `p` is corrected (Holm) for all pairs; `more_seeds`: see `statistics`."""

    better: str
    worse: str
    difference: float
    seeds: int
    test: PValue | None
    p: float | None
    more_seeds: int | None

    @property
    def detected(self) -> bool:
        return self.p is not None and self.p <= LEVEL


@dataclass(frozen=True)
class Comparison:
    """Studies of one metric, cut at a common horizon. Losses in the order of `labels`; rows are seeds."""

    studies: tuple[Trace, ...]
    metric: str
    maximize: bool
    unit: Unit = "epochs"
    baseline: str = BASELINE

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(study.label for study in self.studies))

    @cached_property
    def horizon(self) -> float:
        return horizon(list(self.studies))

    @cached_property
    def spent(self) -> tuple[float, float]:
        """The least and the most that a study has spent, but for exhausted ones."""
        return self.horizon, max(
            (study.total for study in self.studies if not study.exhausted), default=self.horizon
        )

    @cached_property
    def places(self) -> Array:
        return places(self.horizon)

    @cached_property
    def ceiling(self) -> float:
        return ceiling(list(self.studies))

    @cached_property
    def floor(self) -> float:
        """The best loss that any study has found within the horizon."""
        return min(float(curves[:, -1].min()) for curves in self.curves.values())

    @cached_property
    def curves(self) -> dict[str, Array]:
        """Best loss so far at `places`, shape (seeds, places), nothing above the ceiling."""
        read = {
            label: [study.at(self.places) for study in self.studies if study.label == label]
            for label in self.labels
        }
        return {label: np.minimum(np.array(rows), self.ceiling) for label, rows in read.items()}

    @cached_property
    def finals(self) -> dict[str, Array]:
        """The best loss of each seed at the horizon."""
        return {label: curves[:, -1] for label, curves in self.curves.items()}

    @cached_property
    def regrets(self) -> dict[str, Array]:
        """The area under the regret curve of each seed: 0 for the best known loss all the time, 1 for never passing the ceiling."""
        span = self.ceiling - self.floor
        return {
            label: (curves - self.floor).mean(axis=1) / span if span > 0 else 0 * curves[:, 0]
            for label, curves in self.curves.items()
        }

    @cached_property
    def best_probabilities(self) -> dict[str, float] | None:
        """How often each searcher would have the best mean if seeds were drawn again; None with fewer than FEWEST seeds."""
        count = min(len(values) for values in self.finals.values())
        if count < statistics.FEWEST:
            return None
        values = np.array([self.finals[label][:count] for label in self.labels])
        return dict(zip(self.labels, statistics.best_probabilities(values).tolist(), strict=True))

    def seeds_of(self, label: str) -> list[int]:
        return [study.seed for study in self.studies if study.label == label]

    def reached(self, label: str, other: str) -> float | None:
        """The part of the horizon after which the mean curve of `label` was as good as the final mean of `other`; None if never."""
        there = self.curves[label].mean(axis=0) <= self.finals[other].mean()
        return float(self.places[int(there.argmax())] / self.horizon) if there.any() else None

    @cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of searchers, the surest difference first."""
        chosen = list(combinations(self.labels, 2))
        level = LEVEL / max(len(chosen), 1)
        tested = [self._test(a, b, level) for a, b in chosen]
        corrected = iter(statistics.holm([one.p for one in tested if one]))
        pairs = [
            self._pair(a, b, one, next(corrected) if one else None)
            for (a, b), one in zip(chosen, tested, strict=True)
        ]
        return sorted(pairs, key=lambda pair: (pair.p is None, pair.p, -pair.difference))

    def _shared(self, a: str, b: str) -> tuple[Array, Array]:
        """Final losses of two searchers over the seeds that both have."""
        of_a = dict(zip(self.seeds_of(a), self.finals[a], strict=True))
        of_b = dict(zip(self.seeds_of(b), self.finals[b], strict=True))
        both = [seed for seed in of_a if seed in of_b]
        return np.array([of_a[seed] for seed in both]), np.array([of_b[seed] for seed in both])

    def _test(self, a: str, b: str, level: float) -> PValue | None:
        values = self._shared(a, b)
        return statistics.p_value(*values, level) if len(values[0]) > 1 else None

    def _pair(self, a: str, b: str, test: PValue | None, p: float | None) -> Pair:
        means = {label: float(self.finals[label].mean()) for label in (a, b)}
        better, worse = sorted((a, b), key=lambda label: means[label])
        shared = self._shared(a, b)
        level = LEVEL / max(len(self.labels) * (len(self.labels) - 1) // 2, 1)
        needed = statistics.seeds_needed(*shared, level) if test else None
        more = max(1, needed - len(shared[0])) if needed is not None else None
        return Pair(better, worse, means[worse] - means[better], len(shared[0]), test, p, more)


def compare(runs: Sequence[RunDirectory], unit: Unit = "epochs") -> Comparison:
    """The searchers of one run, or of several. RunError where they optimize different metrics or nothing was reported."""
    metrics = {(run.metric, run.maximize) for run in runs}
    if len(metrics) != 1:
        raise RunError(
            f"runs of different metrics cannot be compared: {', '.join(sorted(name for name, _ in metrics))}"
        )
    studies = [
        study
        for run in runs
        for study in _studies(run, unit, f"{run.path.name}: " if len(runs) > 1 else "")
    ]
    if not any(np.isfinite(study.loss).any() for study in studies):
        raise RunError(
            f"{runs[0].path}: nothing to compare, no trial has reported a finite {runs[0].metric}"
        )
    metric, maximize = metrics.pop()
    return Comparison(tuple(study for study in studies if study.total > 0), metric, maximize, unit)


def _studies(run: RunDirectory, unit: Unit, prefix: str) -> list[Trace]:
    gpu = run.sweep.get("resources", {}).get("gpu", 0)
    if unit == "GPU-seconds" and not isinstance(gpu, int | float):
        raise RunError(f"{run.path}: GPU-seconds are not known, the sweep asked for gpu: {gpu}")
    if unit == "GPU-seconds" and (gpu == 0 or not _used_gpu(run)):
        raise RunError(f"{run.path} used no GPU; compare by epochs or seconds")
    studies = traces(
        run.histories, run.seeds, run.seed, unit, float(gpu) if unit == "GPU-seconds" else 0.0
    )
    return [
        replace(study, label=prefix + study.label, exhausted=name in run.exhausted)
        for name, study in zip(run.histories, studies, strict=True)
    ]


def _used_gpu(run: RunDirectory) -> bool:
    """Whether any trial was on a GPU: where there is none, a sweep that asks for one runs on the CPU."""
    return any(
        str(trial.notes.get("device", "")).startswith("cuda")
        for history in run.histories.values()
        for trial in history
    )
