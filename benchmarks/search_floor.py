"""How long does a training alone take to reach what random search has in the end?

No searcher can save this time.

    python benchmarks/search_floor.py --data FOLDER --resume benchmarks/results/search_runs.npz

For each judging problem and 1,000 random configurations: how many ever reach the mean final regret
of `random` (4 workers, the runs of the file), and how long the fastest and the median of these
train until then, in full evaluations (FE). A searcher that proposed a median configuration as its
first one, and trained only that, would be 10 FE / that time faster than random search.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from benchmarks.search import read  # noqa: E402
from benchmarks.search_problems import BUDGET, JUDGE, Problem, Problems  # noqa: E402
from raysweep.arrays import FloatArray  # noqa: E402

CONFIGS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder of the learning curves"
    )
    parser.add_argument(
        "--resume", type=Path, required=True, help="a file of finished runs, random's among them"
    )
    options = parser.parse_args()
    randoms = [
        run for run in read(options.resume).values() if (run.method, run.workers) == ("random", 4)
    ]
    if not {run.problem for run in randoms} >= set(JUDGE):
        raise SystemExit(
            f"{options.resume}: no runs of random with 4 workers on each of the judging problems"
        )
    ends = {
        task: float(np.mean([run.regret[-1] for run in randoms if run.problem == task]))
        for task in JUDGE
    }
    problems = Problems(options.data, ROOT / "benchmarks/results/best_known.json")
    print("| problem | random's final regret | configurations that reach it ", end="")
    print("| fastest, FE | median, FE |\n| --- | --- | --- | --- | --- |")
    medians = []
    for task in JUDGE:
        times = reached(problems[task], ends[task])
        if not len(times):
            raise SystemExit(f"{task}: none of {CONFIGS:,} configurations reaches {ends[task]:.3f}")
        medians.append(float(np.median(times)))
        percent = 100 * len(times) / CONFIGS
        print(
            f"| {task} | {ends[task]:.3f} | {percent:.1f} % "
            f"| {times.min():.2f} | {medians[-1]:.2f} |"
        )
    middle = float(np.exp(np.mean(np.log(medians))))
    faster = f"{BUDGET / middle:.1f} times faster than random"
    print(f"\nThe geometric mean of the medians is {middle:.2f} FE: {faster}.")


def reached(problem: Problem, bar: float) -> FloatArray:
    """The FE until a regret is reached, for each random configuration that ever reaches it."""
    rng = np.random.default_rng(1)
    times = []
    for _ in range(CONFIGS):
        losses, seconds = problem.curve(problem.space.sample(rng))
        there = np.flatnonzero(problem.regret(losses) <= bar)
        if len(there):
            times.append(seconds[: there[0] + 1].sum() / problem.full)
    return np.array(times)


if __name__ == "__main__":
    main()
