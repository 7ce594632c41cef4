"""What was decided about each trial on its way: at rungs, by commands and after failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysweep.history import APPLIED, Event

Decision = dict[str, Any]


def decisions(events: Sequence[Event]) -> dict[str, list[Decision]]:
    """The decisions by trial, in their order: `epoch`, after which it was made, `kind`, `text`.

    kind: started, stopped, completed, failed, diverged, oom, promoted, returned, audited or a
    command. A trial's first start is none.
    """
    found: dict[str, list[Decision]] = {}
    epochs: dict[str, int] = {}
    for event in events:
        trial = event.get("trial") or event.get("arguments", {}).get("trial")
        if trial is None:
            continue
        if event["event"] == "reported":
            epochs[trial] = event["epoch"]
        if (made := _decision(event, epochs.get(trial, 0))) is not None:
            found.setdefault(trial, []).append({"epoch": epochs.get(trial, 0), **made})
    return found


def _decision(event: Event, epoch: int) -> Decision | None:
    """What an event decided; None if it decided nothing."""
    kind = event["event"]
    if audited := event.get("notes", {}).get("audited"):
        return {"kind": "audited", "text": f"would have been stopped: {audited['reason']}"}
    if kind == "ended":
        return {"kind": event["status"], "text": event["reason"]}
    if kind in ("promoted", "returned"):
        return {"kind": kind, "text": event["reason"]}
    if kind == "started" and epoch:
        return {"kind": "continued", "text": f"trained on from epoch {epoch}"}
    if (
        kind == "command"
        and event["outcome"] == APPLIED
        and event["command"] not in ("note", "tag")
    ):
        return {"kind": event["command"], "text": event["reason"]}
    return None
