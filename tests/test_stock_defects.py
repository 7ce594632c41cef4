"""What goes wrong in Ray's own ASHA (A1-A10) and BOHB (B1-B15), as tests of ours.

Both are compared where Ray's objects need no cluster.

The numbers are those of the table in the README.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from raysweep.history import Config, History, Report, Status, Trial
from raysweep.schedulers import SCHEDULERS, Asha
from raysweep.schedulers.rungs import geometric
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal
from raysweep.search_spaces.language.space import Space
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.run import Objective, ReportError, clean_metrics
from raysweep.trainables.runtime.train_job import train_job
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.load import load_sweep
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.kde import fit
from raysweep.tune.sweep import Budget, Searcher, Sweep
from tests.sweeps import Keep, sweep

BOWL = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
BEST = (0.3, 0.7)


def distance(config: Config) -> float:
    return math.dist((config["x"], config["y"]), BEST)


def curve(config: Config, seed: int) -> Iterable[Epoch]:
    """Falls towards the distance from the best point, in the time that the configuration names."""
    for epoch in range(1, 28):
        yield {"loss": distance(config) + 0.5 / epoch}, 1.0


def bohb_sweep(trials: int = 60, **changes: Any) -> Sweep:
    fields: dict[str, Any] = {
        "scheduler": Asha(type="stopping"),
        "space": BOWL,
        "budget": Budget(trials=trials, epochs=27),
    }
    return sweep({"bohb": SEARCHERS["bohb"]()}, **fields | changes)


def story(history: History) -> list[Any]:
    return [
        (trial.config, trial.status, trial.reason, [report.loss for report in trial.reports])
        for trial in history
    ]


def judged(
    scheduler: Any, curves: Sequence[Sequence[tuple[int, float]]], epochs: int
) -> tuple[History, list[bool]]:
    """Trials that report (epoch, loss) one after the other; whether each was stopped."""
    history, stopped = History(scheduler.levels(epochs)), []
    for number, reports in enumerate(curves):
        history.add(Trial(number, "a", {}, number))
        history.start(number)
        stop = False
        for epoch, loss in reports:
            history.record(number, Report(epoch, loss, {}))
            stop = stop or bool(scheduler.decide(history[number], history).stop)
            if stop:
                break
        stopped.append(stop)
    return history, stopped


# ASHA


def test_a1_a_seldom_reporting_trial_is_not_filled_back_into_rungs_it_passed() -> None:
    history, stopped = judged(
        Asha(type="stopping"), [[(5, 0.1), (10, 0.1)], [(1, 0.9)], [(1, 0.8)]], 27
    )
    assert history.rungs[1].losses == [0.8, 0.9]
    assert history.rungs[3].by_trial == {0: 0.1}
    assert history.rungs[9].by_trial == {0: 0.1}
    assert stopped == [False, False, False]


def test_a2_nan_stops_at_once_and_lifts_no_bar() -> None:
    controller = simulate(
        bohb_sweep(20),
        lambda config, seed: (
            [({"loss": math.nan}, 1.0)] if config["x"] < 0.5 else curve(config, seed)
        ),
        1,
    )
    history = controller.histories["bohb"]
    assert {trial.status for trial in history if trial.config["x"] < 0.5} == {Status.DIVERGED}
    assert all(trial.epoch <= 1 for trial in history if trial.config["x"] < 0.5)
    _, stopped = judged(
        Asha(type="stopping"),
        [[(1, math.inf)]] * 6 + [[(1, 0.5)], [(1, 0.4)], [(1, 0.3)], [(1, 0.9)]],
        9,
    )
    assert stopped[-2:] == [False, True]


@pytest.mark.parametrize(
    ("first", "eta", "epochs", "count"),
    [(1, 3, 243, 6), (3, 3, 729, 6), (1, 10, 1000, 4), (1, 3, 27, 4)],
)
def test_a3_no_rung_is_lost_to_a_logarithm(first: int, eta: int, epochs: int, count: int) -> None:
    assert geometric(first, eta, epochs) == tuple(first * eta**i for i in range(count))


@pytest.mark.parametrize("value", [None, "0.5", object()])
def test_a4_a_value_that_is_no_number_is_one_trials_mistake(value: object) -> None:
    with pytest.raises(ReportError, match="expected a number"):
        clean_metrics({"loss": value}, "loss")
    with pytest.raises(ReportError, match="the metric 'loss' was not reported; reported: lose"):
        clean_metrics({"lose": 1.0}, "loss")


def test_a5_a6_on_finite_curves_every_decision_is_rays() -> None:
    """Ties and the generous start stay as published, and both forms agree to the last bit."""
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    rng = np.random.default_rng(0)
    for _ in range(20):
        theirs = ASHAScheduler(
            time_attr="epoch",
            metric="loss",
            mode="min",
            max_t=27,
            grace_period=1,
            reduction_factor=3,
        )
        ours, history = Asha(type="stopping"), History(Asha(type="stopping").levels(27))
        for number in range(40):
            history.add(Trial(number, "a", {}, number))
            history.start(number)
            trial: Any = SimpleNamespace(trial_id=str(number))
            theirs.on_trial_add(SimpleNamespace(), trial)
            level = round(rng.random(), 1)  # ties are frequent
            for epoch in range(1, 27):
                loss = level + round(rng.normal(0, 0.1), 1) / epoch
                history.record(number, Report(epoch, loss, {}))
                stop = ours.decide(history[number], history).stop
                said = theirs.on_trial_result(
                    SimpleNamespace(), trial, {"epoch": epoch, "loss": loss}
                )
                assert stop == (said == TrialScheduler.STOP), f"trial {number}, epoch {epoch}"
                if stop:
                    break


@pytest.mark.parametrize("kept", [40, 90, 150])
def test_a7_b1_b2_a_resumed_sweep_knows_its_rungs_and_goes_on_to_the_same_end(kept: int) -> None:
    keep = Keep()
    whole = simulate(bohb_sweep(30), curve, 1, keep)
    past = keep.events[:kept]
    rest = simulate(bohb_sweep(30), curve, 1, past=past)
    assert len(past) == kept
    assert story(rest.histories["bohb"]) == story(whole.histories["bohb"])


def test_a8_a_retried_trial_meets_the_same_rungs() -> None:
    history, _ = judged(Asha(type="stopping"), [[(1, 0.2)], [(1, 0.3)], [(1, 0.4)]], 9)
    before = {level: dict(rung.by_trial) for level, rung in history.rungs.items()}
    history.close(0, Status.WAITING, "its worker was lost")
    history.start(0)
    assert not history.record(0, Report(1, 0.9, {}))
    assert {level: dict(rung.by_trial) for level, rung in history.rungs.items()} == before


def test_a9_an_early_end_of_a_grid_is_no_corner_of_the_space() -> None:
    space, history, grid = (
        Space({"x": Int(1, 10), "y": Int(1, 10)}),
        History((1,)),
        SEARCHERS["grid"](points=10),
    )
    for number in range(30):
        config = grid.suggest(space, history, 0)
        assert config is not None
        history.add(Trial(number, "grid", config, 0))
    for name in ("x", "y"):  # in order, 30 of 100 cells would hold three values of one of them
        assert len({trial.config[name] for trial in history}) >= 8


def test_a10_the_best_epoch_wins_wherever_its_trial_was_stopped() -> None:
    history, _ = judged(
        SCHEDULERS["none"](), [[(1, 0.5), (2, 0.1), (3, 0.6)], [(1, 0.4), (2, 0.4), (3, 0.3)]], 3
    )
    assert history.best is not None
    assert (history.best[0].number, history.best[1].epoch) == (0, 2)


# BOHB


def test_b3_nobody_waits_for_a_straggler() -> None:
    def slow_first(config: Config, seed: int) -> Iterable[Epoch]:
        slow = seed == first_seed
        return (
            ({"loss": distance(config) + 0.5 / epoch}, 1000.0 if slow else 1.0)
            for epoch in range(1, 28)
        )

    first_seed = next(iter(simulate(bohb_sweep(1), curve, 1).trials)).seed
    history = simulate(bohb_sweep(40), slow_first, 4).histories["bohb"]
    others = [trial.reports[-1].time for trial in history if trial.seed != first_seed]
    assert len(others) == 39
    assert max(others) < 1000


def test_b4_b13_b14_what_stops_and_what_finishes_both_reach_the_model() -> None:
    history = simulate(bohb_sweep(30), curve, 1).histories["bohb"]
    seen = Dataset.of(BOWL, history)
    assert {trial.status for trial in history} == {Status.STOPPED, Status.COMPLETED}
    assert np.isfinite(seen.loss).all()
    for trial in history:
        assert seen.loss[trial.number] == trial.loss


@pytest.mark.parametrize("name", sorted(SEARCHERS))
def test_b5_b6_values_are_plain_and_on_their_steps(name: str) -> None:
    space = Space(
        {
            "batch": Choice((16, 32, 64)),
            "width": Int(16, 128, step=16),
            "name": Choice(("a", "b")),
            "flag": Ordinal((False, True)),
        }
    )
    trials = simulate(
        sweep(
            {name: SEARCHERS[name]()},
            scheduler=Asha(type="stopping"),
            space=space,
            budget=Budget(40, 9),
        ),
        flat,
        2,
    ).trials
    for trial in trials:
        assert {key: type(value) for key, value in trial.config.items()} == {
            "batch": int,
            "width": int,
            "name": str,
            "flag": bool,
        }
        assert trial.config["width"] % 16 == 0
        assert json.loads(json.dumps(trial.config)) == trial.config


def flat(config: Config, seed: int) -> Iterable[Epoch]:
    return (
        ({"loss": config["width"] / 128 + config["batch"] / 64 + 1 / epoch}, 1.0)
        for epoch in range(1, 28)
    )


def test_b7_an_inactive_parameter_is_absent(tmp_path: Path) -> None:
    text = (
        "trainable: tests.trainables:bowl\nmetric: {name: loss, goal: minimize}\nsearcher: bohb\n"
        "budget: {trials: 60, epochs: 9}\n"
        "space:\n  width: 3\n  optimizer: {choice: [sgd, adam]}\n"
        "  momentum: {float: [0.5, 0.99], when: {optimizer: sgd}}\n"
    )
    (tmp_path / "s.yaml").write_text(text)
    said = load_sweep(str(tmp_path / "s.yaml"))
    trials = list(
        simulate(
            said,
            lambda config, seed: ((({"loss": config.get("momentum", 0.6)}, 1.0)) for _ in range(9)),
            2,
        ).trials
    )
    assert {
        ("momentum" in trial.config) == (trial.config["optimizer"] == "sgd") for trial in trials
    } == {True}
    assert {trial.config["width"] for trial in trials} == {3}
    assert len({trial.config["optimizer"] for trial in trials}) == 2


def test_b9_the_seed_reproduces_in_another_process_too() -> None:
    code = (
        "from tests.test_stock_defects import *\n"
        "print([trial.config for trial in simulate(bohb_sweep(40), curve, 3).histories['bohb']])"
    )
    here = [trial.config for trial in simulate(bohb_sweep(40), curve, 3).histories["bohb"]]
    np.random.seed(5)
    state = np.random.get_state()[1].copy()  # type: ignore[index]
    simulate(bohb_sweep(40), curve, 3)
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip().splitlines()[-1] == str(here)


def test_b10_models_are_fitted_when_asked_not_at_every_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fits: list[int] = []

    def counted(*arguments: Any) -> Any:
        fits.append(1)
        return fit(*arguments)

    monkeypatch.setattr("raysweep.tune.searchers.bohb.fit", counted)
    history = simulate(bohb_sweep(60), curve, 1).histories["bohb"]
    assert 0 < len(fits) <= len(history)
    assert len(fits) < sum(len(trial.reports) for trial in history) / 2


def test_b11_a_lost_worker_is_no_bad_configuration() -> None:
    controller = SweepController(bohb_sweep(3))
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.returned(trial, "its worker was lost: the node died")
    seen = Dataset.of(BOWL, controller.histories["bohb"])
    assert not seen.failed.any()
    assert seen.pending.all()


def test_b12_no_warning_of_a_library_reaches_the_user() -> None:
    """Warnings are errors in these tests: the models are fitted, or this fails."""
    history = simulate(bohb_sweep(60), curve, 1).histories["bohb"]
    model = SEARCHERS["bohb"]().densities(Dataset.of(BOWL, history), np.random.default_rng(0))
    assert model is not None


def test_b14_a_resumed_trial_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []

    def train(known: int, epochs: int) -> Outcome:
        job = Job(
            "a-0",
            "tests.trainables:noisy",
            {"x": 0.1},
            3,
            epochs,
            Objective("loss", False),
            str(tmp_path),
            known_epoch=known,
        )
        return train_job(job, heard.append)

    assert train(0, 2).status == "completed"
    assert train(2, 4).status == "completed"
    assert [message["epoch"] for message in heard] == [1, 2, 3, 4]


def test_b15_epochs_need_be_no_power_of_eta() -> None:
    assert Asha(type="stopping", grace=1, eta=3).levels(20) == (1, 3, 9, 20)
    history = simulate(bohb_sweep(30, budget=Budget(30, 20)), curve, 2).histories["bohb"]
    assert max(trial.epoch for trial in history) == 20
    assert all(trial.status in (Status.STOPPED, Status.COMPLETED) for trial in history)


# BOHB learns under ASHA, here; under Ray it does not


class Theirs:
    """Ray's TuneBOHB under ASHA, with results that lack `hyperband_info`, as Tune gives them."""

    spaces: ClassVar[dict[str, str]] = {"x": "uniform", "y": "uniform"}

    def __init__(self, seed: int) -> None:
        from ray import tune
        from ray.tune.search.bohb import TuneBOHB

        self.searcher = TuneBOHB(
            {name: tune.uniform(0.0, 1.0) for name in self.spaces},
            seed=seed,
            metric="loss",
            mode="min",
        )

    def run(self, trials: int) -> list[Config]:
        configs, history, scheduler = (
            [],
            History(Asha(type="stopping").levels(27)),
            Asha(type="stopping"),
        )
        for number in range(trials):
            config = dict(self.searcher.suggest(str(number)))
            configs.append(config)
            history.add(Trial(number, "theirs", config, number))
            history.start(number)
            for epoch, (metrics, _) in enumerate(curve(config, number), 1):
                result = {
                    "loss": metrics["loss"],
                    "training_iteration": epoch,
                    "trial_id": str(number),
                    "config": config,
                }
                history.record(number, Report(epoch, metrics["loss"], {}))
                if scheduler.decide(history[number], history).stop or epoch == 27:
                    self.searcher.on_trial_complete(str(number), result=result)
                    break
                self.searcher.on_trial_result(str(number), result)
        return configs


def nearness(configs: Sequence[Config]) -> float:
    """The mean distance from the best point of what was proposed after 60 trials."""
    return float(np.mean([distance(config) for config in configs[60:]]))


def proposals(searcher: Searcher, seed: int) -> list[Config]:
    said = sweep(
        {"a": searcher},
        scheduler=Asha(type="stopping"),
        space=BOWL,
        budget=Budget(120, 27),
        seed=seed,
    )
    return [trial.config for trial in simulate(said, curve, 1).trials]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_bohb_learns_under_asha_and_rays_does_not() -> None:
    ours = np.array([nearness(proposals(SEARCHERS["bohb"](), seed)) for seed in range(5)])
    fair = np.array([nearness(proposals(SEARCHERS["random"](), seed)) for seed in range(5)])
    state = np.random.get_state()
    theirs = np.array([nearness(Theirs(seed).run(120)) for seed in range(5)])
    np.random.set_state(state)
    assert (ours < fair).all(), f"{ours} against {fair}"
    assert ours.mean() < 0.7 * fair.mean(), f"{ours} against {fair}"
    assert theirs.mean() > 0.9 * fair.mean(), f"{theirs} against {fair}"
