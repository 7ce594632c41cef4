"""A sweep as people's commands have changed it, and the state that its file and they begin with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from raysweep.history import Event
from raysweep.steering import Queued, Steering
from raysweep.tune.sweep import Budget, Sweep

FIELDS = {"trials": "trials", "total_epochs": "total_epochs", "time": "seconds"}
"""The limits of a budget that a command can extend, and their fields in `Budget`."""


def steering_of(sweep: Sweep, past: Iterable[Event]) -> Steering:
    """The state after the events of a ledger.

    The configurations that the file enqueues come first, each for every study, so that a comparison
    of searchers stays fair.
    """
    queue = {
        f"file.{index}.{study.name}": Queued(config, study.name, asked=False)
        for index, config in enumerate(sweep.enqueue)
        for study in sweep.studies()
    }
    state = Steering(queue=queue)
    for event in past:
        state.apply(event)
    return state


def steered(sweep: Sweep, steering: Steering) -> Sweep:
    """The sweep of a file with what commands have changed."""
    budget = _extended(sweep.budget, steering)
    parallel = sweep.parallel
    if steering.parallel is not None:
        parallel = None if steering.parallel == "auto" else steering.parallel
    if (budget, parallel) == (sweep.budget, sweep.parallel):
        return sweep
    return replace(sweep, budget=budget, parallel=parallel)


def _extended(budget: Budget, steering: Steering) -> Budget:
    """The budget with its extensions. A file that allows more by now counts."""
    limits: dict[str, Any] = {}
    for name, extended in steering.budget.items():
        field = FIELDS[name]
        limit = getattr(budget, field)
        if limit is not None and extended > limit:
            limits[field] = extended
    return replace(budget, **limits)
