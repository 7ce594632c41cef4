"""What a YAML file says, frozen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from raysweep.history import Config, History
from raysweep.objectives import Objectives
from raysweep.report_interval import EVERY_EPOCH, ReportInterval
from raysweep.schedulers.base import Scheduler
from raysweep.search_spaces.language.params import n_drawn
from raysweep.search_spaces.language.space import Space
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.sources import PRINTED_JSON, ReportSources
from raysweep.tune.callbacks.base import Callback

if TYPE_CHECKING:
    from raysweep.tune.executors.base import Executor
    from raysweep.tune.searchers.memory.memory import Assessment, Memory


class Searcher(Protocol):
    """Reads the history and proposes the next configuration.

    A pure function of its arguments; what it caches changes no proposal.
    """

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        """The configuration of trial number `len(history)`; None if there is nothing more to try.

        `seed` is the study's. Randomness comes from `np.random.default_rng([seed, len(history)])`,
        so that a resumed study proposes the same.
        """


@runtime_checkable
class RankingSearcher(Searcher, Protocol):
    """A searcher that also predicts how well trials would end."""

    def rank(self, space: Space, history: History) -> Mapping[int, float]:
        """The final loss expected of each trial, by number; less is better.

        Trials may be missing, and all are while the searcher has too few observations. Only the
        order of the values is used.
        """


@runtime_checkable
class RememberingSearcher(Searcher, Protocol):
    """A searcher that learns from earlier runs."""

    def remembering(self, memory: Memory) -> RememberingSearcher:
        """The same searcher with earlier runs to remember."""

    def origin(self, space: Space, history: History, seed: int, config: Config) -> str:
        """What a proposal just made owes to earlier runs: "first configuration", "mean" or ""."""

    def assessment(self, space: Space, history: History) -> Assessment | None:
        """Which earlier runs it uses; None before it has judged them, or without any."""


@runtime_checkable
class GuardingSearcher(Searcher, Protocol):
    """A searcher that drops a user's prior (`around`) which its trials contradict."""

    def dropped_priors(self, space: Space, history: History) -> tuple[str, ...]:
        """The names of the parameters whose priors it has dropped by now."""


@runtime_checkable
class EndingSearcher(Searcher, Protocol):
    """A searcher that also says why it has nothing left to propose."""

    def why_ended(self) -> Mapping[str, Any]:
        """What the ledger records beside the end; `reason` completes a sentence with its name."""


@dataclass(frozen=True)
class Metric:
    """What is optimized. Inside, everything is a loss: less is better, and what is missing or not
    finite is inf. A trial that reports infinity has diverged, whichever of the two it was."""

    name: str
    goal: Literal["minimize", "maximize"]
    target: float | None = None

    def loss(self, value: float) -> float:
        if not math.isfinite(value):
            return math.inf
        return value if self.goal == "minimize" else -value

    def value(self, loss: float) -> float:
        """The loss as the user's metric."""
        return loss if self.goal == "minimize" else -loss


@dataclass(frozen=True)
class Budget:
    """What ends the sweep.

    `trials` and `total_epochs` are for each study, `epochs` for each trial, and `seconds` for the
    whole sweep. Epochs are counted by their reports: `interval` says what lies between two of them,
    and in which unit the user measures. `worth`: the improvement of the metric in a second below
    which the sweep ends.
    """

    trials: int | None
    epochs: int
    total_epochs: int | None = None
    seconds: float | None = None
    interval: ReportInterval = EVERY_EPOCH
    worth: float | None = None

    @property
    def is_timed(self) -> bool:
        """True if time is what ends the sweep, and not a number of trials or epochs."""
        limited = self.trials is not None or self.total_epochs is not None
        return not limited and (self.seconds is not None or self.worth is not None)


@dataclass(frozen=True)
class Resources:
    """What a trial holds.

    `gpu`: a fraction of a GPU, or a whole number of them. `accelerators`: kinds of GPU, each with
    the condition on a configuration under which a trial needs it; the first that holds counts.
    `custom`: resources that the cluster defines. `workers`: the number of processes that train a
    trial; with `spread` they may be on several machines. `auto_gpu`: the GPU fraction is measured
    (`gpu: auto`), and `gpu` is 0.
    `fuse`: how many trials at most a worker trains as one. `auto_fuse`: it does so only while that
    is faster than one by one (`fuse: auto`), and `fuse` is the most that are tried. `mps`: CUDA's
    MPS may be started.
    """

    cpu: float = 1.0
    gpu: float = 0.0
    custom: Mapping[str, float] = field(default_factory=dict)
    workers: int = 1
    auto_gpu: bool = False
    spread: bool = False
    fuse: int = 1
    auto_fuse: bool = False
    accelerators: Mapping[str, Callable[[Config], bool]] = field(default_factory=dict)
    mps: bool = False


@dataclass(frozen=True)
class Confirm:
    """The best `top` configurations are trained again with `seeds` fresh seeds each.

    `race`: one that is certainly worse than others gets no further seed.
    """

    top: int = 3
    seeds: int = 5
    race: bool = False


@dataclass(frozen=True)
class Study:
    """One searcher with one search seed; it has a history of its own."""

    name: str
    searcher: Searcher
    seed: int


@dataclass(frozen=True)
class Sweep:
    """All that decides what a sweep does.

    `parallel`: the most trials at once; None for as many as fit. `retries`: how often a trial whose
    code raised is retried. `hang_after`: seconds without any progress after which a trial's process
    is ended; None for never. `on_oom`: what happens to a trial that ran out of memory. `plateau`:
    the sweep ends after so many trials of each study without a better one. `name`: of the run
    directory, if the file gives one. `keep`: how many ended trials keep their checkpoints, best
    first; None for all. `track`: where else reports go (wandb, mlflow). `notify`: URLs that get
    messages, which are secrets. `callbacks`: a user's own,
    which each session makes anew from their options. `executor`: a user's own, which trains in
    place of Ray. `command_line`: how a script is told its configuration; None for a train function.
    `report_sources`: how a script's metrics are read. `enqueue`: the configurations that each study
    trains first. `memory`: the earlier runs, or folders of them, that `auto` learns from, or "auto"
    for the finished ones beside its own. `most_seeds`: with how many seeds a configuration that
    could be the best is trained at most (`seeds_per_trial`). `objectives`: of a sweep with several
    metrics, whose first one is then `metric`.
    `notes`: how the file of another tool was read.
    `resolved`: the same as plain data, as it is written to the run directory.
    """

    trainable: str
    metric: Metric
    searchers: Mapping[str, Searcher]
    scheduler: Scheduler
    budget: Budget
    space: Space
    seed: int = 0
    seeds: int = 1
    parallel: int | None = None
    resources: Resources = Resources()
    retries: int = 1
    hang_after: float | None = None
    on_oom: tuple[str, ...] = ("accumulate", "skip")
    plateau: int | None = None
    name: str | None = None
    keep: int | None = None
    confirm: Confirm | None = None
    track: tuple[str, ...] = ()
    notify: tuple[str, ...] = field(default=(), repr=False)
    callbacks: tuple[Callback, ...] = ()
    executor: Executor | None = None
    command_line: CommandLine | None = None
    report_sources: ReportSources = PRINTED_JSON
    enqueue: tuple[Config, ...] = ()
    memory: tuple[str, ...] | Literal["auto", "none"] = "none"
    most_seeds: int = 1
    objectives: Objectives | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)
    resolved: Mapping[str, Any] = field(default_factory=dict)

    def studies(self) -> tuple[Study, ...]:
        """A study for each searcher and search seed, in the order in which they take turns.

        With one seed, a study has the name of its searcher.
        """
        many = self.seeds > 1
        return tuple(
            Study(f"{name}.{i}" if many else name, searcher, self.seed + i)
            for i in range(self.seeds)
            for name, searcher in self.searchers.items()
        )

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that every report must have."""
        return self.objectives.names if self.objectives else (self.metric.name,)

    @property
    def untuned(self) -> str:
        """What to know of a sweep that trains several trials and has nothing to tune; else ""."""
        if self.budget.trials == 1 or any(n_drawn(one) != 1 for one in self.space.params.values()):
            return ""
        return (
            "the space has nothing to tune: every trial trains the same configuration, with a seed "
            "of its own; a parameter is written as lr: {float: [1e-4, 1e-1], log: true}"
        )

    def levels(self) -> tuple[int, ...]:
        return self.scheduler.levels(self.budget.epochs)


def trial_seed(seed: int, number: int) -> int:
    """The training seed of trial `number` of a study with search seed `seed`, in 0 .. 2**32 - 1."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
