"""TPE, by hyperopt: Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.

hyperopt's `tpe.suggest` is a function of its trials, so its trials are made anew from the history at each call, over the unit cube.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le

from results.history import Config, History, Trial
from search_spaces.params import Choice
from search_spaces.space import Space
from tune.searchers.evidence import ranked

MOST_REDRAWS = 20
"""How often a proposal that breaks a constraint is drawn again before a fair draw is taken instead."""


@dataclass(frozen=True)
class Tpe:
    """`startup` fair draws first; then the candidate, of `candidates`, that is likeliest among the best part and unlikeliest in the rest.

    `gamma`: the best part is `gamma * sqrt(n)` of n trials.
    """

    startup: Annotated[int, Ge(1)] = 10
    candidates: Annotated[int, Ge(1)] = 24
    gamma: Annotated[float, Gt(0), Le(1)] = 0.25

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        rng = np.random.default_rng([seed, len(history)])
        evidence = ranked(history)
        if len(evidence) < self.startup or not len(space):
            return space.sample(rng)
        for _ in range(MOST_REDRAWS):
            config = space.from_unit(self._propose(space, evidence, int(rng.integers(2**31))))
            if space.allows(config):
                return config
        return space.sample(rng)

    def _propose(self, space: Space, evidence: list[Trial], seed: int) -> Any:
        logging.getLogger("hyperopt").setLevel(logging.ERROR)
        from hyperopt import Domain, hp, tpe

        labels = {
            name: hp.randint(name, param.count) if isinstance(param, Choice) else hp.uniform(name, 0.0, 1.0)
            for name, param in space.params.items()
        }
        domain = Domain(lambda values: 0.0, labels)
        options = {"n_startup_jobs": 1, "n_EI_candidates": self.candidates, "gamma": self.gamma, "verbose": False}
        [proposal] = tpe.suggest([len(evidence)], domain, _trials(space, evidence), seed, **options)
        values = proposal["misc"]["vals"]
        return np.array([_unit(param, values[name][0]) for name, param in space.params.items()])


def _unit(param: Any, value: float) -> float:
    return (int(value) + 0.5) / param.count if isinstance(param, Choice) else float(value)


def _trials(space: Space, evidence: list[Trial]) -> Any:
    """hyperopt's trials. Their losses are ranks: TPE asks for nothing else. An inactive parameter is a label without a value."""
    from hyperopt import JOB_STATE_DONE, STATUS_OK, trials_from_docs

    docs = []
    for rank, trial in enumerate(evidence):
        values = {
            name: [_value(param, u)] if u == u else []
            for (name, param), u in zip(space.params.items(), space.to_unit(trial.config), strict=True)
        }
        misc = {"tid": rank, "cmd": None, "vals": values, "idxs": {name: [rank] * len(one) for name, one in values.items()}}
        docs.append(
            {
                "tid": rank,
                "spec": None,
                "result": {"status": STATUS_OK, "loss": float(rank)},
                "misc": misc,
                "state": JOB_STATE_DONE,
                "owner": None,
                "book_time": None,
                "refresh_time": None,
                "exp_key": None,
                "version": 0,
            }
        )
    return trials_from_docs(docs, validate=False)


def _value(param: Any, u: float) -> float | int:
    return min(int(u * param.count), param.count - 1) if isinstance(param, Choice) else float(u)
