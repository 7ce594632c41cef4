"""Whatever a worker sends, at most its own trial fails, and what is written can be read."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from raysweep.history import Status, Trial
from raysweep.results.storage.ledger import Ledger, decode, encode, read
from raysweep.results.storage.run_directory import RunDirectory, load
from raysweep.results.views import listing, terminal
from raysweep.results.views.html.page_data import page_data
from raysweep.results.views.html.report import _embedded, page
from raysweep.results.views.tensorboard import Writer
from raysweep.search_spaces.language.params import Choice
from raysweep.search_spaces.language.space import Space
from raysweep.text_limits import (
    MESSAGE_CHARACTERS,
    TRACEBACK_CHARACTERS,
    exception_line,
    format_exception,
)
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.run import Objective
from raysweep.tune.callbacks.recorder import EventRecorder
from raysweep.tune.callbacks.screen import Lines
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.messages import (
    DRIVERS_OWN,
    KEY,
    STATUSES,
    MessageError,
    Outcome,
    Report,
    parse,
)
from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.run_folders import RunFolder
from raysweep.tune.sweep import Budget
from tests.made_up import Story, write_run
from tests.sweeps import sweep
from tests.test_text_limits import ANY_TEXT, Hostile, chain, raised

EPOCHS = 3
HUGE = 10**5000
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Session:
    """A session without Ray: three trials of three epochs at once, without retries."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        write_run(folder, [], goal="minimize", epochs=EPOCHS, metric=LOSS)
        self.folder = folder
        fields: dict[str, Any] = {"retries": 0, "on_oom": ("skip",)}
        self.sweep = sweep(budget=Budget(trials=3, epochs=EPOCHS), **fields | changes)
        self.out = io.StringIO()
        self._ledger = Ledger(folder)
        self.recorder = EventRecorder(RunFolder(folder, self._ledger), self.sweep, Lines(self.out))
        self.controller = SweepController(self.sweep, self.recorder)
        self.coordinator = TrialCoordinator(self.controller, self._job, parallel=3)
        self.names = ["first", "second", "third"]
        for name in self.names:
            assert self.coordinator.next_job(name) is not None
            self.coordinator.started(name)

    def _job(self, trial: Trial) -> Job:
        objective = Objective("loss", maximize=False)
        return Job(trial.id, "x:train", trial.config, trial.seed, EPOCHS, objective, "trials")

    def trial(self, name: str) -> Trial:
        return list(self.controller.trials)[self.names.index(name)]

    def train(self, name: str, first: int = 1, last: int = EPOCHS) -> None:
        """Have a worker report as it should, until it is told to stop."""
        for epoch in range(first, last + 1):
            if not self.send(name, report(epoch)):
                return

    def send(self, name: str, *content: object) -> bool:
        return self.coordinator.heard(name, {KEY: list(content)})

    def close(self) -> None:
        self.recorder.close(self.controller)
        self._ledger.close()


LOSS = {"name": "loss", "goal": "minimize"}


def report(epoch: Any, /, **changes: Any) -> dict[str, Any]:
    """A message as a worker sends it."""
    notes = {"node": "here", "pid": 1, "device": "cpu", "peak_memory": 2**30}
    content = {"epoch": epoch, "metrics": {"loss": 0.5}, "seconds": 1.0, "notes": notes}
    return content | changes


def outcome(status: Any = "failed", **changes: Any) -> dict[str, Any]:
    content = {"status": status, "reason": "ValueError: x", "trace": "Traceback", "notes": {}}
    return {"outcome": content | changes}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = Session(tmp_path / "run")
    yield made
    made.close()


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_good_messages_are_what_they_say() -> None:
    found = parse({KEY: [report(2, metrics={"loss": 1, "nan": math.nan, "big": math.inf})]})
    assert isinstance(found, Report)
    assert (found.epoch, found.seconds, found.metrics["loss"]) == (2, 1.0, 1.0)
    assert found.notes["node"] == "here"
    found.check("loss", EPOCHS)
    ended = parse({KEY: [outcome("oom", notes={"test": {"loss": math.nan}})]})
    assert ended == Outcome("oom", "ValueError: x", "Traceback", {"test": {"loss": "NaN"}})
    assert parse({"done": True}) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "the message is None (NoneType), not a mapping"),
        ([1, 2], "the message is of type list, with 2 items, not a mapping"),
        (b"bytes", "the message is b'bytes' (bytes), not a mapping"),
        ({}, "it lacks epoch, metrics, seconds"),
        (report(1, epoch=1.5), "epoch is 1.5 (float), not a whole number from 1 on"),
        (report(1, epoch=True), "epoch is True (bool)"),
        (report(0), "epoch is 0 (int), not a whole number from 1 on"),
        (report(-HUGE), "epoch is of type int, not a whole number from 1 on"),
        (report(1, seconds=-1.0), "seconds is -1.0 (float), not a time"),
        (report(1, seconds=math.nan), "seconds is nan (float), not a time"),
        (report(1, seconds="1"), "seconds is '1' (str), not a number"),
        (report(1, metrics=[1]), "metrics is of type list, with 1 items, not a mapping"),
        (report(1, metrics={1: 1.0}), "the name of a metric is 1 (int), not a text"),
        (report(1, metrics={"loss": "low"}), "the metric 'loss' is 'low' (str), not a number"),
        (report(1, metrics={"loss": HUGE}), "the metric 'loss' is too large for a number"),
        (report(1, metrics={"\udcff": 1, "\\udcff": 1}), "two metrics are called '\\udcff'"),
        (report(1, notes="none"), "notes is 'none' (str), not a mapping"),
        (report(1, notes={1: 2}), "the name of a note in notes is 1 (int), not a text"),
        (report(1, notes={"a": [{1}]}), "notes.a[0] is {1} (set), which JSON cannot say"),
        (report(1, notes={"a": Hostile()}), "notes.a is of type Hostile, which JSON cannot say"),
        (report(1, notes={"a": HUGE}), "notes.a is a number too large to keep"),
        (report(1, notes={"a": nested(100_000)}), "is nested too deep"),
        (report(1, notes={"a": ["x" * 2000] * 1000}), "notes hold more than 1,048,576 bytes"),
        (report(1, notes={"node": 5}), "the note 'node' is 5 (int), not a text"),
        (report(1, notes={"peak_memory": "much"}), "'peak_memory' is 'much' (str), not an amount"),
        (report(1, notes={"memory_growth": math.nan}), "'memory_growth' is 'NaN' (str)"),
        (report(1, notes={"test": {"loss": "low"}}), "the metric 'loss' is 'low' (str)"),
        (
            outcome("best"),
            "status is 'best' (str), not one of alone, completed, failed, fails_again",
        ),
        (outcome(["failed"]), "status is of type list, with 1 items, not one of"),
        (outcome(reason=None), "reason is None (NoneType), not a text"),
        (outcome(trace=[]), "trace is of type list, with 0 items, not a text"),
        (outcome(notes=None), "notes is None (NoneType), not a mapping"),
        ({"outcome": None}, "the outcome is None (NoneType), not a mapping"),
        ({"outcome": {}}, "it lacks status, reason"),
        *[
            (report(1, notes={name: 1}), f"the note '{name}' is the driver's own")
            for name in DRIVERS_OWN
        ],
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_message_that_cannot_be_used_says_what_is_wrong(content: object, words: str) -> None:
    with pytest.raises(MessageError, match=re.escape(words)):
        parse({KEY: [content]})


@pytest.mark.parametrize("packed", [None, [], [report(1), report(2)], report(1), "text"], ids=str)
def test_a_result_holds_one_message(packed: object) -> None:
    with pytest.raises(MessageError, match="not a list of one message"):
        parse({KEY: packed})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (report(2, metrics={"accuracy": 1}), "'loss' was not reported; reported: accuracy"),
        (report(2, metrics={}), "the metric 'loss' was not reported; reported: nothing"),
        (report(EPOCHS + 1), "epoch 4 was reported; the last one is 3"),
        (report(HUGE), "epoch is of type int"),
        ("rubbish", "the message is 'rubbish' (str), not a mapping"),
    ],
    ids=["no objective", "no metric", "beyond the end", "huge", "rubbish"],
)
def test_it_fails_its_trial_and_the_others_go_on(
    session: Session, content: object, words: str
) -> None:
    session.train("first", last=1)
    assert not session.send("first", content)
    for name in ("second", "third"):
        session.train(name)
    assert session.trial("first").status is Status.FAILED
    assert "its worker sent a message that cannot be used: " in session.trial("first").reason
    assert words in session.trial("first").reason
    assert [session.trial(name).status for name in session.names[1:]] == [Status.COMPLETED] * 2


def test_a_message_that_cannot_be_used_is_tried_again_as_any_failure(tmp_path: Path) -> None:
    session = Session(tmp_path / "run", retries=1)
    session.send("first", "rubbish")
    trial = session.trial("first")
    assert (trial.status, trial.notes["failures"]) == (Status.WAITING, 1)
    session.close()


def test_an_epoch_that_was_reported_before_counts_once(session: Session) -> None:
    """As after a worker's loss: its successor goes on from an older checkpoint."""
    session.train("first", last=2)
    assert session.send("first", report(1, metrics={"loss": 7.0}))
    session.train("first", first=3)
    assert [one.epoch for one in session.trial("first").reports] == [1, 2, 3]
    assert session.trial("first").reports[0].loss == 0.5
    assert session.trial("first").status is Status.COMPLETED


def test_an_error_after_the_last_epoch_is_a_note_of_a_completed_trial(session: Session) -> None:
    for name in session.names:
        session.train(name)
    trace = 'Traceback\n  open("/nonexistent/plot.png", "w")\nFileNotFoundError: gone'
    assert not session.send("first", outcome(reason="FileNotFoundError: gone", trace=trace))
    trial = session.trial("first")
    assert trial.status is Status.COMPLETED
    assert trial.notes["afterwards"] == "after its last epoch: FileNotFoundError: gone"
    text = (session.folder / "trials" / trial.id / "error.txt").read_text(encoding="utf-8")
    assert "draw-0, after epoch 3: after its last epoch: FileNotFoundError: gone" in text
    assert 'open("/nonexistent/plot.png", "w")' in text
    assert "draw-0 after its last epoch: FileNotFoundError: gone\n" in session.out.getvalue()
    screen = Console(file=io.StringIO(), width=100)
    screen.print(terminal.show(load(session.folder), trial.id))
    assert "after its last epoch" in screen.file.getvalue()  # type: ignore[attr-defined]
    assert state(SweepController(session.sweep, past=read(session.folder))) == state(
        session.controller
    )


def test_what_cannot_be_used_after_the_last_epoch_is_a_note_too(session: Session) -> None:
    session.train("first")
    assert not session.send("first", None)
    assert session.trial("first").status is Status.COMPLETED
    assert "sent a message that cannot be used" in session.trial("first").notes["afterwards"]


def test_a_huge_message_is_kept_whole_once(session: Session) -> None:
    error = raised(RuntimeError("begin" + "x" * 3_000_000 + "end"))
    trace = format_exception(error)
    session.send("first", outcome(reason=exception_line(error), trace=trace))
    trial = session.trial("first")
    assert trial.reason.startswith("RuntimeError: begin")
    assert trial.reason.endswith("end")
    assert len(trial.reason) <= MESSAGE_CHARACTERS
    assert len(trial.notes["traceback"]) <= TRACEBACK_CHARACTERS
    session.recorder.close(session.controller)
    sizes = {
        str(path.relative_to(session.folder)): path.stat().st_size
        for path in session.folder.rglob("*")
        if path.is_file()
    }
    assert sizes.pop("trials/draw-0/error.txt") > 3_000_000
    assert max(sizes.values()) < 50_000
    assert len(session.out.getvalue()) < 5_000
    error_text = session.folder / "trials" / "draw-0" / "error.txt"
    assert error_text.read_text().count("begin") == 2  # in the reason, and in the traceback
    assert session.controller.traceback == ""


def test_a_sender_of_megabytes_more_is_cut(session: Session) -> None:
    session.send("first", outcome(reason="r" * 20_000_000, trace="t" * 20_000_000))
    text = session.folder / "trials" / "draw-0" / "error.txt"
    assert text.stat().st_size < 5_000_000


@pytest.mark.parametrize("words", ["bad \udcff", "red \x1b[31m \x07 bell", "a\0b\x9b", "\ud800"])
def test_text_that_no_file_takes_is_kept_in_another_form(tmp_path: Path, words: str) -> None:
    session = Session(tmp_path / "run")
    error = raised(RuntimeError(words))
    trace = format_exception(error)
    session.train("second")
    session.send("first", outcome(reason=exception_line(error), trace=trace))
    session.send("third", outcome(reason=f"RuntimeError: {words}", trace=f"Traceback\n{words}"))
    session.close()
    check_everything(session)
    assert session.trial("first").reason == session.trial("third").reason
    again = Ledger(session.folder)
    assert state(SweepController(session.sweep, past=again.past)) == state(session.controller)
    again.close()


@given(ANY_TEXT, ANY_TEXT)
def test_the_ledger_takes_any_text(key: str, value: str) -> None:
    event = {"event": "proposed", "config": {key: [value]}}
    found = decode(encode(event, 3).rstrip(b"\n"), 3)
    assert found["config"] == {paired(key): [paired(value)]}
    assert decode(encode(found, 3).rstrip(b"\n"), 3) == found


def paired(text: str) -> str:
    """The text, with two surrogates beside each other as the letter that they mean."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def test_a_configuration_is_the_same_in_the_next_session(tmp_path: Path) -> None:
    """A YAML file may hold such text by its escapes."""
    space = Space({"kind": Choice(("a\udcffb", "c\x1b[31m"))})
    session = Session(tmp_path / "run", space=space)
    for name in session.names:
        session.train(name)
    session.close()
    check_everything(session)
    again = SweepController(session.sweep, past=read(session.folder))
    assert [one.config for one in again.trials] == [one.config for one in session.controller.trials]
    assert all(one.config in space for one in again.trials)


ODD = ["", "a\rb", "\x1b[2J", 'quo"te,comma', "\udcff", "</script>", "seconds", "metric/seconds"]
ODD += ["config/x", "=1+1", "[bold]", "n" * 5000, "läuft/💥", "a\nb", "..", "/", "time", "epoch"]


def test_every_table_and_plot_takes_odd_names_and_odd_values(tmp_path: Path) -> None:
    """Names and values of a configuration are the user's too, and no worker's message."""
    session = Session(tmp_path / "run")
    session.train("second")
    metrics = {"loss": 0.5} | dict.fromkeys(ODD, 1e308)
    assert session.send("first", report(1, metrics=metrics))
    session.train("first", first=2)
    session.train("third")
    session.close()
    check_everything(session)
    columns = load(session.folder).curves.columns
    assert len(columns) == len(set(columns)) == 5 + len(metrics)
    config = {name: name for name in ODD} | {"huge": 10**400, "nested": {"a\x1b": [1, "\udcff"]}}
    odd = load(write_run(tmp_path / "odd", [Story("draw", [0.5], config, reason="a\x1bb")]))
    Writer(odd.path, "acc").close(odd.trial("draw-0"))
    check_tables(odd)


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, 1e308, -0.0, math.nan, math.inf, -math.inf, 1, 2, 3]),
    st.builds(lambda: HUGE),
    st.builds(lambda: -HUGE),
    st.floats(),
    ANY_TEXT,
    st.binary(max_size=5),
    st.builds(Hostile),
    st.sampled_from([object(), {1}, range(3), 1j, ODD[2], "x" * 100_000]),
)
ANYTHING = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(ANY_TEXT, st.integers(), st.none()), inner, max_size=4),
    ),
    max_leaves=8,
)
FIELDS = {"epoch": ANYTHING, "metrics": ANYTHING, "seconds": ANYTHING, "notes": ANYTHING}
METRICS = st.dictionaries(st.one_of(ANY_TEXT, st.sampled_from(ODD)), st.floats(), max_size=4)
NOTES = st.dictionaries(
    st.sampled_from(["node", "pid", "peak_memory", "test", "untested", *DRIVERS_OWN, "other"]),
    ANYTHING,
    max_size=3,
)
REPORTS = st.builds(
    lambda epoch, metrics, changes: report(epoch, metrics=metrics | {"loss": 0.5}) | changes,
    st.integers(-1, EPOCHS + 1),
    METRICS,
    st.one_of(
        st.just({}),
        st.fixed_dictionaries({"notes": NOTES}),
        *[st.fixed_dictionaries({name: value}) for name, value in FIELDS.items()],
    ),
)


@st.composite
def errors(draw: st.DrawFn) -> BaseException:
    """Exceptions of a user's: any text, chains, groups, and some that cannot be shown."""
    words = draw(ANY_TEXT)
    kinds: list[BaseException] = [
        raised(RuntimeError(words)),
        raised(KeyError(words, 1)),
        raised(OSError(2, words)),
        chain(30, words * 10),
        raised(ExceptionGroup("group", [ValueError(words)])),
        raised(Hostile()),
        raised(SystemExit(words)),
        raised(RuntimeError(words * 3000 + "end")),
    ]
    return draw(st.sampled_from(kinds))


OUTCOMES = st.builds(
    lambda status, error, changes: {
        "outcome": {
            "status": status,
            "reason": exception_line(error),
            "trace": format_exception(error),
            "notes": {},
        }
        | changes
    },
    st.sampled_from([name for name in STATUSES if name not in ("mistake", "storage")]),
    errors(),
    st.one_of(
        st.just({}),
        st.fixed_dictionaries({"notes": NOTES}),
        st.fixed_dictionaries({"reason": ANY_TEXT, "trace": ANY_TEXT}),
        *[
            st.fixed_dictionaries({name: ANYTHING})
            for name in ("status", "reason", "trace", "notes")
        ],
    ),
)
SENT = st.one_of(ANYTHING, REPORTS, OUTCOMES)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(SENT, st.integers(0, EPOCHS), st.booleans())
@example(outcome("completed", notes={"test": {"loss": math.nan}}), EPOCHS, True)
@example(report(3, metrics={"loss": -math.inf}), 2, True)
@example(outcome("alone"), 0, True)
def test_nothing_that_a_worker_sends_breaks_anything(
    sent: object, epochs: int, packed: bool
) -> None:
    """Sent after `epochs` good epochs of the first of three trials."""
    with TemporaryDirectory() as place:
        session = Session(Path(place) / "run")
        session.train("first", last=epochs)
        before = session.trial("first").status
        said = {KEY: [sent]} if packed else sent
        wrong = what_is_wrong(said)
        assert len(wrong) < MESSAGE_CHARACTERS
        session.coordinator.heard("first", said)
        assume(not session.controller.stopping)
        session.train("first", first=session.trial("first").epoch + 1)
        for name in ("second", "third"):
            session.train(name)
        session.close()
        trial = session.trial("first")
        killed = trial.status is Status.WAITING and trial.reason.startswith("retrying: ")
        assert trial.status.ended or killed
        if wrong and not before.ended:
            assert trial.status is Status.FAILED
            assert wrong in trial.reason
        elif wrong:
            assert wrong in trial.notes["afterwards"]
        assert {session.trial(name).status for name in session.names[1:]} == {Status.COMPLETED}
        check_everything(session)


def what_is_wrong(said: object) -> str:
    """Why the driver cannot use it; "" if it can."""
    try:
        found = parse(said)
        if isinstance(found, Report):
            found.check("loss", EPOCHS)
    except MessageError as error:
        return str(error)
    return ""


def check_everything(session: Session) -> None:
    """What was printed and written is safe, and the next session begins as this one ended."""
    assert not CONTROL.search(session.out.getvalue())
    for path in session.folder.glob("trials/*/error.txt"):
        assert not CONTROL.search(path.read_text(encoding="utf-8"))
    assert state(SweepController(session.sweep, past=read(session.folder))) == state(
        session.controller
    )
    check_tables(load(session.folder))


def check_tables(run: RunDirectory) -> None:
    """The tables, the page and what the commands print of a run."""
    from raysweep.results.storage.tables import write_tables

    trials = [trial for history in run.histories.values() for trial in history]
    write_tables(run.path, run.histories, run.metric)
    for name, count in (("trials.csv", len(trials)), ("curves.csv", len(run.curves))):
        text = (run.path / name).read_text(encoding="utf-8")
        assert not CONTROL.search(text)
        assert len(list(csv.DictReader(io.StringIO(text)))) == count
    assert len(run.trials) == len(trials)
    screen = Console(file=io.StringIO(), width=200)
    screen.print(terminal.summary(run.histories, run.metric), listing.runs([run.path]))
    screen.print(listing.trials(run, width=200), terminal.best(run))
    for trial in trials:
        screen.print(terminal.show(run, trial.id))
    assert not CONTROL.search(screen.file.getvalue())  # type: ignore[attr-defined]
    assert json.loads(_embedded(page_data(run)))["trials"]["id"] == [one.id for one in trials]


def test_the_page_is_written_whatever_is_in_it(tmp_path: Path) -> None:
    session = Session(tmp_path / "run")
    session.train("second")
    session.send("first", outcome(reason="</script> \udcff \x1b \u2028", trace="\ud800"))
    session.close()
    text = page(load(session.folder))
    assert "</script> " not in text.partition('type="application/json"')[2].partition("</s")[0]
    assert text.encode()


def state(controller: SweepController) -> list[str]:
    """All that is known of the trials of a loop; as text, for a NaN is not itself."""
    return [
        repr((one.id, one.status, one.reason, one.attempts, one.reports, sorted(one.notes.items())))
        for one in controller.trials
    ]
