"""Recorded learning curves, on which searchers and schedulers are tried without training again.

`--record 200` makes a run of 200 random configurations that nothing stops. `Recorded` then gives a
curve for any configuration: a recorded one has its own, any other gets that of a surrogate, whose
error is estimated by cross-validation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from raysweep.formatting import number, plural
from raysweep.history import Config, Status, Trial
from raysweep.results.storage.run_directory import RunDirectory, RunError
from raysweep.search_spaces.language.space import Space, flatten
from raysweep.tune.executors.simulated import Epoch
from raysweep.tune.offline.surrogate import Answer, Error, answering, cross_validated
from raysweep.tune.sweep import Metric, Sweep

Array = np.ndarray[Any, np.dtype[np.float64]]
FEWEST = 10
"""The fewest complete curves from which others are predicted."""


def overrides(count: int) -> list[str]:
    """The `key=value` settings that make of a sweep the recording of `count` configurations."""
    ends = [
        f"{key}=null"
        for key in ("budget.total_epochs", "budget.time", "metric.target", "plateau", "confirm")
    ]
    once = ["seeds=1", "seeds_per_trial=null"]
    return ["searcher=random", "scheduler=none", *once, f"budget.trials={count}", *ends]


@dataclass
class Recorded:
    """The curves of a run, and predictions for configurations between them.

    `nearest`: predict by the nearest recorded curve instead of the random forest. `others`: the
    further metrics of a sweep with several, each predicted by a surrogate of its own.
    """

    trials: list[Trial]
    space: Space
    metric: Metric
    epochs: int
    nearest: bool = False
    others: tuple[str, ...] = ()
    _answers: dict[str, Array] = field(default_factory=dict)

    def curve(self, config: Config, seed: int) -> Iterator[Epoch]:
        """The training of a configuration, epoch by epoch.

        Recorded epochs come first, with this training seed if it was recorded, else with another
        one; then predicted ones.
        """
        trial = self._recorded(config, seed)
        done, before = 0, 0.0
        for report in trial.reports if trial else ():
            yield dict(report.metrics), report.seconds - before
            done, before = report.epoch, report.seconds
        if done < self.epochs:
            answer = self._answer(config)
            others = {name: other.curve(config) for name, other in self._others.items()}
            for epoch in range(done, self.epochs):
                values = {name: float(other[epoch]) for name, other in others.items()}
                loss = self.metric.value(float(answer[epoch]))
                yield {self.metric.name: loss, **values}, float(answer[-1])

    @cached_property
    def _others(self) -> dict[str, _Other]:
        return {name: _Other(self, name) for name in self.others}

    @cached_property
    def complete(self) -> list[Trial]:
        """The trials that were trained to their last epoch, and those that diverged."""
        return [
            trial
            for trial in self.trials
            if trial.status is Status.DIVERGED or trial.epoch >= self.epochs
        ]

    @cached_property
    def points(self) -> Array:
        return np.array([self.space.to_unit(trial.config) for trial in self.complete])

    @cached_property
    def curves(self) -> Array:
        """The loss of each epoch, then the seconds of an epoch: (trials, epochs + 1).

        The loss is inf after a divergence.
        """
        return np.array([_losses(trial, self.epochs) for trial in self.complete])

    @cached_property
    def error(self) -> Error:
        self._enough()
        return cross_validated(self.points, self.curves, self.nearest)

    def describe(self) -> str:
        """How curves are predicted, and with which error."""
        what = "a surrogate (random forest)"
        if self.nearest:
            what = "the nearest recorded configuration"
        return (
            f"{plural(len(self.complete), 'recorded curve')}; between them {what} answers: "
            f"{self.metric.name} off by {number(self.error.mean, 2)} on average, "
            f"ranks agree to {number(self.error.rank, 2)} (cross-validated, last epoch)"
        )

    def _recorded(self, config: Config, seed: int) -> Trial | None:
        """The recorded training of a configuration with a seed; if there is none, with any.

        So a configuration that was recorded with several seeds has their noise.
        """
        same = self._same.get(_key(config), {})
        if not same or seed in same:
            return same.get(seed)
        return list(same.values())[seed % len(same)]

    @cached_property
    def _same(self) -> dict[str, dict[int, Trial]]:
        """Trials by configuration, then by training seed."""
        found: dict[str, dict[int, Trial]] = {}
        for trial in self.trials:
            if trial.reports:
                found.setdefault(_key(trial.config), {}).setdefault(trial.seed, trial)
        return found

    @cached_property
    def _model(self) -> Answer:
        self._enough()
        return answering(self.points, self.curves, self.nearest)

    def _enough(self) -> None:
        if len(self.complete) < FEWEST:
            raise RunError(
                f"{len(self.complete)} curves were trained to their end; it takes {FEWEST} to "
                "answer for others (--record 200)"
            )

    def _answer(self, config: Config) -> Array:
        key = _key(config)
        if key not in self._answers:
            self._answers[key] = self._model.curve(self.space.to_unit(config))
        return self._answers[key]


class _Other:
    """Predicts the curves of a metric that is not the first."""

    def __init__(self, known: Recorded, name: str) -> None:
        self._space = known.space
        curves = [_values(trial, name, known.epochs) for trial in known.complete]
        self._model = answering(known.points, np.array(curves), known.nearest)

    def curve(self, config: Config) -> Array:
        """Its value after each epoch, then the seconds of an epoch."""
        return self._model.curve(self._space.to_unit(config))


def recorded(run: RunDirectory, sweep: Sweep, nearest: bool = False) -> Recorded:
    """The curves of a run, in its own space. Raises RunError if nothing was reported."""
    trials = [trial for history in run.histories.values() for trial in history]
    if not any(trial.reports for trial in trials):
        raise RunError(f"{run.path}: nothing was recorded yet")
    others = tuple(name for name in sweep.metric_names if name != sweep.metric.name)
    return Recorded(trials, sweep.space, sweep.metric, sweep.budget.epochs, nearest, others)


def _losses(trial: Trial, epochs: int) -> list[float]:
    """The loss of each epoch, then the mean seconds of an epoch.

    An epoch without a report has the loss of the next report. After the last report it is inf.
    """
    return _by_epoch(trial, {report.epoch: report.loss for report in trial.reports}, epochs)


def _values(trial: Trial, name: str, epochs: int) -> list[float]:
    """The same of a metric's values."""
    values = {report.epoch: report.metrics.get(name, math.inf) for report in trial.reports}
    return _by_epoch(trial, values, epochs)


def _by_epoch(trial: Trial, known: Mapping[int, float], epochs: int) -> list[float]:
    values = [math.inf] * epochs
    following = math.inf
    for epoch in range(epochs, 0, -1):
        following = known.get(epoch, following)
        values[epoch - 1] = following
    return [*values, trial.reports[-1].seconds / trial.epoch]


def _key(config: Config) -> str:
    return repr(sorted(flatten(config).items()))
