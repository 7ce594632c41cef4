"""Ranges that a person changes: every searcher obeys, and no earlier trial misleads it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raysweep.history import Config, Event, Status
from raysweep.results.storage.inbox import Command
from raysweep.schedulers import Asha
from raysweep.search_spaces.language.changes import changed
from raysweep.search_spaces.language.params import (
    Choice,
    Float,
    Int,
    Ordinal,
    RangeOrValues,
)
from raysweep.search_spaces.language.space import Space
from raysweep.tune.commands import carry_out
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, SimulatedExecutor
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.searchers.random_grid import Grid, Random
from raysweep.tune.sweep import Budget, Searcher, Sweep
from tests.sweeps import Keep, StopAt, sweep, train_all

SPACE = Space(
    {
        "lr": Float(1e-5, 1.0, log=True, around=1e-1),
        "width": Int(8, 64, step=8),
        "kind": Choice(("flat", "deep", "wide"), weights=(1.0, 2.0, 0.0)),
        "batch": Ordinal((16, 32, 64)),
        "decay": RangeOrValues((0.0,), Float(1e-6, 1e-2, log=True)),
    },
    conditions={"width": lambda flat: flat["kind"] != "flat"},
    constraints=(lambda flat: flat["batch"] < 64 or flat["lr"] < 0.5,),
    order=("lr", "kind", "width", "batch", "decay"),
)
CHANGES: list[dict[str, Any]] = [
    {"lr": "1e-3..1e-2"},
    {"lr": "1e-7..2", "kind": "deep,huge"},
    {"batch": [32, 128], "width": "8..16"},
    {"decay": "1e-5..1e-4", "kind": ["flat"]},
]
OTHERS = {name: kind for name, kind in SEARCHERS.items() if kind is not Grid}


def give(controller: SweepController, **arguments: Any) -> Event:
    return carry_out(Command("set", arguments), controller)


def curve(config: Config, seed: int) -> Iterator[Epoch]:
    for epoch in itertools.count(1):
        loss = abs(np.log10(config["lr"]) + 2) / epoch + 0.01 * (seed % 7)
        yield {"loss": np.inf if config["batch"] == 16 and seed % 5 == 0 else loss}, 1.0


class Person:
    """Changes the space after so many events."""

    def __init__(self, keep: Keep, moments: dict[int, dict[str, Any]]) -> None:
        self._keep, self._moments = keep, dict(moments)

    def on_event(self, event: Event, controller: SweepController) -> None: ...

    def on_tick(self, controller: SweepController) -> None:
        for moment in sorted(self._moments):
            if len(self._keep.events) >= moment:
                event = give(controller, space=self._moments.pop(moment))
                assert event["outcome"] == "applied", event

    def close(self, controller: SweepController) -> None: ...


def made(searcher: Searcher, seed: int) -> Sweep:
    return sweep(
        {"a": searcher}, space=SPACE, scheduler=Asha(grace=1), budget=Budget(30, 9), seed=seed
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", sorted(OTHERS))
def test_every_searcher_proposes_inside_of_the_new_space(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.choice(len(CHANGES), 2, replace=False)
    moments = {int(rng.integers(20, 60)): CHANGES[first], 80: CHANGES[second]}
    keep, executor = Keep(), SimulatedExecutor(curve, 2)
    said = made(OTHERS[name](), seed)
    controller = SweepController(said, keep, clock=executor.clock)
    executor.run(controller, [Person(keep, moments)])
    assert len(list(controller.trials)) == 30
    space, configs = SPACE, []
    changes: dict[str, Any] = {}
    for event in keep.events:
        if event["event"] == "command":
            changes |= event["arguments"]["space"]
            space = changed(SPACE, changes)
        elif event["event"] == "proposed":
            assert event["config"] in space
            configs.append(repr(event["config"]))
    assert changes.keys() == CHANGES[first].keys() | CHANGES[second].keys()
    assert len(set(configs)) == len(configs)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_session_that_resumes_proposes_the_same(name: str) -> None:
    keep, executor = Keep(), SimulatedExecutor(curve, 1)
    said = replace(made(OTHERS[name](), 3), scheduler=StopAt(), budget=Budget(30, 2))
    controller = SweepController(said, keep, clock=executor.clock)
    executor.run(controller, [Person(keep, {40: CHANGES[0], 90: CHANGES[2]})])
    proposed = [event["config"] for event in keep.events if event["event"] == "proposed"]
    for cut in (60, 100, 130):
        ends = [i for i, event in enumerate(keep.events[:cut]) if event["event"] == "ended"]
        past = [dict(event) for event in keep.events[: ends[-1] + 1]]
        other = replace(said, searchers={"a": OTHERS[name]()})
        again = SweepController(other, Keep(), past)
        again.reopen(False)
        trial = again.next()
        assert trial is not None
        assert trial.config == proposed[trial.number]
        assert trial.number == sum(event["event"] == "proposed" for event in past)


def test_a_narrow_space_is_learned_from_what_lies_inside() -> None:
    """Far better trials outside must not draw the proposals to the border."""
    space = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})

    def bowl(config: Config, seed: int) -> Iterator[Epoch]:
        value = (config["x"] - 0.3) ** 2 + (config["y"] - 0.5) ** 2
        if config["x"] > 0.6:
            value = -10.0
        yield {"loss": value}, 1.0

    for name in ("auto", "tpe", "bohb"):
        keep, executor = Keep(), SimulatedExecutor(bowl, 1)
        said = sweep({"a": OTHERS[name]()}, space=space, budget=Budget(70, 1))
        controller = SweepController(said, keep, clock=executor.clock)
        executor.run(controller, [Person(keep, {90: {"x": "0..0.6"}})])
        late = [trial.config["x"] for trial in controller.trials][-20:]
        assert np.mean(np.abs(np.array(late) - 0.3)) < 0.2, name


def test_the_history_of_some_trials_is_that_of_a_sweep_without_the_others() -> None:
    keep, executor = Keep(), SimulatedExecutor(curve, 3)
    controller = SweepController(made(Random(), 1), keep, clock=executor.clock)
    executor.run(controller, [Person(keep, {30: CHANGES[0]})])
    live = controller.state._inside["a"]
    anew = controller.histories["a"].only(live.numbers)
    assert [(t.config, t.epoch, t.status) for t in live.history] == [
        (t.config, t.epoch, t.status) for t in anew
    ]
    for level in anew.levels:
        mine, theirs = live.history.rungs[level], anew.rungs[level]
        assert list(mine.by_trial.items()) == list(theirs.by_trial.items())
        assert (mine.paused, mine.ended) == (theirs.paused, theirs.ended)
    assert (live.history.epochs, live.history.failed) == (anew.epochs, anew.failed)
    assert live.history.best is not None
    assert anew.best is not None
    assert live.history.best[1] == anew.best[1]
    assert 0 < len(live.numbers) < len(controller.histories["a"])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"rl": "1..2"}, "space.rl: there is no such parameter"),
        ({"widht": "8..16"}, "space.widht: there is no such parameter; did you mean 'width'?"),
        ({"lr": "1e-2..1e-4"}, "space.lr: the range 0.01..0.0001 is empty"),
        ({"lr": "0..1"}, "space.lr: a logarithmic scale begins above 0, got 0"),
        ({"lr": "fast"}, "space.lr: expected a range such as 0.001..0.1, got fast"),
        ({"lr": "a..b"}, "space.lr: expected a range such as 0.001..0.1, got a..b"),
        ({"width": "9..64"}, "space.width: 9 is none of 8, 16, ..."),
        ({"kind": "wide"}, "space.kind: none of these values is ever drawn"),
        ({"kind": "flat,flat"}, "space.kind: a value stands twice"),
        ({"kind": []}, "space.kind: expected at least one value"),
        ({"kind": None}, "space.kind: expected at least one value"),
        ({"kind": "flat,"}, "space.kind: '' is an empty text, unlike flat, deep, wide"),
        ({"kind": "flat,7"}, "space.kind: '7' is a whole number, unlike flat, deep, wide"),
        ({"kind": ["flat", True]}, "space.kind: 'True' is a boolean, unlike flat, deep, wide"),
        ({"kind": [["flat"]]}, "space.kind: '['flat']' is a list or a mapping, unlike flat, deep"),
        ({"batch": "32,64.5"}, "space.batch: '64.5' is a number with decimals, unlike 16, 32, 64"),
        ({"batch": "32,big"}, "space.batch: 'big' is a text, unlike 16, 32, 64"),
        ({"lr": "0.6..0.9", "batch": [64]}, "space: fewer than 1 in 10,000 configurations"),
        ({}, "space: expected parameters with their ranges"),
    ],
)
def test_ranges_that_cannot_be_are_refused_in_a_line(given: dict[str, Any], reason: str) -> None:
    event = give(SweepController(made(Random(), 0), Keep()), space=given)
    assert event["outcome"] == "refused"
    assert event["reason"].startswith(reason)


def test_a_grid_refuses_another_space_in_a_line() -> None:
    said = sweep({"grid": Grid()}, space=Space({"x": Float(0.0, 1.0)}))
    event = give(SweepController(said, Keep()), space={"x": "0..0.5"})
    assert event["reason"] == "grid: the cells of a grid are fixed when the sweep begins"


def test_what_was_enqueued_before_is_trained_although_it_is_outside() -> None:
    controller = SweepController(sweep(), Keep())
    carry_out(Command("enqueue", {"configurations": [{"x": 0.9}]}), controller)
    assert give(controller, space={"x": [0.0, 0.5]})["reason"] == (
        "from now on x is a number from 0 to 0.5"
    )
    train_all(controller)
    assert {trial.status for trial in controller.trials} == {Status.COMPLETED}
    assert [trial.config["x"] > 0.5 for trial in controller.trials] == [True, False, False, False]
