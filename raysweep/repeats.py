"""Which configurations are trained with a further seed, and which one is called the best.

`seeds_per_trial: auto`. The best of many noisy trainings looks better than it is. So configurations
that were trained to their end, and that could still be the best, are trained again with other
seeds: a repeat is a trial with the same configuration, another seed and the note `repeats`, the
number of the first one. What the seeds of a configuration have in common is its mean; how far they
lie apart is known from all that have several.

The leader has the least mean plus `CAUTION` standard errors, so a single lucky training does not
lead before one that several seeds confirm, unless it is better by more than the noise. Another one
could win if its mean is less than `WIDTH` standard errors of the difference worse. The next seed
goes to the one with the least lower bound, as in algorithms for the best arm (Kalyanakrishnan et
al. 2012, PAC Subset Selection in Stochastic Multi-armed Bandits, ICML, section 3, LUCB). The
constants were chosen on ARLBench; `benchmarks/racing.py` measures there what they cost and find.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from raysweep.history import Config, History, Report, Trial

COMPLETED, DIVERGED = "completed", "diverged"
"""Values of `history.Status`, a module that reads this one."""
REPEATS = "repeats"
"""The note of a trial that repeats another one of its study: the number of that one."""
MOST = 10
"""`seeds_per_trial: auto` trains a configuration with at most so many seeds."""
WIDTH = 1.0
"""Standard errors of a difference by which a mean may be worse and could still be the best."""
CAUTION = 1.0
"""Standard errors that count against a mean when the best is chosen."""
OWN = 2.0
"""The variance that all have in common counts as so many degrees of freedom of each one's own."""
START = 20
"""So many configurations must have been trained to their end before the first is repeated, unless
no further ones are proposed: an early leader is soon overtaken."""
PART = 2 / 3
"""So many repeats, at most, there are for each configuration that was trained to its end. With its
own training that is a third of what five seeds for each would take."""


class Estimate(NamedTuple):
    """What the losses of a configuration say.

    mean: inf if a training diverged. error: its standard error; 0 as long as no noise is known.
    """

    mean: float
    error: float


def common_variance(losses: Iterable[Sequence[float]]) -> float | None:
    """The variance between the seeds of one configuration; None if none has several."""
    squares, freedom = 0.0, 0
    for values in losses:
        if len(values) > 1 and all(map(math.isfinite, values)):
            squares += _squares(values)
            freedom += len(values) - 1
    return squares / freedom if freedom else None


def estimates(losses: Sequence[Sequence[float]]) -> list[Estimate]:
    """The estimate of each configuration. losses: by configuration, one for each seed."""
    common = common_variance(losses)
    alone = math.sqrt(common or 0.0)
    return [
        _estimate(values, common or 0.0) if len(values) > 1 else Estimate(values[0], alone)
        for values in losses
    ]


def _estimate(values: Sequence[float], common: float) -> Estimate:
    mean = sum(values) / len(values)
    if not math.isfinite(mean):
        return Estimate(mean, 0.0)
    variance = (_squares(values) + OWN * common) / (len(values) - 1 + OWN)
    return Estimate(mean, math.sqrt(variance / len(values)))


def _squares(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)


def leader(found: Sequence[Estimate]) -> int | None:
    """The index of the best configuration; None without a finite loss."""
    if not found:
        return None
    bounds = [mean + CAUTION * error for mean, error in found]
    least = min(bounds)
    return bounds.index(least) if math.isfinite(least) else None


def contenders(losses: Sequence[Sequence[float]]) -> list[int]:
    """The configurations that need a further seed, by index, the most promising first.

    They are the leader and those that could win; none if the leader, with two seeds or more, is
    told from all others. Before any noise is known, it is the leader alone.
    """
    found = estimates(losses)
    first = leader(found)
    if first is None:
        return []
    best = found[first]
    rivals = [
        index
        for index, (mean, error) in enumerate(found)
        if index != first and mean - best.mean < WIDTH * math.hypot(error, best.error)
    ]
    if not rivals and len(losses[first]) > 1:
        return []
    return sorted(
        [first, *rivals], key=lambda index: found[index].mean - WIDTH * found[index].error
    )


def is_due(configurations: int, repeats: int, at_once: bool) -> bool:
    """True if a further repeat is allowed after so many, of so many configurations."""
    begins = configurations >= (1 if at_once else START)
    return begins and repeats + 1 <= max(1.0, PART * configurations)


def is_trained(trial: Trial, history: History) -> bool:
    """True if a configuration was trained to the end of the budget, for the first time.

    One that a person had continued beyond it (the note `epochs`) was, however that went on.
    """
    if trial.best is None or not history.levels or trial.notes.keys() & {REPEATS, "parent"}:
        return False
    if trial.status != COMPLETED and "epochs" not in trial.notes:
        return False
    return trial.epoch >= history.levels[-1]


def seeds_of(history: History, trial: Trial) -> list[Trial]:
    """The trainings of a configuration that are comparable: the first one, then its repeats.

    A repeat counts if it was trained as long, or diverged.
    """
    repeats = [history[number] for number in history.repeats.get(trial.number, ())]
    return [trial, *(one for one in repeats if _counts(one, _epochs(history, trial)))]


def _epochs(history: History, trial: Trial) -> int:
    """Up to which epoch the trainings of a configuration are compared."""
    return min(trial.epoch, history.levels[-1]) if history.levels else trial.epoch


def _counts(repeat: Trial, epochs: int) -> bool:
    if repeat.status == COMPLETED or "epochs" in repeat.notes:
        return repeat.epoch >= epochs and repeat.best is not None
    return repeat.status == DIVERGED


def losses_of(history: History, trial: Trial) -> list[float]:
    """The best loss with each seed of a configuration; inf if that training diverged."""
    epochs = _epochs(history, trial)
    return [
        math.inf if one is not trial and one.status == DIVERGED else _least(one, epochs)
        for one in seeds_of(history, trial)
    ]


def _least(trial: Trial, epochs: int) -> float:
    """The least loss of so many epochs; a person may have had the trial trained longer."""
    if trial.best is not None and trial.best.epoch <= epochs:
        return trial.best.loss
    losses = [one.loss for one in trial.reports if one.epoch <= epochs]
    return min(filter(math.isfinite, losses), default=math.inf)


def mean_of(history: History, trial: Trial, report: Report) -> float:
    """The loss of a report; the mean of the best losses if the configuration has several seeds."""
    losses = losses_of(history, trial)
    return report.loss if len(losses) == 1 else sum(losses) / len(losses)


def next_repeat(
    history: History, most: int, at_once: bool, allows: Callable[[Config], bool]
) -> Trial | None:
    """The trial that is to be repeated now; None if there is none.

    most: the seeds of a configuration. at_once: no further configurations are proposed, so few are
    enough to begin. allows: whether one is still in the space. One with a repeat that has not ended
    waits for that.
    """
    trained = history.trained
    if not is_due(len(trained), _n_repeats(history), at_once):
        return None
    for index in contenders([losses_of(history, trial) for trial in trained]):
        trial = trained[index]
        repeats = [history[number] for number in history.repeats.get(trial.number, ())]
        begun = _begun(repeats, _epochs(history, trial))
        is_free = all(one.status.ended for one in repeats) and begun < most
        if is_free and allows(trial.config):
            return trial
    return None


def _n_repeats(history: History) -> int:
    """The repeats in a history, without those of a budget that was shorter then."""
    epochs = history.levels[-1] if history.levels else 0
    repeats = ([history[number] for number in numbers] for numbers in history.repeats.values())
    return sum(_begun(of_one, epochs) - 1 for of_one in repeats)


def _begun(repeats: Iterable[Trial], epochs: int) -> int:
    """The seeds that a configuration has had. Those of a shorter budget are not counted."""
    return 1 + sum(one.status != COMPLETED or one.epoch >= epochs for one in repeats)


def chosen(history: History) -> Trial | None:
    """The best configuration by the means over seeds; None if none was trained to its end."""
    trained = history.trained
    index = leader(estimates([losses_of(history, trial) for trial in trained]))
    return None if index is None else trained[index]


def bounds(history: History) -> dict[int, float]:
    """What the choice compares, less being better: the mean plus `CAUTION` standard errors.

    Of each configuration that was trained to its end, by the number of its first trial.
    """
    found = estimates([losses_of(history, trial) for trial in history.trained])
    return {
        trial.number: mean + CAUTION * error
        for trial, (mean, error) in zip(history.trained, found, strict=True)
    }


def likely(history: History, count: int) -> list[Trial]:
    """The first trials of the `count` configurations that the choice would fall on, in order.

    The first one is chosen now, and each of the others if those before it turn out worse.
    """
    by_number = bounds(history)
    return [history[number] for number in sorted(by_number, key=by_number.__getitem__)[:count]]


def with_model(history: History, trial: Trial) -> list[Trial]:
    """The trainings of a configuration whose model can stand for it, its first one first."""
    return [one for one in seeds_of(history, trial) if one is trial or one.status != DIVERGED]


def averaged(history: History, trial: Trial) -> list[Report]:
    """The reports of a configuration with the mean losses over its seeds."""
    others = [
        ({report.epoch: report.loss for report in one.reports}, one.status == DIVERGED)
        for one in seeds_of(history, trial)[1:]
    ]
    return [_averaged(report, others) for report in trial.reports]


def _averaged(report: Report, others: Iterable[tuple[Mapping[int, float], bool]]) -> Report:
    """A report with the mean loss over other trainings, each with whether it diverged."""
    losses = [report.loss]
    for curve, has_diverged in others:
        if has_diverged or report.epoch in curve:
            losses.append(curve.get(report.epoch, math.inf))
    return replace(report, loss=sum(losses) / len(losses))
