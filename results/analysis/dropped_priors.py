"""Which of the user's priors (`around`) the trials of a sweep contradicted, in sentences."""

from __future__ import annotations

from collections.abc import Iterable

from raysweep.history import Event


def sentences(events: Iterable[Event]) -> list[str]:
    """What became of the priors of each study in the end; [] where none was dropped."""
    last = {event["study"]: event for event in events if event["event"] == "priors"}
    return [sentence(event) for event in last.values() if event["dropped"]]


def sentence(event: Event) -> str:
    """Which priors a study has dropped, now that its own trials have told."""
    if not event["dropped"]:
        return f"priors of {event['study']}: its trials contradict none by now, and all count again"
    names = ", ".join(event["dropped"])
    return (
        f"priors of {event['study']}: its trials get better away from `around` of {names}, "
        "so it looks at the whole range alike"
    )
