"""Callbacks outside of raysweep are found, get every event, and are harmless if they raise."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import raysweep as rs
from raysweep.results.storage import ledger
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.tune.cli.app import main
from raysweep.tune.load import load_sweep
from raysweep.tune.run_folders import check_unchanged, write_sweep
from tests import trainables

CALLBACKS = '''\
"""Callbacks of a user's own."""

import json
from dataclasses import dataclass, field

from raysweep.tune.callbacks.base import Callback


@dataclass
class Notebook:
    """Keeps a line for each event in a file; has no method but the one that it needs."""

    path: str = "events.txt"

    def on_event(self, event, controller):
        with open(self.path, "a") as file:
            file.write(json.dumps(event["event"]) + "\\n")


@dataclass
class Patience(Callback):
    """Ends the sweep after so many trials."""

    trials: int = 3
    _ended: int = field(default=0, init=False)

    def on_event(self, event, controller):
        if event["event"] == "ended":
            self._ended += 1
            best = controller.trial(event["trial"]).best
            if self._ended == self.trials:
                controller.stop(f"{self._ended} trials have ended, the last with {best.loss:.3f}")


@dataclass
class Vandal(Callback):
    """Changes the events that it is told of, and then its methods raise."""

    method: str = "on_event"

    def on_event(self, event, controller):
        event.get("config", {}).clear()
        event.get("notes", {}).clear()
        if self.method == "on_event":
            raise KeyError("no such channel")

    def on_tick(self, controller):
        if self.method == "on_tick":
            json.loads("{")

    def close(self, controller):
        if self.method == "close":
            raise SystemExit(7)


class NoDataclass:
    def on_event(self, event, controller): ...


@dataclass
class NoEvents:
    width: int = 3
'''
TRAIN = """\
def train(config, run):
    for epoch in run.epochs():
        run.report(loss=(config["x"] - 0.3) ** 2 + 1 / epoch)
"""
SWEEP = """\
trainable: train.py:train
metric: {name: loss, goal: minimize}
searcher: random
scheduler: none
budget: {trials: 5, epochs: 2}
callbacks: ["mine.py:Notebook"]
space:
  x: {float: [0, 1]}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "mine.py").write_text(CALLBACKS)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "s.yaml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name == "mine" or name.startswith("raysweep.file_"):
            del sys.modules[name]


def run_it(*settings: str) -> int:
    overrides = [word for setting in settings for word in ("--set", setting)]
    return main(["run", "--space", "s.yaml", "--name", "a", "--debug", *overrides])


def test_it_is_told_of_every_event_of_the_ledger(place: Path) -> None:
    assert run_it() == 0
    told = [json.loads(line) for line in (place / "events.txt").read_text().splitlines()]
    written = [event["event"] for event in ledger.read(place / "ray_results/a")]
    assert told == [kind for kind in written if kind not in ("opened", "code", "closed")]
    assert told.count("reported") == 10


def test_it_has_options_and_may_end_the_sweep(place: Path) -> None:
    assert run_it("callbacks=[{name: 'mine.py:Patience', trials: 2}, 'mine.py:Notebook']") == 0
    run = rs.load("ray_results/a")
    assert len(run.trials) == 2
    last = ledger.read(place / "ray_results/a")[-1]
    assert last["reason"].startswith("2 trials have ended, the last with ")
    assert (place / "events.txt").read_text().count("ended") == 2


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("on_event", "KeyError: 'no such channel'"),
        ("on_tick", "JSONDecodeError: Expecting property name"),
        ("close", "SystemExit: 7"),
    ],
)
def test_one_that_raises_is_named_in_one_line_and_the_sweep_is_what_it_would_be(
    place: Path, capsys: pytest.CaptureFixture[str], method: str, reason: str
) -> None:
    assert run_it(f"callbacks=[{{name: 'mine.py:Vandal', method: {method}}}]") == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "Vandal" in line]
    assert f"the callback Vandal is left out from here on, because it raised {reason}" in line
    assert "(mine.py, line " in line
    run = rs.load("ray_results/a")
    assert list(run.trials["status"]) == ["completed"] * 5
    assert main(["run", "--space", "s.yaml", "--name", "b", "--debug"]) == 0
    assert run.curves["loss"].equals(rs.load("ray_results/b").curves["loss"])
    assert run.best.config == rs.load("ray_results/b").best.config


def test_each_session_makes_it_anew(place: Path) -> None:
    """Two sweeps of one object count from zero, each."""
    sweep = rs.Sweep.from_yaml("s.yaml", ["callbacks=['mine.py:Patience']"])
    for name in ("one", "two"):
        assert len(sweep.run(name=name, executor="debug", quiet=True).trials) == 3


def test_the_resolved_file_names_it_and_a_resumed_run_may_have_others(place: Path) -> None:
    sweep = load_sweep("s.yaml")
    assert sweep.resolved["callbacks"] == [
        {"name": f"{place.resolve()}/mine.py:Notebook", "path": "events.txt"}
    ]
    write_sweep(place / "run", sweep)
    assert load_sweep(str(place / "run/sweep.yaml")) == sweep
    check_unchanged(place / "run", load_sweep("s.yaml", ["callbacks=[]"]))


def test_an_installed_package_registers_a_short_name(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = place / "mine-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[raysweep.callbacks]\npatience = mine:Patience\n")
    monkeypatch.syspath_prepend(str(place))
    sweep = load_sweep("s.yaml", ["callbacks=[{name: patience, trials: 4}]"])
    assert sweep.resolved["callbacks"] == [{"name": "patience", "trials": 4}]


@dataclass
class Counting:
    """A callback of this very file."""

    path: str

    def on_event(self, event: dict[str, Any], controller: Any) -> None:
        with open(self.path, "a") as file:
            file.write(".")


def test_from_python_it_may_be_an_object(tmp_path: Path) -> None:
    sweep = rs.Sweep(
        trainables.bowl,
        {"x": rs.Float(0, 1)},
        "loss",
        {"trials": 1, "epochs": 1},
        callbacks=[Counting(str(tmp_path / "dots"))],
    )
    sweep.run(storage=tmp_path, executor="debug", quiet=True)
    assert (tmp_path / "dots").read_text() == "...."  # proposed, started, reported, ended


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("callbacks=['mine.py:Notbook']", "there is no class 'Notbook' in"),
        ("callbacks=['nowhere.py:A']", "there is no file 'nowhere.py' beside the specification"),
        (
            "callbacks=['mine.py:NoDataclass']",
            "callback 'mine.py:NoDataclass': expected a dataclass",
        ),
        ("callbacks=['mine.py:NoEvents']", "the class has no method 'on_event'"),
        ("callbacks=[slack]", "callback 'slack': expected package.module:Class or path/to/file.py"),
        ("callbacks=[{name: 'mine.py:Patience', trails: 2}]", "did you mean 'trials'?"),
        ("callbacks=[{name: 'mine.py:Patience', trials: few}]", "trials: expected a whole number"),
        ("callbacks='mine.py:Notebook'", "callbacks: expected a list"),
    ],
)
def test_a_mistake_is_one_line(place: Path, override: str, message: str) -> None:
    with pytest.raises(SpecificationError) as raised:
        load_sweep("s.yaml", [override])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_run_is_reproduced_without_its_callbacks(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_it() == 0
    (place / "mine.py").unlink()
    (place / "events.txt").unlink()
    assert main(["reproduce", "ray_results/a", "random-0"]) == 0
    assert not (place / "events.txt").exists()


@pytest.mark.examples
@pytest.mark.ray
def test_it_follows_a_sweep_on_ray(place: Path, ray_here: Any) -> None:
    assert main(["run", "--space", "s.yaml", "--name", "a", "--set", "parallel=2"]) == 0
    assert (place / "events.txt").read_text().count("reported") == 10
