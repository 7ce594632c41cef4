"""The finalists trained again with fresh seeds, to tell luck of search from what a configuration is worth: `confirm: {top: 3, seeds: 5}`.

The retrainings are a sweep of their own in `confirm/` of the run folder: a study for each finalist, called as its trial is, proposes the
one configuration again and again. So they are interrupted, resumed and shown as any sweep, and the ledger of the search stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from raysweep.clock import now
from raysweep.history import Config, Event, History, Status, Trial
from raysweep.results.analysis.retraining import FOLDER, finalists
from raysweep.results.storage import ledger
from raysweep.results.storage.mirror import open_ledger
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.search_spaces.language.space import Space
from raysweep.tune.callbacks.recorder import EventRecorder
from raysweep.tune.callbacks.screen import Observer
from raysweep.tune.controller import SweepController
from raysweep.tune.run_folders import write_sweep
from raysweep.tune.sweep import Budget, Sweep

FRESH = 1_000_003
"""Added to the sweep's seed: no trial of the search was trained with the seeds that follow from it."""


@dataclass(frozen=True)
class Again:
    """Proposes the same configuration, or (None: a finalist of a former session that is none any more) nothing."""

    config: Config | None

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return self.config


def retrainings(
    sweep: Sweep, histories: Mapping[str, History], past: Iterable[Event] = ()
) -> Sweep | None:
    """The sweep that confirms another one, as far as `past` has brought it; None where nothing is to be confirmed.

    Every finalist is trained with the same seeds, so that they can be compared pair by pair.
    """
    if sweep.confirm is None:
        return None
    chosen = {trial.id: trial.config for trial in finalists(histories, sweep.confirm.top)}
    former = {event["study"]: None for event in past if event["event"] == "proposed"}
    searchers = {name: Again(config) for name, config in (former | chosen).items()}
    count, epochs = sweep.confirm.seeds, sweep.budget.epochs
    return replace(
        sweep,
        metric=replace(sweep.metric, target=None),
        searchers=searchers,
        scheduler=NoStopping(),
        budget=Budget(count, epochs, count * epochs),
        seed=sweep.seed + FRESH,
        seeds=1,
        plateau=None,
        keep=None,
        confirm=None,
    )


def unconfirmed(search: SweepController, folder: Path) -> bool:
    """Whether anything of it is still to be done."""
    place = folder / FOLDER
    past = ledger.read(place) if (place / ledger.NAME).exists() else []
    sweep = retrainings(search.sweep, search.histories, past)
    if sweep is None:
        return False
    controller = SweepController(sweep, past=past)
    return not controller.done or bool(untested(controller))


@contextmanager
def confirming(
    search: SweepController, folder: Path, observer: Observer
) -> Iterator[tuple[SweepController, EventRecorder]]:
    """The loop of the retrainings, and what writes their ledger and tables."""
    place = folder / FOLDER
    book = open_ledger(place)
    try:
        sweep = retrainings(search.sweep, search.histories, book.past)
        assert sweep is not None
        write_sweep(place, search.sweep)
        recorder = EventRecorder(place, sweep, book, observer)
        recorder.write({"event": "opened", "time": now(), "levels": list(sweep.levels())})
        controller = SweepController(sweep, recorder, book.past)
        for trial in untested(controller):
            controller.returned(trial, "its test is missing")
        yield controller, recorder
        recorder.write(
            {
                "event": "closed",
                "time": now(),
                "reason": controller.stopping or "done",
                "interrupted": controller.interrupted,
            }
        )
        recorder.finish(controller)
    finally:
        book.close()


def untested(controller: SweepController) -> list[Trial]:
    """What was trained to its end and never tested, because the session ended in between."""
    return [
        trial
        for trial in controller.trials
        if trial.status is Status.COMPLETED and not {"test", "untested"} & set(trial.notes)
    ]
