"""Taking back a command that waits: it is carried out once or never, and the answer says which."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import raysweep as rs
from raysweep.errors import UserError
from raysweep.results.storage import ledger, mirror
from raysweep.results.storage.inbox import WITHDRAW, Command, CommandError, Inbox, withdrawal
from raysweep.results.storage.run_directory import RunDirectory, load
from raysweep.tune import steer
from raysweep.tune.cli.app import main
from tests.sweeps import sweep
from tests.test_commands import Person, Session


def train(config: dict[str, Any], run: rs.Run) -> None:
    for epoch in run.epochs():
        run.report(loss=config["x"] / epoch)


@pytest.fixture
def run(tmp_path: Path) -> rs.results.run.Run:
    """A finished run of two trials."""
    made = rs.Sweep(
        "tests.test_withdrawing:train",
        metric={"name": "loss", "goal": "minimize"},
        space={"x": rs.Float(0, 1)},
        budget={"trials": 2, "epochs": 2},
        searcher="random",
        scheduler="none",
    )
    return made.run(executor="debug", quiet=True, storage=tmp_path, name="a")


def resumed(run: rs.results.run.Run) -> list[str]:
    """The commands that the next session carried out."""
    before = len(ledger.read(run.path))
    assert main(["resume", str(run.path), "--debug"]) == 0
    events = ledger.read(run.path)[before:]
    return [event["command"] for event in events if event["event"] == "command"]


def test_a_waiting_command_is_withdrawn_and_never_carried_out(
    run: rs.results.run.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, gone = run.extend(trials="+1"), run.enqueue({"x": 0.5})
    capsys.readouterr()
    assert main(["withdraw", str(run.path), gone.id[:8]]) == 0
    assert capsys.readouterr().out == "withdrawn: enqueue x=0.5\n"
    assert [command.id for command in Inbox(run.path).waiting()] == [kept.id]
    for beginning in (gone.id, gone.id[:8]):
        with pytest.raises(UserError, match="it was withdrawn already, and is never carried out"):
            run.withdraw(beginning)
    assert resumed(run) == ["extend"]
    assert 0.5 not in list(rs.load(run.path).trials["config/x"])
    assert main(["withdraw", str(run.path), kept.id, "--json"]) == 2
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["text"].startswith("too late, it was applied: ")
    with pytest.raises(UserError, match="too late, it was applied: "):
        run.withdraw(kept.id[:8])
    with pytest.raises(UserError, match="it was withdrawn already"):
        run.withdraw(gone.id[:8])


def test_what_does_not_wait_is_refused_with_what_does(run: rs.results.run.Run) -> None:
    with pytest.raises(UserError, match=r"^'zz': no such command waits$"):
        run.withdraw("zz")
    answer = run.note("a note")
    with pytest.raises(UserError) as caught:
        run.withdraw("")
    assert str(caught.value).splitlines()[1:] == [f"  {answer.id}  note 'a note'"]
    for letter in "ab":
        Inbox(run.path).put(Command("note", {"text": letter}, id=f"{'z' * 9}{letter}"))
    with pytest.raises(UserError, match="several commands have an id that begins so"):
        run.withdraw("zzz")
    assert run.withdraw("zzzzzzzzza").text == "withdrawn: note 'a'"


STEPS = ("waiting", "put", "is_locked", "recorded", "remove")
"""What a withdrawal does to a run, in words of the code."""


def between(
    monkeypatch: pytest.MonkeyPatch, place: tuple[str, int], happen: Callable[[], object]
) -> list[str]:
    """Let something happen before the n-th step of a kind; returns a list of those taken."""
    taken: list[str] = []
    is_happening: list[bool] = []

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **more: Any) -> Any:
            if is_happening:  # these are steps of what happens
                return function(*arguments, **more)
            taken.append(name)
            if name == place[0] and taken.count(name) == place[1] + 1:
                is_happening.append(True)
                happen()
                is_happening.clear()
            return function(*arguments, **more)

        return step

    for name in STEPS:
        where: Any = {"is_locked": mirror, "recorded": steer}.get(name, Inbox)
        monkeypatch.setattr(where, name, watched(name, getattr(where, name)))
    return taken


@pytest.mark.parametrize(
    "place",
    [
        ("waiting", 0),
        ("put", 0),
        ("is_locked", 0),
        ("recorded", 0),
        *(("remove", i) for i in (0, 1)),
    ],
)
def test_a_session_between_two_steps_carries_it_out_or_it_is_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[str, int]
) -> None:
    session = Session(tmp_path / "run", sweep())
    Inbox(session.folder).put(Command("note", {"text": "so"}, id="n"))
    ledger.Ledger(session.folder).close()
    with monkeypatch.context() as patched:
        taken = between(patched, place, lambda: session.run(Person(session.folder, {})))
        told = outcome(session.folder, "n")
    assert place[0] in taken
    assert taken.count(place[0]) > place[1]
    assert_it_is_as_told(session, told)
    assert told == (place in (("waiting", 0), ("put", 0)))


@pytest.mark.parametrize("step", range(3))
def test_a_session_that_works_meanwhile_decides(tmp_path: Path, step: int) -> None:
    """The command is given, then withdrawn before, while or after the session reads it."""
    session = Session(tmp_path / "run", sweep())
    note, gone = Command("note", {"text": "so"}, id="n"), withdrawal("n")
    orders = [[gone, note], [note, gone], [note]][step]
    late = {("draw-0", 1): orders[:1], ("draw-1", 1): orders[1:] or [gone]}
    together = {("draw-0", 1): orders}
    found = session.run(Person(session.folder, late if step else together))
    assert found is not None
    events = {event["command"]: event for event in commands(session.folder)}
    assert events[WITHDRAW]["outcome"] == ("refused" if step else "applied")
    assert ("note" in events) == bool(step)
    assert [one.text for one in found.steering.notes] == ["so"] * bool(step)
    assert Inbox(session.folder).names() == []


@pytest.mark.parametrize("after", [False, True])
def test_a_withdrawal_counts_though_its_session_is_killed(tmp_path: Path, after: bool) -> None:
    session = Session(tmp_path / "run", sweep())
    for one in (Command("note", {"text": "so"}, id="n"), withdrawal("n")):
        Inbox(session.folder).put(one)
    # The first event is that the session begins, the second one is the withdrawal.
    assert session.run(Person(session.folder, {}), lambda: (2, after)) is None
    assert len(commands(session.folder)) == after
    found = session.run(Person(session.folder, {}))
    assert found is not None
    assert [event["command"] for event in commands(session.folder)] == [WITHDRAW]
    assert found.steering.notes == []
    assert Inbox(session.folder).names() == []


def test_withdrawals_race_with_sessions(tmp_path: Path) -> None:
    """Whatever comes first, the answer is what happened."""
    for index in range(12):
        session = Session(tmp_path / f"run{index}", sweep())
        Inbox(session.folder).put(Command("note", {"text": "so"}, id="n"))
        ledger.Ledger(session.folder).close()
        start = threading.Barrier(2)

        def work(session: Session = session, start: threading.Barrier = start) -> None:
            start.wait()
            session.run(Person(session.folder, {}))

        thread = threading.Thread(target=work)
        thread.start()
        start.wait()
        time.sleep(0.003 * (index % 4))
        try:
            told = outcome(session.folder, "n")
        finally:
            thread.join()
        assert_it_is_as_told(session, told)


def outcome(folder: Path, command: str) -> bool:
    """True if a withdrawal is told that it came too late, False if it is told that it counts."""
    try:
        answer = steer.withdraw(RunDirectory(folder), command, wait=20.0)
    except CommandError as error:
        if str(error) != "too late, it was applied: noted":
            raise
        return True
    assert (answer.outcome, answer.text) == ("applied", "withdrawn: note 'so'")
    return False


def assert_it_is_as_told(session: Session, was_carried_out: bool) -> None:
    """Also after another session: once if it was carried out, else never."""
    session.run(Person(session.folder, {}))
    notes = [event for event in commands(session.folder) if event["command"] == "note"]
    assert len(notes) == was_carried_out
    assert Inbox(session.folder).names() == []


def commands(folder: Path) -> list[dict[str, Any]]:
    return [event for event in ledger.read(folder) if event["event"] == "command"]


def test_a_command_that_is_withdrawn_meanwhile_says_so(
    run: rs.results.run.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its giver waits for an answer of a session that does not look into the inbox."""
    held = ledger.Ledger(run.path)
    put = Inbox.put

    def put_and_lose(inbox: Inbox, command: Command) -> None:
        put(inbox, command)
        inbox.remove(command.name)

    monkeypatch.setattr(Inbox, "put", put_and_lose)
    try:
        with pytest.raises(UserError, match="it was withdrawn before a session carried it out"):
            run.note("so")
    finally:
        held.close()


def test_a_session_that_does_not_answer_leaves_it_open(
    run: rs.results.run.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = run.note("so")
    held = ledger.Ledger(run.path)
    try:
        answer = steer.withdraw(load(run.path), note.id, wait=0.0)
    finally:
        held.close()
    assert (answer.outcome, answer.text.partition(";")[0]) == (
        "waiting",
        "the session has not answered yet",
    )
    assert resumed(run) == [WITHDRAW]
    assert rs.load(run.path).notes == []
