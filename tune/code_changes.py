"""Code that changed between two sessions of a run: noticed, said, and refused if trials are under way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from raysweep.clock import now
from raysweep.errors import UserError
from raysweep.history import Event, Status, Trial
from raysweep.tune.callbacks.recorder import EventRecorder
from raysweep.tune.code_digests import digests
from raysweep.tune.controller import SweepController

MOST_NAMED = 3


class ChangedError(UserError):
    """A run whose train function is another one than before, in one line."""


def check(folder: Path, controller: SweepController, past: Iterable[Event], accepted: bool) -> None:
    """ChangedError if trials would go on with other code than they began with, and nobody accepts that."""
    changed = changes(past, digests(controller.sweep.trainable))
    going_on = under_way(controller)
    if not changed or not going_on or accepted:
        return
    raise ChangedError(
        f"{_some(changed)} changed since the last session of {folder.name}, and would train "
        f"{_named(going_on)} on from where the former code left off; "
        "--accept-changes goes on all the same, without --resume a new run begins"
    )


def record(controller: SweepController, recorder: EventRecorder) -> None:
    """Keep what a session trains with, and say what changed since the last one."""
    files = digests(controller.sweep.trainable)
    changed = changes(recorder.past, files)
    event: Event = {"event": "code", "time": now(), "files": files}
    if changed:
        going_on = under_way(controller)
        event |= {"changed": changed, "accepted_for": [trial.id for trial in going_on]}
        trained = f"{_named(going_on)} and all new trials" if going_on else "all new trials"
        recorder.observer.say(
            f"{_some(changed)} changed since the last session: the new code trains {trained}"
        )
    if changed or last(recorder.past) != files:
        recorder.write(event)


def last(past: Iterable[Event]) -> Mapping[str, str] | None:
    """The digests that the last session kept; None in a ledger of a version that kept none."""
    kept = [event["files"] for event in past if event["event"] == "code"]
    return kept[-1] if kept else None


def changes(past: Iterable[Event], files: Mapping[str, str]) -> list[str]:
    """The files that differ from those of the last session; [] if that is not known."""
    before = last(past)
    if before is None:
        return []
    return sorted(name for name in {*before, *files} if before.get(name) != files.get(name))


def under_way(controller: SweepController) -> list[Trial]:
    """The trials that have trained and go on, or may be promoted."""
    promotes = controller.sweep.scheduler.promotes
    return [
        trial
        for trial in controller.trials
        if trial.epoch
        and (trial.status is Status.WAITING or (promotes and trial.status is Status.STOPPED))
    ]


def _named(trials: list[Trial]) -> str:
    return _some([trial.id for trial in trials])


def _some(names: list[str]) -> str:
    """The first few of them."""
    more = len(names) - MOST_NAMED
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
