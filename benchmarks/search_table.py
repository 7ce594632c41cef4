"""The table of `search.py`: AURC, final regret and speed-ups, with standard errors over seeds."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from benchmarks.search_problems import FAMILIES
from benchmarks.search_runs import GRID
from raysweep.arrays import FloatArray

RESAMPLES = 100
NEVER_REACHED = 0.5
"""The speed-up that counts if the rival's regret is never reached: as if after twice the budget."""
PACKAGES = ("numpy", "scipy", "ray", "hyperopt", "hpbandster", "optuna", "dehb", "onnxruntime")


@dataclass(frozen=True)
class Run:
    """One run of a method: its regret at each time of `GRID`, and its CPU ms per suggestion."""

    method: str
    problem: str
    workers: int
    seed: int
    regret: list[float]
    cost: float


Curves = dict[str, FloatArray]
"""By problem: (seeds, times)."""


def table(runs: list[Run], costs: dict[str, list[str]], missing: Iterable[str]) -> str:
    parts = [
        _versions(),
        *(_of(runs, workers) for workers in sorted({run.workers for run in runs})),
    ]
    if costs:
        parts += ["CPU milliseconds per suggestion, by the number of trials so far:", _costs(costs)]
    parts += [f"Not installed here: {name}." for name in missing]
    return "\n\n".join(parts) + "\n"


def _versions() -> str:
    def one(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"{name} absent"

    return f"Python {platform.python_version()}, " + ", ".join(map(one, PACKAGES)) + "."


def _of(runs: list[Run], workers: int) -> str:
    some = [run for run in runs if run.workers == workers]
    methods = list(dict.fromkeys(run.method for run in some))
    curves = {name: curves_of(some, name) for name in methods}
    # A method that lacks a problem has no mean that could be compared.
    complete = {
        name: one for name, one in curves.items() if len(one) == max(map(len, curves.values()))
    }
    rows = [
        _row(name, complete, [run.cost for run in some if run.method == name]) for name in complete
    ]
    head = _head({run.problem.partition("/")[0] for run in some})
    return (
        f"k = {workers} workers, {max(map(len, curves.values()))} problems:\n\n{head}\n"
        + "\n".join(rows)
    )


def _head(families: set[str]) -> str:
    split = " / ".join(name for name in FAMILIES if name in families)
    speeds = ("over random", split, "over random + stopping", "ms")
    return head("method", "seeds", "AURC", "final regret", split, *speeds)


def head(*columns: str) -> str:
    """The first two lines of a table."""
    return f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"


def curves_of(runs: list[Run], method: str) -> Curves:
    """Of the seeds that every problem has."""
    mine = [run for run in runs if run.method == method]
    names = dict.fromkeys(run.problem for run in mine)
    # Runs are done seed by seed, and may have been cut off: only whole seeds count.
    seeds = set.intersection(*({run.seed for run in mine if run.problem == name} for name in names))
    found = {
        name: [run.regret for run in mine if run.problem == name and run.seed in seeds]
        for name in names
    }
    return {name: np.array(rows) for name, rows in found.items() if rows}


def _row(name: str, curves: dict[str, Curves], costs: list[float]) -> str:
    own = curves[name]
    families = {
        family: {key: value for key, value in own.items() if key.startswith(f"{family}/")}
        for family in FAMILIES
    }
    split = [one for one in families.values() if one]
    seeds = len(next(iter(own.values())))
    final = " / ".join(f"{_mean(one, final=True):.3f}" for one in split)
    cells = [name, str(seeds), _with_error(own, final=False), _with_error(own, final=True), final]
    for rival in ("random", "random + stopping"):
        cells.append("")
        if rival in curves:
            cells[-1] = _speed_with_error(own, curves[rival])
        if rival == "random":
            cells.append("")
            if rival in curves:
                speeds = [f"{_speed(family, curves[rival]):.1f}" for family in split]
                cells[-1] = " / ".join(speeds)
    return "| " + " | ".join([*cells, f"{np.mean(costs):.1f}"]) + " |"


def _mean(curves: Curves, final: bool) -> float:
    """The mean over problems, each family as often as it has problems."""
    return float(np.mean([rows.mean() for rows in _by_seed(curves, final)]))


def _by_seed(curves: Curves, final: bool) -> list[FloatArray]:
    """For each problem the final or the mean regret of each seed, (seeds,)."""
    if final:
        return [rows[:, -1] for rows in curves.values()]
    return [rows.mean(axis=1) for rows in curves.values()]


def _with_error(curves: Curves, final: bool) -> str:
    """With the standard error over seeds of the mean over problems."""
    mean = f"{_mean(curves, final):.3f}"
    seeds = np.mean(_by_seed(curves, final), axis=0)
    if len(seeds) < 2:
        return mean
    return f"{mean} ± {seeds.std(ddof=1) / np.sqrt(len(seeds)):.3f}"


def _speed(own: Curves, rival: Curves) -> float:
    """How many times faster than a rival: the geometric mean over problems of T / t.

    t: when the mean regret is that of the rival at the end of the budget, T.
    """
    speeds = []
    for name, rows in own.items():
        hit = np.flatnonzero(rows.mean(axis=0) <= rival[name][:, -1].mean() + 1e-12)
        if len(hit):
            speeds.append(1 / GRID[hit[0]])
        else:
            speeds.append(NEVER_REACHED)
    return float(np.exp(np.mean(np.log(speeds))))


def _speed_with_error(own: Curves, rival: Curves) -> str:
    """With the standard deviation over draws of the seeds with replacement (of both)."""
    rng = np.random.default_rng(0)
    draws = [_speed(_redrawn(own, rng), _redrawn(rival, rng)) for _ in range(RESAMPLES)]
    speed = f"{_speed(own, rival):.1f}"
    if any(len(rows) < 2 for curves in (own, rival) for rows in curves.values()):
        return speed  # of a single seed every draw is the same
    return f"{speed} ± {np.std(draws):.1f}"


def _redrawn(curves: Curves, rng: np.random.Generator) -> Curves:
    return {name: rows[rng.integers(len(rows), size=len(rows))] for name, rows in curves.items()}


def _costs(costs: dict[str, list[str]]) -> str:
    rows = ["| method | 100 | 1,000 | 5,000 |", "| --- | --- | --- | --- |"]
    return "\n".join(
        [*rows, *("| " + " | ".join([name, *cells]) + " |" for name, cells in costs.items())]
    )
