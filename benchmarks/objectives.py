"""How soon `auto` with `asha` has the hypervolume that Optuna's samplers reach with a whole budget.

    python -m benchmarks.objectives FOLDER [--tasks 3945 ...] [--seeds 20] [--trials 100]
    python -m benchmarks.objectives --digits [--seeds 20] [--trials 100]

FOLDER holds `lcbench/` (YAHPO-Gym's surrogate; see `search_problems.py`). Its objectives are the
validation error (negated accuracy) and the mean seconds of an epoch. `--digits` trains small
networks on scikit-learn's digits, with their measured latency and size as objectives beside the
error; these measures are only worth something on an idle machine. The rivals are Optuna's NSGA-II
and multi-objective TPE, called directly, which train every trial to its end. Everything runs on one
worker.

The hypervolume of a problem is measured from the best of each objective that any method found to
the median of trained random configurations. So a model counts only if it is better than usual in
all objectives: the cheapest of all, which has learned nothing, does not. A row is the
epochs that ours took to reach the rival's last hypervolume, as a part of the rival's; `never`
counts the seeds in which it did not within half of that. Losses are named: the problems where a
rival is ahead.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.search_problems import DEVELOP
from benchmarks.search_surrogates import LCBench
from raysweep.fronts import Point
from raysweep.history import Config, History
from raysweep.objectives import Objective, Objectives
from raysweep.results.analysis.hypervolume import Box, Growing
from raysweep.results.storage.front import points_of
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.search_spaces.language.params import Float, Int
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.sweep import Budget, Metric, Sweep

PART = 0.5
"""Ours may train so much of a rival's epochs."""
RANDOM_SEED, RANDOM_TRIALS = 10_000, 100
"""The random configurations whose medians are the reference of the hypervolume."""
RIVALS = ("NSGAIISampler", "TPESampler")


@dataclass(frozen=True)
class Problem:
    """A space, trainings in it, and the objectives, which are all minimized."""

    name: str
    space: Space
    epochs: int
    names: tuple[str, ...]
    train: Callable[[Config, int], Iterator[Epoch]]


def lcbench(folder: Path, task: str) -> Problem:
    surrogate = LCBench(folder / "lcbench")

    def train(config: Config, seed: int) -> Iterator[Epoch]:
        losses, seconds = surrogate.curve(task, config)
        mean = float(seconds.mean())  # of the whole training, or short ones would look quick
        for loss, lasted in zip(losses.tolist(), seconds.tolist(), strict=True):
            yield {"loss": loss, "seconds": mean}, lasted

    names = ("loss", "seconds")
    return Problem(f"lcbench/{task}", surrogate.space, surrogate.epochs, names, train)


def digits() -> Problem:
    """Networks of one to three layers, which classify 8 x 8 images: error, latency and size."""
    space = Space(
        {
            "lr": Float(1e-4, 1e-1, log=True),
            "width": Int(8, 512, log=True),
            "layers": Int(1, 3),
            "batch": Int(16, 256, log=True),
        }
    )
    return Problem("digits", space, 9, ("error", "ms", "mib"), _train_on_digits)


def _train_on_digits(config: Config, seed: int) -> Iterator[Epoch]:
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    from raysweep.trainables.runtime.measure import Measure

    torch.manual_seed(seed)
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
    widths = [64, *[config["width"]] * config["layers"]]
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], 10))
    optimizer, measure = torch.optim.Adam(model.parameters(), config["lr"]), Measure("cpu")
    for _ in range(9):
        began = time.perf_counter()
        for batch in torch.randperm(1200).split(config["batch"]):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            error = (model(x[1200:]).argmax(1) != y[1200:]).float().mean().item()
        metrics = {"error": error, "ms": measure.latency(model, x[:64]), "mib": measure.size(model)}
        yield metrics, time.perf_counter() - began


def sweep(problem: Problem, searcher: Any, scheduler: Any, seed: int, epochs: int) -> Sweep:
    objectives = Objectives(tuple(Objective(name) for name in problem.names))
    return Sweep(
        trainable="",
        metric=Metric(problem.names[0], "minimize"),
        searchers={"ours": searcher},
        scheduler=scheduler,
        budget=Budget(None, problem.epochs, epochs),
        space=problem.space,
        seed=seed,
        objectives=objectives,
    )


def ours(problem: Problem, searcher: Any, scheduler: Any, seed: int, epochs: int) -> History:
    said = sweep(problem, searcher, scheduler, seed, epochs)
    (history,) = simulate(said, problem.train, 1).histories.values()
    return history


def rival(problem: Problem, sampler: str, seed: int, trials: int) -> History:
    """A history of what an Optuna study proposes, each trial trained to its end."""
    import optuna

    from raysweep.tune.searchers.models.optuna_study import quiet

    drawn = optuna.distributions.FloatDistribution(0.0, 1.0)
    names = dict.fromkeys(problem.space.params, drawn)
    with quiet():
        chosen = getattr(optuna.samplers, sampler)(seed=seed)
        study = optuna.create_study(directions=["minimize"] * len(problem.names), sampler=chosen)
    proposed: list[Any] = []

    class Asked:
        def suggest(self, space: Space, history: History, seed: int) -> Config | None:
            with quiet():
                if history and history[len(history) - 1].reports:
                    last = history[len(history) - 1].reports[-1]
                    study.tell(proposed[-1], list(last.losses))
                proposed.append(study.ask(names))
            return space.from_unit(proposed[-1].params[name] for name in space.params)

    return ours(problem, Asked(), NoStopping(), seed, trials * problem.epochs)


def hypervolumes(history: History, box: Box) -> list[tuple[int, float]]:
    """The epochs trained so far and the hypervolume, after each report."""
    steps = sorted((r.time, t.number, r.epoch) for t in history for r in t.reports)
    growing, found = Growing(box), []
    by_epoch = {(t.number, r.epoch): r for t in history for r in t.reports}
    for count, (_, number, epoch) in enumerate(steps, 1):
        found.append((count, growing.add(history[number], by_epoch[number, epoch])))
    return found


def _box(problem: Problem, points: list[Point]) -> Box:
    drawn = rival(problem, "RandomSampler", RANDOM_SEED, RANDOM_TRIALS)
    last = [trial.reports[-1].losses for trial in drawn]
    medians = tuple(statistics.median(losses) for losses in zip(*last, strict=True))
    return Box(tuple(min(losses) for losses in zip(*points, strict=True)), medians)


def compare(problem: Problem, seeds: int, trials: int) -> Mapping[str, list[float | None]]:
    """By method and rival: the part of the rival's epochs, by seed; None if never."""
    whole = trials * problem.epochs
    histories: dict[str, list[History]] = {name: [] for name in (*RIVALS, "auto", "random")}
    for seed in range(seeds):
        for sampler in RIVALS:
            histories[sampler].append(rival(problem, sampler, seed, trials))
        part = int(PART * whole)
        histories["auto"].append(ours(problem, Auto(), Asha(), seed, part))
        histories["random"].append(ours(problem, Random(), Asha(), seed, part))
    box = _box(problem, [p for some in histories.values() for one in some for p in points_of(one)])
    curves = {name: [hypervolumes(one, box) for one in some] for name, some in histories.items()}
    for name, some in curves.items():
        last = [curve[-1][1] for curve in some]
        print(f"{problem.name}  {name}: hypervolume {statistics.mean(last):.4f} at the end")
    found: dict[str, list[float | None]] = {}
    for name in ("auto", "random"):
        for sampler in RIVALS:
            found[f"{name} against {sampler}"] = [
                next((n / whole for n, value in mine if value >= theirs[-1][1]), None)
                for mine, theirs in zip(curves[name], curves[sampler], strict=True)
            ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--digits", action="store_true")
    parser.add_argument("--tasks", nargs="+", default=[n.split("/")[1] for n in DEVELOP[:10]])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    options = parser.parse_args()
    problems = [digits()] if options.digits else []
    if options.folder:
        problems += [lcbench(options.folder, task) for task in options.tasks]
    if not problems:
        parser.error("name the folder of the problems, or --digits")
    losses = []
    for problem in problems:
        for what, parts in compare(problem, options.seeds, options.trials).items():
            reached = [part for part in parts if part is not None]
            middle = f"{statistics.median(reached):.3f}" if reached else "none"
            never = len(parts) - len(reached)
            print(f"{problem.name}  {what}: {middle} of its epochs (median); never {never}")
            if what.startswith("auto") and never > len(parts) / 2:
                losses.append(f"{problem.name} {what}")
    print(f"losses: {', '.join(losses) or 'none'}", flush=True)


if __name__ == "__main__":
    main()
