"""A tracker for Accelerate: `Accelerator(log_with=[Report("val_loss")])`.

What the loop logs by `accelerator.log({"val_loss": ...}, step=epoch)` is reported by the main
process. `accelerator.init_trackers("any name")` starts it, as it does all trackers.
"""

from __future__ import annotations

from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process

from raysweep.integrations.reporter import Reporter
from raysweep.integrations.script import POSITIONS
from raysweep.trainables.runtime.run import ReportError, Run


class Report(GeneralTracker):  # type: ignore[misc]
    """Reports what is logged.

    `metrics`: the names to report; what is logged without any of them is left out. All numbers are
    reported by default. `run`: that of a train function, whose loop is `for epoch in
    run.epochs(...)`; what is logged with the sweep's metric is the report of the epoch.
    """

    name = "raysweep"
    requires_logging_directory = False

    def __init__(self, *metrics: str, run: Run | None = None) -> None:
        super().__init__()
        if run is not None and run.process_group.world_size > 1:
            raise ReportError(
                "Accelerate's trackers exist in the main process alone; in a train function with "
                "several workers, call run.report(...) in each of them"
            )
        self._reporter = Reporter(metrics, run)
        self._run = run

    @property
    def tracker(self) -> Run | None:
        return self._run

    @on_main_process  # type: ignore[untyped-decorator]
    def log(self, values: dict[str, Any], step: int | None = None, **others: Any) -> None:
        if not self._reporter.has_named(values):
            return
        if self._run is None:
            self._reporter.report(values, **_position(values, step))
        elif self._run.metric in values or self._run.metric is None:
            self._run.report(**self._reporter.choose(values))


def _position(values: dict[str, Any], step: int | None) -> dict[str, float]:
    """Where the training is, by the argument of `accelerator.log` or among what is logged."""
    position = {name: values[name] for name in POSITIONS if name in values}
    if step is not None:
        position.setdefault("step", step)
    return position
