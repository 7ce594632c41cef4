"""Code that changed between two sessions of a run: it is said, and refused if trials would mix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from raysweep.clock import now
from raysweep.errors import UserError
from raysweep.history import Event, Status, Trial
from raysweep.trainables.runtime.script.process import module_root
from raysweep.tune.callbacks.recorder import EventRecorder
from raysweep.tune.code_digests import digest, digests
from raysweep.tune.controller import SweepController
from raysweep.tune.sweep import Sweep

MAX_NAMED = 3
"""Files or trials that a message names."""


class ChangedError(UserError):
    """A run whose train function has changed, in one line."""


def check(folder: Path, controller: SweepController, past: Iterable[Event], accepted: bool) -> None:
    """Raise ChangedError if trials would continue with other code than before.

    `accepted`: the user accepts that.
    """
    changed = changes(past, code(controller.sweep))
    unfinished = unfinished_trials(controller)
    if not changed or not unfinished or accepted:
        return
    raise ChangedError(
        f"{_some(changed)} changed since the last session of {folder.name}, and would train "
        f"{_named(unfinished)} on from where the former code left off; "
        "--accept-changes continues all the same, without --resume a new run begins"
    )


def record(controller: SweepController, recorder: EventRecorder) -> None:
    """Record the code that a session trains with, and say what changed since the last session."""
    files = code(controller.sweep)
    changed = changes(recorder.past, files)
    event: Event = {"event": "code", "time": now(), "files": files}
    if changed:
        unfinished = unfinished_trials(controller)
        event |= {"changed": changed, "accepted_for": [trial.id for trial in unfinished]}
        trained = f"{_named(unfinished)} and all new trials" if unfinished else "all new trials"
        recorder.say(
            f"{_some(changed)} changed since the last session: the new code trains {trained}"
        )
    if changed or last(recorder.past) != files:
        recorder.write(event)


def code(sweep: Sweep) -> dict[str, str]:
    """A digest of each file that trials are trained with: of code, and a script's template."""
    line = sweep.command_line
    if line is None:
        return digests(sweep.trainable)
    root = module_root(Path(sweep.trainable), line.module) if line.module else None
    files = digests(sweep.trainable, root)
    if line.config_file is not None and line.config_file.template is not None:
        files[line.config_file.source] = digest(line.config_file.template.encode())
    return files


def last(past: Iterable[Event]) -> Mapping[str, str] | None:
    """The digests that the last session recorded; None if its version recorded none."""
    kept = [event["files"] for event in past if event["event"] == "code"]
    return kept[-1] if kept else None


def changes(past: Iterable[Event], files: Mapping[str, str]) -> list[str]:
    """The files that differ from those of the last session; [] if that is not known.

    A template is named as the sweep's file names it, which a run's own file does by its whole path:
    a file of the same name and content is the same.
    """
    before = last(past)
    if before is None:
        return []
    kept = _contents(before) & _contents(files)
    different = {*before.items(), *files.items()} - (before.items() & files.items())
    names = {name for name, content in different if (_last_part(name), content) not in kept}
    return sorted(name for name in names if not any(name.endswith(f"/{one}") for one in names))


def _contents(files: Mapping[str, str]) -> set[tuple[str, str]]:
    return {(_last_part(name), content) for name, content in files.items()}


def _last_part(name: str) -> str:
    return name.rpartition("/")[2]


def unfinished_trials(controller: SweepController) -> list[Trial]:
    """The trials that have trained and continue, or may be promoted."""
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
    """The first few names, and how many more there are."""
    more = len(names) - MAX_NAMED
    shown = ", ".join(names[:MAX_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
