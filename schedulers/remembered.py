"""First configurations that earlier runs suggest: they go on while they lead.

The best of them would often be among the best of the whole sweep. But a rung lets one trial go on
for every few that are compared there, so the first trial would end after dozens have begun. One
that is the best of every rung that it has reached, so also of those that came later, goes on before
all others and beside these limits. It takes a place at each rung like any other, so the limits make
up for it. If the past does not hold here, a drawn configuration is soon better, and it waits.

`auto` notes which trials these are (`tune/searchers/memory/`). Measured: `benchmarks/search.md`.
"""

from __future__ import annotations

from raysweep.history import History, Trial

LEAST_OTHERS = 5
"""With so many others at least a trial is compared at the first rung before it leads."""


def leads(trial: Trial, history: History) -> bool:
    """True if earlier runs suggested the trial and no other is better at a rung it has reached."""
    if not trial.is_remembered:
        return False
    reached = [rung for rung in history.rungs.values() if trial.number in rung.by_trial]
    if not reached or len(reached[0]) <= LEAST_OTHERS:
        return False
    return all(rung.rank(rung.by_trial[trial.number]) == 0 for rung in reached)


def first_leading(history: History) -> int | None:
    """The paused trial that leads, by number; of two the one that has trained longer."""
    for level in reversed(history.levels[:-1]):
        rung = history.rungs[level]
        # Only the best of a rung can lead, and equal ones.
        for loss, number in rung.paused:
            if loss > rung.losses[0]:
                break
            if leads(history[number], history):
                return number
    return None
