"""The commands that are about a trial: stop, retry and continue it."""

from __future__ import annotations

from raysweep.history import Status, Trial
from raysweep.report_interval import UNITS
from raysweep.tune.command_checks import Accepted, Arguments, Refused, flag, the_trial
from raysweep.tune.controller import SweepController
from raysweep.tune.limit_commands import length_in_reports
from raysweep.tune.retries import FORGIVEN

REOPENED = {"stop": None, "by_hand": False, "limited": False, "asked": True}
"""Notes of a trial that a command has reopened: what ended it before counts no longer."""


def stop(controller: SweepController, arguments: Arguments) -> Accepted:
    """Check `stop`, of a trial or of the whole session."""
    now = flag(arguments, "now")
    if "trial" not in arguments:
        return Accepted({"now": now}, "the session ends" + (" at once" if now else ""))
    trial = the_trial(controller, arguments)
    if trial.notes.get("by_hand"):
        raise Refused(f"{trial.id} was stopped by hand already")
    paused = trial.status is Status.STOPPED and controller.sweep.scheduler.promotes
    if trial.status.ended and not paused:
        raise Refused(f"{trial.id} has ended: {trial.status}")
    last = trial.epoch
    if controller.is_in_epoch(trial) and not now:
        last += 1
    when = "now"
    if last > trial.epoch:
        when = f"after {controller.sweep.budget.interval.at(last)}"
    return Accepted({"trial": trial.id, "now": now}, f"{trial.id} stops {when}", {"stop": last})


def end(controller: SweepController, arguments: Arguments) -> None:
    """Do what a `stop` that is recorded asks for."""
    if "trial" in arguments:
        trial = controller.trial(arguments["trial"])
        if not controller.is_running(trial):
            controller.stop_by_hand(trial)
        return
    controller.stop("stopped by hand", interrupted=True)
    if arguments["now"]:
        raise KeyboardInterrupt  # as a second Ctrl-C does


def retry(controller: SweepController, arguments: Arguments) -> Accepted:
    """Check `retry`."""
    trial = the_trial(controller, arguments)
    if trial.status not in (Status.FAILED, Status.OOM):
        raise Refused(f"{trial.id} is {trial.status}; only what failed can be retried")
    at = controller.sweep.budget.interval.at(trial.epoch)
    reason = f"{trial.id} continues after {at}"
    return Accepted({"trial": trial.id}, reason, {**REOPENED, **FORGIVEN})


def longer(controller: SweepController, arguments: Arguments) -> Accepted:
    """Check `continue`: a trial trains further, to a length in the unit of the sweep."""
    trial = the_trial(controller, arguments)
    name, reports = _length(controller, arguments)
    _check_continues(trial)
    interval = controller.sweep.budget.interval
    if reports <= trial.epoch:
        trained = interval.trained(trial.epoch)
        raise Refused(f"{trial.id} has trained {trained}; {name} must be more")
    given = {"trial": trial.id, name: arguments[name]}
    reason = f"{trial.id} trains to {interval.at(reports)}"
    return Accepted(given, reason, {**REOPENED, "epochs": reports})


def _length(controller: SweepController, arguments: Arguments) -> tuple[str, int]:
    """The unit that is given and how many reports it means. Raises Refused."""
    given = [unit for unit in UNITS if unit in arguments]
    unit = controller.sweep.budget.interval.unit
    if len(given) != 1:
        raise Refused(f"expected {unit}=N, how far the trial is to be trained")
    return given[0], length_in_reports(controller, given[0], arguments[given[0]])


def _check_continues(trial: Trial) -> None:
    if trial.status in (Status.FAILED, Status.OOM):
        raise Refused(f"{trial.id} is {trial.status}: retry it")
    if trial.status is Status.DIVERGED:
        raise Refused(f"{trial.id} diverged, and would continue from what diverged")


def reopen(controller: SweepController, arguments: Arguments) -> None:
    """Queue the trial of a command that has reopened it."""
    controller.requeue(controller.trial(arguments["trial"]))
