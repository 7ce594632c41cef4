"""Files about single trials that come and go while a sweep runs: why one failed, and the checkpoints that are kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path

from raysweep.history import Trial
from raysweep.results.analysis.retraining import FOLDER as CONFIRM
from raysweep.results.storage import mirror
from raysweep.schedulers.rungs import promotion_order
from raysweep.text_limits import visible
from raysweep.trainables.runtime.checkpoint import remove_unfinished
from raysweep.tune.controller import SweepController

ERROR = "error.txt"


def write_error(folder: Path, trial: Trial, reason: str, traceback: str) -> None:
    """Write `trials/<trial>/error.txt`: the reason, the configuration and the whole traceback."""
    place = folder / "trials" / trial.id
    place.mkdir(parents=True, exist_ok=True)
    config = json.dumps(trial.config, indent=2, ensure_ascii=False)
    parts = (
        f"{trial.id}, after epoch {trial.epoch}: {reason}",
        f"configuration\n{config}",
        f"traceback\n{traceback}\n",
    )
    (place / ERROR).write_text(visible("\n\n".join(parts)), encoding="utf-8")


@contextmanager
def without_unfinished(folder: Path) -> Iterator[None]:
    """After the body, delete the checkpoints that workers were writing when they were ended."""
    try:
        yield
    finally:
        for trial in chain(folder.glob("trials/*"), folder.glob(f"{CONFIRM}/trials/*")):
            with suppress(OSError):  # the storage may be what ended the session
                remove_unfinished(trial)


class Checkpoints:
    """Keeps the checkpoints of the best `keep` ended trials of a run, the winner's always among them; of all where `keep` is None.

    Where stopped trials may go on, so do the best `keep` of those that rest at each rung; another one whose turn comes after all begins
    again from its first epoch, and what it reported before counts.
    """

    def __init__(self, folder: Path, keep: int | None) -> None:
        self._folder = folder
        self._keep = keep
        self._gone: set[str] = set()

    def collect(self, controller: SweepController) -> None:
        """Delete the checkpoints of ended trials that are no longer among the best. What cannot be deleted stays."""
        if self._keep is None:
            return
        ended = sorted((trial for trial in controller.trials if trial.status.ended), key=_rank)
        resting = _next_to_go_on(controller, self._keep)
        for trial in ended[self._keep :]:
            if trial.id not in self._gone and trial.id not in resting:
                self._gone.add(trial.id)
                mirror.delete_checkpoints(self._folder, trial.id)
                for path in (self._folder / "trials" / trial.id).glob("*.pt"):
                    path.unlink(missing_ok=True)


def _rank(trial: Trial) -> tuple[float, int]:
    return (trial.best.loss if trial.best else math.inf, trial.number)


def _next_to_go_on(controller: SweepController, count: int) -> set[str]:
    """The first `count` at each rung, of those that rest there and may be taken up again."""
    if not controller.sweep.scheduler.promotes or controller.done:
        return set()
    return {
        history[number].id
        for study, history in controller.histories.items()
        for rung in history.rungs.values()
        for number in islice(promotion_order(rung, controller.rankings.get(study)), count)
    }
