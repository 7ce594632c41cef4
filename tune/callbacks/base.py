"""The seam for everything that follows a sweep: files, screens, trackers, and a user's own code.

An event is in the ledger before a callback hears of it, so whatever a callback does, the sweep can
be resumed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from raysweep.errors import first_line
from raysweep.history import Event

if TYPE_CHECKING:
    from raysweep.tune.controller import SweepController


class Callback(Protocol):
    """Follows a sweep. A subclass overrides what it needs: each method does nothing by default.

    Callbacks read the controller: `controller.sweep`, `controller.histories`, and
    `controller.trial(event["trial"])`. A callback may end the sweep by `controller.stop(reason)`,
    and changes nothing else.
    """

    def on_event(self, event: Event, controller: SweepController) -> None:
        """Called after each event, in the order of the ledger. `event["event"]` is its kind."""
        return

    def on_tick(self, controller: SweepController) -> None:
        """Called about ten times a second while trials train; it should return at once."""
        return

    def close(self, controller: SweepController) -> None:
        """Called when the session ends, for whatever reason."""
        return


class Observer(Callback, Protocol):
    """The callback that shows the sweep to a person or to another program."""

    def say(self, line: str) -> None:
        """Show a line about the session, as opposed to a trial."""


class UserCallback(Callback):
    """A user's callback. If it raises, that is said in one line, and it is left out afterwards."""

    def __init__(self, callback: Callback) -> None:
        self._callback: Callback | None = callback

    def on_event(self, event: Event, controller: SweepController) -> None:
        self._call(controller, lambda callback: callback.on_event(event, controller))

    def on_tick(self, controller: SweepController) -> None:
        self._call(controller, lambda callback: callback.on_tick(controller))

    def close(self, controller: SweepController) -> None:
        self._call(controller, lambda callback: callback.close(controller))

    def _call(self, controller: SweepController, call: Callable[[Callback], None]) -> None:
        if self._callback is None:
            return
        try:
            call(self._callback)
        except Exception as error:
            name = type(self._callback).__name__
            self._callback = None
            frame = traceback.extract_tb(error.__traceback__)[-1]
            controller.say(
                f"the callback {name} is left out from here on, because it raised "
                f"{type(error).__name__}: {first_line(error)} ({Path(frame.filename).name}, "
                f"line {frame.lineno})"
            )
