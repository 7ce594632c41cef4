"""The table of `search.py --by-problem`: each method on each problem, beside one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.search_table import Run, head
from raysweep.arrays import FloatArray


def by_problem(runs: Sequence[Run], against: str) -> str:
    """AURC and final regret; and by how much the latter is larger than that of `against`.

    The differences are between runs with the same seed, with the standard error of their mean.
    """
    parts = []
    for workers in sorted({run.workers for run in runs}):
        some = [run for run in runs if run.workers == workers]
        parts.append(f"k = {workers} workers, differences to {against}:\n\n{_of(some, against)}")
    return "\n\n".join(parts) + "\n"


def _of(runs: list[Run], against: str) -> str:
    methods = list(dict.fromkeys(run.method for run in runs))
    columns = [column for method in methods for column in (method, "difference")]
    rows = [head("problem", "seeds", *columns)]
    means: list[list[float]] = []
    for problem in dict.fromkeys(run.problem for run in runs):
        found = [_by_seed(runs, method, problem) for method in methods]
        reference = _by_seed(runs, against, problem)
        cells = [cell for one in found for cell in (_mean(one), _difference(one, reference))]
        rows.append(f"| {problem} | {max(map(len, found))} | {' | '.join(cells)} |")
        if all(found):
            means.append([float(np.mean([run[-1] for run in one.values()])) for one in found])
    together = [f"{mean:.3f} | " for mean in np.mean(means, axis=0)] if means else []
    return "\n".join([*rows, f"| mean of {len(means)} | | {' | '.join(together)} |"])


def _by_seed(runs: list[Run], method: str, problem: str) -> dict[int, FloatArray]:
    return {
        run.seed: np.array(run.regret)
        for run in runs
        if (run.method, run.problem) == (method, problem)
    }


def _mean(runs: dict[int, FloatArray]) -> str:
    if not runs:
        return ""
    curves = np.array(list(runs.values()))
    return f"{curves.mean():.3f}, {curves[:, -1].mean():.3f}"


def _difference(runs: dict[int, FloatArray], reference: dict[int, FloatArray]) -> str:
    both = sorted(runs.keys() & reference.keys())
    if len(both) < 2:
        return ""
    gaps = np.array([runs[seed][-1] - reference[seed][-1] for seed in both])
    return f"{gaps.mean():+.3f} ± {gaps.std(ddof=1) / len(gaps) ** 0.5:.3f}"
