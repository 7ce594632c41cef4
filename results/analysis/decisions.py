"""What was decided about each trial on its way: at rungs, by commands and after failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from raysweep.history import APPLIED, Event
from raysweep.report_interval import EVERY_EPOCH, ReportInterval
from raysweep.shown_status import pauses, status_in_words

__all__ = ["decisions", "pauses"]

Decision = dict[str, Any]


def decisions(
    events: Iterable[Event], may_promote: bool = False, interval: ReportInterval = EVERY_EPOCH
) -> dict[str, list[Decision]]:
    """The decisions by trial, in their order: `epoch`, after which it was made, `kind`, `text`.

    kind: continued, paused, stopped, completed, failed, diverged, oom, promoted, returned, audited
    or a command. A trial's first start is none. may_promote: as `pauses` says of the sweep.
    interval: what its trials are measured in, as the texts say it.
    """
    found: dict[str, list[Decision]] = {}
    epochs: dict[str, int] = {}
    for event in events:
        trial = event.get("trial") or event.get("arguments", {}).get("trial")
        if not isinstance(trial, str):  # a refused command may name anything as its trial
            continue
        if event["event"] == "reported":
            epochs[trial] = event["epoch"]
        if (made := _decision(event, epochs.get(trial, 0), may_promote, interval)) is not None:
            found.setdefault(trial, []).append({"epoch": epochs.get(trial, 0), **made})
    return found


def _decision(
    event: Event, epoch: int, may_promote: bool, interval: ReportInterval
) -> Decision | None:
    """What an event decided; None if it decided nothing."""
    kind = event["event"]
    notes = event.get("notes", {})
    if isinstance(audited := notes.get("audited"), Mapping):
        return {"kind": "audited", "text": f"would have been stopped: {audited.get('reason')}"}
    if kind == "ended":
        kind = status_in_words(event["status"], notes, may_promote)
        return {"kind": kind, "text": event["reason"].removeprefix(f"{interval.at(epoch)}: ")}
    if kind in ("promoted", "returned"):
        return {"kind": kind, "text": event["reason"]}
    if kind == "started" and epoch:
        return {"kind": "continued", "text": f"trained on from {interval.at(epoch)}"}
    if (
        kind == "command"
        and event["outcome"] == APPLIED
        and event["command"] not in ("note", "tag")
    ):
        return {"kind": event["command"], "text": event["reason"]}
    return None
