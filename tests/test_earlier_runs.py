"""What `auto` takes from earlier runs: what matches, first configurations, the guard, resuming."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raysweep as rs
from raysweep.errors import UserError
from raysweep.history import Config, Event, History, Report, Status, Trial
from raysweep.results.analysis import earlier_runs
from raysweep.results.analysis.compare import compare
from raysweep.results.analysis.findings import findings
from raysweep.results.storage import ledger, mirror
from raysweep.results.storage.object_ledger import StoredLedger
from raysweep.results.storage.object_store import ObjectStore
from raysweep.results.storage.old_versions import translate_sweep
from raysweep.results.storage.run_directory import SWEEP, load
from raysweep.results.storage.tables import trial_row
from raysweep.schedulers import Asha, NoStopping
from raysweep.schedulers.remembered import LEAST_OTHERS, leads
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal, RangeOrValues
from raysweep.search_spaces.language.space import Space
from raysweep.tune import recall
from raysweep.tune.cli.app import main
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.load import load_sweep
from raysweep.tune.recall import RecallError
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.memory.guard import judged
from raysweep.tune.searchers.memory.memory import FIRST, Memory, Recollection
from raysweep.tune.searchers.memory.portfolio import configuration, portfolio
from raysweep.tune.searchers.memory.sources import (
    LEAST_TRIALS,
    MAX_TRIALS,
    Source,
    kind_of,
    matched,
    merged,
    position,
    source_of,
)
from raysweep.tune.searchers.memory.surrogates import Surrogate
from raysweep.tune.searchers.models.encoding import Encoding
from raysweep.tune.searchers.models.gaussian_process import Hyperparameters, Observations, fit
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.searchers.untried import Untried
from raysweep.tune.sweep import Budget, Metric, Sweep
from tests.command_line import Typed
from tests.sweeps import Keep

SPACE = Space({"lr": Float(1e-4, 1.0, log=True), "width": Int(16, 256, log=True)})
KINDS = {"lr": "float log", "width": "int log"}


def loss(config: Mapping[str, Any], best: float = 0.01) -> float:
    return float(math.log10(config["lr"] / best) ** 2 + 0.1 * abs(math.log2(config["width"] / 64)))


def source(
    run: str = "past", best: float = 0.01, count: int = 60, space: Space = SPACE, seed: int = 0
) -> Source:
    """A run of random configurations whose best learning rate is `best`."""
    rng = np.random.default_rng(seed)
    history = History((1,))
    for number in range(count):
        config = space.sample(rng)
        history.add(Trial(number, "random", config, 0))
        history.record(number, Report(1, loss(config, best), {}))
    found = source_of(run, matched(SPACE, space), space, history)
    assert found is not None
    return found


def shuffled(one: Source, seed: int) -> Source:
    quantiles = np.random.default_rng(seed).permutation(one.quantiles).tolist()
    return Source(one.run, one.kinds, one.values, tuple(quantiles))


def surrogate(one: Source, space: Space = SPACE) -> Surrogate:
    found = Surrogate.of(one, space, Encoding.of(space))
    assert found is not None
    return found


def test_parameters_match_by_name_kind_and_scale_whatever_their_ranges() -> None:
    other = Space(
        {
            "lr": Float(1e-3, 10.0, log=True),
            "width": Int(16, 256),
            "decay": Float(0.0, 1.0),
            "opt": Choice(("sgd", "adam")),
        }
    )
    assert matched(SPACE, other) == {"lr": "float log"}
    assert matched(other, Space({"opt": Choice(("adam", "lion"))})) == {"opt": "choice"}
    assert matched(other, Space({"opt": Ordinal(("sgd", "adam"))})) == {}
    zero_or_range = RangeOrValues((0,), Float(1e-3, 1.0, log=True))
    assert kind_of(zero_or_range) == kind_of(Float(1e-3, 10.0, log=True))
    assert kind_of(Float(0.9, 0.999, log="reverse")) == "float reverse"


def test_a_value_outside_of_the_range_lies_beyond_the_unit_interval() -> None:
    decades = Float(1e-4, 1.0, log=True)
    assert position(decades, 1e-2) == pytest.approx(0.5)
    assert position(decades, 1e-6) == pytest.approx(-0.5)
    assert position(decades, 1e30) == 2.0
    assert position(Int(0, 10), 15) == pytest.approx(1.5)
    assert position(RangeOrValues((0,), decades), 0) == pytest.approx(0.1)
    # What has no place: zero on a logarithmic scale, an unknown choice, a text for a number.
    for param, value in ((decades, 0.0), (Choice(("a", "b")), "c"), (decades, "high")):
        assert math.isnan(position(param, value))


def test_a_run_is_kept_as_its_trials_and_their_standings() -> None:
    found = source(count=300)
    assert found.kinds == KINDS
    assert len(found.values) == MAX_TRIALS
    assert found.quantiles == tuple(sorted(found.quantiles))
    losses = [loss(values) for values in found.values]
    assert losses == sorted(losses)
    assert Source.read(found.plain()) == found
    assert source_of("few", KINDS, SPACE, History((1,))) is None


def test_failed_trials_stand_last_and_those_of_other_checkpoints_are_left_out() -> None:
    trials = []
    for number in range(LEAST_TRIALS + 2):
        trial = Trial(number, "auto", {"lr": 10.0**-number, "width": 16}, 0)
        trial.reports = [Report(1, float(number), {})]
        trials.append(trial)
    trials[0].status = Status.FAILED
    trials[1].notes["parent"] = "auto-0"
    history = merged(trials, (1,))
    assert len(history) == len(trials) - 1
    found = source_of("run", KINDS, SPACE, history)
    assert found is not None
    assert found.values[-1]["lr"] == 1.0
    assert found.quantiles[-1] == 1.0
    assert found.values[0]["lr"] == 10.0**-2


def test_the_portfolio_has_what_is_good_on_each_run() -> None:
    runs = [surrogate(source("low", 1e-3)), surrogate(source("high", 0.3, seed=1))]
    members = portfolio(runs, SPACE, Encoding.of(SPACE), FIRST)
    rates = [SPACE.from_unit(member)["lr"] for member in members]
    assert len(rates) == FIRST
    assert min(abs(math.log10(rate / 1e-3)) for rate in rates[:3]) < 0.5
    assert min(abs(math.log10(rate / 0.3)) for rate in rates[:3]) < 0.5


def test_the_users_defaults_are_a_member() -> None:
    space = Space({"lr": Float(1e-4, 1.0, log=True, around=0.5), "width": Int(16, 256, log=True)})
    members = portfolio([surrogate(source(), space)], space, Encoding.of(space), FIRST)
    assert space.params["lr"].from_unit(members[1][0]) == pytest.approx(0.5)
    assert np.isnan(members[1][1])
    assert len(members) == FIRST


def test_what_does_not_match_is_drawn_and_constraints_hold() -> None:
    space = Space(
        {"lr": Float(1e-4, 1.0, log=True), "drop": Float(0.0, 1.0)},
        constraints=(lambda flat: flat["drop"] > 0.5,),
    )
    one = Source("past", {"lr": "float log"}, source().values, source().quantiles)
    member = portfolio([surrogate(one, space)], space, Encoding.of(space), 1)[0]
    assert np.isnan(member[1])
    drawn = [configuration(space, member, np.random.default_rng(seed)) for seed in range(5)]
    assert len({config["drop"] for config in drawn if config}) == 5
    assert len({config["lr"] for config in drawn if config}) == 1
    assert all(config and config["drop"] > 0.5 for config in drawn)
    impossible = Space(space.params, constraints=(lambda flat: False,))
    assert configuration(impossible, member, np.random.default_rng(0)) is None


def observed(best: float, count: int, seed: int) -> tuple[Hyperparameters, Observations, Any]:
    """What `auto` sees of trials on a problem whose best learning rate is `best`."""
    rng = np.random.default_rng(seed)
    configs = [SPACE.sample(rng) for _ in range(count)]
    losses = np.array([loss(config, best) for config in configs])
    y = np.log((losses.argsort().argsort() + 0.5) / count)
    y = (y - y.mean()) / y.std()
    x = Encoding.of(SPACE)(SPACE.to_units(configs))
    observations = Observations(x, np.arange(count), np.zeros(count, np.int64))
    return fit(observations, y), observations, y


def test_the_guard_keeps_what_holds_and_drops_what_is_shuffled() -> None:
    right = surrogate(source("right"))
    wrong = [surrogate(shuffled(source(f"wrong{i}", seed=i), i)) for i in range(12)]
    passed = 0
    for seed in range(6):
        hyperparameters, observations, y = observed(0.01, 15, seed)
        mean = judged([*wrong, right], hyperparameters, observations, y)
        assert mean.passed[0] == "right"
        assert np.corrcoef(mean(observations.x), y)[0, 1] > 0.8
        passed += len(mean.passed) - 1
        assert judged([right], hyperparameters, observations, -y).passed == ()
    assert passed <= 0.1 * 6 * len(wrong)


def test_the_guard_prefers_the_run_in_which_the_same_values_were_good() -> None:
    hyperparameters, observations, y = observed(0.3, 20, seed=8)
    runs = [surrogate(source("low", 1e-4)), surrogate(source("here", 0.3))]
    assert judged(runs, hyperparameters, observations, y).passed == ("here",)


def sweep(searcher: Auto, trials: int = 30, seed: int = 3) -> Sweep:
    budget = Budget(trials, 9)
    return Sweep("", Metric("loss", "minimize"), {"auto": searcher}, Asha(), budget, SPACE, seed)


def curve(config: Config, seed: int) -> Iterator[tuple[dict[str, float], float]]:
    for epoch in range(1, 10):
        yield {"loss": loss(config) + 1 / epoch}, 1.0


def upside_down(config: Config, seed: int) -> Iterator[tuple[dict[str, float], float]]:
    for epoch in range(1, 10):
        yield {"loss": -loss(config) + 1 / epoch}, 1.0


def with_past(*sources: Source) -> list[Event]:
    kept = [one.plain() for one in sources]
    return [{"event": "remembered", "time": 0.0, "sources": kept}]


def from_memory(controller: SweepController) -> list[int]:
    return [
        trial.number
        for trial in controller.trials
        if trial.notes.get("memory") == "first configuration"
    ]


def test_first_configurations_take_turns_with_drawn_ones() -> None:
    keep = Keep()
    controller = simulate(sweep(Auto()), curve, 1, keep, with_past(source()))
    assert from_memory(controller) == [0, 2, 4, 6, 8]
    assert loss(controller.trial("auto-0").config) < 0.2
    assessments = [event for event in keep.events if event["event"] == "memory"]
    assert assessments[-1]["used"] == ["past"]
    assert controller.trial("auto-29").notes["memory"] == "mean"
    row = trial_row(controller.trial("auto-0"), "loss")
    assert row["memory"] == "first configuration"


def test_a_second_sweep_with_the_same_seed_does_not_draw_what_the_first_one_drew() -> None:
    first = simulate(sweep(Auto()), curve, 1)
    past = {key(trial.config) for trial in first.trials}
    again = simulate(sweep(Auto()), curve, 1, past=with_past(source()))
    assert key(again.trial("auto-0").config) not in past
    drawn = [trial for trial in again.trials if trial.notes.get("memory") is None][:5]
    assert not past & {key(trial.config) for trial in drawn}


def key(config: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted(config.items()))


def test_first_configurations_end_when_they_are_behind() -> None:
    controller = simulate(sweep(Auto()), upside_down, 1, past=with_past(source()))
    assert len(from_memory(controller)) <= 2


def test_without_early_stopping_the_first_configurations_are_all_that_is_taken() -> None:
    """As the guide says: no expectation, and no word about runs that were used or dropped."""
    keep, plain = Keep(), replace(sweep(Auto()), scheduler=NoStopping())
    controller = simulate(plain, curve, 1, keep, with_past(source()))
    assert from_memory(controller) == [0, 2, 4, 6, 8]
    assert {trial.notes.get("memory") for trial in controller.trials} == {
        None,
        "first configuration",
    }
    assert not any(event["event"] == "memory" for event in keep.events)
    controller = simulate(plain, upside_down, 1, past=with_past(source()))
    assert len(from_memory(controller)) <= 2


def first_note() -> dict[str, str]:
    return {"memory": "first configuration"}


def test_an_enqueued_configuration_takes_no_turn() -> None:
    recollection = Recollection(Memory((source(),)), SPACE)
    history = History((1,))
    expected = recollection.first(history, Untried(SPACE), 0)
    assert expected is not None
    add(history, {"lr": 0.5, "width": 16}, {"enqueued": "file.0.auto"})
    assert recollection.first(history, Untried(SPACE), 0) == expected
    add(history, expected, first_note(), 1.0)
    assert recollection.first(history, Untried(SPACE), 0) is None
    add(history, {"lr": 0.4, "width": 16}, {"enqueued": "file.1.auto"})
    assert recollection.first(history, Untried(SPACE), 0) is None
    add(history, {"lr": 0.3, "width": 16}, {})
    assert recollection.first(history, Untried(SPACE), 0) is not None


def add(
    history: History, config: Config, notes: dict[str, Any], loss: float | None = None
) -> Trial:
    """Add a trial; with a loss, it has reached the first rung and pauses there."""
    trial = Trial(len(history), "auto", config, 0, notes=notes)
    history.add(trial)
    if loss is not None:
        history.start(trial.number)
        history.record(trial.number, Report(1, loss, {}))
        history.close(trial.number, Status.STOPPED)
    return trial


def test_all_workers_begin_with_first_configurations() -> None:
    controller = simulate(sweep(Auto()), curve, 3, past=with_past(source()))
    assert from_memory(controller) == [0, 1, 2, 4, 6]


def test_a_first_configuration_goes_on_while_it_is_the_best_of_each_rung() -> None:
    asha, history = Asha(grace=1), History((1, 3, 9))
    first = add(history, {"lr": 0.1}, first_note(), 0.2)
    drawn = [
        add(history, {"lr": value}, {}, value)
        for value in np.linspace(0.3, 0.9, LEAST_OTHERS - 1).tolist()
    ]
    # These two take the places that there are.
    go_on(history, drawn[0].number, 3, 0.15)
    go_on(history, drawn[1].number, 3, 0.16)
    assert asha.promote(history, budget_exhausted=False) is None
    add(history, {"lr": 1.0}, {}, 1.0)
    assert asha.promote(history, budget_exhausted=False) == first.number
    assert not leads(drawn[0], history)
    go_on(history, first.number, 3, 0.1)
    assert leads(first, history)
    # One that came later is better at the lowest rung, though it has not trained as long.
    add(history, {"lr": 0.2}, {}, 0.19)
    assert not leads(first, history)


def go_on(history: History, number: int, epoch: int, loss: float) -> None:
    """Train a paused trial to a rung, at which it pauses."""
    history.reopen(number)
    history.start(number)
    history.record(number, Report(epoch, loss, {}))
    history.close(number, Status.STOPPED)


def test_without_earlier_runs_nothing_changes() -> None:
    keep, other = Keep(), Keep()
    simulate(sweep(Auto()), curve, 2, keep)
    simulate(sweep(Auto().remembering(Memory(()))), curve, 2, other)
    assert keep.events == other.events


def test_a_resumed_sweep_proposes_the_same_without_the_runs() -> None:
    """The ledger alone is needed: cut anywhere, the rest is proposed as if nothing had happened."""
    keep = Keep()
    past = with_past(source(), source("other", 0.3, seed=4))
    whole = simulate(sweep(Auto()), curve, 1, keep, past)
    proposed = [place for place, event in enumerate(keep.events) if event["event"] == "proposed"]
    for cut in (proposed[3], proposed[12], proposed[20]):
        rest = Keep()
        again = simulate(sweep(Auto()), curve, 1, rest, [*past, *keep.events[:cut]])
        assert [trial.config for trial in again.trials] == [trial.config for trial in whole.trials]
        judged_before = [event for event in keep.events[:cut] if event["event"] == "memory"]
        told = [event for event in rest.events if event["event"] == "memory"]
        seen = [(event["used"], event["dropped"]) for event in [*judged_before, *told]]
        whole_run = [event for event in keep.events if event["event"] == "memory"]
        assert seen == [(event["used"], event["dropped"]) for event in whole_run]


# What follows reads run directories, which a study makes without Ray.

SEVERAL = "[{name: loss, goal: minimize}, {name: ms, goal: minimize}]"
PARAMS = {"lr": rs.Float(1e-4, 1.0, log=True), "width": rs.Int(16, 256, log=True)}
FILE = """\
trainable: tests.trainables:bowl
metric: {name: loss, goal: minimize}
budget: {trials: 4, epochs: 3}
space:
  lr: {float: [1e-3, 10.0], log: true}
  width: {int: [16, 256], log: true}
"""


def past_run(
    folder: Path,
    trials: int = 12,
    params: Mapping[str, Any] = PARAMS,
    trainable: str = "tests.trainables:bowl",
) -> Path:
    """A run that ended, as if a sweep of that train function had made it."""
    study = rs.Study(params, "loss", trials=trials, searcher="random", folder=folder)
    with study:
        for trial in study:
            trial.report(1, loss=sum(map(float, trial.config.values())))
    said = folder / SWEEP
    said.write_text(said.read_text().replace("ask and tell", trainable))
    return folder


def read_file(folder: Path, *more: str) -> Sweep:
    path = folder / "sweep.yaml"
    path.write_text(FILE)
    return load_sweep(str(path), more)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run that matches, and strangers: few trials, other parameters or functions or goals."""
    folder = tmp_path_factory.mktemp("storage")
    past_run(folder / "good")
    past_run(folder / "other", trainable="tests.trainables:other")
    said = past_run(folder / "opposite") / SWEEP
    said.write_text(said.read_text().replace("minimize", "maximize"))
    said = past_run(folder / "accuracy") / SWEEP
    said.write_text(said.read_text().replace("name: loss", "name: blossom"))
    past_run(folder / "short", trials=3)
    past_run(folder / "strange", params={"depth": rs.Int(1, 9)})
    return folder


def test_the_runs_beside_a_new_one_are_remembered(storage: Path, tmp_path: Path) -> None:
    said = read_file(tmp_path)
    assert said.memory == "auto"
    assert said.resolved["memory"] == "auto"
    recalled = recall.recall(said, storage / "new")
    assert recalled is not None
    assert [one.run for one in recalled.sources] == ["good"]
    assert recalled.line == (
        "memory: up to 5 of the first configurations come from good; "
        "write 'memory: none' to begin without"
    )
    assert recall.recall(read_file(tmp_path, "memory=none"), storage / "new") is None
    assert recall.recall(said, tmp_path / "new") is None
    assert recall.recall(said, tmp_path / "nowhere" / "new") is None


def test_a_run_to_which_links_lead_is_remembered_once(storage: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(storage / "good", runs / "good")
    for name in ("alias", "latest"):
        (runs / name).symlink_to("good")
    for memory in ("memory=auto", f"memory=[{runs}]"):
        recalled = recall.recall(read_file(tmp_path, memory), runs / "new")
        assert recalled is not None
        assert [one.run for one in recalled.sources] == ["good"]


@pytest.mark.parametrize("more", ["searcher=[auto, random]", "searcher=random", "seeds=5"])
def test_sweeps_that_measure_searchers_remember_nothing_by_themselves(
    more: str, storage: Path, tmp_path: Path
) -> None:
    said = read_file(tmp_path, more)
    assert (said.memory, said.resolved["memory"]) == ("none", "none")
    assert recall.recall(said, storage / "new") is None


def test_several_seeds_remember_the_same_if_the_file_says_so(tmp_path: Path) -> None:
    assert read_file(tmp_path, "seeds=5", "memory=auto").memory == "auto"


def test_a_run_of_an_earlier_version_remembers_nothing() -> None:
    said: dict[str, Any] = {"scheduler": {"name": "none"}}
    assert translate_sweep(said)["memory"] == "none"
    assert translate_sweep(said | {"memory": "auto"})["memory"] == "auto"


def damage(run: Path, kind: str) -> None:
    """What may lie in a folder of runs, beside those of this version."""
    book, said = run / ledger.NAME, run / SWEEP
    lines = book.read_bytes().splitlines(keepends=True)
    contents = {
        "cut": b"".join(lines[:-1]) + lines[-1][:20],
        "binary": bytes(range(256)),
        "of lists": b"[1, 2]\n" * 30,
        "of other events": b'{"event": "opened"}\n{"event": "proposed", "study": 3}\n' + lines[-1],
        "empty": b"",
    }
    if kind in contents:
        book.write_bytes(contents[kind])
    elif kind == "a folder":
        book.unlink()
        book.mkdir()
    elif kind == "without a file":
        said.unlink()
    elif kind == "with a binary file":
        said.write_bytes(b"lr width loss \xff\xfe")
    elif kind == "with another file":
        said.write_text("- lr\n- width\n- loss\n")
    elif kind == "with another space":
        said.write_text(said.read_text().partition("space:")[0] + "space: [lr, width]\n")


@pytest.mark.parametrize(
    "kind",
    [
        "cut",
        "binary",
        "of lists",
        "of other events",
        "empty",
        "a folder",
        "without a file",
        "with a binary file",
        "with another file",
        "with another space",
    ],
)
def test_no_damaged_run_keeps_a_sweep_from_beginning(
    kind: str, storage: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(storage / "good", runs / "good")
    damage(shutil.copytree(storage / "good", runs / "damaged"), kind)
    recalled = recall.recall(read_file(tmp_path), runs / "new")
    assert recalled is not None
    assert [one.run for one in recalled.sources] == ["good"]


def test_a_long_ledger_leaves_time_for_others(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (storage / "good" / ledger.NAME).stat().st_size
    monkeypatch.setattr(recall, "MOST_BYTES", size)
    runs = tmp_path / "runs"
    for name in ("first", "second", "third"):
        shutil.copytree(storage / "good", runs / name)
    with (runs / "third" / ledger.NAME).open("a") as file:
        file.write("\n")
    os.utime(runs / "first" / ledger.NAME, (1e9, 1e9))
    recalled = recall.recall(read_file(tmp_path), runs / "new")
    assert recalled is not None
    assert [one.run for one in recalled.sources] == ["second"]


def test_the_newest_runs_are_looked_at(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    for number in range(5):
        book = shutil.copytree(storage / "good", runs / f"run-{number}") / ledger.NAME
        os.utime(book, (1e9 + number, 1e9 + number))
    monkeypatch.setattr(recall, "MOST_RUNS", 3)
    recalled = recall.recall(read_file(tmp_path), runs / "new")
    assert recalled is not None
    assert [one.run for one in recalled.sources] == ["run-4", "run-3", "run-2"]
    monkeypatch.setattr(recall, "MOST_SOURCES", 2)
    recalled = recall.recall(read_file(tmp_path), runs / "new")
    assert recalled is not None
    assert [one.run for one in recalled.sources] == ["run-4", "run-3"]


def test_a_run_that_has_not_ended_is_not_remembered(storage: Path, tmp_path: Path) -> None:
    path = shutil.copytree(storage / "good", tmp_path / "runs" / "good") / "ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert recall.recall(read_file(tmp_path), tmp_path / "runs" / "new") is None
    named = read_file(tmp_path, "memory=[good]")
    recalled = recall.recall(named, tmp_path / "runs" / "new")
    assert recalled is not None
    assert len(recalled.sources) == 1


def test_a_sweep_that_remembered_is_repeated_by_naming_its_runs(tmp_path: Path) -> None:
    for name, age in (("new", 3), ("old", 9), ("middle", 6)):
        book = past_run(tmp_path / "runs" / name) / ledger.NAME
        os.utime(book, (1e9 - age, 1e9 - age))
    automatic = recall.recall(read_file(tmp_path), tmp_path / "runs" / "one")
    named = recall.recall(read_file(tmp_path, "memory=[new, middle, old]"), tmp_path / "runs" / "x")
    assert automatic is not None
    assert named is not None
    assert automatic.sources == named.sources


def test_named_runs_and_folders(storage: Path, tmp_path: Path) -> None:
    compared = read_file(tmp_path, f"memory=[{storage}]", "searcher=[auto, random]")
    recalled = recall.recall(compared, tmp_path / "new")
    assert recalled is not None
    # All that share a parameter: those of another function or metric are for the guard to judge.
    assert [one.run for one in recalled.sources] == ["accuracy", "good", "opposite", "other"]
    assert recalled.line.endswith("from accuracy, good, opposite and 1 more; random does without")
    beside = read_file(tmp_path, "memory=[good]")
    assert recall.recall(beside, storage / "new") == recall.recall(
        read_file(tmp_path, f"memory=[{storage / 'good'}]"), tmp_path / "new"
    )


def test_a_damaged_run_of_a_named_folder_is_passed_over(storage: Path, tmp_path: Path) -> None:
    for name in ("garbage", "good", "strange", "unreadable"):
        shutil.copytree(storage / "good", tmp_path / "runs" / name)
    (tmp_path / "runs" / "garbage" / ledger.NAME).write_bytes(b"garbage\n")
    book = ledger.Ledger(tmp_path / "runs" / "strange")
    book.append({"event": "reported", "trial": "no-1"})
    book.close()
    (tmp_path / "runs" / "unreadable" / ledger.NAME).unlink()
    (tmp_path / "runs" / "unreadable" / ledger.NAME).mkdir()
    recalled = recall.recall(read_file(tmp_path, f"memory=[{tmp_path / 'runs'}]"), tmp_path / "new")
    assert recalled is not None
    assert [one.run for one in recalled.sources] == ["good"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("nowhere", "memory: nowhere is neither a run directory nor a folder of runs"),
        ("strange", "strange shares no parameter with this sweep"),
        ("short", "short has fewer than 10 trials to compare, or all are alike"),
    ],
)
def test_a_run_that_cannot_be_remembered_is_refused(
    named: str, message: str, storage: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecallError) as error:
        recall.recall(read_file(tmp_path, f"memory=[{named}]"), storage / "new")
    assert str(error.value).endswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["searcher=random"], "memory: only the searcher auto learns from earlier runs"),
        (["memory=auto", "searcher=random"], "memory: only the searcher auto learns"),
        (["memory=auto", "searcher=[auto, random]"], "auto is for a sweep with one searcher"),
        (["metric=null", f"metrics={SEVERAL}"], "several metrics does not learn"),
        (["metric=null", f"metrics={SEVERAL}", "memory=auto"], "several metrics does not learn"),
        (["memory=[]"], "memory"),
        (["memory=always"], "memory"),
    ],
)
def test_a_file_that_cannot_be_followed_is_refused(
    more: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        read_file(tmp_path, "memory=[good]", *more)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("without_end")
def test_a_sweep_continues_when_the_earlier_run_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed(tmp_path)
    (tmp_path / "train.py").write_text(
        "def train(config, run):\n"
        "    for epoch in run.epochs():\n"
        "        run.report(loss=config['x'] / epoch)\n"
    )
    typed.write("train.py:train", searcher="auto", trials=8, epochs=1)
    past_run(tmp_path / "past", params={"x": rs.Float(0, 2)})
    remembering = ["--debug", "--set", f"memory=[{tmp_path / 'past'}]"]
    assert typed.run("--name", "whole", *remembering) == 0
    shown = capsys.readouterr().out
    assert "memory: up to 5 of the first configurations come from past" in shown
    assert typed.run("--name", "part", *remembering, "--set", "budget.trials=3") == 0
    assert typed.run("--name", "alone", "--debug", "--set", "memory=none") == 0
    shutil.rmtree(tmp_path / "past")
    assert typed.run("--resume", "part", *remembering) == 0
    events = ledger.read(tmp_path / "runs" / "part")
    proposed = [event for event in events if event["event"] == "proposed"]
    whole = ledger.read(tmp_path / "runs" / "whole")
    assert [one["config"] for one in proposed] == [
        event["config"] for event in whole if event["event"] == "proposed"
    ]
    assert ["notes" in event for event in proposed[:3]] == [True, False, True]
    (kept,) = [event for event in events if event["event"] == recall.EVENT]
    assert [one["run"] for one in kept["sources"]] == ["past"]
    # A comparison with a run that began with nothing says so.
    said = findings(compare([load(tmp_path / "runs" / name) for name in ("whole", "alone")]))
    told = [line for line in said if "earlier runs had told" in line]
    assert [line.partition(" began")[0] for line in told] == ["whole: auto"]


def test_a_study_remembers_if_it_is_told(tmp_path: Path) -> None:
    with rs.Study(PARAMS, "loss", trials=12, folder=tmp_path / "first") as first:
        for trial in first:
            trial.report(1, loss=loss(trial.config))
    assert "memory: none" in (tmp_path / "first" / SWEEP).read_text()

    def ten(memory: Any, **more: Any) -> list[Config]:
        with rs.Study(PARAMS, "loss", trials=10, memory=memory, **more) as study:
            for trial in study:
                trial.report(1, loss=loss(trial.config))
            return [trial.config for trial in study.trials]

    remembering = ten("auto", folder=tmp_path / "second")
    assert ten([str(tmp_path / "first")]) == remembering
    assert ten("none") != remembering
    assert loss(remembering[0]) == pytest.approx(
        min(loss(one.config) for one in first.trials), 1e-3
    )
    (kept,) = [one for one in ledger.read(tmp_path / "second") if one["event"] == recall.EVENT]
    assert [one["run"] for one in kept["sources"]] == ["first"]
    # The same call continues it, although the first study is gone.
    shutil.rmtree(tmp_path / "first")
    assert ten("auto", folder=tmp_path / "second") == remembering


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"memory": "auto"}, "memory: auto looks beside the folder of a study, which has none"),
        (
            {"memory": ["nowhere"]},
            "memory: nowhere is neither a run directory nor a folder of runs",
        ),
        ({"memory": ["x"], "searcher": "random"}, "memory: only the searcher auto learns"),
    ],
)
def test_a_study_that_cannot_remember_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        rs.Study(PARAMS, "loss", **more)
    assert message in str(error.value)


def test_runs_in_object_storage_are_remembered_by_name(storage: Path, tmp_path: Path) -> None:
    store = ObjectStore(f"file://{tmp_path}/store/kept")
    copied = StoredLedger(mirror.create(store), store)
    for event in ledger.read(storage / "good"):
        copied.append(event)
    copied.close()
    store.write(SWEEP, (storage / "good" / SWEEP).read_bytes())
    named = recall.recall(read_file(tmp_path, f"memory=['{store.url}']"), tmp_path / "new")
    assert named is not None
    assert [one.run for one in named.sources] == ["kept"]
    beside = recall.recall(read_file(tmp_path), storage / "new")
    assert beside is not None
    assert named.sources == (replace(beside.sources[0], run="kept"),)
    # By itself a sweep in object storage looks at none: listing them would take long.
    new = mirror.create(ObjectStore(f"file://{tmp_path}/store/new"))
    shutil.copytree(storage / "good", new.parent / "beside")
    assert recall.recall(read_file(tmp_path), new) is None
    store = ObjectStore(f"file://{tmp_path}/store")
    assert recall.recall(read_file(tmp_path, f"memory=['{store.url}']"), new) == named
    with pytest.raises(UserError, match="store/nothing is not a run"):
        recall.recall(read_file(tmp_path, f"memory=['file://{tmp_path}/store/nothing']"), new)


def test_what_was_remembered_in_sentences() -> None:
    keep = Keep()
    past = with_past(source(), source("low", 1e-4))
    controller = simulate(sweep(Auto()), curve, 1, keep, past)
    first, assessment = earlier_runs.sentences([*past, *keep.events], list(controller.trials))
    assert first == "5 first configurations came from earlier runs: past, low"
    assert assessment.startswith("memory of auto: past")
    assert earlier_runs.sentences(keep.events, list(controller.trials)) == []


def test_random_search_remembers_nothing() -> None:
    controller = simulate(
        Sweep(
            "", Metric("loss", "minimize"), {"random": Random()}, Asha(), Budget(12, 9), SPACE, 1
        ),
        curve,
        1,
        past=with_past(source()),
    )
    assert not any("memory" in trial.notes for trial in controller.trials)


def test_a_dry_run_shows_what_would_be_remembered(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read_file(tmp_path)
    arguments = ["run", "--space", str(tmp_path / "sweep.yaml"), "--dry-run", "--storage"]
    assert main([*arguments, str(storage)]) == 0
    shown = capsys.readouterr().out
    assert "# memory: up to 5 of the first configurations come from good;" in shown
    assert main([*arguments, str(storage), "--set", "memory=none"]) == 0
    assert "# memory" not in capsys.readouterr().out
