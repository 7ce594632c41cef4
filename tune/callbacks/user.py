"""A user's own callbacks, which may fail without any harm to the sweep."""

from __future__ import annotations

import copy
import dataclasses
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from raysweep.errors import first_line
from raysweep.history import Event
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.controller import SweepController
from raysweep.tune.sweep import Sweep


def user_callbacks(sweep: Sweep) -> list[Callback]:
    """The callbacks that the file names, made anew from their options for a session."""
    callbacks: Sequence[Any] = sweep.callbacks
    return [UserCallback(dataclasses.replace(callback)) for callback in callbacks]


class UserCallback(Callback):
    """A user's callback. If it raises, that is said in one line, and it is left out afterwards.

    Its class needs no method but `on_event`.
    """

    def __init__(self, callback: Any) -> None:
        self._callback = callback

    def on_event(self, event: Event, controller: SweepController) -> None:
        # A copy: the histories hold parts of the event itself.
        self._call("on_event", controller, copy.deepcopy(event), controller)

    def on_tick(self, controller: SweepController) -> None:
        self._call("on_tick", controller, controller)

    def close(self, controller: SweepController) -> None:
        self._call("close", controller, controller)

    def _call(self, method: str, controller: SweepController, *arguments: Any) -> None:
        function: Callable[..., None] | None = getattr(self._callback, method, None)
        if function is None:
            return
        try:
            function(*arguments)
        except (Exception, SystemExit) as error:
            failed, self._callback = self._callback, None
            controller.say(
                f"the callback {type(failed).__name__} is left out from here on, because it "
                f"raised {type(error).__name__}{_words(error)} ({_place(error, failed)})"
            )


def _words(error: BaseException) -> str:
    """The first line of what an error says, with a colon before it; "" if it says nothing."""
    words = first_line(error)
    return f": {words}" if words else ""


def _place(error: BaseException, callback: Any) -> str:
    """The file and line at which a callback raised: in its own module, if it was called there."""
    module = sys.modules.get(type(callback).__module__)
    file = getattr(module, "__file__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"
