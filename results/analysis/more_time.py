"""What more time would bring a run that is there to be read."""

from __future__ import annotations

from raysweep.forecast import Forecast, opened, pace
from raysweep.results.storage.run_directory import RunDirectory


def more_time(run: RunDirectory) -> Forecast | None:
    """The forecast for a run; None if too little is known, or if its searchers have no more."""
    if run.exhausted >= run.histories.keys():
        return None
    found = pace(run.histories.values(), opened(run.events))
    return found.told(run.metric, run.maximize) if found else None


def more_time_finding(run: RunDirectory) -> list[str]:
    """The forecast in a sentence; [] without one."""
    found = more_time(run)
    return [found.sentence(run.metric)] if found else []
