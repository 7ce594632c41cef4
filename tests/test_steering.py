"""Steering a sweep as its user does: by the verbs and from Python, with a session and without."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import raysweep as rs
from raysweep.errors import UserError
from raysweep.results.storage import ledger
from raysweep.results.storage.inbox import Command, Inbox, recorded
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.tune.cli.app import main
from raysweep.tune.load import load_sweep
from tests.made_up import Story, write_run

TRAIN = """\
import time
from pathlib import Path


def train(config, run):
    print(f"\\x1b[31m{config['lr']:.3f}\\x1b[0m")
    for epoch in run.epochs():
        while not Path(f"epoch{epoch}").exists() and config["width"] == 9:
            time.sleep(0.02)
        if config["width"] == 10:
            raise ValueError("width 10")
        run.report(loss=(config["lr"] - 0.3) ** 2 + 1 / epoch)
"""
FILE = """\
trainable: train.py:train
metric: {name: loss, goal: minimize}
searcher: random
scheduler: none
budget: {trials: 2, epochs: 2}
retries: 0
space:
  lr: {float: [0.01, 1.0], log: true}
  width: {int: [1, 64], around: 16}
enqueue:
  - {lr: 0.5, width: 9}
"""
COMMANDS = """\
raysweep status cnn
raysweep enqueue cnn lr=0.01 batch_size=64
raysweep extend cnn trials=+50
raysweep stop cnn random-3
raysweep note cnn "the data set was cleaned on Monday"
raysweep stop cnn random-3 --now
"""
"""The commands of docs/how-to/steering.md, as they stand there."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "s.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_it(*more: str) -> int:
    return main(["run", "--space", "s.yaml", "--name", "a", "--debug", *more])


def until(seen: Callable[[], Any]) -> None:
    while not seen():
        time.sleep(0.02)


@pytest.fixture
def driver(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A session that trains a first epoch until the file `epoch1` exists, and so on."""
    words = [sys.executable, "-m", "raysweep", "run", "--space", "s.yaml", "--name", "a", "--debug"]
    with open("out.txt", "wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out)
    try:
        folder = Path("ray_results/a")
        until(lambda: (folder / "ledger.jsonl").exists() and b'"started"' in _bytes(folder))
        yield process
    finally:
        process.kill()
        process.wait()


def _bytes(folder: Path) -> bytes:
    return (folder / "ledger.jsonl").read_bytes()


def _status(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["status", "a", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_running_sweep_is_steered_by_verbs_and_python(
    driver: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    run = rs.load("ray_results/a")
    # The debug executor looks into the inbox at each report, so the verb does not see an answer.
    assert run.enqueue({"lr": 0.25}).outcome == "waiting"
    assert main(["extend", "a", "trials=+1"]) == 0
    assert "not carried out within 2 s; it is not lost" in capsys.readouterr().out
    assert [command["command"] for command in _status(capsys)["waiting"]] == ["enqueue", "extend"]
    run.note("[bold]odd[/] <b>", trial="random-0")
    run.tag("base", "paper")
    run.pause()
    Path("epoch1").touch()
    until(lambda: rs.load("ray_results/a").tags)
    until(lambda: b"returned" in _bytes(Path("ray_results/a")))
    assert _status(capsys)["state"] == "paused"
    with pytest.raises(UserError, match="refused: there is no trial 'random-9'"):
        run.stop_trial("random-9")
    assert main(["stop", "a", "random-9", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["outcome"] == "refused"
    Path("epoch2").touch()
    assert main(["resume", "a"]) == 0
    assert "applied: the sweep continues" in capsys.readouterr().out
    assert driver.wait() == 0
    run = rs.load("ray_results/a")
    assert list(run.trials["config/lr"])[:2] == [0.5, 0.25]
    assert list(run.trials["config/width"])[1] == 16
    assert list(run.trials["status"]) == ["completed"] * 3
    assert run.tags == ["base", "paper"]
    assert [(note.trial, note.text) for note in run.notes] == [("random-0", "[bold]odd[/] <b>")]


def test_a_sweep_is_stopped_and_resumed(
    driver: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["stop"])
    assert main(["stop", "a"]) == 0
    assert main(["rm", "a", "--yes"]) == 2
    assert "ray_results/a is being worked on; stop it first" in capsys.readouterr().err
    Path("epoch1").touch()
    assert driver.wait() == 4
    assert "stopped by hand" in Path("out.txt").read_text()
    Path("epoch2").touch()
    assert main(["resume", "a", "--debug"]) == 0
    assert list(rs.load("ray_results/a").trials["status"]) == ["completed"] * 2


def test_a_killed_pause_lasts_until_the_sweep_is_resumed(
    driver: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    rs.load("ray_results/a").pause()
    Path("epoch1").touch()
    until(lambda: b"returned" in _bytes(Path("ray_results/a")))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert rs.load("ray_results/a")._directory.steering.paused
    Path("epoch2").touch()
    assert main(["resume", "a", "--debug"]) == 0
    assert list(rs.load("ray_results/a").trials["epochs"]) == [2, 2]


def test_without_a_session_a_command_is_checked_and_waits_for_the_next_one(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for epoch in (1, 2, 3):
        Path(f"epoch{epoch}").touch()
    assert run_it() == 0
    capsys.readouterr()
    assert main(["enqueue", "a", "lr=7", "wdth=3"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "raysweep: refused: wdth: there is no such parameter; did you mean 'width'?",
        "lr: expected a number from 0.01 to 1, got 7",
    ]
    assert main(["enqueue", "a", "lr=0.75", "width=10"]) == 0
    (waiting,) = Inbox(Path("ray_results/a")).waiting()
    assert capsys.readouterr().out.splitlines() == [
        "no session runs; it takes effect at: raysweep resume ray_results/a",
        f"to take it back: raysweep withdraw ray_results/a {waiting.id[:8]}",
    ]
    for verb in ("stop", "pause"):
        assert main([verb, "a"]) == 2
        assert capsys.readouterr().err == f"raysweep: {verb}: no session runs, so nothing happens\n"
    assert main(["continue", "a", "random-0", "epochs=3"]) == 0
    Path("more.json").write_text('[{"lr": 0.125}, {"lr": 0.0625, "width": 2}]')
    assert main(["enqueue", "a", "--file", "more.json"]) == 0
    assert len(_status(capsys)["waiting"]) == 3
    with pytest.raises(ValueError, match="width 10"):
        main(["resume", "a", "--debug"])
    assert main(["retry", "a", "random-0"]) == 2
    assert "random-0 is completed; only what failed can be retried" in capsys.readouterr().err
    Path("train.py").write_text(TRAIN.replace("== 10", "== 11"))
    assert main(["retry", "a", "random-2"]) == 0
    assert main(["resume", "a", "--debug", "--accept-changes"]) == 0
    run = rs.load("ray_results/a")
    assert list(run.trials["epochs"]) == [3, 2, 2, 2, 2]
    assert list(run.trials["config/lr"])[2:] == [0.75, 0.125, 0.0625]
    found = _status(capsys)
    assert (found["state"], found["waiting"], found["ended"]) == ("finished", [], 5)


@pytest.fixture
def finished(place: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run of two trials that has ended."""
    for epoch in (1, 2, 3):
        Path(f"epoch{epoch}").touch()
    assert run_it() == 0
    capsys.readouterr()
    return place / "ray_results/a"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["extend", "a", "epochs=3", "epochs=5"], "epochs is given twice: epochs=3 and epochs=5"),
        (["set", "a", "space.lr=0.1..0.2", "space.lr=1"], "space.lr is given twice: space.lr=0.1"),
        (["continue", "a", "random-0", "lr=0.1", "lr=0.2"], "lr is given twice: lr=0.1 and lr=0.2"),
        (["enqueue", "a", "lr=0.1", "lr=0.2"], "lr is given twice: lr=0.1 and lr=0.2"),
        (["tag", "a", "papr", "--remove"], "refused: the sweep has no tag 'papr'"),
        (["tag", "a", "random-0", "x", "--remove"], "refused: random-0 has no tag 'x'"),
        (["note", "a", "random_0", "odd"], "refused: there is no trial 'random_0'; did you mean"),
        (["set", "a", "space.width="], "refused: space.width: expected a range such as"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_what_cannot_be_meant_is_refused_in_a_line(
    finished: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"raysweep: {reason}")
    assert not Inbox(finished).names()


def test_a_command_to_a_run_with_a_damaged_ledger_is_refused_in_a_line(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = finished / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"event":"started"', b'"event":"startex"', 1))
    for words in (["note", "a", "odd"], ["status", "a"], ["stop", "a", "random-0"]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert re.search(r"ledger.jsonl:\d+: the line is damaged", line)
    with pytest.raises(UserError, match="the line is damaged"):
        rs.load(finished).note("odd")
    assert not Inbox(finished).names()


def test_status_shows_what_waits_with_its_values_and_the_notes_on_trials(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        "set a space.lr=0.1..0.2",
        "set a parallel=3",
        "enqueue a lr=0.125 width=2",
        "continue a random-0 lr=0.15 epochs=3",
        "extend a trials=+2 epochs=4",
        "tag a random-1 odd",
        *(f"note a random-{i % 2} note-{i}" for i in range(7)),
    ):
        assert main(words.split()) == 0, words
    Inbox(finished).put(Command("stop", {"trial": "random-1", "now": True}))
    capsys.readouterr()
    assert main(["status", "a"]) == 0
    shown = capsys.readouterr().out.splitlines()
    ids = [command.id[:8] for command in Inbox(finished).waiting()]
    waits = [line.strip().rpartition(" (id ") for line in shown if " waits (id " in line]
    assert [end.removesuffix(")") for _, _, end in waits] == ids
    assert [text for text, _, _ in waits][:6] == [
        "set space.lr=0.1..0.2 waits",
        "set parallel=3 waits",
        "enqueue lr=0.125 width=2 waits",
        "continue random-0 epochs=3 lr=0.15 waits",
        "extend trials=+2 epochs=4 waits",
        "tag random-1 odd waits",
    ]
    assert waits[-1][0] == "stop random-1 --now waits"
    Path("epoch4").touch()
    assert main(["resume", "a", "--debug"]) == 0
    found = _status(capsys)
    assert found["parallel"] == 3
    assert found["waiting"] == []
    assert [note["text"] for note in found["trial_notes"]] == [f"note-{i}" for i in range(7)]
    assert {note["trial"] for note in found["trial_notes"]} == {"random-0", "random-1"}
    assert main(["status", "a"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if " note" in line] == [
        *(f"  note on random-{i % 2}: note-{i}" for i in range(2, 7)),
        "  and 2 earlier notes on trials",
    ]
    child = next(
        event["study"] + f"-{event['number']}"
        for event in ledger.read(finished)
        if "parent" in event.get("notes", {})
    )
    assert main(["show", "a", child]) == 0
    shown = capsys.readouterr().out.splitlines()
    (parent,) = (line for line in shown if line.startswith("  parent"))
    assert parent.split(maxsplit=1)[1] == "random-0, with whose checkpoint of epoch 2 it began"


def test_the_commands_of_the_page_are_accepted(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = "space: {lr: {float: [0.001, 1]}, batch_size: {ordinal: [32, 64]}}"
    (place / "train.py").write_text("def train(config, run):\n    run.report(loss=config['lr'])\n")
    head = FILE.partition("space:")[0].replace("trials: 2", "trials: 4")
    stories = [Story("random", [0.5], {"lr": 0.5, "batch_size": 32}, status="running")] * 4
    folder = write_run(place / "ray_results/cnn", stories)
    head = head.replace("train.py", str(place / "train.py")).replace("name: loss", "name: acc")
    (folder / "sweep.yaml").write_text(head + space)
    for line in COMMANDS.splitlines():
        assert main(shlex.split(line)[1:]) == 0, line
    assert "cnn is interrupted" in capsys.readouterr().out
    assert len(Inbox(folder).names()) == 5


def test_run_enqueues_the_configurations_of_a_file_before_its_own(place: Path) -> None:
    for epoch in (1, 2):
        Path(f"epoch{epoch}").touch()
    Path("best.yaml").write_text("lr: 0.25\nwidth: 8\n")
    assert run_it("--enqueue", "best.yaml") == 0
    assert list(rs.load("ray_results/a").trials["config/lr"]) == [0.25, 0.5]
    Path("best.yaml").write_text("- {lr: 0.125}\n")
    assert main(["run", "--resume", "a", "--debug", "--enqueue", "best.yaml"]) == 0
    assert list(rs.load("ray_results/a").trials["config/lr"]) == [0.25, 0.5, 0.125]


def test_a_mistake_in_what_a_file_enqueues_has_its_line(place: Path) -> None:
    (place / "s.yaml").write_text(FILE + "  - {lr: 3}\n")
    with pytest.raises(SpecificationError, match=r"s.yaml:12: enqueue: lr: expected a number from"):
        load_sweep("s.yaml")
    with pytest.raises(UserError, match="enqueue"):
        rs.Sweep(
            "train.py:train",
            {"x": rs.Float(0, 1)},
            "loss",
            {"trials": 1, "epochs": 1},
            enqueue=[{"y": 1}],
        )


def test_a_log_is_printed_without_what_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", [Story("random", [0.5])])
    (run / "logs").mkdir()
    (run / "logs/random-0.log").write_text("\x1b[31mred\n10%\r20%\r\nend\n")
    for more in ([], ["--follow"]):
        assert main(["logs", str(run), "random-0", *more]) == 0
        assert capsys.readouterr().out == "?[31mred\n10%\n20%\nend\n"
    (run / "logs/random-0.log").unlink()
    assert main(["logs", str(run), "random-0"]) == 2
    assert "random-0 has printed nothing" in capsys.readouterr().err


def test_the_logs_of_a_run_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    stories = [Story("random", [0.5]) for _ in range(33)]
    run = write_run(tmp_path / "run", [*stories, Story("random", [], status="failed")])
    (run / "logs").mkdir()
    assert main(["logs", str(run)]) == 2
    assert "has printed anything" in capsys.readouterr().err
    for number in (*range(32), 33):
        (run / f"logs/random-{number}.log").write_text(f"hello\nfrom {number}\x1b\n\n")
    (run / "logs/random-32.log").touch()
    (run / "logs/ray.log").write_text("of no trial")
    assert main(["logs", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["trial", "status", "log", "last", "line"]
    assert [line.split()[0] for line in lines[1:31]] == [
        f"random-{number}" for number in (*range(3, 32), 33)
    ]
    assert lines[1].split() == ["random-3", "completed", "15", "B", "from", "3?"]
    assert lines[31:] == ["and 3 earlier trials", f"to read one:  raysweep logs {run} random-33"]
    assert main(["logs", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[-1] == {"trial": "random-33", "status": "failed", "bytes": 16}
    assert main(["logs", str(run), "--follow"]) == 2
    assert "--follow: expected a trial" in capsys.readouterr().err


def test_rm_deletes_runs_alone_and_only_if_it_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [write_run(tmp_path / name, [Story("random", [0.5])]) for name in "ab"]
    (tmp_path / "other").mkdir()
    assert main(["rm", str(runs[0]), str(tmp_path / "other"), "--yes"]) == 2
    assert "other is not a run directory" in capsys.readouterr().err
    assert main(["rm", str(runs[0])]) == 2
    assert "nobody can be asked here: add --yes to delete" in capsys.readouterr().err
    assert runs[0].exists()
    assert main(["rm", *map(str, runs), "--yes"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_the_version_is_printed_and_the_help_lists_verbs_in_groups(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("raysweep ")
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert text.index("run a sweep:") < text.index("steer a sweep") < text.index("clusters:")
    assert "\nexamples:\n" in text


def test_commands_of_a_run_in_object_storage_wait_in_the_store(tmp_path: Path) -> None:
    from raysweep.results.storage import mirror
    from raysweep.results.storage.object_store import ObjectStore

    store = ObjectStore(f"file://{tmp_path}/runs/a")
    inbox = Inbox(mirror.create(store))
    first, second = Command("note", {"text": "a"}, time=1.0), Command("pause", time=2.0)
    for command in (second, first):
        inbox.put(command)
    store.write("commands/x.json", b"{")
    assert inbox.is_remote
    assert inbox.names() == [first.name, second.name, "x.json"]
    assert inbox.waiting() == [first, second]
    inbox.remove(first.name)
    inbox.set_aside("x.json")
    assert inbox.names() == [second.name]
    assert inbox.read(first.name) is None


def test_the_outcome_of_a_command_is_found_in_a_long_ledger(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [Story("random", [0.5] * 10)])
    event = {"event": "command", "id": "abc", "command": "note", "outcome": "applied"}
    with_events = ledger.Ledger(folder)
    with_events.append(event | {"arguments": {"text": "x"}, "reason": "noted"})
    for _ in range(4000):
        with_events.append({"event": "noted", "trial": "random-0", "notes": {"a": "b" * 50}})
    with_events.close()
    assert os.path.getsize(folder / "ledger.jsonl") > 2**18
    found = recorded(folder, "abc")
    assert found is not None
    assert found["reason"] == "noted"
    assert recorded(folder, "abd") is None
