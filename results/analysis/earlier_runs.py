"""What a sweep took from earlier runs (`memory`), in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raysweep.formatting import plural
from raysweep.history import Event, Trial


def sentences(events: Iterable[Event], trials: Sequence[Trial]) -> list[str]:
    """Which earlier runs were remembered, and what became of them; [] if none were."""
    remembered: list[str] = []
    assessments: dict[str, Event] = {}
    for event in events:
        if event["event"] == "remembered":
            remembered = [source["run"] for source in event["sources"]]
        elif event["event"] == "memory":
            assessments[event["study"]] = event
    if not remembered:
        return []
    first = sum(trial.notes.get("memory") == "first configuration" for trial in trials)
    said = f"{plural(first, 'first configuration')} came from earlier runs: {', '.join(remembered)}"
    return [said, *map(assessment, assessments.values())]


def assessment(event: Event) -> str:
    """Which earlier runs a study uses and drops, now that its own trials have told."""
    parts = []
    if event["used"]:
        parts.append(f"{', '.join(event['used'])} told which trials would be good")
    if event["dropped"]:
        are = "is" if len(event["dropped"]) == 1 else "are"
        parts.append(f"{', '.join(event['dropped'])} did not, and {are} left out")
    return f"memory of {event['study']}: {'; '.join(parts)}"
