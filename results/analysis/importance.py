"""Which hyperparameters mattered: permutation importance on a random forest, with intervals, for the ranks of losses.

L. Breiman, "Random Forests", Machine Learning 45 (2001), section 10. Trials that were stopped early count with what they had reached: every
level a trial came to is a row, the level is a feature that is never shown, and folds never part a trial.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from raysweep.history import Report, Trial
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.results.storage.tables import flatten

Array = np.ndarray[Any, np.dtype[np.float64]]
FEWEST = 15
MOST_ROWS = 3000
FOLDS, TREES, SHUFFLES = 5, 48, 3
ABSENT = -1.0


def importance(run: RunDirectory, trials: list[Trial]) -> dict[str, Any]:
    """`rows`: name, mean, low, high (shares of the variance of ranks, 95 %), most important first; `score`: what the forest explains.

    `why` instead, where there is too little to learn from.
    """
    trained = [trial for trial in trials if trial.reports]
    names = varying(trained)
    if len(trained) < FEWEST or not names:
        return {"why": f"it takes {FEWEST} trials that differ; there are {len(trained)}"}
    logs = {
        name
        for name, declared in run.sweep.get("space", {}).items()
        if isinstance(declared, dict) and declared.get("log")
    }
    points, losses, groups = table(trained, names, logs, run.levels)
    if len(np.unique(losses)) < FEWEST:
        return {"why": "nearly all trials reported the same value"}
    scores, drops = _cross_validated(points, _ranks(losses), groups)
    rows = [{"name": name, **_interval(drops[:, i])} for i, name in enumerate(names)]
    return {
        "rows": sorted(rows, key=lambda row: -row["mean"]),
        "score": round(float(scores.mean()), 3),
        "trials": len(trained),
    }


def varying(trials: list[Trial]) -> list[str]:
    """The flat names of what differs between configurations."""
    flats = [flatten(trial.config) for trial in trials]
    names = dict.fromkeys(name for flat in flats for name in flat)
    return [name for name in names if len({repr(flat.get(name)) for flat in flats}) > 1]


def table(
    trials: list[Trial], names: list[str], logs: set[str], levels: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """Points (rows, names + 1; the last column is the log of the epoch), losses, and which trial each row is of."""
    codes = {
        name: _coder([flatten(trial.config).get(name) for trial in trials], name in logs)
        for name in names
    }
    rows, losses, groups = [], [], []
    for i, trial in enumerate(trials):
        flat = flatten(trial.config)
        point = [codes[name](flat.get(name)) for name in names]
        for report in _at_levels(trial, levels):
            rows.append([*point, math.log(report.epoch)])
            losses.append(report.loss)
            groups.append(i)
    return np.array(rows[-MOST_ROWS:]), np.array(losses[-MOST_ROWS:]), np.array(groups[-MOST_ROWS:])


def _at_levels(trial: Trial, levels: tuple[int, ...]) -> list[Report]:
    """What a trial reported first at or after each level that it came to, and at its end."""
    firsts = [
        next((report for report in trial.reports if report.epoch >= level), None)
        for level in levels
    ]
    return list(
        {report.epoch: report for report in [*firsts, trial.reports[-1]] if report}.values()
    )


def _coder(values: list[Any], log: bool) -> Any:
    """A value as a number: itself, its logarithm, or its place among the values; ABSENT (below all others) where it is not there."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        scale = math.log if log and min(known) > 0 else float
        low = min(scale(value) for value in known)
        return lambda value: ABSENT if value is None else scale(value) - low
    order = {
        repr(value): i
        for i, value in enumerate(sorted({repr(value): value for value in known}.values(), key=str))
    }
    return lambda value: ABSENT if value is None else float(order[repr(value)])


def _ranks(losses: Array) -> Array:
    """Losses as ranks in 0 .. 1, equal ones alike."""
    values, places = np.unique(losses, return_inverse=True)
    return np.asarray(places / max(len(values) - 1, 1), dtype=np.float64)


def _cross_validated(points: Array, ranks: Array, groups: Array) -> tuple[Array, Array]:
    """What a forest explains of unseen trials, shape (FOLDS,), and the share of it that is each column's, (FOLDS, names).

    Shuffling a column adds twice the variance that it is responsible for, alone or together with others (Sobol's total effect).
    """
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    fold_of = rng.permutation(int(groups.max()) + 1) % FOLDS
    scores, drops = [], []
    for fold in range(FOLDS):
        held = fold_of[groups] == fold
        if not held.any() or held.all():
            continue
        forest = RandomForestRegressor(
            TREES, min_samples_leaf=2, max_features=0.7, random_state=fold, n_jobs=1
        )
        forest.fit(points[~held], ranks[~held])
        error, shuffled = _errors(forest, points[held], ranks[held], rng)
        variance = max(_within(points[:, -1], ranks), 1e-12)
        scores.append(1 - error / variance)
        drops.append((shuffled - error) / (2 * variance))
    return np.array(scores), np.array(drops)


def _within(epochs: Array, ranks: Array) -> float:
    """The variance of ranks among rows of the same epoch: what is there to explain once it is known how long a trial was trained."""
    _, group = np.unique(epochs, return_inverse=True)
    means = np.bincount(group, ranks) / np.bincount(group)
    return float(((ranks - means[group]) ** 2).mean())


def _errors(
    forest: Any, points: Array, ranks: Array, rng: np.random.Generator
) -> tuple[float, Array]:
    """The forest's mean squared error, and its error with each column (but the last) shuffled; all in one prediction."""
    names = points.shape[1] - 1
    copies = np.tile(points, (1 + names * SHUFFLES, 1, 1))
    for i in range(names * SHUFFLES):
        copies[1 + i, :, i // SHUFFLES] = rng.permutation(points[:, i // SHUFFLES])
    predicted = forest.predict(copies.reshape(-1, points.shape[1])).reshape(len(copies), -1)
    errors = ((predicted - ranks) ** 2).mean(axis=1)
    return float(errors[0]), errors[1:].reshape(names, SHUFFLES).mean(axis=1)


def _interval(drops: Array) -> dict[str, float]:
    from raysweep.results.analysis.statistics import interval

    low, high = interval(drops)
    return {
        name: round(float(value), 4)
        for name, value in (("mean", drops.mean()), ("low", low), ("high", high))
    }
