"""How long the page of `raysweep serve` takes to open and to act, for `serving.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from benchmarks.serving_browser import Browser

Times = dict[str, float | None]
"""Seconds by the name of the column; None for more than the limit."""
AGAIN, UPDATES = 3, 5
"""How often the page is opened again, and how many events are written. Medians are shown."""
FIRST_SCREEN = """(
  document.querySelector('#hero h1').textContent
  && document.querySelector('.state .pill')
  && document.querySelector('.tiles b')
  && document.querySelectorAll('table.trials tr[data-trial]').length > 20
)"""
"""The title, the state, the numbers and the rows of the table that fit into it."""
REST = "redrawing === 0"
"""No plot in sight waits to be drawn again."""


def page_times(browser: Browser, address: str, report: Callable[[float], None]) -> Times:
    """Times of the page of a run at an address.

    report: appends an event to the ledger with a new best value, which the page shows as its best.
    """
    times: Times = {"open": browser.open(address, FIRST_SCREEN)}
    times["again"] = median([browser.open(address, FIRST_SCREEN) for _ in range(AGAIN)])
    times["curves"] = browser.act(
        "document.querySelector('#curves').scrollIntoView({behavior: 'instant'})",
        f"drawn.has('curves') && {REST}",
    )
    # Act in sight of the table, as a reader does, with what else is near it.
    browser.act("document.querySelector('#trials').scrollIntoView({behavior: 'instant'})", REST)
    times["filter"] = browser.act(
        "const field = document.querySelector('#filters input'); field.value = 'lr<0.01';"
        "field.dispatchEvent(new Event('input', {bubbles: true}))",
        f"document.querySelector('#filters output').textContent.includes(' of ') && {REST}",
    )
    times["mark"] = browser.act(
        "document.querySelectorAll('table.trials tr[data-trial] td:nth-child(3)')[2].click()",
        "document.querySelector('table.trials tr.marked')",
    )
    times["sort"] = browser.act(
        "[...document.querySelectorAll('th .sort')].find(e => e.textContent === 'lr').click()",
        f"[...document.querySelectorAll('th[aria-sort]')].some(e => e.title === 'lr') && {REST}",
    )
    times["trial"] = browser.act(
        "document.querySelectorAll('table.trials tr[data-trial] a')[4].click()",
        "document.querySelector('#trial .charts figure') && "
        "document.querySelector('#trial .commands')",
    )
    browser.act("openTrials([])", "document.querySelector('#trial').hidden")
    times["update"] = update_seconds(browser, report)
    return times


def update_seconds(browser: Browser, report: Callable[[float], None]) -> float | None:
    """From the writing of an event to the frame that shows it."""
    found: list[float | None] = []
    for number in range(UPDATES):
        value = 2.0 + number  # no trial is as good
        browser.watch(f"document.querySelector('.tile b').textContent === '{value:g}'")
        began = time.time()
        report(value)
        seen = browser.seen()
        found.append(None if seen is None else seen - began)
    return median(found)


def median(times: list[float | None]) -> float | None:
    """The median; None if one of the times is more than the limit."""
    known = [seconds for seconds in times if seconds is not None]
    if len(known) < len(times):
        return None
    return statistics.median(known)
