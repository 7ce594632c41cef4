"""TPE: hyperopt's `tpe.suggest`, asked anew for each trial, over points of the unit cube.

Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le

from raysweep.arrays import FloatArray
from raysweep.history import Config, History
from raysweep.search_spaces.language.params import Choice
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.candidate_filters import is_likely_to_fail
from raysweep.tune.searchers.models.dataset import Dataset, DatasetCache
from raysweep.tune.searchers.per_history import PerHistory

MAX_ATTEMPTS = 20
"""So many proposals may break the constraints, or lie amid failed trials, before one is drawn."""


class TpeCache:
    """What is kept for a history: its arrays, and hyperopt's forms of the space and the trials."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.arrays = DatasetCache(space)
        self.documents: list[dict[str, Any]] = []

    @cached_property
    def domain(self) -> Any:
        """The unit cube in hyperopt's form."""
        from hyperopt import hp
        from hyperopt.base import Domain

        params = self.space.params.items()
        return Domain(None, {name: _hyperopt_param(hp, name, param) for name, param in params})


@dataclass
class Tpe:
    """Splits the trials into good and bad ones and proposes where good are dense and bad are not.

    `startup`: random trials before the first proposal. `candidates`: the number of draws from the
    good that compete. `gamma`: of n trials, `gamma * sqrt(n)` are the good ones.
    """

    startup: Annotated[int, Ge(1)] = 20
    candidates: Annotated[int, Ge(1)] = 24
    gamma: Annotated[float, Gt(0), Le(1)] = 0.25
    _caches: PerHistory[TpeCache] = field(
        default_factory=lambda: PerHistory(TpeCache), init=False, repr=False, compare=False
    )

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        rng = np.random.default_rng([seed, len(history)])
        cache = self._caches.of(space, history)
        dataset = Dataset(space, history, cache.arrays)
        if int(dataset.observed.sum()) < self.startup or not len(space):
            return dataset.untried.sample(rng)
        trials = HyperoptTrials(_documents(dataset, cache), ranks(dataset))
        for _ in range(MAX_ATTEMPTS):
            point = self._ask(space, cache.domain, trials, int(rng.integers(2**31)))
            config = space.from_unit(point)
            new = config in dataset.untried and space.allows(config)
            if new and not _is_likely_to_fail(dataset, config):
                return config
        fallback = dataset.untried.sample(rng)
        for _ in range(MAX_ATTEMPTS):
            drawn = dataset.untried.sample(rng)
            if drawn is None or not _is_likely_to_fail(dataset, drawn):
                return drawn
        return fallback

    def _ask(self, space: Space, domain: Any, trials: HyperoptTrials, seed: int) -> list[float]:
        """A point of the unit cube from hyperopt."""
        from hyperopt import tpe

        documents = tpe.suggest(
            [len(trials)],
            domain,
            trials,
            seed,
            n_startup_jobs=0,
            n_EI_candidates=self.candidates,
            gamma=self.gamma,
            verbose=False,
        )
        values = documents[0]["misc"]["vals"]
        return [_coordinate(param, values[name][0]) for name, param in space.params.items()]


class HyperoptTrials:
    """What `tpe.suggest` reads of hyperopt's Trials: a document for each trial.

    The loss of a trial is its rank, because trials were compared at different rungs. Pending trials
    have the loss inf.
    """

    def __init__(self, documents: list[dict[str, Any]], ranks: FloatArray) -> None:
        self.trials = [
            {"tid": document["tid"], "result": {"loss": rank}, "misc": document}
            for document, rank in zip(documents, ranks.tolist(), strict=True)
        ]

    def __len__(self) -> int:
        return len(self.trials)

    def new_trial_docs(
        self, tids: list[int], specs: list[Any], results: list[Any], miscs: list[Any]
    ) -> list[dict[str, Any]]:
        return [{"misc": misc} for misc in miscs]


def ranks(dataset: Dataset) -> FloatArray:
    """The rank of each trial, (trials,): 0 for the best, 1 for the next, ...

    A trial that reached a higher rung is better than one that did not; at the same rung the loss
    counts. The rank is inf for trials that failed or have not reached a rung.
    """
    order = np.lexsort((dataset.loss, -dataset.rung_index))
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order))
    rank[~np.isfinite(dataset.loss)] = np.inf
    return rank


def _is_likely_to_fail(dataset: Dataset, config: Config) -> bool:
    return is_likely_to_fail(dataset, np.asarray(dataset.space.to_unit(config)))


def _documents(dataset: Dataset, cache: TpeCache) -> list[dict[str, Any]]:
    """hyperopt's document of each trial, which is made once."""
    known = cache.documents
    rows = dataset.units[len(known) :].tolist()
    known.extend(
        _document(dataset.space, number, row) for number, row in enumerate(rows, len(known))
    )
    return known


def _document(space: Space, number: int, row: list[float]) -> dict[str, Any]:
    """A point of the unit cube in hyperopt's form; an inactive parameter (NaN) has no value."""
    vals: dict[str, list[Any]] = {name: [] for name in space.params}
    idxs: dict[str, list[int]] = {name: [] for name in space.params}
    for (name, param), u in zip(space.params.items(), row, strict=True):
        if u == u:
            vals[name], idxs[name] = [_hyperopt_value(param, u)], [number]
    return {"tid": number, "vals": vals, "idxs": idxs}


def _hyperopt_param(hp: Any, name: str, param: Any) -> Any:
    if isinstance(param, Choice):
        return hp.randint(name, param.count)
    return hp.uniform(name, 0.0, 1.0)


def _hyperopt_value(param: Any, u: float) -> float | int:
    """A coordinate as hyperopt's value: the index of a choice's value, else the coordinate."""
    if isinstance(param, Choice):
        return min(int(u * param.count), param.count - 1)
    return u


def _coordinate(param: Any, value: float) -> float:
    """The reverse of `_hyperopt_value`: the middle of a choice's part of the axis."""
    if isinstance(param, Choice):
        return (int(value) + 0.5) / param.count
    return float(value)
