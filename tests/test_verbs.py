"""The commands on real runs: sweeps of the shipped CNN, interrupted and resumed on Ray."""

from __future__ import annotations

import csv
import os
import re
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Status
from raysweep.results.analysis.retraining import retraining_results
from raysweep.results.analysis.stopping_audit import audit
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import RunDirectory, load
from raysweep.tune.cli.app import main
from tests.browser import Browser
from tests.made_up import Story, write_run

pytestmark = pytest.mark.timeout(600)

CPU = ["--set", "resources.gpu=0", "--set", "parallel=1", "--set", "space.channels=8"]
SMALL = [*CPU, "--set", "budget.trials=3", "--set", "budget.epochs=2"]
COMPARISON = """python run_sweep.py --space cnn.yaml --seeds 5
    --set 'confirm={top: 3, seeds: 5}' --name digits"""
TABLES = "raysweep compare ray_results/digits"
PAGE = "raysweep report ray_results/digits"
RECORDING = "python run_sweep.py --space cnn.yaml --record 200 --name record"
REPLAY = """raysweep simulate ray_results/record --searchers grid,random,tpe,bohb
    --schedulers 'none,median,{name: asha, type: stopping}' --seeds 30 --workers 4"""
"""The commands of the README, run as they stand there, with smaller numbers behind them."""


@contextmanager
def watching(seen: Callable[[], bool], act: Callable[[], object]) -> Iterator[None]:
    """Do something once, as soon as something is seen."""
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if seen():
                act()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def reports(ledger: Path) -> int:
    """How many reports a ledger holds by now."""
    return ledger.read_bytes().count(b'"event":"reported"') if ledger.exists() else 0


def run(command: str, *words: str) -> int:
    """A command of the README with further words, which count where they say something else."""
    said = shlex.split(command.replace("python run_sweep.py", "raysweep run"))[1:]
    if "--resume" in words:
        del said[said.index("--name") : said.index("--name") + 2]
    return main([*said, *words])


@pytest.fixture(scope="module", autouse=True)
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the commands are given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield Path("ray_results")


@pytest.fixture(scope="module")
def compared(storage: Path, ray_here: Any) -> RunDirectory:
    """Two searchers and two seeds: interrupted during the retrainings, then resumed."""
    words = [
        "--seeds",
        "2",
        "--set",
        "searcher=[random, tpe]",
        "--set",
        "confirm={top: 1, seeds: 3}",
        *SMALL,
    ]
    ledger = storage / "digits" / "confirm" / "ledger.jsonl"
    with watching(lambda: reports(ledger) > 0, interrupt):
        assert run(COMPARISON, *words) == 4
    searched = rows(storage / "digits" / "trials.csv")
    assert run(COMPARISON, *words, "--resume", "digits") == 0
    # The sweep has ended now, so that nothing can be promoted any more, and reasons say so.
    ended = rows(storage / "digits" / "trials.csv")
    for before, after in zip(searched, ended, strict=True):
        if before["status"] == "paused":
            assert after["reason"].startswith("not promoted after epoch ")
            before |= {"status": "stopped", "reason": after["reason"]}
    assert ended == searched
    return load(storage / "digits")


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def record(storage: Path, ray_here: Any) -> RunDirectory:
    """Twelve curves, interrupted in the middle and resumed."""
    words = ["--record", "12", "--set", "budget.epochs=2", *CPU]
    with watching(lambda: reports(storage / "record" / "ledger.jsonl") > 8, interrupt):
        assert run(RECORDING, *words) == 4
    assert '"ended":null' in (storage / "record" / "report.html").read_text()
    assert run(RECORDING, *words, "--resume", "record") == 0
    assert '"ended":"done"' in (storage / "record" / "report.html").read_text()
    return load(storage / "record")


@pytest.mark.ray
@pytest.mark.examples
def test_arms_of_a_comparison_train_as_many_epochs(compared: RunDirectory) -> None:
    assert list(compared.histories) == ["random.0", "tpe.0", "random.1", "tpe.1"]
    epochs = [history.epochs for history in compared.histories.values()]
    assert len(set(epochs)) == 1
    assert [trial.seed for trial in compared.histories["random.0"]] != [
        trial.seed for trial in compared.histories["random.1"]
    ]


@pytest.mark.ray
@pytest.mark.examples
def test_the_best_is_trained_again_with_fresh_seeds_and_tested(compared: RunDirectory) -> None:
    (found,) = retraining_results(compared)
    assert (found.trial, found.selected, len(found.validation), len(found.test)) == (
        compared.best.trial.id,
        compared.best.value,
        3,
        3,
    )
    retrained = list(load(compared.path / "confirm").histories[found.trial])
    assert {trial.status for trial in retrained} == {Status.COMPLETED}
    assert [[report.epoch for report in trial.reports] for trial in retrained] == [[1, 2]] * 3
    assert all(trial.config == compared.best.config for trial in retrained)
    searched = {trial.seed for history in compared.histories.values() for trial in history}
    assert len({trial.seed for trial in retrained} - searched) == 3


@pytest.mark.ray
@pytest.mark.examples
def test_the_test_score_is_that_of_the_best_checkpoint(compared: RunDirectory) -> None:
    import torch

    from raysweep.trainables.cnn import build, evaluate

    trial = load(compared.path / "confirm").trial(f"{compared.best.trial.id}-0")
    model = build(trial.config)
    saved = torch.load(
        compared.path / "confirm" / "trials" / trial.id / "best.pt", weights_only=True
    )
    model.load_state_dict(saved["model_state_dict"])
    assert evaluate(trial.config, model, "test") == pytest.approx(trial.notes["test"], abs=1e-6)


@pytest.mark.ray
@pytest.mark.examples
def test_compare_prints_the_tables_and_what_the_finalists_gave(
    compared: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(TABLES) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("searcher seeds ")
    assert "for each study" in text
    assert "with 2 seeds no difference at all could be shown" in text
    assert f"· {compared.best.trial.id}: val_accuracy " in text
    assert "on the test split over 3 fresh seeds (range " in text
    assert run(TABLES, "--by", "seconds") == 0
    assert "of training for each study" in capsys.readouterr().out


@pytest.mark.ray
@pytest.mark.examples
def test_several_runs_are_compared_by_name(
    compared: RunDirectory, record: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(compared.path), str(record.path)]) == 0
    text = capsys.readouterr().out
    assert "digits: tpe" in text
    assert "record: random" in text


@pytest.mark.ray
@pytest.mark.examples
def test_a_recording_is_whole_after_an_interruption(record: RunDirectory) -> None:
    trials = list(record.histories["random"])
    assert [trial.number for trial in trials] == list(range(12))
    assert all(
        trial.status is Status.COMPLETED and [report.epoch for report in trial.reports] == [1, 2]
        for trial in trials
    )
    assert record.sweep["scheduler"] == {"name": "none"}


@pytest.mark.ray
@pytest.mark.examples
def test_simulate_plays_every_pair_on_the_recorded_curves(
    record: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--seeds", "2", "--epochs", "12", "--processes", "1"]
    assert run(REPLAY, *words) == 0
    text = capsys.readouterr().out
    assert all(
        f"{searcher} + {scheduler}" in text
        for searcher in ("grid", "random", "tpe", "bohb")
        for scheduler in ("none", "median", "asha (type: stopping)")
    )
    assert "at 12 epochs for each study" in text
    assert (
        "12 recorded curves; between them a surrogate (random forest) answers: val_accuracy off "
        "by 0." in text
    )
    assert run(REPLAY, *words, "--nearest") == 0
    text = capsys.readouterr().out
    assert "the nearest recorded configuration answers" in text
    assert text.endswith(f"report  {record.path / 'report.html'}\n")
    assert "the nearest recorded configuration answers" in (record.path / "report.html").read_text()


@pytest.mark.ray
@pytest.mark.examples
def test_report_writes_the_page_and_says_where(
    compared: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert '"live":false' in (compared.path / "report.html").read_text()
    assert run(PAGE) == 0
    assert capsys.readouterr().out == "ray_results/digits/report.html\n"
    assert run(PAGE, "--out", str(tmp_path / "page.html")) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"
    assert "mean, test split" not in (tmp_path / "page.html").read_text().split('id="data">')[0]
    assert '"split":"test"' in (tmp_path / "page.html").read_text()


def test_a_run_that_goes_on_has_a_page_that_refreshes_itself(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [Story("a", [0.5], status="running")])
    ledger = Ledger(folder)
    assert main(["report", str(folder)]) == 0
    assert '"live":true' in (folder / "report.html").read_text()
    ledger.close()
    assert main(["report", str(folder)]) == 0
    assert '"live":false' in (folder / "report.html").read_text()


LIVE = """
trainable: tests.trainables:bowl
metric: {name: loss, goal: minimize}
searcher: random
scheduler: {name: asha, type: stopping, grace: 1, eta: 2, audit: 0.1}
budget: {trials: 40, epochs: 4}
parallel: 2
space: {x: {float: [0.0, 1.0]}, seconds: 0.05}
"""


@pytest.fixture(scope="module")
def live(storage: Path, ray_here: Any) -> RunDirectory:
    """A sweep with a stopping audit.

    `during.html` in its folder is the page as it was while the sweep ran.
    """
    Path("live.yaml").write_text(LIVE)
    page, copy = storage / "live" / "report.html", storage / "live" / "during.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raysweep.results.views.html.report.SECONDS", 0.5)
        with watching(page.exists, lambda: copy.write_bytes(page.read_bytes())):
            assert main(["run", "--space", "live.yaml", "--name", "live"]) == 0
    return load(storage / "live")


@pytest.mark.ray
@pytest.mark.examples
def test_a_tenth_of_what_is_stopped_goes_on_and_is_reported(live: RunDirectory) -> None:
    found = audit(live)
    assert found is not None
    assert found["n_audited"] == found["n_finished"] > 0
    assert [rung["level"] for rung in found["rungs"]] == [1, 2]
    stopped = [trial for trial in live.histories["random"] if trial.status is Status.STOPPED]
    assert found["n_stopped"] == len(stopped) + found["n_audited"]
    assert all(
        re.fullmatch(
            r"epoch [12]: [\d.]+ is not among the best half of \d+ others? \([\d.]+ or better\)",
            trial.reason,
        )
        for trial in stopped
    )


@pytest.mark.ray
@pytest.mark.examples
def test_a_page_is_there_while_a_sweep_runs_and_at_its_end(
    live: RunDirectory, browser: Browser
) -> None:
    during, after = ((live.path / name).resolve() for name in ("during.html", "report.html"))
    browser.open(during)
    assert browser.run("return document.querySelector('.pill').textContent") == "running"
    browser.open(after)
    browser.draw_all()
    assert browser.run("return document.querySelector('.pill').textContent") == "finished"
    assert (
        browser.run("return document.querySelector('#filters output').textContent") == "40 trials"
    )
    assert "trials that were to be stopped trained on" in browser.run(
        "return document.querySelector('#reliability').textContent"
    )
    assert browser.complaints() == []
    assert browser.requests() == {after.as_uri()}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["compare", "nowhere"], "nowhere is not a run directory"),
        (["report", "nowhere"], "nowhere is not a run directory"),
        (["simulate", "nowhere"], "nowhere is not a run directory"),
        (["compare", "RUN", "--by", "GPU-seconds"], "used no GPU; compare by epochs or seconds"),
        (["compare", "EMPTY"], "nothing to compare, no trial has reported a finite acc"),
        (["simulate", "RUN", "--searchers", "bohp"], "unknown searcher 'bohp'"),
        (["simulate", "RUN", "--schedulers", "ashe"], "unknown scheduler 'ashe'"),
        (["simulate", "EMPTY"], "nothing was recorded yet"),
        (
            ["simulate", "RUN", "--searchers", "random", "--processes", "1"],
            "it takes 10 to answer for others (--record 200)",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    tmp_path: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    space, budget = {"lr": {"float": [0.1, 1.0]}}, {"trials": 3, "epochs": 3}
    write_run(
        tmp_path / "RUN",
        [Story("random", [0.1, 0.2, 0.3], {"lr": 0.5})],
        space=space,
        budget=budget,
    )
    write_run(tmp_path / "EMPTY", [], space=space, budget=budget)
    assert main([str(tmp_path / word) if word in ("RUN", "EMPTY") else word for word in words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert line in told.err
    assert told.err.startswith("raysweep: ")
    assert len(told.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["run", "--space", "cnn.yaml", "--seeds", "0"],
            "--seeds: expected a whole number above zero, got '0'",
        ),
        (
            ["run", "--space", "cnn.yaml", "--seeds", "2", "--record", "5"],
            "--record: not allowed with argument --seeds",
        ),
        (
            ["simulate", "run", "--seeds", "x"],
            "--seeds: expected a whole number above zero, got 'x'",
        ),
        (["simulate", "run", "--searchers", ","], "--searchers: expected names between commas"),
        (["compare", "run", "--by", "hours"], "--by: invalid choice: 'hours'"),
    ],
)
def test_what_the_command_line_refuses(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert line in capsys.readouterr().err
