"""What a notebook shows while a sweep runs: one output that is updated in place."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from html import escape
from typing import Any

from raysweep.formatting import clean, duration, number
from raysweep.history import Event, Trial
from raysweep.shown_status import ORDER, shown_status
from raysweep.tune.callbacks.base import Observer
from raysweep.tune.callbacks.screen import settings, warning
from raysweep.tune.controller import SweepController
from raysweep.tune.time_left import time_left

REFRESH_SECONDS = 0.5
MOST_ROWS = 8
"""Rows of the table: it stays above the fold of a notebook."""
STYLE = "border:1px solid #8884;height:6px;width:24em;border-radius:3px;margin:4px 0"
BAR = "background:#3b82f6;height:6px;border-radius:3px"


def is_notebook() -> bool:
    """True in the kernel of a notebook, whose output can be updated in place."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class Silence(Observer):
    """Shows nothing."""

    def say(self, line: str) -> None: ...


class NotebookView(Observer):
    """A progress bar, a line of state and the best trials, redrawn in place twice a second.

    `name` is that of the run directory. What is said besides is one line below the table, and what
    a person must not miss stays there.
    """

    def __init__(self, name: str) -> None:
        from IPython.display import HTML, display

        # Ray recommends widgets on the error stream of every notebook that it is used in.
        logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
        self._html = HTML
        self._name = name
        self._line = ""
        self._warnings: list[str] = []
        self._drawn = 0.0
        self._controller: SweepController | None = None
        self._output: Any = display(HTML(self._content()), display_id=True)

    def on_event(self, event: Event, controller: SweepController) -> None:
        if line := warning(event):
            self._warnings.append(line)
        self.on_tick(controller)

    def on_tick(self, controller: SweepController) -> None:
        self._controller = controller
        if time.monotonic() - self._drawn >= REFRESH_SECONDS:
            self._draw()

    def say(self, line: str) -> None:
        self._line = clean(line)
        self._draw()

    def close(self, controller: SweepController) -> None:
        self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._output.update(self._html(self._content()))

    def _content(self) -> str:
        table = page(self._name, self._controller) if self._controller else escape(self._name)
        lines = [*self._warnings, self._line]
        return table + "".join(f"<div>{escape(line)}</div>" for line in lines if line)


def page(name: str, controller: SweepController) -> str:
    """The state of a sweep as HTML: a progress bar, counts, and a table of the best trials."""
    trials = list(controller.trials)
    may_promote = controller.may_promote
    counts = Counter(shown_status(trial, may_promote) for trial in trials)
    states = [f"{counts[status]} {status}" for status in ORDER if counts[status]]
    reports = sum(history.epochs for history in controller.histories.values())
    trained = controller.sweep.budget.interval.trained(reports)
    left = time_left(controller)
    clock = duration(controller.seconds)
    if left is not None and not controller.done:
        clock += f", about {duration(left)} left"
    width = round(100 * _share(controller, left))
    return (
        f"<div><b>{escape(clean(name))}</b> &nbsp; {escape(clock)}</div>"
        f'<div style="{STYLE}"><div style="{BAR};width:{width}%"></div></div>'
        f"<div>{escape(', '.join([*states, trained]))}</div>{_table(controller, trials)}"
    )


def _share(controller: SweepController, left: float | None) -> float:
    """The part of the sweep that is done, in 0 to 1, by the time that it takes."""
    if controller.done:
        return 1.0
    seconds = controller.training_seconds
    if left is None or seconds + left <= 0:
        return 0.0
    return seconds / (seconds + left)


def _table(controller: SweepController, trials: list[Trial]) -> str:
    """The best trials so far, best first."""
    metric, constants = controller.sweep.metric, controller.sweep.space.constants
    ranked = [trial for trial in trials if trial.best is not None]
    ranked.sort(key=lambda trial: (_best_loss(trial), trial.number))
    may_promote = controller.may_promote
    if not ranked:
        return ""
    head = _row("th", ["trial", "status", "epoch", f"best {metric.name}", "configuration"])
    rows = [
        _row(
            "td",
            [
                trial.id,
                shown_status(trial, may_promote),
                str(trial.epoch),
                number(metric.value(_best_loss(trial))),
                settings(trial.config, constants),
            ],
        )
        for trial in ranked[:MOST_ROWS]
    ]
    return f"<table>{head}{''.join(rows)}</table>"


def _best_loss(trial: Trial) -> float:
    return trial.best.loss if trial.best is not None else float("inf")


def _row(tag: str, cells: list[str]) -> str:
    inside = "".join(
        f'<{tag} style="text-align:left">{escape(clean(cell))}</{tag}>' for cell in cells
    )
    return f"<tr>{inside}</tr>"
