"""Compare searchers: which one is ahead, by how much, and how certain that is.

Searchers are compared by the best loss that their studies have found when each study has spent as
much as the study that spent least (the common budget). For a difference that is not significant,
the comparison says how many search seeds it would take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.results.analysis import statistics
from raysweep.results.analysis.hypervolume import Box, has_several, shared_box
from raysweep.results.analysis.incumbents import (
    IncumbentCurve,
    Unit,
    budget_grid,
    common_budget,
    incumbent_curves,
    loss_ceiling,
)
from raysweep.results.analysis.statistics import PValue
from raysweep.results.storage.run_directory import RunDirectory, RunError

ALPHA = 0.05
"""The significance level, over all pairs of searchers together."""
HYPERVOLUME = "hypervolume"
"""What studies with several objectives are compared by, as the name of a metric."""
BASELINE = "random"
"""The searcher that the others are measured against, if it took part."""


@dataclass(frozen=True)
class Pair:
    """Two searchers, the one with the smaller mean loss first.

    difference: of the mean losses. seeds: how many both have. test: None with fewer than two such
    seeds. p: corrected for the number of pairs (Holm). more_seeds: about how many more seeds would
    show the difference, or None if that is not known.
    """

    better: str
    worse: str
    difference: float
    seeds: int
    test: PValue | None
    p: float | None
    more_seeds: int | None

    @property
    def is_significant(self) -> bool:
        return self.p is not None and self.p <= ALPHA


@dataclass(frozen=True)
class Comparison:
    """A comparison of searchers on one metric, at a common budget.

    studies: the incumbent curves, several with the same label if a searcher has several seeds.
    unit: what the budget is counted in. Losses are as minimised: negative metrics if the metric is
    maximised. Arrays have one row for each seed of a searcher, in the order of `studies`.
    """

    studies: tuple[IncumbentCurve, ...]
    metric: str
    maximize: bool
    unit: Unit = "epochs"
    baseline: str = BASELINE

    def __str__(self) -> str:
        """The tables and findings as plain text, as `raysweep compare` prints them."""
        from rich.console import Console

        from raysweep.results.analysis.findings import tables

        # A fixed width, because the text may go to a file or a notebook.
        console = Console(width=100, no_color=True, highlight=False)
        with console.capture() as capture:
            console.print(tables(self))
        return "\n".join(line.rstrip() for line in capture.get().splitlines())

    def _repr_html_(self) -> str:
        """The tables and findings as HTML, for a notebook."""
        from raysweep.results.analysis.findings import html_tables

        return html_tables(self)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of the searchers."""
        return tuple(dict.fromkeys(study.label for study in self.studies))

    @cached_property
    def budget(self) -> float:
        """The common budget."""
        return common_budget(list(self.studies))

    @cached_property
    def spent(self) -> tuple[float, float]:
        """The least and the most that a study has spent, without exhausted studies."""
        # A grid at its end spent less because it had nothing left to try, not for lack of budget.
        totals = [study.total for study in self.studies if not study.exhausted]
        return self.budget, max(totals, default=self.budget)

    @cached_property
    def budgets(self) -> FloatArray:
        """The budgets at which curves are read, (budgets,); the last is the common budget."""
        return budget_grid(self.budget)

    @cached_property
    def ceiling(self) -> float:
        """The loss above which every loss counts as equally bad."""
        return loss_ceiling(list(self.studies))

    @cached_property
    def floor(self) -> float:
        """The best loss that any study has found within the common budget."""
        return min(float(curves[:, -1].min()) for curves in self.curves.values())

    @cached_property
    def curves(self) -> dict[str, FloatArray]:
        """The incumbent's loss at `budgets`, (seeds, budgets), at most the ceiling."""
        losses = {
            label: [study.loss_at(self.budgets) for study in self.studies if study.label == label]
            for label in self.labels
        }
        # The ceiling also replaces inf, before the first finite loss, of which there is no mean.
        return {label: np.minimum(np.array(rows), self.ceiling) for label, rows in losses.items()}

    @cached_property
    def finals(self) -> dict[str, FloatArray]:
        """The incumbent's loss at the common budget, (seeds,)."""
        return {label: curves[:, -1] for label, curves in self.curves.items()}

    @cached_property
    def mean_regrets(self) -> dict[str, FloatArray]:
        """The normalised regret averaged over the budget, (seeds,).

        0: the incumbent had the best known loss all the time; 1: it never passed the ceiling.
        """
        span = self.ceiling - self.floor
        regrets = {}
        for label, curves in self.curves.items():
            # Without a span all curves are equal, and no searcher has anything to regret.
            if span > 0:
                regrets[label] = (curves - self.floor).mean(axis=1) / span
            else:
                regrets[label] = np.zeros(len(curves))
        return regrets

    @cached_property
    def best_probabilities(self) -> dict[str, float] | None:
        """How often each searcher would have the best mean if the seeds were resampled.

        None with fewer than `statistics.MIN_SEEDS` seeds.
        """
        # Searchers may differ in their number of seeds; a resample needs the same number of each.
        n = min(len(values) for values in self.finals.values())
        if n < statistics.MIN_SEEDS:
            return None
        values = np.array([self.finals[label][:n] for label in self.labels])
        return dict(zip(self.labels, statistics.best_probabilities(values).tolist(), strict=True))

    @cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of searchers, the most certain difference first."""
        labels = list(combinations(self.labels, 2))
        # A pair that shares fewer than two seeds is shown, but cannot be tested.
        tests = {pair: test for pair in labels if (test := self._test(*pair))}
        # Only tests that were made count for the correction.
        corrected = statistics.holm([test.p for test in tests.values()])
        p = dict(zip(tests, corrected, strict=True))
        pairs = [self._pair(*pair, tests.get(pair), p.get(pair)) for pair in labels]
        return sorted(pairs, key=lambda pair: (pair.p is None, pair.p, -pair.difference))

    def seeds_of(self, label: str) -> list[int]:
        """The search seeds of a searcher."""
        return [study.seed for study in self.studies if study.label == label]

    def budget_fraction_to_match(self, label: str, other: str) -> float | None:
        """When the mean curve of `label` was as good as the mean of `other` at the end.

        A fraction of the common budget, or None if it never was.
        """
        is_as_good = self.curves[label].mean(axis=0) <= self.finals[other].mean()
        if not is_as_good.any():
            return None
        return float(self.budgets[int(is_as_good.argmax())] / self.budget)

    @property
    def _pair_alpha(self) -> float:
        """The significance level of the smallest of the p-values (Bonferroni)."""
        n_pairs = len(self.labels) * (len(self.labels) - 1) // 2
        return ALPHA / max(n_pairs, 1)

    def _shared(self, a: str, b: str) -> tuple[FloatArray, FloatArray]:
        """Final losses of two searchers over the seeds that both have."""
        of_a = dict(zip(self.seeds_of(a), self.finals[a], strict=True))
        of_b = dict(zip(self.seeds_of(b), self.finals[b], strict=True))
        both = [seed for seed in of_a if seed in of_b]
        return np.array([of_a[seed] for seed in both]), np.array([of_b[seed] for seed in both])

    def _test(self, a: str, b: str) -> PValue | None:
        of_a, of_b = self._shared(a, b)
        if len(of_a) < 2:
            return None
        return statistics.p_value(of_a, of_b, self._pair_alpha)

    def _pair(self, a: str, b: str, test: PValue | None, p: float | None) -> Pair:
        # The means of all seeds, as in the table; the test itself takes the shared ones only.
        means = {label: float(self.finals[label].mean()) for label in (a, b)}
        better, worse = sorted((a, b), key=lambda label: means[label])
        of_a, of_b = self._shared(a, b)
        more_seeds = statistics.seeds_needed(of_a, of_b, self._pair_alpha)
        if more_seeds is not None:
            # At least one more: a test may miss what so many seeds would show on average.
            more_seeds = max(1, more_seeds - len(of_a))
        difference = means[worse] - means[better]
        return Pair(better, worse, difference, len(of_a), test, p, more_seeds)


def compare(runs: Sequence[RunDirectory], unit: Unit = "epochs") -> Comparison:
    """Compare the searchers of one run, or of several.

    Raises RunError if the runs optimize different metrics, if nothing was reported, or if the unit
    is GPU-seconds and no GPU was used.
    """
    metrics = sorted({_what(run) for run in runs})
    if len(metrics) != 1:
        names = " against ".join(metrics)
        raise RunError(f"runs of different metrics or limits cannot be compared: {names}")
    box = None
    if any(has_several(run.histories) for run in runs):
        box = shared_box(history for run in runs for history in run.histories.values())
    studies: list[IncumbentCurve] = []
    for run in runs:
        prefix = ""
        if len(runs) > 1:  # two runs may have searchers of the same name
            prefix = f"{run.path.name}: "
        studies += _studies(run, unit, prefix, box)
    if not any(np.isfinite(study.loss).any() for study in studies):
        raise RunError(f"{runs[0].path}: nothing to compare, {runs[0].why_no_best}")
    metric, maximize = runs[0].metric, runs[0].maximize
    if box is not None:
        metric, maximize = HYPERVOLUME, True
    # A study without a report would make the common budget 0.
    begun = tuple(study for study in studies if study.total > 0)
    return Comparison(begun, metric, maximize, unit)


def _what(run: RunDirectory) -> str:
    """What a run optimizes, and which way, in words."""
    if run.objectives is None:
        return f"{run.metric} ({_way(run.maximize)})"
    objectives = run.objectives
    ways = (f"{one.name} ({_way(one.maximize)})" for one in objectives.objectives)
    return ", ".join((*ways, *map(str, objectives.limits)))


def _way(maximize: bool) -> str:
    return "maximized" if maximize else "minimized"


def _studies(run: RunDirectory, unit: Unit, prefix: str, box: Box | None) -> list[IncumbentCurve]:
    gpus = 0.0
    if unit == "GPU-seconds":
        gpus = _gpus_per_trial(run)
    curves = incumbent_curves(run.histories, run.seeds, run.seed, unit, gpus, box)
    return [
        replace(
            curve,
            label=prefix + curve.label,
            exhausted=name in run.exhausted,
            is_infeasible=run.has_limits and run.histories[name].best is None,
            remembers=any("memory" in trial.notes for trial in run.histories[name]),
        )
        for name, curve in zip(run.histories, curves, strict=True)
    ]


def _gpus_per_trial(run: RunDirectory) -> float:
    """The GPUs of each trial. Raises RunError if that is not known or no GPU was used."""
    gpus = run.sweep.get("resources", {}).get("gpu", 0)
    if not isinstance(gpus, int | float):
        raise RunError(f"{run.path}: GPU-seconds are not known, the sweep asked for gpu: {gpus}")
    # A sweep that asks for a GPU trains on the CPU if there is no GPU.
    used = any(str(trial.notes.get("device", "")).startswith("cuda") for trial in run.all_trials())
    if gpus == 0 or not used:
        raise RunError(f"{run.path} used no GPU; compare by epochs or seconds")
    return float(gpus)
