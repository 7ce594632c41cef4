"""Ask and tell: `raysweep.Study`, for a training loop of one's own. Needs neither Ray nor torch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from raysweep.clock import now
from raysweep.errors import UserError
from raysweep.formatting import plural
from raysweep.fronts import knee
from raysweep.history import Config, Event, Status
from raysweep.references import ASK_AND_TELL
from raysweep.results.storage.front import front_of, point, why_none
from raysweep.tune import recall
from raysweep.tune.controller import SweepController
from raysweep.tune.load import sweep_of
from raysweep.tune.specification import Component, Metric, specified
from raysweep.tune.state import NoLog
from raysweep.tune.sweep import Budget, Sweep

if TYPE_CHECKING:
    from raysweep.history import Trial
    from raysweep.results.storage.ledger import Ledger


class StudyError(UserError):
    """A call of a study or a trial that it cannot follow, in one line."""


class Study:
    """A searcher and a scheduler without a runner: you train, the study proposes and judges.

        import raysweep as rs

        space = {"lr": rs.Float(1e-4, 1.0, log=True)}
        study = rs.Study(space, metric="val_loss", epochs=9, trials=20)
        for trial in study:
            for epoch in range(1, 10):
                loss = (trial.config["lr"] - 0.1) ** 2 / epoch
                if not trial.report(epoch=epoch, val_loss=loss):
                    break
        print(study.best.config, study.best.value)

    `space`, `metric`, `constraints`, `searcher` and `scheduler` are those of `Sweep`; the default
    searcher is that of a sweep, and the default scheduler stops trials but promotes none, because
    a promoted trial must continue from a checkpoint of its own. With `metrics`, a list as in a
    sweep, in place of `metric` there are several objectives, or limits on metrics; every report
    then has all of them, and the answer is the `front`. `epochs` is the length of a full training,
    1 if your trainings report once. `trials` ends the study; without it you decide.

    A `folder` makes the study a run: every event is on disk before it takes effect, `raysweep.load`
    reads it, and the same call continues it. A trial that was asked for and never came to its end
    is asked for again then. Close the study, or use it in a `with` statement, to release the
    folder.

    `memory` is what `auto` learns from: a list of runs and folders of runs, or "auto" for the
    finished studies beside the folder; unlike a sweep, a study learns from none unless it is told.

    The proposals and decisions are those of a sweep with one worker and the same seed. Raises
    UserError for a mistake in an argument, in one line that names it.
    """

    def __init__(
        self,
        space: Mapping[str, Any],
        metric: Metric | None = None,
        *,
        metrics: Sequence[Mapping[str, Any]] | None = None,
        epochs: int = 1,
        trials: int | None = None,
        searcher: Component | None = None,
        scheduler: Component | None = None,
        constraints: Sequence[str] = (),
        folder: str | Path | None = None,
        seed: int = 0,
        memory: Literal["auto", "none"] | Sequence[str] = "none",
    ) -> None:
        budget = {"epochs": epochs, "trials": 1 if trials is None else trials}
        keys: dict[str, Any] = {"searcher": searcher, "scheduler": scheduler, "seed": seed}
        keys |= {"constraints": list(constraints), "metrics": metrics, "memory": memory}
        said = specified(ASK_AND_TELL, space, metric, budget, keys)
        self._sweep = _endless(sweep_of(said)) if trials is None else sweep_of(said)
        if len(self._sweep.searchers) > 1:
            raise StudyError("searcher: a study has one searcher; a sweep compares several")
        if memory == "auto" and folder is None:
            raise StudyError("memory: auto looks beside the folder of a study, which has none")
        self._folder = None if folder is None else Path(folder)
        self._log = LedgerLog(_open(self._folder, self._sweep) if self._folder else None)
        past = self._log.ledger.past if self._log.ledger else []
        opened: Event = {"event": "opened", "time": now(), "levels": list(self._sweep.levels())}
        opened["promotes"] = self._sweep.scheduler.promotes
        self._log.write(opened)
        self._controller = SweepController(self._sweep, self._log, self._remembering(past))
        self._controller.reopen(False)
        self._handles: dict[int, StudyTrial] = {}

    def _remembering(self, past: list[Event]) -> list[Event]:
        """The events of former sessions, and what a new study takes from earlier runs."""
        recalled = recall.recall_once(self._sweep, self._folder or Path("study"), past)
        if recalled is None:
            return past
        event = recalled.event()
        self._log.write(event)
        return [*past, event]

    def ask(self) -> StudyTrial:
        """The trial to train now. Raises StudyError if there is none (see `finished`)."""
        trial = self._next()
        if trial is None:
            raise StudyError(f"nothing to ask for: {self._why_nothing()}")
        return trial

    def tell(
        self,
        trial: StudyTrial,
        value: float | Mapping[str, float] | None = None,
        *,
        failed: bool | str = False,
    ) -> None:
        """End a trial. Without effect if a report ended it already.

        `value` is the final metric of a trial that did not report it; of several metrics it is a
        mapping. `failed` says that the training failed, True or the reason: the searcher takes the
        trial for a bad one. Raises StudyError for a trial that has neither reported nor failed.
        """
        if trial.ended:
            return
        if failed:
            reason = failed if isinstance(failed, str) else "told as failed"
            self._controller.failed(trial._trial, reason, {}, retry=False)
            return
        final = self._sweep.budget.epochs
        if value is not None and not trial.report(final, self._metrics_of(value)):
            return
        if trial.epoch == 0:
            raise StudyError(
                f"trial {trial.number} has reported nothing: tell its value, or failed=True"
            )
        self._controller.ended(trial._trial, Status.COMPLETED, f"told after epoch {trial.epoch}")

    def _metrics_of(self, value: float | Mapping[str, float]) -> Mapping[str, float]:
        """What was told, by the names of the metrics. Raises StudyError for one of several."""
        if isinstance(value, Mapping):
            return value
        if self._sweep.objectives:
            names = ", ".join(self._sweep.metric_names)
            raise StudyError(f"tell: expected a mapping with {names}, got {value!r}")
        return {self._sweep.metric.name: value}

    @property
    def finished(self) -> bool:
        """True if nothing is under way and nothing will be asked for any more."""
        return self._controller.done

    @property
    def trials(self) -> list[StudyTrial]:
        """All trials, in the order in which they were proposed."""
        return [self._handle(trial) for trial in self._controller.trials]

    @property
    def best(self) -> StudyTrial:
        """The trial with the best value; of several metrics, of the first one within the limits.

        Raises StudyError before the first finite one.
        """
        (history,) = self._controller.histories.values()
        if history.best is None:
            raise StudyError(self._why_no_best())
        return self._handle(history.best[0])

    @property
    def front(self) -> list[StudyTrial]:
        """The trials that keep all limits and that no other beats in all objectives.

        The best in the first objective comes first. With a single metric it is the best trial
        alone; [] before the first finite value.
        """
        return [self._handle(trial) for trial in front_of(self._controller.trials)]

    @property
    def knee(self) -> StudyTrial:
        """The trial of the front that is nearest to the best of all objectives at once.

        Raises StudyError if the front is empty.
        """
        trials = front_of(self._controller.trials)
        if not trials:
            raise StudyError(self._why_no_best())
        return self._handle(trials[knee([point(trial.best) for trial in trials if trial.best])])

    def _why_no_best(self) -> str:
        if self._sweep.objectives:
            return why_none(self._controller.trials, self._sweep.objectives)
        return f"no trial has reported a finite {self._sweep.metric.name} yet"

    def close(self) -> None:
        """Release the folder, in which the tables of trials and of reports are written first."""
        if self._log.ledger is None or self._folder is None:
            return
        from raysweep.results.storage.tables import write_tables

        reason = self._controller.stopping or "done"
        interrupted = not self._controller.done
        self._log.write(
            {"event": "closed", "time": now(), "reason": reason, "interrupted": interrupted}
        )
        write_tables(
            self._folder,
            self._controller.histories,
            self._sweep.metric.name,
            objectives=self._sweep.objectives,
            interval=self._sweep.budget.interval,
        )
        self._log.ledger.close()
        self._log.ledger = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[StudyTrial]:
        """Ask until nothing is left. A trial that has not ended by then is told after its turn."""
        while (trial := self._next()) is not None:
            yield trial
            self.tell(trial)

    def _next(self) -> StudyTrial | None:
        trial = self._controller.next()
        if trial is None:
            return None
        self._controller.started(trial)
        handle = self._handle(trial)
        handle._begin()
        return handle

    def _handle(self, trial: Trial) -> StudyTrial:
        return self._handles.setdefault(trial.number, StudyTrial(self._controller, trial))

    def _why_nothing(self) -> str:
        if self._controller.stopping:
            return self._controller.stopping
        (history,) = self._controller.histories.values()
        if not self._controller.done:
            return f"{plural(len(history.running), 'trial')} must report or be told first"
        if self._controller.exhausted:
            return "the searcher has proposed all that it can"
        return f"the study has had its {plural(len(history), 'trial')}"


class LedgerLog(NoLog):
    """Appends events to a ledger; keeps nothing if there is none, or no longer."""

    def __init__(self, ledger: Ledger | None) -> None:
        self.ledger = ledger

    def write(self, event: Event) -> None:
        if self.ledger is not None:
            self.ledger.append(event)


class StudyTrial:
    """A trial of a study: a configuration to train, and what it has reported.

    `number` counts from 0, and `seed` is a seed for its training. `epoch` is the last one that it
    reported: above 0 when it is asked for, it continues an earlier training.
    """

    def __init__(self, controller: SweepController, trial: Trial) -> None:
        self._controller = controller
        self._trial = trial
        self._seconds = 0.0
        self._clock = time.perf_counter()

    def __repr__(self) -> str:
        return f"<trial {self.number}: {self.config}, {self.status}>"

    def _begin(self) -> None:
        """Time its training from now on."""
        self._seconds = self._trial.reports[-1].seconds if self._trial.reports else 0.0
        self._clock = time.perf_counter()

    @property
    def number(self) -> int:
        return self._trial.number

    @property
    def config(self) -> Config:
        return self._trial.config

    @property
    def seed(self) -> int:
        return self._trial.seed

    @property
    def epoch(self) -> int:
        return self._trial.epoch

    @property
    def status(self) -> str:
        """`running`, `waiting`, `completed`, `stopped`, `diverged` or `failed`."""
        return str(self._trial.status)

    @property
    def reason(self) -> str:
        """Why it has the status, in words."""
        return self._trial.reason

    @property
    def ended(self) -> bool:
        """True if it is not to be trained now. A promoting scheduler may take it up again."""
        return self._trial.status is not Status.RUNNING

    @property
    def value(self) -> float | None:
        """The best value of the metric that it reported, of several metrics of the first one.

        None before the first report.
        """
        best = self._trial.best
        return None if best is None else self._controller.sweep.metric.value(best.loss)

    @property
    def metrics(self) -> Mapping[str, float]:
        """All that it reported in its best epoch, by name; {} before the first report."""
        best = self._trial.best
        return {} if best is None else dict(best.metrics)

    def report(
        self, epoch: int, metrics: Mapping[str, float] | None = None, **named: float
    ) -> bool:
        """Report an epoch, counted from 1. Returns True if the training should continue.

        The metrics are keywords, or a mapping if their names are no identifiers. Raises StudyError
        if a metric of the study is missing, for a value that is no number, and for a trial that
        ended.

            keep_going = trial.report(epoch=1, val_loss=0.3)
        """
        if self.ended:
            raise StudyError(f"trial {self.number} is {self.status}: {self.reason}")
        values = self._checked(epoch, {**(metrics or {}), **named})
        seconds = self._seconds + time.perf_counter() - self._clock
        decision = self._controller.reported(self._trial, epoch, values, seconds)
        if self._controller.stopping and not decision.stop:
            self._controller.returned(self._trial, f"interrupted: {self._controller.stopping}")
        return not self.ended

    def _checked(self, epoch: int, metrics: Mapping[str, Any]) -> dict[str, float]:
        """The metrics as numbers. Raises StudyError if they cannot be used."""
        sweep = self._controller.sweep
        if not 1 <= epoch <= sweep.budget.epochs:
            raise StudyError(f"epoch: expected 1 to {sweep.budget.epochs}, got {epoch}")
        for name in sweep.metric_names:
            if name not in metrics:
                raise StudyError(f"report: the metric '{name}' is missing")
        values = {}
        for name, value in metrics.items():
            try:
                values[name] = float(value)
            except (TypeError, ValueError):
                raise StudyError(f"report: {name}: expected a number, got {value!r}") from None
        return values


def _endless(sweep: Sweep) -> Sweep:
    """The same without a number of trials: whoever asks decides when to end."""
    epochs = sweep.budget.epochs
    return replace(
        sweep,
        budget=Budget(None, epochs),
        resolved={**sweep.resolved, "budget": {"epochs": epochs}},
    )


def _open(folder: Path, sweep: Sweep) -> Ledger:
    """The ledger of a study's folder, a new one or that of a former call. Raises UserError."""
    from raysweep.results import environment
    from raysweep.results.storage.ledger import Ledger, LedgerLockedError
    from raysweep.tune import run_folders

    try:
        ledger = Ledger(folder)
    except LedgerLockedError as error:
        raise StudyError(f"{error}; close() releases a study's folder") from None
    except OSError as error:
        raise StudyError(f"{folder} cannot be used: {error.strerror or error}") from None
    try:
        if ledger.past:
            run_folders.check_unchanged(folder, sweep)
        else:
            environment.write(folder)
        run_folders.write_sweep(folder, sweep)
    except BaseException:
        ledger.close()
        raise
    return ledger
