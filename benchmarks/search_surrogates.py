"""Surrogates of YAHPO-Gym as trainings for `search.py`: LCBench (a net) and rbv2 (XGBoost)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.history import Config
from raysweep.search_spaces.language.params import Choice, Float, Int, Param
from raysweep.search_spaces.language.space import Space


@dataclass(frozen=True)
class Surrogate:
    """A model of YAHPO-Gym, with the space and the codes that lie beside it in `folder`."""

    folder: Path

    @cached_property
    def session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # for a few rows, more threads only wait for each other
        return onnxruntime.InferenceSession(
            str(self.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    @cached_property
    def codes(self) -> dict[str, dict[str, int]]:
        """The number of each category, by parameter."""
        codes: dict[str, dict[str, int]] = json.loads((self.folder / "encoding.json").read_text())
        return codes

    @cached_property
    def said(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads((self.folder / "config_space.json").read_text())
        return said

    def space(self, names: tuple[str, ...]) -> Space:
        """The space of some of the parameters, with their conditions."""
        ranges = {one["name"]: one for one in self.said["hyperparameters"]}
        conditions = {
            one["child"]: _one_of(one["parent"], one.get("values", [one.get("value")]))
            for one in self.said.get("conditions", [])
        }
        return Space({name: _param(ranges[name]) for name in names}, conditions=conditions)

    def predict(self, categories: FloatArray, numbers: FloatArray) -> FloatArray:
        """What the model gives, (rows, outputs), of codes and values, (rows, ...) each."""
        fed = {"x_cat": categories.astype(np.int32), "x_cont": numbers.astype(np.float32)}
        return np.asarray(self.session.run(None, fed)[0], dtype=np.float64)


def _one_of(parent: str, values: list[Any]) -> Callable[[Mapping[str, Any]], bool]:
    return lambda flat: flat[parent] in values


def _param(said: dict[str, Any]) -> Param:
    if said["type"] == "categorical":
        return Choice(tuple(said["choices"]))
    low, high, log = said["lower"], said["upper"], bool(said.get("log"))
    if said["type"] == "uniform_int":
        return Int(low, high, log=log)
    return Float(low, high, log=log)


@dataclass(frozen=True)
class LCBench:
    """The surrogate of 34 tasks. `raw`: with the epoch of the untrained net as the first one."""

    folder: Path
    raw: bool = False

    names = (
        "batch_size",
        "learning_rate",
        "momentum",
        "weight_decay",
        "num_layers",
        "max_units",
        "max_dropout",
    )

    @cached_property
    def surrogate(self) -> Surrogate:
        return Surrogate(self.folder)

    @property
    def epochs(self) -> int:
        return 51 + self.raw

    @cached_property
    def space(self) -> Space:
        return self.surrogate.space(self.names)

    def curve(self, task: str, config: Config) -> tuple[FloatArray, FloatArray]:
        """Losses are negated validation accuracies, in percent.

        The surrogate's clock runs backwards here and there, so an epoch is taken to last at least a
        tenth of the configuration's mean.
        """
        said = np.tile([float(config[name]) for name in self.names], (52, 1))
        rows = np.column_stack([np.arange(1, 53), said])
        code = self.surrogate.codes["OpenML_task_id"][task]
        out = self.surrogate.predict(np.full((52, 1), code), rows)
        total = np.maximum.accumulate(np.maximum(out[:, 0], 0.0))
        seconds = np.maximum(np.diff(total, prepend=0.0), 0.1 * total[-1] / 52)
        if self.raw:
            return -out[:, 1], seconds
        return -out[1:, 1], seconds[1:]  # the first row is the untrained net


@dataclass(frozen=True)
class Rbv2:
    """The surrogate of XGBoost on 119 tasks: epoch e of 27 sees e/27 of the training set."""

    folder: Path

    epochs = 27
    numbers = (
        "nrounds",
        "eta",
        "gamma",
        "lambda",
        "alpha",
        "subsample",
        "max_depth",
        "min_child_weight",
        "colsample_bytree",
        "colsample_bylevel",
        "rate_drop",
        "skip_drop",
    )
    categories = ("booster", "num.impute.selected.cpo")
    least, repetition = 0.03, 10.0
    """The smallest share of the training set that the surrogate knows; the repetition asked for."""

    @cached_property
    def surrogate(self) -> Surrogate:
        return Surrogate(self.folder)

    @cached_property
    def space(self) -> Space:
        return self.surrogate.space((*self.categories, *self.numbers))

    def curve(self, task: str, config: Config) -> tuple[FloatArray, FloatArray]:
        """Losses are negated accuracies. The whole takes as long as the model says."""
        shares = np.maximum(np.arange(1, 28) / 27, self.least)
        out = self._predict(task, [config], shares)
        return -out[:, 0], np.full(27, max(float(out[-1, 6]), 1e-3) / 27)

    def ends(self, task: str, configs: list[Config]) -> FloatArray:
        """The losses at the end of some configurations, (configs,)."""
        return -self._predict(task, configs, np.ones(len(configs)))[:, 0]

    def _predict(self, task: str, configs: list[Config], shares: FloatArray) -> FloatArray:
        """Of several configurations with a share each, or of one with several shares."""
        codes = self.surrogate.codes
        flats = [self.space.flat(config) for config in configs]
        coded = [
            [codes["task_id"][task], *(codes[name][flat[name]] for name in self.categories)]
            for flat in flats
        ]
        values = [[flat.get(name, 0.0) for name in self.numbers] for flat in flats]
        repetition = np.full(len(shares), self.repetition)
        shape = (len(shares), 1) if len(configs) == 1 else (1, 1)
        return self.surrogate.predict(
            np.tile(coded, shape),
            np.column_stack([np.tile(values, shape), shares, repetition]),
        )
