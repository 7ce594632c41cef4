"""Budgets in steps, samples and seconds: from the file to the trial and to what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import raysweep as rs
from raysweep.report_interval import UNITS, ReportInterval, Unit
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.trainables.runtime.metrics import ReportError
from raysweep.trainables.runtime.run import LocalRun
from raysweep.tune.cli.app import main
from raysweep.tune.load import load_sweep
from raysweep.tune.run_folders import FolderError, check_unchanged, write_sweep
from raysweep.tune.sweep import Sweep

SCRIPT = """\
import os
steps, every = int(os.environ["RAYSWEEP_STEPS"]), int(os.environ["RAYSWEEP_REPORT_EVERY"])
assert "RAYSWEEP_EPOCHS" not in os.environ
for step in range(0, steps + 1, every):
    print(f"step {step}: train loss {1 / (step + 1):.4f}, val loss {2 / (step + 1):.4f}")
"""
SWEEP = """\
trainable: train.py
metric:
  name: val_loss
  goal: minimize
  pattern: 'step (?P<step>\\d+): train loss (?P<train_loss>\\S+), val loss (?P<val_loss>\\S+)'
searcher: random
scheduler: none
budget: {trials: 2, steps: 10000, report_every: 2500}
space:
  lr: {float: [0.1, 1.0]}
"""


def sweep(folder: Path, old: str = "", new: str = "") -> Sweep:
    assert old in SWEEP
    (folder / "train.py").write_text(SCRIPT)
    (folder / "s.yaml").write_text(SWEEP.replace(old, new) if old else SWEEP)
    return load_sweep(str(folder / "s.yaml"))


def test_a_budget_in_steps_counts_its_reports(tmp_path: Path) -> None:
    budget = sweep(tmp_path).budget
    assert (budget.epochs, budget.total_epochs) == (4, None)
    assert budget.interval == ReportInterval("steps", 2500)
    total = sweep(tmp_path, "trials: 2", "total_steps: 20000").budget
    assert (total.epochs, total.total_epochs) == (4, 8)


@pytest.mark.parametrize(
    ("said", "reports", "interval"),
    [
        ("epochs: 9", 9, ReportInterval()),
        ("epochs: 9, report_every: 3", 3, ReportInterval("epochs", 3)),
        ("epochs: 3, report_every: 0.5", 6, ReportInterval("epochs", 0.5)),
        ("samples: 60000, report_every: 6000", 10, ReportInterval("samples", 6000)),
        ("seconds: 1.5, report_every: 0.1", 15, ReportInterval("seconds", 0.1)),
    ],
)
def test_every_unit_has_whole_reports(
    tmp_path: Path, said: str, reports: int, interval: ReportInterval
) -> None:
    budget = sweep(tmp_path, "steps: 10000, report_every: 2500", said).budget
    assert (budget.epochs, budget.interval) == (reports, interval)


@given(st.sampled_from(UNITS), st.integers(1, 10**9), st.integers(1, 10**6))
def test_a_position_is_of_the_report_that_it_ends(unit: Unit, every: int, report: int) -> None:
    interval = ReportInterval(unit, every)
    assert interval.report(interval.position(report)) == report
    assert interval.report(interval.position(report) - every / 2) == report
    assert interval.report(interval.position(report) + every / 2) == report + 1


def test_a_fraction_of_an_epoch_is_not_lost_to_rounding() -> None:
    interval = ReportInterval("epochs", 0.1)
    assert [interval.report(0.1 * report) for report in range(1, 30)] == list(range(1, 30))


@pytest.mark.parametrize(
    ("interval", "at", "trained"),
    [
        (ReportInterval(), "epoch 3", "3 epochs"),
        (ReportInterval("epochs", 5), "epoch 15", "15 epochs"),
        (ReportInterval("epochs", 0.5), "epoch 1.5", "1.5 epochs"),
        (ReportInterval("steps", 500), "step 1,500", "1,500 steps"),
        (ReportInterval("seconds", 60), "3 min 00 s", "3 min 00 s"),
    ],
)
def test_reports_are_told_in_their_unit(interval: ReportInterval, at: str, trained: str) -> None:
    assert (interval.at(3), interval.trained(3)) == (at, trained)


def test_a_sweep_in_steps_runs_and_tells_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPT trainer's lines: the value before the first step is left out."""
    sweep(tmp_path)
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--space", "s.yaml", "--name", "a", "--debug"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "random-0 step 2,500: val_loss 0.0008" in shown
    assert "random-1 completed: trained all 10,000 steps" in shown
    run = rs.load("ray_results/a")
    assert list(run.curves["epoch"]) == [1, 2, 3, 4] * 2
    assert run.curves["train_loss"][0] == 0.0004
    assert main([*arguments[:-1], "--resume", "a", "--debug"]) == 0


def test_a_longer_trial_may_be_resumed_but_not_another_interval(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_sweep(run, sweep(tmp_path))
    check_unchanged(run, sweep(tmp_path, "steps: 10000", "steps: 20000"))
    with pytest.raises(FolderError, match=r"budget.report_every: was 2500.*, is 1250"):
        check_unchanged(run, sweep(tmp_path, "report_every: 2500", "report_every: 1250"))
    assert load_sweep(str(run / "sweep.yaml")).budget == sweep(tmp_path).budget


def test_the_keys_are_those_of_python_too(tmp_path: Path) -> None:
    def train(config: dict[str, float], run: rs.Run) -> None:
        for _ in run.epochs():
            run.report(loss=config["x"] / run.report_every)

    made = rs.Sweep(
        trainable=train,
        space={"x": rs.Float(0.0, 1.0)},
        metric="loss",
        searcher="random",
        budget={"trials": 1, "steps": 1000, "report_every": 100},
    )
    run = made.run(executor="debug", storage=tmp_path, quiet=True)
    assert len(run.curves) == 10


def test_a_train_function_must_read_how_much_to_train_for_a_report() -> None:
    run = LocalRun(20, quiet=True, unit="steps", report_every=500)
    assert (run.unit, run.length) == ("steps", 10_000)
    next(run.epochs())
    with pytest.raises(ReportError, match=r"a report after each 500 steps.*run.report_every"):
        run.report(loss=1.0)
    run = LocalRun(20, quiet=True, unit="steps", report_every=500)
    for _ in run.epochs():
        run.report(loss=run.report_every)
    assert len(run.reports) == 20


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "trainable: train.py",
            "trainable: train.py:train",
            "s.yaml:5: metric.pattern: is for scripts; a train function calls run.report(...)",
        ),
        (
            "(?P<val_loss>",
            "(?P<vall_oss>",
            "s.yaml:5: metric.pattern: no group is called 'val_loss', as the metric; groups: step, "
            "train_loss, vall_oss; did you mean 'vall_oss'?",
        ),
        (
            "searcher: random",
            "script: {reports: out/metrics.xyz}\nsearcher: random",
            "s.yaml:6: script.reports: 'out/metrics.xyz' has no known format; expected a folder, "
            "or a file called *tfevents*, *.csv, *.jsonl, *.json or *.log",
        ),
        (
            "searcher: random",
            "script: {reports: ['{folder}/a.csv', 'logs/*.csv']}\nsearcher: random",
            "s.yaml:6: script.reports: 'logs/*.csv' is the same for all trials, which run at once; "
            "have each write files of its own: '{folder}' is a trial's folder, as an option's "
            "value or as script.folder",
        ),
    ],
)
def test_a_mistake_in_how_metrics_are_read_is_one_line(
    tmp_path: Path, old: str, new: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecificationError) as caught:
        sweep(tmp_path, old, new)
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_files_that_all_trials_share_are_read_if_one_trial_runs_at_a_time(tmp_path: Path) -> None:
    said = sweep(tmp_path, "searcher: random", "script: {reports: logs}\nparallel: 1")
    assert said.report_sources.files == ("logs",)
    assert len(said.report_sources.patterns) == 1


@pytest.mark.parametrize("metric", ["val/loss", "val.loss", "val-loss"])
def test_the_group_of_a_pattern_has_the_metrics_name_without_its_separators(
    tmp_path: Path, metric: str
) -> None:
    assert sweep(tmp_path, "name: val_loss", f"name: {metric}").metric.name == metric
