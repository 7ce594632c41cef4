"""The verbs that show a sweep while it runs: status and logs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from raysweep.errors import UserError
from raysweep.tune.cli.arguments import RUN, Verbs, find_run

TITLE = "watch a sweep"
FOLLOW_SECONDS = 0.5
"""Seconds between two looks at a log that is followed."""


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
        description="Print the log of a trial.",
    )
    logs.add_argument("run", help=RUN)
    logs.add_argument("trial", help="as in the tables: bohb-7")
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
    trial = run.trial(options.trial)
    path = fetch_log(run.path, trial.id)
    if not path.exists() and not options.follow:
        raise LogError(f"{trial.id} has printed nothing: there is no {path}")
    _print_log(path, options)
    return 0


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
