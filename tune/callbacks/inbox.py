"""The callback that carries out the commands which people leave in the run directory."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

from raysweep.results.storage.inbox import WITHDRAW, Command, Inbox
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.commands import carry_out
from raysweep.tune.controller import SweepController
from raysweep.tune.run_folders import RunFolder

LOOK_SECONDS = 0.25
"""Seconds between two looks into a folder. An empty one costs some 10 microseconds."""
LOOK_SECONDS_REMOTE = 1.0
"""Seconds between two looks into object storage. Each is a request of some 50 ms."""
ALWAYS = ("stop", "note", "tag", WITHDRAW)
"""Commands that are carried out while the best configurations are trained again (`confirm`). The
others wait for the next session, because the search has ended by then."""
TOO_LATE = "the session that it was for has ended"


class CommandInbox(Callback):
    """Carries out the commands of a run, each once, in the order in which they were given.

    search: the controller that commands are about, and whose ledger records them. Another
    controller, that of the retrainings, is stopped with it.
    """

    def __init__(self, run: RunFolder, search: SweepController) -> None:
        self._run = run
        self._search = search
        self._inbox = Inbox(run.path)
        self._looked = time.monotonic()
        self._pool = ThreadPoolExecutor(1) if self._inbox.is_remote else None
        self._listing: Future[list[str]] | None = None

    def open(self) -> None:
        """Carry out what has waited for this session.

        A stop of the sweep was meant for the session before, and is refused.
        """
        with self._run.storage_errors():
            self._carry_out(self._inbox.names(), self._search, waited=True)

    def left(self) -> list[Command]:
        """The commands that came too late for this session; none if the storage is gone."""
        try:
            return self._inbox.waiting()
        except OSError:
            return []

    def on_tick(self, controller: SweepController) -> None:
        with self._run.storage_errors():
            self._carry_out(self._names(), controller)

    def close(self, controller: SweepController) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def _names(self) -> list[str]:
        """The commands that wait, as often as it is time to look. A store is asked by a thread."""
        now = time.monotonic()
        if self._pool is None:
            if now - self._looked < LOOK_SECONDS:
                return []
            self._looked = now
            return self._inbox.names()
        if self._listing is not None and self._listing.done():
            listing, self._listing = self._listing, None
            return listing.result()
        if self._listing is None and now - self._looked >= LOOK_SECONDS_REMOTE:
            self._looked = now
            self._listing = self._pool.submit(self._inbox.names)
        return []

    def _carry_out(
        self, names: list[str], controller: SweepController, waited: bool = False
    ) -> None:
        for name in names:
            try:
                command = self._inbox.read(name)
            except ValueError as error:
                self._inbox.set_aside(name)
                controller.say(f"commands/{name} is no command: {error}")
                continue
            if command is not None:
                self._obey(name, command, controller, waited)

    def _obey(self, name: str, command: Command, controller: SweepController, waited: bool) -> None:
        """Carry a command out, unless the ledger has it or its withdrawal; then remove its file."""
        known = self._search.steering.ids
        is_late = controller is not self._search and command.command not in ALWAYS
        if is_late and command.id not in known:
            return
        too_late = TOO_LATE if waited and _stops_sweep(command) else ""
        try:
            if command.id not in known:
                carry_out(command, self._search, too_late)
        finally:  # a stop at once leaves by an exception
            if command.id in known:
                self._inbox.remove(name)
        if controller is not self._search and self._search.interrupted:
            controller.stop(self._search.stopping, interrupted=True)


def _stops_sweep(command: Command) -> bool:
    return command.command == "stop" and "trial" not in command.arguments
