"""The stopping audit changes no decision, and is right on curves whose end is known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Config, History, Status, Trial
from raysweep.results.analysis.stopping_audit import audit, proportion_interval, rank_correlation
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import load
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.audit import stop_or_audit
from raysweep.schedulers.median import Median
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.sweep import Budget
from tests.made_up import Story, write_run
from tests.sweeps import Draw, sweep


def honest(config: Config, seed: int) -> Iterable[Epoch]:
    """The first epoch already tells the end."""
    for epoch in range(1, 10):
        yield {"loss": config["x"] + 1 / epoch}, 1.0


def crossing(config: Config, seed: int) -> Iterable[Epoch]:
    """Who is worst in the first epoch is best at the end."""
    for epoch in range(1, 10):
        yield {"loss": 1 + config["x"] if epoch < 9 else 1 - config["x"]}, 1.0


def run_with(scheduler: Any, curve: Any = honest, trials: int = 120) -> SweepController:
    return simulate(
        sweep({"draw": Draw()}, scheduler=scheduler, budget=Budget(trials, 9)), curve, workers=1
    )


@pytest.mark.parametrize("kind", [partial(Asha, type="stopping"), Median])
def test_every_other_trial_ends_as_without_an_audit(kind: Any) -> None:
    without, observed = run_with(kind()), run_with(kind(audit=0.2))
    audited = [trial for trial in observed.trials if "audited" in trial.notes]
    assert 8 <= len(audited) <= 40
    assert all(trial.status is Status.COMPLETED and trial.epoch == 9 for trial in audited)
    for one, other in zip(without.trials, observed.trials, strict=True):
        if "audited" in other.notes:
            assert other.notes["audited"] == {"epoch": one.epoch, "reason": one.reason}
        else:
            assert (one.epoch, one.status, one.reason) == (other.epoch, other.status, other.reason)


def test_about_the_share_that_was_asked_for_is_audited() -> None:
    trials = [Trial(i, "a", {}, seed=i) for i in range(2000)]
    assert sum(stop_or_audit(trial, "", 0.1).audited for trial in trials) / 2000 == pytest.approx(
        0.1, abs=0.02
    )
    assert not any(stop_or_audit(trial, "", 0.0).audited for trial in trials)
    assert all(
        stop_or_audit(trial, "why", 0.1).stop != stop_or_audit(trial, "why", 0.1).audited
        for trial in trials
    )


def test_an_audited_trial_counts_in_no_later_rung() -> None:
    observed = run_with(Asha(type="stopping", audit=0.2)).histories["draw"]
    top = observed.rungs[9].by_trial
    assert top
    assert not any("audited" in observed[number].notes for number in top)


def folder_of(controller: SweepController, path: Path) -> Path:
    """The run folder that this simulation would have left behind."""
    folder = write_run(
        path / "run", [], goal="minimize", metric={"name": "loss", "goal": "minimize"}
    )
    ledger = Ledger(folder)
    ledger.append({"event": "opened", "levels": [1, 3, 9], "time": 0.0})
    for trial in controller.trials:
        ledger.append(
            {
                "event": "proposed",
                "study": trial.study,
                "number": trial.number,
                "config": trial.config,
                "seed": trial.seed,
                "time": 0.0,
            }
        )
        ledger.append({"event": "started", "trial": trial.id, "time": 0.0})
        for report in trial.reports:
            told = {
                "epoch": report.epoch,
                "loss": report.loss,
                "metrics": dict(report.metrics),
                "seconds": report.seconds,
            }
            ledger.append({"event": "reported", "trial": trial.id, **told, "time": report.time})
            if trial.notes.get("audited", {}).get("epoch") == report.epoch:
                ledger.append(
                    {
                        "event": "noted",
                        "trial": trial.id,
                        "notes": {"audited": trial.notes["audited"]},
                        "time": report.time,
                    }
                )
        ledger.append(
            {
                "event": "ended",
                "trial": trial.id,
                "status": str(trial.status),
                "reason": trial.reason,
                "time": 0.0,
            }
        )
    ledger.close()
    return folder


def test_honest_curves_are_found_to_be_honest(tmp_path: Path) -> None:
    found = audit(load(folder_of(run_with(Asha(type="stopping", audit=0.2)), tmp_path)))
    assert found is not None
    assert found["n_winners"] == 0
    assert found["high"] < 0.4
    assert [level["level"] for level in found["rungs"]] == [1, 3]
    assert all(level["tau"] == pytest.approx(1.0) for level in found["rungs"])
    assert "that finished, none would have won" in found["finding"]


def test_curves_that_cross_are_found_to_cut_winners(tmp_path: Path) -> None:
    found = audit(load(folder_of(run_with(Asha(type="stopping", audit=0.2), crossing), tmp_path)))
    assert found is not None
    assert found["n_winners"] > 0
    assert found["low"] > 0.02
    assert found["rungs"][0]["tau"] < -0.5


def test_no_audit_says_nothing(tmp_path: Path) -> None:
    assert audit(load(write_run(tmp_path / "run", [Story("a", [0.5], status="stopped")]))) is None


def test_intervals_of_shares_are_those_of_clopper_and_pearson() -> None:
    from scipy.stats import binomtest

    for count, total in [(0, 7), (3, 10), (5, 5)]:
        expected = binomtest(count, total).proportion_ci(method="exact")
        assert proportion_interval(count, total) == pytest.approx((expected.low, expected.high))
    assert proportion_interval(0, 0) == (0.0, 1.0)


def test_too_few_trials_to_agree() -> None:
    history = History()
    history.add(Trial(0, "a", {}, 0))
    assert rank_correlation(list(history), 1) == {"level": 1, "trials": 0, "tau": None}
    assert math.isinf(history[0].loss)
