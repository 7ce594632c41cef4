"""What further seeds of the configurations that could be the best show: `seeds_per_trial: auto`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysweep.formatting import number, plural
from raysweep.history import History, Trial
from raysweep.repeats import is_trained, losses_of
from raysweep.results.analysis.racing import beaten
from raysweep.results.storage.run_directory import RunDirectory

NAMED = 3
"""So many of the configurations that cannot be told from the best are named."""


def worse(losses: Sequence[Sequence[float]]) -> dict[int, int]:
    """The configurations that are certainly worse than others, each with one that is better.

    losses: by configuration, one for each seed. The first one of each decided whether there are
    further ones, so it is no evidence. Those with two further ones or more are compared pair by
    pair as in a race, and the probability that any is named wrongly is at most 5 %, however often
    one looks: so it is proven for configurations that were known beforehand, and measured
    for those that are repeated as they come (`benchmarks/racing.py`).
    """
    fresh = {
        str(place): dict(enumerate(values[1:]))
        for place, values in enumerate(losses)
        if len(values) > 2 and all(map(math.isfinite, values))
    }
    return {int(one): int(other) for one, other in beaten(fresh).items()}


def repeat_findings(run: RunDirectory) -> list[str]:
    """On how many seeds the best rests, and which others cannot be told from it; [] without."""
    if run.sweep.get("seeds_per_trial") is None or run.chosen is None:
        return []
    best = run.chosen[0]
    history = run.histories[best.study]
    values = _values(run, best)
    if len(values) == 1:
        why = "" if is_trained(best, history) else ", and was not trained to its end"
        return [f"{best.id} rests on one seed{why}: its {run.metric} may be luck"]
    line = (
        f"{best.id}: mean {run.metric} {number(sum(values) / len(values))} over "
        f"{plural(len(values), 'seed')} (range {number(min(values))} … {number(max(values))})"
    )
    return [line + _others(best, history)]


def seeds_of_best(run: RunDirectory) -> dict[str, float | None]:
    """The seeds that the best configuration was trained with, and its mean; {} without the key.

    The mean is None if one of the trainings diverged, which only a run without a better one has.
    """
    if run.sweep.get("seeds_per_trial") is None or run.chosen is None:
        return {}
    values = _values(run, run.chosen[0])
    mean = sum(values) / len(values)
    return {"seeds": len(values), "mean": mean if math.isfinite(mean) else None}


def _values(run: RunDirectory, best: Trial) -> list[float]:
    """The best value with each seed of a configuration, as the user's metric."""
    losses = losses_of(run.histories[best.study], best)
    return [-loss if run.maximize else loss for loss in losses]


def _others(best: Trial, history: History) -> str:
    """The end of a sentence: which repeated configurations are not certainly worse."""
    trained = history.trained
    losses = [losses_of(history, trial) for trial in trained]
    certain = worse(losses)
    alike = [
        (sum(losses[place]) / len(losses[place]), trial.id)
        for place, trial in enumerate(trained)
        if trial is not best and len(losses[place]) > 1 and place not in certain
    ]
    if not alike:
        return ""
    names = [name for _, name in sorted(alike)]
    named = ", ".join(names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"; {named}{more} cannot be told from it for certain"
