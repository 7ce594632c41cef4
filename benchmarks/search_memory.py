"""Earlier runs for the memory of `auto` in `search.py`: leave one task out.

The earlier runs are those of `auto + promotion` on the problems of the same family that choices
were made on, without the problem itself. They are run once, and kept in a file. Wrong memories are
made of them: "shuffled" gives the quantiles of each run to other trials of it, and "inverted" calls
the worst the best.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.search_problems import DEVELOP, Problem, Problems, epochs_of
from benchmarks.search_runs import Outcome, ours
from raysweep.schedulers import Asha
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.memory.memory import Memory
from raysweep.tune.searchers.memory.sources import Source, matched, merged, source_of
from raysweep.tune.sweep import Budget, Metric, Sweep

EARLIER_SEED, EARLIER_WORKERS = 1000, 4
MEMORIES = ("relatives", "shuffled", "inverted")
"""As they are, and the two wrong ones."""


class EarlierRuns:
    """The runs on the problems to develop on, in a file that grows as they are needed."""

    def __init__(self, problems: Problems, path: Path | None) -> None:
        self._problems, self._path = problems, path
        self._known: dict[str, Source] = {}
        if path is not None and path.exists():
            self._known = {one["run"]: Source.read(one) for one in json.loads(path.read_text())}

    def relatives(self, problem: Problem) -> tuple[Source, ...]:
        """The runs on other problems of its family."""
        names = [name for name in DEVELOP if name.startswith(f"{problem.family}/")]
        return tuple(self._run(name) for name in names if name != problem.name)

    def _run(self, name: str) -> Source:
        if name not in self._known:
            self._known[name] = earlier_run(self._problems[name])
            if self._path is not None:
                kept = [source.plain() for source in self._known.values()]
                self._path.write_text(json.dumps(kept))
        return self._known[name]


def earlier_run(problem: Problem) -> Source:
    """What a sweep of `auto` on a problem leaves behind."""
    budget = Budget(None, problem.epochs, seconds=problem.budget * problem.full)
    sweep = Sweep(
        "",
        Metric("loss", "minimize"),
        {"auto": Auto()},
        Asha(),
        budget,
        problem.space,
        EARLIER_SEED,
    )
    training = problem.trainings(EARLIER_SEED)
    controller = simulate(
        sweep, lambda config, key: epochs_of(training, config, key), EARLIER_WORKERS
    )
    history = merged(controller.trials, sweep.levels())
    kinds = matched(problem.space, problem.space)
    source = source_of(problem.name, kinds, problem.space, history)
    assert source is not None
    return source


def remembering(runs: EarlierRuns, kind: str) -> Callable[[Problem, int, int], Outcome]:
    """The run of `auto + promotion` that remembers; `kind`: one of MEMORIES."""

    def run(problem: Problem, workers: int, seed: int) -> Outcome:
        sources = tuple(changed(one, kind, seed) for one in runs.relatives(problem))
        return ours(Auto().remembering(Memory(sources)), Asha())(problem, workers, seed)

    return run


def changed(source: Source, kind: str, seed: int) -> Source:
    """A source with its quantiles as they are, shuffled or inverted."""
    quantiles = np.array(source.quantiles)
    if kind == "shuffled":
        rng = np.random.default_rng([seed, len(quantiles)])
        quantiles = rng.permutation(quantiles)
    if kind == "inverted":
        order = np.argsort(quantiles, kind="stable")
        quantiles[order] = quantiles[order[::-1]]
    return replace(source, quantiles=tuple(quantiles.tolist()))
