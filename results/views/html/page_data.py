"""The content of a report as plain data: what the page draws, nothing of how. Numbers that JSON lacks become null.

Tables are columns, trials are named by their place in them, and numbers are cut to six digits: a thousand trials of 27 epochs take half
a megabyte.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from typing import Any

from raysweep.history import Trial
from raysweep.results.analysis import simulation
from raysweep.results.analysis.compare import Comparison, compare
from raysweep.results.analysis.findings import standings, verdict
from raysweep.results.analysis.importance import importance
from raysweep.results.analysis.incumbent_bands import bands, plain
from raysweep.results.analysis.incumbents import Unit
from raysweep.results.analysis.retraining import confirmations, optimism, sentences
from raysweep.results.analysis.stopping_audit import audit
from raysweep.results.storage.run_directory import RunDirectory, RunError
from raysweep.results.storage.tables import flatten

Data = dict[str, Any]


def page_data(run: RunDirectory, live: bool = False) -> Data:
    """All that a report shows of a run."""
    trials = [trial for history in run.histories.values() for trial in history]
    differing = parameters(run.sweep.get("space", {}), trials)
    compared, confirmed = _compared(run), confirmations(run)
    return {
        "name": run.path.resolve().name,
        "metric": run.metric,
        "maximize": run.maximize,
        "live": live,
        "written": time.time(),
        **_times(run),
        "levels": list(run.levels),
        "searchers": run.searchers,
        "seeds": run.seeds,
        "parameters": differing,
        "trials": _columns(run, trials, {one["name"] for one in differing if not one["numeric"]}),
        "curves": [
            [[report.epoch, plain(report.metrics.get(run.metric))] for report in trial.reports]
            for trial in trials
        ],
        "best": _best(run, trials),
        "pareto": pareto(trials),
        "progress": _progress(run),
        "verdict": verdict(compared) if compared else [],
        "standings": standings(compared) if compared else [],
        "importance": importance(run, trials),
        "timeline": timeline(run, trials),
        "confirm": optimism(confirmed, run.maximize),
        "confirmed": sentences(confirmed, run.maximize, run.metric),
        "audit": audit(run),
        "contest": simulation.read(run),
        "environment": run.environment,
        "yaml": (run.path / "sweep.yaml").read_text(encoding="utf-8"),
    }


def parameters(space: Mapping[str, Any], trials: list[Trial]) -> list[Data]:
    """The parameters that differ between trials: number or category, whether on a log axis, and the values of a category in order."""
    flats = [flatten(trial.config) for trial in trials]
    found = []
    for name in dict.fromkeys(name for flat in flats for name in flat):
        values = [flat[name] for flat in flats if name in flat]
        if len({repr(value) for value in values}) < 2 and len(values) == len(trials):
            continue
        declared = space.get(name)
        declared = declared if isinstance(declared, Mapping) else {}
        numeric = (
            all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
            and "choice" not in declared
        )
        log = numeric and bool(declared.get("log")) and min(values) > 0
        levels = [] if numeric else _levels(declared, values)
        found.append({"name": name, "numeric": numeric, "log": log, "levels": levels})
    return found


def _levels(declared: Mapping[str, Any], values: list[Any]) -> list[str]:
    """The values of a category as text, as declared, then what else came."""
    there = sorted({str(value) for value in values})
    named = [str(value) for value in declared.get("choice") or declared.get("ordinal") or []]
    return [name for name in dict.fromkeys([*named, *there]) if name in there]


def pareto(trials: list[Trial]) -> list[int]:
    """The places of the trials that no other beats in both training seconds and loss, cheapest first."""
    priced = [
        (trial.reports[-1].seconds, trial.best.loss, i)
        for i, trial in enumerate(trials)
        if trial.best and math.isfinite(trial.best.loss)
    ]
    front, least = [], math.inf
    for _, loss, i in sorted(priced):
        if loss < least:
            front.append(i)
            least = loss
    return front


def timeline(run: RunDirectory, trials: list[Trial]) -> list[list[Any]]:
    """Attempts as [lane, trial, start, end, node]: lanes are workers, as few as are needed for what ran at one time on a node."""
    place = {trial.id: i for i, trial in enumerate(trials)}
    spans: list[tuple[float, float, int]] = []
    begun: dict[str, float] = {}
    now = run.events[-1]["time"] if run.events else 0.0
    for event in run.events:
        if event["event"] == "started":
            begun[event["trial"]] = event["time"]
        elif event["event"] in ("ended", "returned") and event["trial"] in begun:
            spans.append((begun.pop(event["trial"]), event["time"], place[event["trial"]]))
    spans += [(start, now, place[name]) for name, start in begun.items()]
    return _lanes(sorted(spans), trials)


def _lanes(spans: list[tuple[float, float, int]], trials: list[Trial]) -> list[list[Any]]:
    free: dict[str, list[tuple[float, int]]] = {}
    count, rows = 0, []
    for start, end, i in spans:
        node = str(trials[i].notes.get("node", ""))
        lanes = free.setdefault(node, [])
        ready = [one for one in lanes if one[0] <= start + 1e-9]
        lane = min(ready)[1] if ready else count
        count += not ready
        lanes[:] = [one for one in lanes if one[1] != lane] + [(end, lane)]
        rows.append([lane, i, round(start, 2), round(end, 2), node])
    return rows


def _compared(run: RunDirectory) -> Comparison | None:
    try:
        return compare([run])
    except RunError:
        return None


def _progress(run: RunDirectory) -> Data:
    """The bands for each unit that is known of the run."""
    drawn: Data = {}
    units: list[Unit] = ["epochs", "seconds", "GPU-seconds"]
    for unit in units:
        with contextlib.suppress(RunError):
            drawn[unit] = bands(compare([run], unit))
    return drawn


def _columns(run: RunDirectory, trials: list[Trial], categories: set[str]) -> Data:
    """The table of trials, a list a column; values of categories as text."""
    rows = run.rows
    names = {
        "id": "trial",
        "searcher": "searcher",
        "seed": "seed",
        "status": "status",
        "reason": "reason",
        "best": f"best_{run.metric}",
    }
    names |= {
        "bestEpoch": "best_epoch",
        "last": f"last_{run.metric}",
        "epochs": "epochs",
        "seconds": "seconds",
        "node": "node",
    }
    columns = {short: [plain(row[name]) for row in rows] for short, name in names.items()}
    flats = [flatten(trial.config) for trial in trials]
    names_of = dict.fromkeys(name for flat in flats for name in flat)
    config = {
        name: [_cell(flat.get(name), name in categories) for flat in flats] for name in names_of
    }
    return columns | {"config": config}


def _best(run: RunDirectory, trials: list[Trial]) -> Data | None:
    try:
        best = run.best
    except RunError:
        return None
    place = next(i for i, trial in enumerate(trials) if trial is best.trial)
    return {
        "trial": place,
        "epoch": best.epoch,
        "value": plain(best.value),
        "metrics": {k: plain(v) for k, v in best.report.metrics.items()},
    }


def _times(run: RunDirectory) -> Data:
    """When it began, when it was heard of last, and how the sweep ended (null: it has not, or its session was cut off)."""
    times = [event["time"] for event in run.events]
    sessions = [event for event in run.events if event["event"] in ("opened", "closed")]
    last = sessions[-1] if sessions else {"event": "opened"}
    ended = (
        last.get("reason") if last["event"] == "closed" and not last.get("interrupted") else None
    )
    return {
        "began": times[0] if times else None,
        "last": times[-1] if times else None,
        "ended": ended,
    }


def _cell(value: Any, category: bool) -> Any:
    return str(value) if category and value is not None else plain(value)
