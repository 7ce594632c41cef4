"""How much sooner `auto` with `cost: seconds` is as good as `auto` without, in seconds.

    python -m benchmarks.cost [--folder FOLDER --tasks 3945 ...] [--seeds 20] [--trials 50]
    python -m benchmarks.cost --several

The problems are formulas in which a width and a depth drive the time of an epoch, and FOLDER's
LCBench (YAHPO-Gym's surrogate; see `search_problems.py`), whose seconds are those of its networks.
`dear`, `middle` and `cheap` say where the best size is; in `apart` the time depends on what does
not matter for the loss. Everything runs on one simulated worker, for as many seconds as `trials`
random configurations take to be trained to their end.

With `--several` the size of the formulas' networks is a second objective, to be small, and the loss
is the hypervolume that is missing, in the box of all runs of the problem. It is of the formulas in
which a small network is not best anyway.

A row is a problem with a scheduler. The loss to be reached is the median of what `auto` has at half
of these seconds, over the seeds. `seconds` is the median time at which each method has reached it,
as a part of all seconds, `ratio` that of both, `sooner` the seeds in which the cost pays, and
`regret` the mean distance of the last loss from the best of all runs, `auto` first. Losses are
named: the rows in which `cost: seconds` is later, or ends worse.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.search_problems import DEVELOP
from benchmarks.search_surrogates import LCBench
from raysweep.history import Config, History
from raysweep.objectives import Objective, Objectives
from raysweep.results.analysis.hypervolume import Box, Growing, shared_box
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.search_spaces.language.params import Float, Int
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.sweep import Budget, Metric, Sweep, trial_seed

EPOCHS = 9
CONFLICTING = ("dear", "middle")
"""The formulas whose loss wants another size than the smallest."""
COSTS: tuple[Literal["seconds"] | None, ...] = (None, "seconds")
DRAWN = 50
"""Random configurations that say how long a training takes."""
BEST_SIZES = {"dear": 0.9, "middle": 0.5, "cheap": 0.1, "apart": None}
"""Where the best size of the network is, from 0 to 1; None if it does not matter."""


@dataclass(frozen=True)
class Problem:
    """A space, and trainings in it that tell a loss and how many seconds each epoch took."""

    name: str
    space: Space
    epochs: int
    train: Callable[[Config, int], Iterator[Epoch]]


def formula(name: str, best_size: float | None) -> Problem:
    """A loss of five parameters, of which the width and the depth drive the time."""
    space = Space(
        {
            "lr": Float(1e-4, 1.0, log=True),
            "decay": Float(1e-6, 1e-2, log=True),
            "dropout": Float(0.0, 0.8),
            "width": Int(16, 1024, log=True),
            "depth": Int(1, 8),
        }
    )

    def train(config: Config, seed: int) -> Iterator[Epoch]:
        rng = np.random.default_rng(seed)
        width = math.log(config["width"] / 16) / math.log(64)
        size = 0.7 * width + 0.3 * (config["depth"] - 1) / 7
        rate, decay = math.log10(config["lr"]), math.log10(config["decay"])
        away = size - best_size if best_size is not None else 0.0
        loss = 0.3 * (rate + 2 + 0.5 * size) ** 2 + 0.05 * (decay + 4) ** 2
        loss += (config["dropout"] - 0.3) ** 2 + 2.0 * away**2
        seconds = 4.0 + config["depth"] * config["width"] / 256
        for epoch in range(1, EPOCHS + 1):
            noise = 0.003 * rng.normal()
            metrics = {"loss": loss + 1.0 / epoch + noise, "size": size}
            yield metrics, seconds * math.exp(0.05 * rng.normal())

    return Problem(name, space, EPOCHS, train)


def lcbench(folder: Path, task: str) -> Problem:
    surrogate = LCBench(folder / "lcbench")

    def train(config: Config, seed: int) -> Iterator[Epoch]:
        losses, seconds = surrogate.curve(task, config)
        for loss, lasted in zip(losses.tolist(), seconds.tolist(), strict=True):
            yield {"loss": loss}, lasted

    return Problem(f"lcbench/{task}", surrogate.space, surrogate.epochs, train)


def budget(problem: Problem, trials: int) -> float:
    """The seconds in which so many random configurations are trained to their end."""
    rng = np.random.default_rng(0)
    drawn = [problem.space.sample(rng) for _ in range(DRAWN)]
    taken = [sum(s for _, s in problem.train(config, trial_seed(0, 0))) for config in drawn]
    return trials * statistics.mean(taken)


def run(
    problem: Problem, searcher: Any, scheduler: Any, seed: int, seconds: float, several: bool
) -> History:
    said = Sweep(
        trainable="",
        metric=Metric("loss", "minimize"),
        searchers={"ours": searcher},
        scheduler=scheduler,
        budget=Budget(None, problem.epochs, None, seconds),
        space=problem.space,
        seed=seed,
        objectives=Objectives((Objective("loss"), Objective("size"))) if several else None,
    )
    (history,) = simulate(said, problem.train, 1).histories.values()
    return history


def improvements(history: History, box: Box | None) -> list[tuple[float, float]]:
    """The times at which a better loss was found, and that loss; in a box what is missing of it."""
    steps = sorted((r.time, t.number, r.epoch) for t in history for r in t.reports)
    reports = {(t.number, r.epoch): r for t in history for r in t.reports}
    growing = Growing(box) if box else None
    found: list[tuple[float, float]] = []
    for time, number, epoch in steps:
        report = reports[number, epoch]
        loss = 1 - growing.add(history[number], report) if growing else report.loss
        if not found or loss < found[-1][1]:
            found.append((time, loss))
    return found


@dataclass(frozen=True)
class Row:
    problem: str
    scheduler: str
    seconds: tuple[float, float]
    sooner: tuple[int, int]
    regret: tuple[float, float]
    trials: tuple[float, float]

    def __str__(self) -> str:
        a, b = self.seconds
        return (
            f"{self.problem:16} {self.scheduler:6} seconds {a:.3f} {b:.3f}  ratio {b / a:.2f}  "
            f"sooner {self.sooner[0]} of {self.sooner[1]}  regret {self.regret[0]:.4f} "
            f"{self.regret[1]:.4f}  trials {self.trials[0]:.0f} {self.trials[1]:.0f}"
        )

    @property
    def is_lost(self) -> bool:
        return self.seconds[1] > self.seconds[0] or self.regret[1] > self.regret[0]


def row(problem: Problem, scheduler: str, seeds: int, trials: int, several: bool = False) -> Row:
    seconds = budget(problem, trials)
    made = {"asha": Asha, "none": NoStopping}[scheduler]
    runs: list[list[History]] = [
        [run(problem, Auto(cost=cost), made(), seed, seconds, several) for seed in range(seeds)]
        for cost in COSTS
    ]
    box = shared_box(history for some in runs for history in some) if several else None
    curves = [[improvements(history, box) for history in some] for some in runs]
    middle = [_loss_at(curve, seconds / 2) for curve in curves[0]]
    target = statistics.median(middle)
    times = [[_reached(curve, target) / seconds for curve in some] for some in curves]
    best = min(curve[-1][1] for some in curves for curve in some)
    regrets = [statistics.mean(curve[-1][1] - best for curve in some) for some in curves]
    sooner = sum(b < a for a, b in zip(*times, strict=True))
    counts = [statistics.mean(len(history) for history in some) for some in runs]
    return Row(
        problem.name,
        scheduler,
        (statistics.median(times[0]), statistics.median(times[1])),
        (sooner, sum(a != b for a, b in zip(*times, strict=True))),
        (regrets[0], regrets[1]),
        (counts[0], counts[1]),
    )


def _loss_at(curve: list[tuple[float, float]], seconds: float) -> float:
    return min((loss for time, loss in curve if time <= seconds), default=curve[0][1])


def _reached(curve: list[tuple[float, float]], loss: float) -> float:
    return next((time for time, value in curve if value <= loss), math.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--tasks", nargs="*", default=[n.split("/")[1] for n in DEVELOP[:6]])
    parser.add_argument("--formulas", nargs="*", default=list(BEST_SIZES))
    parser.add_argument("--schedulers", nargs="+", default=["asha", "none"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--several", action="store_true")
    options = parser.parse_args()
    names = [name for name in options.formulas if not options.several or name in CONFLICTING]
    problems = [formula(name, BEST_SIZES[name]) for name in names]
    if options.folder and not options.several:
        problems += [lcbench(options.folder, task) for task in options.tasks]
    lost = []
    for problem in problems:
        for scheduler in options.schedulers:
            found = row(problem, scheduler, options.seeds, options.trials, options.several)
            print(found, flush=True)
            if found.is_lost:
                lost.append(f"{problem.name} {scheduler}")
    print(f"losses: {', '.join(lost) or 'none'}", flush=True)


if __name__ == "__main__":
    main()
