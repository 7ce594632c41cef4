"""The verbs that analyse finished runs: report, compare, simulate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.tune.cli.arguments import RUN, Verbs, count, find_run, names, show
from raysweep.tune.cli.as_json import add_option, comparison_data, print_json

if TYPE_CHECKING:
    from raysweep.results.storage.run_directory import RunDirectory

TITLE = "analyse"
SEARCHERS = ("grid", "random", "tpe", "bohb", "auto")
SCHEDULERS = ("none", "median", "asha")
"""What `simulate` tries by default."""
ONE_METRIC = ("tpe", "median")
"""Those of them that know one metric only."""


def add(verbs: Verbs) -> None:
    _add_report(
        verbs.add_parser(
            "report",
            help="write report.html",
            description="Write the page about a run, replacing an older one.",
        )
    )
    _add_compare(
        verbs.add_parser(
            "compare",
            help="searchers side by side, and a verdict",
            description="Compare the searchers of one run, or of several.",
        )
    )
    _add_simulate(
        verbs.add_parser(
            "simulate",
            help="searchers and schedulers on recorded curves",
            description="Try searchers and schedulers on the curves that a run recorded "
            "(raysweep run --record N), without training.",
        )
    )


def _add_report(report: argparse.ArgumentParser) -> None:
    report.add_argument("run", help=RUN)
    report.add_argument(
        "--out", type=Path, help="the file (default: report.html in the run directory)"
    )
    add_option(report)
    report.set_defaults(verb=write_report)


def _add_compare(compare: argparse.ArgumentParser) -> None:
    compare.add_argument(
        "run", nargs="+", help="run directories: paths, URLs or names in ray_results"
    )
    _add_unit(compare)
    add_option(compare)
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
    simulate.add_argument("run", help="a run directory, best made with --record N")
    simulate.add_argument(
        "--searchers",
        type=names,
        help="default: grid,random,tpe,bohb,auto; without tpe for several metrics",
    )
    simulate.add_argument(
        "--schedulers",
        type=names,
        help="default: none,median,asha; without median for several metrics, which it cannot judge",
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
    add_option(simulate)
    simulate.set_defaults(verb=simulate_run)


def write_report(options: argparse.Namespace) -> int:
    """`raysweep report`. The page of a run that is still being trained refreshes itself."""
    from raysweep.results.storage.mirror import display_path, is_locked, upload
    from raysweep.results.storage.run_directory import RunError
    from raysweep.results.views.html.report import write

    run = find_run(options.run)
    try:
        path = write(run, options.out, live=is_locked(run.path))
    except (OSError, ValueError) as error:  # ValueError: "/" and "." have no name
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{options.out or run.path} cannot be written: {reason}") from None
    upload(run.path)
    if options.json:
        print_json({"report": display_path(path)})
        return 0
    print(display_path(path))
    return 0


def compare_runs(options: argparse.Namespace) -> int:
    """`raysweep compare`."""
    from rich.console import Group

    from raysweep.results.analysis.compare import compare
    from raysweep.results.analysis.findings import reliability, tables
    from raysweep.results.views.terminal import plain

    runs = [find_run(name) for name in options.run]
    comparison = compare(runs, options.by)
    if options.json:
        print_json(comparison_data(comparison))
        return 0
    show(tables(comparison))
    for run in runs:
        show(Group(*map(plain, reliability(run))))
    return 0


def simulate_run(options: argparse.Namespace) -> int:
    """`raysweep simulate`."""
    from raysweep.results.analysis import simulation as kept
    from raysweep.results.analysis.findings import tables
    from raysweep.results.storage.mirror import display_path, is_locked, upload
    from raysweep.results.views.html.report import write
    from raysweep.tune.offline.simulation_grid import SimulationGrid, simulate_grid

    run = find_run(options.run)
    grid = SimulationGrid(
        options.searchers or able(SEARCHERS, run),
        options.schedulers or able(SCHEDULERS, run),
        options.seeds,
        options.workers,
        options.epochs,
        options.nearest,
    )
    result = simulate_grid(run, grid, options.processes, _tick)
    kept.save(run, result.comparison, result.answers)
    path = write(run, live=is_locked(run.path))
    upload(run.path)
    if options.json:
        more = {"answers": str(result.answers), "report": display_path(path)}
        print_json(comparison_data(result.comparison) | more)
        return 0
    show(tables(result.comparison))
    print(f"\n{result.answers}\n\nreport  {display_path(path)}")
    return 0


def able(names: tuple[str, ...], run: RunDirectory) -> tuple[str, ...]:
    """Those of the names that know as many metrics as the run has."""
    return tuple(name for name in names if run.objectives is None or name not in ONE_METRIC)


def _tick(done: int, total: int) -> None:
    """How far a simulation is, on a terminal."""
    if sys.stderr.isatty():
        print(
            f"\r{done} of {total} simulated sweeps",
            end="\n" if done == total else "",
            file=sys.stderr,
            flush=True,
        )
