"""One space with every kind of parameter means the same under every searcher.

It is tested for each kind of parameter and each searcher in the registry. What is expected is
written here by hand and shares no code with the space. Each searcher is asked 2,500 times before
anything was reported, which shows the distribution that it draws from, and again after histories
that pull it into the corners of the space. In 20 dimensions a proposal takes hyperopt 15 ms, the
Gaussian process 5 ms and hpbandster 3 ms, so here they are asked 150, 150 and 600 times;
`make conformance` asks each of them 10,000 times.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from raysweep.history import Config, History, Report, Status, Trial
from raysweep.search_spaces.file.build_space import space as build
from raysweep.search_spaces.file.document import parse
from raysweep.search_spaces.file.reader import check
from raysweep.search_spaces.language.space import Space, flatten
from raysweep.tune.searchers import SEARCHERS

MANY = int(os.environ.get("RAYSWEEP_CONFORMANCE", 0))
DRAWS = MANY or 2_500
"""The number of first proposals of each searcher."""
TOLD = {"bohb": 600}
"""The number of proposals after a history that a searcher is asked for, if it is not `MANY`."""

SPACE = """
even: {float: [-2, 3]}
log: {float: [1e-4, 1.0], log: true}
reverse: {float: [0.5, 0.9995], log: reverse}
stepped: {float: [0.1, 0.9], step: 0.1}
log_stepped: {float: [0.05, 1.0], log: true, step: 0.05}
half: {float: [0, 1], step: 0.25, ends: half}
whole: {int: [-3, 4]}
log_whole: {int: [1, 100], log: true}
strided: {int: [8, 64], step: 8}
ordinal: {ordinal: [32, 64, 128, 256]}
choice: {choice: [sgd, adam, 1, true]}
truth: {choice: [true, false]}
weighted: {choice: [a, b, c], weights: [6, 3, 1]}
or: {float: [1e-6, 1e-2], log: true, or: [0]}
near: {float: [1e-5, 1e-1], log: true, around: 1e-3}
model.momentum: {float: [0.5, 0.99], when: {choice: sgd}}
model.nesterov: {choice: [true, false], when: model.momentum > 0.6}
dropout2: {float: [0, 0.5], when: whole >= 2}
channels: {int: [8, 64], step: 8}
batch: {ordinal: [32, 64, 128]}
hidden: {expr: 4 * channels}
data: digits
"""
BOUND, FREE = "channels * batch <= 6144", "0 < 1"
Axis = Callable[[float], float]


@dataclass(frozen=True)
class Kind:
    """The values of a parameter.

    They are a range that is even on `axis`, or values with the fraction of the draws that each
    gets.
    """

    low: float = 0.0
    high: float = 1.0
    axis: Axis | None = None
    values: tuple[Any, ...] = ()
    shares: tuple[float, ...] = ()
    even: bool = True


def listed(*values: Any, shares: tuple[float, ...] = (), even: bool = True) -> Kind:
    return Kind(values=values, shares=shares or (1 / len(values),) * len(values), even=even)


def rounded(values: list[float], low: float, high: float) -> Kind:
    """Values that each get the part of the log axis from half way to one neighbour to the next."""
    edges = [low, *((a + b) / 2 for a, b in pairwise(values)), high]
    return listed(
        *values, shares=tuple(math.log(b / a) / math.log(high / low) for a, b in pairwise(edges))
    )


KINDS = {
    "even": Kind(-2, 3, float),
    "log": Kind(1e-4, 1.0, math.log),
    "reverse": Kind(0.5, 0.9995, lambda value: -math.log(1 - value)),
    "stepped": listed(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "log_stepped": rounded([round(0.05 * i, 2) for i in range(1, 21)], 0.025, 1.025),
    "half": listed(0.0, 0.25, 0.5, 0.75, 1.0, shares=(0.125, 0.25, 0.25, 0.25, 0.125)),
    "whole": listed(-3, -2, -1, 0, 1, 2, 3, 4),
    "log_whole": rounded(list(range(1, 101)), 0.5, 100.5),
    "strided": listed(8, 16, 24, 32, 40, 48, 56, 64),
    "ordinal": listed(32, 64, 128, 256),
    "choice": listed("sgd", "adam", 1, True),
    "truth": listed(True, False),
    "weighted": listed("a", "b", "c", shares=(0.6, 0.3, 0.1)),
    "or": Kind(1e-6, 1e-2, math.log, values=(0.0,), shares=(0.2,)),
    "near": Kind(1e-5, 1e-1, math.log, even=False),
    "model.momentum": Kind(0.5, 0.99, float),
    "model.nesterov": listed(True, False),
    "dropout2": Kind(0, 0.5, float),
    "channels": listed(8, 16, 24, 32, 40, 48, 56, 64, even=False),
    "batch": listed(32, 64, 128, even=False),
}
OURS = [name for name in SEARCHERS if name != "optuna"]
"""The searchers that draw by the space's priors; Optuna's samplers draw uniformly, and slowly."""
LEARNING = [name for name in OURS if name not in ("grid", "random")]


@cache
def space(rows: str = SPACE, constraint: str = BOUND) -> Space:
    """The space through the reader, as a file would make it."""
    lines = "".join(f"  {row}\n" for row in rows.strip().splitlines())
    head = "trainable: a:b\nmetric: {name: loss, goal: minimize}\nbudget: {epochs: 1, trials: 1}\n"
    document = parse(f"{head}constraints: ['{constraint}']\nspace:\n{lines}", "s.yaml")
    return build(check(document), document)


def told(wanted: Space, seed: int, count: int = 60) -> History:
    """Trials whose losses pull towards the bottom (even seeds) or the top of each axis.

    Some of them failed, diverged, were stopped or are running.
    """
    history, rng, end = History((1, 3)), np.random.default_rng(seed), seed % 2
    for number in range(count):
        config = near(wanted, end, rng) if number in (0, 12) else wanted.sample(rng, prior=False)
        history.add(Trial(number, "a", config, number))
        history.start(number)
        if number % 10 == 9:
            history.close(number, (Status.FAILED, Status.OOM)[number % 20 == 9])
            continue
        loss = (
            math.inf if number % 10 == 7 else float(np.nanmean(abs(wanted.to_unit(config) - end)))
        )
        for epoch in (1, 3) if number % 4 < 2 else (1,):
            history.record(number, Report(epoch, loss, {}))
        if number < count - 4:
            history.close(number, Status.COMPLETED if number % 4 < 2 else Status.STOPPED)
    return history


def near(wanted: Space, end: int, rng: np.random.Generator) -> Config:
    """A configuration from the last fiftieth of each axis.

    `batch` comes from everywhere, or no configuration at the top would be allowed.
    """
    while True:
        u = 0.98 * end + 0.02 * rng.random(len(wanted))
        if "batch" in wanted.names and len(wanted) > 1:
            u[wanted.names.index("batch")] = rng.random()
        if wanted.allows(config := wanted.from_unit(u)):
            return config


@cache
def fresh(name: str) -> list[Config]:
    """First proposals: nothing was reported yet."""
    searcher, history = SEARCHERS[name](), History((1, 3))
    return [proposal(searcher.suggest(space(), history, seed)) for seed in range(DRAWS)]


@cache
def learned(name: str) -> list[Config]:
    """Proposals after histories that pull to the bottom and the top of each axis in turn."""
    searcher, histories = SEARCHERS[name](), [told(space(), seed) for seed in range(10)]
    return [
        proposal(searcher.suggest(space(), histories[seed % 10], seed))
        for seed in range(MANY or TOLD.get(name, 150))
    ]


@cache
def cells(rows: str, constraint: str = FREE) -> list[Config]:
    """All that a grid proposes, with DRAWS points for a parameter alone."""
    wanted, history, found = space(rows, constraint), History((1, 3)), []
    searcher = SEARCHERS["grid"](points=DRAWS if "\n" not in rows else 3)
    while (config := searcher.suggest(wanted, history, 0)) is not None:
        found.append(flatten(config))
        history.add(Trial(len(history), "grid", config, 0))
    return found


def proposal(config: Config | None) -> Config:
    assert config is not None
    return flatten(config)


def column(configs: list[Config], name: str) -> list[Any]:
    return [config[name] for config in configs if name in config]


def row(name: str) -> str:
    """The line of one parameter, without its condition."""
    line = next(line for line in SPACE.splitlines() if line.startswith(f"{name}:"))
    return line.split(", when:")[0] + "}" * (", when:" in line)


def inside(kind: Kind, value: Any) -> bool:
    """Whether a value is one of the kind, of exactly the type that it was written as."""
    if (type(value), value) in typed(kind):
        return True
    return kind.axis is not None and type(value) is float and kind.low <= value <= kind.high


def typed(kind: Kind) -> list[tuple[type, Any]]:
    """The values with their types: 1 is not True here, nor 1.0."""
    return [(type(value), value) for value in kind.values]


def places(kind: Kind, values: list[Any]) -> list[float]:
    """Where on the axis, from 0 to 1, the values of the range lie."""
    assert kind.axis is not None
    low, high = kind.axis(kind.low), kind.axis(kind.high)
    return [(kind.axis(value) - low) / (high - low) for value in values if value not in kind.values]


def sources() -> Iterator[Any]:
    for name in OURS:
        if name != "grid":
            yield pytest.param(lambda name=name: fresh(name), id=f"{name}, nothing reported")
        if name in LEARNING:
            yield pytest.param(lambda name=name: learned(name), id=f"{name}, after a history")


Source = Callable[[], list[Config]]
everywhere = pytest.mark.parametrize("source", list(sources()))
each_kind = pytest.mark.parametrize("name", KINDS)
each_drawing = pytest.mark.parametrize("searcher", [name for name in OURS if name != "grid"])


@everywhere
@each_kind
def test_every_value_is_in_the_range_on_the_grid_of_its_steps_and_of_the_plain_type(
    source: Source, name: str
) -> None:
    drawn = column(source(), name)
    assert drawn
    assert all(inside(KINDS[name], value) for value in drawn)


@each_drawing
@each_kind
def test_both_ends_are_reached_before_anything_is_known(searcher: str, name: str) -> None:
    assert all(reaches(KINDS[name], column(fresh(searcher), name), end, 0.01) for end in (0, 1))


@pytest.mark.parametrize("searcher", [*LEARNING, "optuna"])
@pytest.mark.parametrize(
    "name",
    [
        "even",
        "log",
        "reverse",
        "near",
        "or",
        "log_stepped",
        "half",
        "log_whole",
        "ordinal",
        "choice",
    ],
)
def test_the_end_at_which_trials_were_good_is_reached(searcher: str, name: str) -> None:
    wanted = space(
        f"{row(name)}\nbeside: {{float: [0.0, 1.0]}}", FREE
    )  # alone, a few values are soon all tried, and the best not again
    for seed in (0, 1):
        history = told(wanted, seed)
        drawn = (
            proposal(SEARCHERS[searcher]().suggest(wanted, history, one)) for one in range(150)
        )
        assert any(reaches(KINDS[name], [one[name]], seed, 0.1) for one in drawn if name in one)


def reaches(kind: Kind, drawn: list[Any], end: int, close: float) -> bool:
    """True if an end of the axis (0: the bottom, 1: the top) is among the values.

    On a continuous axis a value that is `close` to it counts.
    """
    if kind.axis is None or (kind.values and end == 0):
        return typed(kind)[-end] in {(type(value), value) for value in drawn}
    return any(abs(place - end) < close for place in places(kind, drawn))


@each_drawing
@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.even])
def test_before_anything_is_known_draws_are_even_on_the_axis_that_the_file_names(
    searcher: str, name: str
) -> None:
    """Kolmogorov-Smirnov where the axis is continuous, chi-squared where it has steps."""
    kind, drawn = KINDS[name], column(fresh(searcher), name)
    if kind.axis is not None:
        assert kstest(places(kind, drawn), "uniform").pvalue > 1e-4
    counts = Counter(
        (type(value), value) if (type(value), value) in typed(kind) else None for value in drawn
    )
    expected = dict(zip(typed(kind), kind.shares, strict=True)) | (
        {None: 1 - sum(kind.shares)} if kind.axis else {}
    )
    if len(expected) > 1:
        assert (
            chisquare(
                [counts[one] for one in expected],
                [share * len(drawn) for share in expected.values()],
            ).pvalue
            > 1e-4
        )


@each_drawing
def test_a_prior_is_drawn_from_before_anything_is_known(searcher: str) -> None:
    """0.8 of the draws are normal with a deviation of 0.15 of the axis; the others are uniform."""
    place = np.array(places(KINDS["near"], column(fresh(searcher), "near")))
    assert float(np.mean(abs(place - 0.5) < 0.075)) == pytest.approx(
        0.8 * 0.383 + 0.2 * 0.15, abs=0.02
    )


@everywhere
def test_an_inactive_parameter_is_absent_and_an_active_one_there(source: Source) -> None:
    for config in source():
        assert ("model.momentum" in config) == (config["choice"] == "sgd")
        assert ("model.nesterov" in config) == (config.get("model.momentum", 0) > 0.6)
        assert ("dropout2" in config) == (config["whole"] >= 2)


@everywhere
def test_constraints_hold_and_derived_values_and_constants_are_there(source: Source) -> None:
    for config in source():
        assert config["channels"] * config["batch"] <= 6144
        assert config["hidden"] == 4 * config["channels"]
        assert config["data"] == "digits"


@pytest.mark.parametrize("searcher", LEARNING)
def test_what_was_learned_moves_the_draws(searcher: str) -> None:
    """Otherwise the proposals after a history would prove nothing."""
    drawn = [config["even"] for config in learned(searcher)]
    assert float(np.mean(drawn[0::2])) < float(np.mean(drawn[1::2])) - 0.5


@pytest.mark.parametrize("searcher", [name for name in OURS if name != "grid"])
@pytest.mark.parametrize("name", ["log", "reverse", "near"])
def test_a_searcher_sees_the_axis_and_not_the_values(searcher: str, name: str) -> None:
    """A searcher sees the axis of a parameter, not its values.

    What is proposed after a history is, on the axis, exactly what would be proposed on a linear
    one.
    """
    even, other = (
        space("x: {float: [0, 1]}", FREE),
        space(row(name).replace(", around: 1e-3", "").replace(name, "x", 1), FREE),
    )
    histories = History((1,)), History((1,))
    for history, one in zip(histories, (even, other), strict=True):
        for number, u in enumerate(np.random.default_rng(3).random(40)):
            history.add(Trial(number, "a", one.from_unit([u]), 0))
            history.start(number)
            history.record(number, Report(1, (u - 0.3) ** 2, {}))
            history.close(number, Status.COMPLETED)
    for seed in range(80):
        a, b = (
            SEARCHERS[searcher]().suggest(one, history, seed)
            for one, history in zip((even, other), histories, strict=True)
        )
        assert a is not None
        assert b is not None
        assert other.to_unit(b)[0] == pytest.approx(a["x"], abs=1e-6)


@each_kind
def test_a_grid_has_each_value_once_both_ends_and_the_axis_of_the_file(name: str) -> None:
    kind, drawn = KINDS[name], column(cells(row(name)), name)
    assert all(inside(kind, value) for value in drawn)
    assert len({(type(value), value) for value in drawn}) == len(drawn)
    if kind.axis is None:
        assert {(type(value), value) for value in drawn} == set(typed(kind))
    else:
        between = sorted(one for one in drawn if one not in kind.values)
        assert (between[0], between[-1], len(between)) == (kind.low, kind.high, DRAWS)
        assert kstest(places(kind, between), "uniform").statistic < 1e-3


def test_a_grid_of_conditions_and_constraints_has_each_cell_once() -> None:
    found = cells(GRIDDED, BOUND)
    assert len({repr(sorted(config.items())) for config in found}) == len(found) > 2_000
    for config in found:
        assert ("model.momentum" in config) == (config["choice"] == "sgd")
        assert ("model.nesterov" in config) == (config.get("model.momentum", 0) > 0.6)
        assert ("dropout2" in config) == (config["whole"] >= 2)
        assert config["channels"] * config["batch"] <= 6144
    assert {config["channels"] for config in found} == {8, 40, 64}


GRIDDED = "\n".join(
    line
    for line in SPACE.strip().splitlines()
    if line.split(":")[0]
    in (
        "log",
        "whole",
        "ordinal",
        "choice",
        "model.momentum",
        "model.nesterov",
        "dropout2",
        "channels",
        "batch",
        *(("or",) if MANY else ()),  # four times as many cells, which take sixteen times as long
    )
)
