"""Searchers, schedulers and callbacks outside of raysweep: found, checked, run, resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import ComponentError
from raysweep.finder import file_module
from raysweep.history import Config
from raysweep.results.storage.run_directory import load
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.testing import check_scheduler, check_searcher
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.load import load_sweep
from raysweep.tune.run_folders import write_sweep
from tests.sweeps import Keep, sweep

FOLLOWER = '''\
from dataclasses import dataclass


@dataclass
class Follower:
    """Appends a line for each event to a file."""

    file: str = ""

    def on_event(self, event, controller):
        with open(self.file, "a") as out:
            out.write(f"{event['event']} {event.get('trial')}\\n")

    def on_tick(self, controller):
        pass

    def close(self, controller):
        pass
'''
PLUGINS = '''\
"""A searcher and a scheduler of a user's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from raysweep.schedulers.base import CONTINUE, Decision
from beside import SHRINKS


@dataclass(frozen=True)
class Annealing:
    """Moves from the best trial so far, by less and less."""

    temperature: Annotated[float, Gt(0)] = 1.0

    def suggest(self, space, history, seed):
        rng = np.random.default_rng([seed, len(history)])
        if history.best is None:
            return space.sample(rng)
        centre = np.nan_to_num(space.to_unit(history.best[0].config), nan=0.5)
        width = self.temperature * SHRINKS ** len(history)
        for _ in range(100):
            config = space.from_unit(np.clip(rng.normal(centre, width), 0.0, 1.0))
            if space.allows(config):
                return config
        return space.sample(rng)


@dataclass(frozen=True)
class Threshold:
    """Stops a trial at epoch 1 if it is worse than the best by more than a margin."""

    margin: Annotated[float, Gt(0)] = 0.5
    promotes: ClassVar[bool] = False

    def levels(self, epochs):
        return tuple(sorted({1, epochs}))

    def decide(self, trial, history, *_):
        worse = min(history.rungs[1].losses) + self.margin < trial.loss
        if trial.epoch == 1 and history.levels[-1] > 1 and worse:
            return Decision(True, "epoch 1: behind the best")
        return CONTINUE

    def promote(self, history, *_, budget_exhausted):
        return None


@dataclass(frozen=True)
class Broken:
    def suggest(self, space, history, seed):
        raise KeyError("temperature")


class Plain:
    def suggest(self, space, history, seed):
        return None


@dataclass(frozen=True)
class Mute:
    width: int = 3
'''
TRAIN = """\
import time


def train(config, run):
    for epoch in run.epochs():
        time.sleep(0.1)
        run.report(loss=(config["x"] - 0.3) ** 2 + 1 / epoch)
"""
SWEEP = """\
trainable: train.py:train
metric: {name: loss, goal: minimize}
searcher: {name: "plugins_of_mine.py:Annealing", temperature: 2}
scheduler: {name: "plugins_of_mine.py:Threshold", margin: 0.1}
budget: {trials: 12, epochs: 3}
parallel: 2
space:
  x: {float: [0, 1]}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a sweep and the plug-ins that it names; the current folder is another one."""
    place = tmp_path / "project"
    place.mkdir()
    (place / "plugins_of_mine.py").write_text(PLUGINS)
    (place / "beside.py").write_text("SHRINKS = 0.9\n")
    (place / "train.py").write_text(TRAIN)
    (place / "s.yaml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield place
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name in ("beside", "plugins_of_mine") or name.startswith("raysweep.file_"):
            del sys.modules[name]


def curve(config: Config, seed: int) -> Iterator[Epoch]:
    for epoch in range(1, 4):
        yield {"loss": (config["x"] - 0.3) ** 2 + 1 / epoch}, 1.0


def mistake(place: Path, *overrides: str) -> str:
    with pytest.raises(SpecificationError) as error:
        load_sweep(str(place / "s.yaml"), overrides)
    text = str(error.value)
    assert "\n" not in text
    return text


def configs(controller: SweepController) -> list[Config]:
    return [trial.config for trial in controller.trials]


def test_a_file_beside_the_specification_gives_a_searcher_and_a_scheduler(place: Path) -> None:
    sweep = load_sweep(str(place / "s.yaml"))
    searcher: Any = sweep.searchers["annealing"]
    scheduler: Any = sweep.scheduler
    assert list(sweep.searchers) == ["annealing"]
    assert (searcher.temperature, scheduler.margin) == (2.0, 0.1)
    keep = Keep()
    controller = simulate(sweep, curve, 2, keep)
    assert len(configs(controller)) == 12
    reasons = {event["reason"] for event in keep.events if event["event"] == "ended"}
    assert "epoch 1: behind the best" in reasons
    half = keep.events[: len(keep.events) // 2]
    alone = Keep()
    whole = configs(simulate(sweep, curve, 1, alone))
    half = alone.events[: len(alone.events) // 2]
    assert configs(simulate(load_sweep(str(place / "s.yaml")), curve, 1, past=half)) == whole


def test_the_resolved_file_names_it_by_an_absolute_path_and_reads_back(
    place: Path, tmp_path: Path
) -> None:
    sweep = load_sweep(str(place / "s.yaml"))
    file = (place / "plugins_of_mine.py").resolve()
    assert sweep.resolved["searcher"] == [{"name": f"{file}:Annealing", "temperature": 2.0}]
    assert sweep.resolved["scheduler"] == {"name": f"{file}:Threshold", "margin": 0.1}
    write_sweep(tmp_path / "run", sweep)
    assert load_sweep(str(tmp_path / "run" / "sweep.yaml")) == sweep


def test_a_module_gives_a_searcher_and_a_scheduler(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(place))
    sweep = load_sweep(
        str(place / "s.yaml"),
        ["searcher=[random, 'plugins_of_mine:Annealing']", "scheduler=plugins_of_mine:Threshold"],
    )
    assert list(sweep.searchers) == ["random", "annealing"]
    assert sweep.resolved["scheduler"]["name"] == "plugins_of_mine:Threshold"
    assert len(configs(simulate(sweep, curve, 2))) == 24


def test_a_module_is_found_in_the_current_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in ("", str(place))])
    sweep = load_sweep("s.yaml", ["searcher=plugins_of_mine:Annealing"])
    assert list(sweep.searchers) == ["annealing"]


def test_an_installed_package_registers_short_names(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = place / "annealing-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: annealing\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[raysweep.searchers]\nanneal = plugins_of_mine:Annealing\n"
        "missing = plugins_of_mine:Nothing\n"
        "[raysweep.schedulers]\nthreshold = plugins_of_mine:Threshold\n"
    )
    monkeypatch.syspath_prepend(str(place))
    sweep = load_sweep(
        str(place / "s.yaml"),
        ["searcher={name: anneal, temperature: 3}", "scheduler=threshold"],
    )
    assert sweep.resolved["searcher"] == [{"name": "anneal", "temperature": 3.0}]
    assert list(sweep.searchers) == ["anneal"]
    assert len(configs(simulate(sweep, curve, 2))) == 12
    assert mistake(place, "searcher=aneal").endswith("; did you mean 'anneal'?")
    assert "searcher missing (plugins_of_mine:Nothing) does not import" in mistake(
        place, "searcher=missing"
    )


def test_python_passes_an_object(place: Path) -> None:
    (searcher,) = load_sweep(str(place / "s.yaml")).searchers.values()
    assert len(configs(simulate(sweep({"mine": searcher}), curve, 1))) == 4


def test_it_passes_the_contracts(place: Path) -> None:
    sweep = load_sweep(str(place / "s.yaml"))
    (searcher,) = sweep.searchers.values()
    assert type(searcher).__module__ == file_module((place / "plugins_of_mine.py").resolve())
    check_searcher(type(searcher), {"temperature": 0.5})
    check_scheduler(type(sweep.scheduler))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "searcher=plugins_of_mine.py:Anealing",
            "there is no class 'Anealing' in {place}/plugins_of_mine.py; did you mean 'Annealing'?",
        ),
        (
            "searcher=elsewhere.py:Annealing",
            "there is no file 'elsewhere.py' beside the specification, nor in the current folder",
        ),
        ("searcher=no_such_module:A", "does not import: ModuleNotFoundError: No module named"),
        (
            "searcher='plugins_of_mine.py:'",
            "expected package.module:Class or path/to/file.py:Class",
        ),
        ("searcher=plugins_of_mine.py:Plain", "expected a dataclass, whose fields are the options"),
        ("searcher=plugins_of_mine.py:Mute", "the class has no method 'suggest'"),
        (
            "searcher={name: 'plugins_of_mine.py:Annealing', temprature: 2}",
            "unknown key 'temprature' in searcher plugins_of_mine.py:Annealing; "
            "did you mean 'temperature'?",
        ),
        (
            "searcher={name: 'plugins_of_mine.py:Annealing', temperature: hot}",
            "searcher plugins_of_mine.py:Annealing: temperature: expected",
        ),
        (
            "searcher={name: 'plugins_of_mine.py:Annealing', temperature: 0}",
            "temperature: expected more than 0",
        ),
        ("scheduler=plugins_of_mine.py:Annealing", "the class has no method 'levels'"),
        ("searcher=anealing", "unknown searcher 'anealing'; expected one of auto, bohb, grid"),
        ("searcher=grdi", "did you mean 'grid'?"),
        (
            "searcher={name: optuna, sampler: TPE}",
            "searcher optuna: sampler: expected",
        ),
        (
            "searcher={name: optuna, options: {seed: 3}}",
            "searcher optuna: TPESampler has no option 'seed'; expected one of",
        ),
        (
            "searcher={name: optuna, sampler: NSGAIISampler, options: {population_size: 1}}",
            "NSGAIISampler: `population_size` must be greater than or equal to 2.",
        ),
        (
            "searcher={name: optuna, sampler: CmaEsSampler}",
            "CmaEsSampler needs two parameters or more; the space has one",
        ),
    ],
)
def test_a_mistake_is_one_line(place: Path, override: str, message: str) -> None:
    assert message.format(place=place.resolve()) in mistake(place, override)


def test_a_file_that_does_not_import_is_named_with_the_reason(place: Path) -> None:
    (place / "plugins_of_mine.py").write_text("def suggest(:\n")
    line = mistake(place)
    assert "searcher 'plugins_of_mine.py:Annealing' does not import: SyntaxError" in line


def test_a_searcher_that_raises_ends_the_sweep_with_its_name(place: Path) -> None:
    broken = load_sweep(str(place / "s.yaml"), ["searcher=plugins_of_mine.py:Broken"])
    with pytest.raises(
        ComponentError, match=r"the searcher broken raised while proposing broken-0: KeyError"
    ):
        simulate(broken, curve, 1)


def test_without_optuna_the_package_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysweep.tune.searchers.optuna.find_spec", lambda name: None)
    assert mistake(place, "searcher=optuna").endswith(
        "searcher optuna: Optuna is not installed; pip install 'raysweep[optuna]'"
    )


def reported(folder: Path) -> int:
    """The number of reports in a ledger, however far it is written."""
    path = folder / "ledger.jsonl"
    return path.read_text().count('"reported"') if path.exists() else 0


@pytest.mark.ray
@pytest.mark.examples
def test_it_runs_on_ray_and_resumes_after_the_driver_was_killed(place: Path) -> None:
    """Two sessions, the first of them killed, propose what one session proposes."""
    command = [sys.executable, "-m", "raysweep", "run", "--space", str(place / "s.yaml")]
    command += ["--storage", str(place / "runs"), "--set", "parallel=1"]
    (place / "follower.py").write_text(FOLLOWER)
    heard = place / "heard"
    callback = json.dumps([{"name": f"{place}/follower.py:Follower", "file": str(heard)}])
    command += ["--set", f"callbacks={callback}"]
    run = place / "runs" / "killed"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    first = subprocess.Popen(
        [*command, "--name", "killed"], cwd=place.parent, env=environment, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while reported(run) < 8 and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert first.poll() is None, "the first session ended before it was killed"
        in_first = len(heard.read_text().splitlines())
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    assert 8 <= reported(run) < 36
    resume = [sys.executable, "-m", "raysweep", "run", "--resume", str(run)]
    subprocess.run(resume, cwd=place.parent, env=environment, check=True, timeout=240)
    trials: list[Any] = [trial for history in load(run).histories.values() for trial in history]
    expected = simulate(load_sweep(str(place / "s.yaml"), ["parallel=1"]), curve, 1)
    assert json.dumps([trial.config for trial in trials]) == json.dumps(configs(expected))
    assert all(trial.status.succeeded for trial in trials)
    # Between the ledger and the callback the kill may cost the callback the events of one report.
    ended = [line for line in heard.read_text().splitlines() if line.startswith("ended")]
    assert in_first > 8
    assert len(trials) - 1 <= len(ended) == len(set(ended)) <= len(trials)
