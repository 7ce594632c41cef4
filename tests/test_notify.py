"""Messages to webhooks: what is sent and when; nothing waits, and no URL is shown."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import raysweep as rs
from raysweep.errors import UserError
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.tune import notify_urls
from raysweep.tune.callbacks import notify
from raysweep.tune.callbacks.notify import Message, Notifier, NotifyError, body, notifiers
from raysweep.tune.cli.app import main
from raysweep.tune.controller import SweepController
from raysweep.tune.sweep import Budget
from tests.sweeps import Keep, sweep, train, train_all

SECRET = "T0SECRET/B0SECRET"
TRAIN = """\
import sys


def train(config, run):
    print("training", file=sys.stderr)
    for epoch in run.epochs():
        if config["x"] > 0.95:
            raise ValueError("x <is> too large")
        run.report(loss=config["x"] / epoch)
"""
FILE = """\
trainable: train.py:train
metric: {name: loss, goal: minimize}
searcher: random
scheduler: none
retries: 0
budget: {trials: 2, epochs: 2}
space: {x: {float: [0.0, 1.0]}}
"""


class Server:
    """A webhook that keeps what it gets. It may be slow, or refuse."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status, self.free = 200, threading.Event()
        self.free.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                server.free.wait()
                server.bodies.append(json.loads(content))
                self.send_response(server.status)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/{SECRET}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.free.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_it(url: str, *more: str) -> int:
    Path("s.yaml").write_text(FILE + f"notify: ['{url}']\n")
    return main(["run", "--space", "s.yaml", "--name", "a", "--debug", *more])


def test_the_end_is_told_and_the_url_is_shown_nowhere(
    place: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_it(server.url) == 0
    (sent,) = [one for one in server.bodies if one["event"] == "ended"]
    assert sent["text"].startswith("a: ended after")
    assert "2 trials" in sent["text"]
    assert "best loss" in sent["text"]
    assert sent["run"] == "a"
    folder = place / "ray_results/a"
    for path in folder.rglob("*"):
        if path.is_file() and SECRET.encode() in path.read_bytes():
            assert path.name == notify_urls.NAME
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "http://127.0.0.1/***" in (folder / "sweep.yaml").read_text()
    assert main(["run", "--space", "s.yaml", "--dry-run"]) == 0
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err


def test_a_resumed_run_knows_its_urls(place: Path, server: Server) -> None:
    assert run_it(server.url) == 0
    server.bodies.clear()
    assert main(["resume", "a", "--debug", "--set", "budget.trials=3"]) == 0
    assert [one["event"] for one in server.bodies if one["event"] != "best"] == ["ended"]
    assert RunDirectory(place / "ray_results/a").state == "finished"


def test_a_first_failure_is_told_once_and_an_interruption(server: Server) -> None:
    said: list[str] = []
    controller = SweepController(sweep(budget=Budget(4, 1), retries=0), Keep())
    notifier = Notifier("cnn", [server.url], said.append)
    for _ in range(2):
        trial = controller.next()
        assert trial is not None
        controller.started(trial)
        controller.failed(trial, "ValueError: no\nmore", {})
        event = {"event": "ended", "trial": trial.id, "status": "failed", "reason": trial.reason}
        notifier.on_event(event, controller)
    controller.stop("SIGTERM", interrupted=True)
    notifier.close(controller)
    assert [one["event"] for one in server.bodies] == ["failed", "interrupted"]
    assert server.bodies[0]["text"] == "cnn: draw-0 failed: ValueError: no"
    assert "2 trials (2 failed): SIGTERM" in server.bodies[1]["text"]
    assert said == []


def test_a_new_best_is_told_and_not_too_often(server: Server) -> None:
    for seconds, expected in ((0.0, 3), (1e9, 1)):
        server.bodies.clear()
        notifier = Notifier("cnn", [server.url], lambda line: None, seconds)

        class Tell(Keep):
            def applied(self, event: Any, controller: SweepController) -> None:
                notifier.on_event(event, controller)  # noqa: B023

        controller = SweepController(sweep(budget=Budget(1, 4)), Tell())
        train_all(controller)  # the loss falls with each epoch
        notifier.close(controller)
        best = [one for one in server.bodies if one["event"] == "best"]
        assert len(best) == expected
        assert best[0]["text"].startswith("cnn: new best loss 0.")
        assert best[0]["trial"] == "draw-0"


@pytest.mark.parametrize("kind", ["dead", "refuses", "slow"])
def test_nothing_waits_for_a_server_that_fails(
    kind: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "CLOSE_SECONDS", 0.3)
    url, said = server.url, list[str]()
    if kind == "refuses":
        server.status = 500
    elif kind == "slow":
        server.free.clear()
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/{SECRET}"
    notifier = Notifier("cnn", [url], said.append)
    controller = SweepController(sweep(), Keep())
    for _ in range(3):
        trial = controller.next()
        assert trial is not None
        train(controller, trial)
        event = {"event": "ended", "trial": trial.id, "status": "failed", "reason": "x"}
        notifier.on_event(event, controller)
    while kind == "dead" and not said:
        notifier.on_tick(controller)
        time.sleep(0.01)
    notifier.close(controller)
    (line,) = said
    assert line.startswith("notify: http://127.0.0.1: ")
    assert SECRET not in line
    words = {"dead": "refused", "refuses": "HTTP status 500", "slow": "ends without it"}[kind]
    assert words in line


def test_slack_and_discord_get_their_form() -> None:
    sent = Message("ended", "a", "a: <!channel> & more", "loss")
    assert body("https://hooks.slack.com/services/x", sent) == {
        "text": "a: &lt;!channel&gt; &amp; more"
    }
    assert body("https://discord.com/api/webhooks/1/x", sent) == {
        "content": sent.text,
        "allowed_mentions": {"parse": []},
    }
    assert body("https://example.org/x", sent)["event"] == "ended"


def test_a_variable_keeps_a_url_out_of_every_file(
    place: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOOK", server.url)
    assert run_it("{env:HOOK}") == 0
    assert any(one["event"] == "ended" for one in server.bodies)
    assert not (place / "ray_results/a" / notify_urls.NAME).exists()
    monkeypatch.delenv("HOOK")
    assert main(["resume", "a", "--debug", "--set", "budget.trials=3"]) == 0
    assert "{env:HOOK} is not set to a URL" in capsys.readouterr().out


def test_a_lost_url_is_said_and_can_be_named_again(
    place: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_it(server.url) == 0
    os.remove(place / "ray_results/a" / notify_urls.NAME)
    assert main(["resume", "a", "--debug", "--set", "budget.trials=3"]) == 0
    assert "http://127.0.0.1 is not known on this machine" in capsys.readouterr().out


@pytest.mark.parametrize("address", ["hooks.slack.com/", "https://[::1/"])
def test_what_is_no_url_is_a_mistake_that_is_not_repeated(place: Path, address: str) -> None:
    with pytest.raises(UserError, match="notify: expected a URL such as") as caught:
        rs.Sweep(
            "train.py:train",
            {"x": rs.Float(0, 1)},
            "loss",
            {"trials": 1, "epochs": 1},
            notify=[address + SECRET],
        )
    assert SECRET not in str(caught.value)


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")
def test_apprise_sends_what_is_no_web_address(monkeypatch: pytest.MonkeyPatch) -> None:
    import apprise

    sent: list[str] = []

    def deliver(self: Any, body: str, title: str) -> bool:
        sent.append(f"{title}: {body}")
        return True

    monkeypatch.setattr(apprise.Apprise, "notify", deliver)
    notify.send("json://localhost/" + SECRET, Message("ended", "a", "a: ended", "loss"))
    assert sent == ["raysweep ended: a: ended"]
    with pytest.raises(notify.NotDelivered):
        notify.send("nothing://x", Message("ended", "a", "a: ended", "loss"))


def test_apprise_is_asked_for_before_anything_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotifyError, match=r"tgram:// needs apprise: pip install") as caught:
        notifiers(sweep(notify=(f"tgram://{SECRET}",)), "a", print)
    assert SECRET not in str(caught.value)
