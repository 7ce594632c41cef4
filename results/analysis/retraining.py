"""How good the finalists are: trained again with fresh seeds, and how optimistic the search was.

The score by which a trial was selected is too good on average, because the search keeps the
luckiest of many trainings. The retrainings lie in `confirm/` of the run directory, which is a run
directory itself (`tune/retrain.py`). A study there has the name of its finalist. The notes of its
trials hold the metrics of the best epoch on the test split (`test`), or why there are none
(`untested`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from raysweep.formatting import number, plural
from raysweep.front_order import positions
from raysweep.history import History, Status, Trial
from raysweep.objectives import Limit
from raysweep.repeats import REPEATS, bounds, losses_of
from raysweep.results.analysis import statistics
from raysweep.results.storage import ledger
from raysweep.results.storage.front import is_candidate, point
from raysweep.results.storage.mirror import RETRAININGS as FOLDER
from raysweep.results.storage.run_directory import BestEpoch, RunDirectory
from raysweep.results.storage.tables import best_loss

__all__ = [
    "FOLDER",
    "RetrainingResult",
    "chosen_finalist",
    "finalists",
    "metric_on_test",
    "retraining_findings",
    "retraining_results",
    "retraining_rows",
    "winner",
    "winner_finding",
]


@dataclass(frozen=True)
class RetrainingResult:
    """A finalist, with the metric it was selected for and those of its retrainings.

    trial: the finalist's name. selected: of several seeds the mean, and `selected_seeds` their
    number. validation, test: a value for each seed. n_failed: retrainings that diverged or failed.
    why_untested: why there are no values of the test split, or "". reported: of a sweep with
    several metrics, all that the best epoch of each retraining reported, by its number, to which
    the same seed belongs with every finalist.
    """

    trial: str
    selected: float
    validation: tuple[float, ...]
    test: tuple[float, ...]
    n_failed: int = 0
    why_untested: str = ""
    reported: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    selected_seeds: int = 1


def finalists(histories: Mapping[str, History], top: int) -> list[Trial]:
    """The best `top` trials of all studies, best first; equal configurations count once.

    With several objectives they are the first ones by fronts: first members of the front, as far
    apart on it as can be. Where configurations are repeated with other seeds, it is the order by
    which the best of the search is chosen (`raysweep/repeats.py`).
    """
    trials = [trial for history in histories.values() for trial in history]
    trials = [trial for trial in trials if REPEATS not in trial.notes]
    chosen_by = {name: bounds(one) for name, one in histories.items() if one.repeats}
    order = sorted(trials, key=lambda trial: _selected_by(trial, chosen_by.get(trial.study)))
    if any(history.n_objectives > 1 for history in histories.values()):
        order = _by_fronts(trials)
    chosen: dict[str, Trial] = {}
    for trial in order:
        if math.isfinite(best_loss(trial)):
            # By value: a grid with several seeds, or two searchers, may try the same one twice.
            chosen.setdefault(repr(sorted(trial.config.items(), key=str)), trial)
    return list(chosen.values())[:top]


def _selected_by(trial: Trial, bounds: Mapping[int, float] | None) -> tuple[bool, float]:
    """The best loss of a trial, or what the choice compares of those that were trained to the end.

    bounds: the latter by number, of a study that repeats configurations; the others come last.
    """
    if bounds is None:
        return False, best_loss(trial)
    return trial.number not in bounds, bounds.get(trial.number, best_loss(trial))


def _by_fronts(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that keep the limits, in the order of `front_order.py`."""
    found = [trial for trial in trials if is_candidate(trial)]
    places = positions(tuple((point(trial.best), ()) for trial in found if trial.best))
    return [trial for _, trial in sorted(zip(places, found, strict=True), key=lambda one: one[0])]


def retraining_results(run: RunDirectory) -> list[RetrainingResult]:
    """The finalists that were retrained, the best selected score first."""
    if not (run.path / FOLDER / ledger.NAME).is_file():
        return []
    found = []
    # The study of a finalist's retrainings has the name of its trial.
    for name, history in RunDirectory(run.path / FOLDER).histories.items():
        trial = run.trial(name)
        if trial.best is None:
            continue
        losses = _selected(run, trial)
        loss = sum(losses) / len(losses)
        result = _result(name, history, run.metric, -loss if run.maximize else loss)
        result = replace(result, selected_seeds=len(losses))
        if run.objectives:
            done = [one for one in history if one.status is Status.COMPLETED and one.best]
            reported = {one.number: dict(one.best.metrics) for one in done if one.best}
            result = replace(result, reported=reported)
        if result.validation:  # none of its retrainings may have completed yet
            found.append((loss, result))
    return [result for _, result in sorted(found, key=lambda pair: pair[0])]


def _selected(run: RunDirectory, trial: Trial) -> list[float]:
    """The losses by whose mean a finalist was selected: one, unless it has several seeds."""
    losses = losses_of(run.histories[trial.study], trial)
    if len(losses) > 1 and all(map(math.isfinite, losses)):
        return losses
    return [best_loss(trial)]


def winner(run: RunDirectory) -> BestEpoch:
    """The epoch whose model is exported.

    If finalists were retrained, it is the best epoch of the one with the best mean over its
    retrainings, on the validation split: the best of the search may be the luckiest alone. One of
    which more than half of the retrainings failed comes last, and before it those whose means break
    a limit. Without retrainings, or as long as some are still to be trained, it is the best epoch
    of the search. It is that of another seed of the same configuration if only that one has kept
    its checkpoint. Raises RunError if no trial has reported a finite value.
    """
    chosen = chosen_finalist(run)
    if chosen is None:
        return run.with_checkpoint(run.best)
    trial = run.trial(chosen.trial)
    assert trial.best is not None
    return run.with_checkpoint(run.best_epoch(trial, trial.best))


def chosen_finalist(run: RunDirectory) -> RetrainingResult | None:
    """The finalist with the best retrainings; None if none were trained, or some are missing."""
    results = retraining_results(run)
    if not results or RunDirectory(run.path / FOLDER).end_reason is None:
        return None
    sign = -1.0 if run.maximize else 1.0
    limits = run.objectives.limits if run.objectives else ()

    left = _left_race(run)

    def rank(result: RetrainingResult) -> tuple[bool, bool, bool, float]:
        unsteady = result.n_failed > len(result.validation)
        mean = sign * float(np.mean(result.validation))
        return unsteady, _breaks(result, limits), result.trial in left, mean

    return min(results, key=rank)


def retrained_losses(history: History) -> dict[int, float]:
    """The best loss of each completed retraining of a finalist, by its number."""
    completed = [trial for trial in history if trial.status is Status.COMPLETED and trial.best]
    return {trial.number: trial.best.loss for trial in completed if trial.best}


def _left_race(run: RunDirectory) -> set[str]:
    """The finalists that left a race because others are better."""
    events = RunDirectory(run.path / FOLDER).events
    return {event["study"] for event in events if event.get("beaten")}


def _breaks(result: RetrainingResult, limits: Sequence[Limit]) -> bool:
    """True if the means over the retrainings break a limit."""
    reported = result.reported.values()
    means = {one.name: float(np.mean([got[one.name] for got in reported])) for one in limits}
    return any(limit.excess(means) > 0 for limit in limits)


def winner_finding(run: RunDirectory) -> list[str]:
    """Which finalist is exported, and why, in one line; [] without retrainings."""
    chosen = chosen_finalist(run)
    if chosen is None:
        return []
    mean = number(float(np.mean(chosen.validation)))
    line = (
        f"{chosen.trial} is exported: its mean {run.metric} over "
        f"{plural(len(chosen.validation), 'retraining')}, {mean}, is the best of the finalists"
    )
    if chosen.trial != run.best.trial.id:
        line += f"; {run.best.trial.id} was the best of the search alone"
    return [line]


def metric_on_test(metric: str, metrics: Mapping[str, float]) -> str | None:
    """The name of the metric among the metrics of the test split; None if it is not there.

    It may be the same name; `val_accuracy` may also be called `test_accuracy` or `accuracy`.
    """
    bare = metric.removeprefix("validation_").removeprefix("valid_").removeprefix("val_")
    for name in (metric, f"test_{bare}", bare):
        if name in metrics:
            return name
    return None


def retraining_rows(results: Sequence[RetrainingResult], maximize: bool) -> list[dict[str, Any]]:
    """The table of finalists.

    selected: the score by which the finalist was selected. validation: its mean over the
    retrainings. mean, low, high: mean and interval on `split`. optimism: by how much the selected
    score is better than `validation`.
    """
    return [_row(result, maximize) for result in results]


def retraining_findings(
    results: Sequence[RetrainingResult], maximize: bool, metric: str
) -> list[str]:
    """What the retrainings show, a sentence for each finalist."""
    return [_finding(result, _row(result, maximize), metric) for result in results]


def _result(name: str, history: History, metric: str, selected: float) -> RetrainingResult:
    completed = [trial for trial in history if trial.status is Status.COMPLETED and trial.best]
    validation = tuple(trial.best.metrics[metric] for trial in completed if trial.best)
    tests = [trial.notes["test"] for trial in completed if "test" in trial.notes]
    test_name = None
    if tests:
        test_name = metric_on_test(metric, tests[0])
    n_failed = sum(trial.status.ended and trial.status is not Status.COMPLETED for trial in history)
    if test_name is None:
        why_untested = _why_untested(completed, tests, metric)
        return RetrainingResult(name, selected, validation, (), n_failed, why_untested)
    test = tuple(float(metrics[test_name]) for metrics in tests)
    return RetrainingResult(name, selected, validation, test, n_failed)


def _why_untested(completed: list[Trial], tests: list[dict[str, float]], metric: str) -> str:
    """Why there is no value of the test split; "" if no trial says so."""
    if tests:
        return f"evaluate(..., split='test') gives {', '.join(tests[0])}, which is not {metric}"
    for trial in completed:
        if "untested" in trial.notes:
            return str(trial.notes["untested"])
    return ""


def _row(result: RetrainingResult, maximize: bool) -> dict[str, Any]:
    split, values = "validation", np.array(result.validation)
    if result.test:
        split, values = "test", np.array(result.test)
    low, high = statistics.interval(values)
    validation = float(np.mean(result.validation))
    optimism = result.selected - validation
    if not maximize:
        optimism = -optimism
    return {
        "trial": result.trial,
        "selected": result.selected,
        "validation": validation,
        "split": split,
        "mean": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "seeds": len(values),
        "optimism": optimism,
    }


def _finding(result: RetrainingResult, row: dict[str, Any], metric: str) -> str:
    kind = statistics.interval_name(row["seeds"])
    ends = f"{number(row['low'])} … {number(row['high'])}"
    sentence = (
        f"{result.trial}: {metric} {number(row['mean'])} on the {row['split']} split over "
        f"{plural(row['seeds'], 'fresh seed')} ({kind} {ends}); {_score(result)}, "
        f"{number(result.selected)}, was {_describe_optimism(row['optimism'])}"
    )
    if result.n_failed:
        sentence += f"; {plural(result.n_failed, 'retraining')} diverged or failed"
    if result.why_untested:
        sentence += f"; no test: {result.why_untested}"
    return sentence


def _score(result: RetrainingResult) -> str:
    if result.selected_seeds == 1:
        return "the score it was selected for"
    return f"the mean over {plural(result.selected_seeds, 'seed')} it was selected for"


def _describe_optimism(optimism: float) -> str:
    if optimism <= 0:
        return f"not optimistic (worse by {number(-optimism, 2)} than its retrainings)"
    return f"optimistic by {number(optimism, 2)}"
