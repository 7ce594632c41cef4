"""The verbs that show a sweep while it runs: status and logs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from raysweep.errors import UserError
from raysweep.tune.cli.arguments import RUN, Verbs, find_run, show

if TYPE_CHECKING:
    from rich.table import Table

    from raysweep.history import Trial
    from raysweep.results.storage.run_directory import RunDirectory

TITLE = "watch a sweep"
FOLLOW_SECONDS = 0.5
"""Seconds between two looks at a log that is followed."""
MAX_LISTED = 30
"""Logs that are listed, the newest."""
TAIL_BYTES = 4096
"""The end of a log in which its last line is looked for."""
LINE_CHARACTERS = 80
"""The longest last line that is listed whole."""


class LogError(UserError):
    """A log that does not exist, in one line."""


def add(verbs: Verbs) -> None:
    status = verbs.add_parser(
        "status",
        help="state, progress, best value, running trials, failures, waiting commands",
        description="Show the state of a sweep, running or not.",
    )
    status.add_argument("run", help=RUN)
    status.add_argument("--json", action="store_true", help="print it as JSON")
    status.set_defaults(verb=show_status)
    logs = verbs.add_parser(
        "logs",
        help="what a trial printed",
        description="Print the log of a trial, or list the logs of a run.",
    )
    logs.add_argument("run", help=RUN)
    logs.add_argument(
        "trial", nargs="?", help="as in the tables: bohb-7; without it the logs are listed"
    )
    logs.add_argument("--follow", "-f", action="store_true", help="print what comes, until it ends")
    logs.add_argument("--json", action="store_true", help="print each line as JSON")
    logs.set_defaults(verb=show_logs)


def show_status(options: argparse.Namespace) -> int:
    """`raysweep status`."""
    from raysweep.formatting import clean
    from raysweep.tune.status import lines, status

    found = status(find_run(options.run))
    print(json.dumps(found) if options.json else clean("\n".join(lines(found))))
    return 0


def show_logs(options: argparse.Namespace) -> int:
    """`raysweep logs`. Control characters are replaced, so that a log cannot use the terminal."""
    from raysweep.results.storage.mirror import fetch_log

    run = find_run(options.run)
    if options.trial is None:
        return _list_logs(run, options)
    trial = run.trial(options.trial)
    path = fetch_log(run.path, trial.id)
    if not path.exists() and not options.follow:
        raise LogError(f"{trial.id} has printed nothing: there is no {path}")
    _print_log(path, options)
    return 0


def _list_logs(run: RunDirectory, options: argparse.Namespace) -> int:
    """List which trials have printed something, the newest last."""
    from raysweep.formatting import plural
    from raysweep.results.storage.mirror import log_sizes

    sizes = log_sizes(run.path)
    trials = [trial for trial in run.all_trials() if trial.id in sizes]
    if options.follow:
        raise LogError(f"--follow: expected a trial, as in raysweep logs {options.run} TRIAL -f")
    if not trials:
        raise LogError(f"no trial of {options.run} has printed anything: {run.path}/logs is empty")
    if options.json:
        found = [{"trial": one.id, "status": one.status, "bytes": sizes[one.id]} for one in trials]
        print(json.dumps(found))
        return 0
    show(_table_of_logs(run, trials[-MAX_LISTED:], sizes))
    if (hidden := len(trials) - MAX_LISTED) > 0:
        print(f"and {plural(hidden, 'earlier trial')}")
    chosen = next((one for one in reversed(trials) if one.notes.get("traceback")), trials[-1])
    print(f"to read one:  raysweep logs {options.run} {chosen.id}")
    return 0


def _table_of_logs(run: RunDirectory, trials: Sequence[Trial], sizes: Mapping[str, int]) -> Table:
    from raysweep.formatting import size
    from raysweep.results.views.terminal import columns, plain
    from raysweep.shown_status import shown_status

    table = columns("trial", "status", ">log", "last line")
    for trial in trials:
        status = shown_status(trial, run.may_promote)
        cells = (trial.id, status, size(sizes[trial.id]), _last_line(run, trial.id))
        table.add_row(*map(plain, cells))
    return table


def _last_line(run: RunDirectory, trial_id: str) -> str:
    """The last line of a log; "" if it is in object storage only."""
    path = run.path / "logs" / f"{trial_id}.log"
    if not path.exists():
        return ""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = _read(file).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:LINE_CHARACTERS]


def _print_log(path: Path, options: argparse.Namespace) -> None:
    while not path.exists():
        if _has_ended(options):
            return
        time.sleep(FOLLOW_SECONDS)
    copy = _copy_as_json if options.json else _copy
    with open(path, "rb") as file:
        copy(file)
        while options.follow and not _has_ended(options):
            time.sleep(FOLLOW_SECONDS)
            copy(file)
        copy(file)


def _copy(file: BinaryIO) -> None:
    """Print what a file holds from its position on, each state of a progress bar as a line."""
    from raysweep.formatting import clean

    sys.stdout.write(clean(_read(file)))
    sys.stdout.flush()


def _copy_as_json(file: BinaryIO) -> None:
    """The same, each line as a JSON object. A line that is being written may come in parts."""
    for line in _read(file).splitlines():
        print(json.dumps({"line": line}))
    sys.stdout.flush()


def _read(file: BinaryIO) -> str:
    text = file.read().decode("utf-8", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _has_ended(options: argparse.Namespace) -> bool:
    """True if the trial trains no more, or nobody works on the run."""
    from raysweep.results.storage.mirror import is_locked

    run: Any = find_run(options.run)
    return run.trial(options.trial).status.ended or not is_locked(run.path)
