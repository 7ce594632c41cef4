"""No searcher tries a configuration twice while another one is left, and all end when none is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from raysweep.history import Config, History, Report, Status, Trial
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal, Param, RangeOrValues
from raysweep.search_spaces.language.points import key_of
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.searchers.untried import MOST_LISTED, Untried
from raysweep.tune.sweep import Budget, Metric, Sweep
from tests.spaces import params

KINDS: dict[str, dict[str, Any]] = {
    "auto": {},
    "bohb": {},
    "random": {},
    "tpe": {"startup": 22},
    "optuna": {"sampler": "RandomSampler"},
}
GROUPS = Space(
    {
        "layers": Int(1, 3, points=2),
        "kind": Choice(("sgd", "adam"), weights=(1, 3)),
        "momentum": Ordinal((0.0, 0.5, 0.9)),
        "decay": RangeOrValues((0,), Float(0.1, 0.2, step=0.1)),
    },
    conditions={"momentum": lambda flat: bool(flat["kind"] == "sgd")},
    constraints=(lambda flat: flat["layers"] < 3 or flat["kind"] == "adam",),
)
"""sgd with two layers at most, three momenta and three decays; adam with three of each other."""
SIZE = 27
BRANCH = Space(
    {"kind": Choice(("a", "b")), "x": Float(0.0, 1.0)},
    conditions={"x": lambda flat: bool(flat["kind"] == "a")},
)
"""Without end, although one of its branches is a single configuration."""


def history_of(configs: Iterable[Config], **notes: Any) -> History:
    history = History((1,))
    for number, config in enumerate(configs):
        history.add(Trial(number, "a", config, number, notes=dict(notes)))
        history.start(number)
        history.record(number, Report(1, float(number % 7), {}))
        history.close(number, Status.COMPLETED)
    return history


def sweep_of(searcher: str, space: Space, trials: int) -> Sweep:
    return Sweep(
        trainable="tests:none",
        metric=Metric("loss", "minimize"),
        searchers={searcher: SEARCHERS[searcher](**KINDS[searcher])},
        scheduler=NoStopping(),
        budget=Budget(trials, 1),
        space=space,
    )


def train(config: Config, seed: int) -> Iterable[Epoch]:
    """Training 9 diverges, which is no reason to try its configuration again."""
    loss = float("nan") if seed % 9 == 0 else float(len(key_of(config)) % 5)
    return [({"loss": loss}, 1.0)]


@pytest.mark.parametrize("searcher", KINDS)
def test_a_sweep_tries_all_of_a_finite_space_once_and_ends(searcher: str) -> None:
    controller = simulate(sweep_of(searcher, GROUPS, 3 * SIZE), train, 3)
    tried = [key_of(trial.config) for trial in controller.trials]
    assert len(tried) == len(set(tried)) == SIZE
    assert controller.exhausted
    assert controller.done


@pytest.mark.parametrize("searcher", KINDS)
def test_what_is_proposed_follows_from_the_history_however_it_was_read(searcher: str) -> None:
    """A searcher that has followed a history proposes what one says that reads it at once."""
    following, history = SEARCHERS[searcher](**KINDS[searcher]), history_of([])
    for number in range(SIZE):
        config = following.suggest(GROUPS, history, 4)
        if number % 8 == 2:
            assert config == SEARCHERS[searcher](**KINDS[searcher]).suggest(GROUPS, history, 4)
        assert config is not None
        history.add(Trial(number, "a", config, number))
        history.start(number)
        history.record(number, Report(1, float(number % 7), {}))
        history.close(number, Status.COMPLETED)
    assert following.suggest(GROUPS, history, 4) is None


@pytest.mark.parametrize("searcher", KINDS)
def test_a_branch_of_one_configuration_is_tried_once_although_the_space_has_no_end(
    searcher: str,
) -> None:
    controller = simulate(sweep_of(searcher, BRANCH, 40), train, 1)
    tried = [trial.config["kind"] for trial in controller.trials]
    assert len(tried) == 40
    assert tried.count("b") <= 1


def test_a_space_without_parameters_is_trained_as_often_as_the_budget_says() -> None:
    controller = simulate(sweep_of("auto", Space({}, {"lr": 0.1}), 5), train, 1)
    assert [trial.config for trial in controller.trials] == [{"lr": 0.1}] * 5


def test_what_began_with_a_checkpoint_of_another_trial_is_untried() -> None:
    space = Space({"n": Int(1, 2)})
    history = history_of([{"n": 1}], parent="a-7")
    assert {"n": 1} in Untried(space).read(history)
    assert {"n": 1} not in Untried(space).read(history_of([{"n": 1}]))


def test_a_zero_that_an_earlier_version_recorded_was_tried() -> None:
    untried = Untried(Space({"decay": Ordinal((0.0, 0.1))})).read(history_of([{"decay": 0}]))
    assert {"decay": 0.0} not in untried
    assert {"decay": 0.1} in untried


def test_a_huge_space_is_not_listed() -> None:
    space = Space({f"n{i}": Int(1, 10**9) for i in range(3)})
    untried = Untried(space).read(history_of([{"n0": 1, "n1": 1, "n2": 1}]))
    assert untried.points(MOST_LISTED) is None
    assert untried.sample(np.random.default_rng(0)) in space


def test_a_value_of_no_weight_is_not_listed() -> None:
    space = Space({"kind": Choice(("a", "b", "c"), weights=(1, 0, 2))})
    left = Untried(space).read(history_of([{"kind": "a"}])).points(10)
    assert left is not None
    assert [space.from_unit(point) for point in left] == [{"kind": "c"}]


def test_few_that_are_left_are_drawn_alike() -> None:
    space = Space({"n": Int(1, 1000)})
    tried = [{"n": n} for n in range(1, 1001) if n not in (7, 300, 801)]
    untried = Untried(space).read(history_of(tried))
    drawn = [untried.sample(np.random.default_rng(seed)) for seed in range(60)]
    assert {config["n"] for config in drawn if config} == {7, 300, 801}


@given(params())
def test_the_values_that_may_be_drawn_are_those_that_are_drawn(param: Param) -> None:
    space = Space({"x": param})
    if space.n_combinations is None:
        return
    listed = {key_of(config) for config in space.all_drawn()}
    assert len(listed) <= space.n_combinations
    rng = np.random.default_rng(0)
    assert all(key_of(space.sample(rng)) in listed for _ in range(20))
    assert all(config in space for config in space.all_drawn())
