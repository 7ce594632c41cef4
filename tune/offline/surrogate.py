"""Predicts the learning curve of a configuration from recorded curves.

Two surrogates: a random forest over ranks (as the tabular surrogates of Eggensperger et al.,
"Efficient Benchmarking of Hyperparameter Optimizers via Surrogates", AAAI 2015), and the curve of
the nearest recorded configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
TREES = 48
"""Trees of the forest."""
FOLDS = 5
"""Folds of the cross-validation."""
ABSENT = -0.5
"""The coordinate that the forest gets for an inactive parameter. It lies below all values."""


class Answer(Protocol):
    """Predicts the curve at a point of the unit cube, (d,), NaN where a parameter is inactive."""

    def curve(self, point: Array) -> Array:
        """The loss of each epoch, then the seconds of an epoch: (epochs + 1,)."""


@dataclass(frozen=True)
class Nearest:
    """The recorded curve whose configuration is nearest in the unit cube.

    A parameter that only one of two configurations has counts as the largest distance, 1.
    """

    points: Array
    curves: Array

    def curve(self, point: Array) -> Array:
        apart = np.abs(self.points - point)
        apart[np.isnan(apart)] = 1.0
        apart[:, np.isnan(point)] = np.where(np.isnan(self.points[:, np.isnan(point)]), 0.0, 1.0)
        return np.asarray(self.curves[int((apart**2).sum(axis=1).argmin())], dtype=np.float64)


class Forest:
    """A random forest that predicts ranks, which are then turned back into values.

    So a curve that falls by orders of magnitude weighs no more than others.
    """

    def __init__(self, points: Array, curves: Array, seed: int = 0) -> None:
        from sklearn.ensemble import RandomForestRegressor

        self._losses, loss_ranks = _ranked(curves[:, :-1])
        self._seconds, second_ranks = _ranked(curves[:, -1:])
        forest = RandomForestRegressor(
            TREES, min_samples_leaf=2, max_features=0.7, random_state=seed, n_jobs=1
        )
        targets = np.hstack([loss_ranks, second_ranks])
        forest.fit(np.nan_to_num(points, nan=ABSENT), targets)
        self._trees = _flat([one.tree_ for one in forest.estimators_])

    def curve(self, point: Array) -> Array:
        ranks = self._trees.predict(np.nan_to_num(point, nan=ABSENT))
        losses = np.interp(ranks[:-1], np.linspace(0, 1, len(self._losses)), self._losses)
        seconds = np.interp(ranks[-1:], np.linspace(0, 1, len(self._seconds)), self._seconds)
        return np.concatenate([losses, seconds])


@dataclass(frozen=True)
class _Trees:
    """All trees in one array, so that a point walks down all of them at once.

    For a single point, scikit-learn takes 50 times longer.
    """

    roots: np.ndarray[Any, np.dtype[np.int64]]
    feature: np.ndarray[Any, np.dtype[np.int64]]
    threshold: Array
    left: np.ndarray[Any, np.dtype[np.int64]]
    right: np.ndarray[Any, np.dtype[np.int64]]
    value: Array

    def predict(self, point: Array) -> Array:
        nodes, point = self.roots, point.astype(np.float32)
        while True:
            feature = self.feature[nodes]
            inner = feature >= 0
            if not inner.any():
                return np.asarray(self.value[nodes].mean(axis=0), dtype=np.float64)
            goes_left = point[np.maximum(feature, 0)] <= self.threshold[nodes]
            nodes = np.where(inner, np.where(goes_left, self.left[nodes], self.right[nodes]), nodes)


def _flat(trees: list[Any]) -> _Trees:
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])
    moved = [
        (tree.children_left + start, tree.children_right + start)
        for tree, start in zip(trees, starts[:-1], strict=True)
    ]
    return _Trees(
        starts[:-1],
        np.concatenate([tree.feature for tree in trees]),
        np.concatenate([tree.threshold for tree in trees]),
        np.concatenate([left for left, _ in moved]),
        np.concatenate([right for _, right in moved]),
        np.concatenate([tree.value[:, :, 0] for tree in trees]),
    )


def _ranked(values: Array) -> tuple[Array, Array]:
    """The sorted distinct values, and the rank of each value among them, scaled to [0, 1].

    A value that is not finite counts as the worst finite one.
    """
    finite = np.where(
        np.isfinite(values), values, np.max(values[np.isfinite(values)], initial=-np.inf)
    )
    known, places = np.unique(finite, return_inverse=True)
    return known, places.reshape(values.shape) / max(len(known) - 1, 1)


@dataclass(frozen=True)
class Error:
    """The error of the predictions at the last epoch, by cross-validation with FOLDS folds.

    `mean`: the mean absolute error of the loss. `rank`: Spearman's rank correlation of predicted
    and recorded losses.
    """

    mean: float
    rank: float


def cross_validated(points: Array, curves: Array, nearest: bool) -> Error:
    from scipy.stats import spearmanr

    fold = np.random.default_rng(0).permutation(len(points)) % FOLDS
    answers = np.empty(len(points))
    for held in range(FOLDS):
        model = answering(points[fold != held], curves[fold != held], nearest)
        answers[fold == held] = [model.curve(point)[-2] for point in points[fold == held]]
    truth, _ = _finite_finals(curves)
    answers = np.minimum(answers, truth.max())
    return Error(float(np.abs(answers - truth).mean()), float(spearmanr(answers, truth).statistic))


def answering(points: Array, curves: Array, nearest: bool) -> Answer:
    """The surrogate that predicts configurations which were not recorded."""
    if nearest:
        return Nearest(points, curves)
    return Forest(points, curves)


def _finite_finals(curves: Array) -> tuple[Array, Array]:
    finals = curves[:, -2]
    finite = np.isfinite(finals)
    return np.where(finite, finals, finals[finite].max(initial=0.0)), finite
