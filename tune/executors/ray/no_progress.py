"""A progress reporter for Ray Tune that reports nothing."""

from __future__ import annotations

from typing import Any

from ray.tune import ProgressReporter


class NoProgress(ProgressReporter):  # type: ignore[misc,unused-ignore]
    """Takes the place of Ray Tune's own reporter.

    In a notebook that one clears the cell's output when it starts, `verbose=0` or not, and with it
    what raysweep shows there.
    """

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: dict[str, Any]) -> None:
        raise AssertionError("should_report is False")
