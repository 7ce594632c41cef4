"""Which of a user's priors (`around`) the default searcher drops, on simulated problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from raysweep.history import Config
from raysweep.results.analysis import dropped_priors
from raysweep.schedulers import Asha, NoStopping
from raysweep.schedulers.base import Scheduler
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal, RangeOrValues
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.models.encoding import Encoding
from raysweep.tune.searchers.models.gaussian_process import Observations, fit
from raysweep.tune.searchers.prior_guard import centres, contradicted, dropped, without_priors
from raysweep.tune.sweep import Budget, Metric, Sweep
from tests.sweeps import Keep

BEST = 0.9
RIGHT = Space({"lr": Float(0, 1, around=BEST), "drop": Float(0, 1)})
WRONG = Space({"lr": Float(0, 1, around=0.1), "drop": Float(0, 1)})
Curve = Callable[[Config, int], Iterator[tuple[dict[str, float], float]]]


def loss(config: Mapping[str, Any]) -> float:
    return float((config["lr"] - BEST) ** 2 + 0.1 * (config["drop"] - 0.3) ** 2)


def curve(config: Config, seed: int) -> Iterator[tuple[dict[str, float], float]]:
    noise = 0.01 * np.random.default_rng(seed).standard_normal()
    for epoch in range(1, 10):
        yield {"loss": loss(config) + noise + 1 / epoch}, 1.0


def swept(space: Space, scheduler: Scheduler, keep: Keep, past: list[Any] | None = None) -> Any:
    sweep = Sweep(
        "", Metric("loss", "minimize"), {"auto": Auto()}, scheduler, Budget(40, 9), space, 3
    )
    return simulate(sweep, curve, 1, keep, past or [])


def told(keep: Keep) -> list[list[str]]:
    return [event["dropped"] for event in keep.events if event["event"] == "priors"]


@pytest.mark.parametrize("scheduler", [Asha(), NoStopping()])
def test_a_wrong_prior_is_dropped_and_a_right_one_is_kept(scheduler: Scheduler) -> None:
    keep = Keep()
    swept(WRONG, scheduler, keep)
    assert told(keep)[-1] == ["lr"]
    (said,) = dropped_priors.sentences(keep.events)
    assert said.startswith("priors of auto: its trials get better away from `around` of lr,")
    keep = Keep()
    swept(RIGHT, scheduler, keep)
    assert told(keep) == []
    assert dropped_priors.sentences(keep.events) == []


@pytest.mark.parametrize("scheduler", [Asha(), NoStopping()])
def test_a_resumed_sweep_drops_the_same(scheduler: Scheduler) -> None:
    keep = Keep()
    whole = swept(WRONG, scheduler, keep)
    proposed = [place for place, event in enumerate(keep.events) if event["event"] == "proposed"]
    for cut in (proposed[15], proposed[30]):
        rest = Keep()
        again = swept(WRONG, scheduler, rest, keep.events[:cut])
        assert [trial.config for trial in again.trials] == [trial.config for trial in whole.trials]
        before = [event["dropped"] for event in keep.events[:cut] if event["event"] == "priors"]
        assert [*before, *told(rest)] == told(keep)


def judged(space: Space, count: int, seed: int, value: Callable[[Any], Any]) -> tuple[str, ...]:
    """What is contradicted by trials that were drawn from a space."""
    rng = np.random.default_rng(seed)
    configs = [space.sample(rng) for _ in range(count)]
    y = np.array([value(config) for config in configs], np.float64)
    y = (y - y.mean()) / y.std()
    units = space.to_units(configs)
    observations = Observations(
        Encoding.of(space)(units), np.arange(count), np.zeros(count, np.int64)
    )
    return contradicted(space, fit(observations, y), observations, y)


def test_priors_of_what_does_not_matter_are_seldom_dropped() -> None:
    space = Space({f"x{i}": Float(0, 1, around=0.2 + 0.2 * i) for i in range(4)})
    noise = np.random.default_rng(0)
    found = [judged(space, 20, seed, lambda config: noise.standard_normal()) for seed in range(20)]
    assert sum(map(bool, found)) <= 3


def test_a_side_without_trials_tells_nothing() -> None:
    at_the_bound = Space({"lr": Float(0, 1, around=0.0), "drop": Float(0, 1)})
    assert judged(at_the_bound, 30, 1, loss) == ("lr",)
    assert judged(at_the_bound, 30, 1, lambda config: config["lr"]) == ()
    assert judged(at_the_bound, 9, 1, loss) == ()


def test_centres_are_taken_out_one_by_one() -> None:
    space = Space(
        {
            "lr": Float(1e-4, 1.0, log=True, around=1e-2),
            "decay": RangeOrValues((0,), Float(1e-5, 1e-1, log=True, around=1e-3)),
            "width": Int(1, 9, around=3),
            "size": Ordinal((32, 64), around=64),
            "opt": Choice(("a", "b"), weights=(1.0, 2.0)),
        }
    )
    assert np.isnan(centres(space)).tolist() == [False, False, False, False, True]
    other = without_priors(space, ("decay", "size"))
    assert dropped(space, other) == ("decay", "size")
    assert other.params["opt"] == space.params["opt"]
    assert np.isnan(centres(without_priors(space, space.names))).all()
    drawn = other.draw(np.random.default_rng(0))
    assert drawn[1] == np.random.default_rng(0).random(len(space))[1]
