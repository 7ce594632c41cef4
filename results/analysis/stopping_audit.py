"""The stopping audit: would trials that early stopping ended have won?

A scheduler with `audit: 0.1` lets a random tenth of the trials that it would stop train on to the
end. The notes of such a trial hold `audited`: the epoch at which it would have been stopped, and
the reason. It counts in no rung after that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from raysweep.formatting import plural
from raysweep.front_order import positions
from raysweep.fronts import dominates
from raysweep.history import Report, Status, Trial
from raysweep.results.storage.front import is_candidate, point
from raysweep.results.storage.run_directory import RunDirectory

MIN_TRIALS = 3
"""Fewer pairs than this have no rank correlation worth a number."""


def audit(run: RunDirectory) -> dict[str, Any] | None:
    """What the audited trials show; None if there are none.

    n_audited: trials that were audited, of `n_stopped` that were to be stopped. n_winners: how many
    would have been the best of their study (or on its front), of `n_finished` that trained to the
    end. low, high: the 95 % interval of that proportion. rungs: how well each rung's ranks predict
    the final ranks.
    """
    trials = list(run.all_trials())
    audited = [trial for trial in trials if "audited" in trial.notes]
    if not audited:
        return None
    finished = [trial for trial in audited if trial.status == Status.COMPLETED]
    n_winners = sum(_would_have_won(trial, trials) for trial in finished)
    low, high = proportion_interval(n_winners, len(finished))
    # A trial that a limit of the session ended (`limited`) was not judged by the scheduler.
    n_stopped = sum(
        trial.status == Status.STOPPED and not trial.notes.get("limited") for trial in trials
    )
    found: dict[str, Any] = {
        "n_audited": len(audited),
        "n_finished": len(finished),
        "n_stopped": n_stopped + len(audited),
        "n_winners": n_winners,
        "low": low,
        "high": high,
    }
    complete = [trial for trial in trials if trial.status == Status.COMPLETED]
    # Not the last rung: the ranks at the end agree with themselves.
    found["rungs"] = [rank_correlation(complete, level) for level in run.levels[:-1]]
    found["finding"] = _finding(found)
    return found


def rank_correlation(trials: Sequence[Trial], level: int) -> dict[str, Any]:
    """Kendall's tau between the losses at a rung and the best losses of the whole training.

    level: the rung's epoch. `tau` is None with fewer than MIN_TRIALS trials.
    """
    from scipy.stats import kendalltau

    pairs = []
    for trial in trials:
        report = first_report_from(trial, level)
        if report is not None and trial.best is not None:
            pairs.append((report, trial.best))
    tau: float | None = None
    if len(pairs) >= MIN_TRIALS:
        early, final = zip(*pairs, strict=True)
        statistic = float(kendalltau(_ranked(early), _ranked(final)).statistic)
        if not math.isnan(statistic):  # it is NaN if all losses at the rung are equal
            tau = round(statistic, 3)
    return {"level": level, "trials": len(pairs), "tau": tau}


def _ranked(reports: Sequence[Report]) -> Sequence[float]:
    """The losses of reports; with several objectives their places by fronts."""
    if not any(report.losses for report in reports):
        return [report.loss for report in reports]
    return positions(tuple((report.losses, report.excesses) for report in reports))


def first_report_from(trial: Trial, level: int) -> Report | None:
    """A trial's first report at or after an epoch; None if it never came so far."""
    for report in trial.reports:
        if report.epoch >= level:
            return report
    return None


def proportion_interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """The exact confidence interval of a proportion.

    C. Clopper, E. Pearson, "The Use of Confidence or Fiducial Limits", Biometrika 26 (1934).
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    low, high = 0.0, 1.0
    # The beta distribution has no shape 0: with no success or no failure that end is exact.
    if count > 0:
        low = float(beta.ppf(tail, count, total - count + 1))
    if count < total:
        high = float(beta.ppf(1 - tail, count + 1, total - count))
    return low, high


def _finding(found: dict[str, Any]) -> str:
    """The audit as a sentence."""
    audited = (
        f"stopping audit: {found['n_audited']} of {plural(found['n_stopped'], 'trial')} "
        "that were to be stopped trained on"
    )
    if found["n_finished"] == 0:
        return f"{audited}; none of them has finished yet"
    n_winners = found["n_winners"] or "none"
    return (
        f"{audited}; of the {found['n_finished']} that finished, {n_winners} would have won. The "
        f"probability that a stopped trial would have won lies between {found['low']:.0%} and "
        f"{found['high']:.0%} (95 % interval)"
    )


def _would_have_won(trial: Trial, trials: Sequence[Trial]) -> bool:
    """True if an audited trial is better than all trials of its study that were not audited."""
    # An audited trial has trained longer than its equals; it competes with those that counted.
    others = [
        other.best
        for other in trials
        if other.study == trial.study and "audited" not in other.notes and other.best
    ]
    if trial.best is not None and trial.best.losses:
        return is_candidate(trial) and not any(_beats(other, trial.best) for other in others)
    losses = [other.loss for other in others]
    return trial.best is not None and trial.best.loss < min(losses, default=math.inf)


def _beats(other: Report, own: Report) -> bool:
    """True if a report keeps another one off the front."""
    is_better = point(other) == point(own) or dominates(point(other), point(own))
    return other.feasible and is_better
