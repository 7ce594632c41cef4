"""The server as its user starts it: `raysweep serve` in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from raysweep.results.storage.run_directory import load
from raysweep.tune.cli.app import main
from raysweep.tune.serve.server import has_display, opened
from tests.made_up import Story, write_run
from tests.serving import Session, until

TOKEN = "token-of-the-environment"
TRAIN = """\
import time
from pathlib import Path
from typing import Any

def train(config, run):
    for epoch in run.epochs():
        print("epoch", epoch)
        while not Path(f"epoch{epoch}").exists():
            time.sleep(0.02)
        run.report(loss=config["lr"] / epoch)
"""
FILE = """\
trainable: train.py:train
metric: {name: loss, goal: minimize}
searcher: random
scheduler: none
budget: {trials: 2, epochs: 2}
space: {lr: {float: [0.01, 1.0], log: true}}
"""


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str]

    @contextmanager
    def request(
        self, path: str, body: str | None = None, **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        given = {"Authorization": f"Bearer {TOKEN}", **headers}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET" if body is None else "POST", path, body, given)
            with connection.getresponse() as response:
                yield response

    def json(self, path: str, body: str | None = None, **headers: str) -> Any:
        with self.request(path, body, **headers) as response:
            return json.loads(response.read())


@contextmanager
def started(*words: str, **environment: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "raysweep", "serve", *words, "--port", "0"]
    pipe, own = subprocess.PIPE, os.environ | {"RAYSWEEP_TOKEN": TOKEN} | environment
    process = subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=own)
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "http://" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "".join(lines)
        yield Server(process, urlsplit(lines[-1].strip()).port or 0, lines)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "ray_results/cnn", [Story("random", [0.5])])
    return tmp_path


def test_the_server_tells_of_a_change_at_once_and_ends_with_ctrl_c(folder: Path) -> None:
    with started() as server:
        assert server.lines == [
            "raysweep serves ray_results; Ctrl-C ends it\n",
            f"  http://127.0.0.1:{server.port}/?token={TOKEN}\n",
        ]
        arguments = Path(f"/proc/{server.process.pid}/cmdline")
        if arguments.exists():
            assert TOKEN not in arguments.read_text()
        run = folder / "ray_results/cnn"
        accepted = {"Accept-Encoding": "gzip"}
        with (
            server.request("/api/stream?run=cnn", **accepted) as stream,
            Session(run) as session,
        ):
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert "content-encoding" not in stream.headers
            assert stream.readline() == b": raysweep\n"
            session.propose("random", 1, lr=0.5)
            trials: dict[str, int] = {}
            while trials != {"completed": 1, "running": 1}:  # it also tells of the lock
                while not (line := stream.readline()).startswith(b"data:"):
                    assert line
                assert json.loads(line[5:])["run"] == "cnn"
                [row] = server.json("/api/runs")["runs"]
                trials = row["trials"]
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(60) == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""


def test_a_real_session_obeys_the_page(folder: Path) -> None:
    (folder / "train.py").write_text(TRAIN)
    (folder / "sweep.yaml").write_text(FILE)
    words = ["run", "--space", "sweep.yaml", "--name", "a", "--debug"]
    command = [sys.executable, "-m", "raysweep", *words]
    with started() as server:
        driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            address = "/api/runs/a/trials/random-0"
            until(lambda: "trial" in server.json(address))
            # In this process a trial prints to the screen, and has no log.
            assert server.json(f"{address}/log")["ended"] is False
            order = json.dumps({"command": "stop", "arguments": {"trial": "random-0"}})
            own = {"X-Raysweep": "1", "Content-Type": "application/json"}
            answer = server.json("/api/runs/a/commands", order, **own)
            assert answer["outcome"] == "waiting"  # it looks after each report only
            for epoch in (1, 2):
                (folder / f"epoch{epoch}").touch()
            assert driver.wait(120) == 0
        finally:
            driver.kill()
            driver.wait()
        until(lambda: server.json(address)["status"] == "stopped")
        assert server.json(address)["reason"] == "stopped by hand"
        until(lambda: server.json("/api/runs")["runs"][0]["state"] == "finished")
    assert list(load(folder / "ray_results/a").trials["epochs"]) == [1, 2]


def test_a_random_token_is_made_and_a_run_may_be_named(folder: Path) -> None:
    with started("cnn", RAYSWEEP_TOKEN="") as first, started(RAYSWEEP_TOKEN="") as second:
        tokens = [server.lines[-1].partition("token=")[2].strip() for server in (first, second)]
        assert len(set(tokens)) == 2
        assert all(len(token) == 32 for token in tokens)
        assert first.lines[0] == "raysweep serves ray_results/cnn; Ctrl-C ends it\n"
        assert first.port != second.port


def test_a_server_that_others_can_reach_says_so(folder: Path) -> None:
    with started("--host", "0.0.0.0") as server:
        assert server.lines[1].startswith("warning: other machines can reach this server")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "nothing is not a folder"),
        (["--token", "short"], "the token: expected 8 to 200 letters"),
        (["--token", "with spaces in it"], "the token: expected 8 to 200 letters"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid: "),
        (["gopher://x"], "gopher://x: expected a folder, s3://bucket/path"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"raysweep: {message}")
    assert error.count("\n") == 1


def test_a_port_that_is_taken_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started() as server:
        assert main(["serve", "--port", str(server.port)]) == 2
    assert "Address already in use" in capsys.readouterr().err
    for wrong in ("x", "65536", "-1"):
        with pytest.raises(SystemExit, match="2"):
            main(["serve", "--port", wrong])


def test_a_browser_is_led_to_the_page_without_the_token_in_its_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("webbrowser.open", seen.append)
    with opened("http://127.0.0.1:1/?token=secret&x", wanted=True):
        until(lambda: seen)
        path = Path(urlsplit(seen[0]).path)
        assert path.stat().st_mode & 0o077 == 0
        assert "0;url=http://127.0.0.1:1/?token=secret&amp;x" in path.read_text()
    assert not path.exists()
    with opened("http://127.0.0.1:1/", wanted=False):
        time.sleep(0.05)
    assert len(seen) == 1


def test_no_browser_opens_where_nobody_would_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert has_display()
    monkeypatch.setenv("SSH_CONNECTION", "1")
    assert not has_display()
    monkeypatch.delenv("SSH_CONNECTION")
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not has_display()
