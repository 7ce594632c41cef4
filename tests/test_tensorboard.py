"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import History, Report, Status, Trial
from raysweep.results.views.tensorboard import MAX_OPEN, Writer, tag


def trial_of(history: History, config: dict[str, Any], values: list[float]) -> Trial:
    trial = Trial(len(history), "bohb", config, 0)
    history.add(trial)
    history.start(trial.number)
    for epoch, value in enumerate(values, 1):
        history.record(
            trial.number,
            Report(
                epoch,
                math.inf if math.isnan(value) else -value,
                {"acc": value},
                epoch * 1.0,
                1e9 + epoch,
            ),
        )
    return trial


def play(folder: Path, config: dict[str, Any], values: list[float]) -> Path:
    """Write a trial as a driver does, and return the folder of its event files.

    Each report is written after the history has it.
    """
    history, writer = History(), Writer(folder, "acc")
    trial = trial_of(history, config, [])
    for report in trial_of(History(), config, values).reports:
        history.record(0, report)
        writer.report(trial, report)
    history.close(0, Status.COMPLETED)
    writer.close(trial)
    return folder / "tensorboard" / trial.id


def read(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        accumulator = EventAccumulator(str(folder))
        accumulator.Reload()
    return accumulator


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 4)) for event in read(folder).Scalars(name)]


def test_each_epoch_has_its_metric_and_the_best_so_far(tmp_path: Path) -> None:
    folder = play(tmp_path, {"lr": 0.1}, [0.5, 0.9, 0.7])
    assert scalars(folder, "acc") == [(1, 0.5), (2, 0.9), (3, 0.7)]
    assert scalars(folder, "best/acc") == [(1, 0.5), (2, 0.9), (3, 0.9)]


def test_a_nan_is_shown_and_is_never_the_best(tmp_path: Path) -> None:
    folder = play(tmp_path, {}, [0.5, math.nan])
    assert math.isnan(scalars(folder, "acc")[1][1])
    assert scalars(folder, "best/acc")[-1] == (2, 0.5)


def sessions(folder: Path) -> tuple[Any, Any]:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = read(folder).summary_metadata
    start, end = (
        HParamsPluginData.FromString(content[f"_hparams_/session_{kind}_info"].plugin_data.content)
        for kind in ("start", "end")
    )
    return start.session_start_info, end.session_end_info


def test_hyperparameters_keep_their_types_and_names_are_harmless(tmp_path: Path) -> None:
    config = {"lr": 0.1, "width": 8, "nesterov": True, "opt": {"name": "sgd"}, "<script>": "<b>"}
    start, end = sessions(play(tmp_path, config, [0.5]))
    values = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()
    }
    assert values == {
        "study": "bohb",
        "lr": 0.1,
        "width": 8.0,
        "nesterov": True,
        "opt.name": "sgd",
        "_script_": "<b>",
    }
    assert end.status == 1


def test_a_trial_that_never_reported_is_there_with_its_failure(tmp_path: Path) -> None:
    trial = trial_of(History(), {"lr": 1.0}, [])
    trial.status = Status.FAILED
    Writer(tmp_path, "acc").close(trial)
    start, end = sessions(tmp_path / "tensorboard" / "bohb-0")
    assert start.hparams["lr"].number_value == 1.0
    assert end.status == 2


def test_a_trial_taken_up_by_a_second_writer_goes_on(tmp_path: Path) -> None:
    trial = trial_of(History(), {}, [0.5, 0.6, 0.7])
    first, second = Writer(tmp_path, "acc"), Writer(tmp_path, "acc")
    for report in trial.reports[:2]:
        first.report(trial, report)
    first.finish()
    second.report(trial, trial.reports[2])
    second.close(trial)
    folder = tmp_path / "tensorboard" / "bohb-0"
    assert len(list(folder.iterdir())) == 2
    assert scalars(folder, "acc") == [(1, 0.5), (2, 0.6), (3, 0.7)]


def test_few_files_are_open_at_a_time(tmp_path: Path) -> None:
    history, writer = History(), Writer(tmp_path, "acc")
    trials = [trial_of(history, {}, [0.5, 0.6]) for _ in range(3 * MAX_OPEN)]
    for trial in trials:
        writer.report(trial, trial.reports[0])
    open_now = sum("tfevents" in str(one.resolve()) for one in Path("/proc/self/fd").iterdir())
    assert 0 < open_now <= MAX_OPEN
    writer.report(trials[0], trials[0].reports[1])
    writer.finish()
    assert scalars(tmp_path / "tensorboard" / "bohb-0", "acc") == [(1, 0.5), (2, 0.6)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("val/acc", "val/acc"), ("a b", "a b"), ("<script>", "_script_"), ("", "_")],
)
def test_tags(name: str, expected: str) -> None:
    assert tag(name) == expected
