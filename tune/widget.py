"""A sweep as a live widget of a notebook: `raysweep.load("ray_results/cnn").widget()`.

It needs the extra `raysweep[notebook]`. The widget reads the run directory, so the sweep may run in
a terminal, in another notebook or on another machine that shares the folder. Its buttons give the
commands that the verbs give (`tune/steer.py`).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from raysweep.errors import RaysweepError
from raysweep.formatting import clean
from raysweep.results.storage.ledger import NAME
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.tune.status import lines, status
from raysweep.tune.steer import give

REFRESH_SECONDS = 1.0
"""Seconds between two looks at the ledger. It is read only if it has grown."""
COMMANDS = ("stop", "pause", "resume")
"""What the buttons may ask for."""
PLACE = Path(__file__).with_name("widget_files")


class SweepWidget(anywidget.AnyWidget):
    """The state, the progress, the best value and the running trials, with buttons.

    data: what `raysweep status --json` prints, and its lines for people. answer: what became of the
    last command.
    """

    _esm = PLACE / "widget.js"
    _css = PLACE / "widget.css"
    data = traitlets.Dict().tag(sync=True)
    answer = traitlets.Unicode("").tag(sync=True)

    def __init__(self, path: Path, refresh_seconds: float = REFRESH_SECONDS) -> None:
        super().__init__()
        self._path = path
        self._seconds = refresh_seconds
        self._mark: tuple[int, str] | None = None
        self._closed = threading.Event()
        self.on_msg(self._obey)
        self.refresh()
        threading.Thread(target=self._follow, daemon=True, name="raysweep-widget").start()

    def refresh(self) -> None:
        """Show the state as it is now."""
        run = RunDirectory(self._path)
        mark = (self._size(), run.state)
        if mark == self._mark:
            return
        self._mark = mark
        found = status(run)
        text = [clean(line) for line in lines(found)]
        self.data = found | {"lines": text}

    def close(self) -> None:
        """Take the widget away."""
        self._closed.set()
        super().close()

    def _size(self) -> int:
        try:
            return (self._path / NAME).stat().st_size
        except OSError:
            return 0

    def _follow(self) -> None:
        while not self._closed.wait(self._seconds):
            try:
                self.refresh()
            except (OSError, ValueError, RaysweepError) as error:
                self.answer = clean(str(error))  # the folder may be gone for a while

    def _obey(self, widget: Any, content: Any, buffers: Any) -> None:
        """Give the command of a button. What is no command of one is left alone."""
        if not isinstance(content, dict) or content.get("command") not in COMMANDS:
            return
        arguments = {}
        if isinstance(content.get("trial"), str):
            arguments["trial"] = content["trial"]
        try:
            answer = give(RunDirectory(self._path), content["command"], arguments)
        except RaysweepError as error:
            self.answer = clean(str(error))
            return
        self.answer = clean(str(answer))
