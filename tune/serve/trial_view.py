"""What the page of one trial shows: its values, its configuration, its decisions, its log."""

from __future__ import annotations

import json
from pathlib import Path

from raysweep.errors import UserError
from raysweep.history import Trial
from raysweep.references import SCRIPT_FILES, is_script
from raysweep.results.analysis.decisions import decisions, pauses
from raysweep.results.storage import mirror
from raysweep.results.storage.run_directory import best_of, holds_state
from raysweep.results.storage.tables import flatten
from raysweep.results.views.html.page_data import Data
from raysweep.shown_status import shown_status
from raysweep.tune.serve.live_run import LiveRun

LAST_BYTES = 2**16
"""How much of the end of a log is shown first."""
MOST_BYTES = 2**18
"""The most that is sent of a log at once."""
CHECKPOINTS = ("best.pt", "last.pt")
SNIPPET = """\
import torch

config = {config}
checkpoint = torch.load({checkpoint}, map_location="cpu", weights_only=True)
model.load_state_dict(checkpoint["model_state_dict"])  # build the model from config first
"""


class UnknownTrialError(UserError):
    """There is no trial of that name."""


def known_trial(live: LiveRun, name: str) -> Trial:
    """The trial of a name. Raises UnknownTrialError."""
    place = live.index(name)
    # What a ledger calls a trial may be anything; as the name of a file it must stay in its folder.
    if place is None or "/" in name or "\\" in name or "\0" in name or name.startswith("."):
        raise UnknownTrialError("there is no trial of this name")
    return live.trials[place]


def trial_data(live: LiveRun, name: str) -> Data:
    """Everything about a trial but its log and its checkpoint."""
    trial = known_trial(live, name)
    notes = trial.notes
    names = dict.fromkeys(name for report in trial.reports for name in report.metrics)
    return {
        "trial": trial.id,
        "seed": trial.seed,
        "status": shown_status(trial, live.may_promote),
        "reason": live.directory().reason_of(trial),
        "config": trial.config,
        "difference": difference(live, trial),
        "epochs": [report.epoch for report in trial.reports],
        "metrics": {name: [report.metrics.get(name) for report in trial.reports] for name in names},
        "seconds": [report.seconds for report in trial.reports],
        "decisions": decided(live, trial),
        "notes": [note.text for note in live.steering.notes if note.trial == trial.id],
        "tags": live.steering.tags.get(trial.id, []),
        "traceback": notes.get("traceback"),
        "peak_memory": notes.get("peak_memory"),
        "node": notes.get("node"),
        "device": notes.get("device"),
        "attempts": trial.attempts,
        "parent": notes.get("parent"),
        "memory": notes.get("memory"),
        "exportable": not is_script(str(live.sweep.get("trainable", ""))),
        "epochs_allowed": notes.get("epochs") or _reports(live),
    }


def difference(live: LiveRun, trial: Trial) -> list[Data]:
    """The parameters that differ from those of the best trial."""
    found = best_of(live.histories)
    if found is None or found[0] is trial:
        return []
    mine, others = flatten(trial.config), flatten(found[0].config)
    return [
        {"name": name, "value": mine.get(name), "best": others.get(name)}
        for name in dict.fromkeys([*mine, *others])
        if repr(mine.get(name)) != repr(others.get(name))
    ]


def decided(live: LiveRun, trial: Trial) -> list[Data]:
    """What was decided of a trial, in order: `epoch`, after which it was, `kind` and `text`."""
    reports = [
        {"event": "reported", "trial": trial.id, "epoch": report.epoch, "time": report.time}
        for report in trial.reports
    ]
    # Reports come first, because what follows from one may have its time.
    events = sorted([*reports, *live.events], key=lambda event: float(event["time"]))
    return decisions(events, pauses(live.sweep), live.interval).get(trial.id, [])


def _reports(live: LiveRun) -> int | None:
    """The number of reports of a whole trial; None if it is not known."""
    budget = live.sweep.get("budget") or {}
    length = budget.get(live.interval.unit)
    if not isinstance(length, int | float):
        return None
    return live.interval.report(length)


def checkpoint(path: Path, trial: Trial) -> str | None:
    """The path or URL of a trial's best checkpoint, else of its last one.

    None if none is kept, or if the train function has named nothing that it would hold.
    """
    store = mirror.origin(path)
    if store is not None:
        kept = store.sizes(f"trials/{trial.id}")
        objects = [f"trials/{trial.id}/{name}" for name in CHECKPOINTS]
        found = [(store / name).url for name in objects if name in kept]
        return found[0] if found else None
    places = [path / "trials" / trial.id / name for name in CHECKPOINTS]
    found_here = next((place for place in places if place.is_file()), None)
    return str(found_here.absolute()) if found_here and holds_state(found_here) else None


def snippet(live: LiveRun, trial: Trial, kept: str | None) -> str:
    """Lines of Python that load what a trial left; without a checkpoint, its configuration."""
    config = f"config = {trial.config!r}\n"
    if is_script(str(live.sweep.get("trainable"))):
        files = live.path.absolute() / "trials" / trial.id / SCRIPT_FILES
        return f"{config}files = {str(files)!r}  # what the script saved\n"
    if kept is None:
        return config
    return SNIPPET.format(config=repr(trial.config), checkpoint=json.dumps(kept))


def log_part(path: Path, trial: Trial, start: int | None, ended: bool) -> Data:
    """A part of what a trial printed, from a byte on; without `start`, the end of it.

    text: as it was printed. next: the byte to ask from next. ended: nothing more will come.
    """
    file = mirror.fetch_log(path, trial.id)
    folder = path.resolve() / "logs"
    if not file.is_file() or not file.resolve().is_relative_to(folder):
        return {"text": "", "next": 0, "ended": ended}
    with open(file, "rb") as log:
        size = log.seek(0, 2)
        first = start
        if first is None:
            first = max(0, size - LAST_BYTES)
        if first > size:  # it was begun anew
            first = 0
        log.seek(first)
        content = log.read(MOST_BYTES)
    if start is None and first > 0:
        # From the beginning of a line, and so of a letter.
        skipped = content.find(b"\n") + 1
        content, first = content[skipped:], first + skipped
    content = _whole_letters(content)
    following = first + len(content)
    is_all = following >= size or len(content) == 0
    text = content.decode("utf-8", errors="replace")
    return {"text": text, "next": following, "ended": ended and is_all}


def _whole_letters(content: bytes) -> bytes:
    """The bytes without the beginning of a letter at their end, which the next part will hold."""
    for cut in range(1, min(4, len(content) + 1)):
        first = content[-cut]
        if first >= 0xC0:  # the first byte of a letter of two to four bytes
            length = 2 + (first >= 0xE0) + (first >= 0xF0)
            if cut < length:
                return content[:-cut]
            return content
        if first < 0x80:
            return content
    return content
