"""The best configurations trained again with fresh seeds: `confirm: {top: 3, seeds: 5}`.

The search picks the best of many noisy results, so its winners look better than they are. The
retrainings show what their configurations are worth.

They are a sweep of its own in `confirm/` of the run directory: a study for each finalist, named
after its trial, proposes the same configuration again and again. So they are interrupted, resumed
and shown as any sweep, and the ledger of the search stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from raysweep.formatting import plural
from raysweep.history import Config, Event, History, Status, Trial
from raysweep.results.analysis.racing import beaten
from raysweep.results.analysis.retraining import FOLDER, finalists, retrained_losses
from raysweep.results.storage import ledger
from raysweep.results.storage.mirror import open_ledger
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.search_spaces.language.space import Space
from raysweep.tune.callbacks.base import Callback, Observer
from raysweep.tune.callbacks.recorder import EventRecorder
from raysweep.tune.controller import SweepController
from raysweep.tune.make_job import job
from raysweep.tune.run_folders import RunFolder, write_sweep
from raysweep.tune.sweep import Budget, Sweep

SEED_OFFSET = 1_000_003
"""Added to the sweep's seed, so that no retraining has a seed that the search used. A prime."""


class Race:
    """Which finalists need no further seed. `histories`: those of the retrainings, by finalist."""

    def __init__(self) -> None:
        self.histories: Mapping[str, History] = {}

    def end(self, finalist: str) -> Mapping[str, Any]:
        """Why a finalist needs no further seed, and if it is beaten; {} if it needs one."""
        losses = {name: retrained_losses(one) for name, one in self.histories.items()}
        worse = beaten(losses)
        trained = plural(len(losses.get(finalist, {})), "retraining")
        if finalist in worse:
            reason = f"leaves the race after {trained}: {worse[finalist]} is better"
            return {"reason": reason, "beaten": True}
        if len(worse) == len(losses) - 1 > 0:
            return {"reason": f"has won the race after {trained}"}
        return {}


@dataclass(frozen=True)
class FixedConfig:
    """A searcher that proposes the same configuration again and again; nothing if it is None.

    It is None for a finalist of a former session that is a finalist no longer. `race`: the race
    that the finalist, `name`, is in.
    """

    config: Config | None
    name: str = ""
    race: Race | None = None

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return None if self.why_ended() else self.config

    def why_ended(self) -> Mapping[str, Any]:
        if self.config is None or self.race is None:
            return {}
        return self.race.end(self.name)


@dataclass(frozen=True)
class Retraining:
    """The controller of the retrainings, and the recorder of their ledger."""

    controller: SweepController
    recorder: EventRecorder


def retraining_sweep(
    sweep: Sweep, histories: Mapping[str, History], past: Iterable[Event] = ()
) -> Sweep | None:
    """The sweep that retrains the finalists of another one; None if it is not to do so.

    `past`: the events of its former sessions. Every finalist is trained with the same seeds, so
    that they can be compared pair by pair.
    """
    if sweep.confirm is None:
        return None
    chosen = {trial.id: trial.config for trial in finalists(histories, sweep.confirm.top)}
    former = {event["study"]: None for event in past if event["event"] == "proposed"}
    count, epochs = sweep.confirm.seeds, sweep.budget.epochs
    race = Race() if sweep.confirm.race else None
    finalists_by_name = (former | chosen).items()
    return replace(
        sweep,
        metric=replace(sweep.metric, target=None),
        searchers={name: FixedConfig(one, name, race) for name, one in finalists_by_name},
        scheduler=NoStopping(),
        budget=Budget(count, epochs, count * epochs, interval=sweep.budget.interval),
        seed=sweep.seed + SEED_OFFSET,
        seeds=1,
        most_seeds=1,
        plateau=None,
        keep=None,
        confirm=None,
        enqueue=(),
    )


def is_unfinished(search: SweepController, folder: Path) -> bool:
    """True if a retraining or its test is still to be done."""
    place = folder / FOLDER
    past = ledger.read(place) if (place / ledger.NAME).exists() else []
    sweep = retraining_sweep(search.sweep, search.histories, past)
    if sweep is None:
        return False
    controller = SweepController(sweep, past=past)
    return not controller.done or bool(untested(controller))


@contextmanager
def retraining(
    search: SweepController, folder: Path, observer: Observer, callbacks: Sequence[Callback]
) -> Iterator[Retraining]:
    """The retrainings of a search whose run directory is `folder`, ready to be run.

    The best epoch of each is evaluated on the test split.
    """
    run = RunFolder(folder / FOLDER, open_ledger(folder / FOLDER))
    observer.say(f"training the best again with fresh seeds, for the test split: {run.path}")
    try:
        sweep = retraining_sweep(search.sweep, search.histories, run.ledger.past)
        assert sweep is not None
        write_sweep(run.path, search.sweep)
        recorder = EventRecorder(run, sweep, observer, callbacks)
        run.opened(sweep)
        make_job = partial(job, sweep, run.path, test=True)
        controller = SweepController(sweep, recorder, recorder.past, make_job=make_job)
        _join(sweep, controller.histories)
        for trial in untested(controller):
            controller.returned(trial, "its test is missing")
        yield Retraining(controller, recorder)
        run.closed(controller)
        recorder.close(controller)
    finally:
        run.close()


def _join(sweep: Sweep, histories: Mapping[str, History]) -> None:
    """Let the finalists race by what their retrainings report."""
    for searcher in sweep.searchers.values():
        if isinstance(searcher, FixedConfig) and searcher.race is not None:
            searcher.race.histories = histories


def untested(controller: SweepController) -> list[Trial]:
    """The trials that were trained to the end but not tested, because the session ended first."""
    return [
        trial
        for trial in controller.trials
        if trial.status is Status.COMPLETED and not {"test", "untested"} & set(trial.notes)
    ]
