"""Can early stopping be trusted here? Stopped trials that were trained on to the end all the same, against those that were kept.

A scheduler with `audit: 0.1` lets a random tenth of the trials that it would stop go on. The trial's notes then
hold `audited`: the epoch at which it was to stop, and the reason; it counts in no rung after that.
"""

from __future__ import annotations

import math
from typing import Any

from raysweep.formatting import plural
from raysweep.history import Status, Trial
from raysweep.results.storage.run_directory import RunDirectory


def audit(run: RunDirectory) -> dict[str, Any] | None:
    """What the audited trials show; None where there are none.

    `won`: how many would have been the best of their study, of `finished` that came to their end; `low`, `high`: the 95 % interval of that
    share; `levels`: how well the ranks at each level agree with the final ones (Kendall's tau over the trials trained to the end).
    """
    trials = [trial for history in run.histories.values() for trial in history]
    audited = [trial for trial in trials if "audited" in trial.notes]
    if not audited:
        return None
    finished = [trial for trial in audited if trial.status == Status.COMPLETED]
    won = sum(_would_have_won(trial, trials) for trial in finished)
    low, high = share_interval(won, len(finished))
    stopped = sum(
        trial.status == Status.STOPPED and not trial.notes.get("limited") for trial in trials
    ) + len(audited)
    found = {
        "audited": len(audited),
        "finished": len(finished),
        "stopped": stopped,
        "won": won,
        "low": low,
        "high": high,
    }
    complete = [trial for trial in trials if trial.status == Status.COMPLETED]
    levels = list(run.levels[:-1])
    return found | {
        "levels": [agreement(complete, level) for level in levels],
        "sentence": sentence(found),
    }


def agreement(trials: list[Trial], level: int) -> dict[str, Any]:
    """Kendall's tau between the losses at a level and the best losses at the end; None with fewer than three trials."""
    from scipy.stats import kendalltau

    pairs = []
    for trial in trials:
        there = next((report.loss for report in trial.reports if report.epoch >= level), None)
        if there is not None and trial.best is not None:
            pairs.append((there, trial.best.loss))
    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic) if len(pairs) > 2 else math.nan
    return {"level": level, "trials": len(pairs), "tau": None if math.isnan(tau) else round(tau, 3)}


def share_interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share: C. Clopper, E. Pearson, "The Use of Confidence or Fiducial Limits", Biometrika 26 (1934)."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return low, high


def sentence(found: dict[str, Any]) -> str:
    """The audit in words."""
    share = f"{plural(found['audited'], 'trial')} of {found['stopped']} that were to be stopped went on to be audited"
    if found["finished"] == 0:
        return f"{share}; none has come to its end yet"
    won = "none" if found["won"] == 0 else str(found["won"])
    return (
        f"{share}; of the {found['finished']} that came to their end, {won} would have won. The chance that a stopped trial was a winner "
        f"lies between {found['low']:.0%} and {found['high']:.0%} (95 %)"
    )


def _would_have_won(trial: Trial, trials: list[Trial]) -> bool:
    kept = [
        one.best.loss
        for one in trials
        if one.study == trial.study and "audited" not in one.notes and one.best
    ]
    return trial.best is not None and trial.best.loss < min(kept, default=math.inf)
