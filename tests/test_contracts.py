"""Every shipped searcher and scheduler keeps its contract, and the checks find what breaks it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from raysweep.history import Config, History, Trial
from raysweep.schedulers import SCHEDULERS
from raysweep.schedulers.base import CONTINUE, Decision
from raysweep.search_spaces.language.space import Space
from raysweep.testing import check_scheduler, check_searcher
from raysweep.testing.components import SCHEDULER_CHECKS, SEARCHER_CHECKS, Subject
from raysweep.tune.searchers import SEARCHERS

OPTUNA = {
    f"optuna {sampler}": Subject(SEARCHERS["optuna"], {"sampler": sampler, "options": options})
    for sampler, options in {
        "TPESampler": {},
        "CmaEsSampler": {},
        "NSGAIISampler": {"population_size": 10},
        "QMCSampler": {"scramble": True},
    }.items()
}
SUBJECTS = {name: Subject(kind) for name, kind in SEARCHERS.items() if name != "optuna"} | OPTUNA
SKIPPED = {("grid", "no_worse_than_random")}
"""A grid of 3 x 3 cells holds no point near the optimum; it is not meant to."""
IN_UNIT = (*(name for name in SEARCHERS if name != "optuna"), "optuna NSGAIISampler")
"""What `make test` checks. The other samplers are slow; `make conformance` checks them."""
SLOW = {
    ("tpe", "survives_losses_that_say_nothing"),
    ("optuna NSGAIISampler", "no_worse_than_random"),
}
"""What takes more than five seconds of them, and is left to `make conformance` too."""
PARTLY_CHECKED = {
    "GPSampler": ("inside_the_space", "proposes_with_trials_pending"),
    "RandomSampler": ("same_seed_same_sequence", "continues_from_half_a_history"),
    "NSGAIIISampler": ("same_seed_same_sequence", "continues_from_half_a_history"),
}
"""GPSampler takes more than a second for a proposal, and the others are like those above."""


def is_in_unit(name: str, check: str) -> bool:
    return name in IN_UNIT and (name, check) not in SLOW


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(n, check, marks=() if is_in_unit(n, check) else pytest.mark.conformance)
        for n in SUBJECTS
        for check in SEARCHER_CHECKS
        if (n, check) not in SKIPPED
    ],
)
def test_a_searcher_keeps_its_contract(name: str, check: str) -> None:
    SEARCHER_CHECKS[check](SUBJECTS[name])


@pytest.mark.conformance
@pytest.mark.parametrize(
    ("sampler", "check"),
    [(sampler, check) for sampler, checks in PARTLY_CHECKED.items() for check in checks],
)
def test_a_sampler_of_optuna_keeps_a_part_of_it(sampler: str, check: str) -> None:
    # After three trials that it draws, GPSampler proposes the other nine.
    options = {"n_startup_trials": 3} if sampler == "GPSampler" else {}
    subject = Subject(SEARCHERS["optuna"], {"sampler": sampler, "options": options}, trials=12)
    SEARCHER_CHECKS[check](subject)


@pytest.mark.parametrize(
    ("name", "options"),
    [("asha", {"type": "stopping"}), *((name, {}) for name in sorted(SCHEDULERS))],
)
@pytest.mark.parametrize("check", SCHEDULER_CHECKS)
def test_a_scheduler_keeps_its_contract(name: str, options: dict[str, str], check: str) -> None:
    SCHEDULER_CHECKS[check](Subject(SCHEDULERS[name], options))


COUNTER = count()


@dataclass(frozen=True)
class Outside:
    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        config = space.sample(np.random.default_rng([seed, len(history)]))
        return {**config, next(iter(config)): 7.5}


@dataclass(frozen=True)
class Numpy:
    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        config = space.sample(np.random.default_rng([seed, len(history)]))
        return {k: np.float64(v) if isinstance(v, float) else v for k, v in config.items()}


@dataclass(frozen=True)
class Unseeded:
    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return space.sample(np.random.default_rng([1, len(history)]))


@dataclass(frozen=True)
class Global:
    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return space.sample(np.random.default_rng(np.random.randint(2**31)))


@dataclass(frozen=True)
class Stateful:
    """Draws by how often it was asked in this process."""

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return space.sample(np.random.default_rng([seed, next(COUNTER)]))


@dataclass(frozen=True)
class Hashing:
    """Draws by the hash of a string, which differs from process to process."""

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return space.sample(np.random.default_rng([seed, len(history), abs(hash("salt"))]))


@dataclass(frozen=True)
class Clumsy:
    """Cannot bear that all losses are equal, and stays in a corner."""

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        losses = {trial.loss for trial in history if trial.reports}
        if len(history) > 20 and len(losses) == 1:
            return None
        rng = np.random.default_rng([seed, len(history)])
        return space.from_unit(0.01 * rng.random(len(space)))


@dataclass(frozen=True)
class Repeating:
    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return space.from_unit([0.5] * len(space))


@pytest.mark.parametrize(
    ("kind", "check", "sentence"),
    [
        (Outside, "inside_the_space", "Outside proposed .* outside of the space"),
        (Numpy, "inside_the_space", "is no plain bool, int, float or str"),
        (Unseeded, "same_seed_same_sequence", "the same whatever the seed is"),
        (Hashing, "same_seed_same_sequence", "another sequence in another process"),
        (Global, "global_generators_untouched", "draws from a global random generator"),
        (Stateful, "continues_from_half_a_history", "must follow from the space, the history"),
        (Clumsy, "survives_losses_that_say_nothing", "stopped proposing when every loss was"),
        (Clumsy, "no_worse_than_random", "worse than random search on a bowl"),
        (Repeating, "proposes_with_trials_pending", "a trial that is already running"),
    ],
)
def test_a_searcher_that_breaks_it_is_found(kind: type[Any], check: str, sentence: str) -> None:
    skipped = [name for name in SEARCHER_CHECKS if name != check]
    with pytest.raises(AssertionError, match=sentence):
        check_searcher(kind, skip=skipped)


@dataclass(frozen=True)
class Backwards:
    """Stops the best trials, and says that it promotes."""

    promotes: ClassVar[bool] = True

    def levels(self, epochs: int) -> tuple[int, ...]:
        return (epochs, 1)

    def decide(self, trial: Trial, history: History, *_: Any) -> Decision:
        return Decision(True, "too good") if trial.loss < 0.5 else CONTINUE

    def promote(self, history: History, *_: Any, budget_exhausted: bool) -> int | None:
        return None


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        ("rungs_ascend_to_the_last_epoch", "expected ascending epochs"),
        ("promotes_as_it_says", "promotes is True"),
        ("stops_no_trial_at_the_end", "stops a trial at its last epoch"),
        ("stops_with_a_reason_and_the_worse_first", "does not begin with its epoch"),
    ],
)
def test_a_scheduler_that_breaks_it_is_found(check: str, sentence: str) -> None:
    skipped = [name for name in SCHEDULER_CHECKS if name != check]
    with pytest.raises(AssertionError, match=sentence):
        check_scheduler(Backwards, skip=skipped)


def test_a_check_that_is_not_there_cannot_be_skipped() -> None:
    with pytest.raises(ValueError, match="no check is called bowl"):
        check_searcher(Repeating, skip=["bowl"])


def test_the_checks_need_no_pytest() -> None:
    code = (
        "import sys; from raysweep.testing import check_scheduler; "
        "from raysweep.schedulers import SCHEDULERS; "
        "[check_scheduler(kind) for kind in SCHEDULERS.values()]; "
        "print(sorted({'pytest', 'ray', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
