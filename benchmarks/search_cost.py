"""What a suggestion costs, in CPU milliseconds, after 100, 1,000 and 5,000 trials.

The loss is a formula in eight dimensions. Each proposal reports once, and a searcher that ranks
trials is then asked to, as a scheduler that promotes does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.search_rivals import hpbandster_generator, hyperopt_search, optuna_study
from raysweep.history import Config, History, Report, Status, Trial
from raysweep.schedulers import Asha
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.recall import MOST_SOURCES
from raysweep.tune.searchers.bohb import Bohb
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.memory.memory import Memory
from raysweep.tune.searchers.memory.sources import matched, source_of
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.searchers.tpe import Tpe
from raysweep.tune.sweep import RankingSearcher

SIZES: tuple[int, ...] = (100, 1000, 5000)
EPOCHS, PENDING = 27, 4
SPACE = Space({f"u{i}": Float(0.0, 1.0) for i in range(8)})
MOST_SECONDS = 60.0
"""A searcher that took longer than this with some number of trials is not tried with more."""


def costs(quick: bool) -> dict[str, list[str]]:
    """By method: a cell for each of SIZES."""
    searchers: dict[str, Any] = {"random": Random(), "auto": Auto(), "bohb": Bohb(), "tpe": Tpe()}
    searchers["auto, remembering"] = Auto().remembering(earlier())
    ours = {name: _mine(searcher) for name, searcher in searchers.items()}
    rivals = {"HyperOptSearch": _hyperopt, "hpbandster BOHB": _hpbandster}
    if find_spec("optuna"):
        rivals["Optuna TPE"] = _optuna
    sizes = SIZES
    if quick:
        sizes = SIZES[:2]
    return {name: _cells(prepare, sizes) for name, prepare in {**ours, **rivals}.items()}


def _cells(prepare: Callable[[int], Callable[[], Any]], sizes: tuple[int, ...]) -> list[str]:
    cells, spent = [], 0.0
    for size in sizes:
        if spent > MOST_SECONDS:
            cells.append("")
            continue
        began = time.process_time()
        ask = prepare(size)
        ask()  # the first suggestion also pays for imports and caches
        taken = []
        for _ in range(10):
            before = time.process_time()
            ask()
            taken.append(1e3 * (time.process_time() - before))
        spent = time.process_time() - began
        cells.append(f"{np.mean(taken):.1f}")
    return cells + [""] * (len(SIZES) - len(cells))


def _mine(searcher: Any) -> Callable[[int], Callable[[], Any]]:
    def prepared(size: int) -> Callable[[], Any]:
        history = seen(size)

        def ask() -> None:
            config = searcher.suggest(SPACE, history, 0)
            _add(history, config)
            history.record(len(history) - 1, Report(1, loss(config) + 1, {}))
            if isinstance(searcher, RankingSearcher):
                searcher.rank(SPACE, history)

        return ask

    return prepared


def earlier() -> Memory:
    """As many earlier runs as a sweep remembers by itself, all of the very same problem."""
    kinds, history = matched(SPACE, SPACE), seen(300)
    found = source_of("run", kinds, SPACE, history)
    assert found is not None
    return Memory((found,) * MOST_SOURCES)


def seen(size: int) -> History:
    """A history under ASHA of random configurations, the last few of them still running."""
    scheduler, rng = Asha(type="stopping"), np.random.default_rng(0)
    history = History(scheduler.levels(EPOCHS))
    for number in range(size):
        config = SPACE.sample(rng)
        _add(history, config)
        if number >= size - PENDING:
            continue  # searchers that consider pending trials pay for it
        for epoch in range(1, EPOCHS + 1):
            history.record(number, Report(epoch, loss(config) + 1 / epoch, {}))
            if scheduler.decide(history[number], history).stop:
                break
        history.close(number, Status.STOPPED)
    return history


def _add(history: History, config: Config) -> None:
    history.add(Trial(len(history), "a", config, 0))
    history.start(len(history) - 1)


def loss(config: Config) -> float:
    return float(sum((value - 0.3) ** 2 * (i + 1) for i, value in enumerate(config.values())))


def _hyperopt(size: int) -> Callable[[], Any]:
    search, names = hyperopt_search(SPACE, 0, size), iter(range(10**6))
    for _ in range(size):
        name = str(next(names))
        search.on_trial_complete(
            name, {"loss": loss(search.suggest(name)), "training_iteration": 1}
        )
    return lambda: search.suggest(str(next(names)))


def _hpbandster(size: int) -> Callable[[], Any]:
    generator, rng = hpbandster_generator(SPACE, 0), np.random.default_rng(0)
    for number in range(size):
        config = SPACE.sample(rng)
        said = SimpleNamespace(
            kwargs={"budget": 1, "config": config},
            result={"loss": loss(config)},
            exception=None,
            timestamps={},
            id=number,
        )
        # The model is built once, from all results: that is what a suggestion pays for.
        generator.new_result(said, update_model=number == size - 1)
    return lambda: generator.get_config(1)


def _optuna(size: int) -> Callable[[], Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    cube: dict[str, Any] = {
        f"u{i}": optuna.distributions.FloatDistribution(0.0, 1.0) for i in range(8)
    }
    study, rng = optuna_study(0), np.random.default_rng(0)
    configs = [SPACE.sample(rng) for _ in range(size)]
    study.add_trials(
        [
            optuna.trial.create_trial(params=config, distributions=cube, value=loss(config))
            for config in configs
        ]
    )
    return lambda: study.ask(cube)
