"""The contracts of searchers and of schedulers, checked on the simulated clock.

Each check is a function of its own, so that a test can run them one by one: `SEARCHER_CHECKS` and
`SCHEDULER_CHECKS` list them.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.finder import file_module
from raysweep.history import Config, Event, History, Report, Status, Trial
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.base import Decision
from raysweep.schedulers.rung_reliability import PROBE_EVERY
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal
from raysweep.search_spaces.language.space import Space
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Curve, Epoch, simulate
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.state import NoLog
from raysweep.tune.sweep import Budget, Metric, RankingSearcher, Sweep

BOWL = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
MIXED = Space(
    {
        "lr": Float(1e-4, 1.0, log=True),
        "n": Int(8, 64, step=8),
        "size": Ordinal((32, 64, 128)),
        "kind": Choice(("sgd", "adam")),
    }
)
CONDITIONAL = Space(
    {**MIXED.params, "momentum": Float(0.5, 0.99)},
    conditions={"momentum": lambda flat: bool(flat["kind"] == "sgd")},
    constraints=(lambda flat: flat["lr"] * flat["n"] <= 8,),
)
EPOCHS = 9
TRIALS = 40
BOWL_TRIALS, BOWL_SEEDS = 60, 10
MARGIN = 1.1
"""The mean of the best losses on the bowl may be this many times that of random search: over ten
seeds a searcher that is as good may come out a little worse."""
PLAIN = (bool, int, float, str)


class Recorder(NoLog):
    """Keeps the events of a sweep in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        self.events.append(dict(event))


@dataclass(frozen=True)
class Subject:
    """The class of a searcher or a scheduler, and the options that it is checked with.

    `trials` is the number of trials of most checks; a slow searcher may be checked with fewer.
    """

    kind: type[Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    trials: int = TRIALS

    @property
    def name(self) -> str:
        return self.kind.__name__

    def make(self) -> Any:
        return self.kind(**self.options)

    def sweep(self, space: Space, trials: int | None = None, seed: int = 0) -> Sweep:
        """A sweep with the searcher, under a scheduler that stops most trials early."""
        return Sweep(
            trainable="raysweep.testing:none",
            metric=Metric("loss", "minimize"),
            searchers={self.name: self.make()},
            scheduler=Asha(type="stopping"),
            budget=Budget(trials or self.trials, EPOCHS),
            space=space,
            seed=seed,
        )

    def history(self, losses: Iterable[float]) -> History:
        """Trials that have all reported the first epoch, under the scheduler."""
        history = History(self.make().levels(EPOCHS))
        for number, loss in enumerate(losses):
            history.add(Trial(number, "a", {}, number))
            history.start(number)
            history.record(number, Report(1, loss, {}))
        return history


Check = Callable[[Subject], None]


def check_searcher(
    kind: type[Any], options: Mapping[str, Any] | None = None, skip: Collection[str] = ()
) -> None:
    """Raise AssertionError if a searcher breaks the contract of all searchers.

    `skip` names checks of `SEARCHER_CHECKS` that do not apply: a searcher that learns nothing need
    not be as good as random search (`no_worse_than_random`). The bowl takes 600 proposals.
    """
    _run(SEARCHER_CHECKS, Subject(kind, options or {}), skip)


def check_scheduler(
    kind: type[Any], options: Mapping[str, Any] | None = None, skip: Collection[str] = ()
) -> None:
    """Raise AssertionError if a scheduler breaks the contract of all schedulers.

    `skip` names checks of `SCHEDULER_CHECKS` that do not apply.
    """
    _run(SCHEDULER_CHECKS, Subject(kind, options or {}), skip)


def _run(checks: Mapping[str, Check], subject: Subject, skip: Collection[str]) -> None:
    unknown = set(skip) - set(checks)
    if unknown:
        raise ValueError(f"no check is called {min(unknown)}; expected of {', '.join(checks)}")
    for name, check in checks.items():
        if name not in skip:
            check(subject)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


# Trainings on the simulated clock


def bowl(config: Config, seed: int) -> Iterable[Epoch]:
    """Falls to the squared distance from a point that is neither the middle nor a corner."""
    end = (config["x"] - 0.3) ** 2 + (config["y"] - 0.7) ** 2
    return (({"loss": end + 0.2 / epoch}, 1.0) for epoch in range(1, EPOCHS + 1))


def mixed(config: Config, seed: int) -> Iterable[Epoch]:
    """A loss that depends on three parameters of MIXED, on one of them by its logarithm."""
    end = abs(math.log10(config["lr"]) + 2) + config["n"] / 64 + (config["kind"] == "sgd")
    return (({"loss": end + 1 / epoch}, 1.0) for epoch in range(1, EPOCHS + 1))


def constant(value: float) -> Curve:
    """A training that always reports the same loss."""
    return lambda config, seed: (({"loss": value}, 1.0) for _ in range(EPOCHS))


def proposals(controller: SweepController) -> list[Config]:
    return [trial.config for trial in controller.trials]


# Searchers


def inside_the_space(subject: Subject) -> None:
    """Proposals lie in the space, and hold plain Python values only."""
    for space in (MIXED, CONDITIONAL):
        for config in proposals(simulate(subject.sweep(space), mixed, 3)):
            _require(config in space, f"{subject.name} proposed {config}, outside of the space")
            # By the exact type: a numpy float is a float too, but ends up in files and messages.
            strange = [value for value in config.values() if type(value) not in PLAIN]
            _require(
                not strange,
                f"{subject.name} proposed {strange[:1]}, which is no plain bool, int, float or str",
            )


def same_seed_same_sequence(subject: Subject) -> None:
    """A seed gives one sequence, in every process; another seed gives another one."""
    here = proposals(simulate(subject.sweep(MIXED), mixed, 2))
    again = proposals(simulate(subject.sweep(MIXED), mixed, 2))
    _require(here == again, f"{subject.name} proposed another sequence when asked again")
    other = proposals(simulate(subject.sweep(MIXED, seed=1), mixed, 2))
    _require(here != other, f"{subject.name} proposes the same whatever the seed is")
    # Another process has other hashes and other addresses, on which a set's order depends.
    elsewhere = _in_another_process(subject)
    _require(here == elsewhere, f"{subject.name} proposed another sequence in another process")


def _in_another_process(subject: Subject) -> list[Config]:
    """What the searcher proposes in a process of its own, which imports the searcher's class."""
    module = subject.kind.__module__
    if module == "__main__":
        module = file_module(Path(sys.modules["__main__"].__file__ or "").resolve())
    told = {
        "path": sys.path,
        "module": module,
        "class": subject.kind.__qualname__,
        "options": dict(subject.options),
        "trials": subject.trials,
    }
    code = (
        "import json, sys; told = json.loads(sys.stdin.read()); sys.path[:] = told['path']; "
        "from raysweep.testing import components; components.print_proposals(told)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        input=json.dumps(told),
        capture_output=True,
        text=True,
    )
    _require(
        done.returncode == 0,
        f"{subject.name} raised in another process: {done.stderr.strip()[-500:]}",
    )
    # The last line, because an import of the searcher's may print something.
    found: list[Config] = json.loads(done.stdout.splitlines()[-1])
    return found


def print_proposals(told: Mapping[str, Any]) -> None:
    """Print the proposals of a searcher whose class another process names."""
    import importlib

    kind = importlib.import_module(told["module"])
    for name in told["class"].split("."):
        kind = getattr(kind, name)
    subject = Subject(kind, told["options"], told["trials"])  # type: ignore[arg-type]
    print(json.dumps(proposals(simulate(subject.sweep(MIXED), mixed, 2))))


def global_generators_untouched(subject: Subject) -> None:
    """numpy's and Python's global generators are neither read nor moved."""
    import random

    states = []
    sequences = []
    for seed in (1, 2):
        # Two seeds: a searcher that saves and restores a generator's state still depends on it.
        random.seed(seed)
        np.random.seed(seed)
        before = (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
        sequences.append(proposals(simulate(subject.sweep(MIXED), mixed, 2)))
        after = (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
        states.append(before == after)
    _require(all(states), f"{subject.name} draws from a global random generator")
    _require(sequences[0] == sequences[1], f"{subject.name} depends on a global random generator")


def continues_from_half_a_history(subject: Subject) -> None:
    """A searcher that finds a part of a history continues as if never interrupted."""
    recorder = Recorder()
    # One worker, so that at most one trial runs when the history is cut off.
    whole = proposals(simulate(subject.sweep(MIXED), mixed, 1, recorder))
    for part in (0.2, 0.5, 0.9):
        past = recorder.events[: int(part * len(recorder.events))]
        rest = proposals(simulate(subject.sweep(MIXED), mixed, 1, past=past))
        _require(
            rest == whole,
            f"{subject.name} proposed another sequence when it continued from {part:.0%} of it; "
            "a proposal must follow from the space, the history and the seed alone",
        )


def survives_losses_that_say_nothing(subject: Subject) -> None:
    """Trials that all report NaN, infinity or the same loss end nothing."""
    usual = len(proposals(simulate(subject.sweep(MIXED), mixed, 2)))
    # 0.5: a model of losses that are all equal has no variance to divide by.
    for value in (math.nan, math.inf, -math.inf, 0.5):
        found = proposals(simulate(subject.sweep(MIXED), constant(value), 2))
        _require(
            len(found) >= usual,
            f"{subject.name} stopped proposing when every loss was {value}",
        )
        _require(
            all(config in MIXED for config in found),
            f"{subject.name} left the space when every loss was {value}",
        )


def proposes_with_trials_pending(subject: Subject) -> None:
    """Trials that are running keep nothing from being proposed, and are not proposed again."""
    controller = SweepController(subject.sweep(BOWL, BOWL_TRIALS))
    for _ in range(6):
        trial = controller.next()
        _require(trial is not None, f"{subject.name} proposed fewer than six trials")
        assert trial is not None
        controller.started(trial)
        for epoch, (metrics, seconds) in enumerate(bowl(trial.config, 0), 1):
            if controller.reported(trial, epoch, metrics, seconds).stop:
                break
    pending = [trial for trial in (controller.next() for _ in range(8)) if trial is not None]
    points = {(trial.config["x"], trial.config["y"]) for trial in pending}
    _require(
        len(pending) == 8 or controller.exhausted,
        f"{subject.name} proposed {len(pending)} trials instead of 8 while they were running",
    )
    _require(bool(pending), f"{subject.name} proposed nothing after its first six trials")
    _require(
        len(points) == len(pending), f"{subject.name} proposed a trial that is already running"
    )


def ranks_the_same_when_asked_again(subject: Subject) -> None:
    """A searcher that expects something of trials says so of trials that are there."""
    searcher = subject.make()
    if not isinstance(searcher, RankingSearcher):
        return
    _require(searcher.rank(MIXED, History()) == {}, f"{subject.name} ranks trials of no history")
    (history,) = simulate(subject.sweep(MIXED), mixed, 2).histories.values()
    expected = searcher.rank(MIXED, history)
    _require(bool(expected), f"{subject.name} ranks no trial of a history of {len(history)}")
    _require(
        set(expected) <= set(range(len(history))), f"{subject.name} ranks trials that are not there"
    )
    _require(
        bool(np.isfinite(list(expected.values())).all()),
        f"{subject.name} expects a loss that is not finite",
    )
    _require(
        subject.make().rank(MIXED, history) == expected,
        f"{subject.name} ranked trials otherwise when asked again",
    )


def no_worse_than_random(subject: Subject) -> None:
    """On a bowl, the mean of the best losses of ten sweeps is no worse than random search's."""

    def found(searching: Subject) -> float:
        losses = []
        for seed in range(BOWL_SEEDS):
            controller = simulate(searching.sweep(BOWL, BOWL_TRIALS, seed), bowl, 2)
            (history,) = controller.histories.values()
            losses.append(_best_loss(history))
        return float(np.mean(losses))

    own, random = found(subject), found(Subject(Random))
    _require(
        own <= MARGIN * random,
        f"{subject.name} is worse than random search on a bowl: {own:.4g}, random {random:.4g}",
    )


def _best_loss(history: History) -> float:
    if history.best is None:
        return math.inf
    _, report = history.best
    return report.loss


SEARCHER_CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        inside_the_space,
        same_seed_same_sequence,
        global_generators_untouched,
        continues_from_half_a_history,
        survives_losses_that_say_nothing,
        proposes_with_trials_pending,
        ranks_the_same_when_asked_again,
        no_worse_than_random,
    )
}


# Schedulers


def _decide(scheduler: Any, trial: Trial, history: History) -> Decision:
    decision: Decision = scheduler.decide(trial, history, None)
    return decision


def _first_promoted(scheduler: Any, history: History) -> int | None:
    """The trial that is promoted first, once all that run have stopped."""
    # A copy, because closing a trial takes it out of `running`.
    for number in list(history.running):
        history.close(number, Status.STOPPED)
    number_promoted: int | None = scheduler.promote(history, None, budget_exhausted=True)
    return number_promoted


def rungs_ascend_to_the_last_epoch(subject: Subject) -> None:
    """The rungs are epochs in ascending order, from 1 or later to the last epoch."""
    for epochs in (1, 2, 9, 10, 27, 100):
        levels = list(subject.make().levels(epochs))
        _require(
            levels == sorted(set(levels)) and levels[0] >= 1 and levels[-1] == epochs,
            f"{subject.name}: the rungs of {epochs} epochs are {levels}; expected ascending "
            f"epochs that end with {epochs}",
        )


def asking_changes_nothing(subject: Subject) -> None:
    """`decide` gives the same answer again, and leaves the history as it is."""
    scheduler, history = subject.make(), subject.history(0.1 * i for i in range(12))
    before = {level: list(rung.losses) for level, rung in history.rungs.items()}
    answers = [[_decide(scheduler, trial, history) for trial in history] for _ in range(2)]
    _require(answers[0] == answers[1], f"{subject.name} decides otherwise when asked again")
    after = {level: list(rung.losses) for level, rung in history.rungs.items()}
    _require(before == after, f"{subject.name} changes the history that it decides about")


def stops_with_a_reason_and_the_worse_first(subject: Subject) -> None:
    """A trial that stops is told why, and no trial that is better than one that continues stops."""
    scheduler, history = subject.make(), subject.history(0.05 * i for i in range(20))
    decisions = [_decide(scheduler, trial, history) for trial in history]
    _require(
        all(decision.reason.startswith("epoch 1: ") for decision in decisions if decision.stop),
        f"{subject.name} stops a trial for a reason that does not begin with its epoch",
    )
    # With `grace: auto` every second trial is a probe that the lowest rungs do not judge.
    judged = decisions
    if getattr(scheduler, "grace", None) == "auto":
        judged = decisions[::PROBE_EVERY]
    stops = [decision.stop for decision in judged]
    _require(stops == sorted(stops), f"{subject.name} stops a trial better than one that continues")
    _require(
        not decisions[0].stop or _first_promoted(scheduler, history) == 0,
        f"{subject.name} stops the best trial and does not promote it",
    )


def the_first_trial_continues(subject: Subject) -> None:
    """A trial with nothing to compare it with continues, or is promoted."""
    scheduler, history = subject.make(), subject.history([5.0])
    stops = _decide(scheduler, history[0], history).stop
    _require(
        not stops or _first_promoted(scheduler, history) == 0,
        f"{subject.name} stops the first trial, which nothing can be compared with",
    )


def promotes_as_it_says(subject: Subject) -> None:
    """`promotes` says whether `promote` ever names a trial; it names the best one first."""
    scheduler = subject.make()
    promoted = _first_promoted(scheduler, subject.history([0.3, 0.2, 0.4]))
    expected = None
    if scheduler.promotes:
        expected = 1
    _require(
        promoted == expected,
        f"{subject.name}: promotes is {scheduler.promotes}, and of three stopped trials "
        f"it promotes {promoted}; the second is the best",
    )


def stops_no_trial_at_the_end(subject: Subject) -> None:
    """A trial that has reported the last epoch completes."""
    scheduler, history = subject.make(), subject.history([0.1] * 9 + [0.9])
    for number in range(10):
        history.record(number, Report(EPOCHS, history[number].loss, {}))
    _require(
        not any(_decide(scheduler, trial, history).stop for trial in history),
        f"{subject.name} stops a trial at its last epoch",
    )


def survives_losses_that_are_not_finite(subject: Subject) -> None:
    """Trials that diverged neither raise an exception nor go before one that did not."""
    scheduler, history = subject.make(), subject.history([math.inf] * 8 + [0.2, 0.3])
    best = _decide(scheduler, history[8], history)
    for trial in history:
        _decide(scheduler, trial, history)
    is_first = scheduler.promotes and _first_promoted(scheduler, history) == 8
    _require(
        is_first or not (best.stop or scheduler.promotes),
        f"{subject.name} stops the best of the trials whose losses are finite",
    )


SCHEDULER_CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        rungs_ascend_to_the_last_epoch,
        asking_changes_nothing,
        stops_with_a_reason_and_the_worse_first,
        the_first_trial_continues,
        promotes_as_it_says,
        stops_no_trial_at_the_end,
        survives_losses_that_are_not_finite,
    )
}
