"""The served page in a browser, against a server that answers as `raysweep serve` does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.results.storage.run_directory import load
from raysweep.results.views.html.page_data import page_data
from tests.axe import violations
from tests.browser import Browser
from tests.fake_server import REFUSED, FakeRun, FakeServer, serving
from tests.made_up import BEGAN, Story, write_run

NASTY = '</script><img src=x onerror="throw 1">'
SPACE = {"lr": {"float": [1e-4, 1.0], "log": True}, "optimizer": {"choice": ["sgd", "adam"]}}


def made_up(folder: Path, name: str, top: float) -> FakeRun:
    """A running sweep of twelve trials; the third failed, and the last one runs."""
    stories = []
    for i in range(12):
        config = {"lr": 10 ** (-4 + i / 3), "optimizer": ("sgd", "adam")[i % 2]}
        stories.append(Story("random", [top - 0.01 * i, top - 0.005 * i, top], config))
    stories[2].status, stories[2].reason = "failed", f"ValueError: {NASTY}"
    stories[11].status = "running"
    run = load(write_run(folder / name, stories, space=SPACE, parallel=3))
    data = page_data(run, live=True)
    row = {
        "name": name,
        "state": "running",
        "reason": None,
        "metric": "acc",
        "maximize": True,
        "ended": 11,
        "of": 20,
        "trials": {"completed": 10, "failed": 1, "running": 1},
        "epochs": 36,
        "seconds": 36.0,
        "seconds_left": 300.0,
        "best": {"trial": "random-0", "epoch": 3, "value": top, "config": {}},
        "failures": {f"ValueError: {NASTY}": 1},
        "parallel": 3,
        "tags": ["baseline"],
        "notes": [f"a note {NASTY}"],
        "waiting": [],
        "began": BEGAN,
        "updated": BEGAN + 36,
        "spark": [0.1, 0.3, top],
        "spark_of": "best acc so far",
    }
    trials = {trial.id: details(trial, data) for trial in run.all_trials()}
    logs = {"random-11": f"epoch 1 {NASTY}\nepoch 2\n"}
    return FakeRun(data, row, trials=trials, logs=logs)


def details(trial: Any, data: dict[str, Any]) -> dict[str, Any]:
    """What the server says of a trial."""
    values = [report.metrics["acc"] for report in trial.reports]
    has_failed = trial.status == "failed"
    return {
        "trial": trial.id,
        "status": str(trial.status),
        "reason": trial.reason,
        "config": trial.config,
        "difference": [],
        "metrics": {"acc": values, "loss": [1 - value for value in values]},
        "seconds": [report.seconds for report in trial.reports],
        "decisions": [{"epoch": 3, "text": f"completed: {NASTY}"}],
        "notes": [f"looks odd {NASTY}"],
        "tags": ["odd"],
        "traceback": f"Traceback\nValueError: {NASTY}" if has_failed else None,
        "peak_memory": 2**30,
        "node": "here",
        "device": "cuda:0",
        "attempts": 2,
        "checkpoint": "/runs/best.pt",
        "parent": None,
        "snippet": "config = {}",
        "epochs_allowed": 3,
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    names = {"today": 0.9, "yesterday": 0.8}
    runs = {name: made_up(tmp_path, name, top) for name, top in names.items()}
    with serving(FakeServer(runs)) as made:
        yield made


def visit(browser: Browser, server: FakeServer, fragment: str = "", width: int = 1280) -> None:
    """Open an address of the server, as somebody who types it."""
    use_system_theme(browser, "light")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.driver.get("about:blank")
    browser.driver.get_log("browser")
    browser.driver.get(server.url + fragment)


def use_system_theme(browser: Browser, name: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": name}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def text(browser: Browser, selector: str) -> str:
    return str(browser.run(f"return document.querySelector({selector!r})?.textContent ?? ''"))


def submit(
    browser: Browser, label: str, value: str | None = None, place: str = "#commands"
) -> None:
    """Press a button of a command, with a value in the field before it."""
    filled = "" if value is None else f"form.querySelector('input').value = {value!r};"
    browser.run(
        f"const form = [...document.querySelectorAll('{place} form.act')]"
        f".find(form => form.querySelector('button').textContent === {label!r});"
        f"{filled} form.requestSubmit()"
    )


def test_a_waiting_command_is_withdrawn(browser: Browser, server: FakeServer) -> None:
    waiting: list[dict[str, Any]] = [
        {"id": name, "command": "note", "arguments": {}, "text": f"note '{name} {NASTY}'"}
        for name in ("c1", "c2")
    ]
    server.runs["today"].row["waiting"] = waiting
    for width in (390, 1280):
        visit(browser, server, "#run=today", width)
        browser.until("return document.querySelectorAll('#commands .waits li').length === 2")
        assert f"note 'c1 {NASTY}'" in text(browser, "#commands .waits")
        assert "2 commands not carried out yet" in text(browser, "#commands .waits")
        assert violations(browser) == []
        assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.run("document.querySelectorAll('#commands .waits button')[1].click()")
    browser.until("return document.querySelector('#commands .waits output').textContent !== '…'")
    assert server.commands == [("withdraw", {"withdrawn": "c2"})]
    server.change("today", summary={"waiting": []})
    browser.until("return document.querySelectorAll('#commands .waits li').length === 0")
    assert text(browser, "#commands .waits output")  # what became of it stays


def test_the_list_shows_the_front_of_several_objectives(
    browser: Browser, server: FakeServer
) -> None:
    values = {"val_loss": 0.21, f"ms {NASTY}": 3.1}
    front = {"size": 4, "knee": "random-3", "values": values}
    server.runs["today"].row |= {"front": front, "spark_of": "hypervolume so far"}
    server.runs["yesterday"].row |= {"best": None, "limits_kept": False}
    for width in (1280, 390):
        visit(browser, server, width=width)
        browser.until("return document.querySelectorAll('#list tr.run').length === 2")
        row = text(browser, "#list tr.run")
        assert "4 on the front" in row
        assert "knee: val_loss 0.21, ms </script>" in row
        assert text(browser, "#list tr.run .spark-of") == "hypervolume"
        label = "return document.querySelector('#list .spark').getAttribute('aria-label')"
        assert browser.run(label) == "hypervolume so far"
        assert "none within the limits" in text(browser, "#list tbody")
        assert violations(browser) == []
        box = "document.querySelector('#list .scroll')"
        assert browser.run(f"return {box}.scrollWidth <= {box}.clientWidth")


def test_the_first_screen_lists_all_sweeps(browser: Browser, server: FakeServer) -> None:
    visit(browser, server)
    browser.until("return document.querySelectorAll('#list tr.run').length === 2")
    row = text(browser, "#list tr.run")
    assert all(word in row for word in ("today", "running", "11 of 20", "5 min", "0.9", "baseline"))
    assert browser.run("return document.querySelectorAll('#list .spark').length") == 2
    browser.run("document.querySelector('#list tr.run a').click()")
    browser.until("return document.querySelector('#hero h1').textContent === 'today'")
    assert browser.run("return decodeURIComponent(location.hash)") == "#run=today"
    browser.until(
        "return document.querySelector('.progress').textContent.includes('about 5 min left')"
    )
    assert browser.complaints() == []


def test_a_deep_link_opens_a_trial_with_its_log(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today&trial=random-11&where=status:running")
    browser.until(
        "return document.querySelector('#trial pre.log')?.textContent.includes('epoch 2')"
    )
    shown = text(browser, "#trial")
    assert all(word in shown for word in ("cuda:0", "/runs/best.pt", "config = {}", "looks odd"))
    assert text(browser, "#filters output") == "1 of 12 trials"
    server.runs["today"].logs["random-11"] += "epoch 3\n"
    browser.until("return document.querySelector('#trial pre.log').textContent.includes('epoch 3')")
    assert browser.run("return document.querySelectorAll('#trial figure').length") == 2
    assert browser.complaints() == []


def test_changes_are_shown_without_a_reload(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today")
    browser.until("return document.querySelector('#filters output').textContent === '12 trials'")
    browser.run("window.isTheSamePage = true")
    row = {"index": 11, "id": "random-11", "status": "completed", "best": 0.99, "bestEpoch": 3}
    new = {"index": 12, "id": "random-12", "searcher": "random", "status": "running", "epochs": 0}
    config = {"config": {"lr": 0.5, "optimizer": "sgd"}}
    new |= {"best": None, "reason": "", "seconds": 0.0, **config}
    summary = {"ended": 12, "seconds_left": 60.0, "tags": ["baseline", "new"]}
    server.change("today", trials=[row, new], curves={"11": [[1, 0.99]]}, summary=summary)
    browser.until("return document.querySelector('#filters output').textContent === '13 trials'")
    assert "random-11" in text(browser, "table.trials tr[data-trial]")
    assert text(browser, ".tile.lead b") == "0.99"
    assert "about 60 s left" in text(browser, ".progress")
    assert "new" in text(browser, ".state")
    finding = "lr: 9 of the best 9 trials touch the upper bound, 1"
    bound = {"name": "lr", "text": finding, "end": "high"}
    server.change("today", analyses={"bounds": [bound]})
    browser.until("return document.querySelector('#findings .bound') !== null")
    assert text(browser, "#findings .bound") == finding
    assert browser.run("return window.isTheSamePage")
    assert sum(path.endswith("/data") for path in server.asked) == 1
    assert browser.complaints() == []


def test_changes_leave_scrolling_and_focus_alone(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today")
    browser.until("return document.querySelector('#filters output').textContent === '12 trials'")
    browser.run(
        "const box = document.querySelector('.rows'); box.style.maxHeight = '150px';"
        "box.scrollTop = 90;"
        "[...box.querySelectorAll('a')].find(link => link.textContent === 'random-5').focus()"
    )
    place = "return [document.querySelector('.rows').scrollTop, document.activeElement.textContent]"
    before = browser.run(place)
    assert before[0] > 0
    assert before[1] == "random-5"
    row = {"index": 11, "id": "random-11", "status": "completed", "best": 0.5}
    server.change("today", trials=[row])
    browser.until("return T.status[11] === 'completed'")
    assert browser.run(place) == before


def test_a_run_that_was_replaced_is_taken_again(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today")
    browser.until("return document.querySelector('#filters output').textContent === '12 trials'")
    browser.until("return state.summary !== null")  # it has caught up with the stream
    run = server.runs["today"]
    run.data = run.data | {"metric": "accuracy"}
    browser.run("state.version = 99")
    server.change("today")
    browser.until("return document.querySelector('.tile.lead').textContent.includes('accuracy')")


def answered(browser: Browser, label: str, place: str = "#commands") -> str:
    """What stands beside the button of a command once it was answered."""
    beside = (
        f"[...document.querySelectorAll('{place} form')]"
        f".find(form => form.querySelector('button').textContent === {label!r})"
        "?.querySelector('.answer').textContent"
    )
    browser.until(f"return !['', '…', undefined].includes({beside})")
    return str(browser.run(f"return {beside}"))


def test_buttons_give_commands(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today")
    browser.until("return document.querySelector('#commands form') !== null")
    for label, value, command in (
        ("pause", None, "pause"),
        ("stop the sweep", None, "stop"),
        ("extend by trials", "+50", "extend"),
        ("set parallel", "2", "set"),
        ("note", "new data", "note"),
        ("tag", "paper final", "tag"),
    ):
        before = len(server.commands)
        submit(browser, label, value)
        assert answered(browser, label) == f"applied: {command}"
        assert len(server.commands) == before + 1
        # Only the last answer is shown, beside its own button, and announced.
        shown = "[...document.querySelectorAll('#commands .answer')].filter(e => e.textContent)"
        assert browser.run(f"return {shown}.map(e => e.getAttribute('aria-live'))") == ["polite"]
    assert server.commands == [
        ("pause", {}),
        ("stop", {"now": False}),
        ("extend", {"trials": "+50"}),
        ("set", {"parallel": 2}),
        ("note", {"text": "new data"}),
        ("tag", {"tags": ["paper", "final"]}),
    ]


def test_an_answer_stays_when_its_button_goes(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today")
    browser.until("return document.querySelector('#commands form') !== null")
    submit(browser, "pause")
    answered(browser, "pause")
    server.change("today", summary={"state": "paused"})
    browser.until(
        "return [...document.querySelectorAll('#commands button')]"
        ".some(button => button.textContent === 'resume')"
    )
    shown = "[...document.querySelectorAll('#commands .answer')].map(e => e.textContent).join('')"
    assert browser.run(f"return {shown}") == "applied: pause"


def test_the_field_has_how_many_trials_run_at_once(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today")
    field = "document.querySelector('#commands input[name=parallel]')"
    browser.until(f"return {field}?.value === '3'")
    server.change("today", summary={"parallel": 8})
    browser.until(f"return {field}.value === '8'")
    browser.run(f"{field}.value = '5'")  # somebody writes
    server.change("today", summary={"parallel": "auto", "ended": 12})
    browser.until("return D.parallel === 'auto'")
    assert browser.run(f"return {field}.value") == "5"


def test_commands_about_a_trial(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today&trial=random-11")
    browser.until("return document.querySelector('#trial .commands') !== null")
    submit(browser, "stop", place="#trial")
    submit(browser, "continue to epoch", "27", "#trial")
    submit(browser, "note", "odd", "#trial")
    browser.until("return document.querySelector('#trial .answer.applied') !== null")
    browser.run(
        "const form = document.querySelector('#trial .enqueue');"
        "form.elements.lr.value = '0.02'; form.elements.optimizer.value = 'sgd';"
        "form.requestSubmit()"
    )
    assert answered(browser, "enqueue", "#trial") == "applied: enqueue"
    assert sorted(server.commands) == [
        ("continue", {"trial": "random-11", "epochs": 27}),
        ("enqueue", {"configurations": [{"lr": 0.02, "optimizer": "sgd"}]}),
        ("note", {"trial": "random-11", "text": "odd"}),
        ("stop", {"trial": "random-11", "now": False}),
    ]
    visit(browser, server, "#run=today&trial=random-2")
    browser.until("return document.querySelector('#trial .commands') !== null")
    submit(browser, "retry", place="#trial")
    assert answered(browser, "retry", "#trial") == "applied: retry"
    assert server.commands[-1] == ("retry", {"trial": "random-2"})


def test_the_focus_stays_in_an_opened_trial(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today&trial=random-11")
    browser.until("return document.querySelector('#trial .commands') !== null")
    # A button of a command that stays, then one that goes when the trial has ended.
    button = "[...document.querySelectorAll('#trial form button')].find(e => e.textContent === {})"
    browser.run(f"const old = {button.format(repr('note'))}; old.dataset.old = 'yes'; old.focus()")
    row = {"index": 11, "id": "random-11", "status": "running", "best": 0.5}
    server.change("today", trials=[row])
    browser.until("return document.querySelector('#trial [data-old]') === null")
    assert browser.run("return document.activeElement.textContent") == "note"
    browser.run(f"{button.format(repr('stop'))}.focus()")
    server.change("today", trials=[row | {"status": "completed"}])
    browser.until("return document.activeElement.id === 'trial-title'")


def test_the_form_of_a_new_trial_says_what_it_may_be(browser: Browser, server: FakeServer) -> None:
    run = server.runs["today"]
    domains = {
        "lr": {"low": 1e-4, "high": 1.0, "whole": False, "or": [0]},
        "optimizer": {"values": ["sgd", "adam", "lion", 3]},
    }
    for parameter in run.data["parameters"]:
        parameter["domain"] = domains[parameter["name"]]
    visit(browser, server, "#run=today&trial=random-0")
    browser.until("return document.querySelector('#trial .enqueue') !== null")
    form = "document.querySelector('#trial .enqueue')"
    assert "0.0001 to 1, or 0" in browser.run(f"return {form}.textContent")
    label = browser.run(f"return {form}.elements.lr.getAttribute('aria-label')")
    assert label == "lr of the new trial, 0.0001 to 1, or 0"
    options = f"return [...{form}.elements.optimizer.options].map(option => option.text)"
    assert browser.run(options) == ["sgd", "adam", "lion", "3"]
    browser.run(f"{form}.elements.optimizer.value = '3'; {form}.requestSubmit()")
    answered(browser, "enqueue", "#trial")
    ((_, arguments),) = server.commands
    assert arguments["configurations"][0]["optimizer"] == 3  # not the text


def test_a_refusal_is_shown(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today")
    browser.until("return document.querySelector('#commands form') !== null")
    submit(browser, "note", "refuse me")
    browser.until("return document.querySelector('#commands .answer.refused') !== null")
    assert answered(browser, "note") == REFUSED


def test_a_narrow_screen_shows_all_of_a_sweep_in_the_list(
    browser: Browser, server: FakeServer
) -> None:
    visit(browser, server, width=390)
    browser.until("return document.querySelectorAll('#list tr.run').length === 2")
    box = "document.querySelector('#list .scroll')"
    assert browser.run(f"return {box}.scrollWidth <= {box}.clientWidth")
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    row = "document.querySelector('#list tr.run')"
    assert "5 min" in browser.run(f"return {row}.innerText")
    assert violations(browser) == []


@pytest.mark.parametrize("width", [390, 800])
def test_all_sections_are_reached_from_the_bar(
    browser: Browser, server: FakeServer, width: int
) -> None:
    visit(browser, server, "#run=today", width)
    browser.until("return document.querySelectorAll('.bar nav a').length > 5")
    menu = "document.querySelector('#menu')"
    browser.until(f"return {menu}.offsetParent !== null")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.run(f"{menu}.click()")
    assert browser.run(f"return {menu}.getAttribute('aria-expanded')") == "true"
    inside = "rect => rect.width > 0 && rect.left >= 0 && rect.right <= innerWidth"
    links = "[...document.querySelectorAll('.bar nav a')].map(e => e.getBoundingClientRect())"
    assert browser.run(f"return {links}.every({inside})")
    assert violations(browser) == []
    browser.run("document.querySelector('.bar nav a:last-child').click()")
    assert browser.run(f"return {menu}.getAttribute('aria-expanded')") == "false"


def test_the_page_follows_the_theme_of_the_system(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=today")
    browser.until("return document.querySelector('#filters output').textContent === '12 trials'")
    shown = "document.documentElement.dataset.theme"
    for scheme in ("dark", "light"):
        use_system_theme(browser, scheme)
        browser.until(f"return {shown} === {scheme!r}")
    browser.run("document.querySelector('#theme').click()")  # a person chooses
    assert browser.run(f"return {shown}") == "dark"
    use_system_theme(browser, "dark")
    use_system_theme(browser, "light")
    browser.run("return new Promise(act => setTimeout(act, 200))")
    assert browser.run(f"return {shown}") == "dark"
    browser.run("document.querySelector('#theme').click()")  # as the system again
    use_system_theme(browser, "dark")
    browser.until(f"return {shown} === 'dark'")
    use_system_theme(browser, "light")


def test_runs_lie_over_each_other(browser: Browser, server: FakeServer) -> None:
    visit(browser, server)
    browser.until("return document.querySelectorAll('#list input[type=checkbox]').length === 2")
    browser.run(
        "for (const box of document.querySelectorAll('#list input[type=checkbox]')) box.click();"
        "document.querySelector('#list .overlay').click()"
    )
    browser.until("return document.querySelector('#overlaid .legend') !== null")
    assert browser.run("return decodeURIComponent(location.hash)") == "#run=today,yesterday"
    legend = text(browser, "#overlaid .legend")
    assert "today" in legend
    assert "yesterday" in legend
    assert "0.8" in text(browser, "#overlaid table")
    browser.driver.back()
    browser.until("return !document.querySelector('#list').hidden")


def test_what_a_server_sends_stays_text(browser: Browser, server: FakeServer) -> None:
    visit(browser, server)
    browser.until("return document.querySelectorAll('#list tr.run').length === 2")
    assert NASTY in text(browser, "#list")
    visit(browser, server, "#run=today&trial=random-2,random-11")
    browser.until("return document.querySelectorAll('#trial pre.log').length === 3")
    browser.until("return document.querySelector('#trial').textContent.includes('epoch 2')")
    shown = text(browser, "#trial")
    for phrase in ("looks odd ", "ValueError: ", "completed: ", "epoch 1 "):
        assert phrase + NASTY in shown
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert browser.complaints() == []


def test_a_server_that_went_away_is_said(browser: Browser, server: FakeServer) -> None:
    visit(browser, server, "#run=nothing")
    browser.until("return !document.querySelector('#offline').hidden")
    assert text(browser, "#offline") == "there is no such run or trial"


def test_keys_move_in_the_list(browser: Browser, server: FakeServer) -> None:
    visit(browser, server)
    browser.until("return document.querySelectorAll('#list tr.run').length === 2")
    press(browser, "j")
    focused = "return document.activeElement.textContent"
    assert browser.run(focused) == "yesterday"
    browser.run("renderList()")  # as a change of any run does
    assert browser.run(focused) == "yesterday"
    press(browser, "\ue007")  # Enter
    browser.until("return document.querySelector('#hero h1').textContent === 'yesterday'")
    press(browser, "\ue00c")  # Escape
    browser.until("return !document.querySelector('#list').hidden")


@pytest.mark.parametrize(
    ("fragment", "there"),
    [
        ("", "#list tr.run"),
        ("#run=today&trial=random-2,random-11", "#trial pre.log"),
        ("#run=today,yesterday", "#overlaid .legend"),
    ],
)
def test_axe_finds_nothing(browser: Browser, server: FakeServer, fragment: str, there: str) -> None:
    visit(browser, server, fragment)
    browser.until(f"return document.querySelector({there!r}) !== null")
    for theme in ("light", "dark"):
        browser.run(
            f"document.documentElement.dataset.theme = {theme!r}; recolour();"
            "for (const part of document.querySelectorAll('details')) part.open = true;"
        )
        browser.until(f"return document.querySelector({there!r}) !== null")
        assert violations(browser) == [], theme


def test_incumbents_that_come_later_are_drawn(browser: Browser, server: FakeServer) -> None:
    run = server.runs["today"]
    incumbents = run.data.pop("incumbents")
    visit(browser, server, "#run=today,yesterday")
    browser.until("return document.querySelector('#overlaid .waiting:not([hidden])') !== null")
    server.change("today", analyses={"incumbents": incumbents})
    browser.until(
        "return document.querySelector('#overlaid .legend')?.textContent.includes('today')"
    )
    assert browser.run("return document.querySelector('#overlaid .waiting').hidden")


def press(browser: Browser, keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser.driver).send_keys(keys).perform()
