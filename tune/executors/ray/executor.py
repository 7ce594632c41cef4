"""Train what the controller decides, on Ray Tune's workers."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raysweep.errors import SessionInterrupted
from raysweep.history import Trial
from raysweep.trainables.runtime.job import Job
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.placement import Plan, needs, piece, pieces
from raysweep.tune.executors.ray.connect import join
from raysweep.tune.executors.ray.start_local import remove, start
from raysweep.tune.sweep import Resources

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our tables and TensorBoard files are written from the ledger's events
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours lets running epochs end first
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # messages are checked before they leave the worker
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # Ray's 2 s fail the next, innocent trial after a slow unwinding
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # sweeps resume from the ledger, not from Ray's snapshots
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path in a train function means what it means by hand
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU sees none
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_memory_monitor_refresh_ms": "250",
    # Ray would start workers for a driver, and answer it only when they are there: never, if they
    # are slow. None of them would train: a trial's worker has a runtime environment of its own.
    "RAY_prestart_worker_first_driver": "0",
}


MOST_PENDING = 1000


@dataclass(frozen=True)
class Machines:
    """Where trials run: on this machine (`address` None), or on the Ray cluster at `address`."""

    address: str | None = None
    isolate: bool = False
    cpus: int | None = None
    gpus: int | None = None


def check_alive() -> None:
    """Raise Interruption where a process of this machine's Ray, that nothing can do without, has died."""
    if dead := died():
        raise SessionInterrupted(dead)


def died() -> str:
    """Which of those processes died, in words; "" for none."""
    from ray._private import worker

    node = worker._global_node
    dead = (
        {kind for kind, _ in node.dead_processes()} & {"raylet", "gcs_server"}
        if node is not None
        else set()
    )
    return f"Ray's {' and '.join(sorted(dead))} died" if dead else ""


@contextmanager
def cluster(
    machines: Machines,
    logs: Path,
    say: Callable[[str], None] = lambda line: None,
    stopping: Callable[[], str] = lambda: "",
) -> Iterator[Any]:
    """Ray, connected and quiet; what it logs goes to `logs`.

    Shut down at the end, unless it was running before. `stopping`: why the session is to end, "" if
    it is not: it is asked while Ray starts. StartError or ClusterError if Ray cannot be used.
    """
    running = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    if not running:
        say(_beginning(machines))
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
            end_processes()
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


def _beginning(machines: Machines) -> str:
    """What is said at once: on a busy machine even the import of Ray takes a while."""
    if machines.address is None:
        return "starting Ray ..."
    return f"joining the Ray cluster at {machines.address} ..."


def end_processes() -> None:
    """Kill what is left of this machine's Ray, so that the shutdown waits for nobody."""
    from ray._private import worker

    if worker._global_node is not None:
        worker._global_node.kill_all_processes(check_alive=False, allow_graceful=False)


def _imported() -> Any:
    """The package `ray` with `ray.tune`, which keeps credentials to itself.

    Ray Tune would pass the AWS keys on in each worker's runtime environment, which Ray logs in
    clear. The workers of this machine inherit the environment; others have their own credentials.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        import ray.tune
        from ray.tune.execution import class_cache
    class_cache.ENV_VARS_TO_PROPAGATE = {
        name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")
    }
    return ray


def _connect(
    ray: Any, machines: Machines, say: Callable[[str], None], stopping: Callable[[], str]
) -> Path | None:
    """Start Ray here, or join a cluster; the directory of the files of a Ray that was started."""
    if machines.address is None:
        return start(ray, machines.cpus, machines.gpus, say, stopping)
    join(ray, machines.address)
    return None


def _send_logs(folder: Path | None) -> None:
    """Have Ray's own chatter go to a file in `folder` and nowhere else; None: nowhere at all."""
    from ray._private import worker as ray_worker
    from ray._private.log import generate_logging_config

    generate_logging_config()  # now, lest it adds Ray's handler later
    for name in ("ray", "ray.data"):
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            logger.removeHandler(old)
            with contextlib.suppress(OSError):  # a full disk
                old.close()
    ray_worker.print_to_stdstream = (
        _to_log  # raylets' messages, which Ray prints whatever log_to_driver says
    )
    handler: logging.Handler = logging.NullHandler()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        handler = QuietFile(folder / "ray.log", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger("ray").addHandler(handler)


class QuietFile(logging.FileHandler):
    """A log file on a disk that may be full: what cannot be written is left out, without a traceback on the screen."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Nothing."""


def _to_log(data: dict[str, Any], **_: Any) -> None:
    logging.getLogger("ray").warning("%s: %s", data.get("pid"), "\n".join(data.get("lines", [])))


def train(
    controller: SweepController,
    job: Callable[[Trial], Job],
    plan: Plan,
    tick: Callable[[], None],
) -> str:
    """Run the controller to its end on a connected Ray, calling `tick` about ten times a second.

    Returns the mistake that ended it, in one line; "" where there was none.
    """
    from ray import tune

    from raysweep.tune.executors.gpu_sharing import Shares
    from raysweep.tune.executors.ray.adapters import (
        ControllerCallback,
        ControllerScheduler,
        ControllerSearcher,
        TrialCoordinator,
    )
    from raysweep.tune.executors.ray.by_value import train_function
    from raysweep.tune.executors.ray.elastic import watching
    from raysweep.tune.executors.ray.no_progress import NoProgress
    from raysweep.tune.executors.ray.ray_errors import handled

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(
        max(plan.parallel, MOST_PENDING)
    )  # the conductor says how many
    shares = (
        Shares(controller.sweep.space)
        if controller.sweep.resources.auto_gpu and plan.resources.gpu
        else None
    )
    if shares is not None:
        shares.update(controller.trials)
    coordinator = TrialCoordinator(controller, job, plan.parallel, tick, shares)
    cluster_watch = watching(coordinator, plan.resources, controller.sweep.parallel)
    scratch = tempfile.mkdtemp(prefix="raysweep-")
    tuner = tune.Tuner(
        tune.with_resources(train_function(), _holding(plan.resources, shares)),
        tune_config=tune.TuneConfig(
            search_alg=ControllerSearcher(coordinator),
            scheduler=ControllerScheduler(coordinator),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.trial_id),
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=scratch,
            callbacks=[ControllerCallback(coordinator), *cluster_watch],
            verbose=0,
            progress_reporter=NoProgress(),
        ),
    )
    try:
        with handled():
            tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if coordinator.bug is not None:
        raise coordinator.bug
    return coordinator.mistake


def _holding(resources: Resources, shares: object) -> Any:
    """What each Ray trial holds of a node, as Ray Tune takes it: the same for all, or, with shares, what its job says."""
    from ray.tune import PlacementGroupFactory

    from raysweep.tune.executors.ray.ray_worker import share_of

    if resources.spread:  # the worker itself needs next to nothing: its trial is trained by others
        return PlacementGroupFactory(
            [{}] + [needs(piece(resources))] * pieces(resources), strategy="PACK"
        )
    if shares is None:
        return PlacementGroupFactory([needs(resources)])
    return lambda config: PlacementGroupFactory([needs(replace(resources, gpu=share_of(config)))])
