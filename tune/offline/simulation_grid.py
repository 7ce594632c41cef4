"""`raysweep simulate`: every searcher under every scheduler, on recorded curves.

Each study (a searcher, a scheduler, a search seed) is a sweep of its own on a simulated clock, with
the searchers, schedulers and controller of live sweeps. Studies run in several processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from raysweep.results.analysis.compare import HYPERVOLUME, Comparison
from raysweep.results.analysis.hypervolume import Box, has_several, shared_box
from raysweep.results.analysis.incumbents import IncumbentCurve, incumbent_curve
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.search_spaces.file.document import parse
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.offline.recorded_curves import Recorded, recorded
from raysweep.tune.run_folders import recorded_sweep
from raysweep.tune.sweep import Budget, Sweep

TRAININGS = 27
"""So many full trainings are a study's budget where none is named."""


@dataclass(frozen=True)
class SimulationGrid:
    """The searchers, schedulers and seeds to simulate.

    `total_epochs`: the epochs that each study may train. `nearest`: as in `Recorded`.

    A searcher or scheduler is given as YAML: its name, or `{name: asha, type: stopping}`.
    """

    searchers: tuple[str, ...]
    schedulers: tuple[str, ...]
    seeds: int = 30
    workers: int = 4
    total_epochs: int | None = None
    nearest: bool = False


@dataclass(frozen=True)
class SimulationResult:
    """A comparison of all pairs, and what the answers between recorded curves are worth."""

    comparison: Comparison
    answers: str


def simulate_grid(
    run: RunDirectory,
    grid: SimulationGrid,
    processes: int | None = None,
    tick: Callable[[int, int], None] = lambda done, all_: None,
) -> SimulationResult:
    """Simulate all studies. `tick` gets how many are done, and of how many.

    Raises SpecificationError for an unknown name, RunError if too few curves were recorded.
    """
    said = [
        (searcher, scheduler, seed)
        for seed in range(grid.seeds)
        for searcher in grid.searchers
        for scheduler in grid.schedulers
    ]
    for searcher in grid.searchers:
        for scheduler in grid.schedulers:
            _sweep(run.path, searcher, scheduler)
    known = _recorded(run.path, grid.nearest)
    answers = known.describe()
    studies: list[IncumbentCurve] = []
    count = processes or min(len(os.sched_getaffinity(0)), len(said))
    for study in _results(run.path, grid, said, count):
        studies.append(study)
        tick(len(studies), len(said))
    baseline = label("random", grid.schedulers[0], grid)
    metric, maximize = run.metric, run.maximize
    if _box(run.path) is not None:
        metric, maximize = HYPERVOLUME, True
    return SimulationResult(
        Comparison(tuple(studies), metric, maximize, baseline=baseline), answers
    )


def _results(
    path: Path, grid: SimulationGrid, said: Sequence[tuple[str, str, int]], processes: int
) -> Iterator[IncumbentCurve]:
    work = [(path, grid, *one) for one in said]
    if processes == 1:
        yield from (simulate_study(*one) for one in work)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(simulate_study, *zip(*work, strict=True))


def simulate_study(
    path: Path, grid: SimulationGrid, searcher: str, scheduler: str, seed: int
) -> IncumbentCurve:
    """One study: its best value so far against the epochs that it trained."""
    known = _recorded(path, grid.nearest)
    said = _sweep(path, searcher, scheduler)
    total = grid.total_epochs or TRAININGS * said.budget.epochs
    name = label(searcher, scheduler, grid)
    budget = Budget(None, said.budget.epochs, total)
    study = replace(
        said,
        searchers={name: next(iter(said.searchers.values()))},
        seed=said.seed + seed,
        seeds=1,
        budget=budget,
    )
    controller = simulate(
        replace(study, metric=replace(said.metric, target=None), plateau=None),
        known.curve,
        grid.workers,
    )
    history = controller.histories[name]
    found = incumbent_curve(name, study.seed, history, box=_box(path))
    return replace(found, exhausted=history.epochs < total)


@lru_cache(1)
def _box(path: Path) -> Box | None:
    """Where hypervolumes are measured: around what was recorded; None with one objective.

    So it is the same in every process, and does not depend on what the studies find.
    """
    histories = RunDirectory(path).histories
    return shared_box(histories.values()) if has_several(histories) else None


def label(searcher: str, scheduler: str, grid: SimulationGrid) -> str:
    """What a study is called: by its searcher alone if there is one scheduler."""
    if len(grid.schedulers) == 1:
        return _shown(searcher)
    return f"{_shown(searcher)} + {_shown(scheduler)}"


def _shown(component: str) -> str:
    """A searcher or scheduler as a label shows it, such as `asha (type: stopping)`."""
    data = parse(component, "a label").data
    if not isinstance(data, dict):
        return component
    options = ", ".join(f"{key}: {value}" for key, value in data.items() if key != "name")
    return f"{data['name']} ({options})"


@lru_cache(maxsize=2)
def _recorded(path: Path, nearest: bool) -> Recorded:
    return recorded(RunDirectory(path), recorded_sweep(path), nearest)


@lru_cache(maxsize=32)
def _sweep(path: Path, searcher: str, scheduler: str) -> Sweep:
    return recorded_sweep(path, [f"searcher={searcher}", f"scheduler={scheduler}"])
