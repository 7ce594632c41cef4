"""A space is a map between configurations and the unit cube, and a grid."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.search_spaces.language.expressions import Condition, Constraint, Derived, Expression
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal
from raysweep.search_spaces.language.space import EmptySpace, Space, flatten, nest
from tests.spaces import spaces

CONDITIONAL = Space(
    params={
        "optimizer": Choice(("sgd", "adam")),
        "momentum": Float(0.5, 0.99),
        "nesterov": Choice((True, False)),
        "model.layers": Int(1, 3),
        "model.dropout": Float(0.0, 0.5),
    },
    constants={"data": "digits"},
    conditions={
        "momentum": Condition(Expression("optimizer == 'sgd'")),
        "nesterov": Condition(Expression("momentum > 0.6")),
        "model.dropout": Condition(Expression("model.layers >= 2")),
    },
    derived={
        "model.width": Derived(Expression("8 * model.layers")),
        "damping": Derived(Expression("1 - momentum")),
    },
)


def seeds() -> st.SearchStrategy[int]:
    return st.integers(0, 2**32 - 1)


@given(spaces(), seeds())
def test_a_draw_is_inside_plain_and_comes_back(space: Space, seed: int) -> None:
    config = space.sample(np.random.default_rng(seed))
    assert config in space
    assert all(type(value) in (bool, int, float, str) for value in flatten(config).values())
    u = space.to_unit(config)
    assert u.shape == (len(space),)
    assert u.dtype == np.float64
    np.testing.assert_allclose(space.to_unit(space.from_unit(u)), u, atol=1e-9)


@given(spaces(), st.integers(1, 4))
def test_a_grid_gives_each_configuration_once(space: Space, points: int) -> None:
    cells = [repr(config) for config, _ in zip(space.grid(points), range(2000), strict=False)]
    assert len(set(cells)) == len(cells)
    expected = np.prod([len(param.grid(points)) for param in space.params.values()])
    assert len(cells) == min(expected, 2000)


@given(seeds())
def test_a_draw_depends_on_the_generator_alone(seed: int) -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    draws = [CONDITIONAL.sample(np.random.default_rng(seed)) for _ in range(2)]
    assert draws[0] == draws[1]
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]


@given(seeds())
def test_an_inactive_parameter_is_absent_and_nan(seed: int) -> None:
    config = CONDITIONAL.sample(np.random.default_rng(seed))
    flat, u = (
        flatten(config),
        dict(zip(CONDITIONAL.names, CONDITIONAL.to_unit(config), strict=True)),
    )
    assert ("momentum" in flat) == (flat["optimizer"] == "sgd")
    assert ("nesterov" in flat) == (flat.get("momentum", 0) > 0.6)
    assert ("model.dropout" in flat) == (flat["model.layers"] >= 2)
    assert {name for name, place in u.items() if np.isnan(place)} == set(CONDITIONAL.names) - set(
        flat
    )
    assert config in CONDITIONAL


def test_inactive_coordinates_are_ignored_even_nan() -> None:
    u = np.array([0.75, np.nan, np.nan, 0.0, np.nan])
    expected = {"data": "digits", "optimizer": "adam", "model": {"layers": 1, "width": 8}}
    assert CONDITIONAL.from_unit(u) == expected
    assert CONDITIONAL.from_unit([0.75, 0.3, 0.4, 0.0, 0.9]) == expected


def test_a_derived_value_follows_what_it_is_made_of() -> None:
    config = CONDITIONAL.from_unit([0.0, 0.5, 0.0, 0.5, 0.5])
    assert config["model"]["width"] == 8 * config["model"]["layers"]
    assert config["damping"] == 1 - config["momentum"]
    assert "damping" not in CONDITIONAL.from_unit([1.0, 0.5, 0.0, 0.5, 0.5])


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "adam"},
        {"momentum": 0.4},
        {"data": "mnist"},
        {"model": {"layers": 2, "width": 16}},
        {"model": {"layers": 1, "width": 16}},
        {"more": 1},
        {"nesterov": 1},
    ],
)
def test_what_differs_is_outside(change: dict[str, object]) -> None:
    config = {
        "data": "digits",
        "optimizer": "sgd",
        "momentum": 0.7,
        "nesterov": True,
        "model": {"layers": 1, "width": 8},
        "damping": 0.3,
    }
    config["damping"] = 1 - 0.7
    assert config in CONDITIONAL
    assert config | change not in CONDITIONAL


@pytest.mark.parametrize("thing", [None, 3, "sgd", [], {}])
def test_what_is_no_configuration_is_outside(thing: object) -> None:
    assert thing not in CONDITIONAL


def test_the_grid_of_a_conditional_space_has_no_cell_twice() -> None:
    cells = list(CONDITIONAL.grid(3))
    assert len({repr(cell) for cell in cells}) == len(cells)
    assert all(cell in CONDITIONAL for cell in cells)
    momentum = 1 + 2 * 2
    assert len(cells) == (momentum + 1) * (1 + 3 + 3)


def test_a_grid_moves_the_last_parameter_fastest() -> None:
    space = Space({"a": Int(1, 2), "b": Ordinal((1, 2))})
    assert [tuple(cell.values()) for cell in space.grid(2)] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_constraints_hold_in_draws_grid_and_membership() -> None:
    space = Space(
        {"a": Int(1, 4), "b": Int(1, 4)}, constraints=(Constraint(Expression("a * b <= 4")),)
    )
    rng = np.random.default_rng(0)
    assert all(config["a"] * config["b"] <= 4 for config in (space.sample(rng) for _ in range(200)))
    assert len(list(space.grid(4))) == 8
    assert {"a": 4, "b": 4} not in space
    assert space.feasible_fraction(rng, 4000) == pytest.approx(0.5, abs=0.03)


def test_a_derived_value_without_a_value_rules_the_configuration_out() -> None:
    space = Space({"a": Int(0, 3)}, derived={"b": Derived(Expression("6 / a"))})
    assert [config["b"] for config in space.grid(4)] == [6.0, 3.0, 2.0]
    assert all(space.sample(np.random.default_rng(seed))["a"] > 0 for seed in range(50))


def test_a_space_in_which_nothing_is_allowed_says_so() -> None:
    space = Space({"a": Int(1, 4)}, constraints=(Constraint(Expression("a > 4")),))
    with pytest.raises(EmptySpace, match="fewer than 1 in 10,000 configurations"):
        space.sample(np.random.default_rng(0), patience=1)


def test_a_space_that_was_read_has_a_configuration_whenever_one_is_asked_for() -> None:
    """One draw in 10,000 passes. Such a file is accepted, and must not fail during a sweep."""
    space = Space(
        {"a": Int(1, 100), "b": Int(1, 100)},
        constraints=(Constraint(Expression("a == 7 and b == 9")),),
    )
    assert [space.sample(np.random.default_rng(seed)) for seed in range(3)] == [
        {"a": 7, "b": 9}
    ] * 3


def test_a_prior_is_drawn_from_unless_told_otherwise() -> None:
    space = Space(
        {
            "lr": Float(1e-5, 1.0, log=True, around=1e-3),
            "optimizer": Choice(("sgd", "adam"), weights=(0.0, 1.0)),
        }
    )
    rng = np.random.default_rng(0)
    near = [space.sample(rng) for _ in range(500)]
    even = [space.sample(rng, prior=False) for _ in range(500)]
    assert {config["optimizer"] for config in near} == {"adam"}
    assert {config["optimizer"] for config in even} == {"adam", "sgd"}
    assert sum(1e-4 < config["lr"] < 1e-2 for config in near) > 1.5 * sum(
        1e-4 < config["lr"] < 1e-2 for config in even
    )


def test_a_space_is_pickled_and_compared_by_what_it_says() -> None:
    CONDITIONAL.sample(np.random.default_rng(0))
    assert pickle.loads(pickle.dumps(CONDITIONAL)) == CONDITIONAL


def test_several_configurations_become_rows() -> None:
    configs = [CONDITIONAL.sample(np.random.default_rng(seed)) for seed in range(3)]
    units = CONDITIONAL.to_units(configs)
    assert units.shape == (3, len(CONDITIONAL))
    np.testing.assert_array_equal(units[1], CONDITIONAL.to_unit(configs[1]))
    assert CONDITIONAL.to_units([]).shape == (0, len(CONDITIONAL))


def test_a_point_of_another_cube_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 5 coordinates, got 2"):
        CONDITIONAL.from_unit([0.5, 0.5])


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["a", "b.c", "b.d", "e.f.g"]), st.integers()))
def test_nesting_undoes_flattening(flat: dict[str, int]) -> None:
    assert flatten(nest(flat)) == flat
