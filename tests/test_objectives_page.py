"""Sweeps with several metrics from end to end: the commands of their page, and odd values."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import raysweep as rs
from raysweep.errors import UserError
from raysweep.results.export import _compare
from raysweep.results.run import Run
from raysweep.results.storage.inbox import Command
from raysweep.search_spaces.language.params import Int
from raysweep.search_spaces.language.space import Space
from raysweep.tune import seldom
from raysweep.tune.cli.app import main
from raysweep.tune.commands import carry_out
from raysweep.tune.controller import SweepController
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.sweep import Budget
from tests.serving import rows, serving, until
from tests.sweeps import Keep, sweep

PAGE = Path(__file__).resolve().parent.parent / "docs/how-to/objectives.md"
LINES = """
raysweep best ray_results/net
raysweep best ray_results/net --within ms_per_image=2 --within 'peak_mb<=300'
raysweep export ray_results/net --trial auto-3
raysweep export ray_results/net --front
"""
TWO: list[dict[str, Any]] = [{"name": "a", "goal": "minimize"}, {"name": "b", "goal": "minimize"}]


def train_net(config: dict[str, Any], run: rs.Run) -> None:
    from torch import nn

    for epoch in run.epochs(model=nn.Linear(2, 1)):
        loss = config["x"] + 1 / epoch
        run.report(val_loss=loss, ms_per_image=1 - config["x"], peak_mb=200 * config["x"])


def train_diverging(config: dict[str, Any], run: rs.Run) -> None:
    """Its second objective is not a number in the last epoch, in which the first is best."""
    for epoch in run.epochs():
        run.report(a=config["x"] / epoch, b=math.nan if epoch == 3 else 1 - config["x"])


def swept(train: Any, metrics: list[dict[str, Any]], **more: Any) -> Run:
    return rs.Sweep(
        train,
        metrics=metrics,
        space={"x": rs.Float(0, 1)},
        budget={"trials": 6, "epochs": 3},
        scheduler="none",
        **more,
    ).run(executor="debug", quiet=True, name="net")


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    metrics: list[dict[str, Any]] = [{"name": "val_loss"}, {"name": "ms_per_image"}]
    metrics.append({"name": "peak_mb", "limit": 500})
    swept(train_net, metrics)
    (block,) = re.findall(r"^<!-- run by \S+ -->\n```sh\n(.*?)^```$", PAGE.read_text(), re.S | re.M)
    lines = [line.partition("  #")[0].strip() for line in block.splitlines()]
    assert lines == LINES.strip().splitlines()
    for line in lines:
        words = line.replace("'", "").split()[1:]
        assert main(words) == 0, line
    run = rs.load("ray_results/net")
    made = {path.name for path in run.path.glob("trial-*")}
    assert made == {f"trial-{name}" for name in ("auto-3", *(one.trial for one in run.front))}
    for folder in made:
        about = json.loads((run.path / folder / "metrics.json").read_text())
        assert folder == f"trial-{about['trial']}"
    assert json.loads((run.path / "best/metrics.json").read_text())["trial"] == run.best.trial


def test_an_export_names_what_its_evaluation_gives_of_each_objective() -> None:
    answer = {"metrics": {"val_loss": 0.5, "ms": 2.5}}
    difference, line = _compare(answer, "val_loss", 0.5, {"ms": 2.0, "mb": 3.0})
    assert difference == 0.0
    assert line.endswith("val_loss 0.5, difference 0; ms 2, difference 0.5")


def test_an_epoch_without_a_finite_objective_is_nobodys_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = swept(train_diverging, TWO, searcher="random")
    assert run.best.epoch == 2
    assert len(run.front) == 6  # what is better in one is worse in the other
    assert {best.epoch for best in run.front} == {2}
    assert math.isfinite(run.knee.metrics["b"])


def test_without_a_front_there_is_no_knee(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def train(config: dict[str, Any], run: rs.Run) -> None:
        for _ in run.epochs():
            run.report(a=config["x"], b=math.nan)

    run = swept(train, TWO, searcher="random")
    assert run.front == []
    with pytest.raises(UserError, match="no trial has reported"):
        _ = run.knee


def test_a_space_that_was_tried_out_is_searched_again_when_it_grows() -> None:
    space, keep = Space({"x": Int(1, 6)}), Keep()
    said = sweep({"random": Random()}, space=space, budget=Budget(trials=10, epochs=3))
    controller = SweepController(said, keep)
    carry_out(Command("set", {"space": {"x": "1..2"}}), controller)
    assert [controller.next() is None for _ in range(3)] == [False, False, True]
    carry_out(Command("set", {"space": {"x": "1..6"}}), controller)
    assert controller.next() is not None
    later = SweepController(said, past=keep.events)
    assert not later.exhausted


def test_the_list_of_sweeps_has_the_front_and_its_hypervolume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = swept(train_diverging, TWO)
    with serving(run.path.parent) as client:
        row: Any = until(lambda: rows(client).get("net"))
    assert row["front"] == {
        "size": len(run.front),
        "knee": run.knee.trial,
        "values": {name: run.knee.metrics[name] for name in "ab"},
    }
    assert row["spark_of"] == "hypervolume so far"
    assert row["spark"] == sorted(row["spark"])
    assert 0 <= row["spark"][0] < row["spark"][-1] <= 1


def test_a_value_that_takes_long_is_made_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(seldom, "time", SimpleNamespace(monotonic=lambda: now[0]))
    made = iter(range(9))

    def make() -> int:
        now[0] += 2.0
        return next(made)

    kept: seldom.Seldom[int] = seldom.Seldom()
    assert kept.get(make) == 0
    now[0] += 19.0
    assert kept.get(make) == 0
    assert kept.get(make, fresh=True) == 1
    now[0] += 20.0
    assert kept.get(make) == 2
