"""The page: what its data says, that nothing in it can break out, and how a browser shows it."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path

import numpy as np
import pytest

from raysweep.results.analysis import simulation
from raysweep.results.analysis.compare import compare
from raysweep.results.analysis.retraining import FOLDER as CONFIRM
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import RunDirectory, load
from raysweep.results.views.html.page_data import page_data, pareto, timeline
from raysweep.results.views.html.report import Refresher, application, asset, page, write
from tests.browser import PLOTS, Browser
from tests.made_up import Story, write_run

ROWS = (
    "return [...document.querySelectorAll('table.trials [data-trial]')].map(row => row.textContent)"
)
NASTY = '</script><img src=x onerror="throw 1">&amp;{{data}}'
SPACE = {
    "lr": {"float": [1e-4, 1.0], "log": True},
    "width": {"int": [8, 64]},
    "optimizer": {"choice": ["sgd", "adam"]},
    NASTY: {"float": [0, 1]},
}


def stories(trials: int, epochs: int, seeds: int = 1) -> list[Story]:
    """Trials of two searchers; the learning rate matters, the width does not, and bohb knows."""
    rng, made = np.random.default_rng(0), []
    for i in range(trials):
        name = ("random", "bohb")[i % 2]
        lr = float(10 ** (rng.uniform(-4, 0) if name == "random" else rng.normal(-2, 0.5)))
        config = {
            "lr": lr,
            "width": int(rng.integers(8, 65)),
            "optimizer": str(rng.choice(["sgd", "adam"])),
            NASTY: float(rng.random()),
        }
        if config["optimizer"] == "sgd":
            config["momentum"] = float(rng.random())
        top = 0.95 - 0.08 * abs(math.log10(lr) + 2)
        length = epochs if i % 3 == 0 else 1
        values = [
            float(top * (1 - math.exp(-epoch)) + rng.normal(0, 0.002))
            for epoch in range(1, length + 1)
        ]
        study = f"{name}.{i // 2 % seeds}" if seeds > 1 else name
        made.append(
            Story(
                study,
                values,
                config,
                *(
                    ("completed", "")
                    if length == epochs
                    else ("stopped", f"epoch 1: behind {NASTY}")
                ),
            )
        )
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = write_run(
        tmp_path_factory.mktemp("runs") / "a run",
        stories(120, 9, 5),
        seeds=5,
        epochs=9,
        space=SPACE,
    )
    ledger = Ledger(folder)
    ledger.append({"event": "opened", "levels": [1, 3, 9], "time": 1_700_000_000.0})
    ledger.append({"event": "closed", "reason": "done", "time": 1_700_001_000.0})
    ledger.close()
    return load(folder)


def test_the_data_says_what_happened(run: RunDirectory) -> None:
    data = page_data(run)
    assert len(data["trials"]["id"]) == len(data["curves"]) == 120
    assert data["trials"]["best"][data["best"]["trial"]] == pytest.approx(run.best.value, rel=1e-5)
    assert data["levels"] == [1, 3, 9]
    assert [one["name"] for one in data["parameters"]] == [
        "lr",
        "width",
        "optimizer",
        NASTY,
        "momentum",
    ]
    assert [one["log"] for one in data["parameters"]] == [True, False, False, False, False]
    assert data["parameters"][2]["categories"] == ["sgd", "adam"]
    assert set(data["incumbents"]) == {"epochs", "seconds"}
    assert any(
        "bohb" in line and "random" in line and "5 seeds" in line for line in data["findings"]
    )
    assert data["ended"] == "done"


def test_the_learning_rate_is_found_to_matter(run: RunDirectory) -> None:
    rows = {row["name"]: row for row in page_data(run)["importance"]["rows"]}
    assert next(iter(rows)) == "lr"
    assert rows["lr"]["low"] > 0.2
    assert rows["width"]["low"] < 0.05
    assert rows["width"]["mean"] < 0.15


def test_a_band_holds_its_mean_and_grows_better(run: RunDirectory) -> None:
    band = page_data(run)["incumbents"]["epochs"]["searchers"]["random"]
    assert band["seeds"] == 5
    assert all(
        low <= mean <= high
        for low, mean, high in zip(band["low"], band["mean"], band["high"], strict=True)
    )
    assert band["mean"] == sorted(band["mean"])


def test_the_front_is_what_no_other_beats(run: RunDirectory) -> None:
    trials = [trial for history in run.histories.values() for trial in history]
    front = pareto(trials)
    cost = {
        i: (trial.reports[-1].seconds, trial.best.loss)
        for i, trial in enumerate(trials)
        if trial.best
    }
    assert front == sorted(front, key=lambda i: cost[i])
    for i in cost:
        beaten = any(
            cost[j][0] <= cost[i][0] and cost[j][1] <= cost[i][1] and cost[j] != cost[i]
            for j in cost
        )
        assert (i in front) != beaten


def test_workers_are_as_many_as_ran_at_once(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path / "run",
        [Story("a", [0.1]), Story("a", [0.2]), Story("a", [0.3], status="running")],
    )
    run = load(folder)
    trials = list(run.histories["a"])
    assert [row[0] for row in timeline(run, trials)] == [0, 0, 0]
    events = [dict(event) for event in run.events]
    for event in events:
        event["time"] = 1.0 if event["event"] in ("proposed", "started") else 5.0
    run.__dict__["events"] = events
    assert sorted(row[0] for row in timeline(run, trials)) == [0, 1, 2]


@pytest.mark.parametrize(
    "made",
    [
        [],
        [Story("a", [], status="failed", reason="no")],
        [Story("a", [math.nan], status="diverged")],
        [Story("a", [0.5])],
    ],
)
def test_a_run_with_little_in_it_has_a_page(tmp_path: Path, made: list[Story]) -> None:
    text = page(load(write_run(tmp_path / "run", made)))
    assert "it takes 15 trials" in text


def test_no_text_of_the_users_ends_the_data_early(run: RunDirectory) -> None:
    text = page(run)
    assert text.count("</script>") == 4
    assert NASTY not in text
    embedded = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL
    )
    assert embedded is not None
    assert NASTY in json.loads(embedded.group(1))["parameters"][3]["name"]


def test_the_page_refers_to_nothing_outside(run: RunDirectory) -> None:
    head = page(run).split('<script type="application/json"')[0]
    assert not re.search(r"(src|href)=\"(?!#)", head)
    assert "default-src 'none'" in head


def test_the_refresher_writes_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "run", [Story("a", [0.5], status="running")])
    monkeypatch.setattr("raysweep.results.views.html.report.SECONDS", 0.0)
    refresher = Refresher(folder)
    refresher.tick()
    began = time.monotonic()
    while not (folder / "report.html").exists():
        assert time.monotonic() - began < 60, "no page was written"
        time.sleep(0.05)
    refresher.close()
    assert '"live":true' in (folder / "report.html").read_text()
    refresher.close()
    assert not [path for path in folder.iterdir() if path.name.startswith(".report")]


@pytest.fixture(scope="module")
def written(run: RunDirectory) -> Path:
    return write(run).resolve()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (768, True), (390, False)])
def test_a_browser_draws_every_plot_and_complains_of_nothing(
    browser: Browser, written: Path, width: int, dark: bool
) -> None:
    browser.open(written, width, dark)
    browser.draw_all()
    assert browser.run("return document.querySelectorAll('.plot.empty, .grid.empty').length") == 0
    assert (
        browser.run("return document.querySelectorAll('[data-plot=slices] .main-svg').length") >= 5
    )
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return document.documentElement.dataset.theme") == (
        "dark" if dark else "light"
    )
    assert browser.complaints() == []
    assert browser.requests() == {written.as_uri()}


def test_the_filters_filter(browser: Browser, written: Path) -> None:
    def counted() -> str:
        return str(browser.run("return document.querySelector('#filters output').textContent"))

    browser.open(written)
    assert counted() == "120 trials"
    browser.run("document.querySelector('.chips button').click()")
    assert counted() == "60 of 120 trials"
    browser.run(
        "const s = document.querySelector('[name=status]'); s.value = 'completed'; "
        "s.dispatchEvent(new Event('change'))"
    )
    assert counted() == "20 of 120 trials"
    query = browser.run("return document.querySelector('[name=text]').value")
    assert query == "-searcher:random status:completed"
    browser.run(
        "const t = document.querySelector('[name=text]'); t.value += ' optimizer=sgd'; "
        "t.dispatchEvent(new Event('input'))"
    )
    browser.until(
        "return document.querySelector('#filters output').textContent !== '20 of 120 trials'"
    )
    rows = browser.run(ROWS)
    assert 0 < len(rows) < 20
    assert all("bohb" in row and "completed" in row and "sgd" in row for row in rows)


def test_the_table_sorts_and_a_click_marks_a_trial(browser: Browser, written: Path) -> None:
    browser.open(written)
    best = (
        "return [...document.querySelectorAll('table.trials [data-trial] td:nth-child(2)')]"
        ".map(cell => Number(cell.textContent))"
    )
    values = browser.run(best)
    assert values == sorted(values, reverse=True)
    browser.run("document.querySelectorAll('table.trials th .sort')[1].click()")
    assert browser.run(best) == sorted(browser.run(best))
    browser.run(
        "document.querySelector('[data-plot=curves]').scrollIntoView({behavior: 'instant'})"
    )
    browser.until("return drawn.has('curves')")
    picture = "return document.querySelector('[data-plot=curves] canvas.marked').toDataURL()"
    empty = browser.run(picture)
    browser.run("document.querySelectorAll('table.trials th .sort')[1].click()")  # the best first
    browser.run("document.querySelector('table.trials [data-trial] td:nth-child(2)').click()")
    assert browser.run(picture) != empty
    browser.run("document.querySelector('table.trials [data-trial] td:nth-child(2)').click()")
    assert browser.run(picture) == empty
    assert browser.complaints() == []


def test_what_a_user_wrote_stays_text(browser: Browser, written: Path) -> None:
    browser.open(written)
    browser.draw_all()
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert NASTY in browser.run("return document.querySelector('table.trials').textContent")
    assert browser.complaints() == []


def test_retrainings_audits_and_replays_are_shown_where_there_are_any(
    browser: Browser, tmp_path: Path
) -> None:
    made = [
        Story(one.study, one.values[:3], one.config, one.status, one.reason)
        for one in stories(60, 3, 5)
    ]
    folder = write_run(tmp_path / "run", made, seeds=5, space=SPACE)
    ledger = Ledger(folder)
    ledger.append(
        {
            "event": "noted",
            "trial": "bohb.1-0",
            "notes": {"audited": {"epoch": 1, "reason": "behind"}},
            "time": 0.0,
        }
    )
    ledger.close()
    write_run(folder / CONFIRM, [Story("bohb.0-0", [0.9 + seed / 100]) for seed in range(3)])
    ledger = Ledger(folder / CONFIRM)
    for seed in range(3):
        ledger.append(
            {
                "event": "noted",
                "trial": f"bohb.0-0-{seed}",
                "notes": {"test": {"test_acc": 0.8 + seed / 100}},
                "time": 0.0,
            }
        )
    ledger.close()
    simulation.save(load(folder), compare([load(folder)]), "a surrogate answers")
    browser.open(write(load(folder)))
    trust = browser.run("return document.querySelector('#reliability').textContent")
    assert "mean, test split" in trust
    assert "acc 0.81 on the test split over 3 fresh seeds" in trust
    assert "stopping audit: 1 of" in trust
    browser.run(
        "document.querySelector('[data-plot=simulation]').scrollIntoView({behavior: 'instant'})"
    )
    browser.until("return document.querySelector('[data-plot=simulation] .main-svg') !== null")
    assert "a surrogate answers" in browser.run(
        "return document.querySelector('#simulation').textContent"
    )
    assert browser.complaints() == []


def test_sections_with_nothing_in_them_are_hidden(browser: Browser, written: Path) -> None:
    browser.open(written)
    hidden = (
        "return [...document.querySelectorAll('#sweep section')]"
        ".filter(section => section.offsetParent === null).map(section => section.id)"
    )
    assert browser.run(hidden) == ["problems", "front", "simulation", "reliability"]


def test_a_run_without_trials_opens(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(load(write_run(tmp_path / "run", [])), live=True))
    for name in PLOTS:
        if name == "contour":  # hidden without two parameters
            continue
        browser.run(
            f"document.querySelector('[data-plot={name}]').scrollIntoView({{behavior: 'instant'}})"
        )
        browser.until(f"return drawn.has('{name}')")
    assert browser.run("return document.querySelector('.pill').textContent") == "running"
    assert browser.complaints() == []


def test_printing_draws_everything_in_light_colours(browser: Browser, written: Path) -> None:
    browser.open(written, dark=True)
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(printed["data"]) > 50_000
    assert set(browser.run("return [...drawn]")) == {*PLOTS, "slice"}
    assert browser.run("return document.documentElement.dataset.theme") == "dark"
    assert browser.complaints() == []


def test_a_thousand_trials_of_27_epochs_open_at_once(browser: Browser, tmp_path: Path) -> None:
    """The page of a large run is small enough.

    How long it takes to open is measured by benchmarks/report.py, since tests assert no time.
    """
    made = [
        Story(one.study, one.values, one.config, one.status, one.reason)
        for one in stories(1000, 27)
    ]
    for one in made:
        one.values += [0.9] * (27 - len(one.values))
    path = write(load(write_run(tmp_path / "run", made, epochs=27, space=SPACE)))
    assert path.stat().st_size < 10e6
    browser.open(path)
    assert (
        browser.run("return document.querySelector('#filters output').textContent")
        == "1,000 trials"
    )
    assert browser.complaints() == []


def test_a_page_is_not_written_again_while_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "run", [Story("a", [0.5], status="running")])
    monkeypatch.setattr("raysweep.results.views.html.report.SECONDS", 0.0)
    started: list[Path] = []

    class Done:
        def poll(self) -> int:
            return 0

        def terminate(self) -> None:
            raise AssertionError("it has ended")

    def start(where: Path) -> Done:
        started.append(where)
        return Done()

    monkeypatch.setattr("raysweep.results.views.html.report._start", start)
    monkeypatch.setattr("raysweep.results.views.html.report.MAX_CPU_FRACTION", 1e9)
    refresher = Refresher(folder)
    for _ in range(3):
        refresher.tick()
    assert len(started) == 1
    ledger = Ledger(folder)
    ledger.append({"event": "started", "trial": "a-0", "time": 1.0})
    ledger.close()
    for _ in range(3):
        refresher.tick()
    assert len(started) == 2
    monkeypatch.setattr("raysweep.results.views.html.report.UNCHANGED_SECONDS", 0.0)
    refresher.tick()
    assert len(started) == 3


def test_what_is_served_is_the_same_page() -> None:
    text = application()
    assert '<script type="application/json" id="data">{"served":true}</script>' in text
    assert re.findall(r'(?:src|href)="([^#"]+)"', text) == ["app.css", "app.js"]
    assert 'src: "plotly.js"' in asset("app.js")[0].decode()  # asked for after the first screen
    # Nothing in it is a script by itself, so that the policy need not allow any.
    assert re.findall(r"<script>|onload=|onclick=", text) == []
    assert "script-src 'self';" in text
    for name, kind in (("app.js", "javascript"), ("app.css", "css"), ("plotly.js", "javascript")):
        content, media = asset(name)
        assert len(content) > 5_000
        assert kind in media
    with pytest.raises(KeyError):
        asset("../report.py")


def test_no_two_parts_of_the_script_have_a_name_in_common() -> None:
    """They share one scope, in which the later of two functions would replace the earlier one."""
    script = asset("app.js")[0].decode()
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", script, re.MULTILINE)
    assert len(names) > 100
    assert len(names) == len(set(names))


def test_lines_of_the_script_can_be_read() -> None:
    lines = asset("app.js")[0].decode().splitlines()
    assert [line for line in lines if len(line) > 120] == []
