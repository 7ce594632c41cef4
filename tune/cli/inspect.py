"""The verbs that look at a run or at a trial: ls, best, show, reproduce, export."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from raysweep.errors import UserError
from raysweep.tune.cli.arguments import RUN, UNCUT, Verbs, find_run, place, show, storage
from raysweep.tune.cli.as_json import (
    add_option,
    best_data,
    print_json,
    run_data,
    run_or_damage,
    trial_data,
    within_data,
)

if TYPE_CHECKING:
    from raysweep.results.storage.run_directory import RunDirectory

MAX_LISTED = 30
"""Trials that `ls` lists without --all."""
TITLE = "look at runs and use what they found"


def add(verbs: Verbs) -> None:
    ls = verbs.add_parser(
        "ls",
        help="list runs, or the trials of one",
        description="List runs, or the trials of one, best first.",
    )
    ls.add_argument(
        "run",
        nargs="?",
        type=place,
        default=storage(),
        help="a run directory, or a folder of them (default: $RAYSWEEP_STORAGE, or ray_results)",
    )
    ls.add_argument(
        "--all", action="store_true", help=f"all trials, not only the best {MAX_LISTED}"
    )
    add_option(ls)
    ls.set_defaults(verb=list_runs)
    best = verbs.add_parser(
        "best",
        help="the best configuration of a run",
        description="Show the best configuration of a run.",
    )
    best.add_argument("run", help=RUN)
    best.add_argument(
        "--within",
        action="append",
        default=[],
        metavar="METRIC=LIMIT",
        help="only trials that keep this limit: peak_mb=500, 'ms<=20'; may be repeated",
    )
    add_option(best)
    best.set_defaults(verb=show_best)
    trial = verbs.add_parser(
        "show",
        help="one trial: its configuration, its curve, its error",
        description="Show one trial.",
    )
    _add_trial(trial)
    trial.set_defaults(verb=show_trial)
    reproduce = verbs.add_parser(
        "reproduce",
        help="train one trial again and compare the numbers",
        description="Train one trial again, and compare its metrics with the recorded ones.",
    )
    _add_trial(reproduce)
    reproduce.set_defaults(verb=reproduce_trial)
    export = verbs.add_parser(
        "export",
        help="write the best model into a folder of its own",
        description="Export the best epoch's model.",
    )
    export.add_argument("run", help=RUN)
    export.add_argument(
        "--out",
        type=Path,
        help="the folder to write (default: best/ in the run directory, trial-TRIAL/ of a chosen "
        "trial); of several trials the folder of theirs",
    )
    chosen = export.add_mutually_exclusive_group()
    chosen.add_argument(
        "--trial",
        action="append",
        help="the best epoch of this trial, as one of the front; may be repeated",
    )
    chosen.add_argument("--front", action="store_true", help="every trial of the front")
    add_option(export)
    export.set_defaults(verb=export_best)


def _add_trial(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", help=RUN)
    verb.add_argument("trial", nargs="?", help="as in the tables: bohb-7")
    add_option(verb)


class NoTrialError(UserError):
    """A verb that is about a trial, without one."""


def list_runs(options: argparse.Namespace) -> int:
    """`raysweep ls`. Into a pipe or a file, lines are as long as they are."""
    from raysweep.results.storage.run_directory import runs_below
    from raysweep.results.views.listing import runs, trials

    if options.json:
        return _list_as_json(options)
    width = get_terminal_size((UNCUT, 0)).columns  # the variable COLUMNS counts anywhere
    if inside := runs_below(options.run):
        show(runs(inside, width), width)
    else:
        limit = None if options.all else MAX_LISTED
        show(trials(find_run(options.run), limit, width, cut=width < UNCUT), width)
    return 0


def _list_as_json(options: argparse.Namespace) -> int:
    """All runs of a folder, or all trials of a run, the best first."""
    from raysweep.results.storage.run_directory import read_each, runs_below
    from raysweep.results.views.listing import best_first

    if inside := runs_below(options.run):
        print_json([run_or_damage(one) for one in read_each(inside, run_data)])
    else:
        print_json(best_first(find_run(options.run)))
    return 0


def show_trial(options: argparse.Namespace) -> int:
    """`raysweep show`."""
    from raysweep.results.views import terminal

    run = find_run(options.run)
    trial = _named(run, options, "show")
    if options.json:
        print_json(trial_data(run.trial(trial), run))
        return 0
    show(terminal.show(run, trial))
    return 0


def _named(run: RunDirectory, options: argparse.Namespace, verb: str) -> str:
    """The trial that is named. Raises NoTrialError if none is, which says how."""
    if options.trial is not None:
        return str(options.trial)
    best = f", such as {run.chosen[0].id}, the best" if run.chosen else ""
    raise NoTrialError(
        f"name a trial{best}: raysweep {verb} {options.run} TRIAL; "
        f"raysweep ls {options.run} lists them"
    )


def show_best(options: argparse.Namespace) -> int:
    """`raysweep best`."""
    from raysweep.results.views.best import best, confirmed

    run = find_run(options.run)
    if options.within:
        return _show_within(run, options)
    if options.json:
        print_json(best_data(run) or best(run))  # the latter raises why there is none
        return 0
    show(best(run))
    for line in confirmed(run):
        show(line)
    return 0


def _show_within(run: RunDirectory, options: argparse.Namespace) -> int:
    """The best trial that keeps the limits of `--within`."""
    from raysweep.results.analysis.within import read_limit, trial_within
    from raysweep.results.views.terminal import best

    limits = [read_limit(text, run) for text in options.within]
    trial = trial_within(run, limits)
    if options.json:
        print_json(within_data(trial, run))
        return 0
    assert trial.best is not None
    kept = f"the best with {' and '.join(map(str, limits))}"
    show(best(run, run.best_epoch(trial, trial.best), kept))
    return 0


def export_best(options: argparse.Namespace) -> int:
    """`raysweep export`."""
    from raysweep.results.export import export, folder_name
    from raysweep.results.storage.mirror import display_path, upload

    run = find_run(options.run)
    trials = _exported_trials(run, options)
    is_one = len(trials) == 1 and not options.front
    found: list[dict[str, Any]] = []
    for trial in trials:
        out = options.out if is_one or not options.out else options.out / folder_name(trial)
        exported = export(run, out, trial=trial)
        where = display_path(exported.folder)
        facts = {"trial": exported.trial, "seed": exported.seed, "epoch": exported.epoch}
        found.append({"folder": where, **facts, "message": exported.message})
        if not options.json:
            print(f"{where}: {exported.source}; {exported.message}", flush=True)
    upload(run.path)
    if options.json:
        print_json(found[0] if is_one else found)
    return 0


def _exported_trials(run: RunDirectory, options: argparse.Namespace) -> list[str | None]:
    """The trials to export; None is the one that the run has chosen. Raises RunError."""
    if options.front:
        _ = run.best  # raises why there is no front
        return [trial.id for trial in run.front]
    for name in options.trial or ():
        run.trial(name)  # before the first is written
    return list(dict.fromkeys(options.trial)) if options.trial else [None]


def reproduce_trial(options: argparse.Namespace) -> int:
    """`raysweep reproduce`. Exit code 1 if a number differs."""

    run = find_run(options.run)
    trial = _named(run, options, "reproduce")
    threads = max(1, int(run.sweep.get("resources", {}).get("cpu", 1)))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is imported
    from raysweep.tune.reproduce import reproduce

    epochs = reproduce(run, trial)
    worst = max(epoch.difference for epoch in epochs)
    if options.json:
        print_json(
            {
                "trial": trial,
                "difference": worst,
                "epochs": [asdict(epoch) for epoch in epochs],
            }
        )
        return 0 if worst == 0 else 1
    for epoch in epochs:
        values = "  ".join(
            f"{name} {epoch.recorded[name]!r} {epoch.reproduced.get(name)!r}"
            for name in epoch.recorded
        )
        print(f"{run.interval.at(epoch.epoch)}: {values}")
    trained = run.interval.trained(len(epochs))
    print(f"{trial}: {trained} trained again, largest difference {worst:g}")
    return 0 if worst == 0 else 1
