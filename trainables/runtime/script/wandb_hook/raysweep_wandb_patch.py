"""Has W&B run offline with the parameters of the sweep, and reports what is logged."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from raysweep_wandb_log import Logged

OFFLINE = "offline"
PARAMETERS = "raysweep-parameters.json"
SWEEP_ID = "raysweep"


def prepare() -> None:
    """Set the variables that W&B reads, unless the user's environment has them.

    `WANDB_SWEEP_PARAM_PATH` is how W&B's own agent passes parameters: they win over the program's
    `config=` there, and so they do here.
    """
    folder = os.environ.get("RAYSWEEP_FOLDER", ".")
    os.environ.setdefault("WANDB_MODE", OFFLINE)
    os.environ.setdefault("WANDB_DIR", folder)
    if "WANDB_SWEEP_PARAM_PATH" in os.environ:
        return
    path = os.path.join(folder, "wandb", PARAMETERS)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    written = f"{path}.{os.getpid()}"  # each process of a trial writes it
    with open(written, "w") as file:
        json.dump({name: {"value": value} for name, value in parameters().items()}, file)
    os.replace(written, path)
    os.environ["WANDB_SWEEP_PARAM_PATH"] = path


def parameters() -> Mapping[str, Any]:
    """The configuration of the trial."""
    return dict(json.loads(os.environ.get("RAYSWEEP_CONFIG", "{}")))


def patch(wandb: Any) -> None:
    """Patch the functions through which a program starts a run."""
    if os.environ.get("WANDB_MODE") == OFFLINE:
        wandb.login = lambda *args, **options: True
    wandb.init = _following(wandb, wandb.init)
    wandb.sweep = lambda *args, **options: SWEEP_ID
    wandb.agent = agent


def agent(sweep_id: str, function: Callable[[], Any] | None = None, **options: Any) -> None:
    """Train once: this trial is one run of the agent's sweep."""
    if function is None:
        raise TypeError("wandb.agent: expected a function; raysweep starts the program itself")
    function()


def _following(wandb: Any, init: Callable[..., Any]) -> Callable[..., Any]:
    """`wandb.init`, offline, with a run whose logs are reported."""

    @functools.wraps(init)
    def patched(*args: Any, **options: Any) -> Any:
        if os.environ.get("WANDB_MODE") == OFFLINE and options.get("mode") in ("online", "shared"):
            options["mode"] = OFFLINE
        run = init(*args, **options)
        if run is not None and "_raysweep" not in vars(run):
            follow(wandb, run)
        return run

    return patched


def follow(wandb: Any, run: Any) -> None:
    """Report what a run logs, and at its end what only its summary has."""
    logged, finish = Logged(), run.finish
    # A run refuses attributes that it does not know, so they are set behind its back.
    own = vars(run)
    own["_raysweep"] = logged
    own["log"] = _reporting(logged, run.log)
    if wandb.run is run:
        wandb.log = run.log

    def report_summary() -> None:
        if logged.is_finished:
            return
        logged.is_finished = True
        with contextlib.suppress(Exception):  # a run that was finished may have no summary
            logged.summary(dict(run.summary))

    @functools.wraps(finish)
    def patched(*args: Any, **options: Any) -> Any:
        report_summary()
        return finish(*args, **options)

    own["finish"] = patched
    atexit.register(report_summary)


def _reporting(logged: Logged, log: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(log)
    def patched(data: Any, step: Any = None, *args: Any, **options: Any) -> Any:
        result = log(data, step, *args, **options)
        logged.log(data, step)
        return result

    return patched
