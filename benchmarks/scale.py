"""Does a long sweep stay fast? 10,000 trials of up to 27 epochs on the simulated clock.

    python benchmarks/scale.py [--trials 10000] [--searcher auto] [--scheduler asha]
        [--workers 16]

For each tenth of the trials: the mean and the longest CPU milliseconds of a suggestion and of a
report (the controller, its scheduler and the history), and the memory of the process. Nothing is
trained. What ledger, files and Ray add is measured by `overhead.py`.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from raysweep.history import Config, History, Trial
from raysweep.schedulers import SCHEDULERS
from raysweep.schedulers.base import Decision
from raysweep.search_spaces.language.params import Choice, Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, SimulatedExecutor
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.sweep import Budget, Metric, RankingSearcher, Searcher, Sweep

EPOCHS, PARTS = 27, 10
SPACE = Space({**{f"u{i}": Float(0.0, 1.0) for i in range(7)}, "kind": Choice(("a", "b", "c"))})


@dataclass
class Clock:
    """CPU milliseconds of each suggestion and of each report.

    `reached`: the number of reports and the MiB of memory after each suggestion. `asked`: the
    milliseconds in which the searcher has ranked trials. They count as part of its last suggestion,
    not of the report during which it was asked.
    """

    suggestions: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)
    reached: list[tuple[int, float]] = field(default_factory=list)
    asked: float = 0.0


@dataclass(frozen=True)
class TimedSearcher:
    """A searcher whose suggestions are timed."""

    searcher: Searcher
    clock: Clock

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        before = time.process_time()
        config = self.searcher.suggest(space, history, seed)
        self.clock.suggestions.append(1e3 * (time.process_time() - before))
        self.clock.reached.append(
            (len(self.clock.reports), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        )
        return config

    def rank(self, space: Space, history: History) -> Mapping[int, float]:
        if not isinstance(self.searcher, RankingSearcher):
            return {}
        before = time.process_time()
        expected = self.searcher.rank(space, history)
        lasted = 1e3 * (time.process_time() - before)
        self.clock.suggestions[-1] += lasted
        # `timed` subtracts it from the report in which the searcher was asked.
        self.clock.asked += lasted
        return expected


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--searcher", default="auto", choices=sorted(SEARCHERS))
    parser.add_argument("--scheduler", default="asha", choices=sorted(SCHEDULERS))
    parser.add_argument("--workers", type=int, default=16)
    options = parser.parse_args()
    clock = Clock()
    searcher = TimedSearcher(SEARCHERS[options.searcher](), clock)
    sweep = Sweep(
        "",
        Metric("loss", "minimize"),
        {"a": searcher},
        SCHEDULERS[options.scheduler](),
        Budget(options.trials, EPOCHS),
        SPACE,
    )
    executor = SimulatedExecutor(curve, options.workers)
    controller = SweepController(sweep, clock=executor.clock)
    timed(controller, clock)
    executor.run(controller)
    print(table(clock, f"{options.searcher} + {options.scheduler}", options.workers))


def curve(config: Config, seed: int) -> Iterable[Epoch]:
    end = sum((config[f"u{i}"] - 0.3) ** 2 for i in range(7)) + (config["kind"] != "b")
    noise = np.random.default_rng(seed).normal(0, 0.02, EPOCHS)
    return (
        ({"loss": end + 1 / epoch + float(noise[epoch - 1])}, 1.0) for epoch in range(1, EPOCHS + 1)
    )


def timed(controller: SweepController, clock: Clock) -> None:
    """Time the controller's reports."""
    reported = controller.reported

    def wrapped(trial: Trial, epoch: int, metrics: dict[str, float], seconds: float) -> Decision:
        before, asked = time.process_time(), clock.asked
        decision = reported(trial, epoch, metrics, seconds)
        clock.reports.append(1e3 * (time.process_time() - before) - (clock.asked - asked))
        return decision

    # The simulation calls this very controller, so its method is replaced and not the class.
    controller.reported = wrapped  # type: ignore[method-assign,assignment]


def table(clock: Clock, method: str, workers: int) -> str:
    counts = f"{len(clock.suggestions):,} trials, {len(clock.reports):,} reports"
    lines = [
        f"{method}, {workers} workers, {counts}; CPU milliseconds, mean (longest)",
        "",
        "| trials | ms per suggestion | ms per report | MiB |",
        "| --- | --- | --- | --- |",
    ]
    edges = np.linspace(0, len(clock.suggestions), PARTS + 1).astype(int)
    for low, high in pairwise(edges):
        first, (last, memory) = clock.reached[low][0], clock.reached[high - 1]
        suggestions = _shown(clock.suggestions[low:high], 1)
        reports = _shown(clock.reports[first:last], 3)
        lines.append(f"| {high:,} | {suggestions} | {reports} | {memory:.0f} |")
    return "\n".join(lines)


def _shown(values: list[float], digits: int) -> str:
    if not values:
        return ""
    return f"{np.mean(values):.{digits}f} ({np.max(values):.1f})"


if __name__ == "__main__":
    main()
