"""Every searcher under every scheduler, over many search seeds, on recorded curves: `raysweep simulate`.

Each arm (a searcher, a scheduler, a seed) is a sweep of its own on a simulated clock, run by the searchers and schedulers of live sweeps
through the same loop. Arms are shared out over processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from results.compare import Comparison
from results.folder import RunFolder
from results.traces import Trace, trace
from tune.folder import SWEEP
from tune.record import Recorded, recorded
from tune.simulate import simulate
from tune.specify import specify
from tune.sweep import Budget, Sweep

TRAININGS = 27
"""So many full trainings are an arm's budget where none is named."""


@dataclass(frozen=True)
class Contest:
    """What is played: `total_epochs` is what each arm may train, `nearest` as in `Recorded`."""

    searchers: tuple[str, ...]
    schedulers: tuple[str, ...]
    seeds: int = 30
    workers: int = 4
    total_epochs: int | None = None
    nearest: bool = False


@dataclass(frozen=True)
class Played:
    """A comparison of all pairs, and what the answers between recorded curves are worth."""

    comparison: Comparison
    answers: str


def play(
    run: RunFolder,
    contest: Contest,
    processes: int | None = None,
    tick: Callable[[int, int], None] = lambda done, all_: None,
) -> Played:
    """Play all arms. `tick` hears how many of them are done. SpecificationError for a name that is unknown, RunError for a poor record."""
    said = [
        (searcher, scheduler, seed)
        for seed in range(contest.seeds)
        for searcher in contest.searchers
        for scheduler in contest.schedulers
    ]
    for searcher in contest.searchers:
        for scheduler in contest.schedulers:
            _sweep(run.path, searcher, scheduler)
    known = _recorded(run.path, contest.nearest)
    answers = known.describe()
    arms: list[Trace] = []
    count = processes or min(len(os.sched_getaffinity(0)), len(said))
    for arm in _results(run.path, contest, said, count):
        arms.append(arm)
        tick(len(arms), len(said))
    baseline = label("random", contest.schedulers[0], contest)
    return Played(Comparison(tuple(arms), run.metric, run.maximize, baseline=baseline), answers)


def _results(
    path: Path, contest: Contest, said: Sequence[tuple[str, str, int]], processes: int
) -> Iterator[Trace]:
    work = [(path, contest, *one) for one in said]
    if processes == 1:
        yield from (play_arm(*one) for one in work)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(play_arm, *zip(*work, strict=True))


def play_arm(path: Path, contest: Contest, searcher: str, scheduler: str, seed: int) -> Trace:
    """One arm: its best value so far against the epochs that it trained."""
    known = _recorded(path, contest.nearest)
    said = _sweep(path, searcher, scheduler)
    total = contest.total_epochs or TRAININGS * said.budget.epochs
    name = label(searcher, scheduler, contest)
    budget = Budget(None, said.budget.epochs, total)
    arm = replace(
        said,
        searchers={name: said.searchers[searcher]},
        seed=said.seed + seed,
        seeds=1,
        budget=budget,
    )
    loop = simulate(
        replace(arm, metric=replace(said.metric, target=None), plateau=None),
        known.curve,
        contest.workers,
    )
    history = loop.histories[name]
    return replace(trace(name, arm.seed, history), exhausted=history.epochs < total)


def label(searcher: str, scheduler: str, contest: Contest) -> str:
    """What an arm is called: by its searcher alone where there is one scheduler."""
    return searcher if len(contest.schedulers) == 1 else f"{searcher} + {scheduler}"


@lru_cache(maxsize=2)
def _recorded(path: Path, nearest: bool) -> Recorded:
    return recorded(RunFolder(path), specify(str(path / SWEEP)), nearest)


@lru_cache(maxsize=32)
def _sweep(path: Path, searcher: str, scheduler: str) -> Sweep:
    return specify(str(path / SWEEP), [f"searcher={searcher}", f"scheduler={scheduler}"])
