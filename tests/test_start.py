"""Ray's start on a busy machine: it is waited for, tried twice, and leaves nothing if it fails."""

from __future__ import annotations

import inspect
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from raysweep.errors import SessionInterrupted
from raysweep.tune.callbacks.screen import Screen
from raysweep.tune.executors.ray import start_local as starting
from raysweep.tune.executors.ray.start_local import (
    CannotStartError,
    StartError,
    limits,
    patience,
    start,
)
from raysweep.tune.executors.ray.worker_failure import explain
from tests.command_line import Typed
from tests.nodes import PROJECT, environment

TIMED_OUT = (
    "The current node timed out during startup. This could happen because some of the raylet "
    "failed to startup or the GCS has become overloaded."
)
"""What Ray raises, as a bare Exception, if a node has not registered after 30 s."""

SLOW_RAY = f"""
import ray

def init(**options):
    raise Exception({TIMED_OUT!r})

ray.init = init
"""

RAYLET_UNHEARD = """
from raysweep.tune.executors.ray import start_local

start_local._registered = lambda address, node: False
start_local.patience = lambda: 3.0
"""

MAIN = """
import os, sys
from tests.chaos.processes import descendants
from raysweep.tune.cli.app import main

code = main(sys.argv[1:])
print("left:", descendants(os.getpid()))
sys.exit(code)
"""


def typed(
    place: Path, before: str, *more: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`raysweep run` in a process of its own, in which `before` is run first."""
    home, temporary = place / "home", place / "t"
    for folder in (home, temporary):
        folder.mkdir(exist_ok=True)
    names = {"HOME": str(home), "RAY_TMPDIR": str(temporary), "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", before + MAIN, *Typed(place).arguments(*more)],
        cwd=place,
        env=environment() | names | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name: Ray's sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as name:
        Typed(Path(name)).write("tests.trainables:bowl", trials=1, epochs=1)
        yield Path(name)


@pytest.mark.examples
def test_a_start_that_fails_twice_is_one_line_and_can_be_typed_again(place: Path) -> None:
    for _ in range(2):  # the first one leaves nothing that is in the way of the second
        done = typed(place, SLOW_RAY, "--name", "first")
        said = done.stdout.splitlines()
        assert said[0] == "starting Ray ..."
        assert re.fullmatch(
            r"Ray did not start \(The current node .*\); starting it once more \.\.\.", said[1]
        )
        assert re.fullmatch(
            r"raysweep: Ray did not start in 2 attempts of up to \d+ s each \(load .*\): "
            r"The current node timed out .* Type the same command again when .*\n",
            done.stderr,
        )
        assert done.returncode == 4
        assert not (place / "runs" / "first").exists()


def test_the_processes_of_a_failed_start_are_ended(place: Path) -> None:
    """Real ones: only the answer that the raylet is there is withheld."""
    done = typed(place, RAYLET_UNHEARD, "--name", "first")
    assert done.returncode == 4, done.stderr
    assert "its raylet did not register in time" in done.stderr
    assert done.stdout.splitlines()[-1] == "left: []"
    kept = re.search(r"Its logs are in (.*)\. Type", done.stderr)
    assert kept is not None
    assert [str(path) for path in (place / "t").iterdir()] == [kept[1]]  # the second attempt's
    assert list(Path(kept[1]).glob("r/session_*/logs/gcs_server.out"))


@pytest.mark.ray
def test_ray_sets_no_handler_of_sigterm_while_it_starts() -> None:
    """Its own would end the driver with exit code 15 and without a word."""
    from ray._private import utils, worker

    from raysweep.tune.executors.ray.ray_compat import no_sigterm_handler

    before, setter = signal.getsignal(signal.SIGTERM), utils.set_sigterm_handler
    with no_sigterm_handler():
        utils.set_sigterm_handler(lambda number, frame: sys.exit(number))
        assert signal.getsignal(signal.SIGTERM) == before
    assert utils.set_sigterm_handler is setter
    assert "ray._private.utils.set_sigterm_handler(" in inspect.getsource(worker.init)


def never(line: str) -> None:
    raise AssertionError(line)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything around `ray.init` left out."""
    from contextlib import nullcontext

    monkeypatch.setattr(starting, "_ask_for_token", lambda: None)
    monkeypatch.setattr(starting, "_limits_raised", lambda seconds: nullcontext())
    monkeypatch.setattr(starting, "_watched", lambda seconds, stopping: nullcontext([]))
    monkeypatch.setattr(starting, "_end", lambda ray, nodes: None)
    monkeypatch.setattr(starting, "_private_directory", lambda: tmp_path / "private")


@pytest.mark.usefixtures("no_ray")
def test_the_second_attempt_may_succeed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fails = [Exception(TIMED_OUT)]

    def init(*_: Any) -> None:
        if fails:
            raise fails.pop()

    said: list[str] = []
    monkeypatch.setattr(starting, "_init", init)
    assert start(None, None, None, said.append, lambda: "") == tmp_path / "private"
    assert len(said) == 1


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TypeError("no such option"), TypeError),
        (OSError("AF_UNIX path too long"), CannotStartError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_what_time_does_not_mend_is_not_tried_again(
    error: BaseException, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(*_: Any) -> None:
        raise error

    monkeypatch.setattr(starting, "_init", init)
    with pytest.raises(raised):
        start(None, None, None, never, lambda: "")


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(
    "error",
    [ConnectionError("GCS"), TimeoutError("port"), RuntimeError("RPC"), AssertionError("died")],
)
def test_errors_of_a_slow_start_are_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(*_: Any) -> None:
        raise error

    monkeypatch.setattr(starting, "_init", init)
    with pytest.raises(StartError, match=str(error)):
        start(None, None, None, lambda line: None, lambda: "")


@pytest.mark.parametrize(
    ("average", "now", "seconds"),
    [(0.1, "1/300", 60), (4.0, "1/300", 120), (0.5, "8/300", 240), (400.0, "1/300", 600)],
)
def test_patience_grows_with_the_load_of_now_and_of_the_last_minute(
    average: float, now: str, seconds: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "loadavg").write_text(f"{average} 0.00 0.00 {now} 4711\n")
    monkeypatch.setattr(starting, "LOADAVG", tmp_path / "loadavg")
    monkeypatch.setattr(os, "getloadavg", lambda: (average, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert patience() == seconds


def test_rays_limits_are_raised_but_for_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, *others = limits(240)
    for name in others:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(mine, "7")
    with starting._limits_raised(240):
        assert os.environ[mine] == "7"
        assert {os.environ[name] for name in others} == {"240", "240000"}
    assert os.environ[mine] == "7"
    assert not set(others) & set(os.environ)


def test_waiting_ends_where_it_is_pointless() -> None:
    alive: Any = SimpleNamespace(dead_processes=list)
    dead: Any = SimpleNamespace(dead_processes=lambda: [("raylet", None)])
    starting._go_on_waiting([alive], float("inf"), lambda: "")
    with pytest.raises(SessionInterrupted, match="SIGINT"):
        starting._go_on_waiting([alive], float("inf"), lambda: "SIGINT")
    with pytest.raises(ConnectionError, match="its raylet died"):
        starting._go_on_waiting([dead], float("inf"), lambda: "")
    with pytest.raises(TimeoutError):
        starting._go_on_waiting([alive], 0.0, lambda: "")


def test_the_live_screen_says_that_ray_is_starting() -> None:
    out = io.StringIO()
    Screen("run", Console(file=out, force_terminal=True)).say("starting Ray ...")
    assert "starting Ray ..." in out.getvalue()


def test_workers_that_are_never_ready_are_not_the_trials_fault() -> None:
    said = (
        "The actor is not schedulable: Could not create the actor because worker startup "
        "repeatedly failed.\nFailed to startup worker after retrying 5 times."
    )
    with pytest.raises(SessionInterrupted, match="none was ready in time"):
        explain(f"Failure # 1\nray.exceptions.ActorUnschedulableError: {said}")


@pytest.mark.examples
def test_slow_workers_interrupt_the_sweep_and_hang_nobody(place: Path) -> None:
    """No worker has registered after 0 s. Ray would not answer a driver before one has."""
    slow = {"RAY_worker_register_timeout_seconds": "0", "RAY_pop_worker_max_retries": "0"}
    done = typed(place, "", "--name", "first", **slow)
    assert "none was ready in time" in done.stdout
    assert done.returncode == 4, done.stderr
    (trial,) = Typed(place).folder().histories["random"]
    assert not trial.status.ended
    assert typed(place, SLOW_RAY, "--resume", "first").returncode == 4  # and the run is kept
    assert typed(place, "", "--resume", "first").returncode == 0
