"""Which checkpoints a run directory keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path

from raysweep.history import Event, Trial
from raysweep.repeats import likely, with_model
from raysweep.results.analysis.retraining import FOLDER as CONFIRM
from raysweep.results.analysis.retraining import finalists
from raysweep.results.storage import mirror
from raysweep.schedulers.rungs import promotion_order
from raysweep.trainables.runtime.checkpoint import remove_unfinished
from raysweep.trainables.runtime.script.process import Paths, checkpoints_of
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.controller import SweepController
from raysweep.tune.sweep import Sweep


@contextmanager
def without_unfinished(folder: Path) -> Iterator[None]:
    """After the body, delete the checkpoints that workers were writing when they were killed."""
    try:
        yield
    finally:
        for trial in chain(folder.glob("trials/*"), folder.glob(f"{CONFIRM}/trials/*")):
            with suppress(OSError):  # the storage may be what ended the session
                remove_unfinished(trial)


class CheckpointRetention(Callback):
    """Keeps the checkpoints of the best `keep` ended trials; of all trials if `keep` is None.

    If the scheduler promotes paused trials, the best `keep` paused ones of each rung keep theirs
    too. Another one that is promoted after all restarts from its first epoch; its former reports
    count. The best `finalists` configurations keep one in any case, because each may be the one
    that is exported once they are trained again; and so do the best `likely` ones of each study by
    the means over their seeds, because the choice may fall on each. Of several seeds it is the
    checkpoint of the first one that still has it.
    """

    def __init__(self, folder: Path, keep: int | None, finalists: int = 0, likely: int = 0) -> None:
        self._folder = folder
        self._keep = keep
        self._finalists = finalists
        self._likely = likely
        self._deleted: set[str] = set()
        self._lost: set[str] | None = None
        """The trials whose checkpoints were gone when the session began."""

    def on_event(self, event: Event, controller: SweepController) -> None:
        if self._keep is None:
            return
        if self._lost is None:
            self._lost = self._find_lost(controller, event.get("trial"))
        if event["event"] == "started":  # it writes new ones, if its own were deleted
            self._deleted.discard(event["trial"])
            self._lost.discard(event["trial"])
        if event["event"] == "ended":
            self._delete_beyond(self._keep, controller)

    def _delete_beyond(self, keep: int, controller: SweepController) -> None:
        """Delete the checkpoints of the ended trials that are not among the best."""
        ended = sorted((trial for trial in controller.trials if trial.status.ended), key=_rank)
        kept = _first_to_promote(controller, keep)
        kept |= {self._seed_kept(first, controller) for first in self._candidates(controller)}
        for trial in ended[keep:]:
            if trial.id not in self._deleted and trial.id not in kept:
                self._deleted.add(trial.id)
                mirror.delete_checkpoints(self._folder, trial.id)
                for path in (self._folder / "trials" / trial.id).glob("*.pt"):
                    path.unlink(missing_ok=True)
                _delete_of_script(self._folder / "trials" / trial.id, trial, controller.sweep)

    def _candidates(self, controller: SweepController) -> Iterator[Trial]:
        """The first trials of the configurations of which one may be exported in the end."""
        yield from finalists(controller.histories, self._finalists)
        for history in controller.histories.values():
            yield from likely(history, self._likely)

    def _seed_kept(self, first: Trial, controller: SweepController) -> str:
        """The training of a configuration that keeps its checkpoint."""
        seeds = with_model(controller.histories[first.study], first)
        gone = self._deleted | (self._lost or set())
        left = (one.id for one in seeds if one.id not in gone)
        return next(left, first.id)

    def _find_lost(self, controller: SweepController, now: str | None) -> set[str]:
        """The trials that ended before and have no checkpoint. `now`: the one of this event."""
        if not self._finalists and not self._likely:
            return set()  # nobody asks, and of object storage it costs a request
        ended = {trial.id for trial in controller.trials if trial.status.ended} - {now}
        return ended - mirror.with_checkpoint(self._folder) if ended else set()


def _delete_of_script(folder: Path, trial: Trial, sweep: Sweep) -> None:
    """Delete the checkpoints that a script saved in its trial's folder."""
    if sweep.command_line is None:
        return
    # Only the trial knows its device. A path with that is found where the trials use no GPU.
    identity = (trial.id, trial.seed, "cpu")
    paths = Paths(Path(sweep.trainable), folder.resolve())
    checkpoints = checkpoints_of(paths, trial.config, identity, sweep.command_line)
    if checkpoints is not None:
        checkpoints.delete()


def _rank(trial: Trial) -> tuple[float, int]:
    return (trial.best.loss if trial.best else math.inf, trial.number)


def _first_to_promote(controller: SweepController, count: int) -> set[str]:
    """The first `count` paused trials of each rung, in the order in which they are promoted."""
    if not controller.sweep.scheduler.promotes or controller.done:
        return set()
    return {
        history[number].id
        for study, history in controller.histories.items()
        for rung in history.rungs.values()
        for number in islice(promotion_order(rung, controller.rankings.get(study)), count)
    }
