"""What more time is expected to bring, and the end of a sweep for which it is not worth it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raysweep.forecast import (
    HIGH,
    MIN_REPORTS,
    PLACE,
    TOLD,
    Forecast,
    Pace,
    pace,
    training_clock,
)
from raysweep.history import History
from raysweep.metric_bounds import room_left
from raysweep.search_spaces.file.budget_spec import rate
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.pacing import Pacing
from raysweep.tune.sweep import Budget
from tests.sweeps import Draw, sweep


def history(losses: list[float], seconds: float = 10.0) -> History:
    """A trial of one epoch for each loss, one after the other."""
    said = sweep({"draw": Draw()}, budget=Budget(trials=len(losses), epochs=1))
    values = iter(losses)
    played = simulate(said, lambda config, seed: [({"loss": next(values)}, seconds)], 1)
    return played.histories["draw"]


def improving(trials: int = 40) -> list[float]:
    """Losses of which every third is the best so far."""
    return [1 / (1 + n) if n % 3 == 0 else 1.0 + n / 100 for n in range(trials)]


def known(losses: list[float]) -> Pace:
    found = pace([history(losses)])
    assert found is not None
    return found


def test_nothing_is_forecast_of_a_few_reports_or_of_equal_trials() -> None:
    assert pace([history(improving(MIN_REPORTS - 1))]) is None
    assert pace([history([0.5] * 40)]) is None
    assert pace([history([math.inf] * 40)]) is None
    assert pace([history([0.1] * (PLACE - 1) + [math.nan] * 40)]) is None


def test_a_sweep_that_improved_long_ago_is_expected_to_improve_less() -> None:
    stale = sorted(improving())
    assert known(improving()).gain > 3 * known(stale).gain > 0


def test_the_forecast_does_not_change_with_the_unit_or_the_offset_of_the_metric() -> None:
    once = known(improving())
    other = known([1000 * loss - 7 for loss in improving()])
    assert other.gain == pytest.approx(1000 * once.gain)
    assert other.seconds == once.seconds == 400.0


def test_twice_the_time_is_expected_to_bring_the_same_whenever_it_is() -> None:
    early, late = Pace(10.0, 0.5, 9), Pace(1000.0, 0.5, 9)
    assert early.forecast(10.0).expected == pytest.approx(late.forecast(1000.0).expected)
    assert late.forecast(1000.0).high == pytest.approx(HIGH * 0.5 * math.log(2))
    assert late.now < early.now


@pytest.mark.parametrize(
    ("seconds", "ahead"),
    [(4.9, None), (5.0, 10.0), (29.0, 10.0), (30.0, 60.0), (3600.0, 3600.0), (1e9, 86400)],
)
def test_a_person_is_told_of_a_round_time_not_farther_than_the_sweep_can_tell(
    seconds: float, ahead: float | None
) -> None:
    told = Pace(seconds, 1.0, TOLD).told("x", maximize=False)
    assert (told and told.seconds) == ahead


def test_a_person_is_told_nothing_of_a_few_trials() -> None:
    assert Pace(100.0, 1.0, TOLD - 1).told("x", maximize=False) is None
    assert Pace(100.0, 1.0, TOLD - 1).forecast(60.0).high > 0


@pytest.mark.parametrize(
    ("metric", "maximize", "worst", "best", "room"),
    [
        ("val_accuracy", True, 0.2, 0.9, 0.1),
        ("Acc@1", True, 11.0, 90.0, 10.0),
        ("val/f1", True, 0.0, 1.0, 0.0),
        ("acc", True, 0.5, 101.0, math.inf),
        ("acc", True, -0.1, 0.5, math.inf),
        ("reward", True, 0.2, 0.9, math.inf),
        ("val_loss", False, 3.0, 0.25, 0.25),
        ("val_loss", False, 3.0, -0.1, math.inf),
        ("nll", False, 3.0, 0.25, math.inf),
        ("loss", True, 0.2, 0.9, math.inf),
        ("accuracy", False, 0.9, 0.2, math.inf),
        ("ms", False, 3.0, 0.25, math.inf),
    ],
)
def test_the_room_of_a_metric_is_known_by_its_name_and_its_values(
    metric: str, maximize: bool, worst: float, best: float, room: float
) -> None:
    assert room_left(metric, maximize, worst, best) == pytest.approx(room)


def test_what_a_person_is_told_stays_within_the_metric() -> None:
    """Losses of an accuracy are negative."""
    near_one = Pace(100.0, 0.01, TOLD, best=-0.99, worst=-0.2)
    told = near_one.told("accuracy", maximize=True)
    unbounded = near_one.told("reward", maximize=True)
    assert told is not None
    assert unbounded is not None
    assert told.high == pytest.approx(0.01)
    assert unbounded.high > 0.011
    assert told.expected == unbounded.expected
    assert Pace(100.0, 1.0, TOLD, best=-0.99, worst=-0.2).told("accuracy", maximize=True) is None
    loss = Pace(100.0, 0.01, TOLD, best=0.011, worst=2.0).told("val_loss", maximize=False)
    assert loss is not None
    assert loss.high == pytest.approx(0.011)


def test_the_pace_knows_the_extreme_losses() -> None:
    found = known([*improving(), math.inf])
    assert (found.best, found.worst) == (min(improving()), max(improving()))


def test_the_sentence() -> None:
    assert Forecast(3600.0, 0.00123, 0.00301).sentence("val_loss") == (
        "another hour is expected to improve val_loss by 0.0012 (90 %: 0 to 0.003)"
    )


def test_time_between_sessions_does_not_count() -> None:
    times = np.array([110.0, 120.0, 1030.0])
    assert training_clock(times, 10.0).tolist() == [10.0, 20.0, 930.0]
    assert training_clock(times, 10.0, [95.0, 1000.0]).tolist() == [10.0, 20.0, 50.0]


def test_the_pace_of_a_running_sweep_is_found_again_as_it_grows() -> None:
    pacing = Pacing([0.0])
    first = pacing.follow({"draw": history(improving(40))})
    assert first == known(improving(40))
    assert pacing.follow({"draw": history(improving(41))}) is first
    assert pacing.follow({"draw": history(improving(60))}) == known(improving(60))


def ended(worth: float | None) -> SweepController:
    losses = iter(improving(12) + [1.0 + n / 1000 for n in range(2000)])
    said = sweep({"draw": Draw()}, budget=Budget(trials=1000, epochs=1, worth=worth))
    return simulate(said, lambda config, seed: [({"loss": next(losses)}, 60.0)], 1)


def test_a_sweep_ends_when_it_improves_too_slowly() -> None:
    found, never = ended(0.01 / 3600), ended(None)
    assert len(never.histories["draw"]) == 1000
    assert MIN_REPORTS <= len(found.histories["draw"]) < 1000
    assert found.stopping == (
        "the best loss is expected to improve by 0.0097 an hour, and budget.worth is 0.01"
    )
    assert len(ended(1.0).histories["draw"]) == MIN_REPORTS  # it is known no sooner


@pytest.mark.parametrize("loss", [0.5, math.nan])
def test_a_sweep_of_which_nothing_can_be_expected_ends(loss: float) -> None:
    said = sweep({"draw": Draw()}, budget=Budget(trials=1000, epochs=1, worth=0.01))
    found = simulate(said, lambda config, seed: [({"loss": loss}, 60.0)], 1)
    assert found.stopping == (
        "no better loss in the last 100 trials, so none is expected (budget.worth)"
    )
    assert 100 <= len(found.histories["draw"]) <= 102


def test_a_sweep_whose_trials_all_fail_in_other_words_ends() -> None:
    said = sweep({"draw": Draw()}, budget=Budget(trials=1000, epochs=1, worth=0.01), retries=0)
    controller = SweepController(said)
    while (trial := controller.next()) is not None:
        controller.started(trial)
        controller.failed(trial, f"no {trial.number}", {})
    assert len(controller.histories["draw"]) == 100


def test_what_is_worth_less_ends_later() -> None:
    trials = [len(ended(worth / 3600).histories["draw"]) for worth in (0.5, 0.1, 0.02)]
    assert trials == sorted(set(trials))


@pytest.mark.parametrize(
    ("text", "per_second"),
    [
        ("0.002/hour", 0.002 / 3600),
        ("3 / minute", 0.05),
        ("1e-4/10m", 1e-4 / 600),
        ("1/day", 1 / 86400),
    ],
)
def test_a_rate(text: str, per_second: float) -> None:
    assert rate(text) == pytest.approx(per_second)


@pytest.mark.parametrize(
    "text", ["0.002", "0.002/", "0/hour", "-1/hour", "inf/h", "1/fortnight", ""]
)
def test_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 0\.002/hour"):
        rate(text)
