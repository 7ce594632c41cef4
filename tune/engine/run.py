"""Train what the loop decides, on Ray Tune's workers."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from results.history import Trial
from trainables.attempt import Job
from tune.engine.detach import own_session
from tune.engine.join import join
from tune.engine.plan import Plan, needs, piece, pieces
from tune.interruption import Interruption
from tune.loop import Loop
from tune.sweep import Resources

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
        raise Interruption(dead)


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
def cluster(machines: Machines, logs: Path) -> Iterator[Any]:
    """Ray, connected and quiet; what it logs goes to `logs`. Shut down at the end, unless it was running before."""
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        import ray.tune
    started = not ray.is_initialized()
    _send_logs(logs)
    if started:
        _init(ray, machines)
        _send_logs(logs)  # ray.init took the handler away
    try:
        yield ray
    except Interruption:
        if started:
            end_processes()
        raise
    finally:
        if started:
            ray.shutdown()
        _send_logs(None)


def end_processes() -> None:
    """Kill what is left of this machine's Ray, so that the shutdown waits for nobody."""
    from ray._private import worker

    if worker._global_node is not None:
        worker._global_node.kill_all_processes(check_alive=False, allow_graceful=False)


def _init(ray: Any, machines: Machines) -> None:
    common = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if machines.address is None:
            _ask_for_token()
            with _loopback(), own_session():
                ray.init(
                    address="local",
                    num_cpus=machines.cpus,
                    num_gpus=machines.gpus,
                    include_dashboard=False,
                    **common,
                )
        else:
            join(ray, machines.address)


@contextmanager
def _loopback() -> Iterator[None]:
    """Have a local Ray listen on 127.0.0.1, as it does on macOS, and not on every address of this machine."""
    from ray._private import ray_constants

    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _ask_for_token() -> None:
    """Have a local Ray ask for a token, as it does by default, but not in silence."""
    from ray._private.authentication import authentication_token_setup

    if "RAY_AUTH_MODE" not in os.environ:
        authentication_token_setup._enable_token_auth()


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
    loop: Loop,
    job: Callable[[Trial], Job],
    plan: Plan,
    tick: Callable[[], None],
    isolate: bool = False,
) -> str:
    """Run the loop to its end on a connected Ray, calling `tick` about ten times a second.

    Returns the mistake that ended it, in one line; "" where there was none.
    """
    from ray import tune

    from tune.engine.adapters import Conductor, LoopCallback, LoopScheduler, LoopSearcher
    from tune.engine.follow import watching
    from tune.engine.shares import Shares
    from tune.engine.worker import train_trial

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(
        max(plan.parallel, MOST_PENDING)
    )  # the conductor says how many
    shares = (
        Shares(loop.sweep.space) if loop.sweep.resources.auto_gpu and plan.resources.gpu else None
    )
    if shares is not None:
        shares.update(loop.trials)
    conductor = Conductor(loop, job, plan.parallel, tick, shares)
    cluster_watch = watching(conductor, plan.resources, loop.sweep.parallel)
    scratch = tempfile.mkdtemp(prefix="raysweep-")
    tuner = tune.Tuner(
        tune.with_resources(train_trial, _holding(plan.resources, shares)),
        tune_config=tune.TuneConfig(
            search_alg=LoopSearcher(conductor),
            scheduler=LoopScheduler(conductor),
            num_samples=-1,
            reuse_actors=not isolate,
            trial_name_creator=lambda trial: str(trial.trial_id),
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=scratch,
            callbacks=[LoopCallback(conductor), *cluster_watch],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if conductor.bug is not None:
        raise conductor.bug
    return conductor.mistake


def _holding(resources: Resources, shares: object) -> Any:
    """What each Ray trial holds of a node, as Ray Tune takes it: the same for all, or, with shares, what its job says."""
    from ray.tune import PlacementGroupFactory

    from tune.engine.worker import share_of

    if resources.spread:  # the worker itself needs next to nothing: its trial is trained by others
        return PlacementGroupFactory(
            [{}] + [needs(piece(resources))] * pieces(resources), strategy="PACK"
        )
    if shares is None:
        return PlacementGroupFactory([needs(resources)])
    return lambda config: PlacementGroupFactory([needs(replace(resources, gpu=share_of(config)))])
