"""Tables and the run folder, on made-up runs."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.history import History
from raysweep.results.storage.run_directory import RunError, load
from raysweep.results.storage.tables import frame, split_study, trial_rows, write_csv, write_tables
from raysweep.tune.cli.app import main
from tests.made_up import BEGAN, Story, write_run

MIXED = [
    Story("grid", [0.5, 0.7, 0.6], {"opt": {"name": "sgd", "momentum": 0.9}, "lr": 0.1}),
    Story(
        "bohb",
        [0.4],
        {"opt": {"name": "adam"}, "lr": 0.01, "nesterov": True},
        "stopped",
        "epoch 1: 0.4 behind 0.5 (best third of 2)",
    ),
    Story("bohb", [], {"lr": 1.0}, "failed", "ValueError: <script>, with a comma"),
    Story("bohb", [0.3, math.nan], {"lr": 9.0}, "diverged", "epoch 2: acc is not finite"),
    Story("grid", [0.2], {"lr": 2.0}, "running"),
]


def test_a_row_a_trial(tmp_path: Path) -> None:
    row = load(write_run(tmp_path / "run", MIXED)).rows[0]
    assert row == {
        "trial": "grid-0",
        "searcher": "grid",
        "seed": 7,
        "status": "completed",
        "reason": "",
        "best_acc": 0.7,
        "best_epoch": 2,
        "last_acc": 0.6,
        "epochs": 3,
        "seconds": 3.0,
        "node": "here",
        "device": "cpu",
        "attempts": 1,
        "peak_memory": None,
        "started": BEGAN,
        "ended": BEGAN + 3,
        "train_seed": 11,
        "config/opt.name": "sgd",
        "config/opt.momentum": 0.9,
        "config/lr": 0.1,
    }


def test_the_data_frames(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", MIXED))
    assert list(run.trials["trial"]) == ["grid-0", "grid-1", "bohb-0", "bohb-1", "bohb-2"]
    assert list(run.trials["status"]) == ["completed", "running", "stopped", "failed", "diverged"]
    assert run.trials["best_acc"].isna().sum() == 1
    assert run.trials["config/opt.momentum"].isna().sum() == 4
    assert list(run.trials.columns)[-4:] == [
        "config/opt.name",
        "config/opt.momentum",
        "config/lr",
        "config/nesterov",
    ]
    assert list(run.curves.columns) == ["trial", "searcher", "epoch", "seconds", "time", "acc"]
    assert len(run.curves) == 7
    assert math.isnan(run.curves["acc"].iloc[-1])


def test_tables_of_a_sweep_by_steps_have_the_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = {"steps": 1500, "report_every": 500}
    run = load(write_run(tmp_path / "run", MIXED, budget=budget))
    assert list(run.curves["step"])[:4] == [500, 1000, 1500, 500]
    row = run.rows[0]
    assert (row["best_epoch"], row["best_step"], row["epochs"], row["steps"]) == (2, 1000, 3, 1500)
    write_tables(run.path, run.histories, run.metric, interval=run.interval)
    assert "best_step" in (run.path / "trials.csv").read_text()
    assert (run.path / "curves.csv").read_text().startswith("trial,searcher,epoch,step,")
    assert main(["ls", str(tmp_path)]) == 0
    assert "3,500 steps" in capsys.readouterr().out


def test_the_best_is_the_best_epoch_not_the_last(tmp_path: Path) -> None:
    best = load(write_run(tmp_path / "run", MIXED)).best
    assert (best.trial.id, best.epoch, best.value, best.checkpoint) == ("grid-0", 2, 0.7, None)
    assert best.config["opt"] == {"name": "sgd", "momentum": 0.9}


@pytest.mark.parametrize(("goal", "expected"), [("minimize", "bohb-0"), ("maximize", "grid-0")])
def test_the_goal_decides_the_best(tmp_path: Path, goal: str, expected: str) -> None:
    stories = [Story("grid", [0.5, 0.9]), Story("bohb", [0.2, 0.7])]
    assert load(write_run(tmp_path / "run", stories, goal=goal)).best.trial.id == expected


def test_search_seeds_are_told_apart(tmp_path: Path) -> None:
    run = load(
        write_run(
            tmp_path / "run",
            [Story("bohb.0", [0.1]), Story("bohb.1", [0.2]), Story("v1.5.1", [0.3])],
            seeds=2,
        )
    )
    assert [(row["searcher"], row["seed"]) for row in run.rows] == [
        ("bohb", 7),
        ("bohb", 8),
        ("v1.5", 8),
    ]
    assert split_study("bohb.1", 1) == ("bohb.1", 0)


def test_a_run_without_a_report(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", [Story("grid", [], status="failed", reason="no data")]))
    assert (len(run.trials), len(run.curves)) == (1, 0)
    with pytest.raises(RunError, match="no trial has reported a finite acc yet"):
        _ = run.best


def test_an_empty_run(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", []))
    assert run.trials.empty
    assert trial_rows({"grid": History()}, "acc") == []


def test_the_csv_files_read_back(tmp_path: Path) -> None:
    import pandas as pd

    run = load(write_run(tmp_path / "run", MIXED))
    write_tables(run.path, run.histories, run.metric, run.seed, run.seeds)
    again = pd.read_csv(run.path / "trials.csv")
    assert list(again.columns) == list(run.trials.columns)
    assert again["best_acc"].tolist()[:2] == [0.7, 0.2]
    assert again["reason"][3] == "ValueError: <script>, with a comma"
    assert len(pd.read_csv(run.path / "curves.csv")) == 7
    assert not list(run.path.glob(".*.csv-*"))


def test_a_csv_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    write_csv(path, [{"a": 1}])
    with pytest.raises(ZeroDivisionError):
        write_csv(path, ({"a": 1 // n} for n in (1, 0)))
    assert path.read_text() == "a\n1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_metric_called_as_a_column_is_kept_apart(tmp_path: Path) -> None:
    from raysweep.history import Report, Trial
    from raysweep.results.storage.tables import curve_rows

    history = History()
    history.add(Trial(0, "grid", {}, 0))
    history.record(0, Report(1, 0.5, {"acc": 0.5, "seconds": 99.0, "trial": 3.0}, 1.0, 2.0))
    (row,) = curve_rows({"grid": history})
    assert (row["trial"], row["seconds"], row["acc"]) == ("grid-0", 1.0, 0.5)
    assert (row["metric/trial"], row["metric/seconds"]) == (3.0, 99.0)
    assert next(iter(frame([row]).columns)) == "trial"


def test_an_unknown_trial_or_run_is_named(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", MIXED))
    with pytest.raises(RunError, match="has no trial 'bohb-11'; did you mean bohb-1"):
        run.trial("bohb-11")
    with pytest.raises(RunError, match=r"is not a run directory; there are: .*run"):
        load(tmp_path)
    with pytest.raises(RunError, match="nowhere is not a run directory"):
        load(tmp_path / "nowhere")


def test_a_broken_specification_is_one_line(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", MIXED))
    (run.path / "sweep.yaml").write_text("a: [")
    with pytest.raises(RunError, match=r"sweep.yaml cannot be read: ") as error:
        _ = run.sweep
    assert "\n" not in str(error.value)


def test_loading_needs_neither_pandas_nor_torch(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", MIXED)
    code = (
        f"import sys; from raysweep import load; load({str(folder)!r})._repr_html_(); "
        "print({'pandas', 'torch', 'numpy', 'ray'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
