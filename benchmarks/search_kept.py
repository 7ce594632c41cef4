"""Is the trial that would end best kept at the first rung, and what does that cost?

    python benchmarks/search_kept.py --data FOLDER [--develop] [--family rbv2] [--seeds 20]

Sweeps of 25 trials (AlgoPerf: of as many as it has settings). The winner is the trial whose
training reaches the best loss first, had all been trained to their end. It is kept if it was
trained past the first rung, epoch 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from benchmarks.search_problems import (  # noqa: E402
    DEVELOP,
    JUDGE,
    Problem,
    Problems,
    Training,
    epochs_of,
)
from benchmarks.search_table import head  # noqa: E402
from raysweep.history import Trial  # noqa: E402
from raysweep.schedulers import Asha  # noqa: E402
from raysweep.schedulers.base import Scheduler  # noqa: E402
from raysweep.search_spaces.language.params import Choice  # noqa: E402
from raysweep.tune.executors.simulated import simulate  # noqa: E402
from raysweep.tune.searchers.gp import Auto  # noqa: E402
from raysweep.tune.searchers.random_grid import Grid, Random  # noqa: E402
from raysweep.tune.sweep import Budget, Metric, Searcher, Sweep  # noqa: E402

TRIALS, WORKERS = 25, 4
FAMILIES = ("algoperf", "rbv2")
METHODS: dict[str, tuple[type[Searcher], Scheduler]] = {
    "random + stopping": (Random, Asha(type="stopping")),
    "random + promotion": (Random, Asha()),
    "auto + promotion": (Auto, Asha()),
}


@dataclass(frozen=True)
class Kept:
    """Whether the winner passed the first rung, and was trained to the end; the epochs of all."""

    first: bool
    last: bool
    epochs: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder of the learning curves"
    )
    parser.add_argument("--develop", action="store_true", help="the problems of choices")
    parser.add_argument("--family", action="append", choices=FAMILIES)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    problems = Problems(options.data, ROOT / "benchmarks/results/best_known.json")
    print("Kept at the first rung, trained to the end (% of sweeps), epochs of a sweep:\n")
    print(head("problem", *METHODS))
    for name in DEVELOP if options.develop else JUDGE:
        if name.partition("/")[0] in (options.family or FAMILIES):
            print(_row(problems[name], options.seeds), flush=True)


def _row(problem: Problem, seeds: int) -> str:
    cells = []
    for searcher, scheduler in METHODS.values():
        found = [
            kept(problem, *settled(problem, searcher()), scheduler, WORKERS, seed)
            for seed in range(seeds)
        ]
        first, last = (
            100 * np.mean([getattr(one, at) for one in found]) for at in ("first", "last")
        )
        cells.append(f"{first:.0f}, {last:.0f}, {np.mean([one.epochs for one in found]):.0f}")
    return f"| {problem.name} | {' | '.join(cells)} |"


def settled(problem: Problem, searcher: Searcher) -> tuple[Searcher, int]:
    """The searcher and its number of trials. Random search tries each setting of a list once."""
    params = list(problem.space.params.values())
    if len(params) == 1 and isinstance(params[0], Choice):
        listed = Grid() if isinstance(searcher, Random) else searcher
        return listed, len(params[0].values)
    return searcher, TRIALS


def kept(
    problem: Problem,
    searcher: Searcher,
    trials: int,
    scheduler: Scheduler,
    workers: int,
    seed: int,
) -> Kept:
    training = problem.trainings(seed)
    budget = Budget(trials, problem.epochs)
    metric, space = Metric("loss", "minimize"), problem.space
    sweep = Sweep("", metric, {"a": searcher}, scheduler, budget, space, seed)
    controller = simulate(sweep, lambda config, key: epochs_of(training, config, key), workers)
    found = list(controller.trials)
    winner = min(found, key=lambda trial: _end(training, trial))
    return Kept(
        winner.epoch > 1, winner.epoch == problem.epochs, sum(trial.epoch for trial in found)
    )


def _end(training: Training, trial: Trial) -> tuple[float, float]:
    """The best loss that a trial's whole training reaches, and when."""
    losses, seconds = training(trial.config, trial.seed)
    first = int(losses.argmin())
    return float(losses[first]), float(seconds[: first + 1].sum())


if __name__ == "__main__":
    main()
