"""Finalists that are certainly worse leave the race, and nobody else does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raysweep as rs
from raysweep.errors import UserError
from raysweep.history import Config
from raysweep.results.analysis.racing import ALPHA, beaten, differences, e_values
from raysweep.results.analysis.retraining import FOLDER
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import load


def one(*values: float) -> float:
    return float(e_values([np.array(values)])[0])


def seeds(*losses: float) -> dict[int, float]:
    return dict(enumerate(losses))


def test_one_seed_is_no_evidence() -> None:
    assert one() == one(5.0) == 1.0


def test_evidence_grows_with_the_seeds_and_against_the_other_direction_there_is_none() -> None:
    rising = [one(*([1.0, 1.2, 0.9, 1.1, 1.0][:n])) for n in (2, 3, 4, 5)]
    assert rising == sorted(rising)
    assert rising[-1] > 60
    assert one(-1.0, -1.2, -0.9, -1.1, -1.0) < 0.05


def test_evidence_has_no_unit() -> None:
    assert one(3.0, 1.0, 2.0) == pytest.approx(one(3000.0, 1000.0, 2000.0))


def test_trainings_that_do_not_depend_on_the_seed() -> None:
    assert one(0.0, 0.0) == 1.0
    assert one(-0.1, -0.1) == 1.0
    assert one(0.1, 0.1) == math.inf
    assert np.isfinite(one(1.0, 1.0 + 1e-7, 1.0))


def test_finalists_are_compared_by_the_seeds_that_both_have() -> None:
    losses = {"a": {0: 1.0, 2: 3.0, 3: 9.0}, "b": {0: 0.5, 1: 7.0, 2: 1.0}}
    assert differences(losses, "a", "b").tolist() == [0.5, 2.0]


def test_the_worse_one_leaves_and_it_is_said_who_is_better() -> None:
    losses = {
        "good": seeds(0.10, 0.11, 0.09, 0.10, 0.12),
        "bad": seeds(0.50, 0.52, 0.48, 0.50, 0.53),
        "alike": seeds(0.11, 0.10, 0.10, 0.09, 0.12),
    }
    left = beaten(losses)
    assert left.keys() == {"bad"}
    assert left["bad"] in {"good", "alike"}
    assert beaten({"alone": seeds(1.0, 2.0)}) == {}
    assert beaten({}) == {}


def test_among_equals_hardly_anybody_leaves_however_often_one_looks() -> None:
    rng, races, wrong = np.random.default_rng(3), 200, 0
    for _ in range(races):
        losses = rng.normal(size=(4, 10))
        looks = ({str(i): seeds(*row[:n]) for i, row in enumerate(losses)} for n in range(2, 11))
        wrong += any(beaten(look) for look in looks)
    # Of 200 races, 10 are 5 %. 19 would be three standard deviations more.
    assert wrong < ALPHA * races + 9


def train(config: Config, run: rs.Run) -> None:
    """What `x` is worth, with a noise that the seed decides."""
    noise = np.random.default_rng(run.seed).normal(size=2)
    for _ in run.epochs():
        run.report(loss=config["x"] + 0.01 * noise[0] + 0.002 * config["x"] * noise[1])


def race(storage: Path, **confirm: Any) -> Any:
    sweep = rs.Sweep(
        train,
        metric={"name": "loss", "goal": "minimize"},
        space={"x": rs.Float(0, 1)},
        budget={"trials": 8, "epochs": 1},
        searcher="random",
        scheduler="none",
        confirm={"top": 3, "seeds": 8, **confirm},
    )
    return sweep.run(executor="debug", storage=storage, name="raced")


def test_a_race_ends_when_one_finalist_is_left(tmp_path: Path) -> None:
    run = race(tmp_path / "race", race=True)
    whole = race(tmp_path / "whole")
    again = load(run.path / FOLDER)
    assert sum(len(history) for history in again.histories.values()) <= 12
    assert len(whole._directory.histories) == 1
    assert sum(len(one) for one in load(whole.path / FOLDER).histories.values()) == 24
    assert run.best.trial == whole.best.trial
    ends = {event["study"]: event for event in again.events if event["event"] == "exhausted"}
    assert sum(bool(end.get("beaten")) for end in ends.values()) == 2
    assert "has won the race after" in ends[run.best.trial]["reason"]


def test_who_left_the_race_does_not_win_by_lucky_seeds(tmp_path: Path) -> None:
    run = race(tmp_path, race=True)
    again = load(run.path / FOLDER)
    left = [event["study"] for event in again.events if event.get("beaten")]
    ledger = Ledger(run.path / FOLDER)
    number = len(again.histories[left[0]])
    trial = f"{left[0]}-{number}"
    lucky = {"event": "proposed", "study": left[0], "number": number, "config": {}, "seed": 1}
    ledger.append({**lucky, "time": 0.0})
    said = {"epoch": 1, "loss": -99.0, "metrics": {"loss": -99.0}, "seconds": 1.0, "time": 0.0}
    ledger.append({"event": "reported", "trial": trial, **said})
    end = {"event": "ended", "trial": trial, "status": "completed", "reason": "", "time": 0.0}
    ledger.append(end)
    ledger.close()
    assert rs.load(run.path).best.trial == run.best.trial


def test_a_race_is_by_one_metric() -> None:
    with pytest.raises(UserError, match=r"confirm\.race: compares by one metric"):
        rs.Sweep(
            train,
            metrics=[{"name": "loss"}, {"name": "ms"}],
            space={"x": rs.Float(0, 1)},
            budget={"trials": 2, "epochs": 1},
            confirm={"race": True},
        ).run(executor="debug")
