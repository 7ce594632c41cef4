"""Interruptions and failures, through the command line.

The tests look at exit codes, what resumes, and what is kept of a failure. What Ray has a part in
is tested on a real Ray; the rest in this process, by `--debug`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from raysweep.errors import ComponentError
from raysweep.history import Config, History, Status, Trial
from raysweep.results.storage import ledger
from raysweep.results.storage.run_directory import RunDirectory, load
from raysweep.schedulers.base import Decision, Ranking
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.debug import DebugExecutor
from raysweep.tune.session import Options, run
from tests.command_line import Typed, numbers
from tests.sweeps import Draw, sweep
from tests.test_engine import Watch

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("without_end")]


@pytest.fixture
def typed(tmp_path: Path, ray_here: Any) -> Typed:
    return Typed(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a sweep has come to its end: 3 trials of 2 epochs. Not to be changed."""
    typed = Typed(tmp_path_factory.mktemp("trained"))
    typed.write("tests.trainables:noisy", trials=3, epochs=2)
    assert typed.run("--name", "first", "--debug") == 0
    return typed.place


@pytest.fixture
def ended(trained: Path, tmp_path: Path) -> Typed:
    """A copy of it."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return Typed(tmp_path)


def all_trials(run: RunDirectory) -> list[Trial]:
    return [trial for history in run.histories.values() for trial in history]


def cut(folder: Path, kept: int) -> None:
    """Take away what came after the first `kept` lines, as if the driver had been killed then."""
    lines = (folder / ledger.NAME).read_bytes().splitlines(keepends=True)
    (folder / ledger.NAME).write_bytes(b"".join(lines[:kept]) + lines[kept][:20])


def test_a_run_cut_off_in_a_trial_goes_on_to_the_same_numbers(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other events are covered without Ray, and under kills.

    See `test_asha.py`, `test_stock_defects.py` and `make chaos`.
    """
    typed.write("tests.trainables:noisy", "[tpe, bohb]")
    assert typed.run("--name", "first", "--debug") == 0
    before = numbers(typed.folder())
    reports = [
        i
        for i, event in enumerate(ledger.read(typed.place / "runs" / "first"))
        if event["event"] == "reported"
    ]
    cut(typed.place / "runs" / "first", reports[4])
    assert typed.run("--resume", "first", "--debug") == 0
    assert "the last line of the ledger was torn off" in capsys.readouterr().out
    assert numbers(load(typed.place / "runs" / "first")) == before


def test_a_changed_file_is_refused_with_its_difference(
    ended: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ended.place / "sweep.yaml"
    text = path.read_text()
    path.write_text(text.replace("[0, 1]", "[0, 2]").replace("loss", "los"))
    assert ended.run("--resume", "first") == 2
    said = capsys.readouterr().err
    assert "metric.name: was loss, is los" in said
    assert "space.x.float: was [0.0, 1.0], is [0.0, 2.0]" in said
    path.write_text(text)
    assert ended.run("--resume", "first", "--set", "budget.epochs=0") == 2


def test_a_budget_that_grew_is_an_extension(ended: Typed) -> None:
    before = numbers(ended.folder())
    ended.write("tests.trainables:noisy", trials=4, epochs=4)
    assert ended.run("--resume", "first", "--debug") == 0
    after = all_trials(ended.folder())
    assert [trial.epoch for trial in after] == [4, 4, 4, 4]
    curves = [row[3] for row in numbers(ended.folder())[:3]]
    assert [curve[:2] for curve in curves] == [row[3] for row in before]  # type: ignore[index]
    assert ended.run("--name", "whole", "--debug") == 0
    assert numbers(ended.folder("whole")) == numbers(ended.folder())


def test_without_resume_a_run_never_goes_into_an_old_folder(
    ended: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended.run() == 2
    assert "exists already; resume it with --resume" in capsys.readouterr().err


def test_a_second_process_hears_who_holds_the_folder(
    ended: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = ledger.Ledger(ended.place / "runs" / "first")
    try:
        assert ended.run("--resume", "first") == 2
    finally:
        holder.close()
    assert "is held by process" in capsys.readouterr().err


@pytest.mark.examples
def test_only_what_failed_is_run_again(typed: Typed) -> None:
    mark = typed.place / "mended"
    typed.write("tests.trainables:raises_until", trials=3, more=f"  mark: {mark}\nretries: 0\n")
    assert typed.run() == 0
    statuses = [trial.status for trial in all_trials(typed.folder())]
    assert Status.FAILED in statuses
    assert Status.COMPLETED in statuses
    mark.touch()
    assert typed.run("--resume", "first", "--retry-failed") == 0
    assert [trial.status for trial in all_trials(typed.folder())] == [Status.COMPLETED] * 3
    attempts = [trial.attempts for trial in all_trials(typed.folder())]
    assert attempts == [2 if status is Status.FAILED else 1 for status in statuses]


def test_a_failure_is_in_the_table_and_in_a_file(typed: Typed) -> None:
    typed.write("tests.trainables:raises", trials=2, more="retries: 0\n")
    assert typed.run() == 3
    trial = all_trials(typed.folder())[0]
    written = (typed.place / "runs" / "first" / "trials" / trial.id / "error.txt").read_text()
    assert json.dumps(trial.config, indent=2) in written
    assert "in inner" in written
    row = typed.folder().rows[0]
    assert (row["status"], row["reason"].split(":")[0]) == ("failed", "ValueError")
    assert row["traceback"].endswith(row["reason"])
    assert len(row["traceback"].splitlines()) <= 20
    assert "in inner" in (typed.place / "runs" / "first" / "trials.csv").read_text()


def test_a_retry_goes_on_from_the_checkpoint(typed: Typed) -> None:
    typed.write(
        "tests.trainables:raises_until",
        trials=1,
        more=f"  mark: {typed.place / 'mark'}\n  heal: true\nretries: 1\n",
    )
    assert typed.run() == 0
    trial = all_trials(typed.folder())[0]
    assert (trial.status, trial.attempts, trial.notes["failures"]) == (Status.COMPLETED, 2, 1)
    assert (typed.place / "mark").read_text() == "1 2 2 3 "


@pytest.mark.examples
def test_the_first_three_alike_end_the_sweep_with_the_trace(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    typed.write("tests.trainables:always_raises", trials=9, more="retries: 0\n")
    assert typed.run() == 3
    assert len(all_trials(typed.folder())) == 3
    assert "RuntimeError: always" in capsys.readouterr().out


def test_a_mistake_in_the_file_is_two_and_a_searcher_that_raises_is_named(
    typed: Typed, tmp_path: Path
) -> None:
    typed.write(more="no_such_key: 1\n")
    assert typed.run() == 2

    class Raises:
        def suggest(self, space: Space, history: History, seed: int) -> Config | None:
            if len(history) == 1:
                raise KeyError("oh")
            return Draw().suggest(space, history, seed)

    with pytest.raises(
        ComponentError, match="the searcher bad raised while proposing bad-1: KeyError: 'oh'"
    ):
        run(sweep({"bad": Raises()}), tmp_path / "run", Options(), Watch())
    assert [
        event["event"] for event in ledger.read(tmp_path / "run") if event["event"] == "proposed"
    ] == ["proposed"]


def test_a_scheduler_that_raises_is_named(typed: Typed, tmp_path: Path) -> None:
    class Raises:
        promotes: ClassVar[bool] = False

        def levels(self, epochs: int) -> tuple[int, ...]:
            return (epochs,)

        def decide(self, trial: Trial, history: History, ranking: Ranking | None) -> Decision:
            raise KeyError("oh")

        def promote(
            self, history: History, ranking: Ranking | None, *, budget_exhausted: bool
        ) -> int | None:
            return None

    with pytest.raises(
        ComponentError,
        match="the scheduler Raises raised while judging draw-0 after epoch 1: KeyError: 'oh'",
    ):
        run(sweep(scheduler=Raises()), tmp_path / "run", Options(), Watch(), DebugExecutor())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("budget.time=15", "the 15 seconds of the budget are spent"),
        ("metric.target=10", "random-0 reached loss"),
        ("plateau={trials: 2}", "no better loss in the last 2 trials"),
    ],
)
def test_time_target_and_plateau_end_a_sweep_well(typed: Typed, more: str, words: str) -> None:
    typed.write("tests.trainables:bowl", trials=500, epochs=1, more="  seconds: 0.3\n")
    assert typed.run("--name", "first", "--debug", "--set", more) == 0
    assert words in typed.folder().events[-1]["reason"]
    assert len(all_trials(typed.folder())) < 500
    assert all(
        trial.status.ended or trial.status is Status.WAITING for trial in all_trials(typed.folder())
    )


def test_only_the_best_keep_their_checkpoints(typed: Typed) -> None:
    typed.write("tests.trainables:noisy", trials=6, epochs=2, more="checkpoints: {keep: 2}\n")
    assert typed.run("--name", "first", "--debug") == 0
    run = typed.folder()
    kept = {path.parent.name for path in run.path.glob("trials/*/*.pt")}
    ranked = sorted(all_trials(run), key=lambda trial: trial.best.loss if trial.best else 9.0)
    assert kept == {trial.id for trial in ranked[:2]}
    assert run.best.checkpoint is not None
    assert {path.name for path in run.best.checkpoint.parent.iterdir()} == {"best.pt", "last.pt"}


def test_every_checkpoint_is_kept_where_nothing_is_said(trained: Path) -> None:
    assert (
        sorted(path.name for path in (trained / "runs" / "first").glob("trials/*/*.pt"))
        == ["best.pt"] * 3 + ["last.pt"] * 3
    )


def test_a_trial_trained_again_gives_the_same_numbers(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from raysweep.tune.cli.app import main

    assert main(["reproduce", str(trained / "runs" / "first"), "random-1"]) == 0
    assert "random-1: 2 epochs trained again, largest difference 0" in capsys.readouterr().out
    assert main(["reproduce", str(trained / "runs" / "first"), "random-7"]) == 2
