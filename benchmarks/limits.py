"""How many trials break a limit until the best configuration that keeps it is found.

    python -m benchmarks.limits [--lcbench FOLDER] [--tables] [--tasks 3945 ...] [--seeds 10]

A sweep with one objective and one limit, on the problems of `objectives.py`: the seconds of an
epoch, the size or the latency of a model may be no more than a part of random configurations has
(`KEEP`). The methods: `auto` with the limit; `auto` with a penalty, which adds the excess to the
loss, both in units of what is usual among random configurations; random draws; and Optuna's TPE and
NSGA-II with constraints. Ours stop early by `asha`, Optuna's train every trial to its end. All have
the same budget of epochs.

The best is found when the difference to the best known loss that keeps the limit is at most `NEAR`
of what it is for the median of random configurations that keep it. Until then, a row counts the
trials that broke the limit, the epochs trained in them, and all epochs; a run that never found it
counts with its whole budget. They are sums over the seeds.

Finished runs are kept in `benchmarks/results/limits.jsonl`, and are not run again.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.objectives import (
    LCBENCH,
    RANDOM_SEED,
    Asked,
    Kept,
    Problem,
    Row,
    lcbench,
    ours,
    table,
)
from raysweep.history import Config, History
from raysweep.objectives import Limit
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.tune.executors.simulated import Epoch
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.models.candidates import drawn
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.sweep import Budget

RESULTS = Path(__file__).parent / "results/limits.jsonl"
KEEP, NEAR = 0.2, 0.05
"""So large a part of random configurations keeps the limit; so near to the best is found."""
DRAWN = 300
"""The random configurations from which limits and usual values are known."""
TRIALS, FULL = 60, 15
"""Full trainings for which the budget suffices: where all trials are trained to their end, and
where they are stopped early."""
TABLES = {
    "hpolib/slice_localization": ("val_loss", "model_size"),
    "hpolib/protein_structure": ("val_loss", "train_time"),
    "hpobench/segment": ("val_acc", "train_time"),
    "nasbench201/cifar100": ("val_acc", "latency"),
}


@dataclass(frozen=True)
class Limited:
    """A problem with a limit, and what is usual among random configurations."""

    problem: Problem
    median: float
    """The median loss of those that keep the limit."""
    loss_unit: float
    excess_unit: float

    @property
    def budget(self) -> int:
        return self.problem.epochs * (TRIALS if self.problem.epochs == 1 else FULL)

    @property
    def allowed(self) -> Budget:
        return Budget(None, self.problem.epochs, self.budget)

    def penalised(self) -> Problem:
        """The problem with the excess added to its loss, and no limit."""
        limit, (loss, _) = self.problem.limit, self.problem.names
        assert limit is not None

        def train(config: Config, seed: int) -> Iterator[Epoch]:
            for metrics, seconds in self.problem.train(config, seed):
                excess = max(0.0, limit.excess(metrics))
                total = metrics[loss] / self.loss_unit + excess / self.excess_unit
                yield {**metrics, "penalised": total}, seconds

        return replace(self.problem, names=("penalised",), train=train, limit=None)


def limited(problem: Problem) -> Limited:
    """A problem with a limit on its last metric, of which there are two."""
    loss, value = problem.names
    points = drawn(problem.space, DRAWN, np.random.default_rng(RANDOM_SEED))
    ends = [list(problem.train(problem.space.from_unit(one), 0))[-1][0] for one in points]
    last = sorted(((one[loss], one[value]) for one in ends), key=lambda both: both[1])
    count = int(KEEP * len(last))
    bound = last[count - 1][1]
    beyond = [both[1] - bound for both in last[count:]]
    losses = [both[0] for both in last]
    quarters = statistics.quantiles(losses)
    return Limited(
        replace(problem, limit=Limit(value, bound)),
        statistics.median(losses[:count]),
        quarters[2] - quarters[0],
        statistics.median(beyond),
    )


def told(history: History, limit: Limit, loss: str) -> Row:
    """What a run shows: its best losses, and what it had spent on broken limits by then."""
    reports = sorted((r.time, t.number, r.epoch) for t in history for r in t.reports)
    by_epoch = {(t.number, r.epoch): r.metrics for t in history for r in t.reports}
    broken: set[int] = set()
    wasted, best, steps = 0, math.inf, []
    for count, (_, number, epoch) in enumerate(reports, 1):
        metrics = by_epoch[number, epoch]
        if limit.excess(metrics) > 0:
            broken.add(number)
            wasted += 1
        elif metrics[loss] < best:
            best = metrics[loss]
            steps.append([best, len(broken), wasted, count])
    trials = len(history)
    return {"trials": trials, "steps": [*steps, [None, len(broken), wasted, len(reports)]]}


METHODS: Mapping[str, Callable[[Limited, int], History]] = {
    "auto": lambda it, seed: ours(it.problem, Auto(), Asha(), seed, it.allowed),
    "penalty": lambda it, seed: ours(it.penalised(), Auto(), Asha(), seed, it.allowed),
    "random": lambda it, seed: ours(it.problem, Random(), Asha(), seed, it.allowed),
    "TPESampler": lambda it, seed: _optuna(it, "TPESampler", seed),
    "NSGAIISampler": lambda it, seed: _optuna(it, "NSGAIISampler", seed),
}


def _optuna(it: Limited, sampler: str, seed: int) -> History:
    asked = Asked(it.problem, sampler, seed)
    return ours(it.problem, asked, NoStopping(), seed, it.allowed)


def run(it: Limited, name: str, seed: int) -> Row:
    limit = it.problem.limit
    assert limit is not None
    return told(METHODS[name](it, seed), limit, it.problem.names[0])


def until(row: Row, goal: float) -> tuple[list[int], bool]:
    """Trials and epochs that broke the limit, and all epochs, until the goal; and if it came."""
    for best, *spent in row["steps"]:
        if best is not None and best <= goal:
            return spent, True
    return row["steps"][-1][1:], False


def show(it: Limited, seeds: int, kept: Kept) -> dict[str, int]:
    """Print a row for each method; returns the trials that broke the limit, by method."""
    name = it.problem.name
    rows = {
        method: [row for seed in range(seeds) if (row := kept.get(name, method, seed))]
        for method in METHODS
    }
    known = [step[0] for some in rows.values() for row in some for step in row["steps"][:-1]]
    goal = min(known) + NEAR * (it.median - min(known))
    broken = {}
    for method, some in rows.items():
        spent = [until(row, goal) for row in some]
        sums = [sum(column) for column in zip(*(one for one, _ in spent), strict=True)]
        broken[method] = sums[0]
        found = sum(came for _, came in spent)
        parts = [row["steps"][-1][1] / row["trials"] for row in some]
        cells = (name, method, f"{found} of {len(some)}", *map(str, sums))
        print(f"| {' | '.join(cells)} | {statistics.mean(parts):.0%} |", flush=True)
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lcbench", type=Path, metavar="FOLDER")
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--tasks", nargs="+", default=LCBENCH)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    problems = [lcbench(options.lcbench, task) for task in options.tasks if options.lcbench]
    if options.tables:
        problems += [table(*one) for one in TABLES.items()]
    if not problems:
        parser.error("name the folder of LCBench, or --tables")
    found = [limited(problem) for problem in problems]
    kept: Kept = Kept(options.results)
    for seed in range(options.seeds):
        for it in found:
            for method in METHODS:
                kept.of(it.problem.name, method, seed, partial(run, it, method, seed))
    print("| problem | method | found | trials | epochs in them | all epochs | of its trials |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    ratios: dict[str, list[float]] = {}
    for it in found:
        broken = show(it, options.seeds, kept)
        for method, count in broken.items():
            ratios.setdefault(method, []).append(count / max(1, broken["penalty"]))
    for method, some in ratios.items():
        print(f"{method}: {statistics.geometric_mean(some):.2f} of the penalty's trials")


if __name__ == "__main__":
    main()
