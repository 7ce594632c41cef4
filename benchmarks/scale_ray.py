"""Does a long or a wide sweep on a real Ray stay fast? Trivial trials under ASHA, up to 27 epochs.

    python -m benchmarks.scale_ray [--trials 10000] [--nodes 1] [--cpus 2] [--searcher random]
        [--profile]

Everything but the training is real: workers, checkpoints, ledger, tables, TensorBoard's files.
`--nodes` is the number of raylets on this machine, which form a cluster that the sweep joins, and
`--cpus` the number of trials that each of them runs at once. The table has a row for each tenth of
the trials: seconds, milliseconds per report by the clock and of the driver's CPU time, CPU
milliseconds per suggestion, and the driver's memory at the end. Below it stands where the CPU time
of the machine went. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.history import Config, Event, History
from raysweep.schedulers.asha import Asha
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.ray.connection import Machines
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.session import Options, run
from raysweep.tune.sweep import Budget, Metric, RankingSearcher, Searcher, Sweep

EPOCHS, PARTS = 27, 10
# What a process's command line contains, and what it counts as; the first that fits decides.
KINDS = {
    "raylet/raylet ": "raylets",
    "gcs_server ": "Ray's store on the head",
    "raysweep.results.views.html.report": "the page",
    "Agent": "Ray's agents",
    "onitor": "Ray's monitors",  # `monitor.py` and `MemoryMonitor` alike
    "ray::": "workers",
    "default_worker": "workers",
}
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

nodes, cpus = map(int, sys.argv[1:])
node = {"num_cpus": cpus, "object_store_memory": 80_000_000, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node, shutdown_at_exit=False)
for _ in range(nodes - 1):
    cluster.add_node(num_cpus=cpus, object_store_memory=80_000_000)
cluster.wait_for_nodes()
print("address", cluster.address, flush=True)
input()
cluster.shutdown()
"""


@dataclass(frozen=True)
class Moment:
    """What the driver had done and used when a trial was proposed."""

    clock: float
    cpu: float
    reports: int
    memory: float


@dataclass
class Watch:
    """Counts the reports, and says nothing."""

    reports: int = 0
    moments: list[Moment] = field(default_factory=list)
    suggestions: list[float] = field(default_factory=list)

    def on_event(self, event: Event, controller: SweepController) -> None:
        self.reports += event["event"] == "reported"

    def on_tick(self, controller: SweepController) -> None:
        pass

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def close(self, controller: SweepController) -> None:
        self.mark()

    def mark(self) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        self.moments.append(Moment(time.perf_counter(), time.process_time(), self.reports, memory))


@dataclass(frozen=True)
class TimedSearcher:
    """A searcher whose suggestions are timed, with a mark before each."""

    searcher: Searcher
    watch: Watch

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        self.watch.mark()
        # Of this thread: Ray's own threads in this process compute at the same time.
        before = time.thread_time()
        config = self.searcher.suggest(space, history, seed)
        self.watch.suggestions.append(1e3 * (time.thread_time() - before))
        return config

    def rank(self, space: Space, history: History) -> Mapping[int, float]:
        """Counts as part of the last suggestion's time."""
        if not isinstance(self.searcher, RankingSearcher):
            return {}
        before = time.thread_time()
        expected = self.searcher.rank(space, history)
        self.watch.suggestions[-1] += 1e3 * (time.thread_time() - before)
        return expected


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--searcher", default="random", choices=sorted(SEARCHERS))
    parser.add_argument("--profile", action="store_true", help="name what takes the driver's time")
    options = parser.parse_args()
    watch, profile = Watch(), cProfile.Profile()
    sweep = Sweep(
        trainable="benchmarks.scale_cluster:step",
        metric=Metric("loss", "minimize"),
        searchers={options.searcher: TimedSearcher(SEARCHERS[options.searcher](), watch)},
        scheduler=Asha(type="stopping"),
        budget=Budget(options.trials, EPOCHS),
        space=Space({f"x{i}": Float(0.0, 1.0) for i in range(6)}),
    )
    with cluster(options.nodes, options.cpus) as address, tempfile.TemporaryDirectory() as folder:
        machines = Machines(cpus=options.cpus)
        if address:
            machines = Machines(address)
        profiled: AbstractContextManager[Any] = nullcontext()
        if options.profile:
            profiled = profile
        with profiled, counted() as spent:
            run(sweep, Path(folder) / "run", Options(machines), watch)
    load = f"load {os.getloadavg()[1]:.0f} on {os.cpu_count()} cores"
    print(
        f"{options.searcher} + asha, {options.nodes} nodes of {options.cpus} trials at once; {load}"
    )
    print("\n".join(table(watch)))
    print(
        "CPU seconds:",
        ", ".join(
            f"{kind} {seconds:.0f}"
            for kind, seconds in sorted(spent.items(), key=lambda one: -one[1])
        ),
    )
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


@contextmanager
def cluster(nodes: int, cpus: int) -> Iterator[str]:
    """Start a cluster of so many raylets from a process of its own. Yields its address.

    "" for a single node, which the sweep starts itself.
    """
    if nodes == 1:
        yield ""
        return
    command = [sys.executable, "-W", "ignore", "-c", CLUSTER, str(nodes), str(cpus)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield next(line.split()[1] for line in process.stdout if line.startswith("address"))
        finally:
            process.stdin.write("\n")
            process.stdin.flush()
            process.wait(120)


@contextmanager
def counted() -> Iterator[defaultdict[str, float]]:
    """The CPU seconds of this process and of its descendants by kind, filled in at the end."""
    spent: defaultdict[str, float] = defaultdict(float)
    last: dict[int, tuple[str, float]] = {}
    done, began = threading.Event(), time.process_time()

    def look() -> None:
        # Often, because what a process has used cannot be asked once it has ended.
        while not done.wait(2.0):
            last.update(below(os.getpid()))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield spent
    done.set()
    thread.join()
    for kind, seconds in last.values():
        spent[kind] += seconds
    spent["the driver"] = time.process_time() - began


def below(root: int) -> dict[int, tuple[str, float]]:
    """Kind and CPU seconds of each process that descends from `root`, by number."""
    parents: dict[int, int] = {}
    found: dict[int, tuple[str, float]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            number, kind = (
                int(folder.name),
                next((kind for mark, kind in KINDS.items() if mark in line), "others"),
            )
            parents[number] = int(fields[1])
            if line:  # a process that has ended has none, and keeps the kind that it had
                found[number] = kind, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return {number: one for number, one in found.items() if root in ancestors(number, parents)}


def ancestors(number: int, parents: dict[int, int]) -> Iterator[int]:
    while number := parents.get(number, 0):
        yield number


def table(watch: Watch) -> Iterator[str]:
    headings = ("trials", "seconds", "reports", "ms per report", "CPU ms per report")
    yield f"| {' | '.join(headings)} | CPU ms per suggestion | MiB |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    edges = [len(watch.suggestions) * part // PARTS for part in range(PARTS + 1)]
    for low, high in pairwise(edges):
        first, last, took = watch.moments[low], watch.moments[high], watch.suggestions[low:high]
        reports, seconds = last.reports - first.reports, last.clock - first.clock
        cells = [
            f"{high:,}",
            f"{seconds:.0f}",
            f"{reports:,}",
            f"{1e3 * seconds / reports:.1f}",
            f"{1e3 * (last.cpu - first.cpu) / reports:.1f}",
            f"{np.mean(took):.1f} ({np.max(took):.0f})",
            f"{last.memory:.0f}",
        ]
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
