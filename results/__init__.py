"""What happened: histories, tables, a comparison, a report, and the best model.

`from results import load; run = load("ray_results/cnn"); run.trials, run.curves, run.best`
"""

from results.folder import Best, RunError, RunFolder, load

__all__ = ["Best", "RunError", "RunFolder", "load"]
