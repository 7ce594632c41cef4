"""Commands of people to a sweep: each is checked, recorded in the ledger, and takes effect.

A command is checked against the state of the sweep by a function of its kind, which returns what
the ledger is to record: its arguments in full, so that replaying the ledger needs nothing else. A
command that cannot be followed is recorded too, as refused, with the reason. Whatever a command
changes is derived from its event: the state of the sweep by `raysweep.steering`, that of a trial by
`raysweep.history.apply`. So a session that is killed right after the event leaves nothing undone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.formatting import duration, number, plural
from raysweep.history import APPLIED, REFUSED, Event, Status, Trial
from raysweep.results.storage.inbox import Command
from raysweep.search_spaces.file.budget_spec import seconds
from raysweep.search_spaces.language.points import PointError, complete_point, key_of
from raysweep.text_limits import message
from raysweep.tune.controller import SweepController
from raysweep.tune.retries import FORGIVEN
from raysweep.tune.steered import FIELDS

Arguments = Mapping[str, Any]

MAX_CONFIGURATIONS = 10_000
"""Configurations that a command may enqueue."""
MAX_EPOCHS = 10**9
"""More epochs than anything trains."""
MAX_TAG = 100
"""The longest tag, in characters."""
REOPENED = {"stop": None, "by_hand": False, "limited": False, "asked": True}
"""Notes of a trial that a command has reopened: what ended it before counts no longer."""


class Refused(Exception):
    """A command that cannot be followed. The message is the reason, a line for each mistake."""


@dataclass(frozen=True)
class Accepted:
    """What the ledger records of a command.

    reason: what it does, in words. notes: what changes in the notes of its trial.
    """

    arguments: Arguments
    reason: str
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A kind of command: how it is checked, and what follows once it is recorded.

    Most have nothing that follows: the controller goes by the state that it has after the event.
    """

    check: Callable[[SweepController, Arguments], Accepted]
    names: tuple[str, ...] = ()
    follow: Callable[[SweepController, Arguments], None] = lambda controller, arguments: None


def carry_out(command: Command, controller: SweepController, too_late: str = "") -> Event:
    """Check a command, record it, let it take effect if it can be followed, and return its event.

    `too_late`: why it is refused in any case.
    """
    event: Event = {"event": "command", "id": command.id, "command": command.command}
    if command.author:
        event["author"] = command.author
    try:
        if too_late:
            raise Refused(too_late)
        accepted = check(command, controller)
    except Refused as error:
        event |= {"arguments": dict(command.arguments), "outcome": REFUSED, "reason": str(error)}
        controller.obey(event)
        return event
    event |= {"arguments": dict(accepted.arguments), "outcome": APPLIED, "reason": accepted.reason}
    if accepted.notes:
        event["notes"] = dict(accepted.notes)
    controller.obey(event)
    KINDS[command.command].follow(controller, accepted.arguments)
    return event


def check(command: Command, controller: SweepController) -> Accepted:
    """What following a command would record. Raises Refused."""
    kind = KINDS.get(command.command)
    if kind is None:
        known = did_you_mean(command.command, KINDS)
        raise Refused(f"there is no command '{command.command}'{known}")
    for name in command.arguments:
        if name not in kind.names:
            known = did_you_mean(name, kind.names)
            raise Refused(f"{command.command} has no argument '{message(str(name))}'{known}")
    return kind.check(controller, command.arguments)


def _stop(controller: SweepController, arguments: Arguments) -> Accepted:
    now = _flag(arguments, "now")
    if "trial" not in arguments:
        return Accepted({"now": now}, "the session ends" + (" at once" if now else ""))
    trial = _trial(controller, arguments)
    if trial.notes.get("by_hand"):
        raise Refused(f"{trial.id} was stopped by hand already")
    paused = trial.status is Status.STOPPED and controller.sweep.scheduler.promotes
    if trial.status.ended and not paused:
        raise Refused(f"{trial.id} has ended: {trial.status}")
    last = trial.epoch
    if controller.is_in_epoch(trial) and not now:
        last += 1
    when = f"after epoch {last}" if last > trial.epoch else "now"
    return Accepted({"trial": trial.id, "now": now}, f"{trial.id} stops {when}", {"stop": last})


def _end(controller: SweepController, arguments: Arguments) -> None:
    if "trial" in arguments:
        trial = controller.trial(arguments["trial"])
        if not controller.is_running(trial):
            controller.stop_by_hand(trial)
        return
    controller.stop("stopped by hand", interrupted=True)
    if arguments["now"]:
        raise KeyboardInterrupt  # as a second Ctrl-C does


def _pause(controller: SweepController, arguments: Arguments) -> Accepted:
    if controller.steering.paused:
        raise Refused("the sweep is paused already")
    return Accepted({}, "running trials finish their epoch and wait")


def _resume(controller: SweepController, arguments: Arguments) -> Accepted:
    if not controller.steering.paused:
        raise Refused("the sweep is not paused")
    return Accepted({}, "the sweep continues")


def _retry(controller: SweepController, arguments: Arguments) -> Accepted:
    trial = _trial(controller, arguments)
    if trial.status not in (Status.FAILED, Status.OOM):
        raise Refused(f"{trial.id} is {trial.status}; only what failed can be retried")
    reason = f"{trial.id} continues after epoch {trial.epoch}"
    return Accepted({"trial": trial.id}, reason, {**REOPENED, **FORGIVEN})


def _continue(controller: SweepController, arguments: Arguments) -> Accepted:
    trial = _trial(controller, arguments)
    epochs = _whole(arguments, "epochs", MAX_EPOCHS)
    if trial.status in (Status.FAILED, Status.OOM):
        raise Refused(f"{trial.id} is {trial.status}: retry it")
    if trial.status is Status.DIVERGED:
        raise Refused(f"{trial.id} diverged, and would continue from what diverged")
    if epochs <= trial.epoch:
        raise Refused(f"{trial.id} has trained {plural(trial.epoch, 'epoch')}; epochs must be more")
    reason = f"{trial.id} trains to epoch {epochs}"
    return Accepted({"trial": trial.id, "epochs": epochs}, reason, {**REOPENED, "epochs": epochs})


def _reopen(controller: SweepController, arguments: Arguments) -> None:
    controller.requeue(controller.trial(arguments["trial"]))


def _enqueue(controller: SweepController, arguments: Arguments) -> Accepted:
    given, study = arguments.get("configurations"), arguments.get("study")
    if not isinstance(given, list) or not 0 < len(given) <= MAX_CONFIGURATIONS:
        raise Refused(f"expected 1 to {MAX_CONFIGURATIONS:,} configurations")
    if study is not None and study not in controller.studies:
        raise Refused(f"there is no study '{message(str(study))}': {', '.join(controller.studies)}")
    configs, mistakes = [], []
    for index, values in enumerate(given, 1):
        place = f"configuration {index}: " if len(given) > 1 else ""
        if not isinstance(values, dict):
            mistakes.append(f"{place}expected parameters with their values")
            continue
        try:
            configs.append(complete_point(controller.sweep.space, values))
        except PointError as error:
            mistakes += [f"{place}{mistake}" for mistake in error.mistakes]
    if mistakes:
        raise Refused(message("\n".join(mistakes)))
    kept: dict[str, Any] = {"configurations": configs}
    if study is not None:
        kept["study"] = study
    return Accepted(kept, _queued_in_words(controller, configs))


def _queued_in_words(controller: SweepController, configs: list[dict[str, Any]]) -> str:
    """What happens to enqueued configurations, and which were tried or enqueued before."""
    words = f"{plural(len(configs), 'configuration')} will be trained next"
    tried = {key_of(trial.config): trial.id for trial in controller.trials}
    waiting = {key_of(queued.config) for queued in controller.steering.queue.values()}
    for config in configs:
        key = key_of(config)
        if key in tried:
            return f"{words}; the same was trained as {tried[key]}"
        if key in waiting:
            return f"{words}; the same waits already"
        waiting.add(key)
    return words


def _extend(controller: SweepController, arguments: Arguments) -> Accepted:
    if not arguments:
        raise Refused("nothing to extend: expected trials, total_epochs or time")
    limits = {name: _limit(controller, name, value) for name, value in arguments.items()}
    shown = ", ".join(
        f"{name} {duration(limit) if name == 'time' else limit}" for name, limit in limits.items()
    )
    return Accepted(limits, f"the budget is now {shown}")


def _limit(controller: SweepController, name: str, value: Any) -> float:
    """The new limit that `80` or `+50` means."""
    before = getattr(controller.sweep.budget, FIELDS[name])
    if before is None:
        raise Refused(f"{name}: the budget of this sweep does not limit it")
    text = str(value).strip()
    try:
        amount: float = seconds(_plain(text.removeprefix("+")))
    except ValueError:
        raise Refused(f"{name}: expected a limit, as 80 or +50, got {message(text)}") from None
    limit = before + amount if text.startswith("+") else amount
    if name != "time":
        if limit != int(limit):
            raise Refused(f"{name}: expected a whole number, got {message(text)}")
        limit = int(limit)
    if limit <= before:
        raise Refused(f"{name}: is {number(before, 6)}; a budget can only grow")
    return limit


def _plain(text: str) -> float | str:
    """A number, or the text itself if it is none, as `2h30m`."""
    try:
        return float(text)
    except ValueError:
        return text


def _set(controller: SweepController, arguments: Arguments) -> Accepted:
    if set(arguments) != {"parallel"}:
        raise Refused("expected parallel=N, or parallel=auto")
    if arguments["parallel"] == "auto":
        return Accepted({"parallel": "auto"}, "as many trials at once as fit")
    count = _whole(arguments, "parallel", MAX_EPOCHS)
    return Accepted({"parallel": count}, f"at most {plural(count, 'trial')} at once")


def _note(controller: SweepController, arguments: Arguments) -> Accepted:
    text = arguments.get("text")
    if not isinstance(text, str) or not text.strip():
        raise Refused("expected a text")
    return Accepted(_about(controller, arguments) | {"text": message(text.strip())}, "noted")


def _tag(controller: SweepController, arguments: Arguments) -> Accepted:
    tags = arguments.get("tags")
    if not isinstance(tags, list) or not tags or not all(map(_is_tag, tags)):
        raise Refused(f"expected tags: words of at most {MAX_TAG} characters, without spaces")
    kept = _about(controller, arguments) | {"tags": list(dict.fromkeys(tags))}
    if _flag(arguments, "remove"):
        return Accepted(kept | {"remove": True}, "the tags are removed")
    return Accepted(kept, "tagged")


def _is_tag(tag: object) -> bool:
    return isinstance(tag, str) and tag.isprintable() and len(tag.split()) == 1 and len(tag) <= 100


def _about(controller: SweepController, arguments: Arguments) -> dict[str, Any]:
    """The trial that a note or a tag is about; nothing if it is about the sweep."""
    return {"trial": _trial(controller, arguments).id} if "trial" in arguments else {}


def _trial(controller: SweepController, arguments: Arguments) -> Trial:
    name = str(arguments.get("trial"))
    for history in controller.histories.values():
        for trial in history:
            if trial.id == name:
                return trial
    known = did_you_mean(name, (trial.id for trial in controller.trials))
    raise Refused(f"there is no trial '{message(name)}'{known}")


def _whole(arguments: Arguments, name: str, most: int) -> int:
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
        raise Refused(f"{name}: expected a whole number above zero, got {message(str(value))}")
    return value


def _flag(arguments: Arguments, name: str) -> bool:
    value = arguments.get(name, False)
    if not isinstance(value, bool):
        raise Refused(f"{name}: expected true or false, got {message(str(value))}")
    return value


KINDS: Mapping[str, Kind] = {
    "stop": Kind(_stop, ("trial", "now"), _end),
    "pause": Kind(_pause),
    "resume": Kind(_resume),
    "retry": Kind(_retry, ("trial",), _reopen),
    "continue": Kind(_continue, ("trial", "epochs"), _reopen),
    "enqueue": Kind(_enqueue, ("configurations", "study")),
    "extend": Kind(_extend, tuple(FIELDS)),
    "set": Kind(_set, ("parallel",)),
    "note": Kind(_note, ("text", "trial")),
    "tag": Kind(_tag, ("tags", "trial", "remove")),
}
"""The commands by name, with the names of their arguments."""
