"""What people's commands have changed in a sweep, as its ledger says.

A command reaches a sweep as an event `command`, which is on disk before it takes effect. So the
state here is a function of the ledger alone: a session that resumes a run finds it as the former
one left it, and a command counts once however often its session is killed. What a command changes
in a trial is in the event's `notes`, and `raysweep.history.apply` changes the trial.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from raysweep.history import APPLIED, Config, Event, split_id

STOPPED_BY_HAND = "stopped by hand"
"""Why a trial or a session ended that a person's command has stopped."""


@dataclass(frozen=True)
class Queued:
    """A configuration that is to be trained before what the searchers propose.

    study: which one trains it; None for the study that has spent least by then. asked: a person
    asked for it by a command, so it is trained even if the budget is spent. notes: what its trial
    is to have, as the `parent` with whose checkpoint it begins.
    """

    config: Config
    study: str | None = None
    asked: bool = True
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """A text that a person attached to a sweep, or to a trial if `trial` is not empty.

    author: as `user@host`, if it is known. time: in Unix seconds.
    """

    text: str
    trial: str = ""
    author: str = ""
    time: float = 0.0


@dataclass
class Steering:
    """The state that commands have led to.

    ids: of all commands that the ledger holds, and of those that it says are withdrawn. budget:
    limits of the budget that were extended, by name. space: other ranges of parameters, by name.
    parallel: the most trials at once; None if no command has set it. paused: whether nothing is to
    be started. queue: the configurations that wait to be trained, by key, in order. notes: in
    order. tags: by the name of a trial; of the sweep under "".
    """

    ids: set[str] = field(default_factory=set)
    budget: dict[str, float] = field(default_factory=dict)
    space: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    parallel: int | Literal["auto"] | None = None
    paused: bool = False
    # Its first entry is found at once however many were taken out before, unlike a dict's.
    queue: OrderedDict[str, Queued] = field(default_factory=OrderedDict)
    notes: list[Note] = field(default_factory=list)
    tags: dict[str, list[str]] = field(default_factory=dict)

    def parallel_of(self, sweep: Mapping[str, Any]) -> int | str:
        """The most trials at once by the last command, or by the file of a sweep; or `auto`."""
        found = self.parallel or sweep.get("parallel")
        return found if isinstance(found, int) else "auto"

    def apply(self, event: Event) -> None:
        """Change the state as an event of the ledger says."""
        kind = event["event"]
        if kind == "proposed":
            self.queue.pop(event.get("notes", {}).get("enqueued", ""), None)
        elif kind == "closed":
            self.paused = False  # a session that was ended on purpose ends the pause too
        elif kind == "command":
            self.ids.add(event["id"])
            if event["outcome"] == APPLIED:
                self._command(event, event["arguments"])

    def _command(self, event: Event, arguments: Mapping[str, Any]) -> None:
        match event["command"]:
            case "pause":
                self.paused = True
            case "resume":
                self.paused = False
            case "extend":
                self.budget |= arguments
            case "set":
                self.parallel = arguments.get("parallel", self.parallel)
                self.space |= arguments.get("space", {})
            case "continue" if "config" in arguments:
                self.queue[f"{event['id']}.0"] = _child(event, arguments)
            case "enqueue":
                self._enqueue(event["id"], arguments)
            case "note":
                trial, author = arguments.get("trial", ""), event.get("author", "")
                self.notes.append(Note(arguments["text"], trial, author, event["time"]))
            case "withdraw":
                self.ids.add(arguments["withdrawn"])  # so no session carries it out
            case "tag":
                self._tag(arguments)

    def _enqueue(self, command: str, arguments: Mapping[str, Any]) -> None:
        for index, config in enumerate(arguments["configurations"]):
            self.queue[f"{command}.{index}"] = Queued(config, arguments.get("study"))

    def _tag(self, arguments: Mapping[str, Any]) -> None:
        trial = arguments.get("trial", "")
        tags = [tag for tag in self.tags.get(trial, []) if tag not in arguments["tags"]]
        if not arguments.get("remove"):
            tags += arguments["tags"]
        self.tags[trial] = tags


def _child(event: Event, arguments: Mapping[str, Any]) -> Queued:
    """The trial that continues another one with changed parameters."""
    parent = arguments["trial"]
    notes = {"parent": parent, "from": event["from"], "epochs": event["length"]}
    return Queued(arguments["config"], split_id(parent)[0], notes=notes)


def steering(events: Iterable[Event]) -> Steering:
    """The state after the events of a ledger."""
    state = Steering()
    for event in events:
        state.apply(event)
    return state
