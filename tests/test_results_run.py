"""The public object of a run: what `raysweep.load` returns, and what a notebook shows of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import raysweep as rs
from raysweep.results import Run, RunError
from raysweep.results.storage.ledger import Ledger
from tests.data import steady
from tests.made_up import Story, write_run

RUNS = Path(__file__).parent / "data" / "runs"


def copied(kind: str, folder: Path) -> Run:
    return rs.load(shutil.copytree(RUNS / kind, folder / kind))


def test_the_best_epoch_is_plain_data() -> None:
    best = rs.load(RUNS / "finished").best
    assert (best.trial, best.epoch, best.value) == ("bohb-6", 3, 0.012153843676373437)
    assert best.config["model"] == {"width": 11}
    assert best.metrics["loss"] == best.value
    assert best.checkpoint == RUNS / "finished" / "trials" / "bohb-6" / "best.pt"
    assert "_found" not in repr(best)


def test_the_best_model_loads_and_gives_its_metric() -> None:
    best = rs.load(RUNS / "compared").best
    model = steady.build(best.config)
    model.load_state_dict(best.load_state_dict())
    assert steady.evaluate(best.config, model)["loss"] == best.value


def test_without_a_checkpoint_there_is_no_state_dict() -> None:
    best = rs.load(RUNS / "interrupted").best
    assert best.checkpoint is None
    with pytest.raises(RunError, match="bohb-3 has no checkpoint: none was written"):
        best.load_state_dict()


def test_a_checkpoint_is_loaded_without_executing_it(tmp_path: Path) -> None:
    run = copied("compared", tmp_path)
    checkpoint = run.best.checkpoint
    assert checkpoint is not None
    torch.save({"model_state_dict": torch.nn.Linear(1, 1)}, checkpoint)
    with pytest.raises(RunError, match="cannot be read: Weights only load failed"):
        run.best.load_state_dict()


def test_the_tables_have_plain_columns() -> None:
    run = rs.load(RUNS / "compared")
    assert list(run.trials.columns[:7]) == [
        "trial",
        "searcher",
        "seed",
        "status",
        "reason",
        "best_loss",
        "best_epoch",
    ]
    assert run.trials["best_loss"].min() == run.best.value
    assert "config/model.width" in run.trials
    assert list(run.curves.columns)[:5] == ["trial", "searcher", "epoch", "seconds", "time"]
    assert list(run.curves.columns)[5:] == list(run.best.metrics)
    assert len(run.curves) == run.trials["epochs"].sum() == 40


def test_a_comparison_prints_as_the_command_line_does() -> None:
    comparison = rs.load(RUNS / "compared").compare()
    assert comparison.labels == ("random", "tpe")
    text = str(comparison)
    assert text.splitlines()[0].split("  ")[0] == "searcher"
    assert "0.1036 … 0.236" in text
    assert "no detectable difference between random and tpe" in text
    assert "\x1b" not in text


def test_several_runs_are_compared() -> None:
    first, second = rs.load(RUNS / "compared"), rs.load(RUNS / "recorded")
    labels = first.compare(second, unit="seconds").labels
    assert labels == ("compared: random", "compared: tpe", "recorded: random")


@pytest.mark.parametrize(
    ("kind", "state"), [("finished", "finished"), ("interrupted", "interrupted")]
)
def test_the_state_of_a_run(kind: str, state: str) -> None:
    assert rs.load(RUNS / kind).state == state


def test_a_run_that_a_session_works_on_is_running(tmp_path: Path) -> None:
    run = copied("interrupted", tmp_path)
    ledger = Ledger(run.path)
    assert run.state == "running"
    assert '"live":true' in run.report().read_text(encoding="utf-8")
    ledger.close()
    assert rs.load(run.path).state == "interrupted"


def test_the_page_is_written(tmp_path: Path) -> None:
    run = copied("finished", tmp_path)
    assert run.report() == run.path / "report.html"
    other = run.report(tmp_path / "other.html")
    assert '"live":false' in other.read_text(encoding="utf-8")
    with pytest.raises(RunError, match="cannot be written: No such file or directory"):
        run.report(tmp_path / "nowhere" / "page.html")


def test_the_best_model_is_exported(tmp_path: Path) -> None:
    result = copied("finished", tmp_path).export(tmp_path / "best model", evaluate=False)
    assert (result.folder, result.trial) == (tmp_path / "best model", "bohb-6")
    assert (result.folder / "model.pt").is_file()


def test_a_notebook_shows_the_run_its_best_epoch_and_a_comparison() -> None:
    run = rs.load(RUNS / "compared")
    summary = run._repr_html_()
    for cell in ("compared", "finished", "0.103599", "epoch 2 of random.0-0", "6 completed"):
        assert cell in summary
    best = run.best._repr_html_()
    assert "<td>config model.width</td><td>8</td>" in best
    comparison = run.compare()._repr_html_()
    assert comparison.count("<table>") == 2
    assert "<li>no detectable difference between random and tpe" in comparison
    assert repr(run) == f"Run('{RUNS / 'compared'}')"


def test_text_of_the_users_is_escaped_in_a_notebook(tmp_path: Path) -> None:
    bad = "<script>&\x1b\udcff"
    stories = [Story(bad, [0.5], {bad: bad}), Story("random", [0.4], {bad: "x"})]
    run = rs.load(write_run(tmp_path / "<b>run", stories))
    shown = run._repr_html_() + run.best._repr_html_() + run.compare()._repr_html_()
    assert "&lt;b&gt;run" in shown
    assert "&lt;script&gt;&amp;??" in shown
    assert not re.search(r"<(script|b)>|[\x1b\udcff]", shown)


def test_a_run_without_reports_has_a_summary_and_no_best(tmp_path: Path) -> None:
    run = rs.load(write_run(tmp_path / "run", []))
    assert "none yet" in run._repr_html_()
    with pytest.raises(RunError, match="no trial has reported a finite acc yet"):
        _ = run.best


def test_loading_a_run_imports_nothing_heavy() -> None:
    code = (
        "import sys, raysweep as rs\n"
        f"run = rs.load({str(RUNS / 'finished')!r}); run.best.config; repr(run); "
        "run._repr_html_()\n"
        "print(sorted({'ray', 'torch', 'pandas', 'scipy', 'plotly', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent.parent, capture_output=True
    )
    assert done.stdout.decode() == "[]\n", done.stderr.decode()
