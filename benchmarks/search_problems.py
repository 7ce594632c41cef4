"""Recorded learning curves as problems for `search.py`.

They are LCBench (YAHPO-Gym's surrogate) and Google TaskSet, read from a given folder. The problems
on which choices were made are DEVELOP; those that only judge are JUDGE. Choices were made on the
problems of `search_curves.py` as well, which lie in a folder of their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.history import Config
from raysweep.search_spaces.language.params import Float, Int
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import Epoch

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

DEVELOP = (
    *(
        f"lcbench/{task}"
        for task in (3945, 34539, 126026, 126029, 146212, 167104, 167149, 168331, 168868, 189909)
    ),
    "taskset/patch32_LSTM128_bs128",
    "taskset/patch128_LSTM128_bs64",
)
"""Choices were made on these."""
JUDGE = (
    *(f"lcbench/{task}" for task in (7593, 167168, 168908, 189865)),
    "taskset/patch128_LSTM128_embed128_bs64",
    "taskset/patch32_GRU64_avg_bs128",
    "taskset/patch32_IRNN64_relu_last_bs128",
    "taskset/patch32_VRNN128_tanh_bs128",
)
"""The problems of the final table. They were drawn before any of them was run: every sixth of
LCBench's other tasks, and the other four of TaskSet. They are not wholly untouched, because what
was seen on them led to choices on the development problems, and to more such problems
(`search.md`)."""
RANDOM_CONFIGS = 300
"""Random configurations from which the scale of a problem is estimated."""
BUDGET = 10.0
"""How long a run lasts, in mean full training times (FE)."""


@dataclass(frozen=True)
class Problem:
    """A space, with a training of `epochs` epochs for each of its configurations.

    `curve`: losses and seconds of each epoch, both of shape (epochs,); a loss may be inf. `best`:
    the best loss known.
    """

    name: str
    space: Space
    epochs: int
    curve: Callable[[Config], tuple[FloatArray, FloatArray]]
    best: float

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]

    def train(self, config: Config, seed: int) -> Iterator[Epoch]:
        losses, seconds = self.curve(config)
        for loss, lasted in zip(losses.tolist(), seconds.tolist(), strict=True):
            yield {"loss": loss}, lasted

    @cached_property
    def _random(self) -> list[tuple[FloatArray, FloatArray]]:
        rng = np.random.default_rng(12345)
        return [self.curve(self.space.sample(rng)) for _ in range(RANDOM_CONFIGS)]

    @cached_property
    def full(self) -> float:
        """The mean seconds of a full training of a random configuration: one FE."""
        return float(np.mean([seconds.sum() for _, seconds in self._random]))

    @cached_property
    def middle(self) -> float:
        """The median final loss of random configurations."""
        return float(np.median([losses[-1] for losses, _ in self._random]))

    def regret(self, loss: float | FloatArray) -> Any:
        """0 at the best loss known, 1 at or above the median final loss of random search."""
        return np.minimum((np.asarray(loss) - self.best) / (self.middle - self.best), 1.0)


@dataclass(frozen=True)
class LCBench:
    """The surrogate of 34 tasks. `raw`: with the epoch of the untrained net as the first one."""

    folder: Path
    raw: bool = False

    @cached_property
    def session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # for a few rows, more threads only wait for each other
        return onnxruntime.InferenceSession(
            str(self.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    @cached_property
    def codes(self) -> dict[str, int]:
        codes: dict[str, int] = json.loads((self.folder / "encoding.json").read_text())[
            "OpenML_task_id"
        ]
        return codes

    @cached_property
    def space(self) -> Space:
        said = json.loads((self.folder / "config_space.json").read_text())["hyperparameters"]
        ranges = {one["name"]: one for one in said}
        return Space({name: _param(ranges[name]) for name in self.names})

    names = (
        "batch_size",
        "learning_rate",
        "momentum",
        "weight_decay",
        "num_layers",
        "max_units",
        "max_dropout",
    )

    def problem(self, task: str, best: float) -> Problem:
        return Problem(
            f"lcbench/{task}",
            self.space,
            51 + self.raw,
            lambda config: self.curve(task, config),
            best,
        )

    def curve(self, task: str, config: Config) -> tuple[FloatArray, FloatArray]:
        """Losses are negated validation accuracies, in percent.

        The surrogate's clock runs backwards here and there, so an epoch is taken to last at least a
        tenth of the configuration's mean.
        """
        epochs = np.arange(1, 53, dtype=np.float32)
        rows = np.column_stack(
            [epochs, np.tile(np.array([config[name] for name in self.names], np.float32), (52, 1))]
        )
        out = self.session.run(
            None, {"x_cat": np.full((52, 1), self.codes[task], np.int32), "x_cont": rows}
        )[0].astype(np.float64)
        total = np.maximum.accumulate(np.maximum(out[:, 0], 0.0))
        seconds = np.maximum(np.diff(total, prepend=0.0), 0.1 * total[-1] / 52)
        if self.raw:
            return -out[:, 1], seconds
        return -out[1:, 1], seconds[1:]  # the first row is the untrained net


def _param(said: dict[str, Any]) -> Float | Int:
    low, high, log = said["lower"], said["upper"], bool(said.get("log"))
    if said["type"] == "uniform_int":
        return Int(low, high, log=log)
    return Float(low, high, log=log)


@dataclass(frozen=True)
class TaskSet:
    """1,000 recorded trainings of one classifier.

    Any other configuration has the curve of its nearest neighbour. family: where they come from.
    """

    path: Path
    family: str = "taskset"
    data: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        with np.load(self.path) as file:
            object.__setattr__(self, "data", {name: file[name] for name in file.files})

    @cached_property
    def space(self) -> Space:
        low, high = self.data["hp"].min(axis=0), self.data["hp"].max(axis=0)
        return Space(
            {
                str(name): Float(float(a), float(b), log="beta" not in str(name) and b > 50 * a)
                for name, a, b in zip(self.data["keys"], low, high, strict=True)
            }
        )

    @cached_property
    def _points(self) -> FloatArray:
        names = self.space.names
        return self.space.to_units(
            [dict(zip(names, row, strict=True)) for row in self.data["hp"].tolist()]
        )

    def problem(self) -> Problem:
        losses = np.nan_to_num(self.data["valid"][:, 1:].astype(np.float64), nan=math.inf)
        seconds = np.ones(losses.shape[1])

        def curve(config: Config) -> tuple[FloatArray, FloatArray]:
            nearest = np.square(self._points - self.space.to_unit(config)).sum(axis=1).argmin()
            return losses[nearest], seconds

        return Problem(
            f"{self.family}/{self.path.stem}",
            self.space,
            losses.shape[1],
            curve,
            float(losses.min()),
        )


class Problems:
    """The problems in a folder, by name.

    `known`: the best losses of LCBench's tasks that any earlier run has found. `own`: the folder of
    `search_curves.py`.
    """

    def __init__(
        self, folder: Path, known: Path, raw: bool = False, own: Path | None = None
    ) -> None:
        if not (folder / "lcbench" / "model.onnx").exists():
            raise SystemExit(
                f"{folder} has no lcbench/model.onnx; benchmarks/search.md says where the data "
                "come from"
            )
        self._folder = folder
        self._own = own
        self._lcbench = LCBench(folder / "lcbench", raw)
        self.known: dict[str, float] = {}
        if known.exists():
            self.known = json.loads(known.read_text())

    def __getitem__(self, name: str) -> Problem:
        family, _, task = name.partition("/")
        if family == "own" and self._own is not None:
            return TaskSet(self._own / f"{task}.npz", family).problem()
        if family == "taskset":
            return TaskSet(self._folder / "taskset" / f"{task}.npz").problem()
        return self._lcbench.problem(task, self.known.get(name, math.inf))
