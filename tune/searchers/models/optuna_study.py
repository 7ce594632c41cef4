"""What a study of Optuna's needs to hold the trials of a history."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution

from raysweep.history import Config
from raysweep.search_spaces.language.params import Choice
from raysweep.search_spaces.language.space import Space


class Cube:
    """The unit cube of a space, in Optuna's terms.

    A choice is the index of its value, and every other parameter is a number in [0, 1].
    """

    def __init__(self, space: Space, sampler: str) -> None:
        self.space = space
        self.distributions: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._leaves_out = sampler == "TPESampler"
        for name, param in space.params.items():
            if isinstance(param, Choice) and sampler != "CmaEsSampler":
                self._counts[name] = param.count
                self.distributions[name] = CategoricalDistribution(range(param.count))
            else:
                self.distributions[name] = FloatDistribution(0.0, 1.0)

    def params(self, config: Config) -> dict[str, int | float]:
        """The parameters of a configuration."""
        params: dict[str, int | float] = {}
        for name, unit in zip(self.space.params, self.space.to_unit(config).tolist(), strict=True):
            if math.isnan(unit) and self._leaves_out:
                continue
            value = 0.5 if math.isnan(unit) else unit
            count = self._counts.get(name)
            params[name] = value if count is None else min(int(value * count), count - 1)
        return params

    def config(self, params: Mapping[str, int | float]) -> Config:
        """The configuration that parameters of Optuna's stand for."""
        return self.space.from_unit(
            (params[name] + 0.5) / self._counts[name] if name in self._counts else params[name]
            for name in self.space.params
        )


class Replay(optuna.samplers.BaseSampler):  # type: ignore[misc]  # optuna has no types here
    """Asks a sampler for a trial that was proposed before, and gives it the parameters it has.

    So whatever the sampler writes into the study and the trial is there again.
    """

    def __init__(self, sampler: Any, params: Mapping[str, Any]) -> None:
        self._sampler = sampler
        self._params = params

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        self._sampler.sample_relative(study, trial, search_space)
        return {}

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self._params[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's log of new studies and its warnings that an option is experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="optuna")
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
