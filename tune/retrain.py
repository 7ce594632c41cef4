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

from raysweep.history import Config, Event, History, Status, Trial
from raysweep.results.analysis.retraining import FOLDER, finalists
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


@dataclass(frozen=True)
class FixedConfig:
    """A searcher that proposes the same configuration again and again; nothing if it is None.

    It is None for a finalist of a former session that is a finalist no longer.
    """

    config: Config | None

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return self.config


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
    return replace(
        sweep,
        metric=replace(sweep.metric, target=None),
        searchers={name: FixedConfig(config) for name, config in (former | chosen).items()},
        scheduler=NoStopping(),
        budget=Budget(count, epochs, count * epochs, interval=sweep.budget.interval),
        seed=sweep.seed + SEED_OFFSET,
        seeds=1,
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
        for trial in untested(controller):
            controller.returned(trial, "its test is missing")
        yield Retraining(controller, recorder)
        run.closed(controller)
        recorder.close(controller)
    finally:
        run.close()


def untested(controller: SweepController) -> list[Trial]:
    """The trials that were trained to the end but not tested, because the session ended first."""
    return [
        trial
        for trial in controller.trials
        if trial.status is Status.COMPLETED and not {"test", "untested"} & set(trial.notes)
    ]
