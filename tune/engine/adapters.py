"""Two thin adapters between Ray Tune and the loop: Ray asks them what to start and whether to go on, they ask the loop.

Ray pickles both before it starts. They hold a reference to the live conductor that does not travel: nothing here is ever unpickled to
go on, because a sweep resumes from its own ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.callback import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from results.history import Status, Trial
from trainables.attempt import Job
from tune.engine.worker import KEY, pack
from tune.loop import Loop

MOST_LOSSES = 3
"""A trial that loses its worker this often without a new epoch in between has itself to blame."""


class Conductor:
    """Which of Ray's trials trains which of ours, and what to tell the loop of it."""

    def __init__(self, loop: Loop, job: Callable[[Trial], Job], parallel: int, tick: Callable[[], None]) -> None:
        self.loop = loop
        self.mistake = ""
        self.tick = tick
        self._job = job
        self._parallel = parallel
        self._trials: dict[str, Trial] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_gone, ())

    def propose(self, ray_id: str) -> dict[str, Any] | str | None:
        """The job for a new Ray trial; None to wait; FINISHED when the sweep is over."""
        if self.loop.done:
            return str(Searcher.FINISHED)
        if len(self._trials) >= self._parallel:
            return None
        trial = self.loop.next()
        if trial is None:
            return str(Searcher.FINISHED) if self.loop.done else None
        self._trials[ray_id] = trial
        return pack(self._job(trial))

    def started(self, ray_id: str) -> None:
        self.loop.started(self._trials[ray_id])

    def heard(self, ray_id: str, result: dict[str, Any]) -> bool:
        """Take a message in; False where the trial must stop."""
        trial = self._trials.get(ray_id)
        if trial is None:
            return False
        message = (result.get(KEY) or [{}])[0]
        go_on = self._outcome(trial, message["outcome"]) if "outcome" in message else self._report(trial, message)
        if not go_on:
            del self._trials[ray_id]
        return go_on

    def _report(self, trial: Trial, message: dict[str, Any]) -> bool:
        if "epoch" not in message:
            return True
        decision = self.loop.reported(trial, message["epoch"], message["metrics"], message["seconds"], message["notes"])
        if trial.status is Status.COMPLETED:
            return True  # it may have something to do after its last epoch; its outcome comes next
        if not decision.stop and self.loop.stopping:
            self.loop.returned(trial, f"interrupted: {self.loop.stopping}")
            return False
        return not decision.stop

    def lost(self, ray_id: str, error: object) -> None:
        """A worker died, or could not be used: the trial goes on from its checkpoint in another one."""
        trial = self._trials.pop(ray_id, None)
        if trial is None or trial.status.ended:
            return
        text = _first_line(error)
        losses = trial.notes.get("losses", [])
        losses = [*losses, trial.epoch]
        if losses[-MOST_LOSSES:] == [trial.epoch] * MOST_LOSSES:
            status = Status.OOM if _out_of_memory(error) else Status.FAILED
            reason = f"its worker died {MOST_LOSSES} times in epoch {trial.epoch + 1}: {text}"
            self.loop.ended(trial, status, reason, {"losses": losses})
        else:
            self.loop.returned(trial, f"its worker was lost: {text}", {"losses": losses})

    def _outcome(self, trial: Trial, outcome: dict[str, Any]) -> bool:
        status, reason = outcome["status"], outcome["reason"]
        notes = outcome["notes"] | ({"traceback": outcome["trace"]} if outcome["trace"] else {})
        if trial.status.ended:
            if {"test", "untested"} & set(notes):
                self.loop.noted(trial, notes)
            elif status != "completed":
                self.loop.noted(trial, {**notes, "afterwards": f"after its last epoch: {reason}"})
        elif status == "mistake" and not any(history.epochs for history in self.loop.histories.values()):
            self.mistake = reason
            self.loop.stop(reason)
            self.loop.returned(trial, reason)
        elif status == "storage":
            self.loop.stop(reason, interrupted=True)
            self.loop.returned(trial, reason)
        elif status == "completed":
            self.loop.ended(trial, Status.COMPLETED, reason, notes)
        elif status == "oom":
            self.loop.out_of_memory(trial, reason, notes)
        else:
            self.loop.failed(trial, reason, notes)
        return False


def _gone() -> None:
    """What a pickled conductor comes back as."""


def _first_line(error: object) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()] if error else []
    return lines[0].strip() if lines else "no reason given"


def _out_of_memory(error: object) -> bool:
    return "OutOfMemory" in type(error).__name__ + str(error)


class LoopSearcher(Searcher):  # type: ignore[misc]
    """Ray asks it for the next trial."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        return self._conductor.propose(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the scheduler hears of everything, this does not."""

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        pass


class LoopScheduler(FIFOScheduler):  # type: ignore[misc]
    """Ray asks it after every report: the only component that sees them all."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        go_on = self._conductor.heard(trial.trial_id, result)
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._conductor.lost(trial.trial_id, trial.get_pickled_error() or trial.get_error())


class LoopCallback(Callback):  # type: ignore[misc]
    """Ray tells it when a worker takes a trial up, and about ten times a second that time goes by."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._conductor.started(trial.trial_id)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._conductor.tick()


__all__ = ["Conductor", "LoopCallback", "LoopScheduler", "LoopSearcher"]
