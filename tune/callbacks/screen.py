"""What a person sees while a sweep runs: one live screen, or one plain line per event, or events as JSON."""

from __future__ import annotations

import heapq
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raysweep.formatting import clean, duration, number, wrapped
from raysweep.history import Event, History, Status, Trial
from raysweep.results.storage.tables import CONFIG, trial_row
from raysweep.results.views.terminal import WIDE, plain, summary, trial_table
from raysweep.search_spaces.language.space import flatten
from raysweep.tune.budget import describe_budget
from raysweep.tune.controller import DAMAGED, SweepController

REFRESH_SECONDS = 0.25
MOST_ROWS = 20
LEAST_ROWS = 4
OTHER_LINES = 9
"""Lines of the screen that show no trial, for a sweep of one searcher: the headline, the headers, gaps, what is hidden."""


class Observer(Protocol):
    """Hears of every event after it happened."""

    def event(self, event: Event, controller: SweepController) -> None: ...

    def tick(self, controller: SweepController) -> None: ...

    def say(self, line: str) -> None: ...

    def close(self) -> None: ...


class Screen:
    """The live screen of a terminal, redrawn in place at most four times a second."""

    def __init__(self, name: str, console: Console) -> None:
        self._name = name
        self._console = console
        self._live: Live | None = None
        self._drawn = 0.0

    def event(self, event: Event, controller: SweepController) -> None:
        if line := warning(event):
            self.say(line)
        self.tick(controller)

    def tick(self, controller: SweepController) -> None:
        now = time.monotonic()
        if now - self._drawn < REFRESH_SECONDS:
            return
        self._drawn = now
        view = render(self._name, controller, self._console.width, self._console.height)
        if self._live is None:
            self._live = Live(view, console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(view, refresh=True)

    def say(self, line: str) -> None:
        self._console.print(plain(wrapped(line, self._console.width)), soft_wrap=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()


class Lines:
    """One plain line per event, for a log or a pipe."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def event(self, event: Event, controller: SweepController) -> None:
        line = describe(event, controller)
        if line:
            self.say(line)

    def tick(self, controller: SweepController) -> None:
        """Nothing to refresh."""

    def say(self, line: str) -> None:
        print(clean(line), file=self._out, flush=True)

    def close(self) -> None:
        self._out.flush()


class Json:
    """One JSON object per event, for another program. Non-finite numbers are null."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def event(self, event: Event, controller: SweepController) -> None:
        print(json.dumps(_finite(event), allow_nan=False), file=self._out, flush=True)

    def tick(self, controller: SweepController) -> None:
        """Nothing to refresh."""

    def say(self, line: str) -> None:
        print(json.dumps({"event": "message", "text": line}), file=self._out, flush=True)

    def close(self) -> None:
        self._out.flush()


def observer(name: str, as_json: bool) -> Observer:
    """What fits where the output goes: a terminal, something else, or a program that asked for JSON."""
    if as_json:
        return Json(sys.stdout)
    console = Console()
    return Screen(name, console) if console.is_terminal else Lines(sys.stdout)


def describe(event: Event, controller: SweepController) -> str:
    """An event in one line; "" where a person would not miss it."""
    if line := warning(event):
        return line
    kind = event["event"]
    if kind == "proposed":
        return f"{event['study']}-{event['number']} proposed: {settings(event['config'], controller.sweep.space.constants)}"
    if kind == "started":
        where = event.get("notes", {}).get("node")
        return f"{event['trial']} started" + (f" on {where}" if where else "")
    if kind == "reported":
        metric = controller.sweep.metric
        seconds = f"{event['seconds']:.1f} s"
        return f"{event['trial']} epoch {event['epoch']}: {metric.name} {number(metric.value(event['loss']))} ({seconds})"
    if kind == "ended":
        return f"{event['trial']} {event['status']}: {event['reason']}"
    if kind == "noted" and "afterwards" in event["notes"]:
        return f"{event['trial']} {event['notes']['afterwards']}"
    if kind == "returned":
        return f"{event['trial']} put back: {event['reason']}"
    if kind == "promoted":
        return f"{event['trial']} promoted: {event['reason']}"
    return ""


def warning(event: Event) -> str:
    """What a person must hear of on any screen: a checkpoint that was damaged; else ""."""
    damage = event.get("notes", {}).get(DAMAGED)
    if not damage or event["event"] != "noted":
        return ""
    return f"{event['trial']} begins again with its first epoch: {damage}"


def settings(config: Mapping[str, Any], constants: Mapping[str, Any]) -> str:
    """A configuration in one line, without what is the same in every trial."""
    varied = ((name, value) for name, value in flatten(config).items() if name not in constants)
    return " ".join(
        f"{name}={number(value) if isinstance(value, float) else value}" for name, value in varied
    )


def render(name: str, controller: SweepController, width: int, height: int = 50) -> Group:
    """The whole screen."""
    searchers = summary(controller.histories, controller.sweep.metric.name, controller.sweep.seeds)
    above = len(controller.histories) + OTHER_LINES
    shown, hidden = _shown(controller, max(LEAST_ROWS, min(MOST_ROWS, height - above)))
    parts: list[RenderableType] = [
        _headline(name, controller),
        Text(),
        searchers,
        Text(),
        _table(shown, controller, width),
    ]
    if hidden:
        parts.append(Text(hidden, style="dim"))
    return Group(*parts)


def _headline(name: str, controller: SweepController) -> Text:
    counts = Counter(trial.status for trial in controller.trials)
    states = "   ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    left = time_left(controller)
    clock = f"{duration(controller.seconds)}" + (
        f", about {duration(left)} left" if left is not None else ""
    )
    text = plain(f"{name}   ", "bold")
    text.append(f"{clock}\n", style="not bold")
    text.append(
        f"{states}   {sum(history.epochs for history in controller.histories.values())} epochs",
        style="not bold",
    )
    if controller.stopping:
        stopping = clean(controller.stopping)
        text.append(f"\nstopping: {stopping}; running epochs end first", style="yellow")
    return text


def time_left(controller: SweepController) -> float | None:
    """Seconds that the rest will take if it goes on as it did; None where that cannot be said yet."""
    budget = controller.sweep.budget
    shares = [
        _share(history, budget.trials, budget.total_epochs)
        for history in controller.histories.values()
    ]
    share = (
        _alike(controller, shares)
        if describe_budget(controller.sweep)
        else sum(shares) / len(shares)
    )
    spent = controller.training_seconds  # without Ray's start, which comes once
    left = spent * (1 - share) / share if share > 0 and spent > 0 else None
    limit = budget.seconds - controller.seconds if budget.seconds is not None else None
    known = [seconds for seconds in (left, limit) if seconds is not None]
    return max(0.0, min(known)) if known else None


def _alike(controller: SweepController, shares: list[float]) -> float:
    """The part that is spent where every study is to train as many epochs as the one that trains most."""
    epochs = [history.epochs for history in controller.histories.values()]
    most = max(
        (spent / share for spent, share in zip(epochs, shares, strict=True) if share), default=0.0
    )
    return sum(epochs) / (len(epochs) * most) if most else 0.0


def _share(history: History, trials: int | None, epochs: int | None) -> float:
    """The part of a study's budget that is spent, in 0 .. 1."""
    spent = []
    if trials:
        spent.append((len(history) - len(history.running)) / trials)
    if epochs:
        spent.append(history.epochs / epochs)
    return min(1.0, max(spent, default=0.0))


def _shown(controller: SweepController, rows: int) -> tuple[list[Trial], str]:
    """The running trials, then the best of the others; and what is not shown, in words.

    If there is not room for all, the running ones leave half of it to the others.
    """
    running = [trial for trial in controller.trials if trial.status is Status.RUNNING]
    others = [trial for trial in controller.trials if trial.status is not Status.RUNNING]
    room = max(rows // 2, rows - len(others))
    shown = sorted(running, key=_rank)[:room]
    shown += heapq.nsmallest(rows - len(shown), others, key=_rank)
    hidden = Counter(trial.status for trial in controller.trials)
    hidden.subtract(trial.status for trial in shown)
    counts = ", ".join(f"{hidden[status]} {status}" for status in Status if hidden[status])
    return shown, f"not shown: {counts}" if counts else ""


def _table(trials: list[Trial], controller: SweepController, width: int) -> Table:
    """The table of these trials, without the parameters that are the same in all."""
    metric = controller.sweep.metric.name
    constants = {CONFIG + name for name in controller.sweep.space.constants}
    rows = [
        {name: value for name, value in trial_row(trial, metric).items() if name not in constants}
        for trial in trials
    ]
    return trial_table(rows, metric, ("configuration", "reason") if width >= WIDE else ("reason",))


def _rank(trial: Trial) -> tuple[float, int, str]:
    return (trial.best.loss if trial.best else math.inf, trial.number, trial.study)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
