"""What a sweep leaves: tables, a comparison, a page and the best model.

`import raysweep as rs; run = rs.load("ray_results/cnn"); run.best, run.trials, run.curves`
"""

from raysweep.results.run import Best, Run, load
from raysweep.results.storage.run_directory import RunError

__all__ = ["Best", "Run", "RunError", "load"]
