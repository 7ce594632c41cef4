"""For a script with a training loop of its own:

    import raysweep as rs

    config = rs.config(lr=0.1, width=64)
    for epoch in range(1, 10):
        ...
        rs.report(epoch=epoch, val_loss=...)

In a sweep, `rs.config` gives the trial's parameters, and `rs.report` tells the sweep. Outside of a
sweep the former gives its defaults, and the latter does nothing. Neither imports Ray or torch.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from raysweep.integrations.parameters import Parameters, merge

CONFIG, REPORTS = "RAYSWEEP_CONFIG", "RAYSWEEP_REPORTS"
"""The environment variables that a sweep sets for a script."""
POSITIONS = ("epoch", "step", "samples")
"""The names in a report that say where the training is."""
RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK")
"""The variables by which launchers tell a process its rank. The first process has 0 in each."""
WORKER = "RAYSWEEP_WORKER"
"""The variable that the process of a trial has, and what it starts."""
FIRST = ("", "-1", "0")
"""What they hold in the first process; -1 says that there is only one."""


def report(metrics: Mapping[str, Any] | None = None, /, **more: Any) -> None:
    """Report metrics to the sweep that runs this script, if there is one.

    Numbers, numpy scalars or tensors of one element; `report({"val/loss": 0.5})` is for names that
    Python does not allow as arguments. `epoch`, `step` or `samples` says where the training is;
    without them, reports are counted. If several processes train, only the first one reports.

    Raises ReportError, if there is a sweep, for a value that is not a number; and in a train
    function, which has a `run` that it reports to.
    """
    _refuse_in_train_function("reports by run.report(...), and a callback by Report(..., run=run)")
    path = os.environ.get(REPORTS)
    if not path or not is_first_process():
        return
    # Imported here, because a script that is run by hand need not wait for it.
    from raysweep.trainables.runtime.run import clean_metrics

    line = json.dumps(clean_metrics({**(metrics or {}), **more}, None))
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def config(defaults: Mapping[str, Any] | None = None, /, **more: Any) -> Parameters:
    """The trial's parameters; those of them that the sweep does not set have their defaults.

    `config({"optimizer.lr": 0.1})` is for parameters in groups. Outside of a sweep, the defaults
    are all there is. Raises ReportError in a train function.
    """
    _refuse_in_train_function("gets its parameters as an argument, train(config, run)")
    values: Mapping[str, Any] = json.loads(os.environ.get(CONFIG) or "{}")
    return merge({**(defaults or {}), **more}, values)


def is_first_process() -> bool:
    """True unless this process trains together with others and is not the first of them."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return bool(distributed.get_rank() == 0)
    return all(os.environ.get(name, "0") in FIRST for name in RANKS)


def _refuse_in_train_function(instead: str) -> None:
    """Raise ReportError in a train function, where reports would be lost, and defaults be wrong."""
    is_trial = WORKER in os.environ and "raysweep.trainables.runtime.train_job" in sys.modules
    if is_trial and REPORTS not in os.environ:
        from raysweep.trainables.runtime.run import ReportError

        raise ReportError(f"this is for scripts; a train function {instead}")
