"""Which hyperparameters mattered: permutation importance on a random forest, with intervals.

The forest predicts the ranks of losses (L. Breiman, "Random Forests", Machine Learning 45 (2001),
section 10). Trials that were stopped early count too: every rung that a trial reached is a row, and
its epoch is a feature that is never shuffled.

    m trials, n rows (a trial at a rung), d hyperparameters
    x (n, d + 1)     the configurations as numbers; the last column is the logarithm of the epoch
    ranks (n,)       the ranks of the losses, from 0 to 1
    trial_index (n,) which trial a row is of; a cross-validation fold holds whole trials
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from raysweep.arrays import FloatArray, IntArray
from raysweep.history import Report, Trial
from raysweep.results.analysis.statistics import interval
from raysweep.results.analysis.stopping_audit import first_report_from
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.results.storage.tables import flatten

MIN_TRIALS = 15
"""With fewer trials, or fewer different losses, each fold would hold at most two of them."""
MAX_ROWS = 3000
"""The most rows that are learned from, the latest, so that a refresh of the page stays short."""
FOLDS, TREES, SHUFFLES = 5, 48, 3
"""Folds of the cross-validation, trees of each forest, and shuffles of each column in a fold."""
INACTIVE = -1.0
"""Stands for a parameter that a trial does not have; less than every value."""


def importance(run: RunDirectory, trials: Sequence[Trial]) -> dict[str, Any]:
    """The importance of each parameter that differs between the trials.

    rows: `name`, `mean`, `low` and `high`, the most important first; numbers are fractions of the
    variance of the ranks, with a 95 % interval over the folds. score: the fraction of the variance
    that the forest explains in trials that it has not seen. If there is too little to learn from,
    the result has only the key `why`.
    """
    trained = [trial for trial in trials if trial.reports]
    names = differing(trained)
    if len(trained) < MIN_TRIALS or not names:
        return {"why": f"it takes {MIN_TRIALS} trials that differ; there are {len(trained)}"}
    space = run.sweep.get("space", {})
    logs = {name for name, entry in space.items() if isinstance(entry, dict) and entry.get("log")}
    x, losses, trial_index = training_rows(trained, names, logs, run.levels)
    if len(np.unique(losses)) < MIN_TRIALS:
        return {"why": "nearly all trials reported the same value"}
    scores, importances = _cross_validate(x, _ranks(losses), trial_index)
    rows = [{"name": name, **_summary(importances[:, i])} for i, name in enumerate(names)]
    return {
        "rows": sorted(rows, key=lambda row: -row["mean"]),
        "score": round(float(scores.mean()), 3),
        "trials": len(trained),
    }


def differing(trials: Sequence[Trial]) -> list[str]:
    """The flat names of the parameters that are not the same in all trials."""
    flats = [flatten(trial.config) for trial in trials]
    names = dict.fromkeys(name for flat in flats for name in flat)
    return [name for name in names if len({repr(flat.get(name)) for flat in flats}) > 1]


def training_rows(
    trials: Sequence[Trial], names: Sequence[str], logs: set[str], levels: Sequence[int]
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Make the forest's data: x (n, d + 1), losses (n,) and trial_index (n,).

    names: the parameters. logs: those on a logarithmic scale. levels: the epochs of the rungs.
    """
    flats = [flatten(trial.config) for trial in trials]
    encoders = [_encoder([flat.get(name) for flat in flats], name in logs) for name in names]
    rows, losses, trial_index = [], [], []
    for i, trial in enumerate(trials):
        point = [encode(flats[i].get(name)) for name, encode in zip(names, encoders, strict=True)]
        for report in _reports_at_rungs(trial, levels):
            rows.append([*point, math.log(report.epoch)])
            losses.append(report.loss)
            trial_index.append(i)
    kept = slice(-MAX_ROWS, None)  # the latest trials, which the searchers placed best
    return np.array(rows[kept]), np.array(losses[kept]), np.array(trial_index[kept])


def _reports_at_rungs(trial: Trial, levels: Sequence[int]) -> list[Report]:
    """A trial's first report at or after each rung that it reached, and its last report."""
    firsts = [first_report_from(trial, level) for level in levels]
    found = [report for report in firsts if report is not None]
    # By epoch, because the last report may be that of a rung, and must not count twice.
    return list({report.epoch: report for report in [*found, trial.reports[-1]]}.values())


def _encoder(values: Sequence[Any], log: bool) -> Callable[[Any], float]:
    """A function from a parameter's values to numbers of at least 0, or INACTIVE for None.

    Numbers are shifted, after their logarithm if `log` is true; other values become their place
    in alphabetical order.
    """
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        scale: Callable[[Any], float] = float
        if log and min(known) > 0:
            scale = math.log
        # Shifted, so that every value is above INACTIVE, which a tree can then split off.
        low = min(scale(value) for value in known)
        numbers = {repr(value): scale(value) - low for value in known}
    else:
        distinct = {repr(value): value for value in known}
        ordered = sorted(distinct.values(), key=str)
        numbers = {repr(value): float(i) for i, value in enumerate(ordered)}
    # By `repr`, because 1, 1.0 and True are equal as keys, and a list is none.
    return lambda value: numbers.get(repr(value), INACTIVE)


def _ranks(losses: FloatArray) -> FloatArray:
    """The ranks of losses, from 0 to 1, (n,); equal losses have the same rank."""
    distinct, rank = np.unique(losses, return_inverse=True)
    return np.asarray(rank / max(len(distinct) - 1, 1), dtype=np.float64)


def _cross_validate(
    x: FloatArray, ranks: FloatArray, trial_index: IntArray
) -> tuple[FloatArray, FloatArray]:
    """The explained fraction of the variance, (folds,), and each column's part, (folds, d).

    Shuffling a column adds twice the variance that it is responsible for, alone or together with
    others (Sobol's total effect), hence the factor 2.
    """
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    fold_of_trial = rng.permutation(int(trial_index.max()) + 1) % FOLDS
    variance = max(_variance_within_epochs(x[:, -1], ranks), 1e-12)  # 0 if ranks are constant
    scores, importances = [], []
    for fold in range(FOLDS):
        is_held_out = fold_of_trial[trial_index] == fold
        # After the cut to MAX_ROWS, the rows of few trials may be left: none or all in one fold.
        if not is_held_out.any() or is_held_out.all():
            continue
        # One thread (n_jobs=1): the page is made beside trials that need the cores.
        forest = RandomForestRegressor(
            TREES, min_samples_leaf=2, max_features=0.7, random_state=fold, n_jobs=1
        )
        forest.fit(x[~is_held_out], ranks[~is_held_out])
        error, shuffled = _errors(forest, x[is_held_out], ranks[is_held_out], rng)
        scores.append(1 - error / variance)
        importances.append((shuffled - error) / (2 * variance))
    return np.array(scores), np.array(importances)


def _variance_within_epochs(epochs: FloatArray, ranks: FloatArray) -> float:
    """The variance of ranks among rows of the same epoch.

    It is what remains to be explained once it is known how long each trial was trained.
    """
    _, group = np.unique(epochs, return_inverse=True)
    means = np.bincount(group, ranks) / np.bincount(group)
    return float(((ranks - means[group]) ** 2).mean())


def _errors(
    forest: Any, x: FloatArray, ranks: FloatArray, rng: np.random.Generator
) -> tuple[float, FloatArray]:
    """The forest's mean squared error, and its errors with each parameter shuffled, (d,)."""
    d = x.shape[1] - 1
    copies = np.tile(x, (1 + d * SHUFFLES, 1, 1))  # one prediction for all is much faster
    for i in range(d * SHUFFLES):
        copies[1 + i, :, i // SHUFFLES] = rng.permutation(x[:, i // SHUFFLES])
    predicted = forest.predict(copies.reshape(-1, x.shape[1])).reshape(len(copies), -1)
    errors = ((predicted - ranks) ** 2).mean(axis=1)
    return float(errors[0]), errors[1:].reshape(d, SHUFFLES).mean(axis=1)


def _summary(importances: FloatArray) -> dict[str, float]:
    """Mean and interval of a parameter's importance over the folds."""
    low, high = interval(importances)
    values = {"mean": importances.mean(), "low": low, "high": high}
    return {name: round(float(value), 4) for name, value in values.items()}
