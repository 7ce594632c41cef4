"""The content of the page as plain data: what it draws, and nothing of how.

Tables are lists of columns, trials are named by their index in these, and numbers have at most six
significant digits: a thousand trials of 27 epochs take half a megabyte. Numbers that JSON lacks
become null. What only an opened trial shows is in `trial_data`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from raysweep.history import Config, Trial
from raysweep.references import is_script
from raysweep.results.analysis import dropped_priors, earlier_runs, simulation
from raysweep.results.analysis.compare import compare
from raysweep.results.analysis.findings import findings, ranking
from raysweep.results.analysis.good_ranges import good_ranges
from raysweep.results.analysis.importance import importance
from raysweep.results.analysis.incumbent_bands import incumbent_bands, plain
from raysweep.results.analysis.incumbents import Unit
from raysweep.results.analysis.more_time import more_time_finding
from raysweep.results.analysis.next_steps import next_steps
from raysweep.results.analysis.problems import problems
from raysweep.results.analysis.repeated import repeat_findings
from raysweep.results.analysis.retrained_front import front_findings
from raysweep.results.analysis.retraining import (
    retraining_findings,
    retraining_results,
    retraining_rows,
)
from raysweep.results.analysis.stopping_audit import audit
from raysweep.results.storage.mirror import display_path
from raysweep.results.storage.run_directory import SWEEP, BestEpoch, RunDirectory, RunError
from raysweep.results.storage.script_weights import of_script, script_file
from raysweep.results.storage.tables import flatten, trial_row
from raysweep.results.views.html.parameter_data import parameters
from raysweep.results.views.html.trial_data import trial_data
from raysweep.results.views.html.winner_data import confirmed_winner

Data = dict[str, Any]

COLUMNS = {
    "id": "trial",
    "searcher": "searcher",
    "seed": "seed",
    "status": "status",
    "reason": "reason",
    "bestEpoch": "best_epoch",
    "epochs": "epochs",
    "seconds": "seconds",
    "node": "node",
    "attempts": "attempts",
    "peakMemory": "peak_memory",
}
"""The page's names for columns of the table of trials, apart from those that name the metric."""
EXPORT = "best"
"""The folder of the exported model, as in `results/export.py`, which this module cannot import."""
MAX_METRICS = 24
"""The most metrics, besides the one that is optimized, with a column in the table."""
CLOCK_TOLERANCE = 1e-9
"""Seconds by which a trial may start before the one in front of it ended."""


def page_data(run: RunDirectory, live: bool = False, details: bool = False) -> Data:
    """Everything that the page shows of a run.

    live: the sweep is still running. details: with `trial_data`, for a page that cannot ask for it.
    """
    found = {**run_data(run, live), **analyses(run, live)}
    if details:
        found["details"] = trial_data(run, list(run.all_trials()))
    return found


def run_data(run: RunDirectory, live: bool = False) -> Data:
    """What the page shows of a run and costs little to collect."""
    trials = list(run.all_trials())
    differing = parameters(run.sweep.get("space", {}), trials, run.steering.space)
    return {
        "name": run.name,
        "path": display_path(run.path),
        "metric": run.metric,
        "maximize": run.maximize,
        "objectives": _objectives(run),
        "live": live,
        "written": time.time(),
        "began": run.began,
        "last": run.last_event,
        "ended": run.end_reason,
        "paused": run.steering.paused,
        "parallel": run.steering.parallel_of(run.sweep),
        "of": planned_trials(run, len(trials)),
        "tags": list(run.steering.tags.get("", [])),
        "notes": [
            {"text": note.text, "author": note.author, "time": note.time}
            for note in run.steering.notes
            if not note.trial
        ],
        "interval": {"unit": run.interval.unit, "every": run.interval.every},
        "levels": list(run.levels),
        "searchers": run.searchers,
        "seeds": run.seeds,
        "parameters": differing,
        "trials": trial_columns(run, trials, differing),
        "curves": [curve(trial, run.metric) for trial in trials],
        "best": _best(run, trials),
        "frontLine": run.front_line,
        "whyNoBest": None if run.chosen else run.why_no_best,
        "problems": problems(trials),
        "memory": [
            *earlier_runs.sentences(run.events, trials),
            *dropped_priors.sentences(run.events),
        ],
        "pareto": pareto(trials),
        "timeline": timeline(run, trials),
        "environment": run.environment,
        "yaml": (run.path / SWEEP).read_text(encoding="utf-8"),
    }


def analyses(run: RunDirectory, live: bool = False) -> Data:
    """What the page shows of a run and takes a while to compute."""
    trials = list(run.all_trials())
    retrained = retraining_results(run)
    ranges, bounds = good_ranges(run.sweep.get("space", {}), trials)
    return {
        "incumbents": _incumbents(run),
        **_comparison(run),
        "forecast": more_time_finding(run),
        "importance": importance(run, trials),
        "ranges": ranges,
        "bounds": bounds,
        "next": next_steps(run, trials, bounds, live or run.state == "running"),
        "winner": confirmed_winner(run, retrained),
        "retrainings": retraining_rows(retrained, run.maximize),
        "retrainingFindings": [
            *front_findings(run),
            *retraining_findings(retrained, run.maximize, run.metric),
        ],
        "stoppingAudit": audit(run),
        "simulation": simulation.read(run),
    }


def _objectives(run: RunDirectory) -> list[Data] | None:
    """The metrics of a sweep with several, with their limits; None with one."""
    if run.objectives is None:
        return None
    found: list[Data] = [
        {"name": one.name, "maximize": one.maximize, "limit": None}
        for one in run.objectives.objectives
    ]
    return found + [
        {"name": limit.name, "maximize": limit.at_least, "limit": limit.bound}
        for limit in run.objectives.limits
    ]


def planned_trials(run: RunDirectory, trained: int) -> int | None:
    """How many trials the budget allows to all studies together; None if it does not say.

    trained: the trials that there are, which may be more: a person can enqueue some.
    """
    limits = (run.sweep.get("budget") or {}) | run.steering.budget
    trials = limits.get("trials")
    if not isinstance(trials, int | float):
        return None
    count, searchers = 1, run.sweep.get("searcher")
    if isinstance(searchers, list):
        count = len(searchers)
    return max(int(trials) * max(1, count) * run.seeds, trained)


def pareto(trials: Sequence[Trial]) -> list[int]:
    """The indices of the trials on the Pareto front of seconds and loss, the cheapest first."""
    costs = [
        (trial.reports[-1].seconds, trial.best.loss, i)
        for i, trial in enumerate(trials)
        if trial.best and math.isfinite(trial.best.loss)
    ]
    front, least = [], math.inf
    # From the cheapest on: a trial is on the front if it is better than all cheaper ones.
    for _, loss, i in sorted(costs):
        if loss < least:
            front.append(i)
            least = loss
    return front


def timeline(run: RunDirectory, trials: Sequence[Trial]) -> list[list[Any]]:
    """Attempts as [worker, index of the trial, start, end, node], with times in Unix seconds.

    The ledger names no workers: each node gets as few as are needed for what ran at one time.
    """
    index = {trial.id: i for i, trial in enumerate(trials)}
    spans: list[tuple[float, float, int]] = []
    started: dict[str, float] = {}
    for event in run.events:
        if event["event"] == "started":
            started[event["trial"]] = event["time"]
        elif event["event"] in ("ended", "returned") and event["trial"] in started:
            trial = event["trial"]
            # Popped, because a trial that was retried starts once more.
            spans.append((started.pop(trial), event["time"], index[trial]))
    # Attempts that have not ended are shown up to the last thing that is known of the sweep.
    last = run.last_event or 0.0
    spans += [(start, last, index[trial]) for trial, start in started.items()]
    return list(_assign_workers(sorted(spans), trials))


def _assign_workers(
    spans: Sequence[tuple[float, float, int]], trials: Sequence[Trial]
) -> Iterator[list[Any]]:
    """Give each span, in the order of their starts, the worker of its node that is free longest."""
    workers_of_node: dict[str, dict[int, float]] = {}
    count = 0
    for start, end, i in spans:
        node = str(trials[i].notes.get("node", ""))
        free_from = workers_of_node.setdefault(node, {})
        free = [(t, worker) for worker, t in free_from.items() if t <= start + CLOCK_TOLERANCE]
        if free:
            worker = min(free)[1]
        else:
            worker, count = count, count + 1
        free_from[worker] = end
        yield [worker, i, round(start, 2), round(end, 2), node]


def _category(value: Any) -> str | None:
    """A category as text, as in the list of categories; None for a gap."""
    if value is None:
        return None
    return str(value)


def curve(trial: Trial, metric: str) -> list[list[Any]]:
    """The metric of a trial as [epoch, value] for each report."""
    return [[report.epoch, plain(report.metrics.get(metric))] for report in trial.reports]


def _comparison(run: RunDirectory) -> Data:
    """The findings and the table of searchers; empty if nothing was reported."""
    try:
        comparison = compare([run])
    except RunError:
        return {"findings": [], "ranking": []}
    if len(comparison.studies) < 2:  # a study alone has nothing to be compared with
        return {"findings": [], "ranking": []}
    return {"findings": findings(comparison), "ranking": ranking(comparison)}


def _incumbents(run: RunDirectory) -> Data:
    """The incumbent bands, by each unit of the budget that is known of the run."""
    bands: Data = {}
    for unit in get_args(Unit):
        with contextlib.suppress(RunError):  # nothing was reported, or no GPU was used
            bands[unit] = incumbent_bands(compare([run], unit))
    return bands


def trial_columns(run: RunDirectory, trials: Sequence[Trial], differing: Sequence[Data]) -> Data:
    """The table of some trials, a list for each column; `config` has a list for each parameter."""
    may_promote = run.may_promote
    rows = [
        trial_row(trial, run.metric, run.seed, run.seeds, may_promote)
        | {"reason": run.reason_of(trial)}
        for trial in trials
    ]
    names = {**COLUMNS, "best": f"best_{run.metric}", "last": f"last_{run.metric}"}
    columns = {key: [plain(row[name]) for row in rows] for key, name in names.items()}
    columns["tags"] = [" ".join(run.steering.tags.get(trial.id, [])) for trial in trials]
    columns |= _other_metrics(run, trials)
    if run.objectives:
        columns["feasible"] = [trial.best.feasible if trial.best else None for trial in trials]
    flats: list[Config] = [flatten(trial.config) for trial in trials]
    categorical = {parameter["name"] for parameter in differing if not parameter["numeric"]}
    config = {}
    for name in dict.fromkeys(name for flat in flats for name in flat):
        values = [flat.get(name) for flat in flats]
        if name in categorical:
            values = [_category(value) for value in values]
        config[name] = [plain(value) for value in values]
    return columns | {"config": config}


def _other_metrics(run: RunDirectory, trials: Sequence[Trial]) -> Data:
    """The other metrics of each trial in its best epoch, a column `metric <name>` for each."""
    best: list[Mapping[str, Any]] = [trial.best.metrics if trial.best else {} for trial in trials]
    names = dict.fromkeys(run.objectives.names if run.objectives else ())
    names |= dict.fromkeys(name for metrics in best for name in metrics)
    names.pop(run.metric, None)
    return {
        f"metric {name}": [plain(metrics.get(name)) for metrics in best]
        for name in list(names)[:MAX_METRICS]
    }


def _of_script(run: RunDirectory, best: BestEpoch) -> str | None:
    """What a script left of its best epoch; None of a train function."""
    if not is_script(str(run.sweep.get("trainable", ""))):
        return None
    return of_script(best, run.interval, script_file(run, best.trial))


def _best(run: RunDirectory, trials: Sequence[Trial]) -> Data | None:
    try:
        best = run.best
    except RunError:
        return None
    kept = run.with_checkpoint(best, download=False)  # a server shows it again and again
    exported = None
    if (run.path / EXPORT).is_dir():
        exported = display_path(run.path / EXPORT)
    ids = [trial.id for trial in trials]
    return {
        "trial": ids.index(best.trial.id),
        "epoch": best.epoch,
        "value": plain(best.value),
        "by_seeds": run.sweep.get("seeds_per_trial") is not None,
        "metrics": {name: plain(value) for name, value in best.report.metrics.items()},
        # That of a script holds what raysweep keeps, and no model.
        "checkpoint": display_path(kept.checkpoint) if kept.checkpoint and kept.has_state else None,
        "hasState": kept.has_state,
        "ofScript": _of_script(run, best),
        "exported": exported,
        "repeated": next(iter(repeat_findings(run)), None),
    }
