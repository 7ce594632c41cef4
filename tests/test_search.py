"""The parts of `searcher: auto` and `grace: auto`, and the benchmark that chose them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import search
from benchmarks.search_cost import SPACE, loss, seen
from benchmarks.search_files import read_runs, write_runs
from benchmarks.search_floor import reached
from benchmarks.search_problems import DEVELOP, JUDGE, Problem
from benchmarks.search_runs import GRID, Job, Workers, clairvoyant, ours
from benchmarks.search_table import Run, table
from benchmarks.search_tune_bohb import TuneBohb
from raysweep.history import Config, History, Report, Status, Trial
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.base import Scheduler
from raysweep.schedulers.rung_reliability import PROBES, kendall_tau
from raysweep.search_spaces.language.params import Choice, Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.gp import Auto, thinned, with_failed
from raysweep.tune.searchers.models.dataset import Dataset, DatasetCache
from raysweep.tune.searchers.models.encoding import Encoding
from raysweep.tune.searchers.models.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    Observations,
    _negative_log_likelihood,
    expected_improvement,
    fit,
)
from raysweep.tune.searchers.models.rung_quantiles import Quantiles, rung_quantiles
from raysweep.tune.searchers.random_grid import Random

ROOT = Path(__file__).parents[1]


def told(curves: list[list[float]], levels: tuple[int, ...] = (1, 2, 3)) -> History:
    """Trials with these losses by epoch."""
    history = History(levels)
    for number, losses in enumerate(curves):
        history.add(Trial(number, "a", {"x": 0.1 * number}, number))
        history.start(number)
        for epoch, value in enumerate(losses, 1):
            history.record(number, Report(epoch, value, {}))
    return history


# Quantiles


def quantiles_of(history: History, counts: tuple[int, ...] | None = None) -> Quantiles:
    return rung_quantiles(Dataset.of(Space({"x": Float(0.0, 1.0)}), history), counts)


def test_a_stopped_trial_keeps_its_rank_and_those_above_exchange_theirs() -> None:
    stand = quantiles_of(told([[0.1, 0.9], [0.2, 0.3], [0.3], [0.4]]))
    assert stand.quantile.tolist() == [0.375, 0.125, 0.625, 0.875]
    assert stand.rung_index.tolist() == [1, 1, 0, 0]


def test_equal_losses_share_a_rank_and_the_infinite_are_last() -> None:
    stand = quantiles_of(told([[0.1], [0.1], [math.inf], [0.0]]))
    assert stand.quantile.tolist() == [0.5, 0.5, 0.875, 0.125]


def test_the_first_arrivals_are_the_same_however_much_followed() -> None:
    curves = [[value, value] for value in (0.5, 0.1, 0.3, 0.2)]
    early, late = told(curves[:3]), told(curves)
    assert (
        quantiles_of(early, (3, 2, 0)).quantile.tolist()
        == quantiles_of(late, (3, 2, 0)).quantile.tolist()
    )


def test_what_is_read_as_it_comes_is_what_is_there() -> None:
    """Datasets that grow in uneven steps equal fresh ones.

    They hold a rung's arrivals, the points and their encoding, beyond the sizes at which arrays
    grow.
    """
    space, history = Space({"x": Float(0.0, 1.0), "kind": Choice(("a", "b", "c"))}), History((1, 3))
    rng, cache = np.random.default_rng(0), DatasetCache(space)
    for number in range(300):
        history.add(Trial(number, "a", space.sample(rng), number))
        history.start(number)
        if number % 7:
            history.record(number, Report(1, float(rng.random()), {}))
        if number % 11 == 0 or number == 299:
            points = np.array(space.to_units([trial.config for trial in history]))
            dataset = Dataset(space, history, cache)
            np.testing.assert_array_equal(dataset.units, points)
            np.testing.assert_array_equal(dataset.encoded, Encoding.of(space)(points))
            numbers, losses = dataset.arrivals(1)
            assert (
                dict(zip(numbers.tolist(), losses.tolist(), strict=True))
                == history.rungs[1].by_trial
            )
            assert numbers.tolist() == list(history.rungs[1].by_trial)
    with pytest.raises(ValueError, match="read-only"):
        dataset.units[0] = 0.0


def test_where_trials_stood_on_their_way_is_kept() -> None:
    steps = quantiles_of(told([[0.1, 0.9], [0.2, 0.3], [0.3], [0.4]])).path
    assert steps.trial_index.tolist() == [0, 1, 2, 3, 0, 1]
    assert steps.rung_index.tolist() == [0, 0, 0, 0, 1, 1]
    assert steps.quantile.tolist() == [0.125, 0.375, 0.625, 0.875, 0.375, 0.125]


def test_a_trial_that_went_wrong_is_the_worst_wherever_it_had_been() -> None:
    history = told([[0.1, 0.2], [0.2], [0.3], []])
    history.close(0, Status.DIVERGED)
    history.close(3, Status.FAILED)
    stand = with_failed(quantiles_of(history), history)
    assert dict(zip(stand.numbers.tolist(), stand.quantile.tolist(), strict=True)) == {
        0: 1.0,
        1: 0.5,
        2: pytest.approx(5 / 6),
        3: 1.0,
    }
    assert sorted(
        zip(
            stand.numbers[stand.path.trial_index].tolist(),
            stand.path.rung_index.tolist(),
            strict=True,
        )
    ) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (2, 0),
        (3, 0),
    ]
    assert set(stand.path.quantile[np.isin(stand.numbers[stand.path.trial_index], [0, 3])]) == {1.0}


def test_what_is_looked_at_are_whole_trials_the_best_and_some_of_all_others() -> None:
    stand = quantiles_of(
        told([[value, value] if value < 0.1 else [value] for value in np.arange(100) / 100])
    )
    picked = thinned(stand, 40)
    trials = set(stand.path.trial_index[picked].tolist())
    assert len(picked) == sum(2 if trial < 10 else 1 for trial in trials)
    assert abs(len(picked) - 40) <= 2
    assert set(range(10)) <= trials
    assert 99 in trials
    assert max(np.diff(sorted(trials))) <= 6
    assert thinned(stand, 110).tolist() == list(range(110))


# The Gaussian process


def once(points: Any) -> Observations:
    """Each point seen once, at one rung."""
    return Observations(points, np.arange(len(points)), np.zeros(len(points), np.int64))


def rungs(agreement: float, count: int = 40) -> tuple[Observations, Any]:
    """Trials with reports at two rungs, whose values agree to this degree."""
    rng = np.random.default_rng(0)
    points = rng.random((count, 2))
    first, other = np.sin(5 * points[:, 0]), np.sin(5 * points[:, 1])
    values = np.concatenate([first, agreement * first + (1 - agreement**2) ** 0.5 * other])
    trial, place = np.tile(np.arange(count), 2), np.repeat([0, 1], count)
    return Observations(points, trial, place), (values - values.mean()) / values.std()


def test_the_process_passes_through_what_it_saw_and_is_unsure_elsewhere() -> None:
    points, values = np.array([[0.1], [0.5], [0.9]]), np.array([1.0, -1.0, 0.5])
    model = GaussianProcess.condition(
        Hyperparameters(np.array([0.2]), 0.0, observation_noise=1e-6), once(points), values
    )
    means, deviations = model.predict(np.array([[0.5], [0.3]]))
    assert means[0] == pytest.approx(-1.0, abs=1e-3)
    assert deviations[0] < 0.01 < deviations[1]


def test_a_pending_point_changes_no_mean_and_is_not_proposed_again() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((20, 2))
    model = GaussianProcess.condition(
        Hyperparameters(np.array([0.4, 0.4]), 0.01), once(points), np.sin(6 * points[:, 0])
    )
    asked, pending = rng.random((50, 2)), np.array([[0.7, 0.2]])
    fantasy = model.fantasize(pending)
    assert fantasy.predict(asked)[0] == pytest.approx(model.predict(asked)[0], abs=1e-6)
    before, after = (
        float(expected_improvement(one, pending, -0.8, 1)[0]) for one in (model, fantasy)
    )
    assert after < before


def test_values_that_are_all_alike_leave_every_point_an_improvement() -> None:
    """So it is as long as most trials are NaN; a warning is an error here."""
    points = np.array([[0.1], [0.5], [0.9]])
    model = GaussianProcess.condition(
        Hyperparameters(np.array([0.2]), 0.0), once(points), np.zeros(3)
    )
    found = expected_improvement(model, np.array([[0.2], [0.5]]), 0.0, 2)
    assert np.isfinite(found).all()
    assert found[0] > found[1]


def test_scales_find_the_dimension_that_matters() -> None:
    points = np.random.default_rng(0).random((60, 3))
    values = np.sin(5 * points[:, 1])
    fitted = fit(once(points), (values - values.mean()) / values.std())
    assert fitted.lengthscales.argmin() == 1
    assert fitted.lengthscales[1] < 0.5 * min(fitted.lengthscales[0], fitted.lengthscales[2])


def test_rungs_that_agree_are_told_from_those_that_do_not() -> None:
    assert fit(*rungs(0.98)).rung_correlation > 0.8 > 0.5 > fit(*rungs(0.1)).rung_correlation


def test_what_is_seen_at_a_low_rung_counts_as_much_as_rungs_agree() -> None:
    points = np.array([[0.2], [0.8]])
    seen = Observations(points, np.arange(2), np.array([0, 1]))
    means = [
        GaussianProcess.condition(
            Hyperparameters(np.array([0.1]), 0.0, agreement, 1e-6), seen, np.array([-1.0, 1.0])
        ).predict(points)[0]
        for agreement in (1.0, 0.5, 0.0)
    ]
    assert [mean[0] for mean in means] == pytest.approx([-1.0, -0.5, 0.0], abs=0.01)
    assert [mean[1] for mean in means] == pytest.approx([1.0] * 3, abs=0.01)


def test_a_trial_seen_at_three_rungs_does_not_count_as_three() -> None:
    points, values = np.array([[0.5]] * 3), np.array([-1.0] * 3)
    scales = Hyperparameters(np.array([0.2]), 1.0, 1.0, 1e-3)
    one = GaussianProcess.condition(
        scales, Observations(points, np.zeros(3, np.int64), np.arange(3)), values
    ).predict(points[:1])[0]
    three = GaussianProcess.condition(
        scales, Observations(points, np.arange(3), np.arange(3)), values
    ).predict(points[:1])[0]
    assert one == pytest.approx(-0.5, abs=0.01)
    assert three == pytest.approx(-0.75, abs=0.01)


def test_where_a_trial_ends_is_known_at_the_top_and_guessed_from_below_and_from_others() -> None:
    points = np.array([[0.2], [0.21], [0.8]])
    seen = Observations(points, np.array([0, 0, 1, 2]), np.array([0, 1, 0, 0]))
    means, deviations = GaussianProcess.condition(
        Hyperparameters(np.array([0.1]), 0.01, 0.5, 1e-6), seen, np.array([1.0, -1.0, 1.0, 1.0])
    ).predict_final()
    assert means[0] == pytest.approx(-1.0, abs=1e-3)  # seen there
    assert means[1] < -0.5  # beside it, though its first rung was bad
    assert means[2] == pytest.approx(
        0.5, abs=0.01
    )  # alone: as its first rung says, as far as rungs agree
    assert deviations[0] < 0.01 < deviations[1] < deviations[2]


def test_the_slope_of_the_likelihood_is_its_slope() -> None:
    seen, values = rungs(0.7, 15)
    theta, step = np.array([-0.5, 0.2, -2.0, -1.0]), 1e-5

    def value(theta: Any) -> float:
        return _negative_log_likelihood(
            theta, seen, seen.rung_distance(), seen.same_trial(), values
        )[0]

    numeric = [
        (value(theta + step * one) - value(theta - step * one)) / (2 * step) for one in np.eye(4)
    ]
    assert _negative_log_likelihood(theta, seen, seen.rung_distance(), seen.same_trial(), values)[
        1
    ] == pytest.approx(numeric, rel=1e-4)


def test_a_choice_is_as_far_from_each_other_value_and_absent_ones_are_nowhere() -> None:
    space = Space({"kind": Choice(("a", "b", "c")), "x": Float(0.0, 1.0)})
    rows = Encoding.of(space)(np.array([[1 / 6, 0.2], [5 / 6, 0.2], [np.nan, np.nan]]))
    assert rows.tolist() == [[0.2, 1, 0, 0], [0.2, 0, 0, 1], [0.5, 0, 0, 0]]


# The searcher


def test_it_finds_the_bottom_of_a_bowl_in_eight_dimensions() -> None:
    def near(searcher: Any, seed: int) -> float:
        history = seen(60)
        proposed = []
        for _ in range(30):
            config = searcher.suggest(SPACE, history, seed)
            proposed.append(loss(config))
            history.add(Trial(len(history), "a", config, 0))
            history.start(len(history) - 1)
            history.record(len(history) - 1, Report(1, proposed[-1] + 1, {}))
            history.close(len(history) - 1, Status.STOPPED)
        return float(np.median(proposed))

    assert np.median([near(Auto(), seed) for seed in range(3)]) < 0.6 * np.median(
        [near(Random(), seed) for seed in range(3)]
    )


# The grace


def test_ranks_agree_or_not() -> None:
    assert kendall_tau(((1, 1), (2, 2), (3, 3))) == 1
    assert kendall_tau(((1, 3), (2, 2), (3, 1))) == -1
    assert kendall_tau(((1, 1), (1, 2))) == 0
    assert kendall_tau(((math.inf, 1),)) == 0


def stops(history: History, number: int, scheduler: Scheduler) -> bool:
    """Whether a new trial with the worst loss of all stops at the first rung."""
    history.add(Trial(number, "a", {}, 0))
    history.start(number)
    history.record(number, Report(1, 99.0, {}))
    return scheduler.decide(history[number], history, None).stop


@pytest.mark.parametrize("scheduler", [Asha(type="stopping", grace="auto"), Asha(grace="auto")])
@pytest.mark.parametrize("informative", [True, False])
def test_a_first_rung_that_says_nothing_is_passed_over(
    informative: bool, scheduler: Scheduler
) -> None:
    first = range(PROBES) if informative else [(7 * i) % PROBES for i in range(PROBES)]
    those_that_tell = [[float(a), 0.0, float(i)] for i, a in enumerate(first)]
    history = told(
        [values for tells in those_that_tell for values in ([50.0], tells)], (1, 3, 9, 27)
    )
    assert stops(history, 2 * PROBES, scheduler) is informative
    assert stops(history, 2 * PROBES + 1, scheduler) is informative


@pytest.mark.parametrize("scheduler", [Asha(type="stopping", grace="auto"), Asha(grace="auto")])
def test_while_little_is_known_every_second_trial_passes_the_first_rung(
    scheduler: Scheduler,
) -> None:
    history = told([[0.1, 0.1], [0.2, 0.2], [0.3]], (1, 3, 9, 27))
    assert [stops(history, number, scheduler) for number in (3, 4, 5, 6)] == [
        False,
        True,
        False,
        True,
    ]


def test_while_little_is_known_the_second_rung_judges() -> None:
    history = told([[0.1, 0.1, 0.1], [0.2, 0.2, 0.2], [0.3, 0.3, 0.3]], (1, 3, 9, 27))
    assert not Asha(type="stopping", grace="auto").decide(history[0], history).stop
    assert Asha(type="stopping", grace="auto").decide(history[2], history).stop


def test_without_a_quorum_nobody_goes_on() -> None:
    history = told([[0.1], [0.2]], (1, 3))
    assert (
        Asha(type="stopping", quorum=2).decide(history[0], history).reason
        == "epoch 1: only 1 other to compare it with"
    )
    assert not Asha(type="stopping").decide(history[0], history).stop


# The benchmark


def test_no_problem_is_both_for_developing_and_for_judging() -> None:
    assert not set(DEVELOP) & set(JUDGE)


def test_without_the_data_the_benchmark_says_what_it_wants(tmp_path: Path) -> None:
    for options in ([], ["--data", str(tmp_path)]):  # no folder; one without them
        environment = {
            name: value for name, value in os.environ.items() if name != "RAYSWEEP_BENCH"
        }
        command = [sys.executable, str(ROOT / "benchmarks/search.py"), "--quick", *options]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


def test_a_method_that_is_none_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["search.py", "--only", "bohp"])
    with pytest.raises(SystemExit, match="2"):
        search.parsed()
    assert "invalid choice: 'bohp'" in capsys.readouterr().err


def test_the_floor_wants_runs_of_random(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks/search_floor.py"),
        "--data",
        str(tmp_path),
        "--resume",
        str(tmp_path / "none"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"{tmp_path / 'none'}: no runs of random with 4 workers on each of the judging problems\n"
    )


def test_a_method_that_lacks_a_package_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(search.NEEDED) <= set(search.METHODS)
    monkeypatch.setattr(search, "find_spec", lambda name: None if name == "distributed" else name)
    search.missing.cache_clear()
    assert search.missing() == ("DEHB",)
    search.missing.cache_clear()


def bowl() -> Problem:
    def curve(config: Config) -> tuple[Any, Any]:
        return config["x"] + 1.0 / np.arange(1, 10), np.ones(9)

    return Problem("lcbench/bowl", Space({"x": Float(0.0, 1.0)}), 9, curve, 1 / 9)


class Simple:
    """Trains random configurations to the end."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.count, self.ended = problem, 0, SimpleNamespace(count=0)

    def ask(self) -> Job:
        self.count += 1
        return Job(self.count, {"x": 1.0 / self.count}, 0, 9)

    def tell(self, job: Job, epoch: int, value: float) -> bool:
        return True

    def done(self, job: Job, value: float) -> None:
        self.ended.count += 1


def test_others_run_on_the_same_clock() -> None:
    method = Simple(bowl())
    outcome = Workers(bowl(), method, 2).run()
    assert (method.count, method.ended.count) == (22, 20)
    assert outcome.regret[0] == 1.0
    assert outcome.regret[-1] == pytest.approx(bowl().regret(1 / 20 + 1 / 9))


@pytest.fixture(scope="module")
def swept() -> TuneBohb:
    """Ray's BOHB after a run on the bowl, with three workers."""
    method = TuneBohb(bowl(), 0, 3)
    Workers(bowl(), method, 3).run()
    return method


def test_rays_bohb_goes_through_its_brackets_in_order(swept: TuneBohb) -> None:
    """The first bracket has nine trials: nine get one epoch, three get three, and one gets nine.

    The next bracket has five trials.
    """
    first = swept.trials[:9]
    best = sorted(first, key=lambda trial: trial.config["x"])
    assert [trial.last_result["epoch"] for trial in best] == [9, 3, 3, *[1] * 6]
    assert {trial.status for trial in first} == {"TERMINATED"}
    assert {trial.last_result["epoch"] for trial in swept.trials[9:14]} == {3, 9}


def test_rays_bohb_learns_from_what_it_does_not_stop(swept: TuneBohb) -> None:
    generator = swept.searcher.bohber
    assert generator.kde_models
    ended = [trial for trial in swept.trials if trial.last_result.get("epoch") == 9]
    assert 0 < len(generator.losses[9]) < len(ended)
    assert swept.searcher.trial_to_params.keys() == {
        trial.trial_id for trial in swept.trials if trial.status != "TERMINATED"
    }


def test_a_seed_gives_rays_bohb_the_same_run_and_leaves_numpys_generator_alone(
    swept: TuneBohb,
) -> None:
    before = np.random.get_state(legacy=False)["state"]["key"].tolist()
    again = TuneBohb(bowl(), 0, 3)
    Workers(bowl(), again, 3).run()
    assert [trial.config for trial in again.trials] == [trial.config for trial in swept.trials]
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == before


def test_who_knows_the_ends_promotes_those_that_end_best() -> None:
    def curve(config: Config) -> tuple[Any, Any]:
        """The worse it begins, the better it ends."""
        return config["x"] + (1 - 2 * config["x"]) * np.arange(27) / 26, np.ones(27)

    problem = Problem("lcbench/crossing", Space({"x": Float(0.0, 1.0)}), 27, curve, 0.0)
    blind, knowing = (
        method(Random(), Asha(grace=1))(problem, 2, 0).regret[-1] for method in (ours, clairvoyant)
    )
    assert knowing < 0.5 * blind


def test_the_time_that_no_searcher_saves_is_that_of_those_who_get_there() -> None:
    """A loss of 0.5 is reached if x is at most 0.5 - 1/9.

    The best reaches it at the third of nine epochs, the median configuration at the fourth.
    """
    times = reached(bowl(), float(bowl().regret(0.5)))
    assert len(times) == pytest.approx(389, abs=45)
    assert times.min() == pytest.approx(3 / 9)
    assert np.median(times) == pytest.approx(4 / 9)


def test_the_table_has_speeds_and_errors() -> None:
    problem, runs = bowl(), []
    for name, scheduler in (
        ("random", Asha(type="stopping", grace=9)),
        ("random + stopping", Asha(type="stopping")),
    ):
        for seed in range(2):
            outcome = ours(Random(), scheduler)(problem, 2, seed)
            runs.append(Run(name, problem.name, 2, seed, outcome.regret.tolist(), 0.1))
    text = table(runs, {"random": ["0.1", "", ""]}, ["DEHB"])
    assert len(runs[0].regret) == len(GRID)
    assert "| random | 2 | 0." in text
    assert "±" in text
    assert "Not installed here: DEHB." in text


def test_runs_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    runs = [
        Run(method, "lcbench/3945", 4, seed, _falling(rng), 0.1)
        for seed in range(2)
        for method in ("random", "random + stopping")
    ]
    write_runs(tmp_path / "runs.npz", runs)
    assert read_runs(tmp_path / "runs.npz") == runs


def _falling(rng: np.random.Generator) -> list[float]:
    return sorted((round(value, 2) for value in rng.random(len(GRID)).tolist()), reverse=True)


def test_the_published_table_is_made_of_the_published_runs() -> None:
    made = table(read_runs(ROOT / "benchmarks/results/search_runs.npz"), {}, ())
    rows = [line for line in made.splitlines() if line.startswith("| ")]
    published = (ROOT / "benchmarks/results/search.md").read_text().splitlines()
    assert len(rows) == 2 * 2 + 16 + 13
    assert [row for row in rows if row not in published] == []


def test_the_published_table_of_memories_is_made_of_the_published_runs() -> None:
    made = table(read_runs(ROOT / "benchmarks/results/memory_runs.npz"), {}, ())
    rows = [line for line in made.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 6
    for page in ("docs/benchmarks/search.md", "benchmarks/search.md"):
        published = (ROOT / page).read_text().splitlines()
        assert [row for row in rows if row not in published] == []
