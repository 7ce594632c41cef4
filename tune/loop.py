"""What to do next. The same for Ray's workers and for the simulated clock: both call these methods and obey.

Every change is written as an event first (`write`), then applied by the same function (`apply`) that rebuilds the histories from a ledger.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from results.history import Event, History, Status, Trial, apply, split_id
from schedulers.decision import GO_ON, Decision
from tune.sweep import Arm, Sweep, search_rng, trial_seed


class Loop:
    """The state of a running sweep: its histories, and what each of its arms may still spend."""

    def __init__(
        self,
        sweep: Sweep,
        write: Callable[[Event], None] = lambda event: None,
        past: Iterable[Event] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.sweep = sweep
        self.arms = {arm.name: arm for arm in sweep.arms()}
        self.histories = {name: History(sweep.levels()) for name in self.arms}
        self.stopping = ""
        self._write = write
        self._clock = clock
        self._exhausted: set[str] = set()
        for event in past:
            apply(event, self.histories)
        self._waiting = deque(self._unfinished())

    def _unfinished(self) -> Iterable[Trial]:
        """Trials that a former session left behind, in the order in which they were proposed."""
        for history in self.histories.values():
            for trial in history:
                if not trial.status.ended:
                    history.close(trial.number, Status.WAITING, trial.reason)
                    yield trial

    def trial(self, trial_id: str) -> Trial:
        arm, number = split_id(trial_id)
        return self.histories[arm][number]

    def next(self) -> Trial | None:
        """The trial to start now: one that waits, else a new one of the arm whose turn it is. None: nothing to start at present."""
        if self.stopping:
            return None
        if self._waiting:
            return self._waiting.popleft()
        for arm in sorted(self._open(), key=self._turn):
            trial = self._propose(arm)
            if trial is not None:
                return trial
        return None

    @property
    def done(self) -> bool:
        """Nothing runs, and nothing will be started any more."""
        busy = any(history.running for history in self.histories.values())
        return not busy and (bool(self.stopping) or (not self._waiting and not any(True for _ in self._open())))

    def started(self, trial: Trial, **notes: Any) -> None:
        self._happen({"event": "started", "trial": trial.id, "notes": notes})

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float], seconds: float) -> Decision:
        """Record a report and say whether the trial goes on. A report of an epoch that is already there counts once."""
        if epoch <= trial.epoch:
            return GO_ON
        loss = self.sweep.metric.loss(metrics[self.sweep.metric.name])
        self._happen({"event": "reported", "trial": trial.id, "epoch": epoch, "loss": loss, "metrics": dict(metrics), "seconds": seconds})
        return self.judge(trial)

    def judge(self, trial: Trial) -> Decision:
        """Whether a trial goes on after its last report; ends it where it does not."""
        history = self.histories[trial.arm]
        if not math.isfinite(trial.loss):
            return self._stop(trial, Status.DIVERGED, f"epoch {trial.epoch}: {self.sweep.metric.name} is not finite")
        if trial.epoch >= self.sweep.budget.epochs:
            return self._stop(trial, Status.COMPLETED, f"trained all {trial.epoch} epochs")
        decision = self.sweep.scheduler.decide(trial, history)
        if decision.stop:
            return self._stop(trial, Status.STOPPED, decision.reason)
        return GO_ON

    def ended(self, trial: Trial, status: Status, reason: str, **notes: Any) -> None:
        self._happen({"event": "ended", "trial": trial.id, "status": str(status), "reason": reason, "notes": notes})

    def returned(self, trial: Trial, reason: str, **notes: Any) -> None:
        """Put a trial back that lost its worker or was interrupted; it goes on from its last checkpoint."""
        self._happen({"event": "returned", "trial": trial.id, "reason": reason, "notes": notes})
        self._waiting.append(trial)

    def _stop(self, trial: Trial, status: Status, reason: str) -> Decision:
        self.ended(trial, status, reason)
        return Decision(True, reason)

    def _open(self) -> Iterable[Arm]:
        """The arms that may still propose."""
        budget = self.sweep.budget
        for name, arm in self.arms.items():
            history = self.histories[name]
            if name in self._exhausted or (budget.trials is not None and len(history) >= budget.trials):
                continue
            if budget.total_epochs is None or history.epochs < budget.total_epochs:
                yield arm

    def _turn(self, arm: Arm) -> int:
        """Arms take turns: the one with the fewest trials is next."""
        return len(self.histories[arm.name])

    def _propose(self, arm: Arm) -> Trial | None:
        history = self.histories[arm.name]
        number = len(history)
        config = arm.searcher.suggest(self.sweep.space, history, search_rng(arm.seed, number))
        if config is None:
            self._exhausted.add(arm.name)
            return None
        seed = trial_seed(arm.seed, number)
        self._happen({"event": "proposed", "arm": arm.name, "number": number, "config": config, "seed": seed})
        return history[number]

    def _happen(self, event: Event) -> None:
        event["time"] = self._clock()
        self._write(event)
        apply(event, self.histories)
