"""NaN and infinity count as the worst value in searchers, schedulers, tables and plots."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from raysweep.history import Config, Event, Status
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import load
from raysweep.results.storage.tables import write_tables
from raysweep.results.views import terminal
from raysweep.results.views.html.report import write as write_page
from raysweep.results.views.tensorboard import Writer
from raysweep.schedulers import SCHEDULERS, Asha
from raysweep.search_spaces.language.params import Choice, Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.callbacks.screen import render
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.state import NoLog
from raysweep.tune.sweep import Budget
from tests.made_up import Story, write_run
from tests.sweeps import StopAt, sweep

SPACE = Space({"x": Float(0.0, 1.0), "kind": Choice(("a", "b"))})
BAD = [math.nan, math.inf, -math.inf]


def half_bad(config: Config, seed: int) -> Iterator[Epoch]:
    """A bowl; where `x` is high, each bad value in turn, at once or in the second epoch."""
    for epoch in range(1, 5):
        bad = config["x"] > 0.5 and epoch > seed % 2
        yield {"loss": BAD[seed % 3] if bad else (config["x"] - 0.3) ** 2 + 1 / epoch}, 1.0


def all_bad(config: Config, seed: int) -> Iterator[Epoch]:
    while True:
        yield {"loss": BAD[seed % 3]}, 1.0


def made(kind: type[Any]) -> Any:
    """One with the options that a file must give, at their least."""
    return kind()


@pytest.mark.parametrize("name", sorted(SEARCHERS))
@pytest.mark.parametrize("curve", [half_bad, all_bad])
def test_no_searcher_breaks_and_no_bad_value_wins(name: str, curve: Any) -> None:
    said = sweep(
        {name: made(SEARCHERS[name])},
        space=SPACE,
        budget=Budget(trials=26, epochs=4),
        scheduler=StopAt(),
    )
    controller = simulate(said, curve, workers=2)
    check(controller)
    assert all(trial.config in SPACE for trial in controller.trials)


@pytest.mark.parametrize(
    "scheduler",
    [Asha(type="stopping"), *(SCHEDULERS[name]() for name in sorted(SCHEDULERS))],
    ids=repr,
)
@pytest.mark.parametrize("curve", [half_bad, all_bad])
def test_no_scheduler_breaks_and_no_bad_value_passes_a_rung(scheduler: Any, curve: Any) -> None:
    said = sweep(
        {"random": SEARCHERS["random"]()},
        space=SPACE,
        budget=Budget(trials=26, epochs=4),
        scheduler=scheduler,
    )
    check(simulate(said, curve, workers=2))


def check(controller: SweepController) -> None:
    """Each trial that reported such a value diverged there; the best is finite, or there is
    none."""
    for trial in controller.trials:
        bad = [report for report in trial.reports if not math.isfinite(report.loss)]
        assert (trial.status is Status.DIVERGED) == bool(bad)
        assert bad in ([], trial.reports[-1:])
        assert "is not finite" in trial.reason or not bad
    for history in controller.histories.values():
        assert history.best is None or math.isfinite(history.best[1].loss)


@pytest.mark.parametrize("values", [[math.nan], [0.5, math.nan], [math.inf, math.nan]], ids=str)
def test_every_table_and_plot_shows_them(tmp_path: Path, values: list[float]) -> None:
    stories = [
        Story("random", values, {"x": 0.1}, "diverged", "epoch 1: acc is not finite"),
        Story("tpe", [math.nan], {"x": 0.2}, "diverged"),
        Story("random", [0.1, 0.4], {"x": 0.3}),
    ]
    for name, told in (("some", stories), ("all", stories[:2])):
        run = load(write_run(tmp_path / name, told))
        screen = Console(file=io.StringIO(), width=120)
        screen.print(terminal.summary(run.histories, run.metric), terminal.show(run, "random-0"))
        write_tables(run.path, run.histories, run.metric)
        rows = csv.DictReader((run.path / "trials.csv").read_text(encoding="utf-8").splitlines())
        assert len(list(rows)) == len(told)
        page = write_page(run)
        text = Path(page).read_text(encoding="utf-8")
        assert "NaN" not in text.partition('type="application/json"')[2].partition("</script>")[0]
        assert np.isfinite(run.best.value) if name == "some" or values[0] == 0.5 else True


def test_tensorboard_and_the_screen_take_them(tmp_path: Path) -> None:
    class Keep(NoLog):
        def __init__(self) -> None:
            self.ledger, self.boards = Ledger(tmp_path), Writer(tmp_path, "loss")

        def write(self, event: Event) -> None:
            self.ledger.append(event)

        def applied(self, event: Event, controller: SweepController) -> None:
            if event["event"] == "reported":
                trial = controller.trial(event["trial"])
                self.boards.report(trial, trial.reports[-1])
            Console(file=io.StringIO(), width=80).print(render("run", controller, 80))

    keep = Keep()
    said = sweep({"random": SEARCHERS["random"]()}, space=SPACE, budget=Budget(trials=6, epochs=2))
    simulate(said, all_bad, workers=1, log=keep)
    keep.boards.finish()
    keep.ledger.close()
    assert len(list((tmp_path / "tensorboard").glob("*/events*"))) == 6
