"""How good are the forecasts of `raysweep/forecast.py`, and when does `budget.worth` end a sweep?

    python benchmarks/forecast.py --data FOLDER [--develop] [--seeds 4]

Sweeps run on recorded learning curves and a simulated clock (`search.md` says where the data come
from). At 18 times of each, the improvement until it has run 1.1 to 3 times as long is held against
the forecast. The constants were chosen on the problems of --develop; the others judge.

`worth`: a price is put on time, so that a sweep is worth its improvement over the median trial less
its time. The best that any end could have been worth, known afterwards only, is held against the
end that `budget.worth` chooses. The prices are parts of the whole improvement for each FE, the mean
full training of a random configuration; a sweep lasts 10 of them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.search_problems import Problem, Problems, epochs_of
from raysweep.arrays import FloatArray
from raysweep.forecast import EXPECTED, HIGH, MIN_REPORTS, PLACE, Pace, pace_of
from raysweep.schedulers.asha import Asha
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.limits import MIN_TRIALS
from raysweep.tune.pacing import GROWTH
from raysweep.tune.searchers.bohb import Bohb
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.sweep import Budget, Metric, Searcher, Sweep

DEVELOP = (
    *(f"lcbench/{task}" for task in (3945, 34539, 126026, 126029, 146212, 167104)),
    "taskset/patch32_LSTM128_bs128",
    "taskset/patch128_LSTM128_bs64",
    *(f"rbv2/{task}" for task in (12, 1479, 6332, 31)),
)
JUDGE = (
    *(f"lcbench/{task}" for task in (7593, 167168, 168908)),
    "taskset/patch128_LSTM128_embed128_bs64",
    "taskset/patch32_GRU64_avg_bs128",
    "taskset/patch32_VRNN128_tanh_bs128",
    *(f"rbv2/{task}" for task in (54, 181, 1040)),
    "arlbench/ppo_Hopper-v4",
    "arlbench/dqn_CartPole-v1",
)
METHODS: dict[str, tuple[Searcher, Asha]] = {
    "random + stopping": (Random(), Asha(type="stopping")),
    "auto + promotion": (Auto(), Asha()),
    "bohb + promotion": (Bohb(), Asha()),
}
KNOWN = Path(__file__).resolve().parent / "results/best_known.json"
WORKERS = 4
RATIOS = (1.1, 1.3, 1.6, 2.0, 3.0)
TIMES = np.geomspace(0.02, 1 / RATIOS[0], 18)
"""When forecasts are made, as parts of a sweep's time."""
PRICES = (0.02, 0.05, 0.1, 0.2)
CLOSE = 0.9
"""An end is close to the best one if it is worth this part of it."""


@dataclass(frozen=True)
class Played:
    """The reports of a sweep in their order: seconds, best loss by then, trial, own loss."""

    clock: FloatArray
    best: FloatArray
    trial: FloatArray
    loss: FloatArray

    def bests(self, reports: int) -> FloatArray:
        """The best losses of the trials after so many reports, ascending."""
        loss, trial = self.loss[:reports], self.trial[:reports]
        finite = np.isfinite(loss)
        order = np.lexsort((loss[finite], trial[finite]))
        _, first = np.unique(trial[finite][order], return_index=True)
        found: FloatArray = np.sort(loss[finite][order][first])
        return found

    def pace(self, reports: int) -> Pace | None:
        bests = self.bests(reports)
        if reports < MIN_REPORTS or len(bests) < PLACE:
            return None
        return pace_of(self.clock[:reports], self.best[:reports], bests)

    def count(self, seconds: float) -> int:
        return int(np.searchsorted(self.clock, seconds, side="right"))


def play(problem: Problem, method: str, seed: int) -> Played:
    searcher, scheduler = METHODS[method]
    budget = Budget(None, problem.epochs, seconds=problem.budget * problem.full)
    sweep = Sweep(
        "", Metric("loss", "minimize"), {"a": searcher}, scheduler, budget, problem.space, seed
    )
    training = problem.trainings(seed)
    played = simulate(sweep, lambda config, key: epochs_of(training, config, key), WORKERS)
    rows = [(r.time, trial.number, r.loss) for trial in played.trials for r in trial.reports]
    times, numbers, losses = np.array(sorted(rows)).T
    return Played(times, np.minimum.accumulate(losses), numbers, losses)


def forecasts(played: Played) -> Iterator[tuple[float, float, float]]:
    """The ratio of each forecast, the improvement, and the pace times the ratio's logarithm."""
    end = played.clock[-1]
    for seconds in TIMES * end:
        pace = played.pace(played.count(seconds))
        for ratio in RATIOS:
            if pace is not None and ratio * seconds <= end * (1 + 1e-9):
                before, after = played.best[
                    [played.count(seconds) - 1, played.count(ratio * seconds) - 1]
                ]
                yield ratio, before - after, pace.gain * np.log(ratio)


def worths(played: Played) -> Iterator[tuple[float, float, float, float]]:
    """For each price: what the best end is worth, what the chosen one is, and what no end is.

    All as parts of the improvement of the whole sweep.
    """
    paces, reports = [], MIN_REPORTS
    while reports < len(played.clock):
        if (pace := played.pace(reports)) is not None:
            paces.append((reports, pace))
        reports = max(reports + 1, int(GROWTH * reports))
    if not paces:
        return
    first = paces[0][0]
    start = float(np.median(played.bests(first)))
    whole = start - played.best[-1]
    for price in PRICES:
        worth = price * whole * 10 / played.clock[-1]
        values = ((start - played.best) - worth * played.clock) / whole
        ended = next((n for n, pace in paces if _ends(pace, worth)), len(values) - 1)
        yield price, values[first:].max(), values[ended], values[-1]


def _ends(pace: Pace, worth: float) -> bool:
    return pace.trials >= MIN_TRIALS and pace.now < worth


def measured(problems: Problems, names: Sequence[str], seeds: int) -> tuple[list[object], ...]:
    said: list[object] = []
    ended: list[object] = []
    for seed in range(seeds):
        for name in names:
            for method in METHODS:
                played = play(problems[name], method, seed)
                family = name.partition("/")[0]
                said += [(family, method, *row) for row in forecasts(played)]
                ended += [(family, method, *row) for row in worths(played)]
    return said, ended


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("RAYSWEEP_BENCH"))
    parser.add_argument("--develop", action="store_true")
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    if options.data is None:
        raise SystemExit("give --data FOLDER or set RAYSWEEP_BENCH")
    names = DEVELOP if options.develop else JUDGE
    problems = Problems(Path(options.data), KNOWN)
    said, ended = measured(problems, names, options.seeds)
    found = pd.DataFrame(said, columns=["family", "method", "ratio", "gain", "pace"])
    found["covered"] = found.gain <= HIGH * found.pace
    # At most three intervals, because a few are a hundred times as large.
    found["gain / expected"] = np.minimum(found.gain / found.pace, 3 * HIGH) / EXPECTED
    print(f"{len(found)} forecasts of {len(names)} problems x {options.seeds} seeds")
    print(f"within the 90 % interval: {found.covered.mean():.3f}")
    print(f"improvement / expected: {found['gain / expected'].mean():.3f}")
    for key in ("family", "method", "ratio"):
        print(found.groupby(key)[["covered", "gain / expected"]].mean().round(3))
    print(f"90 % of the improvements are below {(found.gain / found.pace).quantile(0.9):.2f} paces")
    sweeps = pd.DataFrame(ended, columns=["family", "method", "price", "best", "worth", "never"])
    sweeps["close"] = sweeps.worth >= CLOSE * sweeps.best
    print(sweeps.groupby("price")[["best", "worth", "never", "close"]].mean().round(3))
    print(sweeps.groupby(["family", "price"]).close.mean().unstack().round(2))


if __name__ == "__main__":
    main()
