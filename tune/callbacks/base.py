"""The seam for everything that follows a sweep: files, screens, trackers, and a user's own code.

An event is in the ledger before a callback hears of it, so whatever a callback does, the sweep can
be resumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from raysweep.history import Event

if TYPE_CHECKING:
    from raysweep.tune.controller import SweepController


class Callback(Protocol):
    """Follows a sweep. A subclass overrides what it needs: each method does nothing by default.

    All methods are called in the process of the driver, one at a time. Callbacks read the
    controller: `controller.sweep`, `controller.histories`, and `controller.trial(event["trial"])`.
    A callback may end the sweep by `controller.stop(reason)`, and changes nothing else.

    A session that trains the best configurations again (`confirm`) has a second controller for
    that. The same callbacks follow both.
    """

    def on_event(self, event: Event, controller: SweepController) -> None:
        """Called after each event of a trial or a study, in the order of the ledger.

        `event["event"]` is its kind; docs/reference/ledger.md says what each kind holds.
        """
        return

    def on_tick(self, controller: SweepController) -> None:
        """Called about ten times a second while trials train; it should return at once."""
        return

    def close(self, controller: SweepController) -> None:
        """Called when the session ends, for whatever reason."""
        return


WAITING = "waiting for "
"""The beginning of a line that says what a sweep waits for, which is over once a trial starts."""


class Observer(Callback, Protocol):
    """The callback that shows the sweep to a person or to another program."""

    def say(self, line: str) -> None:
        """Show a line about the session, as opposed to a trial."""
