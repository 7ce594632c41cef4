"""Give a command to a run: to the session that works on it, or to the next one.

The command line and `raysweep.load(path)` both use this. A session acknowledges a command by an
event in the ledger. Without a session the command is checked here, so that a mistake is not found
only by the next one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from raysweep.errors import UserError
from raysweep.results.storage import mirror
from raysweep.results.storage.inbox import Command, CommandError, Inbox, author, recorded
from raysweep.results.storage.run_directory import RunDirectory

ACKNOWLEDGED_SECONDS = 2.0
"""How long, in seconds, a session has to carry a command out. It looks four times a second, or
once a second into object storage, but not while it waits for Ray."""
POLL_SECONDS = 0.05
NEEDS_SESSION = ("pause", "resume")
"""Commands that mean nothing without a session; so does `stop` of the whole sweep."""


@dataclass(frozen=True)
class Answer:
    """What became of a command.

    outcome: `applied`, or `waiting` if no session has carried it out yet. text: what it does, or
    what it waits for, in one line or more.
    """

    id: str
    outcome: Literal["applied", "waiting"]
    text: str

    def __str__(self) -> str:
        return self.text


def give(
    run: RunDirectory,
    command: str,
    arguments: Mapping[str, Any] | None = None,
    wait: float = ACKNOWLEDGED_SECONDS,
) -> Answer:
    """Give a command, and wait until a session has carried it out if there is one.

    Raises CommandError, with a line for each mistake, if it is refused.
    """
    given = Command(command, arguments or {}, author=author())
    alive = mirror.is_locked(run.path)
    if not alive:
        _check(run, given)
    inbox = Inbox(run.path)
    try:
        inbox.put(given)
        if not alive:
            return _waiting(run, given, "no session runs; ")
        return _answer(run, inbox, given, wait)
    except OSError as error:
        place = mirror.display_path(run.path)
        raise CommandError(f"{place} cannot be written: {error.strerror or error}") from None


def unpause(run: RunDirectory) -> None:
    """Have the next session continue a sweep that was paused when its session was killed."""
    if run.steering.paused and not mirror.is_locked(run.path):
        Inbox(run.path).put(Command("resume", author=author()))


def _answer(run: RunDirectory, inbox: Inbox, given: Command, wait: float) -> Answer:
    """What the session says to a command that it was given."""
    until = time.monotonic() + wait
    while time.monotonic() < until:
        if given.name not in inbox.names():
            break
        time.sleep(POLL_SECONDS)
    event = recorded(run.path, given.id)
    if event is None:
        return _unanswered(run, inbox, given)
    if event["outcome"] == "refused":
        raise CommandError(f"refused: {event['reason']}")
    return Answer(given.id, "applied", f"applied: {event['reason']}")


def _unanswered(run: RunDirectory, inbox: Inbox, given: Command) -> Answer:
    """The session has not answered. If it has ended, a command for it alone is taken back."""
    if mirror.is_locked(run.path):
        seconds = f"{ACKNOWLEDGED_SECONDS:.0f} s"
        return Answer(given.id, "waiting", f"not carried out within {seconds}; it is not lost")
    if _needs_session(given):
        inbox.remove(given.name)
        raise CommandError(f"{given.command}: the session ended meanwhile")
    return _waiting(run, given, "the session ended meanwhile; ")


def _waiting(run: RunDirectory, given: Command, why: str) -> Answer:
    place = mirror.display_path(run.path)
    return Answer(given.id, "waiting", f"{why}it takes effect at: raysweep resume {place}")


def _needs_session(given: Command) -> bool:
    return given.command in NEEDS_SESSION or (
        given.command == "stop" and "trial" not in given.arguments
    )


def _check(run: RunDirectory, given: Command) -> None:
    """Raise CommandError if the next session would refuse the command."""
    from raysweep.tune.command_checks import Refused
    from raysweep.tune.commands import carry_out, check

    if _needs_session(given):
        raise CommandError(f"{given.command}: no session runs, so nothing happens")
    controller = next_session(run)
    if controller is None:
        return  # its file is gone, as may be here, where only the results are
    with contextlib.suppress(KeyboardInterrupt):
        for waiting in Inbox(run.path).waiting():
            carry_out(waiting, controller)
    try:
        check(given, controller)
    except Refused as error:
        raise CommandError(f"refused: {error}") from None


def next_session(run: RunDirectory) -> Any:
    """The controller as the next session of a run finds it; None if the sweep cannot be read.

    Nothing is written.
    """
    from raysweep.tune.controller import SweepController
    from raysweep.tune.kept_checkpoints import TrialCheckpoints
    from raysweep.tune.run_folders import recorded_sweep

    try:
        sweep = recorded_sweep(Path(run.path))
    except UserError:
        return None
    checkpoints = TrialCheckpoints(run.path, sweep, writes=False)
    return SweepController(sweep, past=run.events, checkpoints=checkpoints)
