"""The verbs that read finished runs: report, compare, simulate. Added to the others by `tune/cli/app.py`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

Verbs = Any
"""What argparse calls the object that takes sub-commands; it has no public name."""


def add(verbs: Verbs) -> None:
    """Everything that these verbs can be told."""
    _add_report(
        verbs.add_parser(
            "report",
            help="write report.html",
            description="Write the page about a run, or write it anew.",
        )
    )
    text = "Compare the searchers of one run, or of several."
    _add_compare(
        verbs.add_parser("compare", help="searchers side by side, and a verdict", description=text)
    )
    text = "Try searchers and schedulers on the curves that a run recorded (raysweep run --record N), without training."
    _add_simulate(
        verbs.add_parser(
            "simulate", help="searchers and schedulers on recorded curves", description=text
        )
    )


def _add_report(report: argparse.ArgumentParser) -> None:
    report.add_argument("run", help="a run folder")
    report.add_argument(
        "--out", type=Path, help="the file (default: report.html in the run folder)"
    )
    report.set_defaults(verb=write_report)


def _add_compare(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("run", nargs="+", help="run folders")
    _add_unit(compare)
    compare.set_defaults(verb=compare_runs)


def _add_unit(verb: argparse.ArgumentParser) -> None:
    units = ("epochs", "seconds", "GPU-seconds")
    verb.add_argument(
        "--by",
        choices=units,
        default="epochs",
        help="what studies spend alike (default: epochs trained)",
    )


def _add_simulate(simulate: argparse.ArgumentParser) -> None:
    simulate.add_argument("run", help="a run folder, best made with --record N")
    simulate.add_argument(
        "--searchers",
        type=names,
        default=("grid", "random", "tpe", "bohb"),
        help="default: grid,random,tpe,bohb",
    )
    simulate.add_argument(
        "--schedulers",
        type=names,
        default=("none", "median", "asha"),
        help="default: none,median,asha",
    )
    simulate.add_argument(
        "--seeds", type=count, default=30, help="search seeds of each pair (default: 30)"
    )
    simulate.add_argument("--workers", type=count, default=4, help="simulated workers (default: 4)")
    simulate.add_argument(
        "--epochs", type=count, help="epochs that each study may train (default: 27 full trainings)"
    )
    simulate.add_argument(
        "--nearest",
        action="store_true",
        help="answer for others by the nearest recorded curve, not by a surrogate",
    )
    simulate.add_argument(
        "--processes", type=count, help="processes that share the work (default: one a core)"
    )
    simulate.set_defaults(verb=simulate_run)


def count(text: str) -> int:
    """A whole number above zero, for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, got '{text}'")
    return int(text)


def names(text: str) -> tuple[str, ...]:
    """Names between commas, each once, for argparse; `{name: asha, type: stopping}` is one too."""
    parts = re.findall(r"\{[^{}]*\}|[^,{}]+", text)
    found = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not found:
        raise argparse.ArgumentTypeError("expected names between commas")
    return found


def write_report(options: argparse.Namespace) -> int:
    """`raysweep report`. A run that another process is working on gets a page that refreshes itself."""
    from raysweep.results.storage.mirror import display_path, is_locked, upload
    from raysweep.results.storage.run_directory import RunError, load
    from raysweep.results.views.html.report import write

    run = load(options.run)
    try:
        path = write(run, options.out, live=is_locked(run.path))
    except (OSError, ValueError) as error:  # ValueError: "/" and "." have no name
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{options.out or run.path} cannot be written: {reason}") from None
    upload(run.path)
    print(display_path(path))
    return 0


def compare_runs(options: argparse.Namespace) -> int:
    """`raysweep compare`."""
    from rich.console import Group

    from raysweep.results.analysis.compare import compare
    from raysweep.results.analysis.findings import reliability, tables
    from raysweep.results.storage.run_directory import load
    from raysweep.results.views.terminal import plain

    runs = [load(name) for name in options.run]
    _print(tables(compare(runs, options.by)))
    for run in runs:
        _print(Group(*map(plain, reliability(run))))
    return 0


def simulate_run(options: argparse.Namespace) -> int:
    """`raysweep simulate`."""
    from raysweep.results.analysis import simulation as kept
    from raysweep.results.analysis.findings import tables
    from raysweep.results.storage.mirror import display_path, is_locked, upload
    from raysweep.results.storage.run_directory import load
    from raysweep.results.views.html.report import write
    from raysweep.tune.offline.simulation_grid import Contest, play

    contest = Contest(
        options.searchers,
        options.schedulers,
        options.seeds,
        options.workers,
        options.epochs,
        options.nearest,
    )
    run = load(options.run)
    played = play(run, contest, options.processes, _tick)
    kept.save(run, played.comparison, played.answers)
    _print(tables(played.comparison))
    path = write(run, live=is_locked(run.path))
    upload(run.path)
    print(f"\n{played.answers}\n\nreport  {display_path(path)}")
    return 0


def _tick(done: int, total: int) -> None:
    """How far a simulation is, on a terminal."""
    if sys.stderr.isatty():
        print(
            f"\r{done} of {total} simulated sweeps",
            end="\n" if done == total else "",
            file=sys.stderr,
            flush=True,
        )


def _print(content: object) -> None:
    from rich.console import Console

    Console(highlight=False).print(content)
