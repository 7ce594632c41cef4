"""The page in a browser: opening trials, the query, the keyboard, brushing, and accessibility."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import load
from raysweep.results.views.html.report import PLOTLY, refresh, write
from tests.axe import violations
from tests.browser import Browser
from tests.made_up import Story, write_run

NASTY = '</script><img src=x onerror="throw 1">'
SPACE = {
    "model.lr": {"float": [1e-4, 0.1], "log": True},
    "width": {"int": [8, 64]},
    "optimizer": {"choice": ["sgd", "adam"]},
}
ESCAPE, ENTER = "\ue00c", "\ue007"


def stories() -> list[Story]:
    """Sixty trials of one searcher; the learning rate is best at its upper bound, some fail."""
    rng, made = np.random.default_rng(0), []
    for i in range(60):
        lr = float(10 ** (-4 + 3 * rng.random() ** 0.3))
        config = {
            "model": {"lr": lr},
            "width": int(rng.integers(8, 65)),
            "optimizer": ("sgd", "adam")[i % 2],
        }
        top = 0.9 + 0.05 * math.log10(lr)
        values = [top - 0.1, top - 0.05, top][: 3 if i % 3 else 1]
        status, reason = ("completed", "") if i % 3 else ("stopped", "epoch 1: behind")
        if i % 20 == 4:
            status, reason = "failed", f"ValueError: item {i} of {NASTY}"
        made.append(Story("random", values, config, status, reason))
    return made


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs") / "a run", stories(), space=SPACE)
    ledger = Ledger(folder)
    ledger.append({"event": "opened", "levels": [1, 3], "time": 1_700_000_000.0})
    note = {"text": f"looks odd {NASTY}", "trial": "random-7"}
    command = {"event": "command", "id": "c1", "command": "note", "arguments": note}
    ledger.append({**command, "outcome": "applied", "reason": "noted", "time": 1_700_000_500.0})
    ledger.append({"event": "closed", "reason": "done", "time": 1_700_001_000.0})
    ledger.close()
    return write(load(folder)).resolve()


def visit(browser: Browser, path: Path, fragment: str = "", width: int = 1280) -> None:
    """Open an address of the page, as somebody to whom it was sent."""
    browser.open(path, width)
    if fragment:
        browser.driver.get("about:blank")
        browser.driver.get(path.as_uri() + fragment)
    browser.until("return document.querySelector('#filters output')?.textContent !== ''")


def text(browser: Browser, selector: str) -> str:
    return str(browser.run(f"return document.querySelector({selector!r})?.textContent ?? ''"))


def press(browser: Browser, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser.driver).send_keys(*keys).perform()


def address(browser: Browser) -> str:
    return str(browser.run("return decodeURIComponent(location.hash)"))


def test_a_deep_link_opens_a_trial(browser: Browser, written: Path) -> None:
    visit(browser, written, "#trial=random-7")
    browser.until("return document.querySelector('#trial figure') !== null")
    assert text(browser, "#trial h2") == "random-7"
    assert f"looks odd {NASTY}" in text(browser, "#trial")
    best = browser.run("return T.id[D.best.trial]")
    heads = browser.run(
        "return [...document.querySelectorAll('#trial .differences thead th')]"
        ".map(cell => cell.textContent)"
    )
    assert heads == ["configuration", "random-7", f"{best} (best)"]
    differing = browser.run(
        "return [...document.querySelectorAll('#trial tr.differs th')].map(cell => "
        "cell.textContent)"
    )
    assert "model.lr" in differing
    assert "raysweep continue" in text(browser, "#trial .lines")
    assert browser.complaints() == []


def test_an_unknown_trial_is_said(browser: Browser, written: Path) -> None:
    visit(browser, written, "#trial=grid-1")
    browser.until("return document.querySelector('#trial .mistake') !== null")
    assert text(browser, "#trial .mistake") == "There is no trial grid-1 in this run."


def test_two_trials_lie_side_by_side(browser: Browser, written: Path) -> None:
    visit(browser, written, "#trial=random-7,random-4")
    browser.until("return document.querySelectorAll('#trial .column').length === 2")
    columns = browser.run(
        "return [...document.querySelectorAll('#trial .column')].map(column => column.textContent)"
    )
    assert f"ValueError: item 4 of {NASTY}" in columns[1]
    assert "raysweep retry" in columns[1]
    assert "raysweep retry" not in columns[0]
    lines = browser.run("return document.querySelectorAll('#trial figure path[stroke]').length")
    assert lines == 3  # both, and the best
    assert browser.run("return document.querySelectorAll('img').length") == 0


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ("lr<0.01", "T.config['model.lr'][i] < 0.01"),
        ("model.lr>=0.01 width<=32", "T.config['model.lr'][i] >= 0.01 && T.config.width[i] <= 32"),
        ("status:failed", "T.status[i] === 'failed'"),
        (
            "-status:failed optimizer=adam",
            "T.status[i] !== 'failed' && T.config.optimizer[i] === 'adam'",
        ),
        ("status:failed|stopped", "['failed', 'stopped'].includes(T.status[i])"),
        ("optimizer!=adam", "T.config.optimizer[i] !== 'adam'"),
        ("acc>0.8", "T.best[i] > 0.8"),
        ("random-7", "T.id[i].includes('random-7')"),
        ('"epoch 1: behind"', "T.reason[i] === 'epoch 1: behind'"),
        ("reason:behind epochs=1", "T.reason[i].includes('behind') && T.epochs[i] === 1"),
        (
            "trial:random-1 OPTIMIZER=Adam",
            "T.id[i].includes('random-1') && T.config.optimizer[i] === 'adam'",
        ),
    ],
)
def test_a_query_chooses_trials(browser: Browser, written: Path, query: str, test: str) -> None:
    if not browser.run("return typeof parseQuery !== 'undefined'"):
        visit(browser, written)
    chosen, wanted = browser.run(
        f"const terms = parseQuery({query!r}), all = [...Array(COUNT).keys()];"
        "const isChosen = i => terms.every(known => known.test(i));"
        f"return [all.filter(isChosen), all.filter(i => {test})]"
    )
    assert chosen == wanted
    assert 0 < len(chosen) < 60


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ("widht<3", "there is no column 'widht'; did you mean width?"),
        ("lr<abc", "lr<abc: expected a number after <"),
        ("lr<", "expected a value after lr<"),
        ('"open', "a quotation mark is not closed"),
        ("epoch 1: behind", "there is no column '1'; a phrase with : or = in it needs quotes"),
        (
            "constructor<1",
            "there is no column 'constructor'; a phrase with : or = in it needs quotes",
        ),
    ],
)
def test_a_mistake_in_a_query_is_said(
    browser: Browser, written: Path, query: str, mistake: str
) -> None:
    visit(browser, written)
    browser.run(f"go({{where: {query!r}}}, {{replace: true}})")
    assert text(browser, "#mistake") == mistake
    assert text(browser, "#filters output") == "60 trials"
    assert browser.run("return document.querySelector('#filters input').ariaInvalid") == "true"
    assert browser.complaints() == []


def test_the_address_has_filter_order_and_columns(browser: Browser, written: Path) -> None:
    visit(browser, written, "#where=lr<0.01 status:completed&sort=config width&columns=best,reason")
    rows = browser.run("return table_.order.map(i => T.config.width[i])")
    assert rows == sorted(rows)
    assert text(browser, "#filters output") == f"{len(rows)} of 60 trials"
    assert browser.run("return document.querySelector('#filters input').value") == (
        "lr<0.01 status:completed"
    )
    heads = "return [...document.querySelectorAll('.trials th')].map(cell => cell.textContent)"
    assert browser.run(heads) == ["trial", "best acc", "why it ended"]
    browser.run("document.querySelector('#columns').open = true")
    browser.until("return document.querySelectorAll('#columns input').length > 5")
    browser.run(
        "[...document.querySelectorAll('#columns label')]"
        ".find(label => label.textContent === 'optimizer').querySelector('input').click()"
    )
    assert browser.run(heads) == ["trial", "best acc", "optimizer", "why it ended"]
    assert "config optimizer" in address(browser)


def test_the_keyboard_does_everything(browser: Browser, written: Path) -> None:
    visit(browser, written)
    press(browser, "j", "j")
    order = browser.run("return table_.order.map(i => T.id[i])")
    assert browser.run("return T.id[state.marked]") == order[1]
    assert order[1] in text(browser, "#marked")
    press(browser, ENTER)
    browser.until("return document.querySelector('#trial figure') !== null")
    assert address(browser) == f"#trial={order[1]}"
    assert browser.run("return document.activeElement.id") == "trial-title"
    press(browser, "k")
    browser.until(f"return document.querySelector('#trial h2').textContent === {order[0]!r}")
    press(browser, ESCAPE)
    browser.until("return document.querySelector('#trial').hidden")
    assert address(browser) == ""
    press(browser, "/")
    assert browser.run("return document.activeElement.name") == "text"
    press(browser, "optimizer=sgd j", ESCAPE)
    browser.until("return location.hash.includes('where')")
    assert address(browser) == "#where=optimizer=sgd j"
    press(browser, "?")
    assert browser.run("return document.querySelector('#help').open")
    press(browser, ESCAPE)
    assert not browser.run("return document.querySelector('#help').open")


def test_back_closes_a_trial(browser: Browser, written: Path) -> None:
    visit(browser, written)
    browser.run("document.querySelector('table.trials a').click()")
    browser.until("return !document.querySelector('#trial').hidden")
    browser.driver.back()
    browser.until("return document.querySelector('#trial').hidden")


def test_problems_are_grouped_and_a_click_filters(browser: Browser, written: Path) -> None:
    visit(browser, written)
    problems = "return [...document.querySelectorAll('.problem')].map(one => one.textContent)"
    assert len(browser.run(problems)) == 1
    assert "3 trials failed" in browser.run(problems)[0]
    browser.run("document.querySelector('.problem').click()")
    assert text(browser, "#filters output") == "3 of 60 trials"
    assert browser.run("return document.querySelectorAll('img').length") == 0


def test_findings_name_the_bound_and_what_to_run(browser: Browser, written: Path) -> None:
    visit(browser, written)
    assert "touch the upper bound, 0.1" in text(browser, "#findings .bound")
    steps = text(browser, "#findings .steps")
    assert "--set 'space.model.lr.float=[0.0001, 1]'" in steps
    assert not browser.run("return document.querySelector('#comparison').offsetParent")


def test_dragging_along_an_axis_filters(browser: Browser, written: Path) -> None:
    from selenium.webdriver import ActionChains

    visit(browser, written)
    browser.run("document.querySelector('#parallel').scrollIntoView()")
    browser.until("return document.querySelectorAll('.brush').length === 4")
    strip = browser.driver.find_elements("css selector", ".brush")[1]
    height = strip.size["height"]
    drag = ActionChains(browser.driver).move_to_element_with_offset(strip, 0, -int(height * 0.45))
    drag.click_and_hold().move_by_offset(0, int(height * 0.4)).release().perform()
    browser.until("return location.hash.includes('where')")
    low, high = browser.run("return state.terms.map(known => Number(known.value))")
    assert 30 < low < 45 < high < 64
    assert address(browser) == f"#where=width>={low:g} width<={high:g}"
    widths = browser.run("return shown().map(i => T.config.width[i])")
    assert widths
    assert all(low <= width <= high for width in widths)
    browser.until("return document.querySelectorAll('.brush .range').length === 1")
    strip = browser.driver.find_elements("css selector", ".brush")[1]
    ActionChains(browser.driver).move_to_element(strip).click().perform()
    browser.until("return !location.hash.includes('where')")
    assert browser.complaints() == []


def test_pointing_at_a_trial_names_it_and_a_click_opens_it(browser: Browser, written: Path) -> None:
    from selenium.webdriver import ActionChains

    visit(browser, written)
    browser.run("document.querySelector('#pareto').scrollIntoView()")
    browser.until("return drawn.has('pareto')")
    place = browser.driver.find_element("css selector", "[data-plot=pareto]")
    x, y, i = browser.run(
        "return layers.get(document.querySelector('[data-plot=pareto]')).hits.at(-1)"
    )
    x, y = x - place.size["width"] / 2, y - place.size["height"] / 2
    point = ActionChains(browser.driver).move_to_element_with_offset(place, int(x), int(y))
    point.perform()
    assert not browser.run("return document.querySelector('#tip').hidden")
    named = text(browser, "#tip b").split()[0]
    point.click().perform()
    browser.until("return !document.querySelector('#trial').hidden")
    assert address(browser) == f"#trial={named}"
    assert isinstance(i, int)


def test_the_table_holds_only_the_rows_in_sight(browser: Browser, tmp_path: Path) -> None:
    many = [Story("random", [i / 1000], {"lr": float(i)}) for i in range(800)]
    visit(browser, write(load(write_run(tmp_path / "run", many))))
    count = "return document.querySelectorAll('table.trials tr[data-trial]').length"
    assert browser.run(count) < 100
    assert browser.run("return document.querySelector('table.trials').ariaRowCount") == "801"
    browser.run("document.querySelector('.rows').scrollTop = 1e6")
    browser.until("return document.querySelector('table.trials').textContent.includes('random-0')")
    assert browser.run(count) < 100
    heights = browser.run(
        "return [...new Set([...document.querySelectorAll('tr[data-trial]')]"
        ".map(row => row.offsetHeight))]"
    )
    assert heights == [32]


def test_why_a_trial_ended_is_whole_in_its_title_and_in_the_opened_trial(
    browser: Browser, tmp_path: Path
) -> None:
    reason = "RuntimeError: a shape was wrong in the layer, " * 5 + "which is the end"
    config = {"lr": 0.01, "width": 64, "dropout": 0.1, "optimizer": "adam"}
    told = [Story("random", [0.5], config, "failed", reason), Story("random", [0.6], {})]
    page = write(load(write_run(tmp_path / "run", told))).resolve()
    visit(browser, page, "#trial=random-0", width=1400)
    cell = "document.querySelector('table.trials td.reason:not(.absent)')"
    assert browser.run(f"return {cell}.title") == reason
    right = f"{cell}.getBoundingClientRect().right"
    box = "document.querySelector('.rows').getBoundingClientRect().right"
    assert browser.run(f"return {right} <= {box}")  # or the end of what is seen would be cut off
    browser.until("return document.querySelector('#trial .reason-text') !== null")
    assert text(browser, "#trial .reason-text") == reason


def test_the_page_of_a_running_sweep_leaves_plotly_beside_it(
    browser: Browser, tmp_path: Path
) -> None:
    folder = write_run(tmp_path / "run", stories(), space=SPACE)
    page = refresh(load(folder))
    assert page.stat().st_size < 500_000
    written_at = (folder / PLOTLY).stat().st_mtime_ns
    refresh(load(folder))
    assert (folder / PLOTLY).stat().st_mtime_ns == written_at
    browser.open(page.resolve())
    browser.run("document.querySelector('#curves').scrollIntoView()")
    browser.until("return document.querySelector('[data-plot=curves] .main-svg') !== null")
    assert browser.complaints() == []
    write(load(folder))
    assert not (folder / PLOTLY).exists()


@pytest.mark.parametrize("others", [("grid-1",), ()])
def test_the_first_lines_name_the_winner_and_the_best_of_the_search(
    browser: Browser, tmp_path: Path, others: tuple[str, ...]
) -> None:
    told = [Story("random", [0.9], {"lr": 0.1}), Story("grid", [0.7], {"lr": 0.3})]
    folder = write_run(tmp_path / "run", [*told, Story("grid", [0.8], {"lr": 0.2})])
    again = [Story("random-0", [0.6], {"lr": 0.1}), Story("random-0", [math.nan], {}, "diverged")]
    for trial in others:
        again += [Story(trial, [0.79 + 0.02 * k], {"lr": 0.2}) for k in range(2)]
    ledger = Ledger(write_run(folder / "confirm", again))
    ledger.append({"event": "closed", "reason": "done", "interrupted": False, "time": 0.0})
    ledger.close()
    visit(browser, write(load(folder)).resolve())
    first, second = browser.run(
        "return [...document.querySelectorAll('#hero .verdict p')].map(e => e.textContent)"
    )
    tiles = browser.run(
        "return [...document.querySelectorAll('.tile')].slice(0, 2).map(e => e.textContent)"
    )
    failed = "0.6 over 1 retraining (1 other retraining failed)"
    if others:
        assert first == (
            "Winner after confirmation: grid-1, mean acc 0.8 over 2 retrainings. "
            "The other finalist: random-0 0.6 (1 other retraining failed)."
        )
        assert second == "Best of the search: random-0, acc 0.9 at epoch 1, in one training."
        assert tiles == ["0.8confirmed mean acc, grid-1", "0.9best acc of the search, random-0"]
    else:
        assert first == f"Winner after confirmation: random-0, mean acc {failed}."
        assert second == "Best of the search: the same trial, acc 0.9 at epoch 1, in one training."
    shown = text(browser, "#best")
    assert "it is what is exported" in shown
    assert "Best of the search" in shown
    assert browser.complaints() == []


@pytest.mark.parametrize("fragment", ["", "#trial=random-4,random-7&where=foo<1"])
def test_axe_finds_nothing(browser: Browser, written: Path, fragment: str) -> None:
    visit(browser, written, fragment)
    browser.run(
        "document.querySelector('#columns').open = true;"
        "for (const part of document.querySelectorAll('details')) part.open = true;"
    )
    if not fragment:
        browser.draw_all()
    for theme in ("light", "dark"):
        browser.run(f"document.documentElement.dataset.theme = {theme!r}; recolour();")
        assert violations(browser) == [], theme


def test_the_page_speaks_in_the_unit_of_the_budget(browser: Browser, tmp_path: Path) -> None:
    budget = {"steps": 1500, "report_every": 500, "trials": 3}
    made = [
        Story("random", [0.1, 0.2, 0.3], {"lr": 0.5}),
        Story("random", [0.2], {"lr": 0.4}, "stopped", "step 500: behind"),
        Story("random", [0.1, 0.2], {"lr": 0.3}, "failed", "ValueError: no"),
    ]
    path = write(load(write_run(tmp_path / "run", made, budget=budget, space={"lr": {}})))
    visit(browser, path.resolve(), "#trial=random-1&where=steps<1000")
    browser.until("return document.querySelector('#trial figure') !== null")
    assert "0.3 acc at step 1,500 of random-0" in text(browser, "#best")
    assert "3,000steps trained" in text(browser, ".tiles")
    assert "after step 1,000" in text(browser, "#problems")
    assert "0.2 at step 500" in text(browser, "#trial")
    assert "random-1 steps=1000" in text(browser, "#trial .lines")
    assert "1 of 3 trials" in text(browser, "#filters output")
    browser.draw_all()
    title, last = browser.run(
        "const plot = document.querySelector('[data-plot=incumbents]');"
        "return [plot._fullLayout.xaxis.title.text, Math.max(...plot.data.flatMap(({ x }) => x))]"
    )
    assert title == "steps trained, by each study"
    assert last == 3000
    assert "steps" in text(browser, "[data-choice=cost]")
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [1400, 800, 390])
def test_the_epoch_of_the_best_has_a_column_where_it_says_something(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    """Not where every trial was best at its last report."""
    rising = [Story("random", [0.1 * k, 0.2 * k], {"lr": 0.1 * k}) for k in range(1, 4)]
    heads = "return [...document.querySelectorAll('table.trials th')].map(th => th.textContent)"
    shown = {}
    for name, made in (("rising", rising), ("fell", [*rising, Story("random", [0.9, 0.1], {})])):
        run = load(write_run(tmp_path / name, made, space={"lr": {}}))
        visit(browser, write(run).resolve(), width=width)
        shown[name] = browser.run(heads)
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert "at" in shown["fell"]
    assert shown["rising"] == [head for head in shown["fell"] if head != "at"]
    browser.run("document.querySelector('#columns').open = true")  # whoever wants it can have it
    assert "at" in text(browser, "#columns")


def test_few_values_are_all_on_the_axis_and_paused_trials_count(
    browser: Browser, tmp_path: Path
) -> None:
    """A run that may go on: its best values get all of the axis, from the first."""
    made = [Story("random", [0.1 * (k + 1)], {"lr": 0.1 * k}, "stopped") for k in range(12)]
    scheduler = {"name": "asha", "type": "promotion"}
    budget = {"trials": 20, "epochs": 3}
    run = write_run(tmp_path / "run", made, budget=budget, space={"lr": {}}, scheduler=scheduler)
    visit(browser, write(load(run)).resolve())
    assert "12 of 20 trials ended or paused" in text(browser, ".progress")
    ranges = browser.run(
        "return [readableFromFirst([0.1, 0.5, ...Array(10).fill(0.6)], true)[0],"
        " readableFromFirst([-900, ...Array(30).keys()], true)[0]]"
    )
    assert ranges[0] < 0.1
    assert ranges[1] > -10
    browser.draw_all()
    low = browser.run(
        "return document.querySelector('[data-plot=incumbents]')._fullLayout.yaxis.range[0]"
    )
    assert low < 0.1
    assert browser.complaints() == []
