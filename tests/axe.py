"""Accessibility of a page, as axe-core judges it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from tests.browser import Browser

PACKAGE = "axe_playwright_python"
"""A package on PyPI that brings axe-core with it; nothing else of it is used."""
RUN = """\
const done = arguments[arguments.length - 1];
const brief = ({html, failureSummary}) => `${html.slice(0, 200)} ${failureSummary}`;
axe.run(document, {resultTypes: ['violations']}).then(({violations}) =>
  done(violations.map(({id, nodes}) => [id, nodes.slice(0, 4).map(brief)])));
"""


def violations(browser: Browser) -> list[Any]:
    """The rules that the open page breaks, each with some of the elements that do."""
    browser.run((files(PACKAGE) / "axe.min.js").read_text(encoding="utf-8"))
    return list(browser.driver.execute_async_script(RUN))
