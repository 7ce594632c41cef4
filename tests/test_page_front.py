"""The page of a run with several objectives, in a browser."""

from __future__ import annotations

import pytest

import raysweep as rs
from raysweep.formatting import number
from raysweep.results.storage.run_directory import load
from raysweep.results.views.html.report import write
from tests.axe import violations
from tests.browser import Browser
from tests.test_objectives import sweep


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> rs.results.run.Run:
    folder = tmp_path_factory.mktemp("runs")
    return sweep().run(executor="debug", storage=folder, name="several", quiet=True)


def shown(browser: Browser, column: str) -> list[str]:
    """The cells of a column of the table, row by row."""
    return list(
        browser.run(
            "const head = [...document.querySelectorAll('table.trials th')];"
            f"const at = head.findIndex((cell) => cell.textContent.startsWith({column!r}));"
            "return [...document.querySelectorAll('table.trials tbody tr')]"
            ".filter((row) => row.cells.length > 3).map((row) => row.cells[at].textContent)"
        )
    )


def marked(browser: Browser, column: str, word: str) -> set[str]:
    """The trials that have a word in a column."""
    cells = zip(shown(browser, "trial"), shown(browser, column), strict=True)
    return {name for name, cell in cells if cell == word}


def test_the_page_shows_the_front(browser: Browser, run: rs.results.run.Run) -> None:
    browser.open(write(load(run.path)).resolve())
    table = run.trials
    assert marked(browser, "front", "front") == {best.trial for best in run.front}
    assert marked(browser, "limits", "yes") == set(table[table["feasible"]]["trial"])
    assert len(shown(browser, "ms")) == len(table)
    tiles = browser.run(
        "return [...document.querySelectorAll('.tile')].map((tile) => tile.textContent)"
    )
    knee = run.knee
    assert tiles[0] == f"{len(run.front)}on the front"
    for tile, name in zip(tiles[1:], ("val_loss", "ms"), strict=False):
        assert tile == f"{number(knee.metrics[name])}{name} at the knee, {knee.trial}"
    goal = browser.run("return document.querySelector('#hero .state').textContent")
    assert "smallest val_loss, smallest ms" in goal
    best = browser.run("return document.querySelector('#best').textContent")
    assert "in val_loss" in best
    assert f"{len(run.front)} trials on the front; its knee is {knee.trial}: val_loss" in best
    browser.run("document.querySelector('[data-plot=front]').scrollIntoView({behavior: 'instant'})")
    browser.until("return drawn.has('front')")
    title = "return document.querySelector('[data-plot=front] .xtitle').textContent"
    assert browser.run(title) == "ms"
    browser.run("[...document.querySelectorAll('[data-choice=against] button')][1].click()")
    browser.until(f"{title} === 'mb'")
    limit = "return document.querySelectorAll('[data-plot=front] .shapelayer path').length"
    assert browser.run(limit) == 1
    browser.draw_all()
    label = "return document.querySelector('[data-plot=incumbents] .ytitle').textContent"
    assert browser.run(label) == "best hypervolume"
    assert violations(browser) == []
    assert browser.complaints() == []
