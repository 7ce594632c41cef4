"""`cost: seconds` of the default searcher: proposals per expected second of training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import raysweep as rs
from raysweep.errors import UserError
from raysweep.history import Config, History, Report
from raysweep.search_spaces.file.document import parse
from raysweep.search_spaces.file.reader import check
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space
from raysweep.testing import check_searcher
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.training_cost import CostCache, log_cost, per_cost
from tests.sweeps import Keep

COSTLY = {"name": "auto", "cost": "seconds"}
SPACE = {"x": rs.Float(0, 1), "width": rs.Float(0, 1)}
WAYS: list[dict[str, Any]] = [
    {"metric": {"name": "loss", "goal": "minimize"}, "scheduler": "asha"},
    {"metric": {"name": "loss", "goal": "minimize"}, "scheduler": "none"},
    {"metrics": [{"name": "loss"}, {"name": "other"}], "scheduler": "asha"},
]


def curve(config: Config, seed: int) -> Iterator[Epoch]:
    """The width drives the time and matters for nothing else."""
    for epoch in range(1, 4):
        loss = (config["x"] - 0.3) ** 2 + 1 / epoch
        yield {"loss": loss, "other": (config["x"] - 0.5) ** 2}, math.exp(4 * config["width"])


def in_equal_time(config: Config, seed: int) -> Iterator[Epoch]:
    for metrics, _ in curve(config, seed):
        yield metrics, 1.0


def swept(searcher: Any, made: Any = curve, log: Any = None, **keys: Any) -> History:
    past = keys.pop("past", ())
    fields = {"trainable": "a:b", "space": SPACE, "budget": {"trials": 30, "epochs": 3}}
    sweep = rs.Sweep(searcher=searcher, **fields | keys)._sweep
    return next(iter(simulate(sweep, made, 2, log, past).histories.values()))


def width(history: History) -> float:
    return float(np.mean([trial.config["width"] for trial in list(history)[10:]]))


@pytest.mark.parametrize("keys", WAYS)
def test_proposals_are_cheap_where_the_price_buys_nothing(keys: dict[str, Any]) -> None:
    assert width(swept(COSTLY, **keys)) < width(swept("auto", **keys)) - 0.1


@pytest.mark.parametrize("keys", WAYS)
def test_equal_seconds_change_nothing(keys: dict[str, Any]) -> None:
    costly, plain = (swept(name, in_equal_time, **keys) for name in (COSTLY, "auto"))
    assert [trial.config for trial in costly] == [trial.config for trial in plain]


@pytest.mark.parametrize("keys", WAYS)
def test_a_sweep_continues_as_if_it_had_never_stopped(keys: dict[str, Any]) -> None:
    whole = Keep()
    configs = [trial.config for trial in swept(COSTLY, log=whole, **keys)]
    for part in (0.55, 0.8):
        past = whole.events[: int(len(whole.events) * part)]
        count = sum(event["event"] == "proposed" for event in past)
        again = swept(COSTLY, past=past, **keys)
        assert again[count].config == configs[count]  # the next one, from the same history


def test_the_cost_of_a_configuration_is_learned_from_its_epochs() -> None:
    space, history = Space({"x": Float(0, 1), "width": Float(0, 1)}), History((1, 3))
    rng, cache = np.random.default_rng(0), CostCache()
    sweep = rs.Sweep(
        "a:b", SPACE, {"name": "loss", "goal": "minimize"}, {"trials": 20, "epochs": 3}
    )._sweep
    found = simulate(sweep, curve, 1).histories["auto"]
    for trial in found:
        history.add(type(trial)(trial.number, "auto", trial.config, 0))
        history.start(trial.number)
        if trial.number == 3:
            assert log_cost(Dataset.of(space, history), cache) is None  # too few are known
        noise = math.exp(0.05 * rng.normal())
        seconds = trial.reports[0].seconds * noise
        history.record(trial.number, Report(1, trial.loss, {}, seconds))
    dataset = Dataset.of(space, history)
    cost = log_cost(dataset, cache)
    assert cost is not None
    points = dataset.cache.encoding(np.array([[0.5, 0.1], [0.5, 0.9], [0.1, 0.9]]))
    cheap, dear, also_dear = cost(points)
    assert dear - cheap == pytest.approx(4 * 0.8, rel=0.15)
    assert also_dear == pytest.approx(dear, abs=0.2)
    np.testing.assert_allclose(
        per_cost(np.array([1.0, 1.0, -1e-9]), points, cost),
        [math.exp(-cheap), math.exp(-dear), -1e-9],
    )


@pytest.mark.parametrize(
    ("searcher", "message"),
    [
        (
            {"name": "random", "cost": "seconds"},
            "unknown key 'cost' in searcher random; only auto counts it: searcher: {name: auto, c",
        ),
        ({"name": "bohb", "cost": "seconds"}, "unknown key 'cost' in searcher bohb; only auto"),
        ({"name": "auto", "cost": "euros"}, "searcher auto: cost: expected 'seconds'"),
    ],
)
def test_who_cannot_count_seconds_says_so(searcher: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        swept(searcher, **WAYS[0])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_key_of_a_sweep_is_refused_with_what_to_write() -> None:
    rest = "trainable: a:b\nmetric: {name: a, goal: minimize}\nspace: {}\n"
    text = f"{rest}budget: {{epochs: 1, trials: 1}}\ncost: seconds\n"
    with pytest.raises(UserError, match=r"f.yaml:5: unknown key 'cost' in the sweep; only auto"):
        check(parse(text, "f.yaml"))


def test_it_is_a_searcher_as_all_are() -> None:
    check_searcher(Auto, {"cost": "seconds"}, skip=("no_worse_than_random",))
