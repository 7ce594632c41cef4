"""The connection to Ray: started on this machine, or joined, and quiet."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import SessionInterrupted
from raysweep.tune.executors.ray import ray_compat
from raysweep.tune.executors.ray.connect import join
from raysweep.tune.executors.ray.start_local import remove, start

SETTINGS = {
    # Our tables and TensorBoard files are written from the ledger's events.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours lets running epochs end first
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # messages are checked before they leave the worker
    # Ray's 2 s fail the next, innocent trial after a slow unwinding.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    # Sweeps resume from the ledger, not from Ray's snapshots.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path means what it means without Ray
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU sees none
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_memory_monitor_refresh_ms": "250",
    # Ray would start workers for a driver, and answer it only when they are there: never, if they
    # are slow. None of them would train: a trial's worker has a runtime environment of its own.
    "RAY_prestart_worker_first_driver": "0",
}
"""What Ray is told by environment variables, unless the user has set them."""


@dataclass(frozen=True)
class Machines:
    """Where trials run: on this machine (`address` None), or on the Ray cluster at `address`.

    `nodes`: how many nodes of the cluster are waited for, some minutes at most.
    """

    address: str | None = None
    isolate: bool = False
    cpus: int | None = None
    gpus: int | None = None
    nodes: int = 1


def check_alive() -> None:
    """Raise SessionInterrupted if a process of this machine's Ray died that Ray cannot replace."""
    if dead := died():
        raise SessionInterrupted(dead)


def died() -> str:
    """Which of those processes died, in words; "" if none did."""
    dead = ray_compat.dead_processes() & {"raylet", "gcs_server"}
    return f"Ray's {' and '.join(sorted(dead))} died" if dead else ""


@contextmanager
def cluster(
    machines: Machines,
    logs: Path,
    say: Callable[[str], None] = lambda line: None,
    stopping: Callable[[], str] = lambda: "",
) -> Iterator[Any]:
    """Ray, connected and quiet; what it logs goes to `logs`.

    It is shut down at the end, unless it was running before. `stopping` is asked while Ray starts:
    it returns why the session is to end, or "". Raises StartError or ClusterError if Ray cannot be
    used.
    """
    running = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    if not running:
        say(_announcement(machines))
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    ray = _imported()
    private: Path | None = None
    _send_logs(logs)
    if not running:
        private = _connect(ray, machines, say, stopping)
        _send_logs(logs)  # ray.init took the handler away
    try:
        yield ray
    except SessionInterrupted:
        if not running:
            ray_compat.kill_processes()
        if private is not None:
            say(f"Ray's own logs are in {private}")
            private = None
        raise
    finally:
        if not running:
            ray.shutdown()
        if private is not None:
            remove(private)
        _send_logs(None)


def _announcement(machines: Machines) -> str:
    """The first line: on a busy machine even the import of Ray takes a while."""
    if machines.address is None:
        return "starting Ray ..."
    return f"joining the Ray cluster at {machines.address} ..."


def _imported() -> Any:
    """The package `ray` with `ray.tune`, which passes no credentials on.

    Ray Tune would pass the AWS keys on in each worker's runtime environment, which Ray logs in
    clear. The workers of this machine inherit the environment; others have their own credentials.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        import ray.tune
        from ray.tune.execution import class_cache

        ray_compat.skip_census_of_callbacks()
    class_cache.ENV_VARS_TO_PROPAGATE = {
        name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")
    }
    return ray


def _connect(
    ray: Any, machines: Machines, say: Callable[[str], None], stopping: Callable[[], str]
) -> Path | None:
    """Start Ray here, or join a cluster.

    Returns the directory of the files of a Ray that was started.
    """
    with ray_compat.no_sigterm_handler():
        if machines.address is None:
            return start(ray, machines.cpus, machines.gpus, say, stopping)
        join(ray, machines.address)
    return None


def _send_logs(folder: Path | None) -> None:
    """Have Ray's own messages go to a file in `folder` and nowhere else; if None, nowhere."""
    ray_compat.configure_logging_now()
    for name in ("ray", "ray.data"):
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            logger.removeHandler(old)
            with contextlib.suppress(OSError):  # a full disk
                old.close()
    ray_compat.redirect_messages(_to_log)
    handler: logging.Handler = logging.NullHandler()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        handler = QuietFile(folder / "ray.log", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger("ray").addHandler(handler)


class QuietFile(logging.FileHandler):
    """A log file on a disk that may be full: messages that cannot be written are left out."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Print no traceback on the screen."""


def _to_log(data: dict[str, Any], **_: Any) -> None:
    logging.getLogger("ray").warning("%s: %s", data.get("pid"), "\n".join(data.get("lines", [])))
