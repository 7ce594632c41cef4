"""`seeds_per_trial: auto`: further seeds for the configurations that could be the best."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raysweep as rs
from raysweep.errors import UserError
from raysweep.history import Config, Event, History, Report, Status, Trial
from raysweep.repeats import (
    PART,
    START,
    averaged,
    chosen,
    contenders,
    estimates,
    is_due,
    leader,
    likely,
    losses_of,
    next_repeat,
    with_model,
)
from raysweep.results.analysis.repeated import repeat_findings, seeds_of_best, worse
from raysweep.results.analysis.retraining import (
    finalists,
    retraining_findings,
    retraining_results,
    winner,
)
from raysweep.results.storage import ledger
from raysweep.schedulers.asha import Asha
from raysweep.tune.callbacks.checkpoint_retention import CheckpointRetention
from raysweep.tune.callbacks.recorder import LIKELY
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.offline.recorded_curves import Recorded
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.serve.live_run import LiveRun
from raysweep.tune.serve.summary import best as shown_best
from raysweep.tune.status import lines, status
from raysweep.tune.sweep import Budget, Metric, Searcher, trial_seed
from tests.sweeps import BOWL, Draw, Keep, StopAt, sweep

NOISE = 0.05
FIRST_SEED = trial_seed(0, 0)
"""With which the first trial of a sweep is trained."""


def noisy(config: Config, seed: int) -> Iterator[Epoch]:
    """A bowl around 0.3, with a noise that the seed decides."""
    noise = NOISE * float(np.random.default_rng(seed).normal())
    for epoch in range(1, 28):
        yield {"loss": abs(config["x"] - 0.3) + noise + 1 / epoch}, 1.0


def said(searcher: Searcher | None = None, **changes: Any) -> Any:
    fields = {"budget": Budget(trials=30, epochs=1), "most_seeds": 5} | changes
    return sweep({"a": searcher or Draw()}, **fields)


def outline(controller: SweepController) -> list[tuple[Any, ...]]:
    return [
        (one.id, one.config, one.seed, one.notes.get("repeats"), [r.loss for r in one.reports])
        for one in controller.trials
    ]


def history_of(*losses: float, epochs: int = 1) -> History:
    """A history of trials that were trained to their end with these losses."""
    history = History((epochs,))
    for loss in losses:
        _add(history, loss, {})
    return history


def _add(history: History, loss: float, notes: dict[str, Any], status: str = "completed") -> int:
    number = len(history)
    history.add(Trial(number, "a", {"x": 0.5}, number, notes=notes))
    history.record(number, Report(history.levels[-1], loss, {"loss": loss}))
    history.close(number, Status(status))
    return number


def test_what_a_person_has_trained_longer_stays_and_is_compared_at_the_same_length() -> None:
    history = history_of(1.0, 1.2, 1.4)
    repeats = [_add(history, loss, {"repeats": 0}) for loss in (1.1, 1.0)]
    history[0].notes["epochs"] = history[repeats[0]].notes["epochs"] = 9
    history.close(0, Status.WAITING)
    assert chosen(history) is history[0], "it stays the best while it trains"
    for number in (0, repeats[0]):
        history.record(number, Report(9, 0.2, {"loss": 0.2}))
        history.close(number, Status.COMPLETED)
    assert losses_of(history, history[0]) == [1.0, 1.1, 1.0]
    best = history.best
    assert best is not None
    assert (best[0].number, best[1].loss) == (0, 0.2)


# The statistic


def test_before_any_noise_is_known_the_leader_alone_is_repeated() -> None:
    assert contenders([[3.0], [1.0], [1.0], [2.0]]) == [1]
    assert contenders([]) == []
    assert contenders([[math.inf]]) == []


def test_who_could_win_gets_a_further_seed_and_who_could_not_does_not() -> None:
    losses = [[1.0, 1.2], [1.05], [5.0], [0.95], [math.inf]]
    assert set(contenders(losses)) == {0, 1, 3}
    assert contenders(losses)[0] == 3  # the least lower bound


def test_a_leader_that_is_told_from_all_others_needs_no_further_seed() -> None:
    assert contenders([[1.0, 1.01], [5.0]]) == []
    assert contenders([[5.0, 5.01], [1.0]]) == [1]  # but it needs a second one


def test_deterministic_trainings_are_repeated_once() -> None:
    assert contenders([[1.0, 1.0], [1.0], [1.0]]) == []


def test_a_lucky_seed_does_not_lead_before_a_mean_over_several() -> None:
    assert leader(estimates([[1.0, 1.2, 0.8, 1.0], [0.95]])) == 0
    assert leader(estimates([[1.0, 1.2, 0.8, 1.0], [0.2]])) == 1


def test_a_seed_that_diverged_counts_against_a_configuration() -> None:
    assert leader(estimates([[0.1, math.inf], [1.0], [2.0, 2.1]])) == 1
    assert leader(estimates([[math.inf]])) is None


def test_repeats_are_a_part_of_the_configurations_and_begin_late() -> None:
    assert not is_due(START - 1, 0, at_once=False)
    assert is_due(START - 1, 0, at_once=True)
    assert is_due(1, 0, at_once=True)  # a single configuration is repeated once
    assert not is_due(1, 1, at_once=True)
    assert is_due(30, round(PART * 30) - 1, at_once=False)
    assert not is_due(30, round(PART * 30), at_once=False)


def test_only_fresh_seeds_are_evidence_that_one_is_worse() -> None:
    good, bad = [0.10, 0.11, 0.09, 0.10, 0.12, 0.1], [0.50, 0.52, 0.48, 0.50, 0.53, 0.5]
    assert worse([good, bad]) == {1: 0}
    assert worse([good[:3], bad[:1]]) == {}
    assert worse([good, [bad[0], *good[1:]]]) == {}
    assert worse([good, [bad[0], math.inf, *bad[2:]]]) == {}


def test_of_equal_configurations_hardly_one_is_said_to_be_worse() -> None:
    rng, wrong = np.random.default_rng(2), 0
    for _ in range(150):
        losses = rng.normal(size=(8, 10)).tolist()
        got = [row[:1] for row in losses]
        looks = []
        for _ in range(30):
            place = next((one for one in contenders(got) if len(got[one]) < 10), None)
            if place is None:
                break
            got[place] = losses[place][: len(got[place]) + 1]
            looks.append(bool(worse(got)))
        wrong += any(looks)
    # Of 150 sweeps, 7.5 are 5 %; 16 would be three standard deviations more.
    assert wrong < 16


# Histories


def test_a_repeat_is_no_trial_of_its_own() -> None:
    history = history_of(1.0, 2.0)
    repeat = _add(history, 0.1, {"repeats": 0})
    failed = _add(history, math.inf, {"repeats": 0}, "failed")
    assert history.n_configurations == 2
    assert history.rungs[1].by_trial == {0: 1.0, 1: 2.0}
    assert failed not in history.failed
    assert losses_of(history, history[0]) == [1.0, 0.1]
    assert history.best is not None
    assert history.best[0].number == 0
    assert history.with_levels((1, 2)).repeats == {0: [repeat, failed]}


def test_the_best_is_chosen_by_means() -> None:
    history = history_of(0.9, 1.0)
    assert history.best is not None
    assert history.best[0].number == 0
    _add(history, 2.0, {"repeats": 0})
    assert history.best[0].number == 1
    for loss in (1.0, 3.0, 3.0):
        _add(history, loss, {"repeats": 1})
    assert chosen(history) is history[0]
    assert history.best[0].number == 0
    assert [one.number for one in finalists({"a": history}, 5)] == [0]


def test_a_longer_budget_makes_earlier_seeds_worthless() -> None:
    history = history_of(1.0, 2.0)
    _add(history, 0.1, {"repeats": 0})
    longer = history.with_levels((1, 2))
    longer.close(0, Status.WAITING)
    longer.record(0, Report(2, 0.7, {"loss": 0.7}))
    longer.close(0, Status.COMPLETED)
    assert losses_of(longer, longer[0]) == [0.7]


def test_a_configuration_has_so_many_seeds_at_most_whatever_became_of_them() -> None:
    history = history_of(1.0)
    assert next_repeat(history, 2, at_once=True, allows=BOWL.__contains__) is history[0]
    assert next_repeat(history, 2, at_once=False, allows=BOWL.__contains__) is None
    _add(history, math.inf, {"repeats": 0}, "failed")
    assert next_repeat(history, 2, at_once=True, allows=BOWL.__contains__) is None


def test_the_best_of_a_run_may_have_diverged_with_another_seed(tmp_path: Path) -> None:
    def fragile(config: Config, run: rs.Run) -> None:
        for _ in run.epochs():
            run.report(loss=config["x"] if run.seed == FIRST_SEED else math.nan)

    made = rs.Sweep(
        fragile,
        metric={"name": "loss", "goal": "minimize"},
        space={"x": rs.Float(0, 1)},
        budget={"trials": 1, "epochs": 1},
        searcher="random",
        scheduler="none",
        seeds_per_trial="auto",
    )
    run = made.run(executor="debug", storage=tmp_path)
    assert run.best.trial == "random-0"
    assert seeds_of_best(run._directory) == {"seeds": 2, "mean": None}
    assert lines(status(run._directory))


def test_what_is_outside_of_the_space_by_now_is_not_repeated() -> None:
    history = history_of(1.0)
    assert next_repeat(history, 5, at_once=True, allows=lambda config: False) is None


def test_repeats_of_a_shorter_budget_leave_room_for_others() -> None:
    history = history_of(1.0, 1.01, 1.02)
    for number in (0, 1):
        _add(history, 1.0, {"repeats": number})
    assert next_repeat(history, 5, at_once=True, allows=BOWL.__contains__) is None
    longer = history.with_levels((1, 3))
    for number in range(3):
        longer.close(number, Status.WAITING)
        longer.record(number, Report(3, 0.5 + number / 100, {"loss": 0.5}))
        longer.close(number, Status.COMPLETED)
    assert next_repeat(longer, 5, at_once=True, allows=BOWL.__contains__) is longer[0]
    for number in (0, 1):
        _add(longer, 0.5, {"repeats": number})
    assert next_repeat(longer, 5, at_once=True, allows=BOWL.__contains__) is None


def test_one_seed_after_the_other() -> None:
    history = history_of(1.0, 5.0, 5.0)
    history.add(Trial(3, "a", {"x": 0.5}, 3, notes={"repeats": 0}))
    history.start(3)
    assert next_repeat(history, 5, at_once=True, allows=BOWL.__contains__) is None


def test_searchers_read_the_mean_of_each_epoch() -> None:
    history = History((1, 2))
    for number, notes in enumerate(({}, {"repeats": 0})):
        history.add(Trial(number, "a", {"x": 0.5}, number, notes=dict(notes)))
        for epoch in (1, 2):
            history.record(number, Report(epoch, (1.0 + 2 * number) / epoch, {}))
        history.close(number, Status.COMPLETED)
    assert [report.loss for report in averaged(history, history[0])] == [2.0, 1.0]
    read = history.only([0])
    assert len(read) == 1
    assert read.rungs[2].by_trial == {0: 1.0}
    assert (read[0].loss, read[0].notes["seeds"]) == (1.0, 2)
    assert history[0].loss == 0.5  # what was reported stays


# Sweeps


def test_the_few_that_could_win_are_repeated() -> None:
    controller = simulate(said(), noisy, 1)
    history = controller.histories["a"]
    assert history.n_configurations == 30
    assert 2 <= len(history) - 30 <= PART * 30
    near = [abs(history[number].config["x"] - 0.3) for number in history.repeats]
    assert max(near) < 0.3
    assert all(1 + len(numbers) <= 5 for numbers in history.repeats.values())
    seeds = [one.seed for one in history]
    assert len(set(seeds)) == len(seeds)


def test_a_recorded_sweep_has_the_noise_of_its_seeds() -> None:
    trials = list(simulate(said(), noisy, 1).trials)
    recorded = Recorded(trials, BOWL, Metric("loss", "minimize"), 1)
    repeat = next(one for one in trials if "repeats" in one.notes)
    same = [one for one in trials if one.config == repeat.config]
    curves = {next(recorded.curve(repeat.config, seed))[0]["loss"] for seed in range(20)}
    assert curves == {one.loss for one in same}
    assert next(recorded.curve(repeat.config, repeat.seed))[0]["loss"] == repeat.loss


def test_without_it_nothing_is_repeated() -> None:
    controller = simulate(said(most_seeds=1), noisy, 1)
    assert len(controller.histories["a"]) == 30


@pytest.mark.parametrize("searcher", [Draw(), Auto()])
def test_proposals_are_numbered_as_without_repeats(searcher: Searcher) -> None:
    with_repeats = simulate(said(searcher), noisy, 1).histories["a"]
    without = simulate(said(searcher, most_seeds=1), noisy, 1).histories["a"]
    own = [one.config for one in with_repeats if "repeats" not in one.notes]
    assert own[:START] == [one.config for one in without][:START]


@pytest.mark.parametrize("part", [0.3, 0.6, 0.75, 0.9, 0.97])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scheduler": Asha(eta=3), "budget": Budget(trials=150, epochs=9)},
        {"scheduler": StopAt(), "budget": Budget(trials=None, epochs=2, total_epochs=77)},
    ],
)
def test_a_resumed_sweep_repeats_the_same(changes: dict[str, Any], part: float) -> None:
    keep = Keep()
    whole = simulate(said(Auto(), **changes), noisy, 1, keep)
    past: list[Event] = [dict(one) for one in keep.events[: int(part * len(keep.events))]]
    rest = simulate(said(Auto(), **changes), noisy, 1, past=past)
    assert any("repeats" in one.notes for one in whole.trials)
    assert outline(rest) == outline(whole)


def test_under_promotion_those_that_reach_the_top_are_repeated_to_their_end() -> None:
    changes: dict[str, Any] = {"scheduler": Asha(eta=3), "budget": Budget(trials=150, epochs=9)}
    history = simulate(said(**changes), noisy, 4).histories["a"]
    assert history.repeats
    for number, repeats in history.repeats.items():
        assert history[number].status is Status.COMPLETED
        assert {history[one].epoch for one in repeats} == {9}


def test_repeats_are_within_the_epochs_of_a_study() -> None:
    budget = Budget(trials=None, epochs=2, total_epochs=77)
    history = simulate(said(budget=budget), noisy, 1).histories["a"]
    assert history.repeats
    assert history.epochs == 77


def test_a_sweep_that_stops_repeats_nothing_more() -> None:
    keep = Keep()
    controller = SweepController(said(budget=Budget(trials=1, epochs=1)), keep)
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.stop("enough")
    controller.reported(trial, 1, {"loss": 0.5}, 1.0)
    assert controller.next() is None
    assert controller.done
    again = SweepController(said(budget=Budget(trials=1, epochs=1)), past=keep.events)
    repeat = again.next()
    assert repeat is not None
    assert (repeat.notes["repeats"], repeat.config) == (0, trial.config)


def test_a_paused_sweep_repeats_nothing() -> None:
    controller = SweepController(said(budget=Budget(trials=1, epochs=1)))
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.reported(trial, 1, {"loss": 0.5}, 1.0)
    about = {"event": "command", "arguments": {}, "outcome": "applied", "id": "k"}
    controller.obey({**about, "command": "pause"})
    assert controller.next() is None
    assert controller.paused
    controller.obey({**about, "command": "resume"})
    assert controller.next() is not None


def test_a_plateau_counts_configurations() -> None:
    history = simulate(said(plateau=10, budget=Budget(trials=200, epochs=1)), noisy, 1)
    found = history.histories["a"]
    assert found.best is not None
    later = [one for one in found if one.number > found.best[0].number]
    assert sum("repeats" not in one.notes for one in later) == 10


def test_searchers_are_equal_in_epochs_with_their_repeats() -> None:
    two = sweep({"a": Draw(), "b": Draw()}, budget=Budget(trials=25, epochs=2), most_seeds=5)
    curves = simulate(replace(two, scheduler=StopAt()), noisy, 1)
    epochs = [history.epochs for history in curves.histories.values()]
    assert abs(epochs[0] - epochs[1]) <= 2


# Runs


def train(config: Config, run: rs.Run) -> None:
    noise = NOISE * float(np.random.default_rng(run.seed).normal())
    for _ in run.epochs():
        run.report(loss=abs(config["x"] - 0.3) + noise)


def run_it(place: Path, **keys: Any) -> rs.Results:
    settings: dict[str, Any] = {
        "metric": {"name": "loss", "goal": "minimize"},
        "space": {"x": rs.Float(0, 1)},
        "budget": {"trials": 12, "epochs": 1},
        "searcher": "random",
        "scheduler": "none",
        "seeds_per_trial": "auto",
    }
    made = rs.Sweep(train, **settings | keys)
    return made.run(executor="debug", storage=place, name="repeated")


def test_it_is_said_on_how_many_seeds_the_best_rests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_it(tmp_path)
    directory = run._directory
    best = directory.best.trial
    history = directory.histories[best.study]
    (line,) = repeat_findings(directory)
    assert line.startswith(f"{best.id}: mean loss ")
    assert f"over {len(losses_of(history, best))} seeds (range " in line
    assert {row["repeats"] for row in directory.rows if "repeats" in row} == set(history.repeats)
    from raysweep.tune.cli.app import main

    capsys.readouterr()
    assert main(["best", str(run.path)]) == 0
    assert f"{best.id}: mean loss" in capsys.readouterr().out
    live = LiveRun(run.path)
    for event in (run.path / ledger.NAME).read_text().splitlines():
        live.apply([json.loads(event)])
    shown = shown_best(live)
    assert shown is not None
    assert shown["trial"] == best.id, "the page names the same"
    assert main(["best", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == len(losses_of(history, best))
    assert main(["status", str(run.path)]) == 0
    mean = f"; its mean over {len(losses_of(history, best))} seeds is "
    assert mean in capsys.readouterr().out
    page = (run.path / "report.html").read_text()
    assert json.dumps(line)[1:-1].split(" (range")[0] in page


def test_a_best_with_one_seed_is_said_to_rest_on_it(tmp_path: Path) -> None:
    run = run_it(tmp_path, budget={"trials": 12, "epochs": 1, "total_epochs": 12})
    (line,) = repeat_findings(run._directory)
    assert line == f"{run.best.trial} rests on one seed: its loss may be luck"
    assert "; it rests on one seed" in "".join(lines(status(run._directory)))


def test_the_chosen_configuration_keeps_the_checkpoint_of_a_seed(tmp_path: Path) -> None:
    """Fourteen are good with their first seed only, and better than the later best until then."""
    keep = Keep()
    controller = SweepController(sweep({"a": Draw()}, budget=Budget(30, 1), most_seeds=10), keep)
    retention = CheckpointRetention(tmp_path, 1, likely=LIKELY)
    while (trial := controller.next()) is not None:
        (tmp_path / "trials" / trial.id).mkdir(parents=True)
        (tmp_path / "trials" / trial.id / "best.pt").touch()
        controller.started(trial)
        first = trial.notes.get("repeats", trial.number)
        loss = 0.9 if first == trial.number else 1.5
        if first >= 15:
            loss = 1.0 if first == 15 else 3.0
        controller.reported(trial, 1, {"loss": loss}, 1.0)
        retention.on_event(keep.events[-1], controller)
    history = controller.histories["a"]
    assert history.best is not None
    assert history.best[0].number == 15
    left = {path.parent.name for path in tmp_path.glob("trials/*/best.pt")}
    seeds = [one.id for one in with_model(history, history[15])]
    assert len(seeds) > 1
    assert seeds[0] not in left, "more than ten were better when it ended"
    assert left & set(seeds)
    assert len(left) <= LIKELY + 1


def test_the_model_of_another_seed_stands_for_one_that_was_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from raysweep.tune.cli.app import main

    run = run_it(tmp_path)
    first = run.best.trial
    assert run.best.checkpoint is not None
    run.best.checkpoint.unlink()
    run = rs.load(run.path)
    assert run.best.trial == first
    assert run.best.checkpoint is not None
    seed = run._directory.trial(run.best.checkpoint.parent.name)
    assert f"random-{seed.notes['repeats']}" == first
    assert winner(run._directory).trial is seed
    capsys.readouterr()
    assert main(["best", str(run.path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"(of {seed.id}, the same with another seed: loss {seed.loss:.4g})" in shown


def test_a_resumed_session_knows_whose_checkpoints_are_gone(tmp_path: Path) -> None:
    keep = Keep()
    controller = simulate(said(), noisy, 1, keep)
    history = controller.histories["a"]
    first = likely(history, 1)[0]
    seeds = with_model(history, first)
    assert len(seeds) > 1
    for trial in history:
        (tmp_path / "trials" / trial.id).mkdir(parents=True)
        if trial is not first:  # which a former session has deleted
            (tmp_path / "trials" / trial.id / "best.pt").touch()
    last = {"event": "ended", "trial": controller.histories["a"][len(history) - 1].id}
    CheckpointRetention(tmp_path, 1, likely=1).on_event(last, controller)
    left = {path.parent.name for path in tmp_path.glob("trials/*/best.pt")}
    assert seeds[1].id in left
    assert len(left) <= 2


def test_a_trial_that_trains_again_may_lose_its_checkpoints_again(tmp_path: Path) -> None:
    controller = simulate(said(most_seeds=1), noisy, 1)
    trials = sorted(controller.trials, key=lambda trial: trial.loss)
    for trial in trials:
        (tmp_path / "trials" / trial.id).mkdir(parents=True)
        (tmp_path / "trials" / trial.id / "best.pt").touch()
    retention, worst = CheckpointRetention(tmp_path, 1), trials[-1].id
    checkpoint = tmp_path / "trials" / worst / "best.pt"
    for _ in range(2):
        retention.on_event({"event": "started", "trial": worst}, controller)
        checkpoint.touch()
        retention.on_event({"event": "ended", "trial": worst}, controller)
        assert not checkpoint.exists()


def test_finalists_are_in_the_order_of_the_choice() -> None:
    history = history_of(0.98, 1.0, 1.1)
    for trial in history:
        trial.config["x"] = trial.number
    for loss in (1.0, 1.02, 0.98):
        _add(history, loss, {"repeats": 1})
    _add(history, 1.5, {"repeats": 2})
    chosen = history.best
    assert chosen is not None
    assert finalists({"a": history}, 3)[0] is chosen[0] is history[1]
    assert [trial.number for trial in finalists({"a": history}, 3)] == [
        trial.number for trial in likely(history, 3)
    ]


def test_retrainings_are_held_against_the_mean_over_seeds(tmp_path: Path) -> None:
    run = run_it(tmp_path, confirm={"top": 1, "seeds": 2}, budget={"trials": 20, "epochs": 1})
    directory = run._directory
    best = directory.best.trial
    losses = losses_of(directory.histories[best.study], best)
    (result,) = retraining_results(directory)
    assert result.trial == best.id
    assert len(losses) > 1
    assert result.selected == pytest.approx(sum(losses) / len(losses))
    (line,) = retraining_findings([result], False, "loss")
    assert f"the mean over {len(losses)} seeds it was selected for, " in line


def test_what_is_exported_after_retrainings_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from raysweep.tune.cli.app import main

    run = run_it(tmp_path, seeds_per_trial=None, confirm={"top": 3, "seeds": 2})
    chosen = winner(run._directory).trial
    capsys.readouterr()
    assert main(["best", str(run.path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"· {chosen.id} is exported: its mean loss over 2 retrainings" in shown
    assert f"exported {chosen.id}, epoch 1, trained with seed {chosen.seed}: " in shown
    assert main(["best", str(run.path), "--json"]) == 0
    confirmed = json.loads(capsys.readouterr().out)["confirmed"]
    assert (confirmed["trial"], confirmed["seed"]) == (chosen.id, chosen.seed)
    assert confirmed["retrainings"] == 2


def test_without_the_key_nothing_is_said(tmp_path: Path) -> None:
    assert repeat_findings(run_it(tmp_path, seeds_per_trial=None)._directory) == []


@pytest.mark.parametrize("wrong", [0, 2, "many", {"most": 1}, {"least": 3}])
def test_what_the_key_may_not_be(wrong: Any) -> None:
    with pytest.raises(UserError, match="seeds_per_trial"):
        run_it(Path("nowhere"), seeds_per_trial=wrong)


def test_it_is_by_one_metric() -> None:
    several = [{"name": "loss"}, {"name": "ms"}]
    with pytest.raises(UserError, match="seeds_per_trial: compares by one metric"):
        run_it(Path("nowhere"), metric=None, metrics=several)
