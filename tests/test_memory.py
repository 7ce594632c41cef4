"""Running out of memory is a result: searchers learn from it, and it is told from a crash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Config, Status, Trial
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space
from raysweep.trainables.runtime import memory_kills
from raysweep.trainables.runtime.memory_kills import kernel_kills
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.policy import Assigned, TrialCoordinator
from raysweep.tune.executors.ray.worker_failure import explain
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.retries import SPARED_KILLS_AT_START
from raysweep.tune.searchers.bohb import Bohb
from raysweep.tune.searchers.tpe import Tpe
from raysweep.tune.sweep import Budget, Searcher
from tests.sweeps import StopAt, sweep

RAYS_WORDS = """\
1 worker(s) were killed due to the node running low on memory. \
Memory on the node (IP: 192.0.2.2, ID: b956) was 6.17GB used / 23.54GB limit
Selected to kill: (Actor(4461): job ID=01, task name=A.__init__, pid=26906, \
actual memory used=3.16GB, worker ID=39db)
"""


def too_wide(config: Config) -> bool:
    """40 % of the space does not fit, the best of it lies right before the edge."""
    return bool(config["width"] > 0.6)


def curve(config: Config, seed: int) -> Iterator[Epoch]:
    for epoch in range(1, 4):
        if too_wide(config):
            raise MemoryError("2 GB asked for")
        yield {"loss": (config["width"] - 0.58) ** 2 + (config["lr"] - 0.3) ** 2 + 1 / epoch}, 1.0


@pytest.mark.parametrize("searcher", [Tpe(), Bohb(random_fraction=0.1)], ids=["tpe", "bohb"])
def test_less_and_less_is_proposed_of_what_does_not_fit(searcher: Searcher) -> None:
    """The trials drawn before there is a model, against those from the 40th on."""
    early, late = 0, 0
    for seed in range(2):
        said = sweep(
            {"one": searcher},
            space=Space({"width": Float(0.0, 1.0), "lr": Float(0.0, 1.0)}),
            budget=Budget(trials=80, epochs=3),
            on_oom=("skip",),
            seed=seed,
        )
        trials = list(simulate(said, curve, workers=1).trials)
        assert {trial.status for trial in trials if too_wide(trial.config)} == {Status.OOM}
        early += sum(trial.status is Status.OOM for trial in trials[:20])
        late += sum(trial.status is Status.OOM for trial in trials[40:])
    assert late / 80 < 0.5 * early / 40, (early, late)


def test_what_does_not_fit_whole_is_halved_until_it_ends() -> None:
    said = sweep(
        space=Space({"width": Float(0.7, 1.0), "lr": Float(0.0, 1.0)}),
        budget=Budget(trials=2, epochs=3),
    )
    controller = simulate(said, curve, workers=1)
    assert [(trial.status, trial.notes["accumulation"]) for trial in controller.trials] == [
        (Status.OOM, 64)
    ] * 2


def test_rays_memory_monitor_and_the_kernel_are_known_by_their_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monitor = explain(RuntimeError(RAYS_WORDS))
    assert monitor.out_of_memory
    assert not explain(RuntimeError("The actor died unexpectedly")).out_of_memory
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 3\n")
    monkeypatch.setattr(memory_kills, "VMSTAT", tmp_path / "vmstat")
    assert kernel_kills() == 3
    monkeypatch.setattr(memory_kills, "VMSTAT", tmp_path / "none")
    assert kernel_kills() == 0


def coordinator(controller: SweepController) -> Any:
    return TrialCoordinator(controller, lambda trial: None)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("on_oom", "notes", "kills"),
    [
        (("skip",), {}, 2),
        (("accumulate", "skip"), {"accumulation_read": True}, 8),
        (("accumulate", "skip"), {"accumulation_read": False}, 2),
        (("accumulate", "skip"), {}, 3),  # it has not said yet whether it reads it
    ],
)
def test_a_worker_killed_for_memory_is_spared_once_then_counts(
    on_oom: tuple[str, ...], notes: dict[str, bool], kills: int
) -> None:
    """Another trial on the same machine may have taken the memory."""
    controller = SweepController(
        sweep(on_oom=on_oom, budget=Budget(trials=1, epochs=3), scheduler=StopAt())
    )
    conduct = coordinator(controller)
    count = 0
    while (trial := controller.next()) is not None:
        conduct._assigned["ray"] = {trial.id: Assigned(trial, 3)}
        controller.started(trial)
        controller.noted(trial, notes)
        conduct.lost("ray", explain(RuntimeError(RAYS_WORDS)))
        count += 1
    only = next(iter(controller.trials))
    assert (count, only.status) == (kills, Status.OOM)
    assert "killed by Ray's memory monitor" in only.reason


def test_a_worker_killed_for_memory_before_it_began_does_not_blame_the_trial() -> None:
    """The memory of one that was killed just before may not be free yet."""
    controller = SweepController(sweep(on_oom=("skip",), budget=Budget(trials=1, epochs=3)))
    conduct = coordinator(controller)
    for kills in range(1, SPARED_KILLS_AT_START + 2):
        trial = controller.next()
        assert trial is not None
        conduct._assigned["ray"] = {trial.id: Assigned(trial, 3)}
        conduct.lost("ray", explain(RuntimeError(RAYS_WORDS)))
        assert (trial.attempts, trial.notes["kills_at_start"]) == (0, kills)
        assert trial.status is (Status.WAITING if kills <= SPARED_KILLS_AT_START else Status.OOM), (
            "a machine without memory does not keep a sweep for ever"
        )
    (only,) = controller.trials
    assert only.reason.endswith("monitor, 11 times before it began")


def test_a_share_of_a_device_that_was_too_small_becomes_the_whole() -> None:
    controller = SweepController(sweep(on_oom=("skip",), budget=Budget(trials=1, epochs=3)))
    trial = taken(controller)
    controller.noted(trial, {"share": 0.25})
    controller.out_of_memory(trial, "CUDA out of memory", {})
    assert (trial.status, trial.notes["share"]) == (Status.WAITING, 1.0)
    controller.out_of_memory(taken(controller), "CUDA out of memory", {})
    assert trial.status is Status.OOM


def taken(controller: SweepController) -> Trial:
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    return trial
