"""The commands that are about a trial: stop, retry and continue it."""

from __future__ import annotations

from typing import Any

from raysweep.history import Config, Status, Trial
from raysweep.references import is_script
from raysweep.report_interval import UNITS, amount
from raysweep.results.storage.inbox import Command
from raysweep.search_spaces.language.points import PointError, changed_point, key_of
from raysweep.steering import STOPPED_BY_HAND
from raysweep.text_limits import message
from raysweep.tune.command_checks import Accepted, Arguments, Refused, flag, the_trial
from raysweep.tune.controller import SweepController
from raysweep.tune.limit_commands import length_in_reports
from raysweep.tune.retries import FORGIVEN
from raysweep.tune.script_length import check_longer

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
    controller.stop(STOPPED_BY_HAND, interrupted=True)
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
    """Check `continue`: a trial trains further, to a length in the unit of the sweep.

    With other parameters (`config`), a new trial does, from the checkpoint of the first one.
    """
    trial = the_trial(controller, arguments)
    if "config" in arguments:
        return _child(controller, trial, arguments)
    name, reports = _length(controller, arguments)
    _check_continues(trial)
    interval = controller.sweep.budget.interval
    if reports <= trial.epoch:
        trained = interval.trained(trial.epoch)
        raise Refused(f"{trial.id} has trained {trained}; {name} must be more")
    given = {"trial": trial.id, name: arguments[name]}
    reason = f"{trial.id} trains to {interval.at(reports)}"
    if reports > controller.epochs_of(trial):
        reason += check_longer(controller.sweep)
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


def _child(controller: SweepController, parent: Trial, arguments: Arguments) -> Accepted:
    """Check a `continue` with changed parameters."""
    if parent.status is Status.DIVERGED:
        raise Refused(f"{parent.id} diverged, and would continue from what diverged")
    if parent.epoch == 0:
        raise Refused(f"{parent.id} has no checkpoint: it has reported nothing yet")
    config = _changed(controller, parent, arguments["config"])
    if controller.checkpoints and (why := controller.checkpoints.missing(parent)):
        raise Refused(why)
    interval = controller.sweep.budget.interval
    given: dict[str, Any] = {name: arguments[name] for name in UNITS if name in arguments}
    reports = controller.sweep.budget.epochs
    if given:
        _, reports = _length(controller, arguments)
    if reports <= parent.epoch:
        more = f"{interval.unit}={amount(interval.position(2 * parent.epoch)).replace(',', '')}"
        trained = interval.trained(parent.epoch)
        raise Refused(f"{parent.id} has trained {trained}: say how far, as {more}")
    way = f"from {interval.at(parent.epoch)} to {interval.at(reports)}"
    reason = f"a new trial continues {parent.id} {way}"
    if reports > controller.sweep.budget.epochs:
        reason += check_longer(controller.sweep)
    if is_script(controller.sweep.trainable):
        reason += (
            "; what the script restores from its checkpoint stays as it was, such as an "
            "optimizer's learning rate, unless the script sets it again"
        )
    return Accepted(
        {"trial": parent.id, **given, "config": config},
        reason,
        more={"from": parent.epoch, "length": reports},
    )


def _changed(controller: SweepController, parent: Trial, changes: Any) -> Config:
    """The configuration of a trial with changes. Raises Refused, with a line for each mistake."""
    if not isinstance(changes, dict) or not changes:
        raise Refused("config: expected parameters with their values")
    try:
        config = changed_point(controller.sweep.space, parent.config, changes)
    except PointError as error:
        raise Refused(message("\n".join(error.mistakes))) from None
    if key_of(config) == key_of(parent.config):
        raise Refused(f"{parent.id} has these parameters already; leave them out")
    return config


def keep_checkpoint(controller: SweepController, command: Command) -> None:
    """Keep the checkpoint that a new trial will begin with: the trial may train on meanwhile."""
    if "config" in command.arguments and controller.checkpoints is not None:
        parent = the_trial(controller, command.arguments)
        controller.checkpoints.keep(parent, f"{command.id}.0")


def reopen(controller: SweepController, arguments: Arguments) -> None:
    """Queue the trial of a command that has reopened it."""
    if "config" in arguments:
        return
    controller.requeue(controller.trial(arguments["trial"]))
