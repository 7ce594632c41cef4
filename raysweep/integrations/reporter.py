"""What the callbacks of all libraries do with the metrics that they see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raysweep.integrations import script
from raysweep.trainables.runtime.run import ReportError, Run, Stateful


class Reporter:
    """Reports to the `run` of a train function, or without one to the sweep that runs the script.

    `names`: the metrics to report; all of them if there are no names.
    """

    def __init__(self, names: Sequence[str], run: Run | None) -> None:
        self.run = run
        self._names = names
        self._epochs: Iterator[int] = iter(())
        self.known_epochs = 0
        """How many epochs were trained before this attempt. Of a script that is not known."""
        self.is_finished = False
        """True once the run's last epoch is reported. A library may evaluate once more then."""

    def begin(self, **state: Stateful) -> bool:
        """Begin the training. True if there is something to train.

        In a train function, the trial's checkpoint is loaded into `state`, which is saved with
        every report from then on.
        """
        if self.run is None:
            return True
        self._epochs = self.run.epochs(**state)
        is_left = self._is_continued()
        self.known_epochs = len(self.run.reports)
        return is_left

    def report(self, metrics: Mapping[str, Any], **position: float) -> bool:
        """Report. True if the training continues.

        `position`: `epoch` and `step` where the training is. A script's reports have it; a train
        function reports once for each of the run's epochs, and what comes after them is left out.
        """
        if self.is_finished:
            return False
        chosen = self.choose(metrics)
        if self.run is None:
            script.report(position | chosen)
            return True
        self.run.report(**chosen)
        return self._is_continued()

    def has_named(self, metrics: Mapping[str, Any]) -> bool:
        """True if one of the metrics to report is among these."""
        return not self._names or any(name in metrics for name in self._names)

    def _is_continued(self) -> bool:
        self.is_finished = next(self._epochs, None) is None
        return not self.is_finished

    def choose(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics to report: those that were named, or all numbers."""
        if not self._names:
            return {name: value for name, value in metrics.items() if _is_number(value)}
        missing = [name for name in self._names if name not in metrics]
        # Libraries may give the values to the first process alone.
        if missing and self._is_first():
            logged = ", ".join(sorted(metrics)) or "nothing"
            raise ReportError(f"the metric '{missing[0]}' was not logged; logged: {logged}")
        return {name: metrics[name] for name in self._names if name in metrics}

    def _is_first(self) -> bool:
        if self.run is None:
            return script.is_first_process()
        return self.run.process_group.rank == 0


def _is_number(value: Any) -> bool:
    """True for a number, or an array or tensor of one element."""
    if isinstance(value, bool | int | float):
        return True
    shape = getattr(value, "shape", None)
    return shape is not None and math.prod(shape) == 1
