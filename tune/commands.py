"""Commands of people to a sweep: each is checked, recorded in the ledger, and takes effect.

A command is checked against the state of the sweep by a function of its kind, which returns what
the ledger is to record: its arguments in full, so that replaying the ledger needs nothing else. A
command that cannot be followed is recorded too, as refused, with the reason. Whatever a command
changes is derived from its event: the state of the sweep by `raysweep.steering`, that of a trial by
`raysweep.history.apply`. So a session that is killed right after the event leaves nothing undone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.formatting import plural
from raysweep.history import APPLIED, REFUSED, Event
from raysweep.report_interval import UNITS
from raysweep.results.storage.inbox import WITHDRAW, Command, is_id
from raysweep.search_spaces.language.points import PointError, complete_point, key_of
from raysweep.text_limits import exception_line, message
from raysweep.tune import limit_commands, space_commands, trial_commands
from raysweep.tune.command_checks import Accepted, Arguments, Refused, flag, the_trial, whole
from raysweep.tune.controller import SweepController

MAX_CONFIGURATIONS = 10_000
"""Configurations that a command may enqueue."""
MAX_TAG = 100
"""The longest tag, in characters."""


@dataclass(frozen=True)
class Kind:
    """A kind of command: how it is checked, and what precedes and follows its record.

    Most have nothing that follows: the controller goes by the state that it has after the event.
    """

    check: Callable[[SweepController, Arguments], Accepted]
    names: tuple[str, ...] = ()
    prepare: Callable[[SweepController, Command], None] = lambda controller, command: None
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
        return _refused(event, command, controller, str(error))
    except Exception as error:
        # It came from outside, and would end this session and each later one that reads it.
        why = f"it cannot be checked, which is a bug: {exception_line(error)}"
        return _refused(event, command, controller, why)
    KINDS[command.command].prepare(controller, command)
    event |= {"arguments": dict(accepted.arguments), "outcome": APPLIED, "reason": accepted.reason}
    event |= accepted.more
    if accepted.notes:
        event["notes"] = dict(accepted.notes)
    controller.obey(event)
    KINDS[command.command].follow(controller, accepted.arguments)
    return event


def _refused(event: Event, command: Command, controller: SweepController, why: str) -> Event:
    """Record that a command was refused."""
    event |= {"arguments": dict(command.arguments), "outcome": REFUSED, "reason": why}
    controller.obey(event)
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


def _pause(controller: SweepController, arguments: Arguments) -> Accepted:
    if controller.steering.paused:
        raise Refused("the sweep is paused already")
    return Accepted({}, "running trials finish their epoch and wait")


def _resume(controller: SweepController, arguments: Arguments) -> Accepted:
    if not controller.steering.paused:
        raise Refused("the sweep is not paused")
    return Accepted({}, "the sweep continues")


def _enqueue(controller: SweepController, arguments: Arguments) -> Accepted:
    given, study = arguments.get("configurations"), arguments.get("study")
    if not isinstance(given, list) or not 0 < len(given) <= MAX_CONFIGURATIONS:
        raise Refused(f"expected 1 to {MAX_CONFIGURATIONS:,} configurations")
    if study is not None and study not in list(controller.studies):
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
    words = f"{plural(len(configs), 'configuration')} will be trained next{_beyond(controller)}"
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


def _beyond(controller: SweepController) -> str:
    """That a configuration is trained besides those that the budget allows; "" if it is not."""
    trials, histories = controller.sweep.budget.trials, controller.histories
    if trials is None or any(
        study not in histories or histories[study].n_configurations < trials
        for study in controller.studies
    ):
        return ""
    return f", beyond the {plural(trials, 'trial')} of the budget, which have all begun"


def _set(controller: SweepController, arguments: Arguments) -> Accepted:
    if not arguments or ("space" in arguments) == ("parallel" in arguments):
        raise Refused("expected parallel=N, parallel=auto, or space.NAME=LOW..HIGH")
    if "space" in arguments:
        return space_commands.change(controller, arguments)
    if arguments["parallel"] == "auto":
        return Accepted({"parallel": "auto"}, "as many trials at once as fit")
    count = whole(arguments, "parallel")
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
    if flag(arguments, "remove"):
        _check_tagged(controller, kept)
        return Accepted(kept | {"remove": True}, "the tags are removed")
    return Accepted(kept, "tagged")


def _check_tagged(controller: SweepController, kept: Mapping[str, Any]) -> None:
    """Raise Refused for a tag that is to be removed but is not there."""
    trial = kept.get("trial", "")
    present = controller.steering.tags.get(trial, [])
    for tag in kept["tags"]:
        if tag not in present:
            known = did_you_mean(tag, present)
            raise Refused(f"{trial or 'the sweep'} has no tag '{message(tag)}'{known}")


def _is_tag(tag: object) -> bool:
    return isinstance(tag, str) and tag.isprintable() and len(tag.split()) == 1 and len(tag) <= 100


def _withdraw(controller: SweepController, arguments: Arguments) -> Accepted:
    """A command that was carried out, or withdrawn before, is in the ledger with its id."""
    name = arguments.get("withdrawn")
    if not isinstance(name, str) or not is_id(name):
        raise Refused("expected the id of a command that waits")
    if name in controller.steering.ids:
        raise Refused("too late: that command has been carried out, refused or withdrawn before")
    return Accepted({"withdrawn": name}, "that command will not be carried out")


def _about(controller: SweepController, arguments: Arguments) -> dict[str, Any]:
    """The trial that a note or a tag is about; nothing if it is about the sweep."""
    return {"trial": the_trial(controller, arguments).id} if "trial" in arguments else {}


KINDS: Mapping[str, Kind] = {
    "stop": Kind(trial_commands.stop, ("trial", "now"), follow=trial_commands.end),
    "pause": Kind(_pause),
    "resume": Kind(_resume),
    "retry": Kind(trial_commands.retry, ("trial",), follow=trial_commands.reopen),
    "continue": Kind(
        trial_commands.longer,
        ("trial", "config", *UNITS),
        trial_commands.keep_checkpoint,
        trial_commands.reopen,
    ),
    "enqueue": Kind(_enqueue, ("configurations", "study")),
    "extend": Kind(limit_commands.extend, limit_commands.NAMES),
    "set": Kind(_set, ("parallel", "space")),
    "note": Kind(_note, ("text", "trial")),
    "tag": Kind(_tag, ("tags", "trial", "remove")),
    WITHDRAW: Kind(_withdraw, ("withdrawn",)),
}
"""The commands by name, with the names of their arguments."""
