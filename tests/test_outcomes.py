"""Every way in which a trial can end, silent and printing, on a real Ray.

All trials of a sweep run in one worker, one after the other, so that each shows as well what the
one before it left behind: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from raysweep.history import History, Status, Trial
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.tune.sweep import Budget
from tests.test_engine import made, trials

pytestmark = pytest.mark.ray


@dataclass(frozen=True)
class End:
    """How a trial of that kind must end."""

    status: Status
    epochs: int
    reason: str
    trace: str = ""
    """A part of the traceback, or of the last lines of the log."""
    attempts: int = 1
    note: str = ""
    """A part of the note on what happened after the last epoch."""


BOOM = "RuntimeError: boom of my own"
EXIT = "the train function called sys.exit('bye')"
ENDS = {
    "completes": End(Status.COMPLETED, 3, "trained all 3 epochs"),
    "raises_first": End(Status.FAILED, 0, BOOM, "in raises"),
    "raises": End(Status.FAILED, 1, BOOM, "in raises"),
    "raises_after": End(Status.COMPLETED, 3, "trained all 3 epochs", "in raises", note=BOOM),
    "early": End(Status.COMPLETED, 1, "the train function returned after epoch 1"),
    "out_of_memory": End(
        Status.OOM, 1, "OutOfMemoryError: CUDA out of memory.", "in out_of_memory"
    ),
    "mistake": End(Status.FAILED, 1, "there are no data", "in mistake"),
    "nan": End(Status.DIVERGED, 1, "epoch 1: loss is not finite"),
    "stopped": End(Status.STOPPED, 2, "epoch 2: enough"),
    "killed": End(Status.COMPLETED, 3, "trained all 3 epochs", attempts=2),
    "exits": End(Status.FAILED, 1, EXIT, "in exits"),
    "exits_after": End(Status.COMPLETED, 3, "trained all 3 epochs", "in exits", note=EXIT),
    "exits_at_once": End(Status.FAILED, 1, "its process ended with exit code 3"),
    "crashes": End(
        Status.FAILED, 1, "its process was ended by SIGSEGV", "Fatal Python error: Segmentation"
    ),
    "terminated": End(Status.FAILED, 1, "its process was ended by SIGTERM"),
    "interrupted": End(Status.FAILED, 1, "the train function raised KeyboardInterrupt"),
    "closed": End(Status.FAILED, 1, "the train function raised GeneratorExit"),
    "deadlocks": End(
        Status.FAILED, 1, "no report, no CPU or GPU time and no input or output", "in deadlocks"
    ),
}
PAIRS = [(kind, loud) for kind in ENDS for loud in (False, True) if loud or kind != "deadlocks"]
"""A hang takes a while to be found; one that prints is enough."""


@dataclass(frozen=True)
class StopsOneKind:
    """Stops the trials whose kind says so, after epoch 2."""

    promotes: ClassVar[bool] = False

    def levels(self, epochs: int) -> tuple[int, ...]:
        return (epochs,)

    def decide(self, trial: Trial, history: History, ranking: Ranking | None) -> Decision:
        enough = trial.config["kind"] == "stopped" and trial.epoch == 2
        return Decision(True, "epoch 2: enough") if enough else CONTINUE

    def promote(
        self, history: History, ranking: Ranking | None, *, budget_exhausted: bool
    ) -> int | None:
        return None


@dataclass(frozen=True)
class Swept:
    """The trials by their kinds and whether they print, and the run folder."""

    folder: Path
    trials: dict[tuple[str, bool], Trial]

    def log(self, trial: Trial) -> Path:
        return self.folder / "logs" / f"{trial.id}.log"


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, ray_here: Any) -> Swept:
    place = tmp_path_factory.mktemp("outcomes")
    configs = [{"x": 0.5, "kind": kind, "loud": loud, "folder": str(place)} for kind, loud in PAIRS]
    sweep = made(
        "-",
        *configs,
        trainable="tests.habits:train",
        budget=Budget(len(configs), 3),
        scheduler=StopsOneKind(),
        retries=0,
        on_oom=("skip",),
        hang_after=12.0,
    )
    done = trials(sweep, place / "run")
    found = {(trial.config["kind"], trial.config["loud"]): trial for trial in done}
    return Swept(place / "run", found)


@pytest.mark.parametrize(("kind", "loud"), PAIRS)
def test_a_trial_ends_as_it_should(swept: Swept, kind: str, loud: bool) -> None:
    trial, end = swept.trials[kind, loud], ENDS[kind]
    assert (trial.status, trial.epoch, trial.attempts) == (end.status, end.epochs, end.attempts)
    assert trial.reason.startswith(end.reason)
    assert end.trace in trial.notes.get("traceback", "")
    assert end.note in trial.notes.get("afterwards", "")


def test_no_trial_finds_anything_of_the_one_before_it(swept: Swept) -> None:
    found = {
        kind: [report.metrics["left"] for report in trial.reports]
        for kind, trial in swept.trials.items()
    }
    assert {kind: left for kind, left in found.items() if any(left)} == {}


def test_all_were_trained_by_one_worker(swept: Swept) -> None:
    workers = {trial.notes.get("worker") for trial in swept.trials.values() if trial.reports}
    assert len(workers) == 1


@pytest.mark.parametrize("kind", sorted({*ENDS} - {"crashes", "deadlocks"}))
def test_a_silent_one_has_no_log(swept: Swept, kind: str) -> None:
    assert not swept.log(swept.trials[kind, False]).exists()


@pytest.mark.parametrize("kind", ENDS)
def test_what_it_printed_is_in_its_log(swept: Swept, kind: str) -> None:
    trial = swept.trials[kind, True]
    text = swept.log(trial).read_text()
    for words in (f"this is {kind}", "to stderr", "INFO", "UserWarning", "native", "epoch 1: 100%"):
        assert words in text
    assert text.count("this is ") == trial.attempts


def test_an_error_is_written_down_with_its_configuration(swept: Swept) -> None:
    text = (swept.folder / "trials" / swept.trials["raises", True].id / "error.txt").read_text()
    assert BOOM in text
    assert '"kind": "raises"' in text
