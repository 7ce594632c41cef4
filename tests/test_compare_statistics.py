"""The statistics against simulated studies with a known truth, scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raysweep.arrays import FloatArray
from raysweep.results.analysis import statistics
from raysweep.results.analysis.statistics import (
    best_probabilities,
    holm,
    interval,
    p_value,
    paired_p,
    seeds_needed,
    unpaired_p,
)

MANY = 1000
NOISE = 3 * math.sqrt(0.05 * 0.95 / MANY)
"""Three standard errors of a rate of 5 % over MANY comparisons."""


def pairs_of_arms(
    count: int, effect: float = 0.0, skewed: bool = False
) -> tuple[FloatArray, FloatArray]:
    """MANY comparisons of two studies over `count` seeds, which share some luck.

    `effect`: in standard deviations of a difference.
    """
    rng = np.random.default_rng([count, skewed])
    shared, a, b = rng.normal(size=(3, MANY, count))
    a, b = 0.5 * shared + a, 0.5 * shared + b
    if skewed:
        a, b = np.exp(a), np.exp(b)
    return a, b + effect * math.sqrt(2)


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("count", [6, 10, 12, 20])
def test_paired_false_alarms_are_within_the_nominal_rate(count: int, skewed: bool) -> None:
    a, b = pairs_of_arms(count, skewed=skewed)
    alarms = (paired_p(a - b) <= 0.05).mean()
    assert 0.05 - NOISE - 0.02 <= alarms <= 0.05 + NOISE


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("count", [4, 5, 10, 15])
def test_unpaired_false_alarms_are_within_the_nominal_rate(count: int, skewed: bool) -> None:
    a, b = pairs_of_arms(count, skewed=skewed)
    alarms = (unpaired_p(a, b) <= 0.05).mean()
    assert 0.0 < alarms <= 0.05 + NOISE


@pytest.mark.parametrize(("count", "effect"), [(10, 1.2), (20, 0.8), (30, 0.5)])
def test_a_planted_effect_is_found_as_often_as_by_students_test(count: int, effect: float) -> None:
    from scipy.stats import ttest_rel

    a, b = pairs_of_arms(count, effect)
    found, by_student = (
        (paired_p(a - b) <= 0.05).mean(),
        (ttest_rel(a, b, axis=1).pvalue <= 0.05).mean(),
    )
    assert found > 0.6
    assert found > by_student - 0.03


@pytest.mark.parametrize("count", [5, 10, 20])
def test_intervals_cover_normal_means(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(count, MANY))
    low, high = interval(values)
    covered = ((low <= 0) & (high >= 0)).mean()
    assert 0.95 - NOISE <= covered <= 0.95 + NOISE


def test_the_usual_percentile_bootstrap_would_not_have_covered() -> None:
    """Why `interval` is studentized: with five seeds the usual one misses in one case of six."""
    values = np.random.default_rng(5).normal(size=(5, MANY))
    low, high = np.quantile(statistics.resampled_means(values), [0.025, 0.975], axis=0)
    assert ((low <= 0) & (high >= 0)).mean() < 0.88


@pytest.mark.parametrize("count", [5, 10, 20])
def test_intervals_of_skewed_values_cover_nearly_as_often(count: int) -> None:
    values = np.random.default_rng(count).exponential(size=(count, MANY))
    low, high = interval(values)
    assert ((low <= 1) & (high >= 1)).mean() > 0.91


def test_an_interval_stays_bounded_where_nearly_all_seeds_agree() -> None:
    low, high = interval(np.array([0.0, 0, 0, 0, 1]))
    assert -1.2 < low < 0.2 < high < 1.4
    low, high = interval(np.full((6, 2), 0.3))
    assert low.tolist() == high.tolist() == pytest.approx([0.3, 0.3])


def test_with_few_seeds_the_range_is_given() -> None:
    low, high = interval(np.array([[1.0], [3.0], [2.0]]))
    assert (low[0], high[0]) == (1.0, 3.0)


@pytest.mark.parametrize("count", [5, 8])
def test_p_values_are_those_of_scipy(count: int) -> None:
    from scipy.stats import permutation_test

    rng = np.random.default_rng(count)
    a, b = rng.normal(size=count), rng.normal(0.7, size=count)

    def difference(x: FloatArray, y: FloatArray, axis: int = -1) -> FloatArray:
        return np.asarray(x.mean(axis=axis) - y.mean(axis=axis))

    paired = permutation_test((a, b), difference, permutation_type="samples", vectorized=True)
    unpaired = permutation_test(
        (a, b), difference, permutation_type="independent", n_resamples=20_000, vectorized=True
    )
    assert float(paired_p(a - b)) == pytest.approx(paired.pvalue)
    assert float(unpaired_p(a, b)) == pytest.approx(unpaired.pvalue, abs=0.02)


def test_the_kind_of_test_depends_on_the_number_of_seeds_alone() -> None:
    rng = np.random.default_rng(0)
    kinds = {n: p_value(rng.normal(size=n), rng.normal(size=n), 0.05).kind for n in (3, 5, 6, 10)}
    assert kinds == {
        3: "permutation",
        5: "permutation",
        6: "paired permutation",
        10: "paired permutation",
    }
    assert p_value(np.zeros(3), np.ones(3), 0.05).p == pytest.approx(0.1)
    assert p_value(np.zeros(3), np.ones(3), 0.05).least == pytest.approx(0.1)


def test_equal_values_are_no_difference() -> None:
    assert float(paired_p(np.zeros(8))) == 1.0
    assert float(unpaired_p(np.ones(5), np.ones(5))) == 1.0


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))
    assert holm([]) == []


def test_the_chance_of_being_best() -> None:
    rng = np.random.default_rng(0)
    clear = np.array([rng.normal(0, 1, 20), rng.normal(3, 1, 20), rng.normal(3, 1, 20)])
    assert best_probabilities(clear)[0] > 0.99
    assert best_probabilities(np.zeros((4, 10))) == pytest.approx([0.25] * 4)
    assert best_probabilities(rng.normal(size=(5, 8))).sum() == pytest.approx(1.0)


def test_the_chance_of_being_best_is_fair_among_equals() -> None:
    chances = [
        best_probabilities(np.random.default_rng(i).normal(size=(3, 10)), i) for i in range(60)
    ]
    assert np.mean(chances, axis=0) == pytest.approx([1 / 3] * 3, abs=0.12)


@pytest.mark.parametrize("effect", [0.6, 1.0])
def test_as_many_seeds_as_said_would_show_it_four_times_of_five(effect: float) -> None:
    wide = np.random.default_rng(2).normal(size=4000)
    needed = seeds_needed(wide - wide.mean(), np.full(4000, effect * wide.std(ddof=1)), 0.05)
    assert needed is not None
    a, b = pairs_of_arms(needed, effect)
    assert 0.72 <= (paired_p(a - b) <= 0.05).mean() <= 0.92


def test_no_number_of_seeds_is_named_without_a_difference() -> None:
    assert seeds_needed(np.ones(5), np.ones(5), 0.05) is None
    assert seeds_needed(np.ones(1), np.zeros(1), 0.05) is None


def test_the_global_generator_is_untouched() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    interval(np.random.default_rng(0).normal(size=(6, 3)))
    paired_p(np.ones(30))
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]
