"""What priors (`around`) cost and give `auto`, right and wrong ones, and what its guard is worth.

    python benchmarks/priors.py [--seeds 25] [--trials 40]

A bowl in four dimensions with noise, whose optimum each seed draws. Every parameter has a prior,
whose centre lies so far from the optimum, as a part of the range. The table has the regret of the
best configuration, the median over the seeds, with the guard (`prior_guard.py`) and without it, and
how many of the four priors were dropped in the end.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from unittest.mock import patch

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.history import Config
from raysweep.schedulers import Asha, NoStopping
from raysweep.schedulers.base import Scheduler
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.searchers import prior_guard
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.sweep import Budget, Metric, Sweep

WEIGHTS = np.array([1.0, 1.0, 0.5, 0.25])
NOISE = 0.02
EPOCHS, WORKERS = 9, 2
OFFSETS = (0.0, 0.3, 0.5, None)
"""Between a prior and the optimum; None for no priors at all."""
SCHEDULERS: Mapping[str, Scheduler] = {"asha": Asha(), "none": NoStopping()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--trials", type=int, default=40)
    options = parser.parse_args()
    print("| scheduler | priors off by | with the guard | without it | dropped of 4 |")
    print("| --- | --- | --- | --- | --- |")
    for name, scheduler in SCHEDULERS.items():
        for offset in OFFSETS:
            found = [
                played(scheduler, offset, seed, options.trials) for seed in range(options.seeds)
            ]
            with patch.object(prior_guard, "LEAST_GAIN", math.inf):
                without = [
                    played(scheduler, offset, seed, options.trials)[0]
                    for seed in range(options.seeds)
                ]
            regret, dropped = np.median([one[0] for one in found]), np.mean([n for _, n in found])
            shown = "no priors" if offset is None else f"{offset:g}"
            print(
                f"| {name} | {shown} | {regret:.4f} | {np.median(without):.4f} | {dropped:.1f} |",
                flush=True,
            )


def played(scheduler: Scheduler, offset: float | None, seed: int, trials: int) -> tuple[float, int]:
    """The regret of the best configuration of a sweep, and how many priors it dropped."""
    best, centres = drawn(offset, np.random.default_rng(1000 + seed))
    space = Space({f"x{i}": Float(0, 1, around=centre) for i, centre in enumerate(centres)})

    def curve(config: Config, key: int) -> Iterator[tuple[dict[str, float], float]]:
        rng = np.random.default_rng(key)
        for epoch in range(1, EPOCHS + 1):
            loss = regret(config, best) + NOISE * rng.standard_normal() + 0.5 / epoch
            yield {"loss": loss}, 1.0

    metric, budget = Metric("loss", "minimize"), Budget(trials, EPOCHS)
    sweep = Sweep("", metric, {"auto": Auto()}, scheduler, budget, space, seed)
    controller = simulate(sweep, curve, WORKERS)
    history, searcher = controller.histories["auto"], controller.studies["auto"].searcher
    assert history.best is not None
    assert isinstance(searcher, Auto)
    return regret(history.best[0].config, best), len(searcher.dropped_priors(space, history))


def drawn(
    offset: float | None, rng: np.random.Generator
) -> tuple[FloatArray, Sequence[float | None]]:
    """An optimum, and the centres of the priors: so far away, on either side."""
    if offset is None:
        return rng.random(len(WEIGHTS)), [None] * len(WEIGHTS)
    low = rng.uniform(0, 1 - offset, len(WEIGHTS))
    is_low = rng.random(len(WEIGHTS)) < 0.5
    return np.where(is_low, low, low + offset), np.where(is_low, low + offset, low).tolist()


def regret(config: Config, best: FloatArray) -> float:
    """The loss of a configuration without noise; 0 at the optimum."""
    point = np.array([config[f"x{i}"] for i in range(len(WEIGHTS))])
    return float(WEIGHTS @ (point - best) ** 2)


if __name__ == "__main__":
    main()
