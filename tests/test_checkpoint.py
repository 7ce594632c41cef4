"""Checkpoints are whole or absent, and hold all that the rest of a training depends on."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.trainables.runtime import checkpoint
from raysweep.tune.callbacks.checkpoint_retention import without_unfinished

REPORTS: list[dict[str, Any]] = [{"epoch": 1, "metrics": {"loss": 0.5}, "seconds": 1.0}]


def draw() -> list[float]:
    """Draw from every generator.

    numpy and Python keep the second of a pair of normal draws for later; it is among them.
    """
    return [
        float(torch.rand(1)),
        float(np.random.rand()),
        float(np.random.randn()),
        random.random(),
        random.gauss(0, 1),
    ]


def test_it_holds_what_the_design_names(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    checkpoint.save(tmp_path, {"model": model, "optimizer": optimizer}, REPORTS, best=False)
    content = checkpoint.load(tmp_path / checkpoint.LAST)
    assert set(content) == {
        "model_state_dict",
        "optimizer_state_dict",
        "epoch",
        "metrics",
        "reports",
        "random",
    }
    assert (content["epoch"], content["metrics"]) == (1, {"loss": 0.5})


def test_the_generators_go_on_where_they_were(tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    draw()
    checkpoint.save(tmp_path, {}, REPORTS, best=False)
    expected = [draw(), draw()]
    assert checkpoint.restore(tmp_path, {}) == REPORTS
    assert [draw(), draw()] == expected


def test_the_model_and_the_optimizer_come_back(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint.save(tmp_path, {"model": model, "optimizer": optimizer}, REPORTS, best=False)
    other = torch.nn.Linear(2, 1)
    others = torch.optim.Adam(other.parameters())
    checkpoint.restore(tmp_path, {"model": other, "optimizer": others})
    assert torch.equal(model.weight, other.weight)
    assert torch.equal(
        optimizer.state[model.weight]["exp_avg"], others.state[other.weight]["exp_avg"]
    )


def test_nothing_to_restore_is_nothing(tmp_path: Path) -> None:
    assert checkpoint.restore(tmp_path / "none", {}) == []


def test_best_stays_while_last_moves_on(tmp_path: Path) -> None:
    for epoch, best in ((1, False), (2, True), (3, False)):
        checkpoint.save(tmp_path, {}, [{"epoch": epoch, "metrics": {}, "seconds": 1.0}], best)
    assert checkpoint.load(tmp_path / checkpoint.LAST)["epoch"] == 3
    assert checkpoint.load(tmp_path / checkpoint.BEST)["epoch"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "last.pt"]


@pytest.mark.parametrize("step", ["write", "sync", "replace"])
def test_a_death_while_writing_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    checkpoint.save(tmp_path, {}, REPORTS, best=True)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    where: dict[str, tuple[Any, str]] = {
        "write": (torch, "save"),
        "sync": (os, "fsync"),
        "replace": (os, "replace"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*where[step], die)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path, {}, [{"epoch": 2, "metrics": {}, "seconds": 2.0}], best=True)
    assert checkpoint.load(tmp_path / checkpoint.LAST)["epoch"] == 1
    assert checkpoint.load(tmp_path / checkpoint.BEST)["epoch"] == 1
    checkpoint.save(tmp_path, {}, [{"epoch": 2, "metrics": {}, "seconds": 2.0}], best=True)
    assert checkpoint.load(tmp_path / checkpoint.BEST)["epoch"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "last.pt"]


def test_what_killed_workers_left_unfinished_goes_at_the_end_of_the_session(
    tmp_path: Path,
) -> None:
    for trial in (tmp_path / "trials" / "random-0", tmp_path / "confirm" / "trials" / "random-0-0"):
        trial.mkdir(parents=True)
        for name in (".unfinished-12", ".best-12", "last.pt", ".mine"):
            (trial / name).write_text("")
    with pytest.raises(KeyboardInterrupt), without_unfinished(tmp_path):
        raise KeyboardInterrupt
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"last.pt", ".mine"}


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "zeros", "text"])
def test_a_damaged_checkpoint_is_noticed_before_anything_is_loaded(
    tmp_path: Path, damage: str
) -> None:
    model = torch.nn.Linear(100, 100)
    checkpoint.save(tmp_path, {"model": model}, REPORTS, best=True)
    path = tmp_path / checkpoint.LAST
    content = path.read_bytes()
    spoil(path, damage)
    assert path.read_bytes() != content
    other = torch.nn.Linear(100, 100)
    before = other.weight.clone()
    with pytest.raises(checkpoint.DamagedCheckpointError, match=f"{path} is damaged: "):
        checkpoint.restore(tmp_path, {"model": other})
    assert torch.equal(other.weight, before)


def test_checksums_are_written_whatever_a_train_function_switched_off(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        checkpoint.save(tmp_path, {}, REPORTS, best=False)
        assert not torch.serialization.get_crc32_options()
    finally:
        torch.serialization.set_crc32_options(True)
    assert checkpoint.restore(tmp_path, {}) == REPORTS


def spoil(path: Path, damage: str) -> None:
    """Damage a file in place, as a disk, a full quota or a cut connection does."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "cut": content[:middle],
            "empty": b"",
            "zeros": bytes(len(content)),
            "text": b"not a checkpoint",
        }[damage]
    )


def test_it_never_unpickles_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "evil"),))

    torch.save({"model_state_dict": Evil()}, tmp_path / checkpoint.LAST)
    with pytest.raises(Exception, match="Weights only load failed"):
        checkpoint.load(tmp_path / checkpoint.LAST)
    assert not (tmp_path / "evil").exists()
