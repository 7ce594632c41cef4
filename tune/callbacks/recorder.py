"""The log of a sweep: each event goes to the ledger first, then to the callbacks."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.history import Event
from raysweep.tune.callbacks import trackers
from raysweep.tune.callbacks.base import Callback, Observer
from raysweep.tune.callbacks.checkpoint_retention import CheckpointRetention
from raysweep.tune.callbacks.run_files import (
    ErrorFiles,
    MemoryGrowthWarning,
    RunFiles,
    TableFiles,
    TensorBoardFiles,
)
from raysweep.tune.callbacks.trackers import Trackers
from raysweep.tune.callbacks.upload import Upload
from raysweep.tune.controller import SweepController
from raysweep.tune.run_folders import RunFolder
from raysweep.tune.sweep import Sweep

LIKELY = 10
"""So many configurations of a study keep a checkpoint where they are repeated with other seeds:
which one is the best is known only in the end."""


class EventRecorder:
    """Writes the events of one controller, and tells the callbacks of them.

    `callbacks`: all of them, first those that write the run directory. Those belong to the
    recorder, and `close` completes their files. The observer and the callbacks that were given
    follow a whole session, which may have two controllers, and stay open.
    """

    def __init__(
        self, run: RunFolder, sweep: Sweep, observer: Observer, callbacks: Sequence[Callback] = ()
    ) -> None:
        self._run = run
        self._observer = observer
        trackers.check(sweep.track)
        with run.storage_errors():
            self._files = RunFiles(run, self._file_callbacks(sweep))
        self.callbacks: tuple[Callback, ...] = (self._files, observer, *callbacks)

    def _file_callbacks(self, sweep: Sweep) -> list[Callback]:
        folder = self._run.path
        return [
            TensorBoardFiles(folder, sweep.metric.name),
            ErrorFiles(folder),
            Trackers(sweep.track, folder, self.say),
            CheckpointRetention(
                folder,
                sweep.keep,
                finalists=sweep.confirm.top if sweep.confirm else 0,
                likely=LIKELY if sweep.most_seeds > 1 else 0,
            ),
            MemoryGrowthWarning(self.past),
            TableFiles(folder),
            Upload(folder),  # last, so that it finds what the others wrote
        ]

    @property
    def past(self) -> list[Event]:
        """The events that former sessions left in the ledger."""
        return self._run.ledger.past

    def write(self, event: Event) -> None:
        """Append an event to the ledger."""
        with self._run.storage_errors():
            self._run.ledger.append(event)

    def applied(self, event: Event, controller: SweepController) -> None:
        """Tell the callbacks of an event that has changed the histories of `controller`."""
        for callback in self.callbacks:
            callback.on_event(event, controller)

    def say(self, line: str) -> None:
        """Show a line to the user."""
        self._observer.say(line)

    def close(self, controller: SweepController) -> None:
        """Complete the files of the run directory."""
        self._files.close(controller)
