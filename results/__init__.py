"""What happened: histories, tables, a comparison, a report, and the best model.

`import raysweep as rs; run = rs.load("ray_results/cnn"); run.trials, run.curves, run.best`
"""

from raysweep.results.storage.run_directory import BestEpoch, RunDirectory, RunError, load

__all__ = ["BestEpoch", "RunDirectory", "RunError", "load"]
