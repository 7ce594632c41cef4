"""The widget of a notebook: what it shows, and the commands that its buttons give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import raysweep as rs
from raysweep.results.storage.inbox import Inbox
from raysweep.results.storage.ledger import Ledger
from raysweep.tune import widget
from tests.browser import Browser, chromium
from tests.made_up import Story, write_run

STORIES = [
    Story("random", [0.5, 0.7], {"x": 0.1}),
    Story("random", [0.6], {"x": 0.2}, status="running"),
    Story("random", [], {"x": 0.3}, status="failed", reason="<b>no</b>"),
]
PAGE = """\
<!doctype html><meta charset="utf-8"><title>widget</title><style>%s</style><div id="place"></div>
<script>
%s
const sent = [], told = {};
const values = %s;
const model = {
  get: (name) => values[name],
  on: (name, call) => { told[name] = call; },
  off: () => {},
  send: (content) => sent.push(content),
};
render({ model, el: document.getElementById("place") });
</script>
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    budget = {"trials": 4, "epochs": 3}
    return write_run(tmp_path / "run", STORIES, budget=budget, searcher="random")


def test_it_shows_the_state_and_follows_the_ledger(run: Path) -> None:
    shown = rs.load(run).widget()
    assert shown.data["state"] == "interrupted"
    assert shown.data["best"]["value"] == 0.7
    assert shown.data["running"] == []
    ledger = Ledger(run)
    metrics = {"epoch": 2, "loss": -0.9, "metrics": {"acc": 0.9}, "seconds": 2.0, "time": 2e9}
    ledger.append({"event": "reported", "trial": "random-1", **metrics})
    shown.refresh()
    assert (shown.data["best"]["value"], shown.data["state"]) == (0.9, "running")
    assert [trial["trial"] for trial in shown.data["running"]] == ["random-1"]
    json.dumps(shown.data)
    ledger.close()
    shown.close()


def test_its_buttons_give_commands_and_nothing_else_does(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysweep.tune.steer.ACKNOWLEDGED_SECONDS", 0.0)
    shown = rs.load(run).widget()
    shown._obey(shown, {"command": "pause"}, [])
    assert shown.answer == "pause: no session runs, so nothing happens"
    ledger = Ledger(run)
    contents: list[Any] = [
        {"command": "rm"},
        {"command": "enqueue", "trial": "x"},
        "stop",
        None,
        {"command": "stop", "trial": 3, "now": True},
        {"command": "stop", "trial": "random-1"},
    ]
    for content in contents:
        shown._obey(shown, content, [])
    given = [(command.command, dict(command.arguments)) for command in Inbox(run).waiting()]
    assert given == [("stop", {}), ("stop", {"trial": "random-1"})]
    ledger.close()
    shown.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_the_buttons_of_the_page_send_commands_and_texts_stay_texts(
    run: Path, tmp_path: Path, browser: Browser
) -> None:
    ledger = Ledger(run)  # as a session has it
    shown = rs.load(run).widget()
    data = dict(shown.data)
    shown.close()
    ledger.close()
    script = (widget.PLACE / "widget.js").read_text().replace("export default", "void")
    style = (widget.PLACE / "widget.css").read_text()
    values = json.dumps({"data": data, "answer": "<i>x</i>"}).replace("</", "<\\/")
    page = tmp_path / "widget.html"
    page.write_text(PAGE % (style, script, values))
    browser.driver.get(page.as_uri())
    browser.until("return document.querySelectorAll('button').length === 3")
    assert browser.run("return document.querySelectorAll('#place b, #place i').length") == 0
    text = browser.run("return document.getElementById('place').textContent")
    assert "<i>x</i>" in text
    assert "<b>no</b>" in text
    browser.run("document.querySelectorAll('button').forEach((one) => one.click())")
    assert browser.run("return sent") == [
        {"command": "pause"},
        {"command": "stop"},
        {"command": "stop", "trial": "random-1"},
    ]
    browser.run("document.querySelectorAll('button')[2].focus(); told['change:data']()")
    label = "return document.activeElement.getAttribute('aria-label')"
    assert browser.run(label) == "stop random-1"
    browser.driver.save_screenshot(str(tmp_path / "widget.png"))
