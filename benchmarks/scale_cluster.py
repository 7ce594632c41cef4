"""How far one driver goes: 100 simulated nodes with a trial each, 10,000 trials of 3 epochs.

    python -m benchmarks.scale_cluster [--trials 10000] [--nodes 100] [--profile]

The trials take no time, and the nodes answer at once and in turn, without Ray. So this measures our
own part (controller, searcher, scheduler, ledger, tables, TensorBoard's files), which limits the
reports per second that any cluster can send. What Ray adds is measured by `scale_ray.py`.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import tempfile
import time
from collections import deque
from pathlib import Path

from raysweep.history import Config, Event, Trial
from raysweep.results.storage.ledger import Ledger
from raysweep.schedulers.asha import Asha
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space
from raysweep.trainables.runtime.run import Run
from raysweep.tune.callbacks.recorder import EventRecorder
from raysweep.tune.controller import SweepController
from raysweep.tune.run_folders import RunFolder
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.sweep import Budget, Metric, Sweep

EPOCHS = 3


class Silent:
    """Watches, and says nothing."""

    def on_event(self, event: Event, controller: SweepController) -> None:
        pass

    def on_tick(self, controller: SweepController) -> None:
        pass

    def say(self, line: str) -> None:
        pass

    def close(self, controller: SweepController) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--profile", action="store_true", help="name what takes the time")
    options = parser.parse_args()
    profile = cProfile.Profile()
    before = memory()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        if options.profile:
            profile.enable()
        controller = play(options.trials, options.nodes, Path(folder))
        profile.disable()
        seconds = time.perf_counter() - began
        size = (Path(folder) / "ledger.jsonl").stat().st_size
    reports = sum(len(trial.reports) for trial in controller.trials)
    rate = options.trials / seconds
    print(f"{options.trials:,} trials on {options.nodes} simulated nodes: ", end="")
    print(f"{seconds:.1f} s, {rate:,.0f} trials/s")
    print(f"{reports:,} reports: {reports / seconds:,.0f} per second, ", end="")
    print(f"{1000 * seconds / reports:.2f} ms each")
    grown = (memory() - before) / 1e6
    print(f"driver: {grown:.0f} MB more than at its start; ledger: {size / 1e6:.1f} MB")
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(12)


def play(trials: int, nodes: int, folder: Path) -> SweepController:
    """The whole sweep: each node trains an epoch in its turn."""
    said = sweep(trials)
    ledger = Ledger(folder)
    recorder = EventRecorder(RunFolder(folder, ledger), said, Silent())
    controller = SweepController(said, recorder)
    busy: deque[Trial] = deque()
    while not controller.done:
        while len(busy) < nodes and (trial := controller.next()):
            controller.started(trial)
            busy.append(trial)
        # The node that has waited longest answers next, so that all trials are equally far.
        trial = busy.popleft()
        epoch = trial.epoch + 1
        notes = {"node": f"node-{trial.number % nodes}", "device": "cpu"}
        if not controller.reported(
            trial, epoch, {"loss": trial.config["x0"] + 1 / epoch}, float(epoch), notes
        ).stop:
            busy.append(trial)
        for callback in recorder.callbacks:  # as a session does after each report: it writes tables
            callback.on_tick(controller)
    recorder.close(controller)
    ledger.close()
    return controller


def step(config: Config, run: Run) -> None:
    """A train function that trains nothing."""
    for epoch in run.epochs():
        run.report(loss=config["x0"] + 1 / epoch)


def sweep(trials: int) -> Sweep:
    return Sweep(
        trainable="benchmarks.scale_cluster:step",
        metric=Metric("loss", "minimize"),
        searchers={"random": Random()},
        scheduler=Asha(type="stopping", grace=1, eta=3),
        budget=Budget(trials, EPOCHS),
        space=Space({f"x{i}": Float(0.0, 1.0) for i in range(6)}),
    )


def memory() -> int:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


if __name__ == "__main__":
    main()
