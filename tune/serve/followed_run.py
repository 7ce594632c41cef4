"""A run directory that the server follows: what is in its files, looked at again and again.

A look costs a few calls of `stat` while nothing changes. Several threads use a run; each of its
methods takes its lock.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from raysweep.errors import UserError, first_line
from raysweep.results.storage import mirror
from raysweep.results.storage.inbox import FOLDER as COMMANDS
from raysweep.results.storage.inbox import Command, Inbox
from raysweep.results.storage.ledger import NAME
from raysweep.results.storage.run_directory import SWEEP
from raysweep.results.storage.tail import LedgerTail, ReplacedError
from raysweep.results.views.html.page_data import Data
from raysweep.tune.serve.live_run import LiveRun
from raysweep.tune.serve.summary import Facts, placeholder, summary

LOCK_SECONDS = 1.0
"""Seconds between two looks at whether a session still works on a run."""
REMOTE_SECONDS = 5.0
"""The same for a run in object storage, where each look costs requests."""
CLOCK_SECONDS = 1.0
"""How long a row of the list of sweeps is kept if only the time has passed, in seconds."""
Found = TypeVar("Found")
Signature = tuple[tuple[int, int, int] | None, ...]


class DamagedError(UserError):
    """A run directory of which nothing can be shown. The message is the reason."""


class FollowedRun:
    """A run directory, with what is known of it.

    name: its path in the folder that is served. used: when a request last asked for it, by
    `time.monotonic`.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.used = 0.0
        self._lock = threading.RLock()
        self._live: LiveRun | None = None
        self._tail = LedgerTail(path)
        self._signature: Signature = ()
        self._reread: Signature = ()
        self._facts = Facts()
        self._is_remote = mirror.origin(path) is not None
        self._is_wanted = True
        self._looked_beside = 0.0
        self._row: tuple[object, float, Data] = (None, 0.0, placeholder(name, "loading"))

    @property
    def is_loaded(self) -> bool:
        """True if all of its ledger has been read once, or if that cannot be done."""
        return (self._live is not None and self._tail.at_end) or bool(self._facts.damage)

    @property
    def is_running(self) -> bool:
        """True if a session works on it."""
        return self._facts.locked

    @property
    def size(self) -> int:
        """The number of reports that are held in memory."""
        if self._live is None:
            return 0
        return self._live.n_reports

    @property
    def version(self) -> int:
        """The version of what is held in memory; 0 if that is nothing."""
        if self._live is None:
            return 0
        return self._live.version

    @property
    def modified(self) -> int:
        """When its ledger was last written, in ns; 0 before the first look."""
        if not self._signature or self._signature[0] is None:
            return 0
        return self._signature[0][2]

    def analysed(self, found: Data, version: int) -> int:
        """Take in analyses of what there was at a version; return the version that they cover."""
        with self._lock:
            if self._live is None or self._live.version < version:
                return 0  # it was forgotten, or is another run by now
            is_current = self._live.version == version
            self._live.analysed(found)
            if is_current:  # the version that the analyses make is nothing new to analyse
                return self._live.version
            return version

    def look(self) -> bool:
        """Take in what is new, up to a chunk of its ledger. True if anything has changed."""
        with self._lock:
            before = (self.version, self._facts)
            signature = self._stat()
            changed = signature != self._signature
            if changed or (self._is_wanted and not self.is_loaded):
                self._is_wanted = True
                self._read(signature)
            self._look_beside(changed)
            self._signature = signature
            return before != (self.version, self._facts)

    def load(self) -> None:
        """Take in all that there is."""
        self._is_wanted = True
        while not self.is_loaded:
            self.look()

    def unload(self) -> None:
        """Forget the histories. The row in the list of sweeps stays."""
        with self._lock:
            self.row()
            self._begin_anew()
            self._facts = Facts(self._facts.locked, "", self._facts.waiting)
            self._is_wanted = False

    @property
    def is_wanted(self) -> bool:
        """False if its histories were forgotten, and nothing has changed since."""
        return self._is_wanted

    def row(self) -> Data:
        """Its row in the list of sweeps."""
        with self._lock:
            kept, made, row = self._row
            if self._live is None or not self.is_loaded:
                if self._facts.damage and self._live is None:
                    return placeholder(self.name, "damaged", self._facts.damage)
                return row
            key = (self._live.version, self._facts)
            clock = self._facts.locked and time.monotonic() - made > CLOCK_SECONDS
            if kept != key or clock:
                self._row = (key, time.monotonic(), self._summary(self._live))
            return self._row[2]

    def _summary(self, live: LiveRun) -> Data:
        try:
            return summary(self.name, live, self._facts)
        except Exception as error:  # a file may hold anything, and the other runs are shown
            reason = f"it cannot be understood: {type(error).__name__}: {first_line(error)}"
            return placeholder(self.name, "damaged", reason)

    def use(self, function: Callable[[LiveRun, Facts], Found]) -> Found:
        """What a function makes of the histories, which nothing changes meanwhile.

        Raises DamagedError if there are none.
        """
        self.used = time.monotonic()
        while True:
            self.load()
            with self._lock:
                if self._live is not None:
                    return function(self._live, self._facts)
                if self._facts.damage:
                    raise DamagedError(self._facts.damage)
            # It was forgotten in between.

    def _stat(self) -> Signature:
        # A session that takes the lock writes its name into that file.
        return tuple(_version(self.path / name) for name in (NAME, SWEEP, COMMANDS, "lock"))

    def _read(self, signature: Signature) -> None:
        """Read the next chunk of the ledger. A mistake in it is kept as the run's damage."""
        damage = ""
        try:
            self._apply()
        except ReplacedError:
            self._begin_anew()
        except FileNotFoundError:
            damage = "its ledger is gone"
        except OSError as error:
            damage = f"its ledger cannot be read: {error.strerror or error}"
        except UserError as error:
            # Another file may have got the same inode and be longer, too. Then it reads well from
            # its start; if not, this is tried once for each change.
            if self._tail.count and self._reread != signature:
                self._reread = signature
                self._begin_anew()
            else:
                damage = first_line(error)
        except Exception as error:  # a ledger may hold anything, and the other runs go on
            damage = f"its ledger cannot be understood: {type(error).__name__}: {first_line(error)}"
            self._begin_anew()  # nobody knows what the event has changed before it failed
        waiting = self._facts.waiting
        if not damage and signature[2:3] != self._signature[2:3]:
            waiting = self._waiting()
        self._facts = Facts(self._facts.locked, damage, waiting)

    def _begin_anew(self) -> None:
        self._live, self._tail = None, LedgerTail(self.path)

    def _apply(self) -> None:
        if self._live is None:
            live = LiveRun(self.path)
            _ = live.metric  # raises RunError if the sweep cannot be read
            self._live = live
        self._live.apply(self._tail.read())

    def _waiting(self) -> tuple[Command, ...]:
        try:
            return tuple(Inbox(self.path).waiting())
        except OSError:
            return ()  # they are shown, and nothing depends on them

    def _look_beside(self, changed: bool) -> None:
        """Look at the lock; of a run in object storage also at the commands that wait there."""
        passed = time.monotonic() - self._looked_beside
        if self._is_remote:
            if passed < REMOTE_SECONDS:
                return
        elif not changed and (not self._facts.locked or passed < LOCK_SECONDS):
            return
        self._looked_beside = time.monotonic()
        locked, waiting = self._facts.locked, self._facts.waiting
        with contextlib.suppress(OSError, ValueError, KeyError):  # the next look tries again
            locked = mirror.is_locked(self.path)
            if self._is_remote:
                waiting = self._waiting()
        self._facts = Facts(locked, self._facts.damage, waiting)


def _version(path: Path) -> tuple[int, int, int] | None:
    """What changes if a file does; None if there is none."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns
