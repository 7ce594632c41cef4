"""A sweep as people's commands have changed it, and the state that its file and they begin with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from raysweep.history import Event
from raysweep.search_spaces.language.changes import changed
from raysweep.steering import Queued, Steering
from raysweep.tune.sweep import Budget, Sweep

REPORTS = ("epochs", "total_epochs")
"""The limits of a `Budget` that count reports."""


def limits(budget: Budget) -> dict[str, str]:
    """The limits of a budget that a command can extend, and their fields in `Budget`.

    Their names are those of the file: a length `steps` and a total `total_steps` where trials are
    measured in steps.
    """
    unit = budget.interval.unit
    return {
        "trials": "trials",
        unit: "epochs",
        f"total_{unit}": "total_epochs",
        "time": "seconds",
    }


def limit_of(budget: Budget, name: str) -> float | None:
    """A limit of a budget as the file has it: a length and a total in the unit of the sweep."""
    field = limits(budget)[name]
    limit: float | None = getattr(budget, field)
    if limit is None or field not in REPORTS:
        return limit
    return budget.interval.position(int(limit))


def steering_of(sweep: Sweep, past: Iterable[Event]) -> Steering:
    """The state after the events of a ledger.

    The configurations that the file enqueues come first, each for every study, so that a comparison
    of searchers stays fair.
    """
    queue = OrderedDict(
        (f"file.{index}.{study.name}", Queued(config, study.name, asked=False))
        for index, config in enumerate(sweep.enqueue)
        for study in sweep.studies()
    )
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
    space = sweep.space
    if steering.space:
        space = changed(space, steering.space)
    if (budget, parallel) == (sweep.budget, sweep.parallel) and space is sweep.space:
        return sweep
    return replace(sweep, budget=budget, parallel=parallel, space=space)


def _extended(budget: Budget, steering: Steering) -> Budget:
    """The budget with its extensions. A file that allows more by now counts."""
    fields = limits(budget)
    extended: dict[str, Any] = {}
    for name, limit in steering.budget.items():
        field = fields[name]
        before = getattr(budget, field)
        if field in REPORTS:
            limit = budget.interval.report(limit)
        if before is not None and limit > before:
            extended[field] = limit
    return replace(budget, **extended)
