"""TPE: hyperopt's `tpe.suggest`, asked anew for each trial with what the history says, over points of the unit cube.

Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any
from weakref import WeakKeyDictionary

import numpy as np
from annotated_types import Ge, Gt, Le

from raysweep.history import Config, History
from raysweep.search_spaces.language.params import Choice
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.feasible import goes_wrong
from raysweep.tune.searchers.models.dataset import FloatArray, Observed, observe

MOST_ATTEMPTS = 20
"""Proposals against the constraints, or amid trials that went wrong, are asked for again this often, then drawn."""


@dataclass(frozen=True)
class Tpe:
    """Splits what was observed into good and bad and proposes where good is dense and bad is not.

    `startup`: random trials before the first proposal. `candidates`: how many draws from the good compete. `gamma`: the good part is
    `gamma * sqrt(n)` of n trials.
    """

    startup: Annotated[int, Ge(1)] = 20
    candidates: Annotated[int, Ge(1)] = 24
    gamma: Annotated[float, Gt(0), Le(1)] = 0.25
    _domains: dict[int, tuple[Space, Any]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _made: WeakKeyDictionary[History, tuple[Space, list[dict[str, Any]]]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        rng = np.random.default_rng([seed, len(history)])
        seen = observe(space, history)
        if int(seen.known.sum()) < self.startup or not len(space):
            return space.sample(rng)
        trials = _Told(self._points(space, history, seen), ranks(seen))
        for _ in range(MOST_ATTEMPTS):
            config = space.from_unit(self._ask(space, trials, int(rng.integers(2**31))))
            if space.allows(config) and not goes_wrong(seen, np.asarray(space.to_unit(config))):
                return config
        draws = (space.sample(rng) for _ in range(MOST_ATTEMPTS))
        return next(
            (one for one in draws if not goes_wrong(seen, np.asarray(space.to_unit(one)))),
            space.sample(rng),
        )

    def _points(self, space: Space, history: History, seen: Observed) -> list[dict[str, Any]]:
        """What hyperopt calls the misc of each trial, made once."""
        of, made = self._made.get(history, (None, []))
        if of is not space:
            made = []
            self._made[history] = space, made
        made.extend(
            _misc(space, number, row)
            for number, row in enumerate(seen.units[len(made) :].tolist(), len(made))
        )
        return made

    def _ask(self, space: Space, trials: _Told, seed: int) -> list[float]:
        from hyperopt import tpe

        documents = tpe.suggest(
            [len(trials)],
            self._domain(space),
            trials,
            seed,
            n_startup_jobs=0,
            n_EI_candidates=self.candidates,
            gamma=self.gamma,
            verbose=False,
        )
        values = documents[0]["misc"]["vals"]
        return [_coordinate(param, values[name][0]) for name, param in space.params.items()]

    def _domain(self, space: Space) -> Any:
        """hyperopt's form of the unit cube, made once for each space."""
        if id(space) not in self._domains:
            from hyperopt import hp
            from hyperopt.base import Domain

            cube = {
                name: hp.randint(name, param.count)
                if isinstance(param, Choice)
                else hp.uniform(name, 0.0, 1.0)
                for name, param in space.params.items()
            }
            self._domains[id(space)] = (space, Domain(None, cube))
        return self._domains[id(space)][1]


class _Told:
    """What `tpe.suggest` reads of hyperopt's Trials: a document a trial, its loss the rank among all, none for those still pending.

    A rank, because trials stand at different levels: who reached a higher one comes before who did not; within one, the loss counts.
    """

    def __init__(self, points: list[dict[str, Any]], ranks: FloatArray) -> None:
        self.trials = [
            {"tid": point["tid"], "result": {"loss": rank}, "misc": point}
            for point, rank in zip(points, ranks.tolist(), strict=True)
        ]

    def __len__(self) -> int:
        return len(self.trials)

    def new_trial_docs(
        self, tids: list[int], specs: list[Any], results: list[Any], miscs: list[Any]
    ) -> list[dict[str, Any]]:
        return [{"misc": misc} for misc in miscs]


def ranks(seen: Observed) -> FloatArray:
    """0 for the best trial, 1 for the next, ...; inf for those that went wrong or have not reached a level. Shape (trials,)."""
    order = np.lexsort((seen.loss, -seen.place))
    score = np.empty(len(order))
    score[order] = np.arange(len(order))
    score[~np.isfinite(seen.loss)] = np.inf
    return score


def _misc(space: Space, number: int, row: list[float]) -> dict[str, Any]:
    """A point of the unit cube as hyperopt writes it down; what is NaN is left out."""
    vals: dict[str, list[Any]] = {name: [] for name in space.params}
    idxs: dict[str, list[int]] = {name: [] for name in space.params}
    for (name, param), u in zip(space.params.items(), row, strict=True):
        if u == u:
            vals[name], idxs[name] = [_hyperopt_value(param, u)], [number]
    return {"tid": number, "vals": vals, "idxs": idxs}


def _hyperopt_value(param: Any, u: float) -> float | int:
    return min(int(u * param.count), param.count - 1) if isinstance(param, Choice) else u


def _coordinate(param: Any, value: float) -> float:
    return (int(value) + 0.5) / param.count if isinstance(param, Choice) else float(value)
