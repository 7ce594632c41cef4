"""What to do next with a sweep, each with the command as the user can type it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.formatting import number, plural
from raysweep.history import Status, Trial
from raysweep.results.storage.mirror import display_path
from raysweep.results.storage.run_directory import RunDirectory, RunError

LATE = 0.75
"""If the best value was found after this part of the trials, more trials may well find a better."""
MIN_TRIALS = 10
"""With fewer trials, when the best one came says nothing."""
MORE = 0.5
"""How many more trials are suggested, as a part of those that there are."""

Step = dict[str, str]


def next_steps(
    run: RunDirectory, trials: Sequence[Trial], bounds: Sequence[Mapping[str, Any]], live: bool
) -> list[Step]:
    """Suggestions, the most urgent first: `why`, a sentence, and `command`.

    bounds: as `good_ranges` gives them. live: the sweep is running; only its trials can be advised
    on then.
    """
    place = display_path(run.path)
    steps = _retries(place, trials, live)
    if live:
        return steps
    if run.end_reason is None:
        return [
            *steps,
            _step("The sweep was interrupted. Continue it:", "raysweep", "resume", place),
        ]
    return [
        *steps,
        *longer(run),
        *_wider(run, place, bounds),
        *_more(run, place, trials),
        *_export(run, place),
    ]


def longer(run: RunDirectory) -> list[Step]:
    """Train the best trial to the end, if it was stopped before.

    A scheduler that stops trials for good can have done so, or a budget that was spent.
    """
    try:
        best = run.best.trial
    except RunError:
        return []
    full = max(run.levels, default=0)
    has_front = run.objectives is not None and len(run.objectives.objectives) > 1
    if has_front or best.status is not Status.STOPPED or best.epoch >= full:
        return []
    at, interval = run.interval.trained, run.interval
    why = f"The best trial was stopped after {at(best.epoch)} of {at(full)}. Train it to the end:"
    place = display_path(run.path)
    length = f"{interval.unit}={interval.position(full):.12g}"
    longer = shlex.join(["raysweep", "continue", place, best.id, length])
    return [{"why": why, "command": f"{longer} && {shlex.join(['raysweep', 'resume', place])}"}]


def _step(why: str, *words: str) -> Step:
    return {"why": why, "command": shlex.join(words)}


def _retries(place: str, trials: Sequence[Trial], live: bool) -> list[Step]:
    failed = [trial for trial in trials if trial.status in (Status.FAILED, Status.OOM)]
    if not failed:
        return []
    why = f"{plural(len(failed), 'trial')} failed. Once the cause is mended, run them again:"
    if live:
        why = (
            f"{plural(len(failed), 'trial')} failed. Once the cause is mended, run the last again:"
        )
        return [_step(why, "raysweep", "retry", place, failed[-1].id)]
    return [_step(why, "raysweep", "resume", place, "--retry-failed")]


def _wider(run: RunDirectory, place: str, bounds: Sequence[Mapping[str, Any]]) -> list[Step]:
    """A new sweep with more room at all bounds that the best trials touch."""
    ranges: dict[tuple[str, str], list[float]] = {}
    for bound in bounds:
        if bound["wider"] is None:
            continue
        low, high = ranges.get((bound["name"], bound["kind"]), bound["wider"])
        wider = bound["wider"]
        ranges[bound["name"], bound["kind"]] = [min(low, wider[0]), max(high, wider[1])]
    if not ranges:
        return []
    words = ["raysweep", "run", "--space", f"{place}/sweep.yaml", "--name", f"{run.name}-wider"]
    for (name, kind), (low, high) in ranges.items():
        words += ["--set", f"space.{name}.{kind}=[{low:g}, {high:g}]"]
    names = " and ".join(name for name, _ in ranges)
    return [_step(f"The best trials touch a bound of {names}. Search a wider range:", *words)]


def _more(run: RunDirectory, place: str, trials: Sequence[Trial]) -> list[Step]:
    """More trials, if the best one came late and the budget counts trials."""
    before = (run.sweep.get("budget") or {}).get("trials")
    if before is None or len(trials) < MIN_TRIALS or len(run.histories) > 1:
        return []
    try:
        best = run.best.trial
    except RunError:
        return []
    if best.number < LATE * len(trials):
        return []
    more = max(1, round(before * MORE))
    why = (
        f"The best trial was number {number(best.number + 1)} of {number(len(trials))}, so the "
        f"search was still finding better ones. Train {more} more:"
    )
    extend = shlex.join(["raysweep", "extend", place, f"trials=+{more}"])
    return [{"why": why, "command": f"{extend} && {shlex.join(['raysweep', 'resume', place])}"}]


def _export(run: RunDirectory, place: str) -> list[Step]:
    try:
        best = run.with_checkpoint(run.best, download=False)
    except RunError:
        return []
    if not best.has_state or (run.path / "best").is_dir():
        return []
    why = "Write the best model into a folder that loads without raysweep:"
    return [_step(why, "raysweep", "export", place)]
