"""How long a sweep has run and trained, former sessions included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raysweep.history import Event, seconds_spent


class SweepTime:
    """The time of a sweep in seconds. `past`: the events of former sessions."""

    def __init__(self, clock: Callable[[], float], past: Sequence[Event]) -> None:
        self._clock = clock
        self._began = clock() - seconds_spent(past)
        self._training_began = _training_began(past)

    @property
    def seconds(self) -> float:
        """How long the sweep has run."""
        return self._clock() - self._began

    @property
    def training_seconds(self) -> float:
        """Seconds since the first epoch that was reported began; 0 before the first report."""
        if self._training_began is None:
            return 0.0
        return self.seconds - self._training_began

    def reported(self, seconds: float) -> None:
        """Note a report of a trial that has trained for so many seconds."""
        if self._training_began is None:
            self._training_began = max(0.0, self.seconds - seconds)


def _training_began(past: Sequence[Event]) -> float | None:
    """The second of the sweep in which its first reported epoch began; None before a report."""
    for index, event in enumerate(past):
        if event["event"] == "reported":
            return max(0.0, seconds_spent(past[: index + 1]) - float(event["seconds"]))
    return None
