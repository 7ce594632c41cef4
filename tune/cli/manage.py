"""The verb that deletes runs: rm."""

from __future__ import annotations

import argparse
import sys

from raysweep.errors import UserError
from raysweep.tune.cli.arguments import RUN, Verbs, find_run
from raysweep.tune.cli.as_json import add_option, print_json

TITLE = "delete runs"


class DeletionError(UserError):
    """A run that is not deleted, in one line."""


def add(verbs: Verbs) -> None:
    rm = verbs.add_parser(
        "rm",
        help="delete run directories with their checkpoints",
        description="Delete runs, with their ledgers, logs and checkpoints. A run that a process "
        "works on is refused, and so is a folder that is no run directory.",
    )
    rm.add_argument("run", nargs="+", help=RUN)
    rm.add_argument("--yes", "-y", action="store_true", help="do not ask")
    add_option(rm)
    rm.set_defaults(verb=delete)


def delete(options: argparse.Namespace) -> int:
    """`raysweep rm`. Nothing is deleted if a run cannot be."""
    from raysweep.formatting import plural
    from raysweep.results.storage.mirror import delete_run, display_path, is_locked

    runs = [find_run(text) for text in options.run]
    for run in runs:
        if is_locked(run.path):
            raise DeletionError(f"{display_path(run.path)} is being worked on; stop it first")
    deleted, stays = [], []
    for run in runs:
        place, trials = display_path(run.path), plural(len(run.rows), "trial")
        if not options.yes and not _agreed(f"delete {place} with {trials}?"):
            stays.append(place)
            continue
        delete_run(run.path)
        if run.path.exists():
            raise DeletionError(f"{place} cannot be deleted as a whole: see what is left in it")
        deleted.append(place)
    if options.json:
        print_json({"deleted": deleted, "kept": stays})
        return 0
    for place in deleted:
        print(f"{place} is deleted")
    for place in stays:
        print(f"{place} stays")
    return 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise DeletionError("nobody can be asked here: add --yes to delete")
    print(f"{question} [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
