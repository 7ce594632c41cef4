"""What becomes of the trials of former sessions, and of those that a budget had ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from raysweep.history import APPLIED, Event, Status, Trial
from raysweep.repeats import REPEATS
from raysweep.tune import retries

if TYPE_CHECKING:
    from raysweep.tune.controller import SweepController


def restore(controller: SweepController, past: list[Event]) -> None:
    """Queue the trials that former sessions left unfinished, in the order of their turns."""
    waiting = controller.state.budgets.waiting
    for trial in _unfinished(controller):
        waiting.append(trial)
    places = _places(past)
    controller.state.budgets.waiting = deque(sorted(waiting, key=lambda trial: places[trial.id]))
    controller.settle()


def _unfinished(controller: SweepController) -> Iterable[Trial]:
    """The trials that a former session left unfinished.

    If the last report of such a trial was never judged, it is judged now.
    """
    for history in controller.histories.values():
        for trial in history:
            if trial.status is Status.STOPPED:
                controller.stop_by_hand(trial)
            if trial.status.ended:
                continue
            if trial.status is Status.RUNNING:
                controller.left_running.add(trial.id)
            history.close(trial.number, Status.WAITING, trial.reason)
            if controller.stop_by_hand(trial):
                continue
            if not trial.reports or not controller.judge(trial).stop:
                yield trial


def reopen(controller: SweepController, failed: bool) -> None:
    """Queue the trials that ended only because the budget was smaller then.

    With `failed`, also those that failed or ran out of memory.
    """
    reopen_limited(controller)
    for trial in list(controller.trials):
        if failed and trial.status in (Status.FAILED, Status.OOM):
            controller.returned(trial, "retried", retries.FORGIVEN)
    if not failed:
        _end_as_before(controller)


def reopen_limited(controller: SweepController) -> None:
    """Let the trials continue that ended only because the budget was smaller then."""
    for trial in list(controller.trials):
        unfinished = trial.notes.get("limited") and trial.epoch < controller.epochs_of(trial)
        if REPEATS in trial.notes and trial.status is Status.COMPLETED:
            continue  # it is of the shorter budget; who wins with the longer one is not known yet
        if unfinished and trial.status.ended and controller.state.budgets.may_extend(trial.study):
            _reopen(controller, trial)
    controller.settle()


def _reopen(controller: SweepController, trial: Trial) -> None:
    """Let a trial continue as the scheduler decides: what was its last epoch is a rung now.

    If paused trials are promoted, it waits for that beside the others of its rung.
    """
    grown, completed = {"limited": False}, trial.status is Status.COMPLETED
    history = controller.histories[trial.study]
    rung, audited = history.last_rung(trial), "audited" in trial.notes
    if completed and controller.sweep.scheduler.promotes and rung is not None and not audited:
        at = controller.sweep.budget.interval.at(rung.level)
        controller.ended(trial, Status.STOPPED, f"the budget grew: compared at {at} again", grown)
        return
    controller.returned(trial, "the budget grew", grown)
    if completed and trial.reports and controller.judge(trial).stop:
        controller.state.budgets.waiting.remove(trial)


def _end_as_before(controller: SweepController) -> None:
    """Stop if a former session reached the target, the plateau, the worth or the end of the time.

    What a person has asked for since is trained all the same, unless no time is left.
    """
    for history in controller.histories.values():
        if history.best is not None:
            controller.check_target(history.best[0], history.best[1].loss)
    if all(trial.notes.get("asked") for trial in controller.state.budgets.waiting):
        controller.check_plateau()
        controller.check_worth()
    if controller.state.stopping and controller.upcoming.work_left(asked_only=True):
        controller.state.ended_before, controller.state.stopping = controller.state.stopping, ""
    controller.check_time()


def _places(past: list[Event]) -> dict[str, float]:
    """The order in which unfinished trials continue, by name: the place in the ledger at which each
    was queued. Those that were running come first."""
    places: dict[str, float] = {}
    for place, event in enumerate(past):
        if event["event"] == "proposed":
            places[f"{event['study']}-{event['number']}"] = place
        elif event["event"] in ("returned", "promoted"):
            places[event["trial"]] = place
        elif event["event"] == "command" and event["outcome"] == APPLIED:
            places[event["arguments"].get("trial", "")] = place
        elif event["event"] == "started":
            places[event["trial"]] = -1.0 / (1 + place)
    return places
