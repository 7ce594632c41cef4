"""The executor on a real Ray: GPU fractions, workers that are kept or die, failures, the ledger."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Config, Event, History, Status, Trial
from raysweep.schedulers import Asha
from raysweep.search_spaces.language.space import Space
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.ray.connection import Machines
from raysweep.tune.session import Options, SessionError, run
from raysweep.tune.sweep import Budget, Resources, Sweep
from tests.sweeps import StopAt, sweep

pytestmark = pytest.mark.ray


class Watch:
    """Keeps the controller and what was said."""

    def __init__(self) -> None:
        self.controller: SweepController | None = None
        self.lines: list[str] = []

    def on_event(self, event: Event, controller: SweepController) -> None:
        self.controller = controller

    def on_tick(self, controller: SweepController) -> None:
        pass

    def say(self, line: str) -> None:
        self.lines.append(line)

    def close(self, controller: SweepController) -> None:
        pass


@dataclass(frozen=True)
class Listed:
    """Proposes given configurations."""

    configs: tuple[Config, ...]

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return dict(self.configs[len(history)]) if len(history) < len(self.configs) else None


def made(name: str, *configs: Config, **changes: Any) -> Sweep:
    """A sweep of `tests.trainables:<name>` with 3 epochs for each configuration.

    The trials run one after the other, since starting a worker takes long.
    """
    fields: dict[str, Any] = {
        "budget": Budget(len(configs), 3),
        "trainable": f"tests.trainables:{name}",
        "parallel": 1,
    }
    return sweep({"listed": Listed(configs)}, **fields | changes)


def trials(said: Sweep, folder: Path, isolate: bool = False) -> list[Trial]:
    watch = Watch()
    run(said, folder, Options(Machines(isolate=isolate)), watch)
    assert watch.controller is not None
    return list(watch.controller.trials)


def xs(*values: float) -> list[Config]:
    return [{"x": value} for value in values]


@pytest.fixture
def folder(tmp_path: Path, ray_here: Any) -> Path:
    return tmp_path / "run"


def test_every_trial_reports_every_epoch_and_the_plan_is_said_before_the_start(
    folder: Path,
) -> None:
    watch = Watch()
    run(made("bowl", *xs(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), parallel=2), folder, Options(), watch)
    assert watch.controller is not None
    done = list(watch.controller.trials)
    said = [line for line in watch.lines if not line.startswith("waiting for a worker to start")]
    assert said == ["2 trials at once, each with 1 CPU"]
    assert [[report.epoch for report in trial.reports] for trial in done] == [[1, 2, 3]] * 6
    assert {trial.status for trial in done} == {Status.COMPLETED}
    assert all(trial.notes["node"] and trial.notes["pid"] for trial in done)
    assert (folder / "trials.csv").exists()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, ray_here: Any) -> dict[str, Trial]:
    """Trials that end in different ways, by their way.

    They run one after the other in one worker, each as if it were alone.
    """
    place = tmp_path_factory.mktemp("mixed")
    ways = ("raises", "diverges", "out_of_memory", "leaves_early", "devices", "bowl")
    configs = [{"x": 0.75, "way": way, "folder": str(place)} for way in ways]
    return dict(zip(ways, trials(made("one_way", *configs, retries=0), place / "run"), strict=True))


def test_one_without_a_gpu_sees_none(mixed: dict[str, Trial]) -> None:
    assert [
        path.read_text().split()[2:]
        for path in Path(mixed["devices"].config["folder"]).glob("ran-*")
    ] == [[]]


def test_a_failure_keeps_the_users_traceback(mixed: dict[str, Trial]) -> None:
    failed = mixed["raises"]
    assert (failed.status, failed.reason) == (
        Status.FAILED,
        "ValueError: x is 0.75, and that is bad",
    )
    trace = failed.notes["traceback"].splitlines()
    assert trace[-1] == failed.reason
    assert any("in inner" in line for line in trace)
    assert not any("train_job.py" in line for line in trace)


def test_nan_is_diverged_and_stops_at_once(mixed: dict[str, Trial]) -> None:
    assert (mixed["diverges"].status, mixed["diverges"].epoch, mixed["diverges"].loss) == (
        Status.DIVERGED,
        1,
        math.inf,
    )


def test_out_of_memory_goes_on_in_smaller_pieces(mixed: dict[str, Trial]) -> None:
    done = mixed["out_of_memory"]
    assert (done.status, done.reports[0].metrics["pieces"]) == (Status.COMPLETED, 4.0)


def test_a_train_function_may_leave_early(mixed: dict[str, Trial]) -> None:
    done = mixed["leaves_early"]
    assert (done.status, done.epoch) == (Status.COMPLETED, 2)
    assert done.reason == "the train function returned after epoch 2"


def test_the_others_go_on(mixed: dict[str, Trial]) -> None:
    assert [mixed[way].epoch for way in ("devices", "bowl")] == [3, 3]
    assert len({trial.notes["worker"] for trial in mixed.values()}) == 1


@pytest.mark.examples
def test_a_stopped_trial_trains_no_epoch_more(folder: Path) -> None:
    done = trials(made("bowl", *xs(0.1, 0.2), scheduler=StopAt(2)), folder)
    assert [trial.epoch for trial in done] == [2, 2]
    assert {trial.status for trial in done} == {Status.STOPPED}


@pytest.mark.examples
@pytest.mark.parametrize(("share", "at_once"), [(0.5, 2), (1.0, 1)])
def test_trials_share_a_device(folder: Path, tmp_path: Path, share: float, at_once: int) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    configs = [{"x": 0.1 * i, "folder": str(marks), "mates": at_once} for i in range(at_once + 1)]
    trials(
        made(
            "devices",
            *configs,
            budget=Budget(len(configs), 1),
            resources=Resources(cpu=0.5, gpu=share),
            parallel=None,
        ),
        folder,
    )
    seen = [mark.read_text().split() for mark in marks.glob("ran-*")]
    assert {device for _, _, device in seen} == {"0"}
    begins, ends = ([float(mark[i]) for mark in seen] for i in (0, 1))
    overlaps = [
        sum(begin <= moment < end for begin, end in zip(begins, ends, strict=True))
        for moment in begins
    ]
    assert max(overlaps) == at_once


@pytest.mark.examples
def test_an_automatic_share_is_measured_and_then_shared(folder: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    each = {"folder": str(marks), "need": 0.4, "mates": 2}
    configs = [{"x": 0.1 * i, "first": i == 0, **each} for i in range(3)]
    resources = Resources(cpu=0.5, auto_gpu=True)
    done = trials(
        made("hungry", *configs, budget=Budget(3, 8), resources=resources, parallel=None), folder
    )
    assert [trial.status for trial in done] == [Status.COMPLETED] * 3
    assert done[0].attempts > 1, "it has to leave the whole GPU on which it was measured"
    assert max(report.metrics["at_once"] for trial in done for report in trial.reports) == 2


@pytest.mark.examples
@pytest.mark.parametrize("isolate", [False, True])
def test_only_isolated_trials_import_everything_themselves(folder: Path, isolate: bool) -> None:
    done = trials(made("modules", *xs(0.1), budget=Budget(1, 1)), folder, isolate=isolate)
    assert done[0].reports[0].metrics["imported_here"] == isolate


@pytest.mark.examples
def test_slow_unwinding_fails_no_other_trial(folder: Path) -> None:
    done = trials(
        made(
            "slow_to_stop",
            {"x": 0.1, "unwinding": 3.0},
            {"x": 0.2, "unwinding": 0.0},
            scheduler=StopAt(1),
        ),
        folder,
    )
    assert [trial.status for trial in done] == [Status.STOPPED] * 2
    assert [trial.attempts for trial in done] == [1, 1]


def test_a_lost_worker_costs_no_epoch_and_no_retry(folder: Path, tmp_path: Path) -> None:
    (done,) = trials(made("dies_once", {"x": 0.1, "folder": str(tmp_path)}, retries=0), folder)
    assert (done.status, done.attempts) == (Status.COMPLETED, 2)
    assert [report.epoch for report in done.reports] == [1, 2, 3]


@pytest.mark.examples
@pytest.mark.slow
def test_a_trial_that_kills_every_worker_is_given_up_and_the_others_go_on(folder: Path) -> None:
    done = trials(made("dies_always", *xs(0.9, 0.1, 0.2)), folder)
    assert [trial.status for trial in done] == [Status.FAILED, Status.COMPLETED, Status.COMPLETED]
    assert "killed 3 times in epoch 1: its process was killed by SIGKILL" in done[0].reason


@pytest.mark.examples
def test_a_metric_that_no_trial_reports_is_a_mistake(folder: Path) -> None:
    words = "the metric 'loss' was not reported; reported: accuracy, val_los"
    with pytest.raises(SessionError, match=words):
        trials(made("forgets", *xs(0.1, 0.2, 0.3, 0.4)), folder)


@pytest.mark.examples
def test_a_metric_that_one_trial_does_not_report_fails_that_trial(folder: Path) -> None:
    """Even if it is the first one; and it is not tried again, for it would be the same again."""
    configs = [{"x": 0.1, "way": "forgets"}, {"x": 0.2, "way": "bowl"}]
    done = trials(made("one_way", *configs, retries=1), folder)
    assert [trial.status for trial in done] == [Status.FAILED, Status.COMPLETED]
    assert [trial.attempts for trial in done] == [1, 1]
    assert "the metric 'loss' was not reported" in done[0].reason


@pytest.mark.examples
def test_a_module_that_does_not_import_is_a_mistake(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text("import no_such_package\n\n\ndef train(config, run):\n    pass\n")
    with pytest.raises(
        SessionError,
        match="does not import: ModuleNotFoundError: No module named 'no_such_package'",
    ):
        trials(made("bowl", *xs(0.1), trainable=f"{path}:train"), folder)


@pytest.mark.examples
def test_a_promoted_trial_goes_on_from_its_checkpoint(folder: Path) -> None:
    """A trial that was promoted has the numbers of an uninterrupted training.

    Each epoch is trained once, and its checkpoint is kept until then.
    """
    drawn = xs(*(0.1 * i for i in range(9)))
    paused = trials(
        made("noisy", *drawn, scheduler=Asha(grace=1), budget=Budget(9, 9), keep=2), folder
    )
    whole = trials(made("noisy", *drawn, budget=Budget(9, 9)), folder.parent / "whole")
    assert sorted(trial.epoch for trial in paused) == [1, 1, 1, 1, 1, 1, 3, 3, 9]
    assert max(trial.attempts for trial in paused) > 1
    for one, other in zip(paused, whole, strict=True):
        assert [report.epoch for report in one.reports] == list(range(1, one.epoch + 1))
        assert [report.loss for report in one.reports] == [
            report.loss for report in other.reports[: one.epoch]
        ]
    assert len(list(folder.glob("trials/*/last.pt"))) == 2
