"""Each kind of parameter is a fair map to and from [0, 1]."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy.stats import kstest

from raysweep.search_spaces.file.param_specs import Entry
from raysweep.search_spaces.language.params import (
    PRIOR_WEIGHT,
    Choice,
    Float,
    Int,
    Ordinal,
    Param,
    RangeOrValues,
    has_prior,
    same,
)
from raysweep.search_spaces.language.points import complete_point, typed
from raysweep.search_spaces.language.space import Space
from tests.spaces import UNIT, params

PLAIN = (bool, int, float, str)


@given(params(), UNIT)
def test_every_point_is_a_value_inside_and_plain(param: Param, u: float) -> None:
    value = param.from_unit(u)
    assert value in param
    assert type(value) in PLAIN


@given(params(), UNIT)
def test_a_value_comes_back_from_its_place(param: Param, u: float) -> None:
    value = param.from_unit(u)
    place = param.to_unit(value)  # type: ignore[arg-type]
    assert 0 <= place <= 1
    again = param.from_unit(place)
    if isinstance(value, float) and isinstance(again, float) and param.count is None:
        assert math.isclose(again, value, rel_tol=1e-9, abs_tol=1e-9)
    else:
        assert same(again, value)


@given(params())
def test_a_value_is_told_from_numpy_and_from_what_only_equals_it(param: Param) -> None:
    assert None not in param
    if isinstance(param, Int):
        assert np.int64(param.low) not in param
        assert float(param.low) not in param


@given(st.one_of(params().filter(lambda param: isinstance(param, Float | Int))))
def test_both_ends_are_reached(param: Float | Int) -> None:
    assert param.from_unit(0.0) == pytest.approx(param.low, abs=1e-9)
    assert param.from_unit(1.0) == pytest.approx(param.high, abs=1e-9)


@given(params(), st.integers(1, 12))
def test_a_grid_is_distinct_and_inside(param: Param, points: int) -> None:
    grid = param.grid(points)
    assert grid
    assert all(value in param for value in grid)
    assert all(not same(a, b) for a, b in itertools.combinations(grid, 2))
    if isinstance(param, Float | Int):
        assert len(grid) <= points
        assert grid == sorted(grid)


@given(params().filter(lambda param: isinstance(param, Float | Int)), st.integers(2, 12))
def test_a_grid_takes_both_ends(param: Float | Int, points: int) -> None:
    grid = param.grid(points)
    assert grid[0] == pytest.approx(param.low, abs=1e-9)
    assert grid[-1] == pytest.approx(param.high, abs=1e-9)


@given(params(), UNIT)
def test_without_a_prior_a_draw_is_even(param: Param, v: float) -> None:
    assert not has_prior(param)
    assert math.isclose(param.draw(v), v, rel_tol=1e-9, abs_tol=1e-12)


def values_of(param: Param, count: int = 20_000) -> list[bool | int | float | str]:
    """Values at evenly spaced points of the unit interval, without the noise of draws."""
    return [param.from_unit((i + 0.5) / count) for i in range(count)]


@pytest.mark.parametrize(
    "param",
    [
        Int(1, 7),
        Int(8, 64, step=8),
        Float(0.0, 1.0, step=0.1),
        Ordinal((32, 64, 128)),
        Choice(("a", "b", "c", "d")),
    ],
    ids=str,
)
def test_each_value_owns_an_equal_share(param: Param) -> None:
    shares = Counter(values_of(param))
    assert len(shares) == param.count
    assert max(shares.values()) - min(shares.values()) <= 1


@pytest.mark.parametrize(
    "param",
    [Int(1, 1000, log=True), Int(8, 512, log=True, step=8), Float(0.01, 1.0, log=True, step=0.01)],
    ids=str,
)
def test_a_stepped_log_value_owns_its_share_of_the_log_axis(param: Int | Float) -> None:
    shares = Counter(values_of(param))
    step, low = param.step or 0, param.low
    top, bottom = math.log(param.high + step / 2), math.log(low - min(step / 2, low / 2))
    for value in (low, low + step, low + 5 * step):
        edges = math.log(value + step / 2) - max(math.log(max(value - step / 2, 1e-9)), bottom)
        share = shares[param.from_unit(param.to_unit(value))] / 20_000  # type: ignore[arg-type]
        assert share == pytest.approx(edges / (top - bottom), abs=1e-3)


def test_log_is_even_over_orders_of_magnitude() -> None:
    logs = [math.log10(float(value)) for value in values_of(Float(1e-4, 1.0, log=True))]
    assert kstest(logs, "uniform", args=(-4, 4)).statistic < 1e-3


def test_reverse_is_even_over_orders_of_magnitude_of_the_distance_to_one() -> None:
    param = Float(0.5, 0.9995, log="reverse")
    logs = [math.log10(1 - float(value)) for value in values_of(param)]
    assert kstest(logs, "uniform", args=(math.log10(0.0005), 3)).statistic < 1e-3
    assert param.grid(3)[1] == pytest.approx(1 - math.sqrt(0.5 * 0.0005))


@pytest.mark.parametrize(
    ("param", "value", "share"),
    [
        (RangeOrValues((0,), Float(1e-6, 1e-2, log=True)), 0, 1 / 5),
        (RangeOrValues((0,), Int(1, 2)), 0, 1 / 3),
        (RangeOrValues((0, "auto"), Int(1, 2)), "auto", 1 / 4),
        (RangeOrValues(("none",), Int(1, 100)), "none", 1 / 5),
    ],
)
def test_a_value_outside_of_the_range_counts_as_one_of_few(
    param: RangeOrValues, value: int | str, share: float
) -> None:
    assert sum(same(one, value) for one in values_of(param)) / 20_000 == pytest.approx(
        share, abs=1e-3
    )


def test_zero_lies_below_the_range_and_a_word_above() -> None:
    param = RangeOrValues(("auto", 0), Float(1e-6, 1e-2, log=True))
    assert param.from_unit(0.0) == 0
    assert param.from_unit(1.0) == "auto"
    assert param.to_unit(0) < param.to_unit(1e-6) < param.to_unit(1e-2) < param.to_unit("auto")
    assert param.grid(2) == [0, 1e-6, 1e-2, "auto"]


def test_weights_say_how_often_a_value_is_drawn_but_not_where_it_lies() -> None:
    param = Choice(("a", "b", "c"), weights=(3.0, 0.0, 1.0))
    drawn = Counter(param.from_unit(param.draw((i + 0.5) / 1000)) for i in range(1000))
    assert drawn == {"a": 750, "c": 250}
    assert [param.from_unit(u) for u in (0.1, 0.5, 0.9)] == ["a", "b", "c"]
    assert param.from_unit(param.draw(1.0)) == "c"
    assert Choice(("a", "b"), weights=(1.0, 0.0)).draw(1.0) == 0.25
    assert [Ordinal((1, 2, 4), weights=(1.0, 2.0, 1.0)).draw(v) for v in (0.2, 0.3, 0.7, 0.8)] == [
        1 / 6,
        0.5,
        0.5,
        5 / 6,
    ]


@pytest.mark.parametrize(
    ("param", "near", "far"),
    [
        (Float(1e-5, 1.0, log=True, around=1e-3), (3e-4, 3e-3), (0.1, 1.0)),
        (Int(1, 100, around=20), (15, 25), (80, 90)),
        (Ordinal((8, 16, 32, 64, 128, 256), around=16), (16, 16), (256, 256)),
        (RangeOrValues((0,), Float(1e-6, 1e-2, log=True, around=1e-5)), (3e-6, 3e-5), (1e-3, 1e-2)),
    ],
)
def test_a_prior_draws_near_its_centre_first_and_everything_in_the_end(
    param: Param, near: tuple[float, float], far: tuple[float, float]
) -> None:
    drawn = [param.from_unit(param.draw((i + 0.5) / 5000)) for i in range(5000)]
    inside = sum(near[0] <= float(value) <= near[1] for value in drawn)
    outside = sum(far[0] <= float(value) <= far[1] for value in drawn)
    assert inside > 2.5 * outside > 0
    assert param.from_unit(param.draw(0.0)) in param
    assert param.from_unit(param.draw(1.0)) in param


def test_a_prior_is_the_normal_that_it_says() -> None:
    param = Float(0.0, 1.0, around=0.5)
    drawn = [param.draw(PRIOR_WEIGHT * (i + 0.5) / 5000) for i in range(5000)]
    assert float(np.mean(drawn)) == pytest.approx(0.5, abs=1e-3)
    assert float(np.std(drawn)) == pytest.approx(0.15, abs=2e-3)


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ({"float": [1e-6, 1e-2], "log": True, "or": [0, 1]}, [0.0, 1e-6, 1e-2, 1.0]),
        ({"float": [1e-6, 1e-2], "log": True, "or": ["auto", 0]}, [0.0, 1e-6, 1e-2, "auto"]),
        ({"int": [1, 2], "or": [0]}, [0, 1, 2]),
        ({"ordinal": [0, 0.1, 0.2]}, [0.0, 0.1, 0.2]),
        ({"choice": [1, 0.5]}, [1.0, 0.5]),
        ({"choice": [1, 1.0]}, [1, 1.0]),
        ({"choice": [1, 0.5, "auto"]}, [1, 0.5, "auto"]),
        ({"ordinal": [16, 32]}, [16, 32]),
    ],
)
def test_numbers_of_a_parameter_are_given_as_one_type(entry: Any, values: list[Any]) -> None:
    spec: Any = TypeAdapter(Entry).validate_python(entry)
    assert same(spec.param().grid(2), values)


def test_a_zero_that_an_earlier_version_recorded_is_the_zero_of_today() -> None:
    for param in (
        RangeOrValues((0.0,), Float(1e-6, 1e-2, log=True)),
        Ordinal((0.0, 0.1, 0.2)),
        Choice((0.0, 0.1)),
    ):
        assert 0 in param
        assert param.to_unit(0) == param.to_unit(0.0)
        assert False not in param
        space = Space({"decay": param})
        assert same(typed(space, {"decay": 0}), {"decay": 0.0})
        assert same(complete_point(space, {"decay": 0}), {"decay": 0.0})
