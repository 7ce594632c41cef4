"""Run directories that a former version wrote are read, reported, simulated and resumed.

They lie in `tests/data/runs/`; its README says how they were made. The expected numbers
are those that the former version showed of them.
"""

from __future__ import annotations

import csv
import math
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.results.analysis.retraining import retraining_results
from raysweep.results.storage.run_directory import RunDirectory, load
from raysweep.results.views.html.report import write
from raysweep.schedulers import Asha, NoStopping
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.tune.cli.app import main
from raysweep.tune.load import load_run_sweep, load_sweep
from raysweep.tune.run_folders import check_unchanged
from tests.data import steady
from tests.golden import seeded


@dataclass(frozen=True)
class Expected:
    """What a run directory holds. `best`: trial, epoch and value."""

    statuses: dict[str, int]
    epochs: int
    best: tuple[str, int, float]
    config: dict[str, Any]


RUNS = Path(__file__).parent / "data" / "runs"
DATA = {"data": "none"}
SLOW = {"seconds": 0.15, **DATA}
DRAWN = {"x": 0.5381643514719432, "kind": "flat", "model": {"width": 8}, "size": 16, **DATA}
EXPECTED = {
    "finished": Expected(
        {"completed": 1, "stopped": 7, "failed": 1},
        20,
        ("bohb-6", 3, 0.012153843676373437),
        {"x": 0.3708730807140179, "kind": "flat", "model": {"width": 11}, "size": 22, **SLOW},
    ),
    "interrupted": Expected(
        {"paused": 3, "waiting": 1},
        7,
        ("bohb-3", 2, 0.08577313535104658),
        {"x": 0.24619991762671856, "kind": "flat", "model": {"width": 5}, "size": 10, **SLOW},
    ),
    "compared": Expected(
        {"completed": 6, "stopped": 12}, 40, ("random.0-0", 2, 0.10359946368390799), DRAWN
    ),
    "recorded": Expected(
        {"completed": 12, "failed": 1, "diverged": 1},
        50,
        ("random-4", 3, 0.008141702643937964),
        {"x": 0.3202321795375208, "kind": "flat", "model": {"width": 16}, "size": 32, **DATA},
    ),
    "confirmed": Expected(
        {"completed": 3, "failed": 1}, 7, ("random-0", 2, 0.10359946368390799), DRAWN
    ),
}
FINISHED = sorted(EXPECTED.keys() - {"interrupted"})


def copied(kind: str, folder: Path) -> Path:
    """A copy that may be written to."""
    return Path(shutil.copytree(RUNS / kind, folder / kind))


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a table that the former version wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def outcomes(run: RunDirectory) -> list[tuple[Any, ...]]:
    """All that two runs of one sweep agree on; the reasons are words, and those may change."""
    return [
        (
            trial.id,
            trial.config,
            trial.seed,
            trial.status,
            [(report.epoch, dict(report.metrics)) for report in trial.reports],
        )
        for history in run.histories.values()
        for trial in history
    ]


@pytest.mark.parametrize("kind", EXPECTED)
def test_the_best_trial_is_found(kind: str) -> None:
    expected, best = EXPECTED[kind], load(RUNS / kind).best
    assert (best.trial.id, best.epoch, best.value) == expected.best
    assert best.config == expected.config


@pytest.mark.parametrize("kind", EXPECTED)
def test_the_table_of_trials_is_the_one_that_was_written(kind: str) -> None:
    trials, written = load(RUNS / kind).trials, rows(RUNS / kind / "trials.csv")
    assert Counter(trials["status"]) == EXPECTED[kind].statuses
    statuses = [row["status"] for row in written]
    if kind == "interrupted":  # it may still promote them, which was called stopped then
        statuses = [{"stopped": "paused"}.get(status, status) for status in statuses]
    assert list(trials["status"]) == statuses
    for name in ("trial", "searcher"):
        assert list(trials[name]) == [row[name] for row in written]
    for name in ("seed", "best_loss", "best_epoch", "epochs", "train_seed", "config/x"):
        expected = [float(row[name] or "nan") for row in written]
        assert trials[name].astype(float).tolist() == pytest.approx(expected, rel=0, nan_ok=True)


@pytest.mark.parametrize("kind", EXPECTED)
def test_the_curves_are_those_that_were_written(kind: str) -> None:
    curves, written = load(RUNS / kind).curves, rows(RUNS / kind / "curves.csv")
    assert len(curves) == EXPECTED[kind].epochs
    assert list(curves["trial"]) == [row["trial"] for row in written]
    assert curves["epoch"].tolist() == [int(row["epoch"]) for row in written]
    for name in ("loss", "step", "seconds"):
        expected = [float(row[name] or "nan") for row in written]
        assert curves[name].astype(float).tolist() == pytest.approx(expected, rel=0, nan_ok=True)


SCHEDULERS = {
    "finished": Asha(type="promotion", grace="auto", eta=3),
    "interrupted": Asha(type="promotion", grace="auto", eta=3),
    "compared": Asha(type="stopping", grace=1, eta=2.0),
    "recorded": NoStopping(),
    "confirmed": NoStopping(),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_the_scheduler_is_the_one_of_its_new_name(kind: str) -> None:
    """The two forms of ASHA were two schedulers, `promotion` and `asha`."""
    sweep = load_run_sweep(RUNS / kind)
    assert sweep.scheduler == SCHEDULERS[kind]
    assert load(RUNS / kind).sweep["scheduler"] == sweep.resolved["scheduler"]
    check_unchanged(RUNS / kind, sweep)


def test_a_setting_changes_an_option_of_a_scheduler_that_had_another_name() -> None:
    found = load_run_sweep(RUNS / "finished", ["scheduler.eta=4"]).scheduler
    assert found == Asha(type="promotion", grace="auto", eta=4)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("finished", "6: scheduler promotion has another name now: {name: asha, type: promotion}"),
        ("compared", "6: scheduler asha: quorum is an option of type: stopping"),
    ],
)
def test_a_file_that_a_user_copied_from_an_old_run_is_refused(kind: str, message: str) -> None:
    with pytest.raises(SpecificationError, match=re.escape(message)):
        load_sweep(str(RUNS / kind / "sweep.yaml"))


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_page_is_written(kind: str, tmp_path: Path) -> None:
    run = load(copied(kind, tmp_path))
    page = write(run, tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(f'"{trial}"' in page for trial in run.trials["trial"])


def test_the_runs_and_their_trials_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", str(RUNS)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    for kind, expected in EXPECTED.items():
        assert f" {expected.epochs} " in lines[kind]
        assert f"{expected.best[2]:.4g}" in lines[kind]
        assert main(["ls", str(RUNS / kind), "--all"]) == 0
        listed = capsys.readouterr().out
        assert all(trial in listed for trial in load(RUNS / kind).trials["trial"])


def test_a_failed_trial_is_shown_with_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(RUNS / "finished"), "bohb-5"]) == 0
    shown = capsys.readouterr().out
    assert "failed" in shown
    assert "/project/tests/data/steady.py" in shown
    assert "ValueError: x is 0.9127124330845486" in shown


@pytest.mark.parametrize("kind", EXPECTED)
def test_searchers_are_compared(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(RUNS / kind)]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in load(RUNS / kind).searchers)
    if kind == "compared":
        assert "0.1036 … 0.236" in shown
        assert "no detectable difference" in shown


def test_searchers_and_schedulers_play_on_the_recorded_curves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["--searchers", "random,tpe", "--schedulers", "none,median"]
    numbers = ["--seeds", "2", "--workers", "2", "--epochs", "24", "--processes", "1"]
    assert main(["simulate", str(copied("recorded", tmp_path)), *names, *numbers]) == 0
    shown = capsys.readouterr().out
    assert "13 recorded curves" in shown
    assert all(f"{a} + {b}" in shown for a in ("random", "tpe") for b in ("none", "median"))


def test_the_retrainings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = retraining_results(load(RUNS / "confirmed"))
    assert (first.trial, first.selected) == ("random-0", 0.10359946368390799)
    assert first.validation == (0.08683204380923987, 0.28256893633062125)
    assert first.test == (0.09683204380923986, 0.29256893633062125)
    assert (second.trial, second.test) == ("random-3", (0.12030478716606478, 0.3160416796874462))
    assert main(["compare", str(RUNS / "confirmed")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "random-0: loss 0.1947 on the test split over 2 fresh seeds" in shown


@pytest.mark.parametrize("kind", FINISHED)
def test_the_best_model_gives_its_value_again(kind: str, tmp_path: Path) -> None:
    best = load(copied(kind, tmp_path)).best
    assert best.checkpoint is not None
    content = torch.load(best.checkpoint, weights_only=True)
    assert content["epoch"] == best.epoch
    exported = torch.load(tmp_path / kind / "best" / "model.pt", weights_only=True)
    for state in (content["model_state_dict"], exported):
        model = steady.build(best.config)
        model.load_state_dict(state)
        assert steady.evaluate(best.config, model)["loss"] == best.value


def trained_out(folder: Path) -> Path:
    """A copy of the finished run, resumed: its best trial is trained to the end."""
    run = copied("finished", folder)
    assert load(run).best.trial.epoch == 3
    assert main(["run", "--resume", str(run), "--debug"]) == 0
    return run


def test_a_finished_run_that_left_its_best_trial_trains_it_to_the_end(tmp_path: Path) -> None:
    """Earlier versions ended such a sweep; see `Asha.promote`."""
    before, after = load(RUNS / "finished"), load(trained_out(tmp_path))
    assert after.trial("bohb-6").status == "completed"
    others = [(trial.id, trial.epoch) for trial in before.all_trials() if trial.id != "bohb-6"]
    assert [(trial.id, trial.epoch) for trial in after.all_trials() if trial.epoch < 4] == [
        (name, epoch) for name, epoch in others if epoch < 4
    ]


@pytest.mark.parametrize("kind", FINISHED)
def test_a_finished_run_stays_finished(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained_out(tmp_path) if kind == "finished" else copied(kind, tmp_path)
    before = (run / "ledger.jsonl").read_bytes()
    assert main(["run", "--resume", str(run)]) == 0
    assert f"{kind} is finished" in capsys.readouterr().out
    assert (run / "ledger.jsonl").read_bytes() == before


@pytest.mark.ray
@pytest.mark.examples
def test_an_interrupted_run_continues_as_if_it_had_never_been(
    tmp_path: Path, ray_here: Any
) -> None:
    """It continues from its checkpoints: what comes out is the finished run, to the last digit."""
    run = copied("interrupted", tmp_path)
    before = (run / "ledger.jsonl").read_bytes()
    assert main(["run", "--resume", str(run)]) == 0
    finished = load(trained_out(tmp_path))
    assert outcomes(load(run)) == outcomes(finished)
    assert (run / "ledger.jsonl").read_bytes().startswith(before)
    reported = [event for event in load(run).events if event["event"] == "reported"]
    assert len(reported) == sum(trial.epoch for trial in finished.all_trials())


@pytest.mark.ray
@pytest.mark.examples
def test_a_seeded_sweep_on_ray_gives_the_recorded_table(tmp_path: Path, ray_here: Any) -> None:
    found, expected = seeded.table(seeded.run(tmp_path)), seeded.PATH.read_text(encoding="utf-8")
    assert found.splitlines() == expected.splitlines()


def test_the_directories_name_no_machine() -> None:
    texts = [path.read_bytes() for path in RUNS.rglob("*") if path.is_file()]
    assert len(texts) > 30
    assert not any(word in text for text in texts for word in (b"/home/", b"/tmp/", b"/root"))
    assert sum(map(len, texts)) < 400_000
    assert math.isinf(load(RUNS / "recorded").trial("random-11").loss)
