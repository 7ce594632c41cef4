"""The messages of workers, checked and typed. Whatever arrives, the driver continues.

A worker sends `{"epoch", "metrics", "seconds", "notes"}` after each epoch, `{"outcome": {"status",
"reason", "trace", "notes"}}` at the end, and `{"alive": true}` in between
(`trainables/runtime/train_job.py`). A worker with several trials sends their reports and outcomes
in one, `{"group": [...], "said": [...]}` (`trainables/runtime/train_group.py`). Each travels as
`{KEY: [message]}`. `parse` takes any object at all and returns what the ledger can hold: plain
finite JSON, with text that is short and safe to print. A message that cannot be used raises
`MessageError`, which fails that trial alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raysweep.text_limits import ERROR_FILE_CHARACTERS, message, shorten, shorten_traceback, visible

KEY = "raysweep"
"""The key under which messages travel: Ray flattens dictionaries, and leaves lists alone."""

STATUSES = (
    "alone",
    "completed",
    "failed",
    "fails_again",
    "killed",
    "killed_for_memory",
    "misreport",
    "mistake",
    "oom",
    "storage",
)
NAME_CHARACTERS = 200
"""The longest name of a metric or of a note."""
MOST_NESTED = 16
"""How deep a worker's notes may nest. They are two deep at most (`test`)."""
MOST_NOTES = 2**20
"""Bytes that a worker's notes may have in all, as JSON."""
MOST_BITS = 64
"""Of a whole number in the notes; they are process numbers and counts of bytes."""
TEXTS = ("node", "device", "untested")
AMOUNTS = ("pid", "worker", "peak_memory", "device_memory", "memory_growth")
"""Notes that tables and plans compute with."""
DRIVERS_OWN = (
    "accumulation",
    "afterwards",
    "asked",
    "audited",
    "by_hand",
    "ended",
    "enqueued",
    "epochs",
    "failed_attempt",
    "failures",
    "from",
    "limited",
    "losses",
    "parent",
    "share",
    "slows",
    "started",
    "stop",
    "traceback",
    "whole_gpu",
)
"""Notes that the driver writes and decides by; a worker must not."""
NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_SHOWN = 60

Notes = dict[str, Any]


class MessageError(ValueError):
    """A worker's message that cannot be used, with what is wrong with it."""


@dataclass(frozen=True)
class Report:
    """How an epoch went. `seconds`: training time of the trial so far."""

    epoch: int
    metrics: dict[str, float]
    seconds: float
    notes: Notes = field(default_factory=dict)

    def check(self, metric: str, epochs: int) -> None:
        """Raise MessageError if the sweep's `metric` is missing, or if the epoch is above `epochs`.

        An epoch that was reported before is no error: a training that continues from an older
        checkpoint trains it again, and it counts once.
        """
        if metric not in self.metrics:
            names = shorten(", ".join(sorted(self.metrics)), NAME_CHARACTERS) or "nothing"
            raise MessageError(f"the metric '{metric}' was not reported; reported: {names}")
        if self.epoch > epochs:
            raise MessageError(f"epoch {self.epoch} was reported; the last one is {epochs}")


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended by itself. `trace`: the traceback, as much as a file may hold of it."""

    status: str
    reason: str
    trace: str = ""
    notes: Notes = field(default_factory=dict)

    @property
    def all_notes(self) -> Notes:
        """The notes, with as much of the traceback as the ledger has."""
        if not self.trace:
            return self.notes
        return self.notes | {"traceback": shorten_traceback(self.trace)}


@dataclass(frozen=True)
class Group:
    """What happened to the trials of a worker that has several.

    `parts`: a trial's id, and its report or outcome, or what is wrong with its message. `said`:
    how they are trained (`faster`, `slower` or `refused`), and a line that says so.
    """

    parts: tuple[tuple[str, Report | Outcome | MessageError], ...]
    said: tuple[tuple[str, str], ...]


def parse(result: object) -> Report | Outcome | Group | None:
    """The message in what Ray Tune hands on; None if it holds none, or only a sign of life.

    Raises MessageError if the message cannot be used.
    """
    if not isinstance(result, Mapping) or KEY not in result:
        return None
    packed = result[KEY]
    if not isinstance(packed, list | tuple) or len(packed) != 1:
        raise MessageError(f"it is {_shown(packed)}, not a list of one message")
    content = _mapping(packed[0], "the message")
    if "alive" in content:
        return None
    if "group" in content:
        return _group(content)
    if "outcome" in content:
        return _outcome(content["outcome"])
    return _report(content)


def _group(content: Mapping[str, Any]) -> Group:
    parts, said = content["group"], content.get("said", [])
    if not isinstance(parts, list) or not isinstance(said, list):
        raise MessageError("the messages of a group's trials are no list")
    return Group(tuple(map(_part, parts)), tuple(map(_said, said)))


def _part(value: object) -> tuple[str, Report | Outcome | MessageError]:
    """The message of a trial in a group. What is wrong with it fails that trial alone."""
    content = _mapping(value, "the message of a group's trial")
    trial = _name(content.get("trial"), "a trial")
    try:
        if "outcome" in content:
            return trial, _outcome(content["outcome"])
        return trial, _report(_mapping(content.get("report"), "the report"))
    except MessageError as error:
        return trial, error


def _said(value: object) -> tuple[str, str]:
    content = _mapping(value, "what a group says")
    line = content.get("line")
    if not isinstance(line, str):
        raise MessageError(f"what a group says is {_shown(line)}, not a text")
    return _name(content.get("kind"), "a decision"), message(line)


def _report(content: Mapping[str, Any]) -> Report:
    _complete(content, ("epoch", "metrics", "seconds"))
    return Report(
        _epoch(content["epoch"]),
        _metrics(content["metrics"]),
        _seconds(content["seconds"]),
        _notes(content.get("notes", {})),
    )


def _outcome(value: object) -> Outcome:
    content = _mapping(value, "the outcome")
    _complete(content, ("status", "reason"))
    status, reason, trace = content["status"], content["reason"], content.get("trace", "")
    if not isinstance(status, str) or status not in STATUSES:
        raise MessageError(f"status is {_shown(status)}, not one of {', '.join(STATUSES)}")
    if not isinstance(reason, str):
        raise MessageError(f"reason is {_shown(reason)}, not a text")
    if not isinstance(trace, str):
        raise MessageError(f"trace is {_shown(trace)}, not a text")
    whole = shorten_traceback(visible(trace), ERROR_FILE_CHARACTERS)
    return Outcome(status, message(reason), whole, _notes(content.get("notes", {})))


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MessageError(f"{what} is {_shown(value)}, not a mapping")
    return value


def _complete(content: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in content]
    if missing:
        raise MessageError(f"it lacks {', '.join(missing)}")


def _epoch(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < 1 or value.bit_length() > MOST_BITS:
        raise MessageError(f"epoch is {_shown(value)}, not a whole number from 1 on")
    return int(value)


def _seconds(value: object) -> float:
    seconds = _number(value, "seconds")
    if not 0 <= seconds < math.inf:
        raise MessageError(f"seconds is {_shown(value)}, not a time")
    return seconds


def _metrics(value: object) -> dict[str, float]:
    """Metrics by safe names. A value may be NaN or infinite: such a trial has diverged."""
    metrics: dict[str, float] = {}
    for name, number in _mapping(value, "metrics").items():
        if (safe := _name(name, "a metric")) in metrics:
            raise MessageError(f"two metrics are called '{safe}'")
        metrics[safe] = _number(number, f"the metric '{safe}'")
    return metrics


def _name(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise MessageError(f"the name of {what} is {_shown(value)}, not a text")
    return shorten(visible(value), NAME_CHARACTERS)


def _number(value: object, what: str) -> float:
    if not isinstance(value, int | float):
        raise MessageError(f"{what} is {_shown(value)}, not a number")
    try:
        return float(value)
    except OverflowError:
        raise MessageError(f"{what} is too large for a number") from None


def _notes(value: object) -> Notes:
    notes: Notes = _plain(_mapping(value, "notes"), "notes", 0)
    for name in notes:
        _check_note(name, notes[name])
    if len(json.dumps(notes)) > MOST_NOTES:
        raise MessageError(f"notes hold more than {MOST_NOTES:,} bytes")
    return notes


def _check_note(name: str, value: object) -> None:
    """Raise MessageError if a note does not hold what its readers expect."""
    if name in DRIVERS_OWN:
        raise MessageError(f"the note '{name}' is the driver's own")
    if name in TEXTS and not isinstance(value, str):
        raise MessageError(f"the note '{name}' is {_shown(value)}, not a text")
    if name in AMOUNTS and not _is_amount(value):
        raise MessageError(f"the note '{name}' is {_shown(value)}, not an amount")
    if name == "test":
        metrics = _mapping(value, "the note 'test'")
        _metrics({key: _special(number) for key, number in metrics.items()})


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _special(value: object) -> object:
    """A number of the notes that JSON lacks, as a number again."""
    return math.nan if isinstance(value, str) and value in NOT_FINITE else value


def _plain(value: object, place: str, depth: int) -> Any:
    """The value as it comes back from the ledger. Raises MessageError for what JSON cannot say."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return message(value)
    if isinstance(value, int):
        return _whole(value, place)
    if isinstance(value, float):
        return _finite(float(value))
    if depth == MOST_NESTED:
        raise MessageError(f"{shorten(place, NAME_CHARACTERS)} is nested too deep")
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return _plain_mapping(value, place, depth)
    where = shorten(place, NAME_CHARACTERS)
    raise MessageError(f"{where} is {_shown(value)}, which JSON cannot say")


def _plain_mapping(value: Mapping[object, object], place: str, depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        name = _name(key, f"a note in {shorten(place, NAME_CHARACTERS)}")
        plain[name] = _plain(item, f"{place}.{name}", depth + 1)
    return plain


def _whole(value: int, place: str) -> int:
    if value.bit_length() > MOST_BITS:
        raise MessageError(f"{shorten(place, NAME_CHARACTERS)} is a number too large to keep")
    return int(value)


def _finite(value: float) -> float | str:
    """The number, or the text that the ledger has for a number that JSON lacks."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _shown(value: object) -> str:
    """A value of any kind in a few characters, with its type."""
    kind = message(type(value).__name__)
    if isinstance(value, dict | list | tuple):
        return f"of type {kind}, with {len(value)} items"
    try:
        text = repr(value)
    except Exception:  # any class may define it, and a whole number may be too long for one
        return f"of type {kind}"
    return f"{shorten(visible(text), _SHOWN)} ({kind})"
