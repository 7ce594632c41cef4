"""Ray Tune's BOHB as a method of `search_runs.Workers`.

It is Ray's TuneBOHB under its HyperBandForBOHB, with the controller that these two talk to.
`TuneBohb` makes the calls of ray/tune/execution/tune_controller.py (2.60) in its order, for a sweep
with `max_concurrent_trials`: while fewer trials than that are running or pending, new ones are
suggested; then the scheduler says which trial a worker takes. A result goes to the searcher unless
the decision is STOP, so that nothing is learnt from the trial that comes last to the end of a
bracket, or that comes last to a rung and loses there. Pausing, saving and resuming take no time
here, and an error in Ray's code ends the benchmark.

`max_t` is the problem's epochs, as a user would give them. If they are no power of ETA, Ray rounds
down the first rung of a bracket and multiplies that. With 51 epochs the rungs are 1, 3, 9, 27 (no
trial of this bracket is trained to the end); 5, 15, 45; 17, 51; and 51.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.search_problems import Problem
from benchmarks.search_rivals import ETA, numpys, unit
from benchmarks.search_runs import Job
from raysweep.history import Config


@dataclass(eq=False)
class Trial:
    """What the scheduler reads of a trial, its `status` in Ray's words."""

    trial_id: str
    config: Config
    status: str = "PENDING"
    is_saving: bool = False
    last_result: dict[str, Any] = field(default_factory=dict)


@dataclass
class TuneBohb:
    """A sweep of Ray's searcher and scheduler over the unit cube.

    A job is a trial from where it was until it is paused or stopped.
    """

    problem: Problem
    seed: int
    workers: int

    def __post_init__(self) -> None:
        with warnings.catch_warnings(action="ignore"):
            from ray.tune import uniform
            from ray.tune.schedulers import HyperBandForBOHB
            from ray.tune.search.bohb import TuneBOHB

            cube = {f"u{i}": uniform(0.0, 1.0) for i in range(len(self.problem.space))}
            aim = {"metric": "loss", "mode": "min"}
            self.scheduler = HyperBandForBOHB(
                time_attr="epoch", max_t=self.problem.epochs, reduction_factor=ETA, **aim
            )
            self.searcher = TuneBOHB(seed=self.seed, max_concurrent=self.workers, **aim)
            self.searcher.set_search_properties(None, None, cube)
        # HyperBandForBOHB looks for the searcher at `search_alg.searcher` of the controller.
        self.search_alg = SimpleNamespace(searcher=self.searcher)
        self.trials: list[Trial] = []
        self.state = np.random.RandomState(self.seed).get_state()

    def ask(self) -> Job | None:
        with numpys(self), warnings.catch_warnings(action="ignore"):
            while (values := self.searcher.suggest(str(len(self.trials)))) is not None:
                self.trials.append(Trial(str(len(self.trials)), unit(self.problem.space, values)))
                self.scheduler.on_trial_add(self, self.trials[-1])
            trial = self.scheduler.choose_trial_to_run(self)
        if trial is None:
            if all(trial.status != "RUNNING" for trial in self.trials):
                raise RuntimeError(
                    f"no trial runs and Ray starts none: {self.scheduler.debug_string()}"
                )
            return None
        trial.status = "RUNNING"
        return Job(trial, trial.config, trial.last_result.get("epoch", 0), self.problem.epochs)

    def tell(self, job: Job, epoch: int, loss: float) -> bool:
        trial, result = job.key, {"epoch": epoch, "loss": loss, "training_iteration": epoch}
        with numpys(self), warnings.catch_warnings(action="ignore"):
            decision = self.scheduler.on_trial_result(self, trial, result)
            if decision != "STOP":
                self.searcher.on_trial_result(trial.trial_id, result)
            trial.last_result = result
            if decision == "STOP":
                self.stop_trial(trial)
        if decision == "PAUSE":
            trial.status = "PAUSED"
        return bool(decision == "CONTINUE")

    def done(self, job: Job, loss: float) -> None:
        """Nothing is left to say: Ray has decided that it is."""

    def get_trials(self) -> list[Trial]:
        return self.trials

    def stop_trial(self, trial: Trial) -> None:
        if trial.status == "TERMINATED":
            return
        if trial.status == "RUNNING":
            self.scheduler.on_trial_complete(self, trial, trial.last_result)
            self.searcher.on_trial_complete(trial.trial_id, result=trial.last_result)
        else:
            self.scheduler.on_trial_remove(self, trial)
            self.searcher.on_trial_complete(trial.trial_id)
        trial.status = "TERMINATED"
