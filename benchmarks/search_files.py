"""Read and write the finished runs of `search.py` as one compact file.

The file is a NumPy archive (`numpy.load` reads it) of a few arrays, with one row per run. The
regret of a run over time is a step function that never rises, so only its steps are kept: a bit for
each time of `GRID` that says whether the regret changes there, and the sizes of the changes in
units of 1e-5, to which `search.py` rounds. Runs are stored by problem and seed, since runs that
share these resemble each other and compress well together.
"""

from __future__ import annotations

import zipfile
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_runs import GRID
from benchmarks.search_table import Run
from raysweep.arrays import FloatArray

UNIT = 1e-5
"""The regret is rounded to multiples of this; the table shows three decimals only."""
SORTED_BY = attrgetter("problem", "seed", "workers", "method")


def write_runs(path: Path, runs: list[Run]) -> None:
    """Write all runs to `path`, replacing what was there in one step."""
    order = sorted(range(len(runs)), key=lambda place: SORTED_BY(runs[place]))
    runs = [runs[place] for place in order]
    units = np.array([np.round(np.array(run.regret) / UNIT) for run in runs]).astype(np.int32)
    changes = np.diff(units, axis=1, prepend=0)
    methods, method = np.unique([run.method for run in runs], return_inverse=True)
    problems, problem = np.unique([run.problem for run in runs], return_inverse=True)
    arrays = {
        "order": np.array(order, np.uint16),
        "methods": methods,
        "problems": problems,
        "method": method.astype(np.uint8),
        "problem": problem.astype(np.uint8),
        "workers": np.array([run.workers for run in runs], np.uint8),
        "seed": np.array([run.seed for run in runs], np.uint8),
        "cost": np.round([1000 * run.cost for run in runs]).astype(np.int32),  # microseconds
        "changed": np.packbits(changes != 0, axis=1),
        "changes": changes[changes != 0],
    }
    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            # A ZipInfo made by hand has a fixed date, so that the same runs give the same bytes.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_LZMA
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    partial.replace(path)


def read_runs(path: Path) -> list[Run]:
    """The runs of a file that `write_runs` wrote, in the order in which they were given to it."""
    with np.load(path, allow_pickle=False) as arrays:
        regrets = _regrets(arrays["changed"], arrays["changes"])
        methods = arrays["methods"][arrays["method"]].tolist()
        problems = arrays["problems"][arrays["problem"]].tolist()
        columns = [arrays[name].tolist() for name in ("workers", "seed")]
        costs = (arrays["cost"] / 1000).tolist()
        order = arrays["order"].tolist()
    rows = zip(methods, problems, *columns, regrets.tolist(), costs, strict=True)
    runs = dict(zip(order, (Run(*row) for row in rows), strict=True))
    return [runs[place] for place in range(len(runs))]


def _regrets(changed: NDArray[np.uint8], changes: NDArray[np.int32]) -> FloatArray:
    """The regret of each run at each time of GRID, shape (runs, len(GRID))."""
    places = np.unpackbits(changed, axis=1, count=len(GRID)).astype(bool)
    units = np.zeros(places.shape, np.int64)
    units[places] = changes
    regrets: FloatArray = np.round(np.cumsum(units, axis=1) * UNIT, 5)
    return regrets
