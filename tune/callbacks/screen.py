"""What a person sees while a sweep runs: a live screen, or one plain line per event."""

from __future__ import annotations

import heapq
import math
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raysweep.formatting import clean, duration, number, plural, wrapped
from raysweep.history import Event, Status, Trial
from raysweep.repeats import REPEATS
from raysweep.results.analysis import dropped_priors, earlier_runs
from raysweep.results.storage.front import front_of, in_words, knee_of, with_front
from raysweep.results.storage.tables import CONFIG, trial_row
from raysweep.results.views.terminal import WIDE, plain, summary, trial_table
from raysweep.search_spaces.language.space import flatten
from raysweep.shown_status import ORDER, PAUSED, shown_status, status_in_words
from raysweep.tune import failed_attempts
from raysweep.tune.callbacks.base import WAITING, Observer
from raysweep.tune.callbacks.json_lines import JsonLines
from raysweep.tune.controller import DAMAGED, SweepController
from raysweep.tune.retries import FAILED_ATTEMPT
from raysweep.tune.seldom import Seldom
from raysweep.tune.time_left import SteadyTime, time_left

REFRESH_SECONDS = 0.25
"""Seconds between two drawings of the screen."""
MAX_ROWS = 20
"""Trials that the screen shows at most."""
MIN_ROWS = 4
"""Trials that it shows however low the terminal is."""
SAID = frozenset({"command", "exhausted", "priors"})
"""The kinds of events that the live screen says in a line of their own above the table."""
OTHER_LINES = 11
"""Lines that show no trial, with one searcher: headline, headers, gaps, and what is hidden."""


@dataclass(frozen=True)
class Overview:
    """What the screen shows of all trials: the table of searchers, and the front.

    front: [] with one objective. knee: the name of its trial. line: the front in words.
    """

    searchers: Table
    front: Sequence[Trial] = ()
    knee: str = ""
    line: str = ""


class Screen(Observer):
    """The live screen of a terminal, redrawn in place at most four times a second."""

    def __init__(self, name: str, console: Console, place: str = "") -> None:
        self._name, self._place = name, place
        self._console = console
        self._live: Live | None = None
        self._drawn = 0.0
        self._left = SteadyTime()
        self._front: Seldom[Overview] = Seldom()
        self._remembers: dict[str, bool] = {}
        self._waits = ""

    def on_event(self, event: Event, controller: SweepController) -> None:
        if event["event"] == "started":
            self._waits = ""
        shown = event["event"] in SAID or _is_failed_attempt(event) or self._is_news(event)
        line = describe(event, controller, self._place) if shown else warning(event)
        if line:
            self.say(line)
        self.on_tick(controller)

    def _is_news(self, event: Event) -> bool:
        """True if a study has judged its earlier runs for the first time, or drops all by now."""
        if event["event"] != "memory":
            return False
        used = bool(event["used"])
        before = self._remembers.get(event["study"])
        self._remembers[event["study"]] = used
        return before is not used

    def on_tick(self, controller: SweepController) -> None:
        now = time.monotonic()
        if now - self._drawn < REFRESH_SECONDS:
            return
        self._drawn = now
        left = self._left.follow(time_left(controller), now)
        width, height = self._console.width, self._console.height
        # A single best value is found at once, a front of thousands of trials is not.
        seen = self._front.get(lambda: overview(controller), fresh=not _has_front(controller))
        view = render(self._name, controller, width, height, left, seen, self._waits)
        if self._live is None:
            self._live = Live(view, console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(view, refresh=True)

    def say(self, line: str) -> None:
        if self._live is not None and line.startswith(WAITING):
            self._waits = line  # in the screen, because a line above it would stay to the end
            return
        self._console.print(plain(wrapped(line, self._console.width)), soft_wrap=True)

    def close(self, controller: SweepController) -> None:
        if self._live is not None:
            self._live.stop()


class Lines(Observer):
    """One plain line per event, for a log or a pipe."""

    def __init__(self, out: TextIO, place: str = "") -> None:
        self._out, self._place = out, place

    def on_event(self, event: Event, controller: SweepController) -> None:
        line = describe(event, controller, self._place)
        if line:
            self.say(line)

    def say(self, line: str) -> None:
        print(clean(line), file=self._out, flush=True)

    def close(self, controller: SweepController) -> None:
        if line := _paused_to_the_end(controller):
            self.say(line)
        self._out.flush()


def observer(name: str, as_json: bool, plain_lines: bool = False, place: str = "") -> Observer:
    """The observer for the standard output.

    Events as JSON if a program asked for them; a live screen on a terminal, unless `plain_lines`;
    lines elsewhere. place: the run directory, as it is shown.
    """
    if as_json:
        return JsonLines(sys.stdout)
    console = Console()
    if console.is_terminal and not plain_lines:
        return Screen(name, console, place)
    return Lines(sys.stdout, place)


def describe(event: Event, controller: SweepController, place: str = "") -> str:
    """An event in one line; "" if it tells a person nothing. place: the run directory."""
    trial, reason = event.get("trial", ""), event.get("reason", "")
    match event["event"]:
        case "proposed":
            shown = settings(event["config"], controller.sweep.space.constants)
            name, first = f"{event['study']}-{event['number']}", event.get("notes", {}).get(REPEATS)
            if first is not None:
                return f"{name} repeats {event['study']}-{first} with another seed: {shown}"
            return f"{name} proposed: {shown}"
        case "started":
            node = event.get("notes", {}).get("node")
            return f"{trial} started on {node}" if node else f"{trial} started"
        case "reported":
            metric = controller.sweep.metric
            value = f"{metric.name} {number(metric.value(event['loss']))}"
            for name in controller.sweep.metric_names[1:]:
                value += f", {name} {number(event['metrics'].get(name))}"
            at = controller.sweep.budget.interval.at(event["epoch"])
            return f"{trial} {at}: {value} ({event['seconds']:.1f} s)"
        case "ended":
            return f"{trial} {_ended_as(event, controller)}: {reason}"
        case "returned" if _is_failed_attempt(event):
            return failed_attempts.sentence(trial, event["notes"][FAILED_ATTEMPT]["reason"], place)
        case "returned":
            return f"{trial} queued again: {reason}"
        case "promoted":
            return f"{trial} {reason}"
        case "command":
            author = f" by {event['author']}" if event.get("author") else ""
            return f"{event['command']}{author} {event['outcome']}: {reason}"
        case "memory":
            return earlier_runs.assessment(event)
        case "priors":
            return dropped_priors.sentence(event)
        case "exhausted":
            return (
                f"{event['study']} {reason}" if reason else _exhausted(event["study"], controller)
            )
        case "noted" if "afterwards" in event["notes"]:
            return f"{trial} {event['notes']['afterwards']}"
    return warning(event)


def _is_failed_attempt(event: Event) -> bool:
    """True if a trial is queued again because its code failed."""
    return event["event"] == "returned" and bool(event.get("notes", {}).get(FAILED_ATTEMPT))


def _paused_to_the_end(controller: SweepController) -> str:
    """That trials which were said to pause are stopped now; "" while they may be promoted."""
    if controller.may_promote or not controller.sweep.scheduler.promotes:
        return ""
    count = sum(shown_status(trial, may_promote=True) == PAUSED for trial in controller.trials)
    if not count:
        return ""
    are = "trial that was paused is" if count == 1 else "trials that were paused are"
    return f"the sweep has ended: {count} {are} stopped"


def _ended_as(event: Event, controller: SweepController) -> str:
    """The status with which a trial ended; `paused` if the scheduler may promote it later."""
    promotes = controller.sweep.scheduler.promotes
    return status_in_words(event["status"], event.get("notes", {}), promotes)


def _exhausted(study: str, controller: SweepController) -> str:
    """That a searcher ends before its budget, for it has proposed all that it can."""
    proposed = plural(controller.histories[study].n_configurations, "configuration")
    return f"{study} has nothing left to propose after {proposed}"


def warning(event: Event) -> str:
    """What any screen must show: that a checkpoint was damaged; "" for other events."""
    damage = event.get("notes", {}).get(DAMAGED)
    if not damage or event["event"] != "noted":
        return ""
    return f"{event['trial']} restarts from its first epoch: {damage}"


def settings(config: Mapping[str, Any], constants: Mapping[str, Any]) -> str:
    """A configuration in one line, without the parameters that are the same in every trial."""
    varied = ((name, value) for name, value in flatten(config).items() if name not in constants)
    return " ".join(
        f"{name}={number(value) if isinstance(value, float) else value}" for name, value in varied
    )


def render(
    name: str,
    controller: SweepController,
    width: int,
    height: int = 50,
    left: float | None = None,
    seen: Overview | None = None,
    waits: str = "",
) -> Group:
    """The whole screen.

    left: the seconds left, if another number is shown than the estimate. seen: the searchers and
    the front, if they are those of a moment ago. waits: what the sweep waits for.
    """
    seen = seen or overview(controller)
    above = len(controller.histories) + OTHER_LINES + bool(seen.line) + bool(waits)
    rows = max(MIN_ROWS, min(MAX_ROWS, height - above))
    shown, hidden = _shown(controller, rows, {trial.id for trial in seen.front})
    parts: list[RenderableType] = [
        _headline(name, controller, time_left(controller) if left is None else left),
        *([plain(seen.line)] if seen.line else []),
        *([plain(waits, "yellow")] if waits else []),
        Text(),
        seen.searchers,
        Text(),
        _table(shown, controller, width, seen),
    ]
    if hidden:
        parts.append(Text(hidden, style="dim"))
    # A terminal echoes Ctrl-C as ^C where the cursor is. At the end of a full line, that would
    # begin a further one, which the next drawing does not know of and leaves behind.
    return Group(*parts, Text())


def overview(controller: SweepController) -> Overview:
    """The searchers, and with several objectives their front."""
    sweep = controller.sweep
    interval, objectives = sweep.budget.interval, sweep.objectives
    searchers = summary(controller.histories, sweep.metric.name, sweep.seeds, interval, objectives)
    if objectives is None or not objectives.has_front:
        return Overview(searchers)
    front = front_of(controller.trials)
    knee = knee_of(front)
    if knee is None:
        return Overview(searchers)
    return Overview(searchers, front, knee.id, in_words(front, knee, objectives))


def _has_front(controller: SweepController) -> bool:
    objectives = controller.sweep.objectives
    return objectives is not None and objectives.has_front


def _headline(name: str, controller: SweepController, left: float | None) -> Text:
    may_promote = controller.may_promote
    counts = Counter(shown_status(trial, may_promote) for trial in controller.trials)
    states = "   ".join(f"{counts[status]} {status}" for status in ORDER if counts[status])
    reports = sum(history.epochs for history in controller.histories.values())
    trained = controller.sweep.budget.interval.trained(reports)
    clock = duration(controller.seconds)
    if left is not None:
        clock += f", about {duration(left)} left"
    text = plain(f"{name}   ", "bold")
    text.append(f"{clock}\n", style="not bold")
    text.append(f"{states}   {trained}", style="not bold")
    metric = controller.sweep.metric
    if controller.pace and (told := controller.pace.told(metric.name, metric.goal == "maximize")):
        line = told.sentence(metric.name)
        text.append(f"\n{clean(line)}", style="not bold")
    if controller.steering.paused:
        text.append(f"\npaused; to continue:  raysweep resume {clean(name)}", style="yellow")
    if controller.stopping:
        stopping = clean(controller.stopping)
        text.append(f"\nstopping: {stopping}; running epochs end first", style="yellow")
    return text


def _shown(
    controller: SweepController, rows: int, front: Set[str] = frozenset()
) -> tuple[list[Trial], str]:
    """The running trials, then the best of the others; and what is not shown, in words.

    The best are those of the front, if there is one. If `rows` is too small for all, the running
    ones leave half of the rows to the others.
    """
    running = [trial for trial in controller.trials if trial.status is Status.RUNNING]
    others = [trial for trial in controller.trials if trial.status is not Status.RUNNING]
    most_running = max(rows // 2, rows - len(others))
    shown = sorted(running, key=_rank)[:most_running]
    best_first = heapq.nsmallest(
        rows - len(shown), others, key=lambda trial: (trial.id not in front, *_rank(trial))
    )
    shown += best_first
    may_promote = controller.may_promote
    hidden = Counter(shown_status(trial, may_promote) for trial in controller.trials)
    hidden.subtract(shown_status(trial, may_promote) for trial in shown)
    counts = ", ".join(f"{hidden[status]} {status}" for status in ORDER if hidden[status])
    return shown, f"not shown: {counts}" if counts else ""


def _table(trials: list[Trial], controller: SweepController, width: int, seen: Overview) -> Table:
    """A table of these trials, without the parameters that are the same in all of them."""
    metric, objectives = controller.sweep.metric.name, controller.sweep.objectives
    constants = {CONFIG + name for name in controller.sweep.space.constants}
    may_promote, reasons = controller.may_promote, controller.final_reasons
    rows = [
        {name: value for name, value in row.items() if name not in constants}
        | {"reason": reasons.get(trial.id, trial.reason)}
        for trial in trials
        for row in (trial_row(trial, metric, may_promote=may_promote),)
    ]
    if objectives:
        rows = with_front(rows, trials, objectives, seen.front)
    # A narrow screen has no room for reasons beside several metrics.
    extra: tuple[str, ...] = () if objectives else ("reason",)
    if width >= WIDE:
        extra = ("configuration", "reason")
    interval, names = controller.sweep.budget.interval, objectives.names if objectives else ()
    return trial_table(rows, metric, extra, interval=interval, several=names, knee=seen.knee)


def _rank(trial: Trial) -> tuple[bool, float, int, str]:
    """Trials that keep the limits come first, then the least loss."""
    best = trial.best
    keeps = best is not None and best.feasible
    return (not keeps, best.loss if best else math.inf, trial.number, trial.study)
