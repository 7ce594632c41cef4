"""Give a command to a run: to the session that works on it, or to the next one.

The command line and `raysweep.load(path)` both use this. A session acknowledges a command by an
event in the ledger. Without a session the command is checked here, so that a mistake is not found
only by the next one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from raysweep.errors import UserError
from raysweep.results.storage import mirror
from raysweep.results.storage.inbox import (
    WITHDRAW,
    Command,
    CommandError,
    Inbox,
    author,
    is_id,
    recorded,
    recorded_withdrawal,
    withdrawal,
)
from raysweep.results.storage.ledger import Event
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.text_limits import message
from raysweep.tune.command_words import in_words

ACKNOWLEDGED_SECONDS = 2.0
"""How long, in seconds, a session has to carry a command out. It looks four times a second, or
once a second into object storage, but not while it waits for Ray."""
POLL_SECONDS = 0.05
SHOWN = 8
"""How many characters of an id are shown to be typed; they are enough to tell it from others."""
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
    if command == WITHDRAW:
        return withdraw(run, str((arguments or {}).get("withdrawn", "")), wait)
    given = Command(command, arguments or {}, author=author())
    alive = mirror.is_locked(run.path)
    if not alive:
        _check(run, given)
    inbox = Inbox(run.path)
    with _writing(run):
        inbox.put(given)
        if not alive:
            return _waiting(run, given, "no session runs; ")
        return _answer(run, inbox, given, wait)


def withdraw(run: RunDirectory, command: str, wait: float = ACKNOWLEDGED_SECONDS) -> Answer:
    """Take back a command that waits, by its id or the beginning of it.

    It is never carried out then. The withdrawal is left in the inbox before it is looked whether a
    session runs. So a session that begins meanwhile reads it before the command, and one that has
    carried the command out by then is found by its lock or by its event. Raises CommandError if
    the command was carried out, or if there is none.
    """
    inbox = Inbox(run.path)
    with _writing(run):
        target = _waiting_command(run, inbox, command)
        taken = withdrawal(target.id)
        inbox.put(taken)
        if mirror.is_locked(run.path):
            answer = _withdrawn_by_session(run, inbox, target, taken, wait)
            if answer is not None:
                return answer
        # No session has begun since the withdrawal was left that would not have read it.
        return _removed(run, inbox, target, taken)


def _withdrawn_by_session(
    run: RunDirectory, inbox: Inbox, target: Command, taken: Command, wait: float
) -> Answer | None:
    """What the running session says to a withdrawal; None if it has ended without reading it."""
    try:
        answer = _answer(run, inbox, taken, wait)
    except CommandError:
        if event := recorded(run.path, target.id):
            raise _too_late(event) from None
        raise
    if answer.outcome == "applied":
        return replace(answer, text=f"withdrawn: {in_words(target)}")
    if not mirror.is_locked(run.path):
        return None
    text = "the session has not answered yet; raysweep status shows the command while it waits"
    return replace(answer, text=text)


def _removed(run: RunDirectory, inbox: Inbox, target: Command, taken: Command) -> Answer:
    """Remove a command and then its withdrawal, because no session will carry it out."""
    event = recorded(run.path, target.id)
    if event is not None:
        inbox.remove(target.name)
        inbox.remove(taken.name)
        raise _too_late(event)
    inbox.withdraw(target.name)
    inbox.remove(taken.name)
    return Answer(target.id, "applied", f"withdrawn: {in_words(target)}")


def _waiting_command(run: RunDirectory, inbox: Inbox, command: str) -> Command:
    """The command that waits whose id begins so. Raises CommandError."""
    waiting = [one for one in inbox.waiting() if one.command != WITHDRAW]
    found = [one for one in waiting if command and one.id.startswith(command)]
    exact = [one for one in found if one.id == command]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if not found and is_id(command):
        _check_not_ended(run, inbox, command)
    wrong = "several commands have an id that begins so" if found else "no such command waits"
    shown = "".join(f"\n  {one.id}  {in_words(one)}" for one in found or waiting)
    raise CommandError(f"'{message(command)}': {wrong}" + (f"; waiting:{shown}" if shown else ""))


def _check_not_ended(run: RunDirectory, inbox: Inbox, command: str) -> None:
    """Raise CommandError if a command that does not wait was carried out or withdrawn.

    A few characters of its id would fit others, too.
    """
    whole = len(command) < SHOWN
    if event := recorded(run.path, command, whole):
        raise _too_late(event)
    if whole:
        return
    if inbox.was_withdrawn(command) or recorded_withdrawal(run.path, command):
        raise CommandError(f"'{command}': it was withdrawn already, and is never carried out")


def _too_late(event: Event) -> CommandError:
    return CommandError(f"too late, it was {event['outcome']}: {event['reason']}")


@contextlib.contextmanager
def _writing(run: RunDirectory) -> Iterator[None]:
    """Raises CommandError in place of an OSError."""
    try:
        yield
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
        if not inbox.is_remote and not mirror.is_locked(run.path):
            break  # the session has ended; of object storage it costs a request to know
        time.sleep(POLL_SECONDS)
    event = recorded(run.path, given.id)
    if event is None:
        if given.name not in inbox.names() and recorded(run.path, given.id) is None:
            raise CommandError("it was withdrawn before a session carried it out")
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
    undo = f"to take it back: raysweep withdraw {place} {given.id[:SHOWN]}"
    text = f"{why}it takes effect at: raysweep resume {place}\n{undo}"
    return Answer(given.id, "waiting", text)


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
