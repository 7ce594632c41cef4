"""Sweeps with several metrics: what a file may say, and what comes out."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import raysweep as rs
from raysweep.errors import UserError
from raysweep.formatting import DASH, number
from raysweep.fronts import dominates
from raysweep.history import Config, History, Status, Trial
from raysweep.objectives import REPORT_COLUMNS, Limit, Objective, Objectives
from raysweep.results.analysis.findings import findings, tables
from raysweep.results.storage.front import front_of, knee_of, point
from raysweep.results.storage.run_directory import RunError
from raysweep.results.storage.tables import curve_rows
from raysweep.search_spaces.file.document import parse
from raysweep.search_spaces.file.reader import check
from raysweep.trainables.runtime.job import read_job
from raysweep.trainables.runtime.run import ReportError
from raysweep.tune.callbacks.screen import Lines, render
from raysweep.tune.cli.analyse import SCHEDULERS, SEARCHERS, able
from raysweep.tune.cli.app import main
from raysweep.tune.cli.summary import finish
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.load import load_sweep
from raysweep.tune.make_job import job
from raysweep.tune.offline.recorded_curves import overrides
from raysweep.tune.session import GOOD
from raysweep.tune.status import status
from tests.sweeps import Keep

THREE = [{"name": "val_loss"}, {"name": "ms", "goal": "minimize"}, {"name": "mb", "limit": 500}]


def values(config: Config, epoch: int) -> dict[str, float]:
    """Loss and time pull `x` to opposite sides; memory forbids its upper half."""
    x, y = config["x"], config["y"]
    return {"val_loss": (1 - x) ** 2 + y / epoch, "ms": 10 * x + y, "mb": 1000 * x}


def curve(config: Config, seed: int) -> Iterator[Epoch]:
    for epoch in range(1, 4):
        yield values(config, epoch), 1.0


def train(config: Config, run: rs.Run) -> None:
    for epoch in run.epochs():
        run.report(**values(config, epoch))


def forgets(config: Config, run: rs.Run) -> None:
    for epoch in run.epochs():
        run.report(val_loss=1.0 / epoch, ms=1.0)


def sweep(**keys: Any) -> rs.Sweep:
    fields: dict[str, Any] = {
        "trainable": train,
        "space": {"x": rs.Float(0, 1), "y": rs.Float(0, 1)},
        "metrics": THREE,
        "budget": {"trials": 16, "epochs": 3},
        "searcher": "random",
        "scheduler": "none",
    }
    return rs.Sweep(**fields | keys)


def trained(log: Keep | None = None, **keys: Any) -> SweepController:
    return simulate(sweep(**keys)._sweep, curve, 2, log)


def history(**keys: Any) -> History:
    return next(iter(trained(**keys).histories.values()))


def test_a_metric_is_minimized_unless_its_name_or_goal_says_otherwise() -> None:
    metrics = [{"name": "val_accuracy"}, {"name": "ms"}, {"name": "recall", "limit": 0.9}]
    objectives = sweep(metrics=metrics)._sweep.objectives
    assert objectives == Objectives(
        (Objective("val_accuracy", True), Objective("ms")), (Limit("recall", 0.9, True),)
    )
    assert sweep(metrics=metrics)._sweep.metric.goal == "maximize"
    assert objectives.losses({"val_accuracy": 0.8, "ms": 3.0}) == (-0.8, 3.0)
    assert objectives.excesses({"recall": 0.5}) == (0.4,)
    assert objectives.excesses({"recall": math.nan}) == (math.inf,)
    assert objectives.not_finite({"val_accuracy": 1.0, "ms": math.inf, "recall": 1.0}) == "ms"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"metric": "val_loss"}, "metrics: takes the place of metric; a sweep has one of the two"),
        ({"metrics": [{"name": "a"}]}, "metrics: expected two metrics or more; a single one is"),
        ({"metrics": [{"name": "a"}] * 2}, "metrics: a is listed twice"),
        ({"metrics": 3}, "metrics: expected a list of mappings"),
        ({"metrics": [{"name": "a"}, {"goal": "minimize"}]}, "missing key 'name' in metrics.1"),
        ({"metrics": [{"name": "a"}, {"nam": "b"}]}, "unknown key 'nam' in metrics.1; did you"),
        ({"metrics": [{"name": n} for n in "abcde"]}, "at most 4 may be without a limit, got 5"),
        ({"metrics": [{"name": n, "limit": 1} for n in "ab"]}, "every entry has a limit"),
        (
            {"metrics": [{"name": "a"}, {"name": "b", "limit": "x"}]},
            "metrics.1.limit: expected a n",
        ),
        ({"metrics": None}, "missing key 'metric' in the sweep"),
        ({"searcher": "tpe"}, "searcher tpe proposes for one metric, and metrics has several"),
        ({"scheduler": "median"}, "scheduler median judges by one metric, and metrics has several"),
        ({"plateau": {"trials": 3}}, "plateau: compares trials by one metric"),
        ({"checkpoints": {"keep": 3}}, "checkpoints.keep: the front is known at the end only"),
    ],
)
def test_mistakes_are_refused_in_one_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        sweep(**keys)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_a_file_names_its_line() -> None:
    rest = "trainable: a:b\nspace: {}\nbudget: {epochs: 1, trials: 1}\n"
    text = "metrics:\n  - {name: a}\n  - {name: b, goal: least}\n" + rest
    with pytest.raises(UserError, match=r"f.yaml:3: metrics.1.goal: expected 'minimize'"):
        check(parse(text, "f.yaml"))


def test_a_sweep_is_written_with_its_metrics_and_reads_back(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(sweep(trainable="tests.test_objectives:train").to_yaml())
    read = rs.Sweep.from_yaml(tmp_path / "s.yaml")
    assert read._sweep.objectives == sweep()._sweep.objectives
    assert "metric" not in read._sweep.resolved


def test_a_trial_is_judged_at_its_best_epoch_that_keeps_the_limits() -> None:
    def rises(config: Config, seed: int) -> Iterator[Epoch]:
        for epoch, mb in ((1, 400.0), (2, 450.0), (3, 600.0)):
            yield values(config, epoch) | {"mb": mb}, 1.0

    found = next(iter(simulate(sweep()._sweep, rises, 1).histories.values()))
    assert {trial.best.epoch for trial in found if trial.best} == {2}
    assert found.best is not None
    assert found.best[1].metrics["mb"] == 450.0


def test_the_front_keeps_the_limits_and_nothing_beats_it() -> None:
    found = history()
    front = front_of(found)
    bests = [trial.best for trial in found if trial.best]
    kept = [point(best) for best in bests if best.metrics["mb"] <= 500]
    assert 1 < len(front) < len(kept) < len(bests)
    for trial in front:
        assert trial.best is not None
        ours = point(trial.best)
        assert not any(dominates(other, ours) for other in kept)
    assert found.best is not None
    assert found.best[0] is front[0]


def test_a_metric_that_is_not_finite_ends_a_trial() -> None:
    def broken(config: Config, seed: int) -> Iterator[Epoch]:
        for epoch in range(1, 4):
            yield values(config, epoch) | {"ms": math.nan}, 1.0

    trial = next(iter(simulate(sweep()._sweep, broken, 1).histories.values()))[0]
    assert trial.status is Status.DIVERGED
    assert trial.reason == "epoch 1: ms is not finite"


@pytest.mark.parametrize("sampler", ["NSGAIISampler", "TPESampler"])
def test_samplers_of_optuna_learn_from_several_metrics(sampler: str) -> None:
    found = history(
        searcher={"name": "optuna", "sampler": sampler}, budget={"trials": 40, "epochs": 3}
    )
    drawn = history(budget={"trials": 40, "epochs": 3})
    assert found.n_objectives == 2
    assert _mean_y(found) < _mean_y(drawn)  # a small y is better in both objectives


def test_bohb_takes_the_first_by_fronts_for_the_good_ones() -> None:
    found = history(searcher="bohb", budget={"trials": 60, "epochs": 3})
    drawn = history(budget={"trials": 60, "epochs": 3})
    assert _mean_y(found) < _mean_y(drawn)
    late = [trial.best.feasible for trial in list(found)[30:] if trial.best]
    early = [trial.best.feasible for trial in list(drawn)[30:] if trial.best]
    assert sum(late) > sum(early)


def test_the_densities_of_bohb_do_not_depend_on_the_scale_of_an_objective() -> None:
    def scaled(config: Config, seed: int) -> Iterator[Epoch]:
        for metrics, seconds in curve(config, seed):
            yield {**metrics, "ms": 1000 * metrics["ms"]}, seconds

    said = sweep(searcher="bohb", budget={"trials": 30, "epochs": 3})._sweep
    configs = [
        [trial.config for trial in simulate(said, made, 2).trials] for made in (curve, scaled)
    ]
    assert configs[0] == configs[1]


def _mean_y(found: History) -> float:
    return float(np.mean([trial.config["y"] for trial in list(found)[20:]]))


def test_a_sampler_for_one_objective_is_refused() -> None:
    with pytest.raises(UserError, match="searcher optuna proposes for one metric"):
        sweep(searcher={"name": "optuna", "sampler": "CmaEsSampler"})


@pytest.mark.parametrize("part", [0.3, 0.8])
def test_a_sweep_continues_from_its_events_as_if_it_had_never_stopped(part: float) -> None:
    searcher = {"name": "optuna", "sampler": "NSGAIISampler", "options": {"population_size": 4}}
    whole, again = Keep(), Keep()
    said = sweep(searcher=searcher)._sweep
    simulate(said, curve, 1, whole)
    past = whole.events[: int(len(whole.events) * part)]
    simulate(said, curve, 1, again, past)
    after = [event for event in again.events if event["event"] == "reported"]
    before = [event for event in whole.events if event["event"] == "reported"]
    assert [_told(event) for event in after] == [_told(event) for event in before][-len(after) :]


def _told(event: dict[str, Any]) -> Any:
    return event["trial"], event["epoch"], event["losses"], event["excesses"]


def test_a_worker_is_told_of_all_metrics_and_limits(tmp_path: Path) -> None:
    said = sweep()._sweep
    made = job(said, tmp_path, Trial(0, "random", {"x": 0.5, "y": 0.5}, 1))
    assert made.objective.others == ("ms", "mb")
    assert made.objective.limits == (Limit("mb", 500),)
    assert read_job(json.loads(json.dumps(asdict(made)))).objective == made.objective
    values = ((1.0, 400.0), (0.0, 600.0))
    known = [{"val_loss": loss, "ms": 1.0, "mb": mb} for loss, mb in values]
    ranks = [made.objective.rank(metrics) for metrics in known]
    assert ranks[0] < ranks[1]


def test_a_recording_of_several_metrics_is_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(sweep(trainable="tests.test_objectives:train").to_yaml())
    said = load_sweep(str(path), overrides(5))
    assert said.objectives == sweep()._sweep.objectives
    assert said.budget.trials == 5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> rs.results.run.Run:
    folder = tmp_path_factory.mktemp("runs")
    return sweep().run(executor="debug", storage=folder, name="several")


def test_a_run_has_a_front(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table = run.trials
    front = table[table["front"]]
    assert sorted(front["trial"]) == sorted(best.trial for best in run.front)
    assert front["feasible"].all()
    assert (table["feasible"] == (table["best_mb"] <= 500)).all()
    assert run.best.trial == run.front[0].trial
    assert run.knee.trial in set(front["trial"])
    assert main(["best", str(run.path)]) == 0
    text = capsys.readouterr().out
    assert f"front: {len(front)} of 16 trials" in text
    assert f"{run.knee.trial}, the knee:" in text
    assert main(["best", str(run.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["trial"] for one in found["front"]] == [best.trial for best in run.front]
    assert (found["chosen"], found["trial"], found["knee"]) == ("knee", *[run.knee.trial] * 2)
    assert found["metrics"] == run.knee.metrics


def test_one_line_of_a_run_has_all_objectives(
    run: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    knee = [number(run.knee.metrics[name]) for name in ("val_loss", "ms")]
    assert main(["ls", str(run.path.parent)]) == 0
    text = capsys.readouterr().out
    assert f"{len(run.front)} on the front; knee: val_loss {knee[0]}, ms {knee[1]}" in text
    assert main(["status", str(run.path)]) == 0
    text = capsys.readouterr().out
    assert f"front of {len(run.front)} trials, hypervolume 0." in text
    assert f"in epoch 3 of {run.knee.trial}" in text
    assert main(["status", str(run.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["front"] == [best.trial for best in run.front]


def screen(controller: SweepController, width: int) -> list[str]:
    """The lines of the live screen."""
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(render("net", controller, width))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 140])
def test_the_live_screen_shows_the_front(width: int) -> None:
    controller = trained(searcher=["random", "bohb"], budget={"trials": 8, "epochs": 3})
    front = front_of(controller.trials)
    knee = knee_of(front)
    assert knee is not None
    assert knee.best is not None
    loss, ms = (number(knee.best.metrics[name]) for name in ("val_loss", "ms"))
    lines = screen(controller, width)
    assert f"{len(front)} on the front; knee: val_loss {loss}, ms {ms}" in lines
    at = next(k for k, line in enumerate(lines) if line.startswith("trial "))
    assert lines[at].split()[:5] == ["trial", "best", "val_loss", "ms", "mb"]
    assert {line.split()[0] for line in lines[at + 1 :][: len(front)]} == {one.id for one in front}
    assert any(line.startswith(f"{knee.id} ") and " knee " in line for line in lines[at:])
    kept = [" over limit " in line for line in lines[at + 1 : at + 17]]
    assert kept == sorted(kept)
    for name, history in controller.histories.items():
        size = str(len(front_of(history)))
        row = next(line.split() for line in lines if line.startswith(f"{name} "))
        found = knee_of(front_of(history))
        assert row[1:3] == [size, found.id if found else DASH]


def test_the_screen_before_anything_keeps_the_limits() -> None:
    metrics = [*THREE[:2], {"name": "mb", "limit": -1}]
    lines = screen(trained(metrics=metrics), 80)
    assert not any("on the front" in line for line in lines)
    assert any(line.split()[:3] == ["random", "0", DASH] for line in lines)


def test_the_closing_summary_has_a_row_of_fronts(
    run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(run.path, GOOD, as_json=False, resume="")
    lines = capsys.readouterr().out.splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("searcher"))
    assert lines[at].split()[1:5] == ["front", "knee", "val_loss", "ms"]
    assert lines[at + 1].split()[:3] == ["random", str(len(run.front)), run.knee.trial]


def test_the_table_of_trials_begins_with_the_front(
    run: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    assert main(["ls", str(run.path)]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split()[:6] == ["trial", "best", "val_loss", "ms", "mb", "epoch"]
    listed = [line.split()[0] for line in lines[: len(run.front)]]
    assert listed == [best.trial for best in run.front]
    (knee,) = (line.split()[0] for line in lines if " knee " in line)
    assert knee == run.knee.trial
    table = run.trials
    assert sum(" over limit " in line for line in lines) == (~table["feasible"]).sum()


def test_the_best_within_a_limit(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table = run.trials
    kept = table[(table["best_ms"] <= 4) & (table["best_mb"] <= 500)]
    wanted = kept.sort_values("best_val_loss")["trial"].iloc[0]
    assert run.within("ms=4").trial == wanted == run.within("ms<=4").trial
    assert main(["best", str(run.path), "--within", "ms=4"]) == 0
    text = capsys.readouterr().out
    assert f"of {wanted}" in text
    assert "the best with ms at most 4" in " ".join(text.split())
    wider = table.sort_values("best_val_loss")["trial"].iloc[0]
    assert run.within("mb=1000").trial == wider  # in place of the sweep's own limit


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("ms=-1", "no trial has ms at most -1 and mb at most 500 in its best epoch; the ne"),
        ("nothing<=3", "no trial reported nothing; reported: mb, ms, val_loss"),
        ("mss=3", "no trial reported mss; reported: mb, ms, val_loss; did you mean 'ms'?"),
        ("ms", "--within ms: expected a metric and a number"),
        ("ms<=inf", "--within ms<=inf: expected a metric and a number"),
    ],
)
def test_limits_that_cannot_be_kept(run: Any, limit: str, message: str) -> None:
    with pytest.raises(RunError) as caught:
        run.within(limit)
    assert message in str(caught.value)


def test_it_has_the_summary_the_files_and_the_page(run: Any) -> None:
    header = (run.path / "trials.csv").read_text().splitlines()[0]
    assert "feasible,front" in header
    assert run.report().is_file()
    assert run.compare().metric == "hypervolume"


def test_no_trial_keeps_an_impossible_limit(tmp_path: Path) -> None:
    metrics = [{"name": "val_loss"}, {"name": "mb", "limit": -1}]
    run = sweep(metrics=metrics).run(executor="debug", storage=tmp_path, name="none")
    assert run.front == []
    with pytest.raises(RunError, match="no trial has kept the limits yet: mb at most -1"):
        _ = run.best
    assert run._directory.limits_kept is False


def test_it_is_not_known_whether_limits_are_kept_before_the_first_report(tmp_path: Path) -> None:
    def train(config: Config, run: rs.Run) -> None:
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        sweep(trainable=train).run(executor="debug", storage=tmp_path, name="none")
    run = rs.load(tmp_path / "none")
    assert status(run._directory)["limits_kept"] is None
    with pytest.raises(RunError, match="no trial has reported anything yet"):
        _ = run.best


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("val_loss", "no trial has reported a finite val_loss yet"),
        ("ms", "no trial has reported a finite ms yet"),
        ("mb", "no trial has reported a finite mb yet"),
        ("either", "no trial has reported finite val_loss and ms at once yet"),
    ],
)
def test_the_metric_that_was_never_finite_is_named(
    missing: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(config: Config, run: rs.Run) -> None:
        for _ in run.epochs():
            known = {"val_loss": 1.0, "ms": 2.0, "mb": 3.0}
            lacking = (
                ("ms" if config["lr"] > 0.5 else "val_loss") if missing == "either" else missing
            )
            run.report(**known | {lacking: math.nan})

    made = sweep(
        trainable=train, space={"lr": rs.Choice([0.1, 0.9])}, metrics=THREE, searcher="grid"
    )
    run = made.run(executor="debug", storage=tmp_path, name="none")
    with pytest.raises(RunError, match=f"{message}$"):
        _ = run.best
    assert main(["status", str(run.path)]) == 0
    assert f"  {message}\n" in capsys.readouterr().out
    found = status(run._directory)
    assert found["why_no_best"] == message
    assert found["limits_kept"] is (False if missing == "mb" else None)
    page = (run.path / "report.html").read_text()
    assert f'"whyNoBest":"{message}"' in page.replace(": ", ":")


def test_searchers_of_which_none_keeps_the_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = [*THREE[:2], {"name": "mb", "limit": -1}]
    sweep(metrics=metrics, searcher=["random", "grid"]).run(
        executor="debug", storage=tmp_path, name="none"
    )
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "none")]) == 2
    text = capsys.readouterr().err
    assert "nothing to compare, no trial has kept the limits yet: mb at most -1" in text
    assert main(["status", str(tmp_path / "none")]) == 0
    assert "no trial has kept the limits yet" in capsys.readouterr().out
    assert main(["ls", str(tmp_path)]) == 0
    assert "none within the limits" in capsys.readouterr().out


def test_a_study_that_keeps_no_limit_is_named_in_a_comparison(run: Any) -> None:
    comparison = run.compare()
    (study,) = comparison.studies
    other = replace(study, label="other", is_infeasible=True)
    lines = findings(replace(comparison, studies=(study, other)))
    assert "other: no trial of its study has kept the limits; that counts as the worst" in lines


def test_a_comparison_says_that_it_is_by_the_hypervolume_of_the_front(run: Any) -> None:
    comparison = run.compare()
    (study,) = comparison.studies
    seeds = [replace(study, label="random", seed=seed) for seed in range(5)]
    better = [replace(one, label="auto", loss=one.loss - 0.1 - 0.01 * one.seed) for one in seeds]
    tested = replace(comparison, studies=(*seeds, *better))
    first = findings(tested)[0]
    assert first.startswith("auto is better than random: hypervolume of the front 0.")
    assert "reached random's final hypervolume of the front after" in " ".join(findings(tested))
    alike = replace(comparison, studies=(seeds[0], replace(seeds[0], label="auto")))
    assert "found the same hypervolume of the front with one search seed" in findings(alike)[0]
    text = io.StringIO()
    Console(file=text, width=120).print(tables(tested))
    assert "hypervolume of the front (from 0 to 1, more is better) at " in text.getvalue()


def test_runs_with_other_limits_are_not_compared(run: Any, tmp_path: Path) -> None:
    metrics = [*THREE[:2], {"name": "mb", "limit": 400}]
    other = sweep(metrics=metrics).run(executor="debug", storage=tmp_path, name="other")
    with pytest.raises(RunError, match=r"mb at most 400 against .* mb at most 500"):
        run.compare(other)


def test_a_single_metric_has_a_best_within_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metric = {"name": "val_loss", "goal": "minimize"}
    single = sweep(metrics=None, metric=metric).run(
        executor="debug", storage=tmp_path, name="single"
    )
    table = single.trials.sort_values("best_val_loss")
    assert single.within("val_loss=10").trial == table["trial"].iloc[0]
    assert single.within("mb<=500").metrics["mb"] <= 500
    capsys.readouterr()
    assert main(["best", str(single.path), "--within", "mb=500"]) == 2
    message = "the sweep does not say which way of mb is better; write mb<=... or mb>=..."
    assert message in capsys.readouterr().err


def test_a_reason_names_the_limit_that_is_broken() -> None:
    found = history(scheduler={"name": "asha", "type": "stopping"})
    stopped = [trial for trial in found if trial.status is Status.STOPPED]
    over = [trial for trial in stopped if trial.reports[-1].metrics["mb"] > 500]
    assert 0 < len(over) < len(stopped)
    for trial in stopped:
        said = trial.reason.endswith(" breaks its limit, at most 500")
        assert said is (trial in over)


def test_the_log_says_at_the_end_that_paused_trials_are_stopped() -> None:
    out = io.StringIO()
    controller = trained(scheduler="asha")
    Lines(out).close(controller)
    count = sum(trial.status is Status.STOPPED for trial in controller.trials)
    assert count > 1
    line = f"the sweep has ended: {count} trials that were paused are stopped\n"
    assert out.getvalue() == line


@pytest.mark.parametrize("name", REPORT_COLUMNS)
def test_a_metric_hides_no_column(name: str, tmp_path: Path) -> None:
    rest: dict[str, Any] = {"trainable": train, "space": {"x": rs.Float(0, 1)}}
    rest["budget"] = {"epochs": 1, "trials": 1}
    message = f"the data frames have a column {name} already"
    with pytest.raises(UserError, match=f"metric.name: {message}"):
        rs.Sweep(metric={"name": name, "goal": "minimize"}, **rest)
    with pytest.raises(UserError, match=f"metrics.0.name: {message}"):
        rs.Sweep(metrics=[{"name": name}, {"name": "b"}], **rest)
    rows = list(curve_rows({"random": history()}))
    assert {*rows[0]} == {*REPORT_COLUMNS, "val_loss", "ms", "mb"}


def test_a_metric_hides_nothing_that_a_tracker_keeps() -> None:
    with pytest.raises(UserError, match="track: wandb keeps each trial's status"):
        sweep(metrics=[{"name": "a"}, {"name": "status"}], track=["wandb"])
    sweep(metrics=[{"name": "a"}, {"name": "status"}], track=["mlflow"])


def test_every_report_has_all_metrics(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="'mb' was not reported; reported: ms, val_loss"):
        sweep(trainable=forgets).run(executor="debug", storage=tmp_path, name="forgets")


def test_simulate_tries_by_default_what_knows_as_many_metrics(run: Any) -> None:
    assert able(SEARCHERS, run._directory) == ("grid", "random", "bohb", "auto")
    assert able(SCHEDULERS, run._directory) == ("none", "asha")


def test_recorded_curves_answer_for_every_metric(run: Any) -> None:
    from raysweep.tune.offline.simulation_grid import SimulationGrid, simulate_grid

    grid = SimulationGrid(("random", "grid"), ("none",), seeds=2, total_epochs=30)
    result = simulate_grid(run._directory, grid, processes=1)
    assert result.comparison.metric == "hypervolume"
    assert all(-study.loss[-1] > 0 for study in result.comparison.studies)
