"""Recorded learning curves as problems for `search.py`, of five families.

They are LCBench, Google TaskSet, YAHPO-Gym's rbv2 (XGBoost), ARLBench and AlgoPerf, read from a
given folder. The problems on which choices were made are DEVELOP; those that only judge are JUDGE.
Choices were made on the problems of `search_curves.py` as well, which lie in a folder of their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search_recorded import Repeats, TaskSet, algoperf, arlbench
from benchmarks.search_surrogates import LCBench, Rbv2
from raysweep.arrays import FloatArray
from raysweep.history import Config
from raysweep.search_spaces.language.params import Choice
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import Epoch

Training = Callable[[Config, Hashable], tuple[FloatArray, FloatArray]]
"""Losses and seconds of each epoch, of a configuration and what its training is known by."""
FAMILIES = ("lcbench", "taskset", "rbv2", "arlbench", "algoperf", "own")

DEVELOP = (
    *(
        f"lcbench/{task}"
        for task in (3945, 34539, 126026, 126029, 146212, 167104, 167149, 168331, 168868, 189909)
    ),
    "taskset/patch32_LSTM128_bs128",
    "taskset/patch128_LSTM128_bs64",
    *(f"rbv2/{task}" for task in (12, 1479, 6332, 3, 31, 37, 54, 181, 1040, 1461)),
    *(
        f"arlbench/{name}"
        for name in (
            "dqn_Acrobot-v1",
            "dqn_CartPole-v1",
            "ppo_MountainCar-v0",
            "ppo_Ant-v4",
            "ppo_Hopper-v4",
            "ppo_NameThisGame-v5",
            "ppo_Phoenix-v5",
        )
    ),
    *(
        f"algoperf/{workload}_{framework}"
        for workload in (
            "fastmri",
            "fastmri_tanh",
            "imagenet_vit",
            "librispeech_conformer",
            "librispeech_conformer_layernorm",
            "ogbg",
            "ogbg_model_size",
        )
        for framework in ("jax", "pytorch")
    ),
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
SHORT_BUDGET = 3.0
"""The same where few configurations were recorded: in 10 FE all of them would be trained."""


@dataclass(frozen=True)
class Problem:
    """A space, with a training of `epochs` epochs for each of its configurations.

    `curve`: losses and seconds of each epoch, both of shape (epochs,), in the mean over seeds; a
    loss may be inf. `best`: the best loss known. `repeats`: recorded trainings with several seeds,
    if there are. `noisy`: a configuration is judged by its mean last loss, not by what a run saw.
    `only_best`: nothing but the best loss, a target, counts.
    """

    name: str
    space: Space
    epochs: int
    curve: Callable[[Config], tuple[FloatArray, FloatArray]]
    best: float
    budget: float = BUDGET
    repeats: Repeats | None = None
    noisy: bool = False
    only_best: bool = False

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]

    def trainings(self, seed: int) -> Training:
        """What is trained in one run."""
        if self.repeats is None:
            return lambda config, key: self.curve(config)
        return self.repeats.drawn(seed)

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
        if self.only_best:
            return (np.asarray(loss) > self.best).astype(np.float64)
        return np.minimum((np.asarray(loss) - self.best) / (self.middle - self.best), 1.0)

    def judged(self, config: Config, loss: float) -> float:
        """The loss that counts for a configuration that reported one."""
        return float(self.curve(config)[0][-1]) if self.noisy else loss


def listed(problem: Problem, count: int) -> Problem:
    """The problem as a list of so many random configurations, for SHORT_BUDGET.

    The best loss is that of the list. Raises ValueError if its trainings have several seeds.
    """
    if problem.repeats is not None:
        raise ValueError(f"{problem.name} is recorded with several seeds, so it is no list")
    rng = np.random.default_rng(54321)
    curves = [problem.curve(problem.space.sample(rng)) for _ in range(count)]
    return replace(
        problem,
        space=Space({"setting": Choice(tuple(range(count)))}),
        curve=lambda config: curves[config["setting"]],
        best=min(float(losses.min()) for losses, _ in curves),
        budget=SHORT_BUDGET,
    )


def epochs_of(training: Training, config: Config, key: Hashable) -> Iterator[Epoch]:
    """A training as `simulate` wants it."""
    losses, seconds = training(config, key)
    for loss, lasted in zip(losses.tolist(), seconds.tolist(), strict=True):
        yield {"loss": loss}, lasted


class Problems:
    """The problems in a folder, by name.

    `known`: the best losses of surrogates' tasks that any earlier run has found. `own`: the folder
    of `search_curves.py`.
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
        self._surrogates: dict[str, LCBench | Rbv2] = {
            "lcbench": LCBench(folder / "lcbench", raw),
            "rbv2": Rbv2(folder / "rbv2_xgboost"),
        }
        self.known: dict[str, float] = {}
        if known.exists():
            self.known = json.loads(known.read_text())

    def __getitem__(self, name: str) -> Problem:
        family, _, task = name.partition("/")
        if family in self._surrogates:
            return self._surrogate(self._surrogates[family], name, task)
        if family in ("arlbench", "algoperf"):
            return self._repeated(family, name, self._folder / family / f"{task}.npz")
        folder = self._folder / "taskset"
        if family == "own" and self._own is not None:
            folder = self._own
        table = TaskSet(folder / f"{task}.npz")
        epochs = table.losses.shape[1]
        return Problem(name, table.space, epochs, table.curve, float(table.losses.min()))

    def _surrogate(self, of: LCBench | Rbv2, name: str, task: str) -> Problem:
        best = self.known.get(name, math.inf)
        return Problem(name, of.space, of.epochs, lambda config: of.curve(task, config), best)

    def _repeated(self, family: str, name: str, path: Path) -> Problem:
        if family == "arlbench":
            space, repeats = arlbench(path)
            best, only_best = float(repeats.means[:, -1].min()), False
        else:
            space, repeats, best = algoperf(path)
            only_best = True
        return Problem(
            name,
            space,
            repeats.losses.shape[-1],
            repeats.curve,
            best,
            SHORT_BUDGET,
            repeats,
            noisy=not only_best,
            only_best=only_best,
        )
