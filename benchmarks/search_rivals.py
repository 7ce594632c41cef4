"""Searchers and schedulers of other projects as methods of `search_runs.Workers`.

They are Ray Tune's, hyperopt's, hpbandster's, Optuna's and DEHB. Each is driven by its own code,
which is imported when it is needed: Ray's schedulers and searchers through the calls that a Tune
controller makes (no cluster is started), hpbandster's configuration generator in the synchronous
brackets of its master, Optuna through ask and tell.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.search_problems import Problem
from benchmarks.search_runs import Job, Outcome, Workers
from raysweep.history import Config
from raysweep.search_spaces.language.space import Space

ETA = 3
WORST = 1e30
"""What stands for an infinite loss where a library refuses one."""


def unit(space: Space, values: Any) -> Config:
    """The configuration at a point of the unit cube, {"u0": ..., "u1": ...}.

    All methods search the unit cube, as our own searchers do.
    """
    return space.from_unit([min(max(float(values[f"u{i}"]), 0.0), 1.0) for i in range(len(space))])


@dataclass
class RayAsha:
    """Ray's ASHAScheduler, with random configurations or with its HyperOptSearch."""

    problem: Problem
    seed: int
    hyperopt: bool = False
    count: int = 0

    def __post_init__(self) -> None:
        from ray.tune.schedulers import ASHAScheduler

        said = {
            "time_attr": "epoch",
            "metric": "loss",
            "mode": "min",
            "grace_period": 1,
            "reduction_factor": ETA,
        }
        self.scheduler = ASHAScheduler(max_t=self.problem.epochs, **said)
        # Another stream than that of our own random search with the same seed.
        self.rng = np.random.default_rng([self.seed, 77])
        self.search: Any = None
        if self.hyperopt:
            self.search = hyperopt_search(self.problem.space, self.seed)
        self.last: dict[str, dict[str, Any]] = {}

    def ask(self) -> Job:
        self.count += 1
        name = str(self.count)
        self.scheduler.on_trial_add(SimpleNamespace(), SimpleNamespace(trial_id=name))
        return Job(name, self._suggest(name), 0, self.problem.epochs)

    def _suggest(self, name: str) -> Config:
        if self.search is None:
            return self.problem.space.sample(self.rng)
        return unit(self.problem.space, self.search.suggest(name))

    def tell(self, job: Job, epoch: int, loss: float) -> bool:
        from ray.tune.schedulers import TrialScheduler

        result = {"epoch": epoch, "loss": min(loss, WORST), "training_iteration": epoch}
        self.last[job.key] = result
        said: str = self.scheduler.on_trial_result(
            SimpleNamespace(), SimpleNamespace(trial_id=job.key), result
        )
        return bool(said == TrialScheduler.CONTINUE)

    def done(self, job: Job, loss: float) -> None:
        if self.search is not None:
            self.search.on_trial_complete(job.key, self.last[job.key])


def hyperopt_search(space: Space, seed: int, initial: int = 20) -> Any:
    """Ray's HyperOptSearch over the unit cube.

    `initial`: the number of random points that come first, by default Ray's own 20.
    """
    from hyperopt import hp
    from ray.tune.search.hyperopt import HyperOptSearch

    cube = {f"u{i}": hp.uniform(f"u{i}", 0.0, 1.0) for i in range(len(space))}
    return HyperOptSearch(
        cube, metric="loss", mode="min", random_state_seed=seed, n_initial_points=initial
    )


@dataclass
class Bracket:
    """One iteration of synchronous successive halving.

    waiting: configurations to train at `budgets[stage]`, with their keys.
    """

    budgets: list[int]
    waiting: list[tuple[Any, Config, Any]]
    stage: int = 0
    running: int = 0
    losses: dict[Any, float] = field(default_factory=dict)
    members: dict[Any, tuple[Config, Any]] = field(default_factory=dict)


@dataclass
class Hpbandster:
    """hpbandster's BOHB: its configuration generator, asked in the order of its master.

    One bracket follows another; the next begins when a worker would otherwise wait.
    """

    problem: Problem
    seed: int

    def __post_init__(self) -> None:
        self.generator = hpbandster_generator(self.problem.space, self.seed)
        # 1e-9: log(243) / log(3) is a little below 5 in floats.
        self.depth = int(math.log(self.problem.epochs) / math.log(ETA) + 1e-9) + 1
        self.brackets: list[Bracket] = []
        self.begun = self.count = 0
        self.state = np.random.RandomState(self.seed).get_state()

    def ask(self) -> Job:
        for bracket in self.brackets:
            if bracket.waiting:
                return self._job(bracket)
        self.brackets.append(self._next())
        return self._job(self.brackets[-1])

    def _next(self) -> Bracket:
        """hpbandster.optimizers.bohb.BOHB.get_next_iteration."""
        s = self.depth - 1 - self.begun % self.depth
        self.begun += 1
        first = math.floor(self.depth / (s + 1) * ETA**s)
        budgets = [max(1, round(self.problem.epochs * ETA ** -float(i))) for i in range(s, -1, -1)]
        return Bracket(budgets, [(None, {}, None)] * first)

    def _job(self, bracket: Bracket) -> Job:
        key, config, values = bracket.waiting.pop()
        budget = bracket.budgets[bracket.stage]
        if key is None:
            self.count += 1
            with numpys(self):
                values, _ = self.generator.get_config(budget)
            key, config = self.count, unit(self.problem.space, values)
        bracket.running += 1
        bracket.members[key] = (config, values)
        trained = 0
        if bracket.stage:  # a promoted configuration continues from the budget of the stage before
            trained = bracket.budgets[bracket.stage - 1]
        return Job((key, id(bracket)), config, trained, budget)

    def tell(self, job: Job, epoch: int, loss: float) -> bool:
        return True

    def done(self, job: Job, loss: float) -> None:
        key = job.key[0]
        bracket = next(one for one in self.brackets if id(one) == job.key[1])
        said = SimpleNamespace(
            kwargs={"budget": job.end, "config": bracket.members[key][1]},
            result={"loss": loss},
            exception=None,
            id=key,
            timestamps={},
        )
        with numpys(self), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.generator.new_result(said)
        bracket.losses[key] = loss
        bracket.running -= 1
        if not bracket.waiting and not bracket.running:
            self._promote(bracket)

    def _promote(self, bracket: Bracket) -> None:
        bracket.stage += 1
        if bracket.stage == len(bracket.budgets):
            self.brackets.remove(bracket)
            return
        kept = sorted(bracket.losses, key=bracket.losses.__getitem__)[
            : max(1, len(bracket.losses) // ETA)
        ]
        # Reversed, because `_job` takes the last one first.
        bracket.waiting = [(key, *bracket.members[key]) for key in reversed(kept)]
        bracket.losses = {}


class numpys:  # noqa: N801
    """hpbandster draws from numpy's global generator: its own state there, and ours put back."""

    def __init__(self, method: Any) -> None:
        self.method = method

    def __enter__(self) -> None:
        self.before = np.random.get_state()
        np.random.set_state(self.method.state)

    def __exit__(self, *_: object) -> None:
        # Kept, because another method may run in between, and would continue this sequence.
        self.method.state = np.random.get_state()
        np.random.set_state(self.before)


def hpbandster_generator(space: Space, seed: int) -> Any:
    import logging

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ConfigSpace import ConfigurationSpace, UniformFloatHyperparameter
        from hpbandster.optimizers.config_generators.bohb import BOHB
    cube = ConfigurationSpace(seed=seed)
    for i in range(len(space)):
        cube.add(UniformFloatHyperparameter(f"u{i}", 0.0, 1.0))
    return BOHB(cube, logger=logging.getLogger("quiet"))


@dataclass
class Optuna:
    """Optuna's TPE with one of its pruners."""

    problem: Problem
    seed: int
    pruner: str

    def __post_init__(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruners: dict[str, Any] = {
            "halving": optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=ETA),
            "hyperband": optuna.pruners.HyperbandPruner(
                min_resource=1, max_resource=self.problem.epochs, reduction_factor=ETA
            ),
        }
        self.study = optuna_study(self.seed, pruners[self.pruner])
        self.cube = {
            f"u{i}": optuna.distributions.FloatDistribution(0.0, 1.0)
            for i in range(len(self.problem.space))
        }
        self.pruned: set[int] = set()

    def ask(self) -> Job:
        trial = self.study.ask(self.cube)
        return Job(_Key(trial), unit(self.problem.space, trial.params), 0, self.problem.epochs)

    def tell(self, job: Job, epoch: int, loss: float) -> bool:
        job.key.trial.report(min(loss, WORST), epoch)
        if epoch < job.end and job.key.trial.should_prune():
            self.pruned.add(job.key.trial.number)
            return False
        return True

    def done(self, job: Job, loss: float) -> None:
        from optuna.trial import TrialState

        trial = job.key.trial
        if trial.number in self.pruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, min(loss, WORST))


@dataclass(frozen=True, eq=False)
class _Key:
    trial: Any


def optuna_study(seed: int, pruner: Any = None) -> Any:
    import optuna

    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)


@dataclass
class Dehb:
    """DEHB, asynchronously by ask and tell.

    A job trains up to its fidelity, and continues if the same configuration was trained before.
    """

    problem: Problem
    seed: int

    def __post_init__(self) -> None:
        import tempfile

        from ConfigSpace import ConfigurationSpace, UniformFloatHyperparameter
        from dehb import DEHB

        cube = ConfigurationSpace(seed=self.seed)
        for i in range(len(self.problem.space)):
            cube.add(UniformFloatHyperparameter(f"u{i}", 0.0, 1.0))
        folder = tempfile.mkdtemp(prefix="raysweep-dehb-")
        said = {
            "min_fidelity": 1,
            "max_fidelity": self.problem.epochs,
            "eta": ETA,
            "seed": self.seed,
            "n_workers": 1,
        }
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a banner of its own
            self.dehb = DEHB(
                cs=cube,
                f=None,
                dimensions=len(self.problem.space),
                output_path=folder,
                log_level="ERROR",
                **said,
            )
        self.trained: dict[bytes, int] = {}

    def ask(self) -> Job:
        info = self.dehb.ask()
        config = unit(self.problem.space, info["config"])
        end = max(1, round(info["fidelity"]))
        point = np.array(
            [info["config"][f"u{i}"] for i in range(len(self.problem.space))]
        ).tobytes()
        start = self.trained.get(point, 0)
        if start >= end:  # asked for again with no more epochs: train it anew
            start = 0
        self.trained[point] = end
        return Job(_Key(info), config, start, end)

    def tell(self, job: Job, epoch: int, loss: float) -> bool:
        return True

    def done(self, job: Job, loss: float) -> None:
        self.dehb.tell(job.key.trial, {"fitness": min(loss, WORST), "cost": 1.0})


def rival(make: Callable[[Problem, int], Any]) -> Callable[[Problem, int, int], Outcome]:
    def run(problem: Problem, workers: int, seed: int) -> Outcome:
        return Workers(problem, make(problem, seed), workers, seed).run()

    return run


def tune_bohb(problem: Problem, workers: int, seed: int) -> Outcome:
    """Unlike the others it is told how many workers there are, as Ray Tune is."""
    from benchmarks.search_tune_bohb import TuneBohb

    return Workers(problem, TuneBohb(problem, seed, workers), workers, seed).run()


RIVALS = {
    "Ray ASHAScheduler, random": rival(RayAsha),
    "Ray ASHAScheduler, HyperOptSearch": rival(
        lambda problem, seed: RayAsha(problem, seed, hyperopt=True)
    ),
    "hpbandster BOHB": rival(Hpbandster),
    "Ray TuneBOHB, HyperBandForBOHB": tune_bohb,
    "Optuna TPE, successive halving": rival(lambda problem, seed: Optuna(problem, seed, "halving")),
    "Optuna TPE, Hyperband": rival(lambda problem, seed: Optuna(problem, seed, "hyperband")),
    "DEHB": rival(Dehb),
}
