"""The executor that trains on Ray Tune's workers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from raysweep.history import Trial
from raysweep.trainables.runtime.job import Job
from raysweep.tune.budget import describe_budget
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.cluster.preflight import preflight
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.devices import Devices, of_kind
from raysweep.tune.executors.gpu_packing import GpuPacking
from raysweep.tune.executors.mps import mps
from raysweep.tune.executors.placement import Plan, bundle, n_bundles, needs, plan
from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.executors.ray import ray_compat
from raysweep.tune.executors.ray.cluster_resources import node_resources, wait_for_nodes
from raysweep.tune.executors.ray.connection import (
    Machines,
    check_alive,
    cluster,
    died,
)
from raysweep.tune.executors.ray.driver_watchdog import watchdog
from raysweep.tune.executors.ray.waiting import WaitingNotice
from raysweep.tune.run_folders import RunFolder
from raysweep.tune.sweep import Resources

CHECK_SECONDS = 1.0
"""Seconds between two looks at whether Ray is alive and whether the sweep waits for others."""
MAX_PENDING = 1000
"""Trials that Ray Tune may hold pending; the coordinator says how many there are."""
INTERRUPTED = 4
"""The exit code of a driver that does not come back from a call into a dead Ray."""


@dataclass(frozen=True)
class Connected:
    """A connected Ray, how trials are placed on it, and the name of the trainable there."""

    ray: Any
    plan: Plan
    trainable: str


class RayExecutor:
    """Trains on this machine's Ray, or on the Ray cluster that `machines` names.

    It connects at the first `run` and stays connected until it is left as a context manager.
    `abandon` is called when Ray has died and the driver does not return from a call into it.
    """

    def __init__(
        self,
        run: RunFolder,
        machines: Machines,
        require_gpu: bool,
        abandon: Callable[[SweepController, str], None],
    ) -> None:
        self._run = run
        self._machines = machines
        self._require_gpu = require_gpu
        self._abandon = abandon
        self._connection = ExitStack()
        self._connected: Connected | None = None

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *error: Any) -> bool | None:
        self._connected = None
        return self._connection.__exit__(*error)

    def run(self, controller: SweepController, callbacks: Sequence[Callback]) -> None:
        """Train until the controller is done."""
        if self._connected is None:
            with kept_signal_handlers():
                self._connected = self._connect(controller)
        if self._machines.address is None:
            controller.machine = socket.gethostname()
        train(
            controller,
            self._make_job(controller, self._connected),
            self._connected.plan,
            self._ticker(controller, callbacks, self._connected),
        )

    def _connect(self, controller: SweepController) -> Connected:
        """Connect, and say how trials are placed."""
        is_here = self._machines.address is None
        allowed = controller.sweep.resources.mps
        if allowed and not is_here:
            controller.say("mps: on a cluster it is started with its nodes, and not by a sweep")
        # Before Ray, whose workers inherit where it is.
        self._connection.enter_context(mps(allowed and is_here, controller.say))
        ray = self._connection.enter_context(
            cluster(
                self._machines,
                self._run.logs,
                controller.say,
                lambda: controller.stopping if controller.interrupted else "",
            )
        )
        self._connection.enter_context(
            watchdog(died, lambda why: self._end(controller, why), INTERRUPTED)
        )
        wait_for_nodes(self._machines.nodes, controller)
        sweep = controller.sweep
        placement = plan(sweep.resources, sweep.parallel, node_resources(ray), self._require_gpu)
        for line in [*placement.lines, *describe_budget(sweep)]:
            controller.say(line)
        trainable = sweep.trainable
        if self._machines.address is not None:
            trainable = preflight(ray, self._machines.address, sweep, self._run.location)
        return Connected(ray, placement, trainable)

    def _end(self, controller: SweepController, why: str) -> None:
        self._abandon(controller, why)
        ray_compat.kill_processes()

    def _make_job(
        self, controller: SweepController, connected: Connected
    ) -> Callable[[Trial], Job]:
        """Makes jobs as the workers of this cluster need them."""

        def make_job(trial: Trial) -> Job:
            return replace(
                controller.make_job(trial),
                trainable=connected.trainable,
                gpu=connected.plan.resources.gpu,
                isolate=self._machines.isolate,
            )

        return make_job

    def _ticker(
        self, controller: SweepController, callbacks: Sequence[Callback], connected: Connected
    ) -> Callable[[int], None]:
        """What is done about ten times a second, with the number of workers that have a place."""
        needed = needs(connected.plan.resources)
        waiting = WaitingNotice(needed, connected.ray.available_resources)
        checked = time.monotonic()

        def tick(placed: int) -> None:
            nonlocal checked
            for callback in callbacks:
                callback.on_tick(controller)
            if time.monotonic() - checked > CHECK_SECONDS:
                checked = time.monotonic()
                check_alive()
                if line := waiting.look(controller, checked, placed):
                    controller.say(line)

        return tick


@contextmanager
def kept_signal_handlers() -> Iterator[None]:
    """Restore the signal handlers after the body: `ray.init` installs its own."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def train(
    controller: SweepController,
    make_job: Callable[[Trial], Job],
    placement: Plan,
    tick: Callable[[int], None],
) -> None:
    """Run the controller to its end on a connected Ray.

    `tick` is called ten times a second, with the number of workers that have a place.
    """
    from ray import tune

    from raysweep.tune.executors.ray.adapters import (
        ControllerCallback,
        ControllerLink,
        ControllerScheduler,
        ControllerSearcher,
    )
    from raysweep.tune.executors.ray.by_value import train_function
    from raysweep.tune.executors.ray.elastic import cluster_callbacks
    from raysweep.tune.executors.ray.no_progress import NoProgress
    from raysweep.tune.executors.ray.ray_errors import handled

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(placement.parallel, MAX_PENDING))
    resources = placement.resources
    packing = None
    if controller.sweep.resources.auto_gpu and resources.gpu:
        packing = GpuPacking(controller)
    devices = Devices(resources, placement.room) if resources.accelerators else None
    coordinator = TrialCoordinator(controller, make_job, placement.parallel, packing, devices)
    link = ControllerLink(
        coordinator, lambda: tick(ray_compat.n_placed_workers(link.tune_controller))
    )
    following = cluster_callbacks(coordinator, resources)
    scratch = tempfile.mkdtemp(prefix="raysweep-")
    tuner = tune.Tuner(
        tune.with_resources(train_function(), _held(resources, packing)),
        tune_config=tune.TuneConfig(
            search_alg=ControllerSearcher(link),
            scheduler=ControllerScheduler(link),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.trial_id),
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=scratch,
            callbacks=[ControllerCallback(link), *following],
            verbose=0,
            progress_reporter=NoProgress(),
        ),
    )
    try:
        with handled():
            tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if link.bug is not None:
        raise link.bug


def _held(resources: Resources, packing: GpuPacking | None) -> Any:
    """What each Ray trial holds, as Ray Tune takes it.

    The same for all or, if GPU fractions are measured or kinds of GPU asked for, what its job says.
    """
    from raysweep.tune.executors.ray.ray_worker import gpu_of, kind_of_gpu

    if resources.accelerators:
        return lambda config: _places(of_kind(resources, kind_of_gpu(config)))
    if packing is None:
        return _places(resources)
    return lambda config: _places(replace(resources, gpu=gpu_of(config)))


def _places(resources: Resources) -> Any:
    """A trial's resources as Ray places them."""
    from ray.tune import PlacementGroupFactory

    if resources.spread:  # the worker itself needs nothing: other processes train its trial
        bundles = [needs(bundle(resources))] * n_bundles(resources)
        return PlacementGroupFactory([{}, *bundles], strategy="PACK")
    return PlacementGroupFactory([needs(resources)])
