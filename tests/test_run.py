"""What a train function talks through: epochs, reports, and what is no report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.trainables.runtime.run import (
    CheckpointError,
    LocalRun,
    Objective,
    ReportError,
    Run,
    StorageError,
)


def test_epochs_count_from_one_and_each_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    run = LocalRun(3)
    for epoch in run.epochs():
        run.report(loss=1 / epoch)
    assert [(message["epoch"], message["metrics"]) for message in run.reports] == [
        (1, {"loss": 1.0}),
        (2, {"loss": 0.5}),
        (3, {"loss": 1 / 3}),
    ]
    assert capsys.readouterr().out.splitlines()[1].startswith("epoch   2  loss 0.5  (")
    seconds = [message["seconds"] for message in run.reports]
    assert seconds == sorted(seconds)


def test_a_quiet_run_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run = LocalRun(1, quiet=True)
    for _ in run.epochs():
        run.report(loss=1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (True, 1.0),
        (0.25, 0.25),
        (np.float32(0.5), 0.5),
        (np.array([2]), 2.0),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (torch.tensor([[3]]), 3.0),
        (math.inf, math.inf),
    ],
    ids=repr,
)
def test_a_number_of_any_kind_becomes_a_plain_float(value: Any, number: float) -> None:
    run = LocalRun(1, quiet=True)
    for _ in run.epochs():
        run.report(loss=value)
    assert type(run.reports[0]["metrics"]["loss"]) is float
    assert run.reports[0]["metrics"]["loss"] == number


def test_nan_is_a_number_that_is_never_the_best(tmp_path: Path) -> None:
    run = Run(2, ignore, folder=tmp_path, objective=Objective("loss", maximize=False))
    for epoch in run.epochs():
        run.report(loss=math.nan if epoch == 2 else 5.0)
    assert math.isnan(run.reports[1]["metrics"]["loss"])
    assert torch.load(tmp_path / "best.pt", weights_only=True)["epoch"] == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "the metric 'loss' is None, a NoneType; expected a number"),
        ("0.5", "the metric 'loss' is '0.5', a str; expected a number"),
        ([0.5], r"the metric 'loss' is \[0.5\], a list; expected a number"),
        (
            torch.zeros(2),
            "the metric 'loss' has more than one element; report a mean or another number",
        ),
        (
            np.zeros(2),
            "the metric 'loss' has more than one element; report a mean or another number",
        ),
        (1 + 2j, r"the metric 'loss' is \(1\+2j\), a complex; expected a number"),
        (np.array("0.5"), "the metric 'loss' is '0.5', a str; expected a number"),
    ],
    ids=repr,
)
def test_what_is_no_number_is_refused_by_name(value: Any, text: str) -> None:
    run = LocalRun(1, quiet=True)
    with pytest.raises(ReportError, match=text):
        report_each(run, loss=value)


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        (
            {"val_los": 1, "accuracy": 1},
            "the metric 'val_loss' was not reported; reported: accuracy, val_los",
        ),
        ({}, "the metric 'val_loss' was not reported; reported: nothing"),
    ],
)
def test_a_missing_objective_names_what_was_reported(metrics: dict[str, Any], text: str) -> None:
    run = Run(1, ignore, objective=Objective("val_loss", maximize=False))
    with pytest.raises(ReportError, match=text):
        report_each(run, **metrics)


def test_a_report_belongs_to_one_epoch() -> None:
    run = LocalRun(2, quiet=True)
    with pytest.raises(ReportError, match=r"outside of `for epoch in run.epochs"):
        run.report(loss=1)
    for _ in run.epochs():
        run.report(loss=1)
        with pytest.raises(ReportError, match=r"called twice in epoch"):
            run.report(loss=1)
    with pytest.raises(ReportError, match=r"epoch 1 ended without run.report"):
        list(LocalRun(2, quiet=True).epochs())


def test_a_run_goes_on_after_its_last_checkpoint(tmp_path: Path) -> None:
    first = LocalRun(2, folder=tmp_path, quiet=True)
    for _ in first.epochs():
        first.report(loss=1)
    second = LocalRun(4, folder=tmp_path, quiet=True)
    seen = []
    for epoch in second.epochs():
        seen.append(epoch)
        second.report(loss=1)
    assert seen == [3, 4]
    assert [message["epoch"] for message in second.reports] == [1, 2, 3, 4]


def test_what_the_receiver_missed_is_sent_again_and_not_trained_again(tmp_path: Path) -> None:
    first = LocalRun(3, folder=tmp_path, quiet=True)
    for epoch in first.epochs():
        first.report(loss=epoch)
    heard: list[dict[str, Any]] = []
    again = Run(3, heard.append, folder=tmp_path, known_epoch=1)
    assert list(again.epochs()) == []
    assert [message["epoch"] for message in heard] == [2, 3]


def test_a_damaged_checkpoint_is_put_aside_and_the_training_begins_again(tmp_path: Path) -> None:
    first = LocalRun(2, folder=tmp_path, quiet=True)
    report_each(first, loss=1)
    (tmp_path / "last.pt").write_bytes(b"damaged")
    heard: list[dict[str, Any]] = []
    again = Run(3, heard.append, folder=tmp_path, known_epoch=2)
    report_each(again, loss=1)
    assert [message["epoch"] for message in heard] == [1, 2, 3]
    assert str(tmp_path / "last.pt") in heard[0]["notes"]["damaged_checkpoint"]
    assert (tmp_path / "damaged.pt").read_bytes() == b"damaged"
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 3


def test_a_trial_begins_again_from_a_damaged_checkpoint_once(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "last.pt").write_bytes(b"damaged")
        run = LocalRun(3, folder=tmp_path, quiet=True)
        epochs = run.epochs()
        if not (tmp_path / "damaged.pt").exists():
            assert next(epochs) == 1
    with pytest.raises(CheckpointError, match="begun again from a damaged one before"):
        next(epochs)


def test_what_a_killed_process_left_unfinished_is_removed(tmp_path: Path) -> None:
    for name in (".unfinished-1", ".best-1", "mine.txt"):
        (tmp_path / name).write_text("")
    next(LocalRun(1, folder=tmp_path, quiet=True).epochs())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_message_says_whether_the_micro_batches_were_looked_at(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    run = Run(2, heard.append)
    for epoch in run.epochs():
        if epoch == 2:
            assert run.accumulation == 1
        run.report(loss=1)
    assert [message["notes"]["accumulation_read"] for message in heard] == [False, True]


def test_storage_that_fails_is_no_fault_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = LocalRun(1, folder=tmp_path / "file" / "trial", quiet=True)
    with pytest.raises(
        StorageError, match=r"the checkpoint cannot be written to .*: Not a directory"
    ):
        report_each(run, loss=1)


def report_each(run: Run, **metrics: Any) -> None:
    for _ in run.epochs():
        run.report(**metrics)


def ignore(message: dict[str, Any]) -> None:
    pass
